"""Says why a charge is what it is: for every line the rate, where it was published and when it holds."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import msgspec

from farebox.charge import Charge, Line, Unpriced
from farebox.prices.arithmetic import fraction_text, quantity_text, unit_price_text
from farebox.prices.book import PriceBook
from farebox.prices.choose import Choice, Rating, choose
from farebox.prices.engine import charge
from farebox.prices.rates import ALWAYS_NS, NEVER_NS, Card, Contract, Exchange, Pool, Row, Source, Uplift
from farebox.usage import METERS

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Origin(msgspec.Struct, frozen=True):
    """What a rate id stands for.

    Attributes:
        kind: ``row``, ``contract``, ``pool``, ``least`` (the least amount of a row) or ``reported``.
        meter: the meter that is priced.
        source: where the price was published or agreed.
        row: of ``row`` and ``least``, or None.
        uplifts: the multipliers in the rate.
        exchange: the currency's rates, of which the one of the time is in the rate; or None.
        contract: of ``contract``, or None.
        pool: of ``pool``, or None where the caller said what is free.
    """

    kind: str
    meter: str
    source: Source
    row: Row | None = None
    uplifts: tuple[Uplift, ...] = ()
    exchange: Exchange | None = None
    contract: Contract | None = None
    pool: Pool | None = None


class Explained(msgspec.Struct, frozen=True):
    """One line of a charge with its reasons.

    Attributes:
        line: the line itself.
        origin: where its rate comes from, or None where this book does not have it.
        quantity: in the meter's unit, decimal string.
        unit: the meter's unit.
        unit_price_usd: for `per` units, after any uplift and exchange; decimal string.
        per: decimal string: 1000000 for tokens, 1 for calls, or as published.
        per_words: for how many of what, in words.
        amount_usd: decimal string.
    """

    line: Line
    origin: Origin | None
    quantity: str
    unit: str
    unit_price_usd: str
    per: str
    per_words: str
    amount_usd: str

    @property
    def priced_as(self) -> str:
        """The meter whose price was used, where it is another one, or ""."""
        return self.origin.meter if self.origin and self.origin.meter != self.line.meter else ""


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
    lines = explain_lines(book, result.lines, rating.at_ns) if isinstance(result, Charge) else ()
    return Explanation(choose(book, rating), result, lines)


def explain_lines(book: PriceBook, lines: Sequence[Line], at_ns: int) -> tuple[Explained, ...]:
    """Return the reasons for the lines of a charge, such as one from the journal, for an attempt of that time.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    return tuple(explain_line(book, line, at_ns) for line in lines)


def explain_line(book: PriceBook, line: Line, at_ns: int) -> Explained:
    """Return the reasons for one line of a charge.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    origin = find_origin(book, line.rate, at_ns)
    meter = METERS[line.meter]
    if origin is not None and origin.kind == "row" and origin.row is not None:
        price = origin.row.prices[origin.meter]
        shown, words = price.per, price.unit
    elif origin is not None and origin.kind in {"least", "reported"}:
        shown, words = 1, "line"
    else:
        shown, words = meter.per * meter.scale, f"{meter.per:,} {meter.unit}s" if meter.per > 1 else meter.unit
    amount = unit_price_text(line.amount_femto, 1, 1)
    reported = origin is not None and origin.kind == "reported"
    once = shown == 1 and words == "line"
    return Explained(
        line,
        origin,
        quantity="1" if once else quantity_text(line.meter, line.quantity),
        unit=meter.unit,
        unit_price_usd=amount if reported else unit_price_text(line.unit_price_femto, line.per, shown),
        per="1" if once else fraction_text(Fraction(shown, meter.scale)),
        per_words=words,
        amount_usd=amount,
    )


def find_origin(book: PriceBook, rate_id: str, at_ns: int) -> Origin | None:
    """Return what a rate id stands for, such as ``openai/gpt-5/flex/2026-10-12#output``; None: this book lacks it.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    row_id, _, rest = rate_id.rpartition("#")
    rest, least, _ = rest.partition("!")
    meter, *marks = rest.split("+")
    kind, _, name = row_id.partition("/")
    if meter not in METERS:
        return None
    if kind == "contract":
        contract = next((one for one in book.contracts if one.id == name), None)
        return Origin("contract", meter, contract.source, contract=contract) if contract else None
    if kind == "pool" and name == "given":
        return Origin("pool", meter, Source("given with the usage"))
    if kind == "pool":
        found = (card.pools[name] for card in _cards(book) if name in card.pools and card.pools[name].meter == meter)
        pool = next(found, None)
        return Origin("pool", meter, pool.source, pool=pool) if pool else None
    if name == "reported":
        return Origin("reported", meter, Source("the provider's answer"))
    card = book.card(kind)
    row = _find_row(card, row_id) if card is not None else None
    if card is None or row is None or meter not in row.prices:
        return None
    uplifts = tuple(uplift for uplift in card.uplifts if uplift.id in marks)
    held = [one for one in book.exchange if one.currency in marks and one.from_ns <= at_ns]
    return Origin("least" if least else "row", meter, row.source, row, uplifts, held[-1] if held else None)


def validity_text(row: Row) -> str:
    """Return when a row holds, in words."""
    start = "" if row.from_ns == ALWAYS_NS else f"from {instant_text(row.from_ns)}"
    end = "" if row.until_ns == NEVER_NS else f"until {instant_text(row.until_ns)}"
    return " ".join(part for part in (start, end) if part) or "always"


def conditions_text(row: Row) -> str:
    """Return under which conditions a row holds beside its tier, size and time, in words, or ""."""
    parts = [f"{fact} {value}" for fact, value in row.when.items()]
    parts += [f"when {row.schedule}"] if row.schedule else []
    return ", ".join(parts)


def instant_text(at_ns: int) -> str:
    """Return an instant as text, as a day where it is midnight UTC."""
    instant = _EPOCH + timedelta(microseconds=at_ns // 1000)
    midnight = instant.hour == instant.minute == instant.second == instant.microsecond == 0
    return instant.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%SZ")


def size_text(row: Row) -> str:
    """Return for which inputs a row holds, in words, or "" for all."""
    return "" if row.above < 0 else f"inputs over {row.above:,} tokens"


def _cards(book: PriceBook) -> Iterator[Card]:
    for provider in book.providers():
        card = book.card(provider)
        if card is not None:
            yield card


def _find_row(card: Card, row_id: str) -> Row | None:
    return next((row for model in card.models for row in model.rows if row.id == row_id), None)
