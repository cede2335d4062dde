"""What one package says a provider charges: an offer per model, in the words of a rate card.

Every reader of a package makes offers; the gate compares them. A price is cleaned here of what binary floats left
behind, and refused where it cannot be what a vendor published.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Context, Decimal
from typing import Any

import msgspec

from farebox.prices.arithmetic import fraction_of, parse_price
from farebox.usage import METERS

# A published price per million has at most this many decimals; more of them are what a computation left over.
_DECIMALS = 9
# Binary floats carry 15 to 17 significant digits; what is beyond the 12th is noise.
_NOISE = Context(prec=12)
# Whoever asks for more than this per million tokens, or per whatever else, has mistaken the unit.
_HIGHEST = Decimal(20_000)
CONDITIONS = ("tier", "over", "at_least", "from", "until", "when", "schedule", "currency")


class Package(msgspec.Struct, frozen=True):
    """Packaged price data.

    Attributes:
        name: on its registry; also the key of its source in a card.
        version: of the data that was read.
        day: on which its prices were true, as far as it says.
        dated: whether it says when each price began.
        origin: where its data comes from, if not from its own makers; packages of one origin are one witness.
    """

    name: str
    version: str
    day: date
    dated: bool = False
    origin: str = ""

    @property
    def witness(self) -> str:
        """Whose word it is."""
        return self.origin or self.name

    @property
    def label(self) -> str:
        """The name and the version, for sources."""
        return f"{self.name} {self.version}"


class Offer(msgspec.Struct):
    """A model's prices according to one package.

    Attributes:
        package: which says so.
        provider: id in the book.
        id: of the model.
        names: exact ids it answers to.
        patterns: ids with ``#`` and ``*``.
        rows: as in a card.
        about: as in a card.
        lends: it is the list of another provider that the package falls back to, so it confirms but is no offer.
    """

    package: Package
    provider: str
    id: str
    names: list[str]
    patterns: list[str] = msgspec.field(default_factory=list)
    rows: list[dict[str, Any]] = msgspec.field(default_factory=list)
    about: dict[str, Any] = msgspec.field(default_factory=dict)
    lends: bool = False


class Finding(msgspec.Struct, frozen=True):
    """Something that was not taken over, or not without a doubt.

    Attributes:
        provider: id in the book.
        model: id in the card.
        what: the row and the meter, such as ``batch/over-272000/cache_read``.
        why: ``disagree``, ``outvoted``, ``thousandfold``, ``zero``, ``decimals``, ``implausible``, ``unmapped``, ...
        values: what each package says.
    """

    provider: str
    model: str
    what: str
    why: str
    values: dict[str, str] = {}


class Cleaner:
    """Turns the numbers of one package into price texts and keeps what it refuses."""

    def __init__(self, package: Package, provider: str) -> None:
        self.package: Package = package
        self.provider: str = provider
        self.findings: list[Finding] = []

    def price(self, value: Any, model: str, what: str, factor: int = 1) -> str | None:
        """Return a price as text, or None where it was refused; ``factor`` brings it to the card's unit.

        A price of 0 is refused: only what says that it is free is free.
        """
        try:
            exact = Decimal(str(value)) * factor
        except ArithmeticError:
            self.note(model, what, "no-number", value)
            return None
        if not exact.is_finite() or exact < 0:
            self.note(model, what, "no-number", value)
            return None
        if exact == 0:
            self.note(model, what, "zero", value)
            return None
        clean = _NOISE.plus(exact)
        if clean != round(clean, _DECIMALS):
            self.note(model, what, "decimals", exact)
            return None
        if clean > _HIGHEST:
            self.note(model, what, "implausible", exact)
            return None
        return decimal_text(clean)

    def note(self, model: str, what: str, why: str, value: Any = "") -> None:
        """Keep what was not taken over."""
        self.findings.append(Finding(self.provider, model, what, why, {self.package.name: str(value)}))


def decimal_text(value: Decimal) -> str:
    """Return a decimal without an exponent and without zeros at its end."""
    return f"{value.normalize():f}"


def same_price(one: str, other: str, meter: str) -> bool:
    """Return whether two price texts say the same."""
    return one == other or fraction_of(parse_price(one, meter)) == fraction_of(parse_price(other, meter))


def conditions(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return what must hold for a row, times left out; sizes that differ by one token are the same."""
    size = row.get("over", row.get("at_least", -1))
    if "over" in row and size % 1000 == 999:
        size += 1
    when = tuple(sorted(row.get("when", {}).items()))
    return row.get("tier", "standard"), size, when, row.get("schedule", ""), row.get("currency", "USD")


def describe(row: dict[str, Any]) -> str:
    """Return a row's conditions in words, for lists."""
    tier, size, when, schedule, _ = conditions(row)
    marks = [tier] if tier != "standard" else []
    marks += [f"over-{size}"] if size >= 0 else []
    marks += [f"{fact}={value}" for fact, value in when]
    marks += [schedule] if schedule else []
    return "/".join(marks)


def meters_of(row: dict[str, Any]) -> list[str]:
    """Return the meters that a row prices, in the order of the usage vector."""
    return [meter for meter in METERS if meter in row]


def holds_at(row: dict[str, Any], moment: datetime) -> bool:
    """Return whether a row is valid at an instant."""
    return ("from" not in row or row["from"] <= moment) and ("until" not in row or moment < row["until"])


def midnight(day: date) -> datetime:
    """Return the first instant of a day, UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def unique(texts: Iterable[str]) -> list[str]:
    """Return texts without doubles, in order."""
    return list(dict.fromkeys(texts))
