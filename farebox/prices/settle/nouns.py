"""What goes into a settlement and what comes out of it.

Everything is in whole femtodollars (1e-15 USD). Where a share or a percentage of an amount is no whole number of
them, it is rounded down, once per rule, period and price: the loss is below 1e-15 USD and never adds up by the item.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from farebox.prices.rates import Commitment, Contract, Rate


class Item(msgspec.Struct, frozen=True):
    """One meter of one request, as the request was charged on its own.

    Attributes:
        id: of the request; with the meter it is unique. It orders items of the same instant.
        at_ns: nanoseconds since the epoch, UTC. What lasts is given in parts of an hour at most.
        account: whose it is at the provider: the organisation, and after a ``/`` the project, if there is one.
        provider: id in the price book.
        model: id in the price book.
        meter: a name in `usage.METERS`.
        quantity: as billed, of the meter's smallest part.
        rate: id of the rate in the price book.
        list_femto: at list price.
        amount_femto: as charged, contracts by percent or fixed price included.
    """

    id: str
    at_ns: int
    account: str
    provider: str
    model: str
    meter: str
    quantity: int
    rate: str
    list_femto: int
    amount_femto: int


def _no_names(_provider: str, _model: str) -> Sequence[str]:
    return ()


class Terms(msgspec.Struct, frozen=True):
    """What usage is settled by, and the time that is settled.

    Attributes:
        find_rate: the rate of an id, or None; of it count the tier, the pool and the marginal prices at list.
        contracts: those without ``volume`` change nothing here: they are in the requests' own charges.
        commitments: in the order in which they apply, kind by kind.
        from_ns: the first instant of a calendar month.
        until_ns: the end; a month that it cuts is settled as far as it goes.
        drawn: by commitment of kind ``credits``, femtodollars drawn before ``from_ns``.
        find_names: the other names of a provider's model, by which contracts and commitments may call it.
    """

    find_rate: Callable[[str], Rate | None]
    contracts: tuple[Contract, ...]
    commitments: tuple[Commitment, ...]
    from_ns: int
    until_ns: int
    drawn: Mapping[str, int] = {}
    find_names: Callable[[str, str], Sequence[str]] = _no_names


class Entry(msgspec.Struct, frozen=True, order=True):
    """What a sum in a tally is about.

    Attributes:
        step: see `STEPS`.
        id: the pool, the marginal scope, the contract or the commitment.
        account: whose pool or bands they are, or "".
        from_ns: first instant of the period.
        rate: id of the rate whose price it takes off, or "".
        band: of marginal prices and volume percentages, counted from 0.
    """

    step: str
    id: str
    account: str
    from_ns: int
    rate: str = ""
    band: int = 0


# In the order in which they apply to an item.
STEPS = ("capacity", "served", "pool", "marginal", "volume", "percent", "spend", "draw")

# By entry: a quantity and what it changes of the amount, femtodollars. The quantity is of the meter's smallest part
# for capacity (covered), pool (free) and marginal (in the band); as `rules.Capacity` counts for served; femtodollars
# for volume and percent (what the percentage is taken of), spend (what counts towards it) and draw (drawn).
Tally = dict[Entry, tuple[int, int]]


class Adjustment(msgspec.Struct, frozen=True):
    """A line that is added to the lines of the requests.

    Attributes:
        id: such as ``pool/google/search``, ``marginal/aws/internet/egress#2`` or ``commitment/aws-edp/shortfall``.
        account: whose it is, or "" where it is everybody's.
        from_ns: first instant of the period that it is settled over.
        until_ns: the end of that period.
        meter: a name in `usage.METERS`, or "" where the quantity is an amount of money.
        rate: id of the rate whose lines it corrects, or "".
        quantity: of the meter's smallest part; of money: femtodollars. Always what it concerns, never negative.
        unit_price_femto: what it adds for ``per`` of the quantity; negative where it takes off. Where lines of many
            requests were changed by different prices, it is the average, exactly.
        per: see ``unit_price_femto``.
        amount_femto: quantity times price over ``per``, to a whole number.
        reason: one sentence.
    """

    id: str
    account: str
    from_ns: int
    until_ns: int
    meter: str
    rate: str
    quantity: int
    unit_price_femto: int
    per: int
    amount_femto: int
    reason: str


class Balance(msgspec.Struct, frozen=True):
    """Prepaid credits after the time that was settled, femtodollars; what was drawn and what is left add up.

    Attributes:
        commitment: its id.
        bought_femto: in all.
        drawn_femto: until the end of the settled time, earlier times included.
        expired_femto: what nobody can use any more.
        left_femto: what still can be used.
    """

    commitment: str
    bought_femto: int
    drawn_femto: int
    expired_femto: int
    left_femto: int


class Settlement(msgspec.Struct, frozen=True):
    """What is owed over a time.

    Attributes:
        items: how many were settled.
        list_femto: their sum at list price.
        charged_femto: their sum as charged one by one.
        adjustments: in the order of steps, ids, periods and rates.
        owed_femto: what was charged and the adjustments, exactly.
        balances: of the prepaid credits.
    """

    items: int
    list_femto: int
    charged_femto: int
    adjustments: tuple[Adjustment, ...]
    owed_femto: int
    balances: tuple[Balance, ...]
