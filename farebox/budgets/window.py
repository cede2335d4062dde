"""Over what a budget counts: calendar windows in a time zone, rolling ones, or a lifetime.

A window is a span of time with an id. What is reserved in a window is settled in it, however late; a new window is
a new row and never an old one set to zero, so nothing is reset and nothing is refunded across the edge.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from farebox.errors import ConfigError

WindowKind = Literal["minute", "hour", "day", "week", "month", "lifetime", "rolling"]
CALENDAR: tuple[WindowKind, ...] = ("minute", "hour", "day", "week", "month")
_NS = 1_000_000_000
_ROLLING = re.compile(r"rolling:(\d{1,4})([mhd])")
_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}
# A rolling window is counted in so many buckets: what it forgets, it forgets a bucket at a time.
BUCKETS = 60
NEVER_NS = 2**63 - 1


class Window(msgspec.Struct, frozen=True):
    """The kind of window a budget has.

    Attributes:
        kind: see `WindowKind`.
        zone: IANA name, whose calendar counts; "" for rolling and lifetime.
        length_ns: of a rolling window.
    """

    kind: WindowKind
    zone: str = "UTC"
    length_ns: int = 0

    def __str__(self) -> str:
        if self.kind != "rolling":
            return self.kind
        seconds = self.length_ns // _NS
        unit = next(unit for unit in ("d", "h", "m") if seconds % _UNITS_S[unit] == 0)
        return f"rolling:{seconds // _UNITS_S[unit]}{unit}"


class Span(msgspec.Struct, frozen=True):
    """One window, or one bucket of a rolling one.

    Attributes:
        id: unique among the windows of one budget; it sorts as time does.
        start_ns: its first instant, nanoseconds since the epoch.
        end_ns: the instant after its last one.
    """

    id: str
    start_ns: int
    end_ns: int


def read_window(text: str, zone: str = "UTC") -> Window:
    """Return the window that ``minute``, ``hour``, ``day``, ``week``, ``month``, ``lifetime`` or ``rolling:24h`` means.

    Raises:
        ConfigError: for any other text, or a zone that is none.
    """
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"zone {zone!r} is no IANA time zone such as Europe/Berlin") from None
    for kind in CALENDAR:
        if text == kind:
            return Window(kind, zone)
    if text == "lifetime":
        return Window("lifetime", "")
    found = _ROLLING.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise ConfigError(f"window {text!r}: there are {', '.join(CALENDAR)}, lifetime, and rolling:24h (m, h or d)")
    return Window("rolling", "", int(found[1]) * _UNITS_S[found[2]] * _NS)


def span_at(window: Window, at_ns: int) -> Span:
    """Return the window, or the bucket of a rolling one, that an instant falls into."""
    if window.kind == "lifetime":
        return Span("lifetime", 0, NEVER_NS)
    if window.kind == "rolling":
        width = -(-window.length_ns // BUCKETS)
        start = at_ns // width * width
        return Span(f"{start:020d}", start, start + width)
    if window.kind == "minute":
        start = at_ns // (60 * _NS) * 60
        return Span(datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%H:%M"), start * _NS, (start + 60) * _NS)
    zone = ZoneInfo(window.zone)
    local = datetime.fromtimestamp(at_ns // _NS, UTC).astimezone(zone)
    if window.kind == "hour":
        # An hour is an hour of time: where clocks go back, the same clock hour comes twice and is two windows.
        start = at_ns // _NS - local.minute * 60 - local.second
        return Span(datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%dT%HZ%M"), start * _NS, (start + 3600) * _NS)
    first = local.date()
    if window.kind == "week":
        first -= timedelta(days=first.weekday())
        last = first + timedelta(days=7)
    elif window.kind == "month":
        first = first.replace(day=1)
        last = (first + timedelta(days=31)).replace(day=1)
    else:
        last = first + timedelta(days=1)
    starts = (datetime(day.year, day.month, day.day, tzinfo=zone) for day in (first, last))
    start_ns, end_ns = (int(moment.timestamp()) * _NS for moment in starts)
    return Span(first.isoformat(), start_ns, end_ns)


def counted_from(window: Window, at_ns: int) -> int:
    """Return the start of the oldest span that counts at an instant.

    A rolling window still counts the bucket that it is leaving, whole: it forgets late, never early.
    """
    if window.kind != "rolling":
        return span_at(window, at_ns).start_ns
    return span_at(window, at_ns - window.length_ns).start_ns
