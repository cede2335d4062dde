"""Where a call goes next after an attempt of it failed: another target, the same one in a moment, or nowhere. Pure.

    another target that nothing blocks -> a repeat of one that may do better in a moment -> one that failed too often

Failing over to a target that is well is free. Whatever else follows a failure has to fit into the retry budget of the
provider it goes to, so that an outage is not made worse by those who try again. What a provider asks for is heeded: a
target that said when to come back is not asked before.
"""

from collections.abc import Sequence
from typing import NamedTuple
from zlib import crc32

import msgspec

from farebox.config.policies import Retries
from farebox.errors import RateLimited
from farebox.health.retries import RetryBudget, backoff_s
from farebox.health.vitals import Health
from farebox.journal.record import Role
from farebox.route import Target

_NS = 1_000_000_000


class Step(NamedTuple):
    """The next attempt: where to, what for, after how long."""

    target: Target
    role: Role = "first"
    wait_s: float = 0.0


class _Tried(msgspec.Struct):
    target: Target
    repeats: int = 0
    repeatable: bool = False


class Course:
    """The attempts of one call. Instants are monotonic nanoseconds.

    Args:
        targets: in the order in which they are tried.
        health: of targets.
        settings: how much is tried.
        call: its id, from which waits are drawn.
    """

    def __init__(self, targets: Sequence[Target], health: Health, settings: Retries, call: str) -> None:
        self._targets = targets
        self._health = health
        self._settings = settings
        self._call = call
        self._tried: dict[tuple[str, str, str], _Tried] = {}
        self._made: int = 0
        self._budget: RetryBudget | None = None

    def first(self, now_ns: int) -> Step:
        """Return the first attempt.

        Raises:
            RateLimited: where all targets asked to be left alone for longer than a call may wait.
        """
        target = self._targets[0]
        vitals = self._health.of(target)
        if not vitals.blocked_until(now_ns):
            return Step(target)
        for other in self._targets[1:]:
            if not self._health.of(other).blocked_until(now_ns):
                return Step(other)
        for any_ in self._targets:
            if self._health.of(any_).asked_until_ns <= now_ns:
                return Step(any_)  # all fail: somebody has to find out when they do not any more
        soonest = min(self._targets, key=lambda one: self._health.of(one).asked_until_ns)
        wait_s = (self._health.of(soonest).asked_until_ns - now_ns) / _NS
        if wait_s > self._settings.most_wait_s:
            raise RateLimited(
                f"The provider of {soonest.provider.name}/{soonest.model} takes no more for now. "
                f"Try again in {int(wait_s) + 1} s.",
                code="provider_limit_reached",
                retry_after_s=int(wait_s) + 1,
            )
        return Step(soonest, "first", wait_s + self._draw() * min(1.0, wait_s))

    def beside(self, target: Target, now_ns: int) -> Target | None:
        """Return which target can be asked beside one that has not begun to answer; None: no other is well."""
        if self._made >= self._settings.attempts:
            return None
        for other in self._targets:
            if other.id != target.id and other.id not in self._tried and self._health.of(other).is_well(now_ns):
                return other
        return None

    def sent(self, target: Target) -> None:
        """Note that an attempt was sent."""
        self._made += 1
        known = self._tried.get(target.id)
        if known is None:
            self._tried[target.id] = _Tried(target)
        else:
            known.repeats += 1

    def pass_over(self, target: Target) -> None:
        """Note that an attempt was not made: the target cannot be asked this, or there is no room for it."""
        self._tried[target.id] = _Tried(target)

    def next(self, target: Target, now_ns: int, *, repeatable: bool) -> Step | None:
        """Return what follows an attempt that failed, or None.

        Args:
            target: of that attempt.
            now_ns: the instant.
            repeatable: whether it may do better in a moment.
        """
        self.end()
        self._tried[target.id].repeatable = repeatable
        if self._made >= self._settings.attempts:
            return None
        return self._failover(now_ns) or self._repeat(now_ns) or self._last_resort(now_ns)

    def end(self) -> None:
        """Give back what is taken of a retry budget."""
        if self._budget is not None:
            self._budget.give_back()
            self._budget = None

    def _failover(self, now_ns: int) -> Step | None:
        for target in self._targets:
            vitals = self._health.of(target)
            if target.id in self._tried or vitals.blocked_until(now_ns):
                continue
            if vitals.is_well(now_ns) or self._take(target, now_ns):
                return Step(target, "failover")
        return None

    def _repeat(self, now_ns: int) -> Step | None:
        found: tuple[float, Target] | None = None
        for tried in self._tried.values():
            vitals = self._health.of(tried.target)
            if not tried.repeatable or tried.repeats >= self._settings.repeats:
                continue
            if vitals.is_failing(now_ns) and len(self._targets) > 1:
                continue  # where there is no other, the retry budget alone protects it
            wait_s = backoff_s(self._settings, tried.repeats, self._draw())
            if vitals.asked_until_ns > now_ns:
                asked_s = (vitals.asked_until_ns - now_ns) / _NS
                wait_s = max(wait_s, asked_s + self._draw() * min(0.25, asked_s))
            if wait_s <= self._settings.most_wait_s + 0.25 and (found is None or wait_s < found[0]):
                found = wait_s, tried.target
        if found is None or not self._take(found[1], now_ns):
            return None
        return Step(found[1], "repeat", found[0])

    def _last_resort(self, now_ns: int) -> Step | None:
        for target in self._targets:
            is_asked_to_wait = self._health.of(target).asked_until_ns > now_ns
            if target.id not in self._tried and not is_asked_to_wait and self._take(target, now_ns):
                return Step(target, "failover")
        return None

    def _take(self, target: Target, now_ns: int) -> bool:
        budget = self._health.budget(target)
        if not budget.take(self._health.attempts_lately(target.provider.name, now_ns), now_ns):
            return False
        self._budget = budget
        return True

    def _draw(self) -> float:
        """Return a number of 0 to 1 that this call draws after so many attempts."""
        return crc32(f"{self._call} {self._made}".encode()) / 2**32
