"""From episodes of many scopes to one incident: who caused it, why, how much it cost and how bad that is.

What happens at the same time is one thing until the money says otherwise. It is put down to the narrowest scope (the
one that usually costs least) that explains four fifths of what was spent beyond the usual.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from farebox.anomalies.decompose import Cause, decompose
from farebox.anomalies.tally import HOUR_MINUTES, KINDS, WEEK_HOURS, Cell, Tally
from farebox.anomalies.watch import Episode, Signal
from farebox.money import FEMTO_PER_USD

Severity = Literal["low", "medium", "high"]
SEVERITIES: tuple[Severity, ...] = ("low", "medium", "high")
EXPLAINS = Fraction(4, 5)
_WEEKS = 4
_HIGH = (3, 10 * FEMTO_PER_USD)  # so many times the usual, and so much more
_HUGE = 100 * FEMTO_PER_USD
_MEDIUM = (Fraction(3, 2), FEMTO_PER_USD)


class Incident(msgspec.Struct, frozen=True):
    """What spent unlike itself. Minutes since the epoch; amounts are femtodollars.

    Attributes:
        scope: that it is put down to, as flags name it.
        start: first minute.
        found: when it was told.
        end: when it was over, or None.
        severity: how bad it is.
        cause: what adds most to the cost.
        causes: what each adds; the sum is actual less expected.
        actual_femto: what was spent.
        expected_femto: what is spent in the same hours of earlier weeks on average.
        signals: what told it.
        young: whether there was less than two weeks to compare with.
        accepted: whether it is taken for the new usual.
        others: scopes that told the same.
    """

    scope: str
    start: int
    found: int
    end: int | None
    severity: Severity
    cause: Cause
    causes: dict[Cause, int]
    actual_femto: int
    expected_femto: int
    signals: tuple[Signal, ...]
    young: bool
    accepted: bool
    others: tuple[str, ...]


class History:
    """What was used hour by hour. Hours count from the epoch."""

    def __init__(self) -> None:
        self.hours: dict[int, dict[Cell, Tally]] = {}
        self.until: int | None = None  # minute since the epoch up to which it goes; None: to the end of its last hour

    def add(self, hour: int, cell: Cell, used: Tally) -> None:
        """Add what a group used in an hour."""
        self.hours.setdefault(hour, {}).setdefault(cell, Tally()).add(used)

    def first(self) -> int:
        """Return the first hour that anything was used in."""
        return min(self.hours, default=0)

    def between(self, start: int, end: int, scopes: Sequence[str]) -> dict[str, Tally]:
        """Return what was used by target from an hour to another, that excluded, by what is in all of the scopes."""
        found: dict[str, Tally] = {}
        for hour in range(start, end):
            for cell, used in self.hours.get(hour, {}).items():
                own = cell.scopes()
                if all(scope in own for scope in scopes):
                    found.setdefault(cell.target, Tally()).add(used)
        return found

    def usual(self, start: int, end: int, scopes: Sequence[str]) -> tuple[dict[str, Tally], Fraction]:
        """Return what is used in such hours, as a sum, and what to multiply it with.

        It is the mean of the same hours of the last four weeks; without a week before, that of all hours before.
        """
        first = self.first()
        over = self._over(start, end)
        weeks = [week for week in range(1, _WEEKS + 1) if start - week * WEEK_HOURS >= first]
        if not weeks:
            before = min(start - first, WEEK_HOURS)
            share = Fraction(end - start, before) if before > 0 else Fraction(1)
            return self.between(start - before, start, scopes), share * over
        total: dict[str, Tally] = {}
        for week in weeks:
            shift = week * WEEK_HOURS
            for target, used in self.between(start - shift, end - shift, scopes).items():
                total.setdefault(target, Tally()).add(used)
        return total, Fraction(1, len(weeks)) * over

    def _over(self, start: int, end: int) -> Fraction:
        """Return the share of some hours that is over: of an hour under way only a part can have been spent."""
        if self.until is None or self.until >= end * HOUR_MINUTES:
            return Fraction(1)
        return Fraction(max(1, self.until - start * HOUR_MINUTES), (end - start) * HOUR_MINUTES)

    def excess(self, start: int, end: int, scopes: Sequence[str]) -> tuple[int, int]:
        """Return what was spent beyond the usual by what is in all of the scopes, and the usual; femtodollars."""
        usual, share = self.usual(start, end, scopes)
        expected = round(Tally.sum(usual.values()).cost_femto * share)
        return Tally.sum(self.between(start, end, scopes).values()).cost_femto - expected, expected


def incidents_of(history: History, episodes: Mapping[str, Episode], least_femto: int) -> list[Incident]:
    """Return the incidents that episodes at one time are about, one or several, the largest first.

    Args:
        history: with the hours of the episodes and the weeks before.
        episodes: by scope, all about the same time.
        least_femto: what was spent beyond the usual at least for it to be told.
    """
    left, found = dict(episodes), []
    while left:
        start = min(each.start for each in left.values()) // HOUR_MINUTES
        end = max(_end_hour(each) for each in left.values())
        excess = {scope: history.excess(start, end, [scope]) for scope in left}
        top = max(left, key=lambda scope: (excess[scope][0], -_rank(scope)))
        share = EXPLAINS * excess[top][0]
        able = [scope for scope in left if scope == top or history.excess(start, end, [scope, top])[0] >= share]
        chosen = min(able, key=lambda scope: (excess[scope][1], _rank(scope), scope))
        told = [scope for scope in left if scope == chosen or _is_told(history, (start, end), scope, chosen)]
        if excess[chosen][0] >= least_femto:
            found.append(_incident(history, chosen, episodes[chosen], [each for each in told if each != chosen]))
        left = {scope: each for scope, each in left.items() if scope not in told}
    return found


def severity_of(actual_femto: int, expected_femto: int) -> Severity:
    """Return how bad it is to spend so much where so much is expected."""
    excess = actual_femto - expected_femto
    if excess >= _HUGE and actual_femto >= 2 * expected_femto:
        return "high"
    if excess >= _HIGH[1] and actual_femto >= _HIGH[0] * expected_femto:
        return "high"
    return "medium" if excess >= _MEDIUM[1] and actual_femto >= _MEDIUM[0] * expected_femto else "low"


def _is_told(history: History, hours: tuple[int, int], scope: str, chosen: str) -> bool:
    """Whether most of what a scope spent beyond its usual is that of the chosen one, or next to nothing is left."""
    own = history.excess(*hours, [scope])[0]
    return own <= 0 or history.excess(*hours, [scope, chosen])[0] >= own / 2


def _rank(scope: str) -> int:
    return KINDS.index(scope.partition(":")[0])


def _end_hour(episode: Episode) -> int:
    return max(-(-(episode.end or episode.found) // HOUR_MINUTES), episode.start // HOUR_MINUTES + 1)


def _incident(history: History, scope: str, episode: Episode, others: list[str]) -> Incident:
    start, end = episode.start // HOUR_MINUTES, _end_hour(episode)
    actual = history.between(start, end, [scope])
    usual, share = history.usual(start, end, [scope])
    causes = decompose(actual, usual, share)
    spent = Tally.sum(actual.values()).cost_femto
    expected = spent - sum(causes.values())
    return Incident(
        scope=scope,
        start=episode.start,
        found=episode.found,
        end=episode.end,
        severity=severity_of(spent, expected),
        cause=max(causes, key=lambda cause: causes[cause]),
        causes=causes,
        actual_femto=spent,
        expected_femto=expected,
        signals=tuple(episode.signals),
        young=episode.young,
        accepted=episode.accepted,
        others=tuple(sorted(others)),
    )
