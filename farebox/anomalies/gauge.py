"""What is usual for one quantity of one scope at an hour of the week, and whether an hour is like that.

Everything is on logarithms, because traffic grows, halves at weekends and doubles by factors. The usual value is a
level, which follows slowly, and an offset for each of the 168 hours of the week, the median of its last weeks. How far
an hour lies above it is counted in standard errors: a robust scale, learned, times how uncertain a mean of so few
requests is.
One hour far above is a jump; many hours a little above add up (a cumulative sum, CUSUM). Only a rise is looked for.
"""

import math

import msgspec

from farebox.anomalies.tally import WEEK_HOURS

LEARNING_HOURS = 2 * WEEK_HOURS
_DAY_HOURS = 24
_WEEKS = 6  # of which an hour's offset is the median
_LEVEL_HOURS = 168.0  # how fast the level follows
_LEVEL_CLIP = 2.0  # standard errors that one hour can move it by at most
_KNOWN_WEEKS = 4  # with less, one of which may be a holiday, it takes a larger rise
_RECENT_HOURS = 12.0
_FEW = 600.0  # requests an hour: below, chance tells hours apart rather than the scope's ways
_LEAST_SCALE = 0.025
_SCALE_STEP = 0.02
_NORMAL_MEDIAN = 0.6745  # of the absolute value of a standard normal quantity
_LEAST_SPREAD = 1e-4
_MEDIAN_CHANCE = 1.3  # variance of a median of a few, to that of a mean
_JUMP_Z = 5.0
_FEW_Z = 4.0  # more than that for a single request, less by the root of their number: tails are long
_JUMP_LOG = math.log(1.35)
_CLIP_Z = 4.0
_SLACK_Z = 0.6
_SUM_Z = 20.0
_SUM_LOG = math.log(1.25)
_CALM_Z = 2.0


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """How an hour compares with what is usual.

    Attributes:
        z: how far above, in standard errors.
        ratio: how many times the usual.
        usual: value, not its logarithm.
        jumped: whether the hour alone is out of the ordinary.
        rose: whether the hours up to this one are, together.
        calm: whether it is near the usual.
    """

    z: float
    ratio: float
    usual: float
    jumped: bool
    rose: bool
    calm: bool


