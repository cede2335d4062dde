"""When traffic reaches what providers allow: the line, the limits, the caps, the tiers."""

import json
import time
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from click.testing import CliRunner

from farebox.analyse.headroom import Day, draw_line, look_ahead
from farebox.cli.main import cli
from farebox.money import femto_from_usd
from farebox.providers.spend_tiers import SpendTier
from farebox.state.spend_tiers import load_tiers
from tests.books.traffic import FakeClock, done, line, sent, write_calls

FIRST = date(2026, 11, 1)
USD = 10**15


def days(spent, peaks=None) -> list[Day]:
    peaks = peaks or [0] * len(spent)
    return [
        Day(FIRST + timedelta(number), amount * USD, peak, peak * 10, peak * 2, peak * 12)
        for number, (amount, peak) in enumerate(zip(spent, peaks, strict=True))
    ]


def tier(name, paid, monthly=None) -> SpendTier:
    source = load_tiers()["openai"][0].source
    return SpendTier("p", name, None if paid is None else paid * USD, 0, monthly and monthly * USD, source)


def test_the_line_is_that_of_least_squares() -> None:
    drawn = draw_line([1, 3, 5, 7])
    assert (drawn.start, drawn.rise, drawn.explains) == (Fraction(1), Fraction(2), Fraction(1))
    drawn = draw_line([1, 3, 2])
    assert (drawn.start, drawn.rise, drawn.explains) == (Fraction(3, 2), Fraction(1, 2), Fraction(1, 4))
    assert draw_line([5]).rise == 0


def test_how_sure_it_is_says_how_much_was_seen() -> None:
    assert draw_line(list(range(14))).sureness == "high"
    assert draw_line(list(range(7))).sureness == "medium"
    assert draw_line(list(range(6))).sureness == "low"
    assert draw_line([0, 9] * 10).sureness == "low"


def test_a_limit_is_reached_where_the_line_reaches_it() -> None:
    (found,) = look_ahead(days([0] * 10, list(range(10, 20))), {"requests": 25}, (), 0)
    assert (found.now, found.limit, found.reached_on) == (19, 25, FIRST + timedelta(15))
    (found,) = look_ahead(days([0] * 10, [20] * 10), {"requests": 25}, (), 0)
    assert found.reached_on is None
    (found,) = look_ahead(days([0] * 10, [25] * 10), {"tokens": 300}, (), 0)
    assert found.reached_on == FIRST + timedelta(9)


def test_the_next_tier_is_reached_when_so_much_was_paid() -> None:
    tiers = (tier("1", 5), tier("2", 50), tier("3", 100))
    (found,) = look_ahead(days([10] * 5), {}, tiers, 60 * USD)
    assert (found.what, found.now, found.limit) == ("tier 3", 60 * USD, 100 * USD)
    assert found.reached_on == FIRST + timedelta(4 + 4)
    assert look_ahead(days([10] * 5), {}, tiers, 100 * USD) == []


def test_a_monthly_cap_counts_by_the_month() -> None:
    tiers = (tier("1", 0, monthly=100),)
    (found,) = look_ahead(days([5] * 10), {}, tiers, 50 * USD)
    assert (found.what, found.now) == ("monthly cap of tier 1", 50 * USD)
    assert found.reached_on == FIRST + timedelta(9 + 10)
    # 30 days at 3 USD never reach it: December begins with nothing.
    (found,) = look_ahead(days([3] * 10), {}, tiers, 30 * USD)
    assert found.reached_on is None


def test_tiers_of_the_package_rise_and_name_their_source() -> None:
    tiers = load_tiers()
    assert {"openai", "anthropic", "google"} <= tiers.keys()
    for known in tiers.values():
        paid = [one.paid_femto for one in known if one.paid_femto is not None]
        monthly = [one.monthly_femto for one in known if one.monthly_femto is not None]
        assert paid == sorted(set(paid))
        assert monthly == sorted(set(monthly))
        assert all(one.source.url.startswith("https://") and one.source.retrieved for one in known)
    assert tiers["openai"][4].monthly_femto == femto_from_usd(200_000)


@pytest.fixture
def books_dir(tmp_path):
    """Ten days that grow by a request in their busiest minute, and by a dollar a day."""
    today_ns = int(datetime.fromtimestamp(time.time(), UTC).replace(hour=0, minute=0, second=0).timestamp()) * 10**9
    records = []
    for number in range(10):
        day_ns = today_ns - (10 - number) * 86_400 * 10**9
        for call in range(number + 1):
            begun = sent(f"call_{number}_{call}", at_ns=day_ns + call * 10**9)
            records += [begun, done(begun, line("output", USD // 1000, 1000))]
    write_calls(tmp_path, [one for one in records if one], clock=FakeClock())
    return tmp_path


def test_the_command_says_when(books_dir, monkeypatch) -> None:
    monkeypatch.chdir(books_dir)
    (books_dir / "farebox.toml").write_text(
        'providers = [{ name = "openai", kind = "openai", limits = { requests_per_minute = 12 } }]\n'
    )
    words = ["limits", "forecast", "--data-dir", str(books_dir)]
    found = json.loads(CliRunner().invoke(cli, [*words, "--json"]).output)
    by_what = {one["what"]: one for one in found}
    yesterday = datetime.now(UTC).date() - timedelta(1)
    requests = by_what["requests a minute"]
    assert (requests["now"], requests["limit"]) == (10, 12)
    assert requests["reached_on"] == (yesterday + timedelta(2)).isoformat()
    paid = by_what["tier 3, 7 days after the first payment"]
    assert (paid["now"], paid["limit"]) == ("55", "100")
    table = CliRunner().invoke(cli, words, env={"COLUMNS": "80"}).output
    assert "requests a minute" in table
    assert max(map(len, table.splitlines())) <= 80
