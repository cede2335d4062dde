"""Days and months, UTC, as nanoseconds since the epoch; the end of a period is the start of the next."""

from collections.abc import Iterator
from datetime import date

NS_PER_SECOND = 1_000_000_000
NS_PER_MINUTE = 60 * NS_PER_SECOND
NS_PER_HOUR = 60 * NS_PER_MINUTE
NS_PER_DAY = 24 * NS_PER_HOUR
_EPOCH = date(1970, 1, 1).toordinal()


def day_start(at_ns: int) -> int:
    """Return the first instant of the day."""
    return at_ns - at_ns % NS_PER_DAY


def month_start(at_ns: int) -> int:
    """Return the first instant of the calendar month."""
    day = date.fromordinal(_EPOCH + at_ns // NS_PER_DAY)
    return (day.replace(day=1).toordinal() - _EPOCH) * NS_PER_DAY


def next_month(start_ns: int) -> int:
    """Return the first instant of the calendar month after that of an instant."""
    day = date.fromordinal(_EPOCH + start_ns // NS_PER_DAY)
    later = date(day.year + day.month // 12, day.month % 12 + 1, 1)
    return (later.toordinal() - _EPOCH) * NS_PER_DAY


def months(from_ns: int, until_ns: int) -> Iterator[tuple[int, int]]:
    """Yield the calendar months that a stretch of time touches, each as first instant and end."""
    start = month_start(from_ns)
    while start < until_ns:
        end = next_month(start)
        yield start, end
        start = end


def overlap_ns(one: tuple[int, int], two: tuple[int, int]) -> int:
    """Return how long two half-open stretches of time run together."""
    return max(0, min(one[1], two[1]) - max(one[0], two[0]))


def date_text(at_ns: int) -> str:
    """Return the ISO day of an instant."""
    return date.fromordinal(_EPOCH + at_ns // NS_PER_DAY).isoformat()


def month_text(at_ns: int) -> str:
    """Return the ISO month of an instant, such as ``2026-11``."""
    return date_text(at_ns)[:7]
