"""From a tally to the lines of a settlement, each with its price and its reason."""

from collections.abc import Callable, Sequence
from fractions import Fraction

import msgspec

from farebox.money import usd_text
from farebox.prices.arithmetic import fraction_text, quantity_text
from farebox.prices.rates import Rate
from farebox.prices.settle.month_end import balance_of, capacity_lines, purchase_lines, shortfall_lines
from farebox.prices.settle.nouns import STEPS, Adjustment, Entry, Settlement, Tally
from farebox.prices.settle.periods import NS_PER_DAY, date_text, month_text, next_month
from farebox.prices.settle.rules import Ladder, Rules
from farebox.usage import METERS


def conclude(rules: Rules, tally: Tally, totals: tuple[int, int, int]) -> Settlement:
    """Return the settlement of a tally.

    Args:
        rules: that the tally was made by.
        tally: the sums of all items.
        totals: how many items there were, their sum at list price and as charged.
    """
    entries = sorted(tally, key=lambda entry: (STEPS.index(entry.step), entry))
    lines = [_write(rules, entry, *tally[entry]) for entry in entries if tally[entry][1]]
    for capacity in rules.capacities:
        lines += capacity_lines(rules, capacity, tally)
    for spend in rules.spends:
        lines += shortfall_lines(rules, spend, tally)
    for credit in rules.credits:
        lines += purchase_lines(rules, credit)
    return Settlement(
        items=totals[0],
        list_femto=totals[1],
        charged_femto=totals[2],
        adjustments=tuple(lines),
        owed_femto=totals[2] + sum(line.amount_femto for line in lines),
        balances=tuple(balance_of(rules, credit, tally) for credit in rules.credits),
    )


class _Words(msgspec.Struct, frozen=True):
    """What a line says beside its amount.

    Attributes:
        id: of the line.
        meter: whose units it counts, or "" for money.
        reason: without the period.
        price: what it adds for one of these, or None for the amount by the quantity.
        daily: whether the period is a day.
    """

    id: str
    meter: str
    reason: str
    price: Fraction | None = None
    daily: bool = False


def _write(rules: Rules, entry: Entry, quantity: int, amount_femto: int) -> Adjustment:
    words = _WRITERS[entry.step](rules, entry, quantity)
    price = words.price if words.price is not None else Fraction(amount_femto, quantity)
    end_ns = entry.from_ns + NS_PER_DAY if words.daily else min(next_month(entry.from_ns), rules.terms.until_ns)
    period = date_text(entry.from_ns) if words.daily else month_text(entry.from_ns)
    return Adjustment(
        id=words.id,
        account=entry.account,
        from_ns=entry.from_ns,
        until_ns=end_ns,
        meter=words.meter,
        rate=entry.rate,
        quantity=quantity,
        unit_price_femto=price.numerator,
        per=price.denominator,
        amount_femto=amount_femto,
        reason=f"{period}: {words.reason}",
    )


def _word_covered(rules: Rules, entry: Entry, quantity: int) -> _Words:
    rate = _rate_of(rules, entry)
    reason = f"{_counted(rate.meter, quantity)} served by the capacity of {entry.id}"
    return _Words(f"commitment/{entry.id}/covered", rate.meter, reason)


def _word_pool(rules: Rules, entry: Entry, quantity: int) -> _Words:
    rate = _rate_of(rules, entry)
    daily = rate.pool is not None and rate.pool.period == "day"
    reason = f"{_counted(rate.meter, quantity)} free of charge"
    return _Words(f"pool/{entry.id}", rate.meter, reason, daily=daily)


def _word_marginal(rules: Rules, entry: Entry, quantity: int) -> _Words:
    rate = _rate_of(rules, entry)
    beyond = quantity_text(rate.meter, rate.bands[entry.band][0])
    reason = f"{_counted(rate.meter, quantity)} beyond the first {beyond}"
    return _Words(f"marginal/{entry.id}#{entry.band + 1}", rate.meter, reason)


def _word_volume(rules: Rules, entry: Entry, quantity: int) -> _Words:
    start, numerator, denominator = _ladder_of(rules.ladders, entry).rungs[entry.band]
    part = Fraction(numerator, denominator)
    reason = f"{_percent(part)} off {usd_text(quantity)} USD spent beyond {usd_text(start)} USD at list price"
    return _Words(f"contract/{entry.id}/volume#{entry.band + 1}", "", reason, -part)


def _word_percent(rules: Rules, entry: Entry, quantity: int) -> _Words:
    part = Fraction(*_ladder_of(rules.percents, entry).rungs[0][1:])
    reason = f"{_percent(part)} off {usd_text(quantity)} USD that {entry.id} covers"
    return _Words(f"commitment/{entry.id}/percent", "", reason, -part)


def _word_drawn(_rules: Rules, entry: Entry, _quantity: int) -> _Words:
    return _Words(f"commitment/{entry.id}/drawn", "", f"paid with the credits of {entry.id}", Fraction(-1))


_WRITERS: dict[str, Callable[[Rules, Entry, int], _Words]] = {
    "capacity": _word_covered,
    "pool": _word_pool,
    "marginal": _word_marginal,
    "volume": _word_volume,
    "percent": _word_percent,
    "draw": _word_drawn,
}


def _rate_of(rules: Rules, entry: Entry) -> Rate:
    rate = rules.terms.find_rate(entry.rate)
    assert rate is not None, "a tally has only rates that were found"
    return rate


def _ladder_of(ladders: Sequence[Ladder], entry: Entry) -> Ladder:
    return next(ladder for ladder in ladders if ladder.id == entry.id)


def _counted(meter: str, quantity: int) -> str:
    """Return a quantity in words, such as ``1 web_search`` or ``10240 GB of egress``."""
    unit = METERS[meter].unit
    text = quantity_text(meter, quantity)
    return f"{text} {meter}" if unit in ("token", "call") else f"{text} {unit} of {meter}"


def _percent(part: Fraction) -> str:
    return f"{fraction_text(part * 100)}%"
