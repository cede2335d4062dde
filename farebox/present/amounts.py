"""Amounts and durations for people: rounded for reading, said to be so. JSON carries the exact ones."""

from datetime import UTC, datetime
from decimal import Decimal

from farebox.money import usd_text

_SIGNIFICANT = 3


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
