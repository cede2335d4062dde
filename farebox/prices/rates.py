"""The nouns of a price book: where a price was published, a row of prices, a model's rows, a provider's card.

A row holds prices and the conditions under which they hold. A rate is one meter's price out of a row, with
everything that was multiplied into it. Where two rows hold at once and price the same meter, the one with more
conditions goes before the one whose conditions are a part of its own; any other pair is a fault of the card.
"""

from collections.abc import Mapping

import msgspec

STANDARD = "standard"
ANY_TIER = "any"
ALWAYS_NS = -(2**63)
NEVER_NS = 2**63 - 1
USD = "USD"


class Source(msgspec.Struct, frozen=True):
    """Where prices were published: ``url`` or words, the day they were read, and the data they came through."""

    url: str
    retrieved: str = ""
    via: str = ""


class Price(msgspec.Struct, frozen=True):
    """A price as it was published, such as ``"0.006/min"``.

    Attributes:
        text: as published.
        amount: decimal string, in the row's currency.
        per: for how many of the meter's smallest part.
        unit: for how many of what, in words, such as ``1M tokens``.
    """

    text: str
    amount: str
    per: int
    unit: str


class Row(msgspec.Struct, frozen=True):
    """Prices that hold together.

    Attributes:
        id: unique in the book, such as ``anthropic/claude-haiku-5-5/batch/over-100000``.
        tier: the service tier, or `ANY_TIER`.
        above: the row holds for inputs of more than this many tokens, the whole request then (a cliff); -1: any.
        from_ns: first instant of validity, nanoseconds since the epoch, UTC.
        until_ns: the instant at which validity ends, itself excluded.
        prices: by meter.
        rest: the tier whose row prices the meters that this row leaves out, or "".
        source: where the prices were published.
        note: what a reader should know.
        when: facts that must hold, such as ``{"search_context_size": "high"}``.
        schedule: the id of the schedule within whose windows the row holds, or "".
        currency: ISO 4217.
        least_units: by meter, how many of its smallest part are billed at least, per request.
        step_units: by meter, multiples of how many of its smallest part are billed, rounded up.
        least_amount: by meter, decimal string: the least that a line costs.
        marginal: by meter, prices of further units as ``(from this many of the smallest part, price)``, rising.
        pool: by meter, the id of the pool of free units.
    """

    id: str
    tier: str
    above: int
    from_ns: int
    until_ns: int
    prices: dict[str, Price]
    rest: str
    source: Source
    note: str = ""
    when: dict[str, str] = {}
    schedule: str = ""
    currency: str = USD
    least_units: dict[str, int] = {}
    step_units: dict[str, int] = {}
    least_amount: dict[str, str] = {}
    marginal: dict[str, tuple[tuple[int, Price], ...]] = {}
    pool: dict[str, str] = {}


class Model(msgspec.Struct, frozen=True):
    """The rows of one model and the names it goes by.

    Attributes:
        id: the model's name in the book.
        names: ids it is asked for or answers with, exactly.
        patterns: ids with ``#`` for a digit and ``*`` for any rest.
        rows: no two of them hold at once for the same meter without one going before the other.
        inherit: meters without a price of their own, and the meter whose price they take, as published.
        own: whether it comes from a file of the user, which goes before a shipped card.
        note: what a reader should know.
        about: what it can do, see `About`.
    """

    id: str
    names: tuple[str, ...]
    patterns: tuple[str, ...]
    rows: tuple[Row, ...]
    inherit: dict[str, str] = {}
    own: bool = False
    note: str = ""
    about: "About | None" = None


class About(msgspec.Struct, frozen=True):
    """What is known of a model beside its prices; nothing of it changes a charge.

    Attributes:
        kind: ``chat``, ``embedding``, ``image``, ``audio``, ``rerank``, ... or "".
        context_tokens: the most tokens of input and output together, or None.
        output_tokens: the most tokens of output, or None.
        inputs: modalities that it reads: text, image, audio, video, document.
        outputs: modalities that it makes.
        supports: capabilities: tools, json_schema, reasoning, prompt_cache, vision, web_search, batch, ...
        released: day, or "".
        deprecated: day from which it should not be used, or "".
        retires: day on which it stops answering, or "".
    """

    kind: str = ""
    context_tokens: int | None = None
    output_tokens: int | None = None
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()
    released: str = ""
    deprecated: str = ""
    retires: str = ""


