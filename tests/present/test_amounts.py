"""Amounts and durations for people."""

import pytest

from farebox.present.amounts import (
    cost_text,
    meter_label,
    moment_text,
    percent,
    price_label,
    quantity_label,
    short_duration,
    short_moment,
    short_quantity,
    short_usd,
)
from farebox.usage import METERS

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


@pytest.mark.parametrize(
    ("meter", "femto", "per", "text"),
    [
        ("input", 150_000_000, 1, "$0.15/1M"),
        ("cache_read", -18_750_000, 2, "-$0.009375/1M"),
        ("web_search", 10**13, 1, "$0.01/call"),
        ("audio_time", 10**11, 3600, "$0.1/h"),
        ("video_time", 10**11, 1, "$0.1/s"),
        ("page", 10**12, 1, "$1/1k"),
        ("image_made", 4 * 10**13, 1, "$0.04/image"),
        ("character", 15 * 10**9, 1, "$15/1M"),
        ("pixel", 10**6, 1, "$1/1B"),
        ("cache_storage", 10**9, 3600, "$1/1M token-hours"),
        ("file_storage", 10**8, 1, "$0.1/GB-day"),
        ("provisioned", USD, 3600, "$1/unit-hour"),
        ("egress", 9 * 10**7, 1, "$0.09/GB"),
        ("credit_purchase", 55 * 10**6, 1, "$0.055/USD"),
        ("reported_cost", 1, 1, "$1/USD"),
        ("output", USD, 3 * 10**9, "$0.000333333333333/1M"),
        ("of another version", 5, 1, "$0.000000000000005"),
    ],
)
def test_unit_prices_are_for_what_they_are_published_for(meter, femto, per, text):
    assert price_label(femto, per, meter) == text


@pytest.mark.parametrize(
    ("meter", "quantity", "exact", "short"),
    [
        ("input", 1234567, "1,234,567", "1,234,567"),
        ("web_search", 2, "2", "2"),
        ("audio_time", 7_001, "7.001 s", "7.001"),
        ("cache_storage", 1, "0.000277777777778 token-hours", "0.000"),
        ("cache_storage", 3600, "1 token-hour", "1"),
        ("egress", 1_500_000_000, "1,500 GB", "1,500"),
        ("page", 3, "3 pages", "3"),
        ("reported_cost", 5 * 10**12, "0.005 USD", "0.005"),
        ("of another version", 3, "3", "3"),
    ],
)
def test_quantities_are_shown_in_the_unit_that_people_count_in(meter, quantity, exact, short):
    assert (quantity_label(meter, quantity), short_quantity(meter, quantity)) == (exact, short)


def test_every_meter_has_words():
    for name, meter in METERS.items():
        assert price_label(10**9, 1, name).count("/") == 1
        assert meter_label(name) == (name if meter.unit == "token" else f"{name} ({meter.unit}s)") or meter.unit in {
            "GB",
            "USD",
        }
    assert (meter_label("egress"), meter_label("of another version")) == ("egress (GB)", "of another version")
