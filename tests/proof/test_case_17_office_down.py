"""Case 17: the books stand still for long, and then what was written meanwhile is delivered, and delivered again."""

import os
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from farebox.books.ingest import ingest_once
from farebox.books.query import Books
from farebox.books.sweep import sweep
from farebox.office import assume_lost
from farebox.state.pricebook import load_book
from tests.proof.house import House, open_house, until
from tests.proof.reckoning import read_books
from tests.proof.verdict import judge

CALLS = 150
assume = partial(assume_lost, load_book())


def call_all(house: House, count: int) -> None:
    """Make so many calls, some of which are lost with their worker."""
    with ThreadPoolExecutor(8) as threads:
        for answer in [threads.submit(house.call, wishes={"latency_ms": 20}) for _ in range(count)]:
            answer.exception()


def look_again(house: House) -> dict[str, tuple[int | None, tuple[str, ...]]]:
    """Bring everything into the books and the dead writers' slices back, as the office does; return the books."""
    ingest_once(house.gateway.data_dir, assume)
    sweep(house.gateway.data_dir, house.authority)
    return read_books(house.gateway.data_dir)


def test_case_17_office_down_then_duplicate_delivery(tmp_path):
    with open_house(tmp_path) as house:
        until(lambda: house.gateway.pids("farebox.office"))
        (office,) = house.gateway.pids("farebox.office")
        os.kill(office, signal.SIGSTOP)
        for _ in range(3):
            until(lambda: len(house.gateway.pids("farebox.worker")) == 2)
            call_all(house, CALLS // 3)
            os.kill(house.gateway.pids("farebox.worker")[0], signal.SIGKILL)
        until(lambda: len(house.gateway.pids("farebox.worker")) == 2)
        assert not (house.gateway.data_dir / "books" / "attempts.sql").exists(), "the books are not kept meanwhile"
        assert house.standing().posted > 0, "caps hold without the office"
        os.kill(office, signal.SIGCONT)
        until(lambda: house.standing().held == 0)
        assert house.finish() == []
        data_dir = house.gateway.data_dir
        before = read_books(data_dir)
        standings = house.ledger.standings()
        assert len(before) > CALLS // 2, "too many calls found no worker"
        # Delivered again: the journal is read from its start, beside what the first delivery has left behind.
        for file in (data_dir / "books").glob("manifest.db*"):
            file.unlink()
        assert look_again(house) == before
        # And once more into empty books.
        shutil.rmtree(data_dir / "books")
        assert look_again(house) == before
        assert look_again(house) == before
        with Books(data_dir) as books:
            assert books.total().total_femto == sum(cost or 0 for cost, _ in before.values())
        assert house.authority.check() == []
        assert house.ledger.standings() == standings, "the ledger counted what it had counted"
        assert judge(house.rows(), house.records(), standings) == []
