"""When a schedule is on: weekly windows in a time zone, with calendars of days that differ.

A window's end is excluded. An instant is rated by the local date it falls on, so a window that crosses midnight
is two windows.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from farebox.prices.rates import Calendar, Windows

NS_PER_DAY = 86_400_000_000_000
_NS_PER_S = 1_000_000_000
_MINUTES_PER_DAY = 1440
_EPOCH = date(1970, 1, 1)
# Days whose windows are kept; a year of traffic in any order fits.
_KEPT_DAYS = 512

Span = tuple[int, int]


class Timetable:
    """A schedule laid out day by day, as far as it is asked for."""

    def __init__(self, windows: Windows, calendars: Mapping[str, Calendar]) -> None:
        self.windows: Windows = windows
        self._zone: ZoneInfo = ZoneInfo(windows.zone)
        self._off: frozenset[str] = calendars[windows.off_days].days if windows.off_days else frozenset()
        self._on: frozenset[str] = calendars[windows.on_days].days if windows.on_days else frozenset()
        self._days: dict[int, tuple[Span, ...]] = {}

    def is_on(self, at_ns: int) -> bool:
        """Return whether an instant, nanoseconds since the epoch, falls into a window."""
        number = at_ns // NS_PER_DAY
        spans = self._days.get(number)
        if spans is None:
            spans = self.spans_of(number)
        return any(start <= at_ns < end for start, end in spans)

    def spans_of(self, number: int) -> tuple[Span, ...]:
        """Return the windows within one UTC day, given by its number since the epoch, in order and merged."""
        found = self._days.get(number)
        if found is None:
            if len(self._days) >= _KEPT_DAYS:
                self._days.clear()
            found = self._days[number] = self._lay_day(number)
        return found

    def _lay_day(self, number: int) -> tuple[Span, ...]:
        start, end = number * NS_PER_DAY, (number + 1) * NS_PER_DAY
        day = _EPOCH + timedelta(days=number)
        spans: list[Span] = []
        # A time zone is at most a day away from UTC.
        for local in (day - timedelta(days=1), day, day + timedelta(days=1)):
            for opened, closed in self._spans_on(local):
                if opened < end and closed > start:
                    first, last = max(opened, start), min(closed, end)
                    if spans and spans[-1][1] >= first:
                        spans[-1] = (spans[-1][0], max(last, spans[-1][1]))
                    else:
                        spans.append((first, last))
        return tuple(spans)

    def _spans_on(self, local: date) -> Iterator[Span]:
        text = local.isoformat()
        if (local.weekday() in self.windows.weekdays and text not in self._off) or text in self._on:
            for opened, closed in self.windows.spans:
                yield self._instant(local, opened), self._instant(local, closed)

    def _instant(self, local: date, minute: int) -> int:
        days, minute = divmod(minute, _MINUTES_PER_DAY)
        day = local + timedelta(days=days)
        moment = datetime(day.year, day.month, day.day, minute // 60, minute % 60, tzinfo=self._zone)
        return int(moment.astimezone(UTC).timestamp()) * _NS_PER_S


def is_on(windows: Windows, calendars: Mapping[str, Calendar], at_ns: int) -> bool:
    """Return whether a schedule is on at an instant; a `Timetable` answers faster the second time."""
    return Timetable(windows, calendars).is_on(at_ns)


def transitions(windows: Windows, calendars: Mapping[str, Calendar], from_ns: int, until_ns: int) -> list[int]:
    """Return the instants after ``from_ns`` and before ``until_ns`` at which a schedule turns on or off, in order."""
    table = Timetable(windows, calendars)
    marks: list[int] = []
    for number in range(from_ns // NS_PER_DAY, -(-until_ns // NS_PER_DAY)):
        for opened, closed in table.spans_of(number):
            if marks and marks[-1] == opened:
                marks.pop()  # it stays on over midnight UTC
            else:
                marks.append(opened)
            marks.append(closed)
    return [mark for mark in marks if from_ns < mark < until_ns]
