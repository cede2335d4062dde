"""From published words to integers and back: prices, quantities, and the one rounding there is.

A unit price is a fraction of femtodollars per smallest part of a meter, in lowest terms. A quantity times that is
whole for every price that is published per token or per call. Where it is not, as with seconds of an hourly price
or an exchange rate, the line is rounded once, half to even, to 1e-12 USD.
"""

import re
from decimal import Decimal, InvalidOperation
from fractions import Fraction

from farebox.money import FEMTO_PER_USD, usd_text
from farebox.prices.rates import Price
from farebox.usage import METERS, Meter

# Femtodollars that a line is rounded to where it is not whole: 1e-12 USD.
_ROUNDED_TO = 1000
_FACTORS = {"": 1, "k": 10**3, "M": 10**6, "B": 10**9}
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:(k|M|B)(?![A-Za-z]))?")
_DISPLAY_DECIMALS = 15
# How many of the smallest part one unit is, for the units in which a meter may be given.
_TIME = {"s": 1000, "min": 60_000, "h": 3_600_000, "day": 86_400_000}
_BYTES = {"kB": 1, "MB": 10**3, "GB": 10**6, "TB": 10**9}
_UNITS = {"second": _TIME, "GB": _BYTES, "GB-day": {"GB-day": 10**6, "TB-day": 10**9, "GB": 10**6}}
_WORDS = {"s": "second", "min": "minute", "h": "hour"}


def parse_price(text: str, meter: str) -> Price:
    """Return a price as it is published: ``"2.50"``, ``"10/1k"``, ``"0.006/min"``.

    Raises:
        ValueError: saying what is wrong with it.
    """
    amount, slash, rest = (part.strip() for part in text.partition("/"))
    try:
        value = Decimal(amount)
    except InvalidOperation:
        raise ValueError(f'{text!r} is no price such as "2.50" or "10/1k"') from None
    if not value.is_finite() or value < 0:
        raise ValueError(f"a price is not negative: {text}")
    known = METERS[meter]
    if not slash:
        return Price(text, amount, known.per * known.scale, _unit_words(known, known.per))
    per = parse_units(rest, meter, default=1)
    if per <= 0:
        raise ValueError(f"{text!r}: a price is for more than nothing")
    return Price(text, amount, per, _words_of(rest, known))


def parse_units(text: str, meter: str, *, default: int | None = None) -> int:
    """Return how many of the meter's smallest part a text such as ``"5000"``, ``"10k"`` or ``"10 s"`` means.

    Args:
        text: a number, perhaps with k, M or B, and for time and bytes a unit.
        meter: whose units they are.
        default: the number where only a unit is given; None: a number must be given.

    Raises:
        ValueError: where it is no such text, or finer than the meter's smallest part.
    """
    known = METERS[meter]
    units = _UNITS.get(known.unit, {})
    found = _NUMBER.match(text.strip())
    number, factor = (Decimal(found[1]), _FACTORS[found[2] or ""]) if found else (Decimal(-1), 1)
    unit = text.strip()[found.end() :].strip() if found else text.strip()
    if not found:
        if default is None or not unit:
            raise ValueError(f"{text!r} is no number of {known.unit}s")
        number = Decimal(default)
    if unit and unit not in units:
        there = f"; there are {', '.join(units)}" if units else ""
        raise ValueError(f"{text!r}: {unit!r} is no unit of {meter}{there}")
    parts = number * factor * (units[unit] if unit else known.scale)
    if parts != int(parts):
        raise ValueError(f"{text!r} is finer than {meter} is counted")
    return int(parts)


def fraction_of(price: Price) -> Fraction:
    """Return a price as femtounits of its currency for one of the meter's smallest part."""
    return Fraction(Decimal(price.amount)) * FEMTO_PER_USD / price.per


def amount_of(quantity: int, femto: int, per: int = 1) -> int:
    """Return what a quantity costs, femtodollars: exact where that is whole, else rounded to 1e-12 USD.

    Args:
        quantity: of a meter's smallest part.
        femto: femtodollars for ``per`` of it.
        per: see ``femto``.
    """
    product = quantity * femto
    if per == 1:
        return product
    whole, rest = divmod(product, per)
    if not rest:
        return whole
    whole, rest = divmod(product, per * _ROUNDED_TO)
    if 2 * rest > per * _ROUNDED_TO or (2 * rest == per * _ROUNDED_TO and whole % 2):
        whole += 1
    return whole * _ROUNDED_TO


def quantity_text(meter: str, quantity: int) -> str:
    """Return a quantity in the meter's unit as a decimal string, for people and for JSON."""
    known = METERS.get(meter)
    return str(quantity) if known is None or known.scale == 1 else fraction_text(Fraction(quantity, known.scale))


def unit_price_text(femto: int, per: int, shown_per: int) -> str:
    """Return a unit price in USD for ``shown_per`` of the meter's smallest part as a decimal string."""
    if per == 1:
        return usd_text(femto * shown_per)
    return fraction_text(Fraction(femto * shown_per, per * FEMTO_PER_USD))


def fraction_text(value: Fraction) -> str:
    """Return a fraction as a decimal string: exact where it ends within 15 decimals, else rounded to those."""
    scaled = round(value * 10**_DISPLAY_DECIMALS)
    sign, digits = ("-" if scaled < 0 else ""), f"{abs(scaled):0{_DISPLAY_DECIMALS + 1}d}"
    whole, part = digits[:-_DISPLAY_DECIMALS], digits[-_DISPLAY_DECIMALS:].rstrip("0")
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def percent_of(text: str) -> Fraction:
    """Return a decimal string of percent as a fraction of one.

    Raises:
        ValueError: where it is no finite number.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(f'{text!r} is no number such as "12.5"') from None
    if not value.is_finite():
        raise ValueError(f'{text!r} is no number such as "12.5"')
    return Fraction(value) / 100


def _unit_words(meter: Meter, per: int) -> str:
    """Return for how many of what a price is, in words."""
    if meter.unit == "second":
        return {1: "second", 60: "minute", 3600: "hour"}.get(per, f"{per} seconds")
    if per == 1:
        return meter.unit
    for letter, factor in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if per % factor == 0:
            return f"{per // factor}{letter} {meter.unit}s"
    return f"{per} {meter.unit}s"


def _words_of(rest: str, meter: Meter) -> str:
    if rest in _WORDS:
        return _WORDS[rest]
    if rest.isdigit():
        return _unit_words(meter, int(rest))
    return f"{rest} {meter.unit}s" if rest[:1].isdigit() and rest[-1:] in "kMB" else rest
