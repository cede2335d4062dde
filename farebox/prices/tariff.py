"""A model's rates over time: validity, schedules and input sizes laid out so that a charge is a few look-ups.

Of the rows that hold at once, the one with more conditions goes first, meter by meter; a row for longer inputs
replaces the one for shorter ones as a whole. What is then left out is filled in as published: from the tier that
the row names in ``rest``, and from the meter that a meter inherits from. Uplifts, the exchange rate and the steps
of contracts are worked into the rates here, once, so that a charge only multiplies and adds.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import product

import msgspec

from farebox.errors import ConfigError
from farebox.money import femto_from_usd
from farebox.prices.arithmetic import fraction_of, percent_of
from farebox.prices.match import fits
from farebox.prices.rates import (
    ALWAYS_NS,
    ANY_TIER,
    NEVER_NS,
    USD,
    Card,
    Contract,
    Exchange,
    Model,
    Price,
    Rate,
    Row,
    Table,
    Uplift,
)
from farebox.prices.rows import conditions_of
from farebox.prices.windows import Timetable
from farebox.usage import METERS

Bands = tuple[tuple[int, Table], ...]


class Circumstances(msgspec.Struct, frozen=True):
    """What rates depend on beside the time and the size of the input.

    Attributes:
        tier: the tier of the rows.
        region: the region that is billed, or "".
        facts: other facts that rows or uplifts of the model name, sorted.
    """

    tier: str
    region: str = ""
    facts: tuple[tuple[str, str], ...] = ()


class Terms(msgspec.Struct, frozen=True):
    """What the rates of a card are worked out with.

    Attributes:
        card: the provider's.
        timetables: the schedules, by id.
        exchange: rates of other currencies, in order of time.
        contracts: those with this provider that change prices call by call, in order.
    """

    card: Card
    timetables: Mapping[str, Timetable]
    exchange: Sequence[Exchange] = ()
    contracts: Sequence[Contract] = ()


class Tariff:
    """All rates of one model under given circumstances, in order of time.

    A span of time within which only schedules change anything is a segment; its tables are made when first asked
    for, one set for every combination of schedules that are on.
    """

    def __init__(self, terms: Terms, model: Model, circumstances: Circumstances) -> None:
        self._terms: Terms = terms
        self._model: Model = model
        self._rows: list[Row] = [row for row in model.rows if _holds_for(row, circumstances)]
        self._tier: str = circumstances.tier
        self._uplifts: list[Uplift] = _uplifts_of(terms.card, model, circumstances)
        self._contracts: list[Contract] = [
            contract
            for contract in terms.contracts
            if (not contract.tiers or circumstances.tier in contract.tiers) and covers(contract.models, model)
        ]
        marks = self._marks()
        self._starts: list[int] = marks[:-1]
        self._ends: list[int] = marks[1:]
        self._switches: list[tuple[str, ...]] = [self._switches_in(start) for start in self._starts]
        self._bands: list[dict[tuple[bool, ...], Bands]] = [{} for _ in self._starts]
        self._fixed: Bands | None = None  # all there is, where nothing ever changes

    def at(self, at_ns: int) -> Bands:
        """Return the tables that hold at an instant, from the largest inputs down; none: there is no price.

        Raises:
            ConfigError: where two rows hold at once and neither goes before the other.
        """
        if self._fixed is not None:
            return self._fixed
        index = bisect_right(self._starts, at_ns) - 1
        switches = self._switches[index]
        state = tuple([self._terms.timetables[name].is_on(at_ns) for name in switches]) if switches else ()
        bands = self._bands[index].get(state)
        if bands is None:
            bands = self._bands[index][state] = self._lay(index, state)
            if len(self._starts) == 1 and not switches:
                self._fixed = bands
        return bands

    def every(self) -> Iterator[tuple[int, int, Bands]]:
        """Yield all bands there can be, with the span of time they are from.

        Raises:
            ConfigError: where two rows hold at once and neither goes before the other.
        """
        for index, switches in enumerate(self._switches):
            for state in product((False, True), repeat=len(switches)):
                yield self._starts[index], self._ends[index], self._lay(index, state)

    def spans(self) -> Iterator[tuple[int, int]]:
        """Yield the spans of time within which only schedules change anything."""
        yield from zip(self._starts, self._ends, strict=True)

    @property
    def schedules(self) -> set[str]:
        """The ids of the schedules that matter."""
        return {name for switches in self._switches for name in switches}

    def _marks(self) -> list[int]:
        marks = {ALWAYS_NS, NEVER_NS}
        dated: list[Row | Uplift | Contract] = [*self._rows, *self._uplifts, *self._contracts]
        for one in dated:
            marks |= {one.from_ns, one.until_ns}
        currencies = {row.currency for row in self._rows}
        marks |= {rate.from_ns for rate in self._terms.exchange if rate.currency in currencies}
        return sorted(marks)

    def _switches_in(self, from_ns: int) -> tuple[str, ...]:
        """Return the schedules that matter in the segment that starts then; nothing starts or ends within it."""
        dated: list[Row | Uplift] = [*self._rows, *self._uplifts]
        return tuple(sorted({one.schedule for one in dated if one.schedule and _valid(one, from_ns)}))

    def _lay(self, index: int, state: tuple[bool, ...]) -> Bands:
        """Return the tables of one segment and one state of its schedules, largest inputs first."""
        at_ns = self._starts[index]
        on = {name for name, is_on in zip(self._switches[index], state, strict=True) if is_on}
        rows = [row for row in self._rows if _valid(row, at_ns) and (not row.schedule or row.schedule in on)]
        uplifts = [one for one in self._uplifts if _valid(one, at_ns) and (not one.schedule or one.schedule in on)]
        replaced = {name for uplift in uplifts for name in uplift.replaces}
        works = _Works(self._terms, at_ns, [one for one in uplifts if one.id not in replaced], self._contracts)
        bands: list[tuple[int, Table]] = []
        last: list[Row] | None = None
        mine = [row for row in rows if row.tier in (self._tier, ANY_TIER)]
        for above in sorted({row.above for row in rows}):
            picked = _pick(mine, above)
            if not picked:
                continue
            tiers = {row.rest for row in picked if row.rest}
            rest = _pick([row for row in rows if row.tier in tiers], above)
            if [*picked, *rest] != last:
                last = [*picked, *rest]
                bands.append((above, self._fill(picked, rest, works)))
        return tuple(reversed(bands))

    def _fill(self, picked: list[Row], rest: list[Row], works: "_Works") -> Table:
        table: dict[str, Rate] = {}
        for rows in (picked, rest):
            for meter in METERS:
                if meter in table:
                    continue
                row = _first(rows, meter)
                if row is not None:
                    table[meter] = works.rate(row, meter)
        for meter in self._model.inherit:
            # A meter may inherit from one that inherits itself.
            heir, seen = meter, {meter}
            while heir not in table and heir in self._model.inherit and self._model.inherit[heir] not in seen:
                heir = self._model.inherit[heir]
                seen.add(heir)
            if heir in table and meter not in table:
                table[meter] = table[heir]
        return table


class _Works:
    """Works prices into rates, at one instant."""

    def __init__(self, terms: Terms, at_ns: int, uplifts: list[Uplift], contracts: list[Contract]) -> None:
        self._terms: Terms = terms
        self._at_ns: int = at_ns
        self._uplifts: list[Uplift] = uplifts
        self._contracts: list[Contract] = [contract for contract in contracts if _valid(contract, at_ns)]

    def rate(self, row: Row, meter: str) -> Rate:
        """Return the rate of one meter of a row."""
        uplifts = tuple(uplift for uplift in self._uplifts if _applies(uplift, meter))
        exchange = self._exchange(row)
        factor = Fraction(1)
        for uplift in uplifts:
            factor *= percent_of(uplift.times) * 100
        if exchange is not None:
            factor *= percent_of(exchange.usd) * 100
        marks = "".join(f"+{uplift.id}" for uplift in uplifts) + (f"+{exchange.currency}" if exchange else "")
        prices: list[tuple[int, Price]] = [(0, row.prices[meter]), *row.marginal.get(meter, ())]
        bands = [(start, fraction_of(price) * factor) for start, price in prices]
        pool = row.pool.get(meter)
        rate = _rate(f"{row.id}#{meter}{marks}", meter, bands)
        least_usd = row.least_amount.get(meter)
        rate = msgspec.structs.replace(
            rate,
            row=row,
            uplifts=uplifts,
            exchange=exchange,
            least_units=row.least_units.get(meter, 0),
            step_units=row.step_units.get(meter, 0),
            least_femto=0 if least_usd is None else femto_from_usd(least_usd),
            pool=None if pool is None else self._terms.card.pools[pool],
            steps=self._steps(meter, bands),
        )
        special = rate.least_units or rate.step_units or rate.least_femto or rate.pool or rate.steps or rate.bands
        return msgspec.structs.replace(rate, plain=rate.per == 1 and not special)

    def _exchange(self, row: Row) -> Exchange | None:
        if row.currency == USD:
            return None
        known = [rate for rate in self._terms.exchange if rate.currency == row.currency]
        held = [rate for rate in known if rate.from_ns <= self._at_ns]
        if held:
            return max(held, key=lambda rate: rate.from_ns)
        if known:
            raise ConfigError(f"row {row.id}: there is no exchange rate of {row.currency} for that time")
        raise ConfigError(f"row {row.id}: there is no exchange rate of {row.currency}; add [[exchange]]")

    def _steps(self, meter: str, bands: list[tuple[int, Fraction]]) -> tuple[Rate, ...]:
        """Return the steps of the contracts, each the difference that it makes to the price so far."""
        steps: list[Rate] = []
        for contract in self._contracts:
            if contract.meters and meter not in contract.meters:
                continue
            if contract.percent:
                agreed = [(start, price * (1 - percent_of(contract.percent))) for start, price in bands]
            elif meter in contract.prices:
                agreed = [(start, fraction_of(contract.prices[meter])) for start, _ in bands]
            else:
                continue
            changes = [(start, new - old) for (start, new), (_, old) in zip(agreed, bands, strict=True)]
            if any(change for _, change in changes):
                step = _rate(f"contract/{contract.id}#{meter}", meter, changes)
                steps.append(msgspec.structs.replace(step, contract=contract))
            bands = agreed
        return tuple(steps)


def covers(patterns: Sequence[str], model: Model) -> bool:
    """Return whether patterns name a model, by its id or by one of its names."""
    return any(fits(pattern, name) for pattern in patterns for name in (model.id, *model.names))


def _rate(rate_id: str, meter: str, bands: list[tuple[int, Fraction]]) -> Rate:
    price = bands[0][1]
    marginal = tuple((start, one.numerator, one.denominator) for start, one in bands) if len(bands) > 1 else ()
    return Rate(rate_id, price.numerator, meter, None, price.denominator, bands=marginal)


def _holds_for(row: Row, circumstances: Circumstances) -> bool:
    facts = dict(circumstances.facts)
    return all(facts.get(fact) == value for fact, value in row.when.items())


def _uplifts_of(card: Card, model: Model, circumstances: Circumstances) -> list[Uplift]:
    facts = dict(circumstances.facts)
    return [
        uplift
        for uplift in card.uplifts
        if (not uplift.regions or circumstances.region in uplift.regions)
        and (not uplift.tiers or circumstances.tier in uplift.tiers)
        and all(facts.get(fact) == value for fact, value in uplift.when.items())
        and covers(uplift.models, model)
    ]


def _valid(dated: Row | Uplift | Contract, at_ns: int) -> bool:
    return dated.from_ns <= at_ns < dated.until_ns


def _applies(uplift: Uplift, meter: str) -> bool:
    return meter in uplift.meters if uplift.meters else METERS[meter].unit == "token"


def _pick(rows: list[Row], above: int) -> list[Row]:
    """Return, for inputs just above a size, the row of every set of conditions: the one with the highest size."""
    found: dict[frozenset[tuple[str, str]], Row] = {}
    for row in rows:
        if row.above <= above:
            conditions = conditions_of(row)
            if conditions not in found or found[conditions].above < row.above:
                found[conditions] = row
    return list(found.values())


def _first(rows: list[Row], meter: str) -> Row | None:
    """Return the row that goes before all others that price a meter, or None.

    Raises:
        ConfigError: where two of them have nobody before them.
    """
    priced = [row for row in rows if meter in row.prices]
    if len(priced) <= 1:
        return priced[0] if priced else None
    conditions = [conditions_of(row) for row in priced]
    firsts = [
        row for row, mine in zip(priced, conditions, strict=True) if not any(mine < other for other in conditions)
    ]
    if len(firsts) > 1:
        raise ConfigError(f"rows {firsts[0].id} and {firsts[1].id} both price {meter} and hold at once")
    return firsts[0]
