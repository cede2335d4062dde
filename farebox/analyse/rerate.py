"""Prices recorded attempts again, from their raw usage, with the book of their time or with another one.

With the book that each attempt names, every charge must come out as it was: line by line. With another book the
difference is what changed between the books. What followed from more than the usage on record is priced again from
what is on record of it: a floor that was counted from what was seen, from its meters; a worst case, from its bounds.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from farebox.books.rows import RecordedRow
from farebox.call import Answered
from farebox.charge import Line
from farebox.errors import UsageViolation
from farebox.journal.record import Sent
from farebox.meter import Priced, assume, price_answer, price_meters
from farebox.prices.book import PriceBook
from farebox.quote import read_usage

_EXAMPLES = 20


class Difference(msgspec.Struct, frozen=True):
    """An attempt whose charge came out otherwise.

    Attributes:
        attempt: its id.
        provider: id in the price book.
        model: what was asked of the provider.
        was_femto: the charge on record, None where it was unpriced.
        now_femto: the charge that came out.
        why: what differs, in words.
    """

    attempt: str
    provider: str
    model: str
    was_femto: int | None
    now_femto: int | None
    why: str


class ModelSum(msgspec.Struct):
    """Attempts of one model: how many, what they cost on record and now; those without a price are counted apart."""

    provider: str
    model: str
    attempts: int = 0
    different: int = 0
    was_femto: int = 0
    now_femto: int = 0
    was_unpriced: int = 0
    now_unpriced: int = 0


class Rerated(msgspec.Struct):
    """What came out.

    Attributes:
        equal: attempts whose charge came out as it was.
        different: attempts whose charge came out otherwise.
        missing: attempts by a book that is not at hand.
        models: sums by provider and model.
        examples: the first differences.
    """

    equal: int = 0
    different: int = 0
    missing: Counter[str] = msgspec.field(default_factory=Counter)
    models: dict[tuple[str, str], ModelSum] = msgspec.field(default_factory=dict)
    examples: list[Difference] = msgspec.field(default_factory=list)

    @property
    def attempts(self) -> int:
        """All attempts that were looked at."""
        return self.equal + self.different + self.missing.total()


def rerate(rows: Iterable[RecordedRow], book_of: Callable[[str], PriceBook | None]) -> Rerated:
    """Return how the charges on record compare with those that a book gives.

    Args:
        rows: recorded attempts.
        book_of: the book to use for an attempt, by the hash of the one it was priced with; None: it is not at hand.
    """
    result = Rerated()
    for row in rows:
        book = book_of(row.book)
        if book is None:
            result.missing[row.book] += 1
            continue
        priced = price_again(book, row)
        why = "" if priced is None else _compare(row, priced)
        now_femto = row.total_femto if priced is None else priced.total_femto
        _count(result, row, now_femto, differs=bool(why))
        if why and len(result.examples) < _EXAMPLES:
            result.examples.append(
                Difference(row.attempt, row.rate_provider, row.model, row.total_femto, now_femto, why)
            )
    return result


def price_again(book: PriceBook, row: RecordedRow) -> Priced | None:
    """Return what a recorded attempt costs by a book, or None where it cost nothing whatever the prices are."""
    if not row.flags and not row.lines and row.total_femto == 0 and not row.usage_raw:
        return None
    sent = _sent(row)
    if "assumed" in row.flags:
        return assume(book, sent)
    usage = msgspec.json.decode(row.usage_raw, type=dict[str, Any]) if row.usage_raw else None
    answered = Answered(model=row.answered_model, service_tier=row.service_tier, usage=usage)
    if "estimated" in row.flags:
        return price_meters(book, sent, answered, row.meters, _facts(row, usage))
    return price_answer(book, sent, answered)


def _facts(row: RecordedRow, usage: dict[str, Any] | None) -> Mapping[str, str]:
    """Return what half an answer's usage says about how it is billed; nothing where it does not add up yet."""
    if usage is None:
        return {}
    try:
        return read_usage(row.rate_provider, row.model, usage, row.provider_operation).facts
    except UsageViolation:
        return {}


def _sent(row: RecordedRow) -> Sent:
    """Return as much of the attempt's start as its price follows from."""
    return Sent(
        attempt=row.attempt,
        call="",
        number=0,
        at_ns=row.sent_at_ns,
        key="",
        key_name="",
        user="",
        tags={},
        dialect="",
        operation="",
        asked_model="",
        provider=row.provider,
        rate_provider=row.rate_provider,
        model=row.model,
        stream=False,
        body_bytes=row.body_bytes or 0,
        parts={},
        output_cap=row.output_cap,
        provider_operation=row.provider_operation,
        asked_tier=row.asked_tier,
        region=row.region,
        deployment=row.deployment,
    )


def _compare(row: RecordedRow, priced: Priced) -> str:
    """Return what differs between a charge on record and one that came out, or ""."""
    if (row.total_femto is None) != (priced.total_femto is None):
        reason = priced.unpriced or row.unpriced
        return f"it {'was' if row.total_femto is None else 'is'} unpriced: {reason}"
    if row.total_femto != priced.total_femto:
        return _first_change(row, priced.lines) or "the total"
    return _first_change(row, priced.lines)


def _first_change(row: RecordedRow, lines: tuple[Line, ...]) -> str:
    was = {(line.meter, line.rate): (line.quantity, line.amount_femto) for line in row.lines}
    now = {(line.meter, line.rate): (line.quantity, line.amount_femto) for line in lines}
    for meter, rate in dict.fromkeys([*now, *was]):
        if was.get((meter, rate)) != now.get((meter, rate)):
            there = f"by {rate}" if (meter, rate) in now else f"no longer by {rate}"
            return f"{meter} {there}"
    return ""


def _count(result: Rerated, row: RecordedRow, now_femto: int | None, *, differs: bool) -> None:
    if differs:
        result.different += 1
    else:
        result.equal += 1
    key = (row.rate_provider, row.model)
    total = result.models.get(key)
    if total is None:
        total = result.models[key] = ModelSum(*key)
    total.attempts += 1
    total.different += differs
    total.was_unpriced += row.total_femto is None
    total.now_unpriced += now_femto is None
    total.was_femto += row.total_femto or 0
    total.now_femto += now_femto or 0
