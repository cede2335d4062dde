"""How much traffic is to come, from the days that were seen.

With three weeks of days and more, and statsmodels installed (the extra ``forecast``), it is exponential smoothing with
a damped trend and a weekly season (Holt and Winters). Else it is the mean day, and with two weeks and more its weekly
season: no trend is claimed from less. Which of them it was is said. Bands come from drawing the method's own errors on
the seen days again, so many times, with a fixed seed: the same traffic gives the same bands.
"""

import random
from collections.abc import Sequence
from datetime import date, timedelta
from statistics import fmean

import msgspec

from farebox.errors import FareboxError

_LEAST_SMOOTHED = 21
_LEAST_WEEKLY = 14
_PATHS = 1000
_SEED = 20_260_101


class Month(msgspec.Struct, frozen=True):
    """The requests of a month.

    Attributes:
        begin: its first day.
        days: how many it has.
        requests: expected.
        low: a tenth of the drawn futures has fewer.
        high: a tenth has more.
    """

    begin: date
    days: int
    requests: int
    low: int
    high: int


class Forecast(msgspec.Struct, frozen=True):
    """The months to come.

    Attributes:
        months: one by one.
        method: in words, how they were found.
        has_band: whether days were seen that say how much they differ; else low and high are as expected.
    """

    months: tuple[Month, ...]
    method: str
    has_band: bool


class NoTraffic(FareboxError):
    """There is nothing to forecast from."""


class NotAhead(FareboxError):
    """A month was asked for that the traffic itself is in, or comes after."""


def forecast(daily: Sequence[int], last: date, begin: date, months: int, growth_percent: float) -> Forecast:
    """Return what is to come.

    Args:
        daily: requests of each day that was seen whole, in order, without gaps.
        last: the day of the last of them.
        begin: the first day of the first month to come.
        months: how many.
        growth_percent: a month, beyond what the method says.

    Raises:
        NoTraffic: where no request was seen.
        NotAhead: where the first month does not come after the traffic.
    """
    if not any(daily):
        raise NoTraffic("There is no traffic to forecast from: import a log, or send calls through the gateway.")
    if begin <= last:
        raise NotAhead(
            f"--begin {begin:%Y-%m}: the traffic goes on until {last}; begin with "
            f"{_month_after(last.replace(day=1), 1):%Y-%m} or later, or leave out later days with --since FROM..TO"
        )
    spans = []
    for number in range(months):
        first = _month_after(begin, number)
        spans.append((first, (_month_after(begin, number + 1) - first).days))
    horizon = (spans[-1][0] - last).days + spans[-1][1] - 1
    days, errors, method = _smooth(daily, horizon) or _usual_day(daily, last, horizon)
    growth = 1 + growth_percent / 100
    drawn = random.Random(_SEED)  # noqa: S311 - no secret is drawn
    found = []
    for number, (first, length) in enumerate(spans):
        start = (first - last).days - 1
        expected = [max(0.0, each) * growth**number for each in days[start : start + length]]
        # The level's own error is drawn once for a path, since it does not cancel out over the days of a month.
        paths = sorted(
            sum(expected) * (1 + drawn.choice(errors))
            if len(daily) < _LEAST_WEEKLY
            else sum(each * (1 + drawn.choice(errors)) for each in expected) * (1 + fmean(drawn.choices(errors, k=7)))
            for _ in range(_PATHS)
        )
        low, high = paths[_PATHS // 10], paths[_PATHS * 9 // 10]
        found.append(Month(first, length, round(sum(expected)), max(0, round(low)), round(high)))
    if growth_percent:
        method += f"; {growth_percent:+g} % a month on top, as asked"
    has_band = len(daily) > 1
    if not has_band:
        method += "; one day does not say how much days differ, so the bands are not known"
    return Forecast(tuple(found), method, has_band)


def _month_after(begin: date, number: int) -> date:
    months = begin.month - 1 + number
    return date(begin.year + months // 12, months % 12 + 1, 1)


def _smooth(daily: Sequence[int], horizon: int) -> tuple[list[float], list[float], str] | None:
    """Return the days to come and the relative errors of the seen ones, or None where the library cannot be used."""
    if len(daily) < _LEAST_SMOOTHED:
        return None
    try:
        from statsmodels.tsa.holtwinters import ExponentialSmoothing  # noqa: PLC0415 - an extra, slow to load
    except ImportError:
        return None
    model = ExponentialSmoothing(
        [float(each) for each in daily],
        trend="add",
        damped_trend=True,
        seasonal="add",
        seasonal_periods=7,
        initialization_method="estimated",
    )
    fitted = model.fit()
    errors = _relative(daily, [float(each) for each in fitted.fittedvalues])
    days = [float(each) for each in fitted.forecast(horizon)]
    return days, errors, "exponential smoothing with a damped trend and a weekly season (statsmodels)"


def _usual_day(daily: Sequence[int], last: date, horizon: int) -> tuple[list[float], list[float], str]:
    recent = list(daily[-28:])
    level = fmean(recent)
    season = [1.0] * 7
    method = f"the mean of {len(recent)} day{'s' if len(recent) != 1 else ''}, without a trend"
    first = last - timedelta(days=len(recent) - 1)
    if len(recent) >= _LEAST_WEEKLY and level:
        by_day: list[list[int]] = [[] for _ in range(7)]
        for number, each in enumerate(recent):
            by_day[(first + timedelta(days=number)).weekday()].append(each)
        season = [fmean(each) / level for each in by_day]
        method = f"the mean of {len(recent)} days and their weekly season, without a trend"
    seen = [level * season[(first + timedelta(days=number)).weekday()] for number in range(len(recent))]
    days = [level * season[(last + timedelta(days=number + 1)).weekday()] for number in range(horizon)]
    return days, _relative(recent, seen), method


def _relative(seen: Sequence[int], said: Sequence[float]) -> list[float]:
    """Return relative errors around their mean: what a method is wrong by on the whole is in its forecast already."""
    errors = [(each - guess) / guess for each, guess in zip(seen, said, strict=True) if guess > 0] or [0.0]
    middle = fmean(errors)
    return [each - middle for each in errors]
