"""Contracts and commitments as integers, and which of them concern a kind of item."""

from collections.abc import Callable, Sequence
from decimal import Decimal, InvalidOperation
from functools import cache
from math import lcm

import msgspec

from farebox.errors import ConfigError
from farebox.money import femto_from_usd
from farebox.prices.match import fits
from farebox.prices.rates import STANDARD, Commitment, Contract, Pool, Rate
from farebox.prices.settle.nouns import Item, Terms
from farebox.prices.settle.periods import NS_PER_HOUR, NS_PER_MINUTE, month_start, overlap_ns
from farebox.usage import METERS

SECONDS_PER_HOUR = METERS["provisioned"].scale


class Fixed(msgspec.Struct, frozen=True):
    """When a contract fixes the price of something, so that no marginal price applies to it."""

    id: str
    from_ns: int
    until_ns: int


class Ladder(msgspec.Struct, frozen=True):
    """A percentage that rises with an amount of money: rungs of (from femtodollars, numerator, denominator)."""

    id: str
    from_ns: int
    until_ns: int
    rungs: tuple[tuple[int, int, int], ...]

    @property
    def starts(self) -> tuple[int, ...]:
        """Where the rungs start."""
        return tuple(rung[0] for rung in self.rungs)


class Capacity(msgspec.Struct, frozen=True):
    """Units that cover so much in each slot of time.

    Attributes:
        id: of the commitment.
        from_ns: first instant of validity.
        until_ns: the end of it.
        units: how many.
        unit_femto: of a unit for an hour.
        slot_ns: a minute for tokens, an hour for provisioned units.
        per_slot: what all units cover in a whole slot, in parts of an input token or in unit-seconds.
        weights: by meter, how many of these parts one of it takes.
    """

    id: str
    from_ns: int
    until_ns: int
    units: int
    unit_femto: int
    slot_ns: int
    per_slot: int
    weights: dict[str, int]

    def room(self, slot: int) -> int:
        """Return what a slot has room for: less than a whole one where validity starts or ends in it."""
        valid_ns = overlap_ns((slot, slot + self.slot_ns), (self.from_ns, self.until_ns))
        return self.per_slot * valid_ns // self.slot_ns


class Cover(msgspec.Struct, frozen=True):
    """What concerns a kind of item: the items of one provider, model, meter and rate.

    Attributes:
        rate: of the items.
        scope: whose units count together for marginal prices: provider, model and meter.
        bands: marginal prices as (from, femtodollars, per), or nothing.
        fixed: positions among the rules' contracts with fixed prices.
        pool: free units, or None.
        pool_id: the provider and the pool.
        capacities: positions among the rules' capacities, with the weight.
        ladders: positions among the rules' ladders.
        percents: positions among the rules' percents.
        spends: positions among the rules' spends.
        credits: positions among the rules' credits.
    """

    rate: Rate
    scope: str
    bands: tuple[tuple[int, int, int], ...]
    fixed: tuple[int, ...]
    pool: Pool | None
    pool_id: str
    capacities: tuple[tuple[int, int], ...]
    ladders: tuple[int, ...]
    percents: tuple[int, ...]
    spends: tuple[int, ...]
    credits: tuple[int, ...]

    @property
    def is_idle(self) -> bool:
        """Whether items of this kind cost what they were charged, whatever else is used."""
        rules = (self.capacities, self.ladders, self.percents, self.spends, self.credits)
        return not (self.pool or self.bands or any(rules))


class Spend(msgspec.Struct, frozen=True):
    """A commitment to spend so many femtodollars a month."""

    id: str
    from_ns: int
    until_ns: int
    monthly_femto: int


class Credit(msgspec.Struct, frozen=True):
    """Credits paid ahead, femtodollars: what they are worth, what was drawn before, and the fee for buying them."""

    id: str
    from_ns: int
    until_ns: int
    bought_femto: int
    drawn_femto: int
    fee_femto: int


