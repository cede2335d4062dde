"""From charges and a price book to what a settlement works on."""

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import cache

import msgspec

from farebox.charge import Charge
from farebox.errors import ConfigError
from farebox.prices.arithmetic import fraction_of, percent_of
from farebox.prices.book import PriceBook
from farebox.prices.explain import Origin, find_origin
from farebox.prices.rates import Price, Rate, Row
from farebox.prices.settle.nouns import Item, Terms

_NONE_DRAWN: Mapping[str, int] = {}


class Request(msgspec.Struct, frozen=True):
    """Whose charge it is; see `Item` for the attributes."""

    id: str
    at_ns: int
    account: str
    provider: str
    model: str


def items_of(charge: Charge, request: Request) -> list[Item]:
    """Return the items of a charge, one for each meter.

    Raises:
        ValueError: where the charge was already given free units, so that its pools are settled.
    """
    sums: dict[str, tuple[str, int, int, int]] = {}
    for line in charge.lines:
        rate, quantity, listed, amount = sums.get(line.meter, ("", 0, 0, 0))
        if line.rate.startswith("pool/"):
            raise ValueError(
                f"{request.id}: it was charged with free units of {line.rate}; charge it without a position"
            )
        if line.rate.startswith("contract/"):
            amount += line.amount_femto
        elif line.rate.endswith("!least"):
            listed, amount = listed + line.amount_femto, amount + line.amount_femto
        else:
            rate, quantity = line.rate, quantity + line.quantity
            listed, amount = listed + line.amount_femto, amount + line.amount_femto
        sums[line.meter] = (rate, quantity, listed, amount)
    return [
        Item(
            request.id, request.at_ns, request.account, request.provider, request.model, meter, quantity, rate, listed,
            amount,
        )
        for meter, (rate, quantity, listed, amount) in sums.items()
    ]  # fmt: skip


def terms_of(book: PriceBook, from_ns: int, until_ns: int, drawn: Mapping[str, int] = _NONE_DRAWN) -> Terms:
    """Return the terms of a book; see `Terms` for the attributes."""

    def find_names(provider: str, model: str) -> Sequence[str]:
        card = book.card(provider)
        return next((one.names for one in card.models if one.id == model), ()) if card is not None else ()

    rates = find_rates(book, from_ns)
    return Terms(rates, book.contracts, book.commitments, from_ns, until_ns, drawn, cache(find_names))


def find_rates(book: PriceBook, at_ns: int) -> Callable[[str], Rate | None]:
    """Return a function that finds the rate of an id, with its pool and its marginal prices at list.

    Args:
        book: that the usage was charged by.
        at_ns: the time of exchange rates.
    """

    @cache
    def find_rate(rate_id: str) -> Rate | None:
        origin = find_origin(book, rate_id, at_ns)
        if origin is None or origin.kind not in ("row", "reported"):
            return None
        if origin.row is None:
            return Rate(rate_id, 1, origin.meter, None)
        return _make_rate(book, rate_id, origin, origin.row)

    return find_rate


def _make_rate(book: PriceBook, rate_id: str, origin: Origin, row: Row) -> Rate:
    """Return a rate of a row.

    Raises:
        ConfigError: where marginal prices are in another currency: they would have as many values as exchange rates.
    """
    meter = origin.meter
    factor = Fraction(1)
    for uplift in origin.uplifts:
        factor *= percent_of(uplift.times) * 100
    marginal = row.marginal.get(meter, ())
    if origin.exchange is not None:
        if marginal:
            raise ConfigError(f"row {row.id}: marginal prices in {row.currency} cannot be settled; give them in USD")
        factor *= percent_of(origin.exchange.usd) * 100
    prices: list[tuple[int, Price]] = [(0, row.prices[meter]), *marginal]
    bands = tuple((start, *(fraction_of(price) * factor).as_integer_ratio()) for start, price in prices)
    pool = row.pool.get(meter)
    card = book.card(rate_id.partition("/")[0])
    return Rate(
        rate_id,
        bands[0][1],
        meter,
        row,
        bands[0][2],
        plain=False,
        bands=bands if marginal else (),
        pool=card.pools[pool] if pool is not None and card is not None else None,
    )