class Gauge(msgspec.Struct):
    """One quantity of one scope. Hours of the week count from 0.

    Attributes:
        is_sum: whether it is a sum over requests rather than a mean. Sums are compared by their square roots: those of
            numbers that follow from chance alone differ equally whatever their size, so that a rise stands out.
        past: for each hour of the week what its last weeks were, above the level; in the first week as it is.
        level: logarithm of the usual value over a week.
        scale: standard error of an hour with many requests.
        hours: seen so far.
        sum_z: the cumulative sum.
        sum_log: rise over the hours that it is made of.
        sum_hours: how many.
        spread: variance of the offsets that is not chance: 0 without a season.
        chance: variance of an hour at the usual number of requests.
        first: residuals of the second week, which the scale starts from.
        recent: how far the last hours were above the usual.
    """

    is_sum: bool = False
    past: list[list[float]] = msgspec.field(default_factory=lambda: [[] for _ in range(WEEK_HOURS)])
    level: float = 0.0
    scale: float = 0.3
    hours: int = 0
    sum_z: float = 0.0
    sum_log: float = 0.0
    sum_hours: int = 0
    spread: float = 1.0
    chance: float = 0.0
    first: list[float] = []
    recent: float = 0.0

    def is_ready(self) -> bool:
        """Whether two weeks were seen."""
        return self.hours >= LEARNING_HOURS

    def usual(self, hour: int, requests: float) -> tuple[float, float]:
        """Return the logarithm of the usual value at an hour of the week, and the standard error of an hour.

        Args:
            hour: of the week.
            requests: how many the hour's value is the sum or mean of.
        """
        past = self.past[hour]
        noise = self.scale * math.sqrt(1.0 + _FEW / max(requests, 0.5))
        if not past:
            return self.level, math.hypot(noise, math.sqrt(self.spread))
        ordered = sorted(past)
        count = len(ordered)
        median = ordered[count // 2]  # the upper one of two: a holiday among few weeks must not pass for usual
        chance = _MEDIAN_CHANCE * noise * noise / count
        weight = self.spread / (self.spread + chance)
        return self.level + weight * median, math.sqrt(noise * noise + weight * chance)

    def _on_other_days(self, hour: int) -> float:
        """Return the median over the days of the week at the same time of the day."""
        days = [max(past) for past in self.past[hour % _DAY_HOURS :: _DAY_HOURS] if past]
        return sorted(days)[len(days) // 2] if days else 0.0

    def judge(self, value: float, hour: int, requests: float) -> Verdict:
        """Compare an hour with what is usual and add it to the cumulative sum; nothing is learned from it yet.

        Args:
            value: above 0.
            hour: of the week.
            requests: see `usual`.
        """
        usual, error = self.usual(hour, requests)
        if self.is_sum and len(self.past[hour]) < _KNOWN_WEEKS:
            usual = max(usual, self.level + self._on_other_days(hour))
        above = math.log(value) - usual
        coarse = 1.0 + max(0, _KNOWN_WEEKS - len(self.past[hour])) / 2
        z = 2.0 * (math.exp(above / 2) - 1.0) / error if self.is_sum else above / error
        self.recent += (above - self.recent) / _RECENT_HOURS
        self.sum_z = max(0.0, self.sum_z + max(-_CLIP_Z, min(z, _CLIP_Z)) - _SLACK_Z)
        if self.sum_z:
            self.sum_log += above
            self.sum_hours += 1
        else:
            self.sum_log, self.sum_hours = 0.0, 0
        rose = self.sum_z >= _SUM_Z and self.sum_log >= coarse * _SUM_LOG * self.sum_hours
        self.sum_z = min(self.sum_z, 2 * _SUM_Z)
        return Verdict(
            z=z,
            ratio=math.exp(above),
            usual=math.exp(usual),
            jumped=z >= _JUMP_Z + _FEW_Z / math.sqrt(max(requests, 1.0)) and above >= coarse * _JUMP_LOG,
            rose=rose,
            calm=z < _CALM_Z,
        )

    def calm_down(self) -> None:
        """Begin the cumulative sum anew."""
        self.sum_z, self.sum_log, self.sum_hours = 0.0, 0.0, 0

    def learn(self, value: float | None, hour: int, requests: float, *, odd: bool = False) -> None:
        """Take an hour for usual.

        Args:
            value: above 0; None where there was nothing to measure.
            hour: of the week.
            requests: see `usual`.
            odd: whether it is out of the ordinary: it is noted for its hour of the week, where it counts once it comes
                back week by week, and changes neither level nor scale.
        """
        if value is not None:
            self._take(math.log(value), hour, requests, odd=odd)
        self.hours += 1
        if self.hours == WEEK_HOURS:
            self._end_first_week()
        if self.hours == LEARNING_HOURS and self.first:
            self.scale = max(_LEAST_SCALE, _median([abs(each) for each in self.first]) / _NORMAL_MEDIAN)
            self.first = []
        if not self.hours % WEEK_HOURS:
            self._measure_spread()

    def _take(self, logarithm: float, hour: int, requests: float, *, odd: bool) -> None:
        past = self.past[hour]
        if self.hours < WEEK_HOURS:
            past.append(logarithm)
            return
        usual, error = self.usual(hour, requests)
        above = logarithm - usual
        if self.hours < LEARNING_HOURS:
            self.first.append(above * self.scale / error)
            self.level += above / _LEVEL_HOURS
        elif not odd:
            clipped = max(-_LEVEL_CLIP * error, min(above, _LEVEL_CLIP * error))
            self.level += clipped / _LEVEL_HOURS
            larger = abs(above) > _NORMAL_MEDIAN * error
            self.scale = max(_LEAST_SCALE, self.scale * (1 + _SCALE_STEP if larger else 1 / (1 + _SCALE_STEP)))
        self.chance += (self.scale**2 * (1.0 + _FEW / max(requests, 0.5)) - self.chance) / _LEVEL_HOURS
        past.append(logarithm - self.level)
        if len(past) > _WEEKS:
            past.pop(0)

    def accept(self) -> None:
        """Take how far the last hours were above the usual for the new level."""
        self.level += self.recent

    def _end_first_week(self) -> None:
        """Tell the level of the first week from its offsets."""
        values = [each for past in self.past for each in past]
        if values:
            self.level = sum(values) / len(values)
            self.past = [[each - self.level for each in past] for past in self.past]

    def _measure_spread(self) -> None:
        """Tell how much of the difference between hours is a season: what is left of it without chance."""
        offsets = [(_median(past), len(past)) for past in self.past if past]
        if not offsets:
            return
        mean = sum(offset for offset, _ in offsets) / len(offsets)
        variance = sum((offset - mean) ** 2 for offset, _ in offsets) / len(offsets)
        weeks = sum(count for _, count in offsets) / len(offsets)
        self.spread = max(_LEAST_SPREAD, variance - _MEDIAN_CHANCE * self.chance / weeks)


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle] + ordered[middle - 1]) / 2
