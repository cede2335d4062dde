"""Money is an integer of femtodollars (1e-15 USD). This is the only file that turns text into money and back.

A price per token in femtodollars is the price per million tokens times 1e9, so every published price with
up to nine decimals per million tokens is an integer. Floats are refused everywhere.
"""

from decimal import Decimal, InvalidOperation

FEMTO_PER_USD = 10**15


def femto_from_usd(usd: str | int | Decimal) -> int:
    """Return an amount in USD as femtodollars, exactly.

    Args:
        usd: a decimal string such as ``"0.005615"``, an int or a Decimal. Floats are refused by type.

    Raises:
        TypeError: for floats and bools.
        ValueError: where the amount is not a finite number or needs more than 15 decimals.
    """
    return femto_per_unit(usd, per=1)


def femto_per_unit(usd: str | int | Decimal, *, per: int) -> int:
    """Return the price of one unit in femtodollars, given a price in USD for ``per`` units.

    Raises:
        TypeError: for floats and bools.
        ValueError: where one unit's price is not a whole number of femtodollars.
    """
    if isinstance(usd, bool) or not isinstance(usd, str | int | Decimal):
        raise TypeError(f"money is a decimal string, int or Decimal, not {type(usd).__name__}")
    try:
        amount = Decimal(usd)
    except InvalidOperation:
        raise ValueError(f"not an amount of money: {usd!r}") from None
    if not amount.is_finite():
        raise ValueError(f"not a finite amount of money: {usd!r}")
    numerator, denominator = amount.as_integer_ratio()
    whole, rest = divmod(numerator * FEMTO_PER_USD, denominator * per)
    if rest:
        raise ValueError(f"{usd} USD per {per} is not a whole number of femtodollars per unit")
    return whole


def usd_text(femto: int) -> str:
    """Return femtodollars as an exact decimal string of USD without trailing zeros, such as ``"0.005615"``."""
    if 0 < femto < FEMTO_PER_USD:  # nearly always, and said of every call
        return ("0." + str(femto).zfill(15)).rstrip("0")
    sign = "-" if femto < 0 else ""
    whole, part = divmod(abs(femto), FEMTO_PER_USD)
    if not part:
        return f"{sign}{whole}"
    return f"{sign}{whole}.{part:015d}".rstrip("0")
