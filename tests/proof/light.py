"""The same storm without HTTP: journal, purses, ledger and sweeper in small processes that are killed by the dozen.

A worker is forked in milliseconds, so there are far more kills a minute than with whole gateways. The provider bills by
appending a line to a file, which a killed worker cannot take back.

Run as ``python -m tests.proof.light PLAN FOLDER``: it forks, so it is a process without threads.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop

from farebox.alarm import Alarm
from farebox.books.ingest import ingest_once
from farebox.books.sweep import sweep
from farebox.budgets.account import Account
from farebox.budgets.plan import Budget, Unit
from farebox.budgets.window import read_window
from farebox.clock import SystemClock
from farebox.errors import Unavailable
from farebox.ids import IdSource
from farebox.journal.writer import JournalWriter
from farebox.state.ledger_authority import LEDGER, LedgerAuthority, open_authority
from farebox.treasury.purses import Exhausted
from farebox.treasury.treasury import Treasury
from tests.proof.designs import DESIGNS, HOLD, PAUSE_S, Design, Plan, Site, assume

_SEGMENT_BYTES = 64 << 10
_FLUSH_S = 0.5


def budgets_of(plan: Plan) -> list[Budget]:
    """Return the budgets on the path of every call, the team's the narrowest."""
    wide = plan.limit * 1000
    rows: list[tuple[Account, Unit, str, int]] = [
        (Account("org"), "usd", "day", wide),
        (Account("team", "search"), "usd", "lifetime", plan.limit),
        (Account("key", "alpha"), "usd", "rolling:1h", wide),
        (Account("model", "embeds"), "requests", "hour", wide),
    ]
    return [Budget("", account, unit, read_window(window), limit) for account, unit, window, limit in rows]


def run_worker(plan: Plan, folder: Path, seed: int) -> None:
    """Be a worker until killed or stopped."""
    uvloop.run(_work(plan, folder, random.Random(seed)))


