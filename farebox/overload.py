"""Which calls are refused where a worker has more than it can do: those that matter least first.

Three things fill a worker: calls under way, the event loop running late, memory. Calls under way are counted at each
call; the others are looked at by a timer. A call is refused before its key is checked or its body read, which costs
next to nothing; what was admitted is answered and settled, whatever the load.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from zlib import crc32

from farebox.config.models import Criticality
from farebox.config.policies import Shedding
from farebox.errors import Unavailable

_LOOK_S = 0.05
_LOOKS = 20  # a second of them
_MEMORY_EVERY = 20  # looks
# At which part of what fills a worker calls are refused, and at how many times the lag that sheddable ones are.
_SHARES: dict[Criticality, float] = {"sheddable": 0.7, "normal": 0.9, "critical": 1.0}
_LAGS: dict[Criticality, int] = {"sheddable": 1, "normal": 4, "critical": 16}
_NEVER = 2**62
_LONGEST_S = 5


class Overload:
    """The load of one worker.

    Args:
        shedding: when it is too much.
        clock: seconds that only rise.

    Attributes:
        lag_s: how late the loop runs, in the mean of the last second.
        memory_mib: resident memory, or 0 where that is not known or not limited.
        easy: with so many calls under way every call is taken, however little it matters.
    """

    def __init__(self, shedding: Shedding, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lags: deque[float] = deque(maxlen=_LOOKS)
        self._looks: int = 0
        self._refused: frozenset[Criticality] = frozenset()
        self.lag_s: float = 0.0
        self.memory_mib: float = 0.0
        self.easy: int = 0
        self.configure(shedding)

    def configure(self, shedding: Shedding) -> None:
        """Go by other limits from now on."""
        self._shedding = shedding
        full = shedding.calls
        self._calls: dict[Criticality, int] = {
            word: _NEVER if full is None else max(1, int(full * share)) for word, share in _SHARES.items()
        }
        self._set_easy()

    async def run(self) -> None:
        """Look at the load until cancelled."""
        while True:
            due = self._clock() + _LOOK_S
            await asyncio.sleep(_LOOK_S)
            self._look(max(0.0, self._clock() - due))

    def admits(self, criticality: Criticality, calls: int) -> bool:
        """Return whether a call is taken.

        Args:
            criticality: how much it matters.
            calls: under way, itself included.
        """
        return calls <= self._calls[criticality] and criticality not in self._refused

    def refusal(self, call: str) -> Unavailable:
        """Return the error of a call that is not taken; calls that are refused together come back apart."""
        return Unavailable(
            "This gateway has more to do than it can. Try again in a moment; calls marked with "
            "'x-farebox-criticality: critical' are refused last.",
            code="overloaded",
            retry_after_s=1 + crc32(call.encode()) % _LONGEST_S,
        )

    @property
    def level(self) -> str:
        """Which calls are refused because of lag or memory, in words, or ``normal``."""
        for word in ("critical", "normal", "sheddable"):
            if word in self._refused:
                return {"critical": "all calls are refused", "normal": "only critical calls are taken"}.get(
                    word, "sheddable calls are refused"
                )
        return "normal"

    def _look(self, late_s: float) -> None:
        self._lags.append(late_s)
        self.lag_s = sum(self._lags) / _LOOKS
        self._looks += 1
        if self._shedding.memory_mib is not None and self._looks % _MEMORY_EVERY == 1:
            self.memory_mib = _resident_mib()
        self._refused = frozenset(word for word in _SHARES if self._is_too_much(word))
        self._set_easy()

    def _set_easy(self) -> None:
        self.easy = 0 if self._refused else min(self._calls.values())

    def _is_too_much(self, word: Criticality) -> bool:
        shedding = self._shedding
        if self.lag_s * 1000 > shedding.lag_ms * _LAGS[word]:
            return True
        return shedding.memory_mib is not None and self.memory_mib > shedding.memory_mib * _SHARES[word]


def _resident_mib() -> float:
    """Return the resident memory of this process; 0 where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:  # noqa: PTH123 - read twenty times a minute, without a Path
            pages = int(file.read().split()[1])
    except (OSError, IndexError, ValueError):
        return 0.0
    return pages * 4096 / 2**20
