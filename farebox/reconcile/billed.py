"""What a provider billed, line by line, whatever the format of its export. Numbers are read exactly, never as float."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Literal

import msgspec

from farebox.errors import FareboxError
from farebox.money import FEMTO_PER_USD

Kind = Literal["usage", "credit", "tax", "fee"]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class WrongInvoice(FareboxError):
    """The file is not what was expected; the message says what was, and where it differs."""


class BilledLine(msgspec.Struct, frozen=True):
    """One line of an invoice or cost export.

    Attributes:
        row: its number in the file, from 1.
        start_ns: the beginning of the time it is for, nanoseconds since the epoch.
        end_ns: the end, exclusive.
        sku: what the provider calls it.
        model: the provider's name of the model, or "".
        meter: ours, or "" where the line's own is not known.
        quantity: of the meter's smallest part, or None where the export has none.
        amount_femto: femtodollars; below 0 is money back.
        kind: what it is.
        identity: all that it says, in words: two lines of one identity are the same line twice.
        step_femto: the smallest difference that the export can show, femtodollars.
    """

    row: int
    start_ns: int
    end_ns: int
    sku: str
    model: str
    meter: str
    quantity: int | None
    amount_femto: int
    kind: Kind
    identity: str
    step_femto: int


def read_amount(value: Any, row: int, field: str, *, per_usd: int = 1) -> tuple[int, int]:
    """Return an amount in femtodollars, and the smallest difference that its digits can show.

    Args:
        value: as it stands in the file: text, or a number that was read as `Decimal`.
        row: for the error.
        field: for the error.
        per_usd: how many of its units are a dollar: 100 for cents.

    Raises:
        WrongInvoice: where it is no amount.
    """
    try:
        number = Decimal(str(value).strip().replace(",", ""))
    except InvalidOperation:
        raise WrongInvoice(f"row {row}: {field} {value!r} is no amount such as 12.34") from None
    if not number.is_finite():
        raise WrongInvoice(f"row {row}: {field} {value!r} is no amount such as 12.34")
    exact = Fraction(number) * FEMTO_PER_USD / per_usd
    exponent = number.as_tuple().exponent
    assert isinstance(exponent, int), "finite numbers have one"
    step = Fraction(10) ** exponent * FEMTO_PER_USD / per_usd
    return round(exact), max(1, int(step))


def read_quantity(value: Any, unit: str, row: int) -> int | None:
    """Return a quantity of tokens, or None where there is none.

    Raises:
        WrongInvoice: where it is no number or the unit is not known.
    """
    if value is None or str(value).strip() == "":
        return None
    sizes = {"tokens": 1, "token": 1, "": 1, "1000_tokens": 1000, "1k": 1000, "1k tokens": 1000, "1m": 1_000_000}
    sizes |= {"1m tokens": 1_000_000, "1000000 tokens": 1_000_000, "1000 tokens": 1000, "requests": 1}
    size = sizes.get(unit.strip().lower())
    if size is None:
        raise WrongInvoice(f"row {row}: the unit {unit!r} is not known; there are {', '.join(filter(None, sizes))}")
    try:
        exact = Fraction(Decimal(str(value).replace(",", ""))) * size
    except (InvalidOperation, ValueError):
        raise WrongInvoice(f"row {row}: the quantity {value!r} is no number") from None
    return round(exact)


def read_moment(value: Any, row: int, field: str) -> int:
    """Return an instant in nanoseconds: seconds since the epoch, or RFC 3339 (UTC where it does not say).

    Raises:
        WrongInvoice: where it is none.
    """
    text = str(value).strip()
    if text.isdigit() and len(text) > 8:
        return int(text) * 1_000_000_000
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise WrongInvoice(f"row {row}: {field} {value!r} is no time such as 2026-11-01T00:00:00Z") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (moment - _EPOCH).days * 86_400_000_000_000 + (moment - _EPOCH).seconds * 1_000_000_000


def need_usd(currency: Any, row: int) -> None:
    """Refuse what is not in dollars.

    Raises:
        WrongInvoice: naming the currency.
    """
    if str(currency or "USD").strip().upper() != "USD":
        raise WrongInvoice(
            f"row {row}: billed in {str(currency).upper()}; only USD can be reconciled: export the invoice in USD"
        )


def identity_of(record: Mapping[str, Any]) -> str:
    """Return all that a record says, in words."""
    return "; ".join(f"{name}={record[name]}" for name in sorted(record))
