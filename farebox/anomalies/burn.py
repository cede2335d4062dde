"""The minutes: whether money is spent so fast that one need not wait for the hour to end.

Two pairs of windows, as for error budgets: the short one says that it is happening now, the long one that it matters.
5 minutes with an hour tell a spike, 30 minutes with six hours a runaway. Chance is allowed for as in `gauge`: the error
of the usual cost of a window is that of the fewer requests in it.
"""

import math
from collections.abc import Callable

import msgspec

from farebox.anomalies.tally import HOUR_MINUTES

KEPT_MINUTES = 360
_SHORT_Z = 6.5
_LEAST_ATTEMPTS = 5
# Short and long window in minutes; from which multiple of the usual on they tell.
_PAIRS = ((5, 60, 3.0, 1.2), (30, 360, 1.7, 1.12))


class Usual(msgspec.Struct, frozen=True, gc=False):
    """What an hour usually costs.

    Attributes:
        cost: femtodollars as a float.
        requests: how many that is.
        error: given a number of requests, returns the standard error of the logarithm of what they cost.
    """

    cost: float
    requests: float
    error: Callable[[float], float]


class Burning(msgspec.Struct, frozen=True, gc=False):
    """Money that is spent too fast: since which minute, how many times the usual, and by how many standard errors."""

    start: int
    ratio: float
    z: float


class Burn(msgspec.Struct):
    """The last six hours of a scope by minute, in rings; minutes since the epoch.

    Attributes:
        last: the minute up to which the rings are filled, or -1.
        costs: femtodollars as floats.
        attempts: how many.
    """

    last: int = -1
    costs: list[float] = msgspec.field(default_factory=lambda: [0.0] * KEPT_MINUTES)
    attempts: list[int] = msgspec.field(default_factory=lambda: [0] * KEPT_MINUTES)

    def move_to(self, minute: int) -> None:
        """Let time pass up to a minute, which may be one that was."""
        if self.last < 0 or minute - self.last >= KEPT_MINUTES:
            self.costs = [0.0] * KEPT_MINUTES
            self.attempts = [0] * KEPT_MINUTES
        else:
            for passed in range(self.last + 1, minute + 1):
                self.costs[passed % KEPT_MINUTES] = 0.0
                self.attempts[passed % KEPT_MINUTES] = 0
        self.last = max(self.last, minute)

    def take(self, minute: int, attempts: int, cost: float) -> None:
        """Count what was spent in a minute; one that is too long ago is left out."""
        self.move_to(minute)
        if minute > self.last - KEPT_MINUTES:
            self.costs[minute % KEPT_MINUTES] += cost
            self.attempts[minute % KEPT_MINUTES] += attempts

    def judge(self, usual_at: Callable[[int], Usual]) -> Burning | None:
        """Return what is out of the ordinary up to the last minute, or None.

        Args:
            usual_at: what is usual in an hour, since the epoch.
        """
        now = usual_at(self.last // HOUR_MINUTES)
        for short, long, fast, much in _PAIRS:
            spent = self._sum(self.costs, short)
            if spent < fast * now.cost * short / HOUR_MINUTES or self._sum(self.attempts, short) < _LEAST_ATTEMPTS:
                continue
            ratio = spent / self._usual_over(short, usual_at)
            z = math.log(ratio) / now.error(now.requests * short / HOUR_MINUTES)
            if (
                ratio >= fast
                and z >= _SHORT_Z
                and self._sum(self.costs, long) >= much * self._usual_over(long, usual_at)
            ):
                return Burning(self._first(short, fast, usual_at), ratio, z)
        return None

    def _first(self, minutes: int, fast: float, usual_at: Callable[[int], Usual]) -> int:
        """Return the first of the last minutes in which money was spent too fast."""
        first = self.last - minutes + 1
        for minute in range(first, self.last + 1):
            if self.costs[minute % KEPT_MINUTES] >= fast * usual_at(minute // HOUR_MINUTES).cost / HOUR_MINUTES:
                return minute
        return first

    def _sum(self, ring: list[float] | list[int], minutes: int) -> float:
        end = self.last % KEPT_MINUTES + 1
        start = end - minutes
        return sum(ring[start:end]) if start >= 0 else sum(ring[:end]) + sum(ring[start:])

    def _usual_over(self, minutes: int, usual_at: Callable[[int], Usual]) -> float:
        """Return what the last minutes usually cost, each at the rate of its hour."""
        total, minute = 0.0, self.last
        while minutes > 0:
            inside = min(minutes, minute % HOUR_MINUTES + 1)
            total += usual_at(minute // HOUR_MINUTES).cost * inside / HOUR_MINUTES
            minute -= inside
            minutes -= inside
        return total
