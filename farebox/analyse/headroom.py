"""When traffic will reach what a provider allows: limits by the minute, monthly caps, the next spend tier. Pure.

The method is a straight line through the days that were seen, by least squares, carried on for as long as a year; days
without traffic count as nothing. How sure that is, is said by the number of days and by how much of their variation the
line explains. It knows no weekends and no launches.
"""

import calendar
from collections.abc import Callable, Sequence
from datetime import date, timedelta
from fractions import Fraction
from typing import Literal

import msgspec

from farebox.providers.spend_tiers import SpendTier

HORIZON_DAYS = 365
_MANY_DAYS = 14
_FEW_DAYS = 7
Sureness = Literal["high", "medium", "low"]


class Day(msgspec.Struct, frozen=True):
    """What one provider was sent on a day.

    Attributes:
        day: UTC.
        spent_femto: femtodollars.
        requests_peak: requests in the busiest minute.
        input_peak: tokens of input in the busiest minute.
        output_peak: tokens of output in the busiest minute.
        tokens_peak: tokens of both in the busiest minute.
    """

    day: date
    spent_femto: int
    requests_peak: int
    input_peak: int
    output_peak: int
    tokens_peak: int


class Outlook(msgspec.Struct, frozen=True):
    """One thing that traffic may reach.

    Attributes:
        what: in words.
        unit: ``usd`` (amounts are femtodollars), or what is counted.
        now: where traffic stands: the highest peak of the last week, or what was spent.
        limit: what may be reached.
        reached_on: the first day on which it is, the last day seen where it is already, or None: not within a year.
        sureness: of the line.
    """

    what: str
    unit: str
    now: int
    limit: int
    reached_on: date | None
    sureness: Sureness


class Line(msgspec.Struct, frozen=True):
    """A straight line through days: its value on day 0, its rise a day, and how much of the variation it explains."""

    start: Fraction
    rise: Fraction
    explains: Fraction
    days: int

    def at(self, day: int) -> Fraction:
        """Return its value on a day."""
        return self.start + self.rise * day

    @property
    def sureness(self) -> Sureness:
        """How far it can be relied on."""
        if self.days >= _MANY_DAYS and self.explains >= Fraction(1, 2):
            return "high"
        return "medium" if self.days >= _FEW_DAYS and self.explains >= Fraction(1, 5) else "low"


def draw_line(values: Sequence[int]) -> Line:
    """Return the line through values of days that follow each other, by least squares."""
    count = len(values)
    mean_x = Fraction(count - 1, 2)
    mean_y = Fraction(sum(values), count)
    across = sum((x - mean_x) ** 2 for x in range(count))
    if not across:
        return Line(mean_y, Fraction(0), Fraction(0), count)
    rise = sum((x - mean_x) * (y - mean_y) for x, y in enumerate(values)) / across
    variation = sum((y - mean_y) ** 2 for y in values)
    explains = rise**2 * across / variation if variation else Fraction(1)
    return Line(mean_y - rise * mean_x, Fraction(rise), Fraction(explains), count)


def look_ahead(
    days: Sequence[Day], limits: dict[str, int], tiers: Sequence[SpendTier], paid_femto: int
) -> list[Outlook]:
    """Return what a provider's traffic may reach, soonest first.

    Args:
        days: that follow each other, without gaps, the last one whole.
        limits: by the minute, as configured: requests, tokens, input_tokens or output_tokens.
        tiers: of the provider, from the lowest up.
        paid_femto: what it was paid in all, as far as the books know.
    """
    if not days:
        return []
    found = [_peak_outlook(unit, limit, days) for unit, limit in limits.items()]
    spent = draw_line([day.spent_femto for day in days])
    found += _tier_outlooks(tiers, days, spent, paid_femto)
    return sorted(found, key=lambda one: (one.reached_on is None, one.reached_on or date.max))


_PEAK_OF: dict[str, Callable[[Day], int]] = {
    "requests": lambda day: day.requests_peak,
    "tokens": lambda day: day.tokens_peak,
    "input_tokens": lambda day: day.input_peak,
    "output_tokens": lambda day: day.output_peak,
}


def _peak_outlook(unit: str, limit: int, days: Sequence[Day]) -> Outlook:
    peaks = [_PEAK_OF[unit](day) for day in days]
    line = draw_line(peaks)
    now = max(peaks[-_FEW_DAYS:])
    last = days[-1].day
    reached = last if now >= limit else None
    if reached is None and line.rise > 0:
        reached = next(
            (last + timedelta(ahead) for ahead in range(1, HORIZON_DAYS) if line.at(len(days) - 1 + ahead) >= limit),
            None,
        )
    return Outlook(f"{unit.replace('_', ' ')} a minute", unit, now, limit, reached, line.sureness)


def _tier_outlooks(tiers: Sequence[SpendTier], days: Sequence[Day], spent: Line, paid_femto: int) -> list[Outlook]:
    """Return when the next tier is reached, and when a month exceeds the cap of the tier that is reached by then."""
    found = []
    reached = [tier for tier in tiers if tier.paid_femto is not None and tier.paid_femto <= paid_femto]
    following = next((tier for tier in tiers if tier.paid_femto is not None and tier.paid_femto > paid_femto), None)
    if following is not None and following.paid_femto is not None:
        on = _day_of_total(following.paid_femto - paid_femto, days, spent)
        what = f"tier {following.name}" + (f", {following.days} days after the first payment" if following.days else "")
        found.append(Outlook(what, "usd", paid_femto, following.paid_femto, on, spent.sureness))
    unknown = [tier for tier in tiers if tier.paid_femto is None][:1]
    for tier in [*reached[-1:], *([] if reached else unknown)]:
        if tier.monthly_femto is not None:
            month = days[-1].day.replace(day=1)
            now = sum(day.spent_femto for day in days if day.day >= month)
            on = _day_of_month(tier.monthly_femto, now, days, spent)
            found.append(
                Outlook(f"monthly cap of tier {tier.name}", "usd", now, tier.monthly_femto, on, spent.sureness)
            )
    return found


def _day_of_total(missing_femto: int, days: Sequence[Day], spent: Line) -> date | None:
    """Return when so much more will have been spent."""
    total = Fraction(0)
    for ahead in range(1, HORIZON_DAYS):
        total += max(Fraction(0), spent.at(len(days) - 1 + ahead))
        if total >= missing_femto:
            return days[-1].day + timedelta(ahead)
    return None


def _day_of_month(cap_femto: int, now_femto: int, days: Sequence[Day], spent: Line) -> date | None:
    """Return the first day on which a calendar month will have cost more than a cap."""
    last = days[-1].day
    if now_femto >= cap_femto:
        return last
    total = Fraction(now_femto)
    day = last
    for ahead in range(1, HORIZON_DAYS):
        if day.day == calendar.monthrange(day.year, day.month)[1]:
            total = Fraction(0)
        day = last + timedelta(ahead)
        total += max(Fraction(0), spent.at(len(days) - 1 + ahead))
        if total >= cap_femto:
            return day
    return None
