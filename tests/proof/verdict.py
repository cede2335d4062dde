"""The verdict: the provider's bill, what is on record, and the ledger of budgets, put side by side.

Each finding is a line of text that begins with the rule that is broken, so that a test of the judge itself can ask for
the rule. No finding is the proof.

- ``unaccounted``: billed, and never put on record (I4).
- ``underbooked``: billed more than is on record for it, or than budgets were charged for it.
- ``inexact``: neither assumed nor estimated, and not what was billed.
- ``posted``: the ledger's total is not the sum of what its attempts used (I3).
- ``held``: something is held though nothing is under way (I5).
- ``over``: more was billed or posted in a window than its limit and its overdraft (I1, I2).
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from farebox.journal.record import Done, Sent
from farebox.journal.segment import instances_of, read_segment, segments_of
from farebox.money import femto_from_usd
from farebox.simulate.bill import BillRow
from farebox.spend import read_claim, spent_of, used_by

Span = tuple[str, str]
_BOUNDS = frozenset({"assumed", "estimated"})


class OnRecord(msgspec.Struct):
    """An attempt in a journal.

    ``done`` is the end that its own worker wrote, else what was assumed; ``later`` is any other. Where a
    worker was taken for dead and was not, what was assumed is corrected by what it wrote.
    """

    sent: Sent
    done: Done | None = None
    later: list[Done] = []

    @property
    def end(self) -> Done:
        """Its first end, which it has."""
        assert self.done is not None, f"{self.sent.attempt} has no end"
        return self.done

    @property
    def used_femto(self) -> int:
        """What budgets are charged for it."""
        return used_by(self.sent, self.end).of("usd")

    @property
    def is_exact(self) -> bool:
        """Whether it costs what was billed, to the femtodollar."""
        return self.done is not None and not _BOUNDS & set(self.done.flags)


class Standing(msgspec.Struct, frozen=True):
    """A window of a budget at the end.

    Attributes:
        posted: what was spent, with corrections.
        held: granted and neither spent nor given back.
        allowed: the highest limit it ever had, and its overdraft; None where it refuses nothing.
    """

    posted: int
    held: int
    allowed: int | None


def read_records(data_dirs: Iterable[Path]) -> dict[str, OnRecord]:
    """Return every attempt in the journals of hosts."""
    found: dict[str, OnRecord] = {}
    ends: list[Done] = []
    for data_dir in data_dirs:
        for instance in instances_of(data_dir / "journal"):
            for path in segments_of(instance):
                offset = 0
                while records := (batch := read_segment(path, offset)).records:
                    offset = batch.next_offset
                    for record, _ in records:
                        if isinstance(record, Sent):
                            assert record.attempt not in found, "an attempt is on record twice"
                            found[record.attempt] = OnRecord(record)
                        else:
                            ends.append(record)
    for done in ends:
        ended = found[done.attempt]
        if ended.done is None:
            ended.done = done
        else:
            ended.later.append(done)
    return found


def judge(bill: Iterable[BillRow], records: Mapping[str, OnRecord], ledger: Mapping[Span, Standing]) -> list[str]:
    """Return what is wrong; nothing, where the promise was kept."""
    billed: dict[str, int] = {}
    for row in bill:
        assert row.correlation not in billed, "an attempt reached the provider twice"
        billed[row.correlation or f"row {row.id}"] = femto_from_usd(Decimal(row.amount_usd))
    return [*_judge_records(billed, records), *_judge_ledger(billed, records, ledger)]


def _judge_records(billed: Mapping[str, int], records: Mapping[str, OnRecord]) -> list[str]:
    found = [
        f"unaccounted: {attempt} was billed {femto}" for attempt, femto in billed.items() if attempt not in records
    ]
    for attempt, record in records.items():
        femto, done = billed.get(attempt, 0), record.done
        if done is None:
            found.append(f"open: {attempt} has no end")
        elif record.is_exact:
            if done.total_femto != femto:
                found.append(f"inexact: {attempt} is on record at {done.total_femto}, billed {femto}")
        elif "assumed" in done.flags and (done.total_femto or 0) < femto:
            found.append(f"underbooked: {attempt} is assumed at {done.total_femto}, billed {femto}")
        if done is not None and _is_capped(record.sent) and used_by(record.sent, done).of("usd") < femto:
            found.append(f"underbooked: budgets are charged less than {femto} for {attempt}")
    return found


def _is_capped(sent: Sent) -> bool:
    return any(read_claim(text).unit == "usd" for text in sent.charged)


def _judge_ledger(
    billed: Mapping[str, int], records: Mapping[str, OnRecord], ledger: Mapping[Span, Standing]
) -> list[str]:
    used: Counter[Span] = Counter()
    bills: dict[Span, int] = defaultdict(int)
    for attempt, record in records.items():
        if record.done is None:
            continue
        for claim, amount, _ in spent_of(record.sent, record.done):
            used[claim.budget, claim.span_id] += amount
            if claim.unit == "usd":
                bills[claim.budget, claim.span_id] += billed.get(attempt, 0)
    found = []
    for span in {*used, *ledger}:
        standing = ledger.get(span, Standing(0, 0, None))
        if standing.posted != used[span]:
            found.append(f"posted: {span} has {standing.posted}, its attempts used {used[span]}")
        if standing.held:
            found.append(f"held: {span} still holds {standing.held}")
        if standing.allowed is not None and max(standing.posted, bills[span]) > standing.allowed:
            found.append(f"over: {span}: {standing.posted} posted, {bills[span]} billed, {standing.allowed} allowed")
    return found


def rules_of(findings: Iterable[str]) -> set[str]:
    """Return the rules that findings are about."""
    return {finding.partition(":")[0] for finding in findings}
