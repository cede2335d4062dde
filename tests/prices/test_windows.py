"""Schedules: weekdays, windows, holidays and daylight saving, each at its boundary."""

from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.prices.rates import Calendar, Source, Windows
from farebox.prices.windows import Timetable, is_on, transitions

SOURCE = Source("u")
CALENDARS = {
    "holidays": Calendar("holidays", frozenset({"2026-10-01", "2026-11-18"}), "2026-12-31", SOURCE),
    "working": Calendar("working", frozenset({"2026-11-21"}), "2026-12-31", SOURCE),
}
PEAK = Windows("peak", "UTC", (0, 1, 2, 3, 4), ((60, 240), (360, 600)), "holidays", "working", SOURCE)
AMERICA = Windows("na", "America/New_York", tuple(range(7)), ((540, 1020),), "", "", SOURCE)
NIGHT = Windows("night", "Asia/Shanghai", tuple(range(7)), ((0, 360), (1320, 1440)), "", "", SOURCE)


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-11-16T00:59:59Z", False),
        ("2026-11-16T01:00:00Z", True),  # Monday
        ("2026-11-16T03:59:59Z", True),
        ("2026-11-16T04:00:00Z", False),  # the end is excluded
        ("2026-11-16T06:00:00Z", True),
        ("2026-11-16T10:00:00Z", False),
        ("2026-11-20T02:00:00Z", True),  # Friday
        ("2026-11-22T02:00:00Z", False),  # Sunday
        ("2026-11-21T02:00:00Z", True),  # a Saturday that is worked on
        ("2026-11-18T02:00:00Z", False),  # a Wednesday off
        ("2026-10-01T02:00:00Z", False),
        ("2026-11-16T10:00:00+08:00", True),  # the same instant in another zone
    ],
)
def test_a_window_of_the_week(instant: str, *, expected: bool) -> None:
    assert is_on(PEAK, CALENDARS, at(instant)) is expected


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-03-07T13:59:59Z", False),  # 08:59 in winter
        ("2026-03-07T14:00:00Z", True),
        ("2026-03-08T12:59:59Z", False),  # the day the clocks go forward
        ("2026-03-08T13:00:00Z", True),
        ("2026-03-08T21:00:00Z", False),
        ("2026-11-01T13:59:59Z", False),  # the day they go back
        ("2026-11-01T14:00:00Z", True),
        ("2026-11-01T22:00:00Z", False),
    ],
)
def test_a_window_follows_the_clocks_of_its_zone(instant: str, *, expected: bool) -> None:
    assert is_on(AMERICA, {}, at(instant)) is expected


@pytest.mark.parametrize(
    ("instant", "expected"),
    [
        ("2026-11-16T13:59:59Z", False),
        ("2026-11-16T14:00:00Z", True),  # 22:00 in Shanghai
        ("2026-11-16T16:00:00Z", True),  # midnight there
        ("2026-11-16T21:59:59Z", True),
        ("2026-11-16T22:00:00Z", False),
        ("2026-11-16T00:00:00Z", False),  # 08:00 there
    ],
)
def test_a_window_up_to_midnight_joins_the_one_after_it(instant: str, *, expected: bool) -> None:
    assert is_on(NIGHT, {}, at(instant)) is expected


def test_transitions_are_the_instants_at_which_it_turns() -> None:
    marks = transitions(PEAK, CALENDARS, at("2026-11-16T01:00:00Z"), at("2026-11-17T06:00:00Z"))
    hours = ["2026-11-16T04:00:00Z", "2026-11-16T06:00:00Z", "2026-11-16T10:00:00Z"]
    hours += ["2026-11-17T01:00:00Z", "2026-11-17T04:00:00Z"]
    assert marks == [at(hour) for hour in hours]


@pytest.mark.parametrize("windows", [PEAK, AMERICA, NIGHT], ids=lambda windows: windows.id)
def test_a_whole_night_turns_once(windows: Windows) -> None:
    marks = transitions(windows, CALENDARS, at("2026-02-20T00:00:00Z"), at("2026-03-20T00:00:00Z"))
    states = [is_on(windows, CALENDARS, mark) for mark in marks]
    assert all(one != other for one, other in pairwise(states))


@given(
    windows=st.sampled_from([PEAK, AMERICA, NIGHT]),
    start=st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 1)),  # noqa: DTZ001 - made aware below
    minutes=st.integers(1, 3 * 1440),
)
def test_between_two_transitions_nothing_turns(windows: Windows, start: datetime, minutes: int) -> None:
    from_ns = at(f"{start.replace(microsecond=0).isoformat()}Z")
    until_ns = from_ns + int(timedelta(minutes=minutes).total_seconds()) * 10**9
    table = Timetable(windows, CALENDARS)
    marks = [from_ns, *transitions(windows, CALENDARS, from_ns, until_ns), until_ns]
    assert marks == sorted(set(marks))
    for opened, closed in pairwise(marks):
        assert table.is_on(opened) == table.is_on(closed - 1) == table.is_on((opened + closed) // 2)
        if closed != until_ns:
            assert table.is_on(closed) != table.is_on(opened)
