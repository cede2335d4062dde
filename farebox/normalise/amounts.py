"""How an amount is read that need not be whole, such as seconds or dollars: exactly, and never as a float.

A JSON reader may hand over a decimal number as `decimal.Decimal`, as a string or as a float. A float stands for
the shortest decimal text that reads back as the same float, which is what was written in the JSON as long as it
had at most 15 digits; its binary expansion is never used. Quantities end as whole numbers of the smallest part
of their meter, rounded once, half to even, where the amount is finer than that part.
"""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any

from farebox.errors import UsageViolation
from farebox.money import FEMTO_PER_USD
from farebox.usage import METERS

# Of the smallest part of a meter: a million years of milliseconds, a billion terabytes. More is a mistake.
MAX_PARTS = 10**18
_MAX_TEXT = 60


def exact(value: Any, name: str) -> Fraction:
    """Return a non-negative amount exactly.

    Args:
        value: an int, a decimal string, a Decimal or a float; see the head of this file.
        name: of the field, for the error.

    Raises:
        UsageViolation: where it is anything else, negative or not finite.
    """
    if type(value) is int:
        found = Fraction(value)
    elif isinstance(value, str | Decimal | float):
        try:
            number = Decimal(repr(value) if isinstance(value, float) else value)
        except InvalidOperation:
            number = Decimal("NaN")
        # An exponent of millions would make an integer that does not fit into memory.
        if not number.is_finite() or abs(number.adjusted()) > _MAX_TEXT:
            raise UsageViolation(f"{name} is an amount", f"{value!r:.60} is not a decimal number")
        found = Fraction(number)
    else:
        raise UsageViolation(f"{name} is an amount", f"{value!r:.60} is not a number or a decimal string")
    if found < 0:
        raise UsageViolation(f"{name} is an amount", f"{value!r:.60} is negative")
    return found


def read_amount(raw: Mapping[str, Any], key: str) -> Fraction | None:
    """Return the amount under ``key``, or None where it is absent or null."""
    value = raw.get(key)
    return None if value is None else exact(value, key)


def parts_of(meter: str, amount: Fraction, name: str) -> int:
    """Return an amount of a meter's unit as a whole number of its smallest part, rounded half to even.

    Args:
        meter: a name in `usage.METERS`.
        amount: of the meter's unit, such as seconds or GB-days.
        name: of the field, for the error.

    Raises:
        UsageViolation: where it is larger than `MAX_PARTS`, or a part of what has no parts.
    """
    scale = METERS[meter].scale
    parts = amount * scale
    if scale == 1 and parts.denominator != 1:
        raise UsageViolation(f"{name} is a count", f"{decimal_text(amount)} is not whole")
    if parts > MAX_PARTS:
        raise UsageViolation(f"{name} is an amount", f"{decimal_text(amount)} is more than can be meant")
    return round(parts)


def read_money(raw: Mapping[str, Any], key: str) -> int | None:
    """Return an amount of USD under ``key`` as femtodollars, rounded half to even, or None where there is none."""
    usd = read_amount(raw, key)
    return None if usd is None else round(usd * FEMTO_PER_USD)


def decimal_text(amount: Fraction) -> str:
    """Return an amount for people: all digits where they end within 18, else a fraction."""
    scaled = amount * 10**18
    return f"{Decimal(scaled.numerator).scaleb(-18).normalize():f}" if scaled.denominator == 1 else str(amount)
