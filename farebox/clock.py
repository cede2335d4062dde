"""Time is an argument: decisions take it from a Clock, so tests can hand in their own."""

import time
from typing import Protocol


class Clock(Protocol):
    """What the line asks for the time."""

    def now_ns(self) -> int:
        """Return the wall clock as nanoseconds since the Unix epoch, UTC."""

    def monotonic_ns(self) -> int:
        """Return a clock that never goes back, in nanoseconds, for durations only."""


class SystemClock:
    """The machine's clocks."""

    now_ns = staticmethod(time.time_ns)
    monotonic_ns = staticmethod(time.perf_counter_ns)
