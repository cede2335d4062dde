"""How much may be tried again: retries must not make an outage worse.

A retry is let through while the retries of the last ten seconds are less than a share of the calls, or while only few
are under way at once; the second keeps a gateway with little traffic from giving up (Envoy's `retry_budget`: 20 %,
never below 3).
"""

from farebox.config.policies import Retries
from farebox.health.window import Window

_SPAN_NS = 10_000_000_000


class RetryBudget:
    """The retries at one provider.

    Attributes:
        under_way: retries that have been let through and have not ended, their waits included.
    """

    __slots__ = ("_settings", "_window", "under_way")

    def __init__(self, settings: Retries) -> None:
        self._settings = settings
        self._window = Window(_SPAN_NS)
        self.under_way: int = 0

    def take(self, attempts_lately: int, now_ns: int) -> bool:
        """Return whether a retry may be made; `give_back` follows where it may.

        Args:
            attempts_lately: attempts of the provider in the last seconds, retries included.
            now_ns: the instant, monotonic.
        """
        retries, _ = self._window.totals(now_ns)
        calls = max(0, attempts_lately - retries)
        is_within = (retries + 1) * 100 <= self._settings.budget_percent * calls
        if not is_within and self.under_way >= self._settings.budget_least:
            return False
        self._window.add(now_ns)
        self.under_way += 1
        return True

    def give_back(self) -> None:
        """Note that a retry has ended."""
        self.under_way -= 1


def backoff_s(settings: Retries, repeats: int, draw: float) -> float:
    """Return how long to wait before a target is asked again.

    Args:
        settings: the first and the longest wait.
        repeats: how many times it was asked again before.
        draw: 0 to 1: where in the upper half of the wait; calls that failed together must not come back together.
    """
    wait_ms: int = min(settings.most_backoff_ms, settings.backoff_ms * 2 ** min(repeats, 20))
    return wait_ms * (0.5 + draw / 2) / 1000
