"""Turns ``--since`` into a range of time. The present is an argument."""

import re
from datetime import UTC, datetime, timedelta

from farebox.books.rows import Window
from farebox.errors import ConfigError

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_AGO = re.compile(r"(\d{1,6})([mhdw])")
_FORMS = "write a duration such as 30m, 24h, 30d or 4w, or FROM..TO with dates or times such as 2026-11-01..2026-11-23"


def parse_window(text: str, now_ns: int) -> Window:
    """Return the window that a text names.

    Args:
        text: ``30d`` (until now), ``FROM..TO``, ``FROM..`` or ``..TO``; a bound is a date or an ISO 8601 time,
            UTC unless it says otherwise. A date as TO includes that day. "" is everything.
        now_ns: wall clock.

    Raises:
        ConfigError: where the text names no window.
    """
    if not text:
        return Window()
    ago = _AGO.fullmatch(text)
    if ago:
        age = timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        return Window(since_ns=now_ns - age // timedelta(microseconds=1) * 1000)
    since, dots, until = text.partition("..")
    if not dots:
        raise ConfigError(f"--since {text!r} is no range of time: {_FORMS}")
    window = Window(
        since_ns=_bound(since, text, is_end=False) if since else None,
        until_ns=_bound(until, text, is_end=True) if until else None,
    )
    if window.since_ns is not None and window.until_ns is not None and window.since_ns >= window.until_ns:
        raise ConfigError(f"--since {text!r} ends before it begins")
    return window


def _bound(text: str, whole: str, *, is_end: bool) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--since {whole!r}: {text!r} is no date or time: {_FORMS}") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    if is_end and re.fullmatch(r"\d{4}-?\d{2}-?\d{2}", text):
        moment += timedelta(days=1)
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000