async def _work(plan: Plan, folder: Path, draw: random.Random) -> None:
    design = DESIGNS[plan.design]
    clock, ids = SystemClock(), IdSource()
    journal = JournalWriter(folder / "journal", ids.instance, clock, _SEGMENT_BYTES)
    stopped = asyncio.Event()
    authority = _open_ledger(plan, folder, "" if design.is_shared else journal.directory.name)
    treasury = Treasury(authority, journal.directory.name, clock, Alarm(), stopped.set)
    bill = os.open(folder / "bill.jsonl", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    site = Site(plan, folder, journal, treasury, authority, bill, draw, ids)
    await treasury.refresh()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    background = [asyncio.create_task(treasury.run()), asyncio.create_task(_flush(site))]
    async with asyncio.TaskGroup() as group:
        for _ in range(plan.callers):
            group.create_task(_call_on(site, design, stopped))
    for task in background:
        task.cancel()
    await asyncio.gather(*background, return_exceptions=True)
    _write_late(site)
    await treasury.sync(everything=True)
    authority.close()
    journal.close()


async def _call_on(site: Site, design: Design, stopped: asyncio.Event) -> None:
    while not stopped.is_set():
        attempt = site.ids.attempt_id(site.ids.call_id(time.time_ns()), 1)
        cost = site.draw.randint(HOLD // 20, HOLD)
        try:
            await design.call(site, attempt, cost)  # type: ignore[misc]
        except (Exhausted, Unavailable):
            await asyncio.sleep(PAUSE_S)


async def _flush(site: Site) -> None:
    while True:
        await asyncio.sleep(_FLUSH_S)
        _write_late(site)


def _write_late(site: Site) -> None:
    late, site.late[:] = list(site.late), []
    for write in late:
        write()


def _open_ledger(plan: Plan, folder: Path, private: str) -> LedgerAuthority:
    """Return the ledger: everybody's, or a worker's own copy of it."""
    place = folder / f"private-{private}" if private else folder
    if private:
        place.mkdir()
        shutil.copy(folder / LEDGER, place / LEDGER)
    authority = open_authority(place, plan.ledger or None)
    assert isinstance(authority, LedgerAuthority)
    return authority


def _put_budgets(plan: Plan, authority: LedgerAuthority) -> None:
    for budget in budgets_of(plan):
        authority.put(msgspec.structs.replace(budget, hard=DESIGNS[plan.design].is_hard))


def sweep_once(plan: Plan, folder: Path) -> None:
    """Bring the journals of the dead into the books and their slices back."""
    authority = _open_ledger(plan, folder, "")
    ingest_once(folder, assume)
    sweep(folder, authority)
    authority.close()


def _sweep_on(plan: Plan, folder: Path) -> None:
    while True:
        sweep_once(plan, folder)
        time.sleep(0.05)


def _look_on(plan: Plan, folder: Path) -> None:
    """Look at the ledger until killed; what is broken is written into a file."""
    authority = _open_ledger(plan, folder, "")
    with (folder / "findings.txt").open("a") as findings:
        while True:
            for found in authority.check():
                print(f"{found.rule}: {found}", file=findings, flush=True)
            time.sleep(0.02)


def _fork(work: Callable[[], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        work()
    except BaseException as error:  # noqa: BLE001 - a child must not run on as its parent
        traceback.print_exception(error)
        os._exit(1)
    os._exit(0)


class Nursery:
    """The processes of a run, forked again when they die."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self._plan = plan
        self._folder = folder
        self._draw = random.Random(plan.seed)
        self._works: dict[int, Callable[[], None]] = {}
        self.workers: list[int] = []
        for _ in range(plan.workers):
            self._start_worker()
        if DESIGNS[plan.design].is_swept:
            self._start(lambda: _sweep_on(plan, folder))
        if DESIGNS[plan.design].is_shared:
            self._start(lambda: _look_on(plan, folder))

    def _start(self, work: Callable[[], None]) -> int:
        pid = _fork(work)
        self._works[pid] = work
        return pid

    def _start_worker(self) -> None:
        seed = self._draw.randrange(2**32)
        self.workers.append(self._start(lambda: run_worker(self._plan, self._folder, seed)))

    def kill_one(self) -> None:
        """Kill any of them, most often a worker, and start it again."""
        victim = self._draw.choice([*self._works, *self.workers])
        os.kill(victim, signal.SIGKILL)
        os.waitpid(victim, 0)
        work = self._works.pop(victim)
        if victim in self.workers:
            self.workers.remove(victim)
            self._start_worker()
        else:
            self._start(work)

    def stir(self) -> None:
        """Kill one after the other, as many as are planned."""
        pace = random.Random(self._plan.seed + 1)
        for _ in range(self._plan.kills):
            time.sleep(pace.expovariate(self._plan.kills_per_s))
            self.kill_one()

    def stop_half(self) -> None:
        """Stop half of the workers in order."""
        for pid in self.workers[::2]:
            os.kill(pid, signal.SIGTERM)
            _, status = os.waitpid(pid, 0)
            del self._works[pid]
            # One that was forked a moment ago does not listen yet: the signal ends it.
            assert status in {0, signal.SIGTERM}, f"a worker that was stopped in order ended with {status}"

    def end(self) -> None:
        """Kill whatever is left."""
        for pid in self._works:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)


def main() -> None:
    """Run one plan in a folder."""
    plan = msgspec.json.decode(sys.argv[1], type=Plan)
    folder = Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    signal.alarm(600)

    def prepare() -> None:
        authority = _open_ledger(plan, folder, "")
        _put_budgets(plan, authority)
        authority.close()

    def finish() -> None:
        for _ in range(2):  # the second time changes nothing
            sweep_once(plan, folder)

    assert os.waitpid(_fork(prepare), 0)[1] == 0
    nursery = Nursery(plan, folder)
    try:
        nursery.stir()
        nursery.stop_half()
    finally:
        nursery.end()
    if DESIGNS[plan.design].is_swept:
        assert os.waitpid(_fork(finish), 0)[1] == 0


if __name__ == "__main__":
    main()
