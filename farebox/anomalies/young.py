"""What a scope that is younger than two weeks is compared with: its last day and its last week, within a wide band.

There is no season to go by yet, so only a rise far beyond anything so far is told, and told to be a guess.
"""

import msgspec

from farebox.anomalies.tally import WEEK_HOURS

_DAY_HOURS = 24
_LEAST_HOURS = 3
_MEAN_RATIO = 6.0
_MOST_RATIO = 2.5
_LEAST_ATTEMPTS = 10
ERROR = 0.3  # of the logarithm of what an hour costs, besides chance


class Young(msgspec.Struct):
    """What the hours of the last week cost, femtodollars as floats, the oldest first."""

    costs: list[float] = []

    def usual(self) -> float | None:
        """Return the most that an hour has cost; None while too little is known."""
        spent = [cost for cost in self.costs[-_DAY_HOURS:] if cost]
        if len(spent) < _LEAST_HOURS:
            return None
        return max(self.costs)

    def ratio(self, cost: float, attempts: int) -> float | None:
        """Return how many times the mean an hour cost if that is out of the ordinary, else None."""
        most = self.usual()
        if most is None or attempts < _LEAST_ATTEMPTS or cost < _MOST_RATIO * most:
            return None
        mean = max(_mean(self.costs[-_DAY_HOURS:]), _mean(self.costs))
        return cost / mean if cost >= _MEAN_RATIO * mean else None

    def learn(self, cost: float) -> None:
        """Take an hour for usual."""
        self.costs.append(cost)
        if len(self.costs) > WEEK_HOURS:
            self.costs.pop(0)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
