"""How calls are made in the light storm: the real design, and five that are broken on purpose.

The judge has to find the broken ones out, else its silence about the real one says nothing.
"""

import asyncio
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from farebox.budgets.account import Account, Payer
from farebox.ids import IdSource
from farebox.journal.record import Done, Flag, Outcome, Sent
from farebox.journal.writer import JournalWriter
from farebox.money import usd_text
from farebox.simulate.bill import BillRow
from farebox.spend import need_of, used_by
from farebox.state.ledger_authority import LedgerAuthority
from farebox.treasury.purses import Hold
from farebox.treasury.treasury import Treasury

HOLD = 1_000
PAUSE_S = 0.02
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
        await asyncio.sleep(PAUSE_S)
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
