"""Case 5: a worker that is stopped for long and goes on, with and without having been taken for dead meanwhile."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

from farebox.money import femto_from_usd
from tests.proof.house import open_house, until

SLOW = {"latency_ms": 600}


def test_case_05_stopped_and_continued(tmp_path):
    """Its lock is proof of life: nobody takes its slices or ends its attempts, however long it says nothing."""
    with open_house(tmp_path) as house, ThreadPoolExecutor(16) as threads:
        assert house.call().status == 200
        calls = [threads.submit(house.call, wishes=SLOW) for _ in range(16)]
        until(lambda: len(house.rows()) >= 16)
        stopped = house.gateway.pids("farebox.worker")[0]
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(3.0)  # many times what a pulse, a report or the office's look at the dead takes
        assert len(house.authority.writers()) == 2
        os.kill(stopped, signal.SIGCONT)
        assert {call.result().status for call in calls} == {200}
        assert house.finish() == []
        records = house.records().values()
        assert not [one for one in records if one.end.flags or one.later]


def test_case_05_taken_for_dead(tmp_path):
    """Where the proof fails (a lost lock), the worker is fenced, and what its attempts really cost is corrected."""
    with open_house(tmp_path, workers=1) as house, ThreadPoolExecutor(4) as threads:
        assert house.call().status == 200
        done = len(house.rows())
        calls = [threads.submit(house.call, wishes=SLOW) for _ in range(4)]
        until(lambda: len(house.rows()) == done + 4)
        (stopped,) = house.gateway.pids("farebox.worker")
        os.kill(stopped, signal.SIGSTOP)
        (writer,) = house.authority.writers()
        lock = house.gateway.data_dir / "journal" / writer / "lock"
        lock.unlink()  # as a restored copy of the directory would: the lock that is held is another file's
        lock.touch()
        until(lambda: writer not in house.authority.writers())
        assert sum("assumed" in one.end.flags for one in house.records().values()) == 4
        before = house.standing()
        billed = sum(femto_from_usd(row.amount_usd) for row in house.rows())
        assert before.posted > billed
        os.kill(stopped, signal.SIGCONT)
        until(lambda: house.standing().posted == billed)
        until(lambda: house.gateway.pids("farebox.worker") not in ([], [stopped]))
        until(lambda: house.call().status == 200)
        for call in calls:
            call.exception()
        assert [one for one in house.authority.movements() if one.kind == "correction"]
        assert house.finish() == []
        billed = sum(femto_from_usd(row.amount_usd) for row in house.rows())
        assert (house.standing().posted, house.standing().held) == (billed, 0)
