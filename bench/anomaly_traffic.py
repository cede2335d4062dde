"""Labelled traffic for `bench.anomalies`: seasons, growth, a weekly batch job, holidays, and what is to be found.

An hour's requests are a Poisson number around a rate with a daily and a weekly season, growth of up to 3 % a week, a
batch job once a week and one or two holidays, and days and hours that differ for no reason. Tokens of a request follow
long-tailed distributions, about half of the input comes from a cache; sums over many requests are drawn from gamma
distributions of the same mean and variance. Anomalies begin after the fourth week.
"""

import math
import random
from collections.abc import Iterator

import msgspec
from farebox.anomalies.tally import Tally

WEEK_HOURS = 168
KINDS = ("spike", "runaway", "drift", "price rise", "cache loss", "level shift")
_INPUT, _CACHED, _OUTPUT = 2_500_000_000, 250_000_000, 10_000_000_000  # femtodollars a token
_INPUT_MEAN, _INPUT_CV = 1800.0, 1.2
_OUTPUT_MEAN, _OUTPUT_CV = 220.0, 1.0
_HIT = 0.6  # of the input


class Label(msgspec.Struct, frozen=True):
    """An anomaly: its kind, and the hours from its start to its end, of the series."""

    kind: str
    start: int
    end: int
    factor: float

    def strength(self, at: float) -> float:
        """Return how many times the usual it is at a moment in hours."""
        if not self.start <= at < self.end:
            return 1.0
        if self.kind == "drift":
            return 1 + (self.factor - 1) * (at - self.start) / (self.end - self.start)
        return self.factor


class Series(msgspec.Struct, frozen=True):
    """Traffic of one key: requests an hour on average, weeks, seed, and at most one anomaly."""

    volume: float
    weeks: int
    seed: int
    label: Label | None


def make_series(volume: float, weeks: int, seed: int, kind: str = "") -> Series:
    """Return a series, with an anomaly of a kind or without."""
    draw = random.Random(f"label {seed}")  # noqa: S311 - traffic, not secrets
    if not kind:
        return Series(volume, weeks, seed, None)
    length, low, high = {
        "spike": (draw.randint(1, 3), 3.0, 6.0),
        "runaway": (draw.randint(3, 8), 1.6, 2.5),
        "drift": (72, 2.0, 2.0),
        "price rise": (48, 1.5, 2.2),
        "cache loss": (24, 0.0, 0.2),
        "level shift": (48, 1.3, 1.6),
    }[kind]
    start = draw.randint(4 * WEEK_HOURS, weeks * WEEK_HOURS - 100)
    return Series(volume, weeks, seed, Label(kind, start, start + length, draw.uniform(low, high)))


def tallies(series: Series, steps: int = 1) -> Iterator[Tally]:
    """Yield what was used, in so many steps an hour."""
    draw = random.Random(series.seed)  # noqa: S311 - as above
    peak, weekend = draw.randint(0, 23), draw.uniform(0.3, 0.9)
    swing, growth = draw.uniform(0.3, 0.8), draw.uniform(0, 0.03)
    batch = draw.randrange(WEEK_HOURS)
    holidays = {draw.randrange(series.weeks * 7) for _ in range(draw.randint(1, 2))}
    day_factor = 1.0
    for hour in range(series.weeks * WEEK_HOURS):
        if hour % 24 == 0:
            day_factor = draw.lognormvariate(0, 0.05)
        rate = series.volume * day_factor * draw.lognormvariate(0, 0.04) * (1 + growth) ** (hour / WEEK_HOURS)
        rate *= 1 + swing * math.cos((hour - peak) * math.tau / 24)
        rate *= weekend if hour // 24 % 7 >= 5 else 1
        rate *= 0.4 if hour // 24 in holidays else 1
        rate *= 3 if (hour - batch) % WEEK_HOURS < 2 else 1
        for step in range(steps):
            yield _draw(draw, rate / steps, series.label, hour + step / steps)


def _draw(draw: random.Random, rate: float, label: Label | None, at: float) -> Tally:
    """Return what was used in a span of time, given the usual number of requests in it."""
    length = price = 1.0
    hit = _HIT
    if label is not None:
        factor = label.strength(at)
        if label.kind in {"spike", "level shift"}:
            rate *= factor
        elif label.kind == "runaway":  # an agent in a loop: more requests, and longer ones
            rate, length = rate * math.sqrt(factor), math.sqrt(factor)
        elif label.kind == "drift":
            length = factor
        elif label.kind == "price rise":
            price = factor
        elif label.start <= at < label.end:
            hit *= factor
    requests = poisson(draw, rate)
    if not requests:
        return Tally()
    inputs = round(_sum(draw, requests, _INPUT_MEAN * length, _INPUT_CV))
    outputs = round(_sum(draw, requests, _OUTPUT_MEAN * length, _OUTPUT_CV))
    cached = round(inputs * min(0.98, max(0.0, draw.gauss(hit, 0.35 / math.sqrt(requests))))) if hit else 0
    dear = round(price * 1000)
    parts = (
        (inputs - cached) * _INPUT * dear // 1000,
        cached * _CACHED * dear // 1000,
        outputs * _OUTPUT * dear // 1000,
    )
    return Tally(
        calls=requests,
        attempts=requests,
        input_tokens=inputs,
        cached_tokens=cached,
        output_tokens=outputs,
        cost_femto=sum(parts),
        cached_femto=parts[1],
        output_femto=parts[2],
    )


def _sum(draw: random.Random, count: int, mean: float, spread: float) -> float:
    """Return a sum of so many draws of a long-tailed quantity with a mean and a coefficient of variation."""
    return draw.gammavariate(count / spread**2, mean * spread**2)


def poisson(draw: random.Random, mean: float) -> int:
    """Return a Poisson number; of a large mean, the nearest whole number to a normal one."""
    if mean > 50:
        return max(0, round(draw.gauss(mean, math.sqrt(mean))))
    limit, product, count = math.exp(-mean), draw.random(), 0
    while product > limit:
        product *= draw.random()
        count += 1
    return count
