"""The storm: hosts of workers under load while processes are killed, stopped and started again at random.

A host is a data directory with a supervisor, its workers and its office; hosts share a ledger in Postgres, one alone
has a file. The provider is a process of its own that bills on receipt. Budgets run dry and are refilled. A checker
looks at the ledger all the while; at the end the bill, the journals and the ledger are put side by side.
"""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from farebox.books.query import Books
from farebox.journal.segment import instances_of
from farebox.money import femto_from_usd, usd_text
from farebox.simulate.bill import BillRow, read_bill
from tests.proof.gateway import Gateway, all_ended, run_simulated
from tests.proof.ledger import Ledger
from tests.proof.load import CHATS, EMBEDS, MESSAGES, ORDER, Caller, Load, wait_for
from tests.proof.reckoning import read_books
from tests.proof.verdict import OnRecord, judge, read_records

_LOOK_S = 0.05
_REFILL_S = 0.25
_QUIET_S = 30.0


class Weather(msgspec.Struct, frozen=True, kw_only=True):
    """How hard it blows.

    Attributes:
        hosts: data directories with a gateway each.
        workers: of each gateway.
        seed: of everything random.
        kills: processes that are killed before it may end.
        requests: requests that the provider has to see before it may end.
        kills_per_s: how often somebody is killed.
        connections: of clients.
        limit_s: for the whole storm; it fails if it is not over by then.
        durability: of the journals.
    """

    hosts: int = 1
    workers: int = 3
    seed: int = 1
    kills: int = 10
    requests: int = 1_000
    kills_per_s: float = 1.5
    connections: int = 32
    limit_s: float = 600.0
    durability: str = "process"


class Outcome(msgspec.Struct):
    """What happened in a storm, and what is wrong about it."""

    seed: int
    killed: Counter[str]
    stopped: int = 0
    requests: int = 0
    refused: int = 0
    lost: int = 0
    assumed: int = 0
    looks: int = 0
    refills: int = 0
    keys: int = 0
    billed_femto: int = 0
    charged_femto: int = 0
    took_s: float = 0.0
    findings: list[str] = []

    @property
    def kills(self) -> int:
        """How many processes were killed."""
        return self.killed.total()

    def __str__(self) -> str:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(self.killed.items()))
        return (
            f"seed {self.seed}: {self.requests} upstream requests, {self.kills} kills ({kinds}), {self.stopped} "
            f"stops, {self.refused} refused, {self.keys} keyed, {self.assumed} assumed, billed "
            f"{usd_text(self.billed_femto)} USD, books "
            f"{usd_text(self.charged_femto)} USD, {self.looks} looks at the ledger, {self.took_s:.0f} s, "
            f"{len(self.findings)} violations"
        )


def configure(simulated: str, ledger: str | None) -> str:
    """Return the configuration of one host."""
    lines = [f'[spending]\nledger = "{ledger}"' if ledger else ""]
    for kind, url in (("openai", f"{simulated}/v1"), ("anthropic", simulated)):
        lines.append(f'[[providers]]\nname = "{kind}"\nkind = "{kind}"\nbase_url = "{url}"\napi_key = "sk-simulated"')
    for model, provider in ((EMBEDS, "openai"), (CHATS, "openai"), (MESSAGES, "anthropic")):
        target = f'{{ provider = "{provider}", model = "{model}" }}'
        again = ", " + target if model == CHATS else ""  # a failover to the same model: two attempts, two holds
        lines.append(f'[[models]]\nname = "{model}"\ntargets = [{target}{again}]')
    for name, team in (("alpha", "search"), ("beta", "search"), ("gamma", "lab")):
        lines.append(f'[[keys]]\nname = "{name}"\nkey = "fbx-{name}"\nteam = "{team}"\nproject = "p-{team}"')
    return "\n".join(lines) + "\n"


CALLERS = [
    Caller("fbx-alpha", "feature=chat", "u1"),
    Caller("fbx-beta", "feature=chat", "u2"),
    Caller("fbx-gamma", "", "u1"),
]