class Rules(msgspec.Struct, frozen=True):
    """All that a settlement applies, and whom each contract and commitment concerns.

    Attributes:
        terms: where they come from.
        capacities: in the order of the commitments.
        fixed: contracts with fixed prices, in order.
        ladders: contracts by volume, in order.
        percents: the percentages of spend and credit commitments, as ladders of one rung.
        spends: in order.
        credits: those that expire first go first.
    """

    terms: Terms
    capacities: tuple[Capacity, ...]
    fixed: tuple[Fixed, ...]
    ladders: tuple[Ladder, ...]
    percents: tuple[Ladder, ...]
    spends: tuple[Spend, ...]
    credits: tuple[Credit, ...]

    def cover(self, provider: str, model: str, meter: str, rate_id: str) -> Cover:
        """Return what concerns a kind of item.

        Raises:
            ConfigError: where the book does not have the rate, or two contracts by volume concern it at once.
        """
        rate = self.terms.find_rate(rate_id)
        if rate is None:
            raise ConfigError(f"{rate_id} is not in the price book: settle with the book that the usage was charged by")
        tier = rate.row.tier if rate.row else STANDARD
        names = (model, *self.terms.find_names(provider, model))
        contracts = {one.id: one for one in self.terms.contracts if _concerns(one, provider, names, meter, tier)}
        commitments = {one.id for one in self.terms.commitments if _concerns(one, provider, names, meter, tier)}
        capacities = tuple(
            (at, one.weights[meter])
            for at, one in enumerate(self.capacities)
            if one.id in commitments and meter in one.weights and not rate.bands
        )
        ladders = _positions(self.ladders, set(contracts))
        _refuse_overlap([self.ladders[at] for at in ladders], f"{provider}/{model} {meter}")
        return Cover(
            rate=rate,
            scope=f"{provider}/{model}/{meter}",
            bands=rate.bands,
            fixed=_positions(self.fixed, {one.id for one in contracts.values() if rate.bands and meter in one.prices}),
            pool=rate.pool,
            pool_id=f"{provider}/{rate.pool.id}" if rate.pool else "",
            capacities=capacities,
            ladders=ladders,
            percents=_positions(self.percents, commitments),
            spends=_positions(self.spends, commitments),
            credits=_positions(self.credits, commitments),
        )

    def cover_finder(self) -> Callable[[Item], Cover]:
        """Return a function that finds what concerns an item, and remembers it by kind."""
        find = cache(self.cover)
        return lambda item: find(item.provider, item.model, item.meter, item.rate)


def make_rules(terms: Terms) -> Rules:
    """Return the rules of terms.

    Raises:
        ConfigError: where a contract or commitment has an amount that cannot be used, or the time to settle does
            not start with a calendar month.
    """
    if terms.from_ns != month_start(terms.from_ns):
        raise ConfigError("from: a settlement starts with a calendar month, UTC; give the first instant of one")
    if terms.until_ns <= terms.from_ns:
        raise ConfigError("until: must be later than from")
    by_kind: dict[str, list[Commitment]] = {"capacity": [], "spend": [], "credits": []}
    for commitment in terms.commitments:
        if commitment.kind not in by_kind:
            raise ConfigError(
                f"commitment {commitment.id}: kind is spend, credits or capacity, not {commitment.kind!r}"
            )
        by_kind[commitment.kind].append(commitment)
    by_kind["credits"].sort(key=lambda one: (one.until_ns, one.from_ns, one.id))
    _refuse_twins("contract", [one.id for one in terms.contracts])
    _refuse_twins("commitment", [one.id for one in terms.commitments])
    return Rules(
        terms=terms,
        capacities=tuple(_read_capacity(one) for one in by_kind["capacity"]),
        fixed=tuple(Fixed(one.id, one.from_ns, one.until_ns) for one in terms.contracts if one.prices),
        ladders=tuple(_read_ladder(one) for one in terms.contracts if one.volume),
        percents=tuple(
            Ladder(one.id, one.from_ns, one.until_ns, ((0, *_ratio(one.percent, f"commitment {one.id}: percent")),))
            for one in (*by_kind["spend"], *by_kind["credits"])
            if one.percent
        ),
        spends=tuple(Spend(one.id, one.from_ns, one.until_ns, _usd(one, "amount_usd")) for one in by_kind["spend"]),
        credits=tuple(_read_credit(one, terms.drawn.get(one.id, 0)) for one in by_kind["credits"]),
    )


def _concerns(rule: Contract | Commitment, provider: str, names: Sequence[str], meter: str, tier: str) -> bool:
    fitting = not rule.models or any(fits(pattern, name) for pattern in rule.models for name in names)
    if rule.provider != provider or not fitting:
        return False
    if isinstance(rule, Commitment):
        return True
    return (not rule.meters or meter in rule.meters) and (not rule.tiers or tier in rule.tiers)


def _positions(rules: Sequence[Fixed | Ladder | Spend | Credit], ids: set[str]) -> tuple[int, ...]:
    return tuple(at for at, rule in enumerate(rules) if rule.id in ids)


