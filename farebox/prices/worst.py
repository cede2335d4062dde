"""The most that an attempt can cost, from what is known before it ends: the bound that budgets reserve.

Whatever the provider can honestly answer within the bound costs no more: any split of the input among its meters and of
the output among its own, any tier that what was asked leaves open, any fact that only the answer tells.
"""

from bisect import bisect_left
from collections.abc import Mapping
from fractions import Fraction
from itertools import islice, product
from math import ceil

import msgspec

from farebox.charge import Charge, Line, Unpriced
from farebox.prices.arithmetic import amount_of
from farebox.prices.book import PriceBook
from farebox.prices.choose import Choice, Rating, facts_of
from farebox.prices.engine import MAX_FEMTO, find_bands, no_rate, recall
from farebox.prices.rates import Rate, Table
from farebox.prices.tariff import Bands
from farebox.usage import METERS, Usage

# What a request says that leaves the tier to the provider's project, and the dearest that it can answer then.
_LEFT_OPEN = frozenset({None, "auto"})
_DEAREST_TIER = "priority"
_MOST_COMBINATIONS = 256
_SECOND_NS = 1_000_000_000
# Facts that no answer tells: they are known of the endpoint, where they are not the usual ones.
_OF_ENDPOINTS = frozenset({"deployment"})


class Bound(msgspec.Struct, frozen=True):
    """The most an attempt can have used.

    Attributes:
        provider: id in the price book.
        model: what was asked of the provider.
        input_tokens: no more than these were sent.
        output_tokens: no more than these were allowed, over all choices.
        at_ns: when it was sent, nanoseconds since the epoch, UTC.
        service_tier: the tier that was asked for, or None.
        region: of the endpoint, or None.
        facts: what else is known of the endpoint, such as its deployment.
        calls: how many of which fees by the call it can have, such as ``{"web_search": 5}``.
        speed: the speed that was asked for, or None.
    """

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    at_ns: int
    service_tier: str | None = None
    region: str | None = None
    facts: Mapping[str, str] = {}
    calls: Mapping[str, int] = {}
    speed: str | None = None


def worst_case_of(book: PriceBook, bound: Bound) -> Charge | Unpriced:
    """Return the most that an attempt can cost, for one whose end is not known.

    All input at the dearest input meter (a cache write, or audio, where the model has a price for it) and all
    output at the dearest output meter, over every input size that the bound reaches; the fee of the request, and
    of as many calls of tools as the bound says. What a contract takes off is left out; what it puts on is in.
    """
    parts = _bound_parts(book, bound)
    if isinstance(parts, str):
        return Unpriced(parts, book.hash)
    lines = [
        Line(price.meter, quantity, price.femto, amount_of(quantity, price.femto, price.per), price.rate, price.per)
        for price, quantity in parts
    ]
    total = sum([line.amount_femto for line in lines])
    if total > MAX_FEMTO:
        return Unpriced("the amount is larger than one attempt can have", book.hash)
    return Charge(tuple(lines), total, book.hash)


def most_of(book: PriceBook, bound: Bound) -> int | str:
    """Return the total of `worst_case_of` in femtodollars, or why it is not known; without lines, so it is quick."""
    parts = _bound_parts(book, bound)
    if isinstance(parts, str):
        return parts
    return sum([amount_of(quantity, price.femto, price.per) for price, quantity in parts])


def _bound_parts(book: PriceBook, bound: Bound) -> "list[tuple[_Dearest, int]] | str":
    """Return the dearest price of every part of a bound with its quantity, or why there is none."""
    key = (bound.provider, bound.model, bound.service_tier, bound.region, bound.speed, *bound.facts.items())
    second = bound.at_ns // _SECOND_NS
    laid: _Laid | None = book.memo.get(key)
    if laid is None or laid.second != second:
        laid = book.memo[key] = _lay(book, bound, second, None if laid is None else laid.choices)
    if laid.reason:
        return laid.reason
    dearest = laid.dearest[bisect_left(laid.sizes, bound.input_tokens)]
    parts: list[tuple[_Dearest, int]] = []
    for name, quantity in (("input", bound.input_tokens), ("output", bound.output_tokens), *bound.calls.items()):
        if quantity:
            price = dearest.get(name)
            if price is None:
                kind = f"any {name} meter" if name in {"input", "output"} else f"the meter {name}"
                return no_rate(laid.choices[0], f"for {kind}")
            parts.append((price, max(quantity, price.least_units) + price.spare_units))
    request = dearest.get("request")
    if request is not None:
        parts.append((request, 1))
    return parts


class _Dearest(msgspec.Struct, frozen=True):
    """The most that one unit can cost.

    Attributes:
        meter: the one that costs most.
        femto: femtodollars for ``per`` units of it.
        per: so many units.
        rate: the rate it comes from.
        least_units: so many are billed at least.
        spare_units: so many more may be billed, by rounding up and by the least amount of a line.
    """

    meter: str
    femto: int
    per: int
    rate: str
    least_units: int = 0
    spare_units: int = 0