class Killer:
    """Kills, stops and restarts at random."""

    def __init__(self, gateways: list[Gateway], draw: random.Random) -> None:
        self.killed: Counter[str] = Counter()
        self.stopped: int = 0
        self._gateways = gateways
        self._draw = draw

    async def strike(self) -> None:
        """Do one bad thing to one process, or to a whole host."""
        gateway = self._draw.choice(self._gateways)
        chance = self._draw.random()
        if chance < 0.80:
            await self._kill("worker", gateway, "farebox.worker")
        elif chance < 0.88:
            await self._kill("office", gateway, "farebox.office")
        elif chance < 0.96:
            await self._stop(gateway)
        elif chance < 0.98:
            await self._replace(gateway)
        else:
            await self._kill_host(gateway)

    async def _kill(self, name: str, gateway: Gateway, module: str) -> None:
        pids = await asyncio.to_thread(gateway.pids, module)
        if pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._draw.choice(pids), signal.SIGKILL)
                self.killed[name] += 1

    async def _stop(self, gateway: Gateway) -> None:
        """Stop a process for a while, in whatever it is doing: a transaction, say."""
        pids = await asyncio.to_thread(gateway.pids, self._draw.choice(("farebox.worker", "farebox.office")))
        if pids:
            pid = self._draw.choice(pids)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.stopped += 1
                await asyncio.sleep(self._draw.uniform(0.1, 1.0))
                os.kill(pid, signal.SIGCONT)

    async def _replace(self, gateway: Gateway) -> None:
        """Kill the supervisor alone; what it has started stops by itself, and a new one comes."""
        self.killed["supervisor"] += 1

        def replace() -> None:
            with all_ended(gateway.children()):
                gateway.kill()
            gateway.start()

        await asyncio.to_thread(replace)

    async def _kill_host(self, gateway: Gateway) -> None:
        """Kill everything on a host at once."""
        everything = [*gateway.children(), gateway.process.pid]
        for pid in everything:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.killed["host"] += len(everything)
        await asyncio.to_thread(gateway.kill)
        await asyncio.to_thread(gateway.start)


def run_storm(folder: Path, weather: Weather, ledger_url: str | None = None) -> Outcome:
    """Let it blow; return what happened. Its folder is removed where nothing is wrong."""
    began_s = time.monotonic()
    draw = random.Random(weather.seed)
    bill = folder / "bill.jsonl"
    with contextlib.ExitStack() as stack:
        simulated = stack.enter_context(run_simulated(bill))
        gateways = [
            _make_host(folder / f"host-{number}", simulated, ledger_url, weather) for number in range(weather.hosts)
        ]
        ledger = Ledger(gateways[0].data_dir, ledger_url, random.Random(weather.seed + 1))
        stack.callback(ledger.authority.close)
        for gateway in gateways:
            stack.enter_context(gateway)
        load = Load([gateway.port for gateway in gateways], CALLERS, draw)
        killer = Killer(gateways, random.Random(weather.seed + 2))
        asyncio.run(_blow(weather, load, killer, ledger, bill))
        for gateway in gateways:
            assert gateway.stop() == 0
        outcome = reckon_storm(gateways, ledger, load, bill)
    outcome.seed = weather.seed
    outcome.killed, outcome.stopped = killer.killed, killer.stopped
    outcome.took_s = time.monotonic() - began_s
    if not outcome.findings:
        shutil.rmtree(folder)
    return outcome


def _make_host(folder: Path, simulated: str, ledger_url: str | None, weather: Weather) -> Gateway:
    folder.mkdir(parents=True)
    text = configure(simulated, ledger_url) + f'[journal]\ndurability = "{weather.durability}"\n'
    gateway = Gateway(folder, text, weather.workers)
    gateway.data_dir.mkdir()
    return gateway


async def _blow(weather: Weather, load: Load, killer: Killer, ledger: Ledger, bill: Path) -> None:
    calm, over = asyncio.Event(), asyncio.Event()
    calling = asyncio.create_task(load.run(weather.connections, calm))
    looking = asyncio.create_task(_repeat(ledger.look, _LOOK_S, over))
    filling = asyncio.create_task(_repeat(ledger.refill, _REFILL_S, over))
    pace = random.Random(weather.seed + 3)
    async with asyncio.timeout(weather.limit_s):
        while killer.killed.total() < weather.kills or _count_requests(bill) < weather.requests:
            if calling.done():
                calling.result()
            await asyncio.sleep(pace.expovariate(weather.kills_per_s))
            if killer.killed.total() < 2 * weather.kills:
                await killer.strike()
    calm.set()
    await calling
    if not await wait_for(lambda: ledger.is_quiet, _QUIET_S):
        held = [f"{one.budget} {one.span.id}: {one.held}" for one in ledger.balances() if one.held]
        ledger.findings.add(f"held: {held} after {_QUIET_S} s without a call")
    over.set()
    await asyncio.gather(looking, filling)


