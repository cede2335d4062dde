"""Amounts and durations for people."""

import pytest

from farebox.present.amounts import cost_text, moment_text, percent, short_duration, short_moment, short_usd

USD = 10**15


@pytest.mark.parametrize(
    ("femto", "text"),
    [
        (0, "$0"),
        (1, "$0.000000000000001"),
        (USD, "$1.00"),
        (1234567 * USD + USD // 2, "$1,234,567.50"),
        (USD // 8, "$0.125"),
        (USD * 16584 // 100000, "$0.166"),
        (43_500_000_000, "$0.0000435"),
        (-USD * 5 // 2, "-$2.50"),
        (-USD // 8, "-$0.125"),
    ],
)
def test_amounts_are_rounded_for_reading(femto, text):
    assert short_usd(femto) == text


def test_an_unknown_cost_is_never_a_zero():
    assert cost_text(0, 2, 2) == "unknown"
    assert cost_text(USD, 2, 1) == "$1.00*"
    assert cost_text(0, 2, 0) == "$0"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [(None, "-"), (0, "0 ns"), (999, "999 ns"), (90_000, "90.0 us"), (4_560_000, "4.56 ms"), (123 * 10**9, "123 s")],
)
def test_durations(nanoseconds, text):
    assert short_duration(nanoseconds) == text


def test_moments_and_shares():
    assert moment_text(1_795_392_000_123_456_789) == "2026-11-23T00:00:00.123Z"
    assert moment_text(None) is None
    assert (short_moment(1_795_392_000_000_000_000), short_moment(None)) == ("2026-11-23 00:00:00", "-")
    assert percent(0.125) == "12.5%"
