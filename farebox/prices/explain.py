"""Says why a charge is what it is: for every line the rate, where it was published and when it holds."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from farebox.charge import Charge, Line, Unpriced
from farebox.money import usd_text
from farebox.prices.book import PriceBook
from farebox.prices.choose import Choice, Rating, choose
from farebox.prices.engine import charge
from farebox.prices.rates import ALWAYS_NS, NEVER_NS, Rate, Row, units_per_price

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Explained(msgspec.Struct, frozen=True):
    """One line of a charge with its reasons.

    Attributes:
        line: the line itself.
        rate: the rate it was priced with, or None where this book does not have it.
        unit_price_usd: as published: for `per` units, after any uplift; decimal string.
        per: 1,000,000 for tokens, 1 for calls.
        amount_usd: decimal string.
    """

    line: Line
    rate: Rate | None
    unit_price_usd: str
    per: int
    amount_usd: str

    @property
    def priced_as(self) -> str:
        """The meter whose price was used, where it is another one, or ""."""
        return self.rate.meter if self.rate and self.rate.meter != self.line.meter else ""


class Explanation(msgspec.Struct, frozen=True):
    """A charge with its reasons."""

    choice: Choice
    result: Charge | Unpriced
    lines: tuple[Explained, ...]


def explain(book: PriceBook, rating: Rating) -> Explanation:
    """Return the charge of an attempt and the reasons for every line.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    result = charge(book, rating)
    lines = explain_lines(book, result.lines) if isinstance(result, Charge) else ()
    return Explanation(choose(book, rating), result, lines)


def explain_lines(book: PriceBook, lines: Sequence[Line]) -> tuple[Explained, ...]:
    """Return the reasons for the lines of a charge, such as one from the journal.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    explained = []
    for line in lines:
        per = units_per_price(line.meter)
        explained.append(
            Explained(
                line,
                book.find_rate(line.rate),
                usd_text(line.unit_price_femto * per),
                per,
                usd_text(line.amount_femto),
            )
        )
    return tuple(explained)


def validity_text(row: Row) -> str:
    """Return when a row holds, in words."""
    start = "" if row.from_ns == ALWAYS_NS else f"from {instant_text(row.from_ns)}"
    end = "" if row.until_ns == NEVER_NS else f"until {instant_text(row.until_ns)}"
    return " ".join(part for part in (start, end) if part) or "always"


def instant_text(at_ns: int) -> str:
    """Return an instant as text, as a day where it is midnight UTC."""
    instant = _EPOCH + timedelta(microseconds=at_ns // 1000)
    midnight = instant.hour == instant.minute == instant.second == instant.microsecond == 0
    return instant.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%SZ")


def size_text(row: Row) -> str:
    """Return for which inputs a row holds, in words, or "" for all."""
    return "" if row.above < 0 else f"inputs over {row.above:,} tokens"