class Uplift(msgspec.Struct, frozen=True):
    """A published multiplier, such as that for inference in a region.

    Attributes:
        id: unique in its card.
        times: decimal string such as ``"1.1"``.
        models: ids, or with ``*`` and ``#`` patterns, of the models it applies to; on others it changes nothing.
        source: where it was published.
        regions: any of these, as the provider or the configuration names them; empty: whatever the region.
        tiers: any of these; empty: whatever the tier.
        when: facts that must hold.
        schedule: the id of the schedule within whose windows it applies, or "".
        from_ns: first instant of validity.
        until_ns: the instant at which validity ends.
        meters: those it applies to; empty: all that count tokens.
        replaces: ids of uplifts that do not apply where this one does.
    """

    id: str
    times: str
    models: tuple[str, ...]
    source: Source
    regions: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    when: dict[str, str] = {}
    schedule: str = ""
    from_ns: int = ALWAYS_NS
    until_ns: int = NEVER_NS
    meters: tuple[str, ...] = ()
    replaces: tuple[str, ...] = ()


class Windows(msgspec.Struct, frozen=True):
    """When a schedule is on: every week at the same times of the day, in a time zone.

    Attributes:
        id: unique in the book's scope: a card's own, or a user's.
        zone: IANA name, such as ``America/New_York``.
        weekdays: 0 is Monday.
        spans: from and until, minutes since midnight; the end itself is excluded; 1440 is midnight.
        off_days: the id of a calendar on whose days it is off all day, or "".
        on_days: the id of a calendar on whose days it is on at these times whatever the weekday, or "".
        source: where it was published.
    """

    id: str
    zone: str
    weekdays: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]
    off_days: str
    on_days: str
    source: Source


class Calendar(msgspec.Struct, frozen=True):
    """Days that a schedule treats differently.

    Attributes:
        id: unique in the book.
        days: ISO days.
        known_until: the last day for which the list is known; later ones are an assumption.
        source: where it was published.
    """

    id: str
    days: frozenset[str]
    known_until: str
    source: Source


class Pool(msgspec.Struct, frozen=True):
    """Units that are free of charge, shared by all that draws on it in a period.

    Attributes:
        id: unique in its card.
        meter: what is free.
        free: of the meter's smallest part, per period.
        period: ``day`` or ``month``, UTC.
        shared_by: whose use counts together, in words, such as ``organisation``.
        source: where it was published.
    """

    id: str
    meter: str
    free: int
    period: str
    shared_by: str
    source: Source


class Contract(msgspec.Struct, frozen=True):
    """What was agreed with a provider: a step on top of the list price, a line of its own.

    Attributes:
        id: unique among the user's files.
        provider: whose prices it changes.
        models: ids or patterns; ``*``: all.
        source: where it is written down.
        meters: those it applies to; empty: all.
        percent: decimal string, off the price so far: ``"12.5"`` takes an eighth off; "" for none.
        prices: instead of the price so far, by meter.
        tiers: any of these; empty: whatever the tier.
        from_ns: first instant of validity.
        until_ns: the instant at which validity ends.
        volume: percent off by what was used in the month before: ``(from USD spent at list, percent)``, rising;
            settled over the month, see `prices.settle`.
    """

    id: str
    provider: str
    models: tuple[str, ...]
    source: Source
    meters: tuple[str, ...] = ()
    percent: str = ""
    prices: dict[str, Price] = {}
    tiers: tuple[str, ...] = ()
    from_ns: int = ALWAYS_NS
    until_ns: int = NEVER_NS
    volume: tuple[tuple[str, str], ...] = ()


