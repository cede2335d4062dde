"""Two faults at once: what is answered is defined, nothing is lost, and it heals without a restart."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.proof.gateway import all_ended
from tests.proof.house import House, open_house, until
from tests.proof.reckoning import read_books
from tests.proof.test_case_06_ledger_trouble import NEAR, barred

FAILING = Path(__file__).parent / "failing"
SMALL = {"FAREBOX_SEGMENT_BYTES": str(64 << 10), "PYTHONPATH": str(FAILING)}
ERRORS = {"rules": [{"probability": 0.5, "seed": 1, "status": 500}, {"every": 3, "fault": "reset_before_headers"}]}


def test_provider_fails_and_ledger_is_down(tmp_path):
    """Who is capped is refused before anything is sent; who is not gets the provider's own error."""
    with open_house(tmp_path, usd=NEAR) as house:
        assert house.call().status == 200
        house.tell_provider(ERRORS)
        with barred(house.gateway.data_dir / "ledger.db"):
            until(lambda: house.call().status == 503)
            charged = count_charged(house)
            for _ in range(10):
                answer = house.call()
                assert (answer.status, answer.code) == (503, "budget_store_unavailable")
            assert {house.call(team="other").status for _ in range(20)} <= {200, 500, 502}
            assert count_charged(house) == charged, "a capped call was sent although nothing could be held for it"
        until(lambda: house.answers(200, 402, 500, 502))
        house.tell_provider({"rules": []})
        house.cap("1")
        until(lambda: house.call().status == 200)
        assert "starting it again" not in house.gateway.errors.read_text()
        assert house.finish() == []


def test_provider_fails_while_workers_die(tmp_path):
    """What was under way is assumed, what failed over was held twice, and the rest is exact."""
    with open_house(tmp_path) as house, ThreadPoolExecutor(8) as threads:
        house.tell_provider({**ERRORS, "defaults": {"latency_ms": 40}})
        for _ in range(4):
            calls = [threads.submit(house.call) for _ in range(24)]
            until(lambda: len(house.gateway.pids("farebox.worker")) == 2)
            os.kill(house.gateway.pids("farebox.worker")[0], signal.SIGKILL)
            for call in calls:
                call.exception()
        house.tell_provider({"rules": []})
        until(lambda: house.answers(200))
        until(lambda: house.standing().held == 0)
        assert house.finish() == []


@contextlib.contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[None]:
    """Mount a real file system of that size."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_office_is_down_and_disk_is_full(tmp_path):
    """No call is admitted that cannot be put on record; with space again the office takes up what waited for it."""
    with small_disk(tmp_path / "data", 32), open_house(tmp_path, environment=SMALL) as house:
        assert house.call().status == 200
        (office,) = house.gateway.pids("farebox.office")
        os.kill(office, signal.SIGSTOP)
        filler = house.gateway.data_dir / "filler"
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while file.write(bytes(4096)):
                pass
        until(lambda: house.answers(503), 60)
        until(lambda: house.answers(503, team="other"), 60)
        seen = len(house.rows())
        for team in ("lab", "other") * 5:
            answer = house.call(team=team)
            assert (answer.status, answer.code in {"journal_full", "budget_store_unavailable"}) == (503, True)
        assert len(house.rows()) == seen, "a call was sent that nobody put on record"
        with all_ended([office]):
            os.kill(office, signal.SIGKILL)  # and it comes again while there is no space for the books
        until(lambda: house.gateway.pids("farebox.office") not in ([], [office]))
        filler.unlink()
        until(lambda: house.answers(200), 30)
        until(lambda: house.answers(200, team="other"))
        assert "worker" not in house.gateway.errors.read_text().replace("ALARM", "")
        assert house.finish() == []
        assert len(read_books(house.gateway.data_dir)) == len(house.records())


def count_charged(house: House) -> int:
    """Return how many attempts under a budget are on record."""
    return sum(bool(one.sent.charged) for one in house.records().values())
