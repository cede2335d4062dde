"""How fast a target answers: decayed means, and percentiles of the last answers."""

_KEPT = 128
_FRESH = 16  # answers after which percentiles are worked out anew
_LEAST_WEIGHT = 0.125
_FORGET_NS = 60_000_000_000  # an answer after such a silence counts for all that was before


class Pulse:
    """The pace of one target. All in nanoseconds.

    Attributes:
        first_ns: decayed mean of the time to the first content of a stream; None: never seen.
        token_ns: of the time for each output token after it.
        whole_ns: of the time for each output token of answers that are not streamed, all in all.
        seen_ns: when the last answer came, monotonic; 0: never.
    """

    __slots__ = ("_firsts", "_next", "_sorted", "_unsorted", "first_ns", "seen_ns", "token_ns", "whole_ns")

    def __init__(self) -> None:
        self.first_ns: float | None = None
        self.token_ns: float | None = None
        self.whole_ns: float | None = None
        self.seen_ns: int = 0
        self._firsts: list[int] = []
        self._next: int = 0
        self._sorted: list[int] = []
        self._unsorted: int = 0

    def learn_stream(self, now_ns: int, first_ns: int, rest_ns: int, tokens: int) -> None:
        """Take in a streamed answer: the time to its first content, the time after it, its output tokens."""
        weight = self._weigh(now_ns)
        self.first_ns = _blend(self.first_ns, first_ns, weight)
        if tokens > 1:
            self.token_ns = _blend(self.token_ns, rest_ns / (tokens - 1), weight)
        self._keep(first_ns)

    def learn_whole(self, now_ns: int, total_ns: int, tokens: int) -> None:
        """Take in an answer that was not streamed."""
        weight = self._weigh(now_ns)
        self.whole_ns = _blend(self.whole_ns, total_ns / max(1, tokens), weight)
        self._keep(total_ns)

    def learn_slower(self, now_ns: int, first_ns: int) -> None:
        """Take in that the first content takes at least so long: nobody waited for it."""
        if self.first_ns is None or first_ns > self.first_ns:
            self.first_ns = _blend(self.first_ns, first_ns, self._weigh(now_ns))
        self._keep(first_ns)

    def expected_ns(self, tokens: int, *, streams: bool) -> float | None:
        """Return how long a whole answer of so many tokens is expected to take; None where none was seen."""
        if self.first_ns is not None and (streams or self.whole_ns is None):
            return self.first_ns + tokens * (self.token_ns or 0.0)
        return None if self.whole_ns is None else max(1, tokens) * self.whole_ns

    def percentile_ns(self, percent: float) -> int | None:
        """Return what so many percent of the last answers took at most to their first content; None: too few."""
        if self._unsorted >= _FRESH or len(self._sorted) < min(_FRESH, len(self._firsts)):
            self._sorted = sorted(self._firsts)
            self._unsorted = 0
        if len(self._sorted) < _FRESH:
            return None
        return self._sorted[min(len(self._sorted) - 1, int(len(self._sorted) * percent / 100))]

    def _weigh(self, now_ns: int) -> float:
        age_ns = now_ns - self.seen_ns
        self.seen_ns = now_ns
        return min(1.0, max(_LEAST_WEIGHT, age_ns / _FORGET_NS))

    def _keep(self, first_ns: int) -> None:
        self._unsorted += 1
        if len(self._firsts) < _KEPT:
            self._firsts.append(first_ns)
        else:
            self._firsts[self._next] = first_ns
            self._next = (self._next + 1) % _KEPT


def _blend(before: float | None, now: float, weight: float) -> float:
    return float(now) if before is None else before + (now - before) * weight
