"""Traffic for a proof, and the comparison of the books with the provider's own bill."""

import os
from collections import Counter
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec

from farebox import replay
from farebox.books.ingest import IngestReport, ingest_once
from farebox.books.query import Books
from farebox.journal.recover import is_dead, recover_instance
from farebox.journal.segment import instances_of
from farebox.money import femto_from_usd
from farebox.office import assume_lost
from farebox.replay.client import Watch
from farebox.simulate.bill import BillRow, read_bill
from farebox.state.pricebook import load_book

AZURE = Path(__file__).parents[3] / "shared" / "data" / "traces" / "azure_2023_conv.csv"
MODELS = {"openai": ("gpt-4o-mini", "gpt-4o", "gpt-5-mini"), "anthropic": ("claude-haiku-4-5", "claude-sonnet-4-6")}
INEXACT = {"assumed", "estimated"}

_assume = partial(assume_lost, load_book())


def configure(simulated: str) -> str:
    """A configuration with both simulated providers and their models under their own names."""
    tables = []
    for kind, url in (("openai", f"{simulated}/v1"), ("anthropic", simulated)):
        tables.append(
            f'[[providers]]\nname = "{kind}"\nkind = "{kind}"\nbase_url = "{url}"\napi_key = "sk-simulated"\n'
        )
        for model in MODELS[kind]:
            target = f'{{ provider = "{kind}", model = "{model}" }}'
            tables.append(f'[[models]]\nname = "{model}"\ntargets = [{target}]\n')
    return "\n".join(tables)


def plan_of(rows: object, url: str, limit: int, **changes: object) -> replay.Plan:
    """A replay as fast as possible: half of it streams, either dialect asks for any model."""
    plan = replay.Plan(
        rows=rows,  # type: ignore[arg-type]  # a Trace or a list
        url=url,
        models=MODELS["openai"] + MODELS["anthropic"],
        speed=None,
        limit=limit,
        dialect="both",
        concurrency_max=32,
        simulated=True,
        cache_control=True,
    )
    return msgspec.structs.replace(plan, **changes)


def drive(plan: replay.Plan, watch: Watch | None = None) -> replay.Summary:
    """Replay; every call must be answered completely in the end."""
    summary = replay.run(plan, watch)
    assert summary.failed == 0, summary.failures
    assert summary.calls == plan.limit
    return summary


class Reckoning(msgspec.Struct):
    """The books beside the bill, joined by attempt.

    Attributes:
        booked: attempt -> amount in femtodollars (None where unpriced) and flags.
        billed: attempt -> the bill's row.
    """

    booked: dict[str, tuple[int | None, tuple[str, ...]]]
    billed: dict[str, BillRow]

    def billed_femto(self, attempt: str) -> int:
        """What the provider bills for an attempt, 0 where it never heard of it."""
        row = self.billed.get(attempt)
        return 0 if row is None else femto_from_usd(Decimal(row.amount_usd))

    def check_equal(self) -> None:
        """The same attempts, each at the same price, none of them guessed."""
        assert self.booked.keys() == self.billed.keys()
        self._check_exact(self.booked)
        total = sum(amount or 0 for amount, _ in self.booked.values())
        assert total == sum(self.billed_femto(attempt) for attempt in self.billed) > 0

    def check_covered(self) -> Counter[str]:
        """No billed attempt is missing; what is not exact says so, and what is assumed costs no less.

        Returns:
            Attempts by flag, and ``exact`` for those that are.
        """
        assert self.billed.keys() <= self.booked.keys(), "billed, and not in the books"
        inexact = {attempt for attempt, (_, flags) in self.booked.items() if INEXACT & set(flags)}
        self._check_exact(self.booked.keys() - inexact)
        for attempt in inexact:
            amount, flags = self.booked[attempt]
            assert amount is not None, (attempt, flags)
            if "assumed" in flags:
                assert amount >= self.billed_femto(attempt), (attempt, amount, self.billed.get(attempt))
        counts = Counter(flag for attempt in inexact for flag in self.booked[attempt][1])
        return counts + Counter(exact=len(self.booked) - len(inexact))

    def _check_exact(self, attempts: object) -> None:
        assert {a: self.booked[a] for a in attempts} == {a: (self.billed_femto(a), ()) for a in attempts}  # type: ignore[attr-defined]


def reckon(data_dir: Path, bill: Path) -> Reckoning:
    """Bring the journal of a gateway that has ended into its books, twice, and put the bill beside them.

    The second time changes nothing, and no writer has anything left to recover.
    """
    report = ingest_once(data_dir, _assume)
    check_sound(report)
    assert report.open == 0
    booked = read_books(data_dir)
    again = ingest_once(data_dir, _assume)
    assert (again.attempts, again.assumed, again.files) == (0, 0, 0)
    assert read_books(data_dir) == booked
    for instance in instances_of(data_dir / "journal"):
        assert is_dead(instance)
        assert recover_instance(instance, _assume) == 0
    with Books(data_dir) as books:
        kinds = {finding.kind for finding in books.findings()}
        assert kinds <= {"torn"}, "kill -9 may tear the last record of a writer, nothing else"
    rows = read_bill(bill)
    billed = {row.correlation or f"row {row.id}": row for row in rows}
    assert len(billed) == len(rows), "an attempt reached the provider twice"
    return Reckoning(booked, billed)


def check_sound(report: IngestReport) -> None:
    """Nothing in the journal was unreadable or contradicted itself."""
    assert not report.unreadable
    assert (report.damaged, report.late, report.orphans, report.refused) == (0, 0, 0, 0)


def read_books(data_dir: Path) -> dict[str, tuple[int | None, tuple[str, ...]]]:
    """Every attempt in the books, each there once."""
    with Books(data_dir) as books:
        rows = list(books.attempts_by_id())
        total = books.total()
    found = {attempt: (amount, flags) for attempt, amount, flags in rows}
    assert len(found) == len(rows) == total.attempts, "an attempt is in the books twice"
    assert sum(amount or 0 for amount, _ in found.values()) == total.total_femto
    return found


def seed_of(default: int) -> int:
    """The seed of a random proof; FAREBOX_SEED repeats one that failed."""
    return int(os.environ.get("FAREBOX_SEED", default))
