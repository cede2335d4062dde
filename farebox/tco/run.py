"""Puts a forecast and schemes together: what each costs month by month, with bands, and what leaving it costs.

The recorded traffic stands for all that is to come. For each month it is moved, by whole weeks, to that month's
beginning and priced there, so that prices that are announced for later, and hours and days of schedules, count; the
amount is then scaled by the forecast's requests. Quantities are whole and amounts exact from there on.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import msgspec

from farebox.books.query import Books
from farebox.prices.book import PriceBook
from farebox.tco.forecast import Forecast, Month, NoTraffic, forecast
from farebox.whatif import run as whatif
from farebox.whatif.fixed import Provisioned, Usage, exit_costs, lines_of
from farebox.whatif.run import SchemeResult
from farebox.whatif.schemes import Assumption, WhatIf

_DAY_NS = 86_400_000_000_000
_WEEK_NS = 7 * _DAY_NS
_OUTPUTS = frozenset({"output", "reasoning", "output_audio", "output_image", "output_video"})


class Asked(msgspec.Struct, frozen=True):
    """What is asked: the first month, how many, growth in percent a month, and whether tokens are adjusted."""

    begin: date
    months: int
    growth_percent: float = 0.0
    adjust_tokens: bool = False


class MonthCost(msgspec.Struct, frozen=True):
    """What a month costs under a scheme, femtodollars: line by line, and at the ends of the forecast's band."""

    begin: date
    requests: int
    lines: dict[str, int]
    cost_femto: int
    low_femto: int
    high_femto: int


class SchemeCost(msgspec.Struct, frozen=True):
    """What a scheme costs over the months, femtodollars.

    Attributes:
        name: of the scheme.
        months: one by one.
        total_femto, low_femto, high_femto: of them all.
        exit_femto: what leaving after each month costs.
        unpriced: recorded requests without a price in some month; they are in no amount.
        price_changes: months whose prices differ from those of the month before, and by how much in percent.
        assumptions: what it rests on.
    """

    name: str
    months: tuple[MonthCost, ...]
    total_femto: int
    low_femto: int
    high_femto: int
    exit_femto: tuple[int, ...]
    unpriced: int
    price_changes: tuple[tuple[date, float], ...]
    assumptions: tuple[Assumption, ...]


class Tco(msgspec.Struct, frozen=True):
    """The forecast and the schemes; ``seen`` says in words what traffic it is made from."""

    forecast: Forecast
    schemes: tuple[SchemeCost, ...]
    seen: str


def run(
    books: Books,
    schemes: Sequence[tuple[WhatIf, PriceBook]],
    asked: Asked,
    tell: Callable[[str, int, int], None] | None = None,
) -> Tco:
    """Return what schemes cost over months.

    Raises:
        NoTraffic: where nothing was seen.
        NotAhead: where the first month does not come after what was seen.
    """
    first_ns, last_ns, requests = books.ask(
        "SELECT epoch_ns(min(sent_at)), epoch_ns(max(sent_at)), sum(coalesce(requests, 1)) FROM attempts"
    )[0]
    if first_ns is None:
        raise NoTraffic("The books are empty in this time: import a log, or send calls through the gateway.")
    daily, last_day, seen = _days(books, first_ns, last_ns)
    ahead = forecast(daily, last_day, asked.begin, asked.months, asked.growth_percent)
    priced: list[list[SchemeResult]] = []
    for number, month in enumerate(ahead.months):
        shift_ns = _shift(first_ns, month.begin)
        result = whatif.run(books, schemes, adjust_tokens=asked.adjust_tokens, shift_ns=shift_ns)
        priced.append(list(result.schemes))
        if tell is not None:
            tell("price", number + 1, asked.months)
    costs = [
        _scheme(
            books, one, [results[place] for results in priced], ahead, (int(requests), Fraction(sum(daily), len(daily)))
        )
        for place, (one, _) in enumerate(schemes)
    ]
    return Tco(ahead, tuple(costs), seen)


