"""The same storm without HTTP: journal, purses, ledger and sweeper in small processes that are killed by the dozen.

A worker is forked in milliseconds, so there are far more kills a minute than with whole gateways. The provider bills by
appending a line to a file, which a killed worker cannot take back. `DESIGNS` has, beside the real one, five that are
broken on purpose: the judge has to find them out, else its silence about the real one says nothing.

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
from farebox.budgets.account import Account, Payer
from farebox.budgets.plan import Budget, Unit
from farebox.budgets.window import read_window
from farebox.clock import SystemClock
from farebox.errors import Unavailable
from farebox.ids import IdSource
from farebox.journal.record import Done, Flag, Outcome, Sent
from farebox.journal.writer import JournalWriter
from farebox.money import usd_text
from farebox.simulate.bill import BillRow
from farebox.spend import need_of, used_by
from farebox.state.ledger_authority import LEDGER, LedgerAuthority, open_authority
from farebox.treasury.purses import Exhausted, Hold
from farebox.treasury.treasury import Treasury

HOLD = 1_000
_SEGMENT_BYTES = 64 << 10
_FLUSH_S = 0.5
_PAUSE_S = 0.02
PAYER = Payer("search", "", "alpha", "", {}, "embeds")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is run.

    Attributes:
        design: one of `DESIGNS`.
        seed: of everything random.
        workers: processes that call.
        callers: calls under way in each.
        kills: how many of them are killed, one after the other.
        kills_per_s: how fast.
        limit: of the team's budget, in femtodollars; others are wider.
        latency_s: of the provider, on average.
        ledger: URL, or "" for a file.
    """

    design: str
    seed: int
    workers: int = 4
    callers: int = 6
    kills: int = 40
    kills_per_s: float = 20.0
    limit: int = 10_000_000
    latency_s: float = 0.01
    ledger: str = ""


class Site(msgspec.Struct):
    """What a worker works with."""

    plan: Plan
    folder: Path
    journal: JournalWriter
    treasury: Treasury
    authority: LedgerAuthority
    bill: int
    draw: random.Random
    ids: IdSource
    late: list[Callable[[], None]] = []

    def bill_on_receipt(self, attempt: str, cost: int) -> None:
        """What the provider does when a request reaches it: from here on the money is owed."""
        row = BillRow(
            id=attempt,
            phase="done",
            time_s=time.time(),
            api="openai",
            endpoint="/v1/embeddings",
            key="",
            status=200,
            outcome="complete",
            amount_usd=usd_text(cost),
            correlation=attempt,
        )
        os.write(self.bill, msgspec.json.encode(row) + b"\n")

    async def wait(self) -> None:
        """The provider takes its time."""
        await asyncio.sleep(self.draw.expovariate(1 / self.plan.latency_s))


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


def make_sent(attempt: str, charged: tuple[str, ...]) -> Sent:
    """Return the record of an attempt that holds `HOLD`."""
    return Sent(
        attempt=attempt,
        call=attempt,
        number=1,
        at_ns=time.time_ns(),
        key="",
        key_name="alpha",
        user="",
        tags={},
        dialect="openai",
        operation="embeddings",
        asked_model="embeds",
        provider="openai",
        rate_provider="openai",
        model="embeds",
        stream=False,
        body_bytes=10,
        parts={},
        output_cap=None,
        hold_femto=HOLD,
        hold_input=10,
        charged=charged,
    )


def make_done(sent: Sent, cost: int, outcome: Outcome = "ok", flags: tuple[Flag, ...] = ()) -> Done:
    """Return its end at a cost."""
    return Done(
        attempt=sent.attempt,
        at_ns=time.time_ns(),
        outcome=outcome,
        final=True,
        status=200,
        finish="",
        flags=flags,
        error="",
        usage_raw=b"",
        meters={},
        lines=(),
        total_femto=cost,
        unpriced="",
        book="",
        answered_model="",
        service_tier="",
        provider_request="",
        first_token_ns=None,
        total_ns=0,
        gateway_ns=0,
    )


def assume(sent: Sent) -> Done:
    """Return the end of an attempt that nobody saw: it is taken to have cost all that was held."""
    return make_done(sent, sent.hold_femto, "lost", ("assumed",))


Take = Callable[[Site], "asyncio.Future[Hold]"]


async def take_hold(site: Site) -> Hold:
    """Reserve on every budget of the path."""
    return await site.treasury.take(site.treasury.matching(PAYER, "openai", "embeds"), need_of(HOLD, 10, 0))


async def call_sound(site: Site, attempt: str, cost: int) -> None:
    """As the gateway does it: hold, SENT, send, DONE, settle."""
    hold = await take_hold(site)
    sent = make_sent(attempt, hold.charged)
    site.journal.append_sent(sent)
    site.bill_on_receipt(attempt, cost)
    await site.wait()
    done = make_done(sent, cost)
    site.journal.append_done(done)
    hold.end(used_by(sent, done))


async def call_checked_first(site: Site, attempt: str, cost: int) -> None:
    """Broken: look whether there is room, call, and add what it cost afterwards. Nothing is held meanwhile."""
    found = await asyncio.to_thread(site.authority.status, Account("team", "search"))
    if found[0].posted + HOLD > site.plan.limit:
        await asyncio.sleep(_PAUSE_S)
        return
    hold = await take_hold(site)  # under soft budgets: refuses nothing
    sent = make_sent(attempt, hold.charged)
    site.journal.append_sent(sent)
    site.bill_on_receipt(attempt, cost)
    await site.wait()
    done = make_done(sent, cost)
    site.journal.append_done(done)
    hold.end(used_by(sent, done))


async def call_journalled_after(site: Site, attempt: str, cost: int) -> None:
    """Broken: the attempt is put on record when its answer is there."""
    hold = await take_hold(site)
    site.bill_on_receipt(attempt, cost)
    await site.wait()
    sent = make_sent(attempt, hold.charged)
    done = make_done(sent, cost)
    site.journal.append_sent(sent)
    site.journal.append_done(done)
    hold.end(used_by(sent, done))


async def call_buffered(site: Site, attempt: str, cost: int) -> None:
    """Broken: records are kept in memory and written now and then."""
    hold = await take_hold(site)
    sent = make_sent(attempt, hold.charged)
    site.late.append(lambda: site.journal.append_sent(sent))
    site.bill_on_receipt(attempt, cost)
    await site.wait()
    done = make_done(sent, cost)
    site.late.append(lambda: site.journal.append_done(done))
    hold.end(used_by(sent, done))


class Design(msgspec.Struct, frozen=True):
    """How calls are made, and what stands around them.

    Attributes:
        call: makes one call.
        is_swept: whether somebody ends the attempts of the dead and returns their slices.
        is_shared: whether all workers have one ledger.
        is_hard: whether the ledger refuses anything.
    """

    call: Callable[[Site, str, int], object]
    is_swept: bool = True
    is_shared: bool = True
    is_hard: bool = True


DESIGNS = {
    "sound": Design(call_sound),
    "naive check, then add": Design(call_checked_first, is_hard=False),
    "counters of each process": Design(call_sound, is_shared=False),
    "journal after the response": Design(call_journalled_after),
    "rows buffered in memory": Design(call_buffered),
    "no sweeper": Design(call_sound, is_swept=False),
}


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
            await asyncio.sleep(_PAUSE_S)


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
