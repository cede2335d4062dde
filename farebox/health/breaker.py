"""A circuit breaker: after failures nothing is sent for a while, then one call at a time finds out whether it works.

It opens after so many failures in a row, or when their share of the last seconds is too large, and stays open twice as
long each time the first call afterwards fails, too. One failure does not tell an ill provider from a bad moment; a
share over a window finds the one that fails every other call, which a count in a row never would.
"""

from farebox.config.policies import Breaker as Settings
from farebox.health.window import Window

_NS = 1_000_000_000


class Breaker:
    """The breaker of one target. Instants are monotonic nanoseconds."""

    __slots__ = ("_good_probes", "_in_row", "_open_ns", "_open_until_ns", "_probing", "_settings", "window")

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.window: Window = Window(int(settings.window_s * _NS))
        self._in_row: int = 0
        self._open_until_ns: int = 0
        self._open_ns: int = 0
        self._probing: bool = False
        self._good_probes: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether all is well."""
        return not self._open_until_ns

    def blocked_until(self, now_ns: int) -> int:
        """Return until when nothing may be sent, or 0; while a probe is under way, that is a moment from now."""
        if not self._open_until_ns:
            return 0
        if now_ns < self._open_until_ns:
            return self._open_until_ns
        return now_ns + int(self._settings.open_s * _NS) if self._probing else 0

    def begin(self, now_ns: int) -> bool:
        """Note that a call is sent; return whether it is a probe."""
        if not self._open_until_ns or now_ns < self._open_until_ns or self._probing:
            return False
        self._probing = True
        return True

    def good(self, now_ns: int, *, probe: bool) -> None:
        """Take a success in."""
        self.window.add(now_ns)
        self._in_row = 0
        if not probe:
            return
        self._probing = False
        self._good_probes += 1
        if self._good_probes >= self._settings.probes:
            self._open_until_ns = self._open_ns = 0
            self.window.clear()

    def bad(self, now_ns: int, *, probe: bool) -> None:
        """Take a failure in."""
        self.window.add(now_ns, bad=True)
        self._in_row += 1
        if probe:
            self._probing = False
            self._open(now_ns)
        elif not self._open_until_ns and (self._in_row >= self._settings.failures or self._fails_often(now_ns)):
            self._open(now_ns)

    def neutral(self, *, probe: bool) -> None:
        """Take in an end that says nothing about the target."""
        if probe:
            self._probing = False

    def _fails_often(self, now_ns: int) -> bool:
        good, bad = self.window.totals(now_ns)
        settings = self._settings
        return good + bad >= settings.least_attempts and bad * 100 >= settings.failure_percent * (good + bad)

    def _open(self, now_ns: int) -> None:
        settings = self._settings
        longest = int(settings.most_open_s * _NS)
        self._open_ns = min(longest, self._open_ns * 2 or int(settings.open_s * _NS))
        self._open_until_ns = now_ns + self._open_ns
        self._good_probes = 0
