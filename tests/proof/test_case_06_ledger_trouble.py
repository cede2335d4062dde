"""Case 6: the ledger of budgets is down, slow, absent at the start, wiped, or an old copy of itself.

Whoever is under a hard budget is answered with 503 and nothing reaches a provider; others are served; and as soon as
the ledger is there again everything goes on, without a restart and with every cent of it.
"""

import contextlib
import os
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from farebox.money import femto_from_usd
from tests.proof.house import House, open_house, until
from tests.state.postgres_server import NoPostgres, PostgresServer, run_postgres

# So little that every call has to ask the ledger: slices near the limit are one hold.
NEAR = "0.0004"
ANSWER_S = 8.0


def check_refused(house: House) -> None:
    """Calls under the budget are refused in good time and sent to nobody."""
    until(lambda: house.call().status == 503)
    seen = len(house.rows())
    for _ in range(3):
        began_s = time.monotonic()
        answer = house.call()
        assert time.monotonic() - began_s < ANSWER_S
        assert (answer.status, answer.code) == (503, "budget_store_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert len(house.rows()) == seen


def check_healed(house: House) -> None:
    """The gateway goes on with the same workers, and all is accounted for."""
    until(lambda: house.call().status in {200, 402})
    until(lambda: house.call(team="other").status == 200)
    assert "starting it again" not in house.gateway.errors.read_text()
    assert house.finish() == []
    charged = {attempt for attempt, one in house.records().items() if one.sent.charged}
    billed = sum(femto_from_usd(row.amount_usd) for row in house.rows() if row.correlation in charged)
    assert house.standing().posted == billed


@contextlib.contextmanager
def wiped(path: Path) -> Iterator[None]:
    """Remove the file; a copy of it is put back in the end."""
    away = path.with_name("away")
    away.mkdir()
    for file in path.parent.glob(f"{path.name}*"):
        file.rename(away / file.name)
    yield
    for file in away.iterdir():
        file.rename(path.with_name(file.name))


@contextlib.contextmanager
def barred(path: Path) -> Iterator[None]:
    """Put a directory where the file was: it can neither be opened nor made."""
    with wiped(path):
        path.mkdir()
        yield
        path.rmdir()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing, as a process that was stopped in its transaction does."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@pytest.mark.parametrize("trouble", [wiped, barred, pytest.param(locked, marks=pytest.mark.long)])
def test_case_06_file_in_trouble(tmp_path, trouble: Callable[[Path], contextlib.AbstractContextManager[None]]):
    with open_house(tmp_path, usd=NEAR) as house:
        assert house.call().status == 200
        assert house.call(team="other").status == 200
        with trouble(house.gateway.data_dir / "ledger.db"):
            check_refused(house)
            assert house.call(team="other").status == 200, "who is under no budget is not touched"
        check_healed(house)


def test_case_06_absent_at_the_start(tmp_path):
    """What caps there are is not known, so nobody is served until it is."""
    with open_house(tmp_path, usd=NEAR) as house:
        assert house.gateway.stop() == 0
        house.authority.close()
        with barred(house.gateway.data_dir / "ledger.db"):
            house.gateway.start()
            check_refused(house)
            assert house.call(team="other").code == "budget_store_unavailable"
        check_healed(house)


def test_case_06_restored_from_an_old_copy(tmp_path):
    """What was spent since the copy was made comes back from the workers' totals and the journals."""
    with open_house(tmp_path, usd="0.01") as house:
        path = house.gateway.data_dir / "ledger.db"
        assert house.call().status == 200
        until(lambda: house.standing().posted > 0)
        copy = tmp_path / "copy.db"
        with contextlib.closing(sqlite3.connect(path)) as live, contextlib.closing(sqlite3.connect(copy)) as target:
            live.backup(target)
        old = house.standing().posted
        for _ in range(5):
            assert house.call().status == 200
        until(lambda: house.standing().posted > old)
        for name in ("ledger.db-wal", "ledger.db-shm"):
            (house.gateway.data_dir / name).unlink(missing_ok=True)
        shutil.copy(copy, tmp_path / "back.db")
        os.replace(tmp_path / "back.db", path)  # noqa: PTH105 -- at one stroke, as a restore should
        assert house.call().status == 200
        check_healed(house)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server of the test's own, to be maltreated."""
    try:
        running = run_postgres()
        found = running.__enter__()
    except NoPostgres as why:
        pytest.skip(f"no Postgres: {why}")
    yield found
    running.__exit__(None, None, None)


@pytest.mark.parametrize("how", [signal.SIGINT, pytest.param(signal.SIGQUIT, marks=pytest.mark.long)])
def test_case_06_postgres_goes_and_comes(tmp_path, server, how):
    with open_house(tmp_path, server.url, usd=NEAR) as house:
        assert house.call().status == 200
        server.stop(how)
        check_refused(house)
        assert house.call(team="other").status == 200
        server.start()
        check_healed(house)


@pytest.mark.long
def test_case_06_postgres_hangs(tmp_path, server):
    """It takes connections and says nothing."""
    with open_house(tmp_path, server.url, usd=NEAR) as house:
        assert house.call().status == 200
        processes = processes_of(server)
        for pid in processes:
            os.kill(pid, signal.SIGSTOP)
        try:
            check_refused(house)
            assert house.call(team="other").status == 200
        finally:
            for pid in processes:
                os.kill(pid, signal.SIGCONT)
        check_healed(house)


def processes_of(server: PostgresServer) -> list[int]:
    """Return the server's process and those of its sessions."""
    assert server._process is not None
    parent = server._process.pid
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return [parent, *map(int, children)]
