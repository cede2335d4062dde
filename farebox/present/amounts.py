"""Amounts, quantities and durations for people: rounded for reading, said to be so. JSON carries the exact ones."""

from datetime import UTC, datetime
from decimal import Decimal

from farebox.money import usd_text
from farebox.prices.arithmetic import quantity_text, unit_price_text
from farebox.usage import METERS, Meter

_SIGNIFICANT = 3
_QUANTITY_DECIMALS = 3
_INVARIABLE = frozenset({"GB", "USD"})
_COUNTED = frozenset({"token", "call", "page", "character", "pixel"})  # what the meter's name says already
_TIMES = {1: "s", 60: "min", 3600: "h"}
_THOUSANDS = {10**9: "1B", 10**6: "1M", 10**3: "1k"}


def short_usd(femto: int) -> str:
    """Return an amount rounded for reading: cents from a dollar on, else three significant digits."""
    exact = Decimal(usd_text(femto))
    if not exact:
        return "$0"
    if abs(exact) >= 1:
        rounded = f"{exact:,.2f}"
    else:
        places = min(15, -exact.adjusted() + _SIGNIFICANT - 1)
        rounded = f"{exact:.{places}f}"
    return f"-${rounded[1:]}" if rounded.startswith("-") else f"${rounded}"


def cost_text(femto: int, attempts: int, unpriced: int) -> str:
    """Return what attempts cost, rounded; "unknown" where none has a price, with a ``*`` where some have none."""
    if unpriced and unpriced == attempts:
        return "unknown"
    return short_usd(femto) + ("*" if unpriced else "")


def short_duration(nanoseconds: int | None) -> str:
    """Return a duration with three significant digits or so, "-" where there is none."""
    if nanoseconds is None:
        return "-"
    for unit, size in (("s", 1_000_000_000), ("ms", 1_000_000), ("us", 1_000)):
        if abs(nanoseconds) >= size:
            value = nanoseconds / size
            return (
                f"{value:,.2f} {unit}"
                if value < 10
                else f"{value:,.1f} {unit}"
                if value < 100
                else f"{value:,.0f} {unit}"
            )
    return f"{nanoseconds} ns"


def moment_text(at_ns: int | None) -> str | None:
    """Return a moment as ISO 8601 in UTC with milliseconds, or None."""
    if at_ns is None:
        return None
    moment = datetime.fromtimestamp(at_ns // 10**9, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns // 10**6 % 1000:03d}Z"


def short_moment(at_ns: int | None) -> str:
    """Return a moment to the second, in UTC."""
    return "-" if at_ns is None else f"{datetime.fromtimestamp(at_ns // 10**9, UTC):%Y-%m-%d %H:%M:%S}"


def percent(share: float) -> str:
    """Return a share between 0 and 1 as percent with one decimal."""
    return f"{share * 100:.1f}%"


def grouped(number: str) -> str:
    """Return a decimal string with its thousands set apart."""
    return f"{Decimal(number):,f}"


def short_quantity(meter: str, quantity: int) -> str:
    """Return a quantity of a meter's smallest part in its unit, rounded to three decimals for reading."""
    exact = Decimal(quantity_text(meter, quantity))
    rounded = round(exact, _QUANTITY_DECIMALS)
    return f"{exact if exact == rounded else rounded:,f}"


def quantity_label(meter: str, quantity: int) -> str:
    """Return a quantity exactly, with its unit where it does not count tokens or calls."""
    number = grouped(quantity_text(meter, quantity))
    known = METERS.get(meter)
    if known is None or known.unit in {"token", "call"}:
        return number
    unit = "s" if known.unit == "second" else known.unit if quantity == known.scale else _plural(known)
    return f"{number} {unit}"


def meter_label(meter: str) -> str:
    """Return a meter's name, and its unit in brackets where it does not count tokens."""
    known = METERS.get(meter)
    if known is None or known.unit == "token":
        return meter
    return f"{meter} ({_plural(known)})"


def price_label(femto: int, per: int, meter: str) -> str:
    """Return a unit price as it is published, such as ``$0.15/1M``, ``$0.006/h`` or ``-$0.3/1M``.

    Args:
        femto: femtodollars for ``per`` of the meter's smallest part.
        per: see ``femto``.
        meter: a name in `usage.METERS`.
    """
    known = METERS.get(meter)
    if known is None:
        return f"${unit_price_text(femto, per, 1)}"
    price = unit_price_text(femto, per, known.per * known.scale)
    return f"{'-' if price.startswith('-') else ''}${price.removeprefix('-')}/{_per_label(known)}"


def _per_label(meter: Meter) -> str:
    if meter.unit == "second":
        return _TIMES[meter.per]
    if meter.per == 1:
        return meter.unit
    return _THOUSANDS[meter.per] + ("" if meter.unit in _COUNTED else f" {_plural(meter)}")


def _plural(meter: Meter) -> str:
    return meter.unit if meter.unit in _INVARIABLE else f"{meter.unit}s"
