"""What a provider still allows of one unit, as one worker may count on. Pure: instants are arguments, in nanoseconds.

A limit that the configuration gives is kept over every span of sixty seconds, so it holds whether the provider counts
by the minute or lets its bucket fill up steadily. What an answer's headers say comes from the provider itself: it is
shared among the workers, and what was sent since is taken off.
"""

from collections import deque

_NS = 1_000_000_000
MINUTE_NS = 60 * _NS
_SLACK_NS = 1_500_000_000  # headers are rounded to the second and arrive late
NEVER_NS = 1 << 62


class Entry:
    """What was sent in one second of one bucket."""

    __slots__ = ("amount", "ends_ns")

    def __init__(self, ends_ns: int, amount: int) -> None:
        self.ends_ns: int = ends_ns
        self.amount: int = amount


class Sliding:
    """At most so much in any minute.

    Args:
        limit: of a minute, for this worker alone.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._entries: deque[Entry] = deque()
        self._sum: int = 0

    def free_at(self, need: int, now_ns: int) -> int:
        """Return the first instant at which there is room; more than all of it is as good as all of it."""
        self._forget(now_ns)
        excess = self._sum + min(need, self._limit) - self._limit
        if excess <= 0:
            return now_ns
        for entry in self._entries:
            excess -= entry.amount
            if excess <= 0:
                return entry.ends_ns
        return now_ns  # corrections have emptied it

    def take(self, need: int, now_ns: int) -> Entry:
        """Count what is sent; return what a correction is made to."""
        second = now_ns // _NS * _NS
        ends_ns = second + _NS + MINUTE_NS
        if not self._entries or self._entries[-1].ends_ns < ends_ns:
            self._entries.append(Entry(ends_ns, 0))
        entry = self._entries[-1]
        entry.amount += need
        self._sum += need
        return entry

    def correct(self, entry: Entry, by: int) -> None:
        """Change what was counted, unless that is more than a minute ago."""
        if self._entries and entry.ends_ns >= self._entries[0].ends_ns:
            by = max(by, -entry.amount)
            entry.amount += by
            self._sum += by

    def _forget(self, now_ns: int) -> None:
        while self._entries and self._entries[0].ends_ns <= now_ns:
            self._sum -= self._entries.popleft().amount


class Told:
    """What the headers of a provider's answers say of one unit.

    A provider either fills its bucket steadily or empties the count when a minute is over. It is taken for steady
    until its headers contradict: a bucket that is nearly full but full only in long is counted by the minute.
    """

    def __init__(self) -> None:
        self._limit: int = 0
        self._level: int = 0
        self._at_ns: int = 0
        self._full_ns: int = 0
        self._is_stepped: bool = False

    def learn(self, limit: int, remaining: int, reset_ns: int, sent_since: int, now_ns: int) -> None:
        """Take in what an answer says.

        Args:
            limit: of a minute.
            remaining: of it, when the provider took the request in.
            reset_ns: when all of it is free again.
            sent_since: what was sent after that request.
            now_ns: the present.
        """
        steady_ns = MINUTE_NS * max(0, limit - remaining) // limit if limit else 0
        if reset_ns - now_ns > steady_ns + _SLACK_NS:
            self._is_stepped = True
        self._limit = limit
        self._level = remaining - sent_since
        self._at_ns = now_ns
        self._full_ns = max(reset_ns, now_ns)

    def free_at(self, need: int, now_ns: int, shares: int) -> int:
        """Return the first instant at which a share of what is left has room."""
        self._refill(now_ns)
        wanted = min(need, max(1, self._limit // shares)) * shares
        wanted = min(wanted, self._limit)
        if self._level >= wanted:
            return now_ns
        if self._is_stepped:
            return self._full_ns
        return min(self._full_ns, self._at_ns - (self._level - wanted) * MINUTE_NS // self._limit)

    def take(self, need: int) -> None:
        """Take off what is sent."""
        self._level -= need

    def _refill(self, now_ns: int) -> None:
        """Add what has become free since; after the instant that was told, no answer having come, all of it."""
        if now_ns >= self._full_ns:
            self._level = self._limit
            self._at_ns = now_ns
            past_ns = now_ns - self._full_ns
            self._full_ns = now_ns + MINUTE_NS - past_ns % MINUTE_NS if self._is_stepped else NEVER_NS
        elif not self._is_stepped:
            gained = (now_ns - self._at_ns) * self._limit // MINUTE_NS
            self._at_ns += gained * MINUTE_NS // self._limit
            self._level += gained
            if self._level >= self._limit:
                self._level = self._limit
                self._at_ns = now_ns
