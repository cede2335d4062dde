"""Windows of budgets: edges, daylight saving, and rolling ones."""

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.budgets.window import Window, counted_from, read_window, span_at
from farebox.errors import ConfigError


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("text", "zone", "instant", "start", "end"),
    [
        ("day", "UTC", "2026-11-23T23:59:59Z", "2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z"),
        ("day", "UTC", "2026-11-24T00:00:00Z", "2026-11-24T00:00:00Z", "2026-11-25T00:00:00Z"),
        ("day", "America/New_York", "2026-11-01T04:00:00Z", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),  # 25 h
        ("day", "America/New_York", "2026-03-08T12:00:00Z", "2026-03-08T05:00:00Z", "2026-03-09T04:00:00Z"),  # 23 h
        ("week", "UTC", "2026-11-22T23:59:59Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),  # a Sunday
        ("week", "UTC", "2026-11-23T00:00:00Z", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z"),  # a Monday
        ("month", "UTC", "2026-12-31T23:59:59Z", "2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"),
        ("month", "Asia/Shanghai", "2026-11-30T16:00:00Z", "2026-11-30T16:00:00Z", "2026-12-31T16:00:00Z"),
        ("minute", "UTC", "2026-11-23T10:59:59Z", "2026-11-23T10:59:00Z", "2026-11-23T11:00:00Z"),
        ("hour", "UTC", "2026-11-23T10:59:59Z", "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"),
        ("hour", "Asia/Kolkata", "2026-11-23T10:29:59Z", "2026-11-23T09:30:00Z", "2026-11-23T10:30:00Z"),
        ("hour", "America/New_York", "2026-11-01T05:30:00Z", "2026-11-01T05:00:00Z", "2026-11-01T06:00:00Z"),
        ("hour", "America/New_York", "2026-11-01T06:30:00Z", "2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z"),
    ],
)
def test_a_calendar_window_has_its_edges(text: str, zone: str, instant: str, start: str, end: str) -> None:
    span = span_at(read_window(text, zone), at(instant))
    assert (span.start_ns, span.end_ns) == (at(start), at(end))


@pytest.mark.parametrize("text", ["", "year", "rolling", "rolling:0h", "rolling:5", "rolling:-5h", "Day"])
def test_any_other_window_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"there are minute, hour, day, week, month, lifetime, and rolling:24h"):
        read_window(text)


def test_a_zone_must_be_one() -> None:
    with pytest.raises(ConfigError, match="no IANA time zone"):
        read_window("day", "Mars/Base")


WRITTEN = ["minute", "hour", "day", "week", "month", "lifetime", "rolling:5m", "rolling:36h", "rolling:7d"]


@pytest.mark.parametrize("text", WRITTEN)
def test_a_window_is_written_as_it_is_read(text: str) -> None:
    assert str(read_window(text)) == text


windows = st.sampled_from(
    [
        *(
            read_window(kind, zone)
            for kind in ("minute", "hour", "day", "month")
            for zone in ("UTC", "America/New_York")
        ),
        read_window("day", "Australia/Lord_Howe"),
        read_window("lifetime"),
        read_window("week"),
        read_window("rolling:24h"),
        read_window("rolling:7m"),
    ]
)
instants = st.integers(at("2025-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z"))


@given(window=windows, at_ns=instants)
def test_an_instant_is_in_its_window_and_the_windows_meet(window: Window, at_ns: int) -> None:
    span = span_at(window, at_ns)
    assert span.start_ns <= at_ns < span.end_ns
    assert span_at(window, span.start_ns) == span == span_at(window, span.end_ns - 1)
    if window.kind != "lifetime":
        after = span_at(window, span.end_ns)
        assert after.start_ns == span.end_ns
        assert after.id > span.id


@given(at_ns=instants, window=st.sampled_from([read_window("rolling:24h"), read_window("rolling:7m")]))
def test_a_rolling_window_forgets_late_and_never_early(at_ns: int, window: Window) -> None:
    counted = counted_from(window, at_ns)
    assert at_ns - window.length_ns - window.length_ns // 60 - 1 <= counted <= at_ns - window.length_ns