def _days(books: Books, first_ns: int, last_ns: int) -> tuple[list[int], date, str]:
    """Return the requests of each day that was seen whole, the last of these days, and in words what was seen.

    Where there is no whole day, all that was seen is taken for one; of more than 24 hours, 24 hours' part.
    """
    rows = books.ask("SELECT sent_at::DATE, sum(coalesce(requests, 1)), count(*) FROM attempts GROUP BY 1")
    counts = {day: int(count) for day, count, _ in rows}
    first, last = _date(first_ns), _date(last_ns)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    whole = days[1:-1]
    if not whole:
        hours = (last_ns - first_ns) / 3_600e9
        total = sum(counts.values())
        # From the first row to the last lie one gap fewer than there are rows.
        attempts = sum(count for _, _, count in rows)
        seen_ns = Fraction(last_ns - first_ns) * attempts / max(1, attempts - 1)
        if seen_ns > _DAY_NS:
            a_day = round(total * _DAY_NS / seen_ns)
            return [a_day], last, f"{total:,} requests in {hours:.1f} hours, taken for {a_day:,} a day"
        return [total], last, f"{total:,} requests in {hours:.1f} hours, taken for a whole day's"
    daily = [counts.get(day, 0) for day in whole]
    return daily, whole[-1], f"{sum(daily):,} requests in {len(whole)} whole days, {whole[0]} to {whole[-1]}"


def _date(at_ns: int) -> date:
    return datetime.fromtimestamp(at_ns // 1_000_000_000, UTC).date()


def _shift(first_ns: int, begin: date) -> int:
    """Return by how much the traffic moves: whole weeks, to the first week of a month."""
    begin_ns = int(datetime(begin.year, begin.month, begin.day, tzinfo=UTC).timestamp()) * 1_000_000_000
    return -(-(begin_ns - first_ns) // _WEEK_NS) * _WEEK_NS


def _scheme(
    books: Books, one: WhatIf, results: Sequence[SchemeResult], ahead: Forecast, recorded: tuple[int, Fraction]
) -> SchemeCost:
    requests, requests_a_day = recorded
    months = []
    for number, (month, result) in enumerate(zip(ahead.months, results, strict=True)):
        outputs = sum(line.quantity for line in result.lines if line.meter in _OUTPUTS)
        costs = []
        for count in (month.requests, month.low, month.high):
            part = Fraction(count, requests)
            usage = Usage(
                number,
                month.days,
                round(result.cost_femto * part),
                _over_share(books, one.table.fixed.provisioned, Fraction(count, month.days) / requests_a_day),
                round(outputs * part),
            )
            costs.append(lines_of(one.table.fixed, result.monthly_femto, usage))
        expected, low, high = (sum(lines.values()) for lines in costs)
        months.append(MonthCost(month.begin, month.requests, costs[0], expected, low, high))
    return SchemeCost(
        one.name,
        tuple(months),
        sum(each.cost_femto for each in months),
        sum(each.low_femto for each in months),
        sum(each.high_femto for each in months),
        tuple(exit_costs(one.table.fixed, ahead.months[0].begin, len(months))),
        max(result.unpriced for result in results),
        tuple(_changes(ahead.months, results)),
        results[0].assumptions,
    )


def _changes(months: Sequence[Month], results: Sequence[SchemeResult]) -> list[tuple[date, float]]:
    """Return the months in which the same traffic costs something else than in the month before."""
    found = []
    for before, after, month in zip(results, results[1:], months[1:], strict=False):
        if before.cost_femto and before.cost_femto != after.cost_femto:
            found.append((month.begin, (after.cost_femto / before.cost_femto - 1) * 100))
    return found


def _over_share(books: Books, provisioned: Provisioned | None, factor: Fraction) -> Fraction:
    """Return the share of the tokens beyond what provisioned units take in a minute.

    Args:
        books: of the recorded minutes.
        provisioned: the units, or None where there are none, so that everything is paid as it is used.
        factor: how much fuller minutes are than those recorded.
    """
    if provisioned is None:
        return Fraction(1)
    room = provisioned.units * provisioned.tokens_per_minute * factor.denominator
    tokens = f"tokens * {factor.numerator}::HUGEINT"
    over, whole = books.ask(
        f"""
        SELECT coalesce(sum(greatest({tokens} - {room}::HUGEINT, 0)), 0), coalesce(sum({tokens}), 0) FROM (
            SELECT sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0))::HUGEINT AS tokens
            FROM attempts GROUP BY time_bucket(INTERVAL 1 MINUTE, sent_at))
        """  # noqa: S608 - integers
    )[0]
    return Fraction(int(over), int(whole)) if whole else Fraction(0)