def _refuse_twins(what: str, ids: list[str]) -> None:
    for one in ids:
        if ids.count(one) > 1:
            raise ConfigError(f"{what} {one}: two have this id; give each its own")


def _refuse_overlap(ladders: Sequence[Ladder], what: str) -> None:
    for number, one in enumerate(ladders):
        for other in ladders[:number]:
            if one.from_ns < other.until_ns and other.from_ns < one.until_ns:
                raise ConfigError(
                    f"contracts {other.id} and {one.id} both take a percentage by volume off {what} at the same time: "
                    "give them other models, meters, tiers or times"
                )


def _decimal(text: str, where: str) -> Decimal:
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"{where}: {text!r} is not a decimal number") from None
    if not number.is_finite() or number < 0:
        raise ConfigError(f"{where}: {text!r} must be 0 or more")
    return number


def _ratio(percent: str, where: str) -> tuple[int, int]:
    number = _decimal(percent, where)
    if number > 100:
        raise ConfigError(f"{where}: {percent} is more than 100 percent")
    return (number / 100).as_integer_ratio()


def _usd(commitment: Commitment, field: str) -> int:
    text = getattr(commitment, field)
    try:
        return femto_from_usd(_decimal(text, f"commitment {commitment.id}: {field}"))
    except ValueError as error:
        raise ConfigError(f"commitment {commitment.id}: {field}: {error}") from None


def _read_ladder(contract: Contract) -> Ladder:
    where = f"contract {contract.id}: volume"
    rungs = [(femto_from_usd(_decimal(usd, where)), *_ratio(percent, where)) for usd, percent in contract.volume]
    starts = [rung[0] for rung in rungs]
    if starts != sorted(set(starts)):
        raise ConfigError(f"{where}: the amounts must rise")
    if starts[0] > 0:
        rungs.insert(0, (0, 0, 1))
    return Ladder(contract.id, contract.from_ns, contract.until_ns, tuple(rungs))


def _read_credit(commitment: Commitment, drawn_femto: int) -> Credit:
    bought = _usd(commitment, "amount_usd")
    fee = 0
    if commitment.fee_percent:
        numerator, denominator = _ratio(commitment.fee_percent, f"commitment {commitment.id}: fee_percent")
        fee = bought * numerator // denominator
    if commitment.least_fee_usd:
        fee = max(fee, _usd(commitment, "least_fee_usd"))
    if not 0 <= drawn_femto <= bought:
        raise ConfigError(f"commitment {commitment.id}: drawn before: must be between 0 and amount_usd")
    return Credit(commitment.id, commitment.from_ns, commitment.until_ns, bought, drawn_femto, fee)


def _read_capacity(commitment: Commitment) -> Capacity:
    if commitment.units <= 0:
        raise ConfigError(f"commitment {commitment.id}: units must be more than 0")
    unit_femto = _usd(commitment, "unit_price_usd")
    tokens = commitment.unit_tokens_per_minute
    if tokens:
        whole, weights = _read_burn(commitment)
        slot_ns, per_slot = NS_PER_MINUTE, commitment.units * tokens * whole
    else:
        slot_ns, per_slot = NS_PER_HOUR, commitment.units * SECONDS_PER_HOUR
        weights = {"provisioned": 1}
    return Capacity(
        commitment.id, commitment.from_ns, commitment.until_ns, commitment.units, unit_femto, slot_ns, per_slot, weights
    )


def _read_burn(commitment: Commitment) -> tuple[int, dict[str, int]]:
    """Return into how many parts an input token is cut, and how many of them each meter takes.

    Meters of the input that are left out count as an input token, those of the output as ``output`` does.
    """
    where = f"commitment {commitment.id}: burn"
    given = {meter: _decimal(text, f"{where}.{meter}") for meter, text in commitment.burn.items()}
    unknown = [meter for meter in given if meter not in METERS or METERS[meter].family not in ("input", "output")]
    if unknown:
        raise ConfigError(f"{where}: {unknown[0]} does not count tokens of a prompt or an answer")
    usual = {"input": Decimal(1), "output": given.get("output", Decimal(1))}
    burn = {name: given.get(name, usual[meter.family]) for name, meter in METERS.items() if meter.family in usual}
    whole = lcm(*(number.as_integer_ratio()[1] for number in burn.values()))
    return whole, {name: int(number * whole) for name, number in burn.items()}