async def _repeat(work: object, every_s: float, over: asyncio.Event) -> None:
    while not over.is_set():
        await asyncio.to_thread(work)  # type: ignore[arg-type]
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(over.wait(), every_s)


def _count_requests(bill: Path) -> int:
    """Return about how many requests the provider has seen: a row has some 500 bytes, and most requests two."""
    return bill.stat().st_size // 1000 if bill.exists() else 0


def reckon_storm(gateways: list[Gateway], ledger: Ledger, load: Load, bill: Path) -> Outcome:
    """Put bill, journals, books and ledger side by side."""
    ledger.look()
    data_dirs = [gateway.data_dir for gateway in gateways]
    records = read_records(data_dirs)
    rows = read_bill(bill)
    findings = sorted(ledger.findings) + judge(rows, records, ledger.standings())
    findings += _compare_books(data_dirs, records)
    costs = {attempt: usd_text(one.done.total_femto or 0) for attempt, one in records.items() if one.done}
    findings += [
        f"told: a client was told that {attempt} cost {cost}, on record is {costs.get(attempt)}"
        for attempt, cost in load.told.items()
        if costs.get(attempt) != cost
    ]
    findings += [
        f"odd: a client was answered {status}: {body!r}" for status, body in load.odd if status not in {500, 502}
    ]
    findings += [f"log: {line}" for gateway in gateways for line in _odd_lines(gateway)]
    return Outcome(
        seed=0,
        killed=Counter(),
        requests=len(rows),
        refused=load.statuses[402] + load.statuses[429],
        lost=load.lost,
        assumed=sum("assumed" in one.done.flags for one in records.values() if one.done),
        looks=ledger.looks,
        refills=ledger.refills,
        keys=load.keys,
        billed_femto=sum(femto_from_usd(row.amount_usd) for row in rows),
        charged_femto=sum(one.done.total_femto or 0 for one in records.values() if one.done),
        findings=findings,
    )


def _find_twice(rows: Sequence[BillRow], records: Mapping[str, OnRecord]) -> list[str]:
    """A call with an idempotency key is billed once, however often its client has made it."""
    orders: Counter[str] = Counter()
    for row in rows:
        record = records.get(row.correlation or "")
        if record is not None and ORDER in record.sent.tags and femto_from_usd(row.amount_usd):
            orders[record.sent.tags[ORDER]] += 1
    return [f"twice: {order} was billed {count} times" for order, count in orders.items() if count > 1]


def _compare_books(data_dirs: list[Path], records: Mapping[str, OnRecord]) -> Iterator[str]:
    """The books hold what the journals do, each attempt once, and found nothing odd in them."""
    booked: dict[str, object] = {}
    for data_dir in data_dirs:
        booked |= read_books(data_dir)
        with Books(data_dir) as books:
            for finding in books.findings():
                if finding.kind != "torn":
                    yield f"books: {finding.kind} {finding.attempt} {finding.detail}"
        writers = {instance.name for instance in instances_of(data_dir / "journal")}
        assert writers, "no worker has ever written a journal"
    if booked.keys() != records.keys():
        yield f"books: {len(booked)} attempts, and {len(records)} in the journals"
    for attempt in booked.keys() & records.keys():
        done = records[attempt].done
        if done is None or booked[attempt] != (done.total_femto, done.flags):
            yield f"books: {attempt} is {booked[attempt]}, in the journal {done}"


_USUAL = ("starting it again", "ALARM", "cannot be reached", "can be reached again", "calls cut at the end")


def _odd_lines(gateway: Gateway) -> list[str]:
    return [line for line in gateway.errors.read_text().splitlines() if not any(each in line for each in _USUAL)]
