"""The price of one attempt, line by line."""

import msgspec


class Line(msgspec.Struct, frozen=True, array_like=True):
    """One line of a charge: quantity times unit price is the amount.

    It is so exactly wherever that is a whole number of femtodollars; else the amount is rounded once, half to
    even, to 1e-12 USD (see `prices.arithmetic`).

    Attributes:
        meter: a name in `usage.METERS`.
        quantity: of the meter's smallest part. A step of a contract has the quantity it changes the price of.
        unit_price_femto: femtodollars for ``per`` of the meter's smallest part; negative for a discount.
        amount_femto: femtodollars.
        rate: id of the rate in the price book, for explaining and for re-rating.
        per: for how many of the meter's smallest part the unit price is given.
    """

    meter: str
    quantity: int
    unit_price_femto: int
    amount_femto: int
    rate: str
    per: int = 1


class Charge(msgspec.Struct, frozen=True):
    """What an attempt costs; the lines add up to the total.

    Attributes:
        lines: in the order of the usage vector.
        total_femto: the sum of the lines, femtodollars.
        book: hash of the price book that priced it.
    """

    lines: tuple[Line, ...]
    total_femto: int
    book: str


class Unpriced(msgspec.Struct, frozen=True):
    """No charge could be computed. It is an alarm, never a zero.

    Attributes:
        reason: what is missing, such as ``no rate for openai/gpt-x`` or ``usage: cached_tokens <= prompt_tokens``.
        book: hash of the price book that was asked.
    """

    reason: str
    book: str