class _Laid(msgspec.Struct, frozen=True):
    """The dearest prices of what was asked, within one second: prices begin and end at whole seconds.

    Attributes:
        second: since the epoch.
        choices: the rates that an answer may fall under.
        reason: why there are none, or "".
        sizes: inputs above these fall under more rates, rising.
        dearest: the dearest rate of all input, of all output and of every fee, by how many sizes the input is above.
    """

    second: int
    choices: tuple[Choice, ...]
    reason: str = ""
    sizes: tuple[int, ...] = ()
    dearest: tuple[dict[str, _Dearest], ...] = ()


def _lay(book: PriceBook, bound: Bound, second: int, known: tuple[Choice, ...] | None) -> _Laid:
    choices = known or _possible_choices(book, bound)
    every: list[Bands] = []
    for choice in choices:
        bands = find_bands(choice, bound.at_ns)
        if not isinstance(bands, str):
            every.append(bands)
        elif choice is choices[0]:
            return _Laid(second, choices, bands)
    sizes = sorted({above for bands in every for above, _ in bands})
    # The bands live as long as the book does, so their identity is a key.
    key = tuple([id(bands) for bands in every])
    dearest: tuple[dict[str, _Dearest], ...] | None = book.memo.get(key)
    if dearest is None:
        # An input of n tokens falls under the rates for inputs above less than n.
        ends = [*sizes, sizes[-1] + 1] if sizes else [0]
        reached = [[table for bands in every for above, table in bands if above < end] for end in ends]
        dearest = book.memo[key] = tuple(map(_find_dearest, reached))
    return _Laid(second, choices, "", tuple(sizes), dearest)


def _possible_choices(book: PriceBook, bound: Bound) -> tuple[Choice, ...]:
    """Return the rates that an honest answer may fall under, those of what was asked for first.

    Where no tier is asked for, the provider's project setting decides, so the answer may say ``priority``. A fact that
    only the answer tells may have any of its values.
    """
    card = book.card(bound.provider)
    found = book.find_model(bound.provider, bound.model) if card is not None else None
    tiers = [bound.service_tier]
    if card is not None and bound.service_tier in _LEFT_OPEN and _DEAREST_TIER in card.tiers.values():
        tiers.append(_DEAREST_TIER)
    unsaid: dict[str, list[str | None]] = {}
    if card is not None and found is not None:
        for fact in sorted(facts_of(card, found[0]) - bound.facts.keys() - _OF_ENDPOINTS):
            values = {row.when[fact] for row in found[0].rows if fact in row.when}
            values |= {uplift.when[fact] for uplift in card.uplifts if fact in uplift.when}
            unsaid[fact] = [None, *sorted(values - {None})]
        for fact in card.facts.keys() - bound.facts.keys() - _OF_ENDPOINTS:
            unsaid[fact] = [*card.facts[fact]]
    combinations = list(islice(product(*unsaid.values()), _MOST_COMBINATIONS))
    choices = [
        recall(book, _rating_of(bound, tier, dict(zip(unsaid, values, strict=True))))
        for tier in tiers
        for values in combinations
    ]
    usable = [choice for choice in choices[1:] if choice.tariff is not None and choice.tariff is not choices[0].tariff]
    return choices[0], *usable


def _rating_of(bound: Bound, tier: str | None, facts: Mapping[str, str | None]) -> Rating:
    said = {fact: value for fact, value in facts.items() if value is not None}
    return Rating(
        provider=bound.provider,
        answered="",
        asked=bound.model,
        usage=Usage({}, 0),
        at_ns=bound.at_ns,
        service_tier=tier,
        speed=bound.speed,
        region=bound.region,
        facts={**said, **bound.facts},
    )


def _find_dearest(tables: list[Table]) -> dict[str, _Dearest]:
    best: dict[str, tuple[Fraction, str, str]] = {}
    least: dict[str, int] = {}
    spare: dict[str, int] = {}
    for table in tables:
        for meter, rate in table.items():
            family = METERS[meter].family
            name = family if family in {"input", "output"} else meter
            price = _dearest_price(rate)
            if name not in best or best[name][0] < price:
                best[name] = price, meter, rate.id
            least[name] = max(least.get(name, 0), rate.least_units)
            units = ceil(Fraction(rate.least_femto) / price) if price else 0
            spare[name] = max(spare.get(name, 0), max(0, rate.step_units - 1) + units)
    return {
        name: _Dearest(meter, price.numerator, price.denominator, rate, least[name], spare[name])
        for name, (price, meter, rate) in best.items()
    }


def _dearest_price(rate: Rate) -> Fraction:
    listed = max(Fraction(femto, per) for _, femto, per in (*rate.bands, (0, rate.femto, rate.per)))
    return max(listed, listed + sum(Fraction(step.femto, step.per) for step in rate.steps))
