"""Case 12: kill -9 at every step of a call's life, of a worker's, and of the office's.

Whatever was being done: what was billed is on record, what is on record is not less than the bill, and equal where
nobody had to assume. The steps are in `failing/sitecustomize.py`.
"""

import asyncio
import contextlib
import os
import random
import signal
from pathlib import Path

import pytest

from tests.proof.failing.sitecustomize import POINTS
from tests.proof.gateway import Gateway, run_simulated
from tests.proof.ledger import Ledger
from tests.proof.load import Load, wait_for
from tests.proof.reckoning import seed_of
from tests.proof.storm import CALLERS, configure, reckon_storm

FAILING = Path(__file__).parent / "failing"
WORKERS = 4
_EACH_S = 30.0
_TRIES = 10
# What a worker must be sent for somebody to come by: only who stops in order closes, only the dead are recovered.
_LEADS_THERE = {
    "JournalWriter.close": signal.SIGTERM,
    "recover_instance": signal.SIGKILL,
    "_publish": signal.SIGKILL,
    "close_writer": signal.SIGKILL,
    "mark_swept": signal.SIGKILL,
}


class Points:
    """The steps as files: one that is there kills whoever comes by, and is gone."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder = folder
        self.environment = {"FAREBOX_FAILPOINTS": str(folder), "PYTHONPATH": str(FAILING)}

    async def kill_at(self, point: str, gateway: Gateway) -> None:
        """Have somebody killed at a step; what leads there is done again where it led elsewhere."""
        file = self.folder / point
        file.touch()
        needed = next((number for name, number in _LEADS_THERE.items() if name in point), None)
        for _ in range(_TRIES):
            if needed is not None:
                assert await wait_for(lambda: len(gateway.pids("farebox.worker")) == WORKERS, _EACH_S)
                os.kill(gateway.pids("farebox.worker")[0], needed)
            if await wait_for(lambda: not file.exists(), _EACH_S / _TRIES, 0.01):
                return
        raise AssertionError(f"nobody came by {point!r}")


async def _kill_at_all(steps: list[str], gateway: Gateway, load: Load, ledger: Ledger, points: Points) -> None:
    calm = asyncio.Event()
    calling = asyncio.create_task(load.run(24, calm))
    for point in steps:
        await points.kill_at(point, gateway)
        ledger.look()
        ledger.refill()
    calm.set()
    await calling
    assert await wait_for(lambda: ledger.is_quiet, 20), "something is still held"


def check_steps(folder: Path, steps: list[str], seed: int) -> None:
    draw = random.Random(seed)
    bill = folder / "bill.jsonl"
    points = Points(folder / "points")
    with run_simulated(bill) as simulated:
        host = folder / "host"
        (host / "data").mkdir(parents=True)
        gateway = Gateway(host, configure(simulated, None), WORKERS, points.environment)
        ledger = Ledger(gateway.data_dir, None, draw)
        load = Load([gateway.port], CALLERS, draw)
        with gateway, contextlib.closing(ledger.authority):
            asyncio.run(_kill_at_all(steps, gateway, load, ledger, points))
            killed = gateway.errors.read_text().count("ended (signal 9)")
            assert gateway.stop() == 0
            outcome = reckon_storm([gateway], ledger, load, bill)
    print(f"{killed} kills at {len(steps)} steps; {outcome}")
    assert outcome.findings == []
    assert killed >= len(steps) - 3
    assert outcome.assumed > 0


def test_case_12_killed_at_some_steps(tmp_path):
    """A few of them, others with another FAREBOX_SEED."""
    seed = seed_of(20_261_124)
    check_steps(tmp_path, random.Random(seed).sample(POINTS, 12), seed)


@pytest.mark.long
def test_case_12_killed_at_every_step(tmp_path):
    assert len(POINTS) >= 30
    check_steps(tmp_path, POINTS, seed_of(20_261_124))
