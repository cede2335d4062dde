"""Published words become integers, and a line is rounded once where it must be."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.prices.arithmetic import (
    amount_of,
    fraction_of,
    fraction_text,
    parse_price,
    parse_units,
    quantity_text,
    unit_price_text,
)


@pytest.mark.parametrize(
    ("text", "meter", "femto", "unit"),
    [
        ("2.50", "input", Fraction(2_500_000_000), "1M tokens"),
        ("0.003625", "cache_read", Fraction(3_625_000), "1M tokens"),
        ("0.00199375", "input", Fraction(1_993_750), "1M tokens"),
        ("10/1k", "web_search", Fraction(10**13), "1k calls"),
        ("0.01", "web_search", Fraction(10**13), "call"),
        ("0.006/min", "audio_time", Fraction(6 * 10**12, 60_000), "minute"),
        ("0.36", "audio_time", Fraction(36 * 10**13, 3_600_000), "hour"),
        ("0.04/h", "audio_time", Fraction(4 * 10**13, 3_600_000), "hour"),
        ("0.10/s", "video_time", Fraction(10**14, 1000), "second"),
        ("15", "character", Fraction(15 * 10**9), "1M characters"),
        ("4", "page", Fraction(4 * 10**12), "1k pages"),
        ("4/1000", "page", Fraction(4 * 10**12), "1k pages"),
        ("4.50", "cache_storage", Fraction(45 * 10**14, 3600 * 10**6), "1M token-hours"),
        ("0.10", "file_storage", Fraction(10**14, 10**6), "GB-day"),
        ("1.00", "provisioned", Fraction(10**15, 3600), "unit-hour"),
        ("0.09", "egress", Fraction(9 * 10**13, 10**6), "GB"),
        ("0.055", "credit_purchase", Fraction(55 * 10**12, 10**6), "USD"),
    ],
)
def test_a_price_is_read_as_published(text: str, meter: str, femto: Fraction, unit: str) -> None:
    price = parse_price(text, meter)
    assert (fraction_of(price), price.unit, price.text) == (femto, unit, text)


@pytest.mark.parametrize(
    ("text", "meter", "units"),
    [
        ("5000", "web_search", 5000),
        ("5k", "web_search", 5000),
        ("1.5k", "web_search", 1500),
        ("10 s", "audio_time", 10_000),
        ("10s", "audio_time", 10_000),
        ("1 min", "audio_time", 60_000),
        ("1.5 h", "training_time", 5_400_000),
        ("100 GB", "egress", 100_000_000),
        ("10 TB", "egress", 10_000_000_000),
        ("1 GB", "file_storage", 1_000_000),
        ("2", "provisioned", 7200),
    ],
)
def test_units_are_read_in_the_meters_smallest_part(text: str, meter: str, units: int) -> None:
    assert parse_units(text, meter) == units


@pytest.mark.parametrize(
    ("text", "meter", "words"),
    [
        ("", "input", "is no number of tokens"),
        ("many", "web_search", "is no number of calls"),
        ("5 GB", "input", "'GB' is no unit of input"),
        ("5 h", "web_search", "'h' is no unit of web_search"),
        ("5 year", "audio_time", "there are s, min, h, day"),
        ("0.5", "web_search", "finer than web_search is counted"),
    ],
)
def test_what_is_no_number_of_units_says_so(text: str, meter: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_units(text, meter)


@pytest.mark.parametrize("text", ["", "free", "NaN", "Infinity", "-1", "1/", "1/0", "1//2", "1/h/2", "1e"])
def test_what_is_no_price_says_so(text: str) -> None:
    with pytest.raises(ValueError, match=r"price|number|unit"):
        parse_price(text, "input")


@pytest.mark.parametrize(
    ("quantity", "femto", "per", "amount"),
    [
        (3, 7, 1, 21),
        (10_000, 4 * 10**13, 3_600_000, 111_111_111_000),  # 10 s at $0.04 an hour
        (1, 5, 2, 0),  # less than half of 1e-12 USD
        (1, 1000, 2, 500),  # whole femtodollars are left as they are
        (1, 2001, 2, 1000),  # 1000.5
        (3, 1001, 2, 2000),  # 1501.5
        (-3, 1001, 2, -2000),
        (1, 3001, 2, 2000),  # 1500.5 is above the half
        (5, 5000, 50_000, 0),  # 0.5
        (1, 4500, 3, 1500),
        (1, 4501, 3, 2000),  # 1500 and a third
        (1, 7499, 3, 2000),  # 2499 and two thirds
    ],
)
def test_a_line_is_rounded_once(quantity: int, femto: int, per: int, amount: int) -> None:
    assert amount_of(quantity, femto, per) == amount


@given(quantity=st.integers(0, 10**15), femto=st.integers(-(10**18), 10**18), per=st.integers(1, 10**9))
def test_a_line_is_exact_or_the_nearest(quantity: int, femto: int, per: int) -> None:
    exact = Fraction(quantity * femto, per)
    amount = amount_of(quantity, femto, per)
    if exact.denominator == 1:
        assert amount == exact
    else:
        assert amount == round(exact / 1000) * 1000  # Fraction rounds half to even


@given(parts=st.integers(0, 10**18))
def test_quantities_and_prices_are_shown_exactly(parts: int) -> None:
    assert Fraction(quantity_text("egress", parts)) == Fraction(parts, 10**6)
    assert Fraction(quantity_text("input", parts)) == parts
    assert Fraction(unit_price_text(parts, 1, 10**6)) == Fraction(parts * 10**6, 10**15)


def test_what_does_not_end_is_shown_rounded() -> None:
    assert quantity_text("cache_storage", 1200) == "0.333333333333333"
    assert fraction_text(Fraction(-2, 3)) == "-0.666666666666667"
    assert fraction_text(Fraction(3)) == "3"
