"""What one worker knows of every target, each model of each key of each provider for itself."""

from typing import Literal

from farebox.config.policies import Breaker as BreakerSettings
from farebox.config.policies import Retries
from farebox.health.breaker import Breaker
from farebox.health.pulse import Pulse
from farebox.health.retries import RetryBudget, backoff_s
from farebox.health.window import Window
from farebox.route import Target

Verdict = Literal["good", "bad", "neutral"]
_HEDGES_NS = 60_000_000_000
_MOST_TARGETS = 1000  # clients may name any model of a provider: what they name must not fill the memory


class Vitals:
    """One target. Instants are monotonic nanoseconds.

    Attributes:
        pulse: how fast it answers.
        in_flight: attempts under way.
        asked_until_ns: until when it asked to be left alone.
        why_blocked: in words, why it is left out; "" where it is not. Of `blocked_until`'s last answer.
    """

    __slots__ = (
        "_breaker",
        "_closed_why",
        "_key",
        "_limited",
        "_retries",
        "asked_until_ns",
        "in_flight",
        "pulse",
        "why_blocked",
    )

    def __init__(self, breaker: BreakerSettings, retries: Retries, key: "KeyState") -> None:
        self.pulse: Pulse = Pulse()
        self.in_flight: int = 0
        self.why_blocked: str = ""
        self._breaker = Breaker(breaker)
        self._key = key
        self._retries = retries
        self.asked_until_ns: int = 0
        self._closed_why: str = ""
        self._limited: int = 0

    def blocked_until(self, now_ns: int) -> int:
        """Return until when it is to be left out, or 0."""
        breaker = self._breaker
        if breaker.is_closed and now_ns >= self.asked_until_ns and now_ns >= self._key.closed_until_ns:
            self.why_blocked = ""
            return 0
        until_ns, self.why_blocked = max(
            (breaker.blocked_until(now_ns), "it failed too often lately"),
            (self.asked_until_ns if now_ns < self.asked_until_ns else 0, self._closed_why),
            (self._key.closed_until_ns if now_ns < self._key.closed_until_ns else 0, self._key.why),
        )
        if not until_ns:
            self.why_blocked = ""
        return until_ns

    def is_well(self, now_ns: int) -> bool:
        """Whether it can be expected to answer: nothing blocks it, and hardly anything failed lately."""
        return not self.blocked_until(now_ns) and self._breaker.is_closed and self.success_share(now_ns) > 0.8

    def success_share(self, now_ns: int) -> float:
        """Return the share of successes in the breaker's window, as if one more had succeeded: 0 to 1."""
        good, bad = self._breaker.window.totals(now_ns)
        return (good + 1) / (good + bad + 1)

    def ended(self, now_ns: int) -> int:
        """Return how many attempts ended in the breaker's window."""
        return sum(self._breaker.window.totals(now_ns))

    def begin(self, now_ns: int) -> bool:
        """Note that an attempt is sent; return whether it is the probe of a breaker, which `end` wants to know."""
        self.in_flight += 1
        return not self._breaker.is_closed and self._breaker.begin(now_ns)

    def end(self, verdict: Verdict, now_ns: int, *, probe: bool = False) -> None:
        """Take in how an attempt ended.

        Args:
            verdict: ``neutral`` where it says nothing about the target.
            now_ns: the instant.
            probe: what `begin` returned.
        """
        self.in_flight -= 1
        if verdict == "good":
            self._limited = 0
            self._breaker.good(now_ns, probe=probe)
        elif verdict == "bad":
            self._breaker.bad(now_ns, probe=probe)
        else:
            self._breaker.neutral(probe=probe)

    def limit(self, now_ns: int, wait_ns: int | None) -> None:
        """Leave it alone: it takes no more for now.

        Args:
            now_ns: the instant.
            wait_ns: how long it asked to; None: it did not say, and each time in a row it is twice as long.
        """
        if wait_ns is None:
            wait_ns = int(backoff_s(self._retries, self._limited, 1.0) * 1e9)
            self._limited += 1
        if now_ns + wait_ns > self.asked_until_ns:
            self.asked_until_ns = now_ns + wait_ns
            self._closed_why = f"it takes no more for {-(-wait_ns // 1_000_000_000)} s"

    def is_failing(self, now_ns: int) -> bool:
        """Whether it is left out for more than what it asked for: it failed too often, or its key is refused."""
        return bool(self._breaker.blocked_until(now_ns)) or now_ns < self._key.closed_until_ns

    def refuse_key(self, until_ns: int, why: str) -> None:
        """Leave its key alone, for all models: the provider does not take it."""
        self._key.closed_until_ns = until_ns
        self._key.why = why


class KeyState:
    """One key of a provider.

    Attributes:
        closed_until_ns: until when it is not used.
        why: in words.
    """

    __slots__ = ("closed_until_ns", "why")

    def __init__(self) -> None:
        self.closed_until_ns: int = 0
        self.why: str = ""


class Health:
    """All targets of one worker.

    Args:
        breaker: when targets are left out.
        retries: how much may be repeated.
    """

    def __init__(self, breaker: BreakerSettings, retries: Retries) -> None:
        self._settings = breaker
        self._retries = retries
        self._vitals: dict[tuple[str, str, str], Vitals] = {}
        self._keys: dict[tuple[str, str], KeyState] = {}
        self._budgets: dict[str, RetryBudget] = {}
        self._hedges: dict[str, Window] = {}

    def configure(self, breaker: BreakerSettings, retries: Retries) -> None:
        """Take over changed settings; where they differ, what was learned of failures is forgotten."""
        if (breaker, retries) != (self._settings, self._retries):
            self.__init__(breaker, retries)  # type: ignore[misc]  # from the beginning

    def of(self, target: Target) -> Vitals:
        """Return what is known of a target."""
        found = self._vitals.get(target.id)
        return found if found is not None else self._open(target)

    def budget(self, target: Target) -> RetryBudget:
        """Return the retries of a target's provider."""
        name = target.provider.name
        found = self._budgets.get(name)
        if found is None:
            found = self._budgets[name] = RetryBudget(self._retries)
        return found

    def may_hedge(self, model: str, most_percent: float, now_ns: int) -> bool:
        """Return whether one more call of a model may have a second attempt beside its first, and count it if so.

        Every call of a hedged model counts with `count_call`; as few as ten calls may have one.
        """
        window = self._hedges.setdefault(model, Window(_HEDGES_NS))
        calls, hedges = window.totals(now_ns)
        if (hedges + 1) * 100 > most_percent * max(calls, 10):
            return False
        window.add(now_ns, bad=True)
        return True

    def count_call(self, model: str, now_ns: int) -> None:
        """Count a call of a hedged model."""
        self._hedges.setdefault(model, Window(_HEDGES_NS)).add(now_ns)

    def attempts_lately(self, provider: str, now_ns: int) -> int:
        """Return how many attempts of a provider ended lately or are under way."""
        return sum(
            vitals.ended(now_ns) + vitals.in_flight for (name, _, _), vitals in self._vitals.items() if name == provider
        )

    def _open(self, target: Target) -> Vitals:
        if len(self._vitals) >= _MOST_TARGETS:
            self._vitals = {id_: vitals for id_, vitals in self._vitals.items() if vitals.in_flight}
        key = self._keys.setdefault(target.id[:2], KeyState())
        vitals = self._vitals[target.id] = Vitals(self._settings, self._retries, key)
        return vitals