class Commitment(msgspec.Struct, frozen=True):
    """Something bought ahead; it is settled over a period, see `prices.settle`.

    Attributes:
        id: unique among the user's files.
        provider: whose charges it covers.
        kind: ``spend`` (at least so much a month, the shortfall is billed), ``credits`` (paid ahead, drawn down
            until used up or expired) or ``capacity`` (units by the hour that cover tokens).
        models: ids or patterns that it covers; ``*``: all.
        source: where it is written down.
        amount_usd: decimal string: per month for ``spend``, in all for ``credits``; "" for ``capacity``.
        percent: off covered charges, decimal string, or "".
        units: of ``capacity``.
        unit_price_usd: of a unit of ``capacity`` per hour, decimal string, or "".
        unit_tokens_per_minute: input tokens that a unit of ``capacity`` serves per minute.
        burn: by meter, how many input tokens one of it counts as, decimal string; meters of the answer that are
            left out count as ``output`` does, those of the prompt 1.
        from_ns: first instant of validity.
        until_ns: the instant at which validity ends.
        fee_percent: of ``credits``: the fee for buying them, decimal string, or "".
        least_fee_usd: of ``credits``: the least that the fee is, decimal string, or "".
    """

    id: str
    provider: str
    kind: str
    models: tuple[str, ...]
    source: Source
    amount_usd: str = ""
    percent: str = ""
    units: int = 0
    unit_price_usd: str = ""
    unit_tokens_per_minute: int = 0
    burn: dict[str, str] = {}
    from_ns: int = ALWAYS_NS
    until_ns: int = NEVER_NS
    fee_percent: str = ""
    least_fee_usd: str = ""


class Exchange(msgspec.Struct, frozen=True):
    """What one unit of a currency costs in USD from an instant on, decimal string."""

    currency: str
    from_ns: int
    usd: str
    source: Source


class Card(msgspec.Struct, frozen=True):
    """Everything a provider publishes about its prices.

    Attributes:
        provider: its id in the book.
        name: for people.
        models: in the order of the file.
        tiers: the tier of the rates by the provider's word for it; empty: its words mean nothing known.
        no_region: words of the provider for "no particular region".
        regions: other regions that cost nothing extra.
        uplifts: multipliers.
        facts: by fact, the values with published rates; the first holds where nothing is said.
        schedules: by id.
        pools: by id.
        reported: whether a cost that the provider reports is what it bills ("bill"), or is compared ("check").
        shipped: whether there is a card of this provider in the package.
    """

    provider: str
    name: str
    models: tuple[Model, ...]
    tiers: dict[str, str] = {}
    no_region: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    uplifts: tuple[Uplift, ...] = ()
    facts: dict[str, tuple[str, ...]] = {}
    schedules: dict[str, Windows] = {}
    pools: dict[str, Pool] = {}
    reported: str = "check"
    shipped: bool = True


class Rate(msgspec.Struct, frozen=True):
    """The price of one meter, with everything multiplied into it.

    Attributes:
        id: the row's id, ``#`` and the meter; ``+`` and an uplift's id at the end for each that is in it.
        femto: femtodollars for ``per`` of the meter's smallest part; the fraction is in lowest terms.
        meter: the meter that the row prices; a line may use it for a meter that inherits.
        row: where it is from, or None for a step of a contract.
        per: see ``femto``.
        uplifts: the multipliers that are in ``femto``.
        exchange: the exchange rate that is in ``femto``, or None.
        plain: the amount is quantity times ``femto``, nothing else to be done.
        least_units: see `Row`.
        step_units: see `Row`.
        least_femto: the least that the line costs.
        bands: marginal prices ``(from, femto, per)``, rising, the first from 0; empty where there is one price.
        pool: free units, or None.
        steps: contract steps, in order: each the difference it makes.
        contract: of a step, what it comes from.
    """

    id: str
    femto: int
    meter: str
    row: Row | None
    per: int = 1
    uplifts: tuple[Uplift, ...] = ()
    exchange: Exchange | None = None
    plain: bool = True
    least_units: int = 0
    step_units: int = 0
    least_femto: int = 0
    bands: tuple[tuple[int, int, int], ...] = ()
    pool: Pool | None = None
    steps: "tuple[Rate, ...]" = ()
    contract: Contract | None = None


Table = Mapping[str, Rate]
