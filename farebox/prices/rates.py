"""The nouns of a price book: where a price was published, a row of prices, a model's rows, a provider's card.

A row holds prices in USD as decimal strings, per million for tokens and per one for calls, and the conditions
under which they hold: service tier, size of the input, validity. A rate is one meter's price out of a row.
"""

import msgspec

from farebox.usage import METERS

TOKENS_PER_PRICE = 1_000_000
STANDARD = "standard"
ANY_TIER = "any"
ALWAYS_NS = -(2**63)
NEVER_NS = 2**63 - 1


class Source(msgspec.Struct, frozen=True):
    """Where prices were published: ``url`` or words, the day they were read, and the data they came through."""

    url: str
    retrieved: str = ""
    via: str = ""


class Row(msgspec.Struct, frozen=True):
    """Prices that hold together.

    Attributes:
        id: unique in the book, such as ``anthropic/claude-haiku-5-5/batch/over-100000``.
        tier: the service tier, or `ANY_TIER`.
        above: the row holds for inputs of more than this many tokens, the whole request then (a cliff); -1: any.
        from_ns: first instant of validity, nanoseconds since the epoch, UTC.
        until_ns: the instant at which validity ends, itself excluded.
        prices: USD by meter; tokens per million, calls per one.
        rest: the tier whose row prices the meters that this row leaves out, or "".
        source: where the prices were published.
        note: what a reader should know.
    """

    id: str
    tier: str
    above: int
    from_ns: int
    until_ns: int
    prices: dict[str, str]
    rest: str
    source: Source
    note: str = ""


class Model(msgspec.Struct, frozen=True):
    """The rows of one model and the names it goes by.

    Attributes:
        id: the model's name in the book.
        names: ids it is asked for or answers with, exactly.
        patterns: ids with ``#`` for a digit and ``*`` for any rest.
        rows: no two of them hold at once.
        inherit: meters without a price of their own, and the meter whose price they take, as published.
        own: whether it comes from a file of the user, which goes before a shipped card.
        note: what a reader should know.
    """

    id: str
    names: tuple[str, ...]
    patterns: tuple[str, ...]
    rows: tuple[Row, ...]
    inherit: dict[str, str] = {}
    own: bool = False
    note: str = ""


class Uplift(msgspec.Struct, frozen=True):
    """A published multiplier for inference in a region, on token meters.

    Attributes:
        regions: as the provider or the configuration names them.
        times: decimal string such as ``"1.1"``.
        models: ids of the models it applies to; on others a region costs nothing extra.
        source: where it was published.
    """

    regions: tuple[str, ...]
    times: str
    models: tuple[str, ...]
    source: Source


class Card(msgspec.Struct, frozen=True):
    """Everything a provider publishes about its prices.

    Attributes:
        provider: its id in the book.
        name: for people.
        models: in the order of the file.
        tiers: the tier of the rates by the provider's word for it; empty: its words mean nothing known.
        no_region: words of the provider for "no particular region".
        uplifts: at most one per region.
        shipped: whether there is a card of this provider in the package.
    """

    provider: str
    name: str
    models: tuple[Model, ...]
    tiers: dict[str, str] = {}
    no_region: tuple[str, ...] = ()
    uplifts: tuple[Uplift, ...] = ()
    shipped: bool = True


class Rate(msgspec.Struct, frozen=True):
    """The price of one meter.

    Attributes:
        id: the row's id, ``#`` and the meter; ``+region`` at the end where an uplift is in it.
        femto: femtodollars for one unit.
        meter: the meter that the row prices; a line may use it for a meter that inherits.
        row: where it is from.
        uplift: the multiplier that is in ``femto``, or None.
    """

    id: str
    femto: int
    meter: str
    row: Row
    uplift: Uplift | None = None


def units_per_price(meter: str) -> int:
    """Return for how many units of the meter a price in a card is given."""
    return TOKENS_PER_PRICE if METERS[meter].unit == "token" else 1
