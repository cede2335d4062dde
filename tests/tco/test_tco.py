"""Months to come: forecasts that claim no more than was seen, and costs that plain loops come to as well."""

import json
from calendar import monthrange
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farebox.cli.main import cli
from farebox.errors import FareboxError
from farebox.money import FEMTO_PER_USD
from farebox.tco import forecast as forecasting
from farebox.tco.forecast import NotAhead, forecast
from farebox.whatif.fixed import Commitment, Egress, FineTuning, Fixed, Provisioned, Usage, exit_costs, lines_of

TRACES = Path(__file__).parents[2].parent / "shared/data/traces"
NEEDS_TRACES = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not at hand")
# USD for a million tokens of input and output, looked up by hand on the makers' price pages.
PRICES = {
    "openai/gpt-4o-mini": (Fraction("0.15"), Fraction("0.60")),
    "openai/gpt-4o": (Fraction("2.50"), Fraction("10.00")),
    "anthropic/claude-haiku-4-5": (Fraction("1.00"), Fraction("5.00")),
}
JANUARY = date(2027, 1, 1)


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])


def bring_in(data_dir: Path, path: Path, form: str, *more: str) -> None:
    target = ("--provider", "openai", "--model", "gpt-4o-mini")
    result = run(data_dir, "import", str(path), "--format", form, *target, *more)
    assert result.exit_code == 0, result.output


def tco(data_dir: Path, *words: str) -> dict[str, Any]:
    result = run(data_dir, "tco", "--begin", "2027-01", "--json", *words)
    assert result.exit_code == 0, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.output)
    return found


def lengths_of(path: Path) -> list[tuple[int, int]]:
    if path.suffix == ".csv":
        rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
        return [(int(row[1]), int(row[2])) for row in rows]
    records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [(one["input_length"], one["output_length"]) for one in records]


@NEEDS_TRACES
@pytest.mark.parametrize(
    ("name", "form"), [("azure_2023_conv.csv", "azure"), ("mooncake_conversation_trace.jsonl", "mooncake")]
)
def test_six_months_of_a_trace_are_exact(tmp_path, name, form) -> None:
    """An hour of traffic is taken for a day's, so a month is as many times that hour as it has days."""
    bring_in(tmp_path, TRACES / name, form, "--start", "2026-11-01T00:00:00Z")
    lengths = lengths_of(TRACES / name)
    others = [word for model in PRICES for word in ("--scheme", f"{model}=all:{model}")]
    found = tco(tmp_path, "--months", "6", *others)
    assert [one["name"] for one in found["schemes"]] == ["as sent", *PRICES]
    for one in found["schemes"]:
        prices = PRICES.get(one["name"], PRICES["openai/gpt-4o-mini"])
        day = sum(a * prices[0] + b * prices[1] for a, b in lengths) / 1_000_000
        for number, month in enumerate(one["months"]):
            days = monthrange(2027, number + 1)[1]
            assert Fraction(month["cost_usd"]) == day * days
            assert month["lines"] == {"calls": month["cost_usd"]}
        assert Fraction(one["total_usd"]) == day * (31 + 28 + 31 + 30 + 31 + 30)
    assert found["forecast"]["months"][0]["requests"] == len(lengths) * 31
    assert "taken for a whole day's" in found["seen"]


@NEEDS_TRACES
def test_ragpulse_goes_by_its_whole_days(tmp_path) -> None:
    bring_in(tmp_path, TRACES / "ragpulse_trace.jsonl", "ragpulse", "--start", "2026-11-02T00:00:00Z")
    records = [json.loads(line) for line in (TRACES / "ragpulse_trace.jsonl").read_text().splitlines() if line.strip()]
    days = [0] * 7
    for record in records:
        days[int(record["timestamp"]) // 86_400] += 1
    whole = days[1:6]  # the first and the last day are not known to be whole
    found = tco(tmp_path, "--months", "2")
    assert found["forecast"]["months"][0]["requests"] == round(Fraction(sum(whole), 5) * 31)
    cost = sum(one["input_length"] * Fraction("0.15") + one["output_length"] * Fraction("0.60") for one in records)
    for month, requests in zip(found["schemes"][0]["months"], found["forecast"]["months"], strict=True):
        exact = cost * requests["requests"] / len(records) / 1_000_000 * FEMTO_PER_USD
        assert Decimal(month["cost_usd"]) * FEMTO_PER_USD == round(exact)


def make_log(tmp_path: Path, days: int, at: str = "2026-11-{day:02d}T12:00:00Z") -> Path:
    rows = [{"at": at.format(day=day), "input": 1000, "output": 100} for day in range(1, days + 1)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bring_in(tmp_path / "data", tmp_path / "log.jsonl", "jsonl")
    return tmp_path / "data"


def test_an_announced_price_change_is_met_in_its_month(tmp_path) -> None:
    data_dir = make_log(tmp_path, 5)
    (tmp_path / "later.toml").write_text(
        '[[prices]]\nprovider = "openai"\nmodel = "gpt-4o-mini"\nsource = "announced"\nrows = [\n'
        '  { until = 2027-03-01T00:00:00Z, input = "0.15", output = "0.60" },\n'
        '  { from = 2027-03-01T00:00:00Z, input = "0.30", output = "1.20" },\n]\n'
    )
    (tmp_path / "s.toml").write_text('prices = ["later.toml"]\n')
    found = tco(data_dir, "--months", "4", "--scheme", f"later={tmp_path / 's.toml'}")
    later = found["schemes"][1]
    assert later["price_changes"] == [{"month": "2027-03", "percent": 100.0}]
    a_day = Fraction(1000 * Fraction("0.15") + 100 * Fraction("0.60")) / 1_000_000
    days = (31, 28, 31 * 2, 30 * 2)  # twice as dear from March on
    assert [Fraction(month["cost_usd"]) for month in later["months"]] == [each * a_day for each in days]


def test_growth_and_fixed_costs_from_a_file(tmp_path) -> None:
    data_dir = make_log(tmp_path, 5)
    (tmp_path / "s.toml").write_text(
        'monthly_usd = "3"\n[fixed]\nplatform_fee_percent = "5.5"\nmigration_usd = "12.5"\n'
        '[fixed.commitment]\nusd_per_month = "1"\ndiscount_percent = "10"\nmonths = 2\n'
    )
    found = tco(data_dir, "--months", "3", "--growth", "10", "--scheme", f"s={tmp_path / 's.toml'}")
    first, second, third = found["schemes"][1]["months"]
    calls = Fraction(31 * 210, 1_000_000) * Fraction(9, 10)
    assert {name: Fraction(amount) for name, amount in first["lines"].items()} == {
        "calls": calls,
        "unused_commitment": 1 - calls,
        "platform_fee": calls * Fraction("0.055"),
        "monthly": 3,
        "migration": Fraction("12.5"),
    }
    assert "migration" not in second["lines"]
    assert "unused_commitment" in second["lines"]
    assert "unused_commitment" not in third["lines"]
    assert found["schemes"][1]["exit_usd"] == ["1", "0", "0"]
    requests = [month["requests"] for month in found["forecast"]["months"]]
    assert requests == [31, round(28 * 1.1), round(31 * 1.21)]


def test_what_provisioned_units_do_not_take_is_paid_as_it_is_used(tmp_path) -> None:
    data_dir = make_log(tmp_path, 5)  # 1,100 tokens in one minute of each day
    (tmp_path / "s.toml").write_text(
        '[fixed.provisioned]\nunits = 2\nusd_per_unit_hour = "0.5"\ntokens_per_minute = 275\nmonths = 6\n'
    )
    (month,) = tco(data_dir, "--months", "1", "--scheme", f"s={tmp_path / 's.toml'}")["schemes"][1]["months"]
    assert Fraction(month["lines"]["provisioned"]) == 2 * 24 * 31 * Fraction("0.5")
    assert Fraction(month["lines"]["calls"]) == Fraction(31 * 210, 1_000_000) / 2


USAGE = Usage(0, 30, 1000 * FEMTO_PER_USD, Fraction(1), 50 * 10**9)


def usd(lines: dict[str, int]) -> dict[str, Fraction]:
    return {name: Fraction(amount, FEMTO_PER_USD) for name, amount in lines.items()}


def test_fine_tuning_by_hand() -> None:
    tuning = FineTuning(
        training_tokens=2_000_000,
        epochs=3,
        usd_per_million="25",
        training_hours="1.5",
        usd_per_training_hour="100",
        hosting_usd_per_hour="1.70",
    )
    first = usd(lines_of(Fixed(fine_tuning=tuning), 0, USAGE))
    assert first["training"] == 2 * 3 * 25 + 150
    assert first["hosting"] == 30 * 24 * Fraction("1.70")
    later = lines_of(Fixed(fine_tuning=tuning), 0, Usage(1, 30, 0, Fraction(1), 0))
    assert "training" not in later


@pytest.mark.parametrize(("size_gb", "cost"), [(0, "0"), (10, "0.9"), (100, "9"), (101, "9.085"), (200, "17.5")])
def test_egress_has_marginal_tiers(size_gb: int, cost: str) -> None:
    egress = Egress(bytes_per_output_token=4, tiers=((0, "0.09"), (100, "0.085")))
    usage = Usage(0, 30, 0, Fraction(1), size_gb * 10**9 // 4)
    assert usd(lines_of(Fixed(egress=egress), 0, usage)).get("egress", 0) == Fraction(cost)


def test_what_leaving_costs() -> None:
    fixed = Fixed(
        commitment=Commitment(usd_per_month="100", months=3),
        provisioned=Provisioned(units=1, usd_per_unit_hour="1", tokens_per_minute=1, months=2),
    )
    assert [Fraction(each, FEMTO_PER_USD) for each in exit_costs(fixed, JANUARY, 4)] == [200 + 28 * 24, 100, 0, 0]


# Forecasts.


def test_one_day_is_no_trend() -> None:
    found = forecast([100], date(2026, 12, 31), JANUARY, 2, 0)
    assert [(month.requests, month.low, month.high) for month in found.months] == [(3100,) * 3, (2800,) * 3]
    assert "the mean of 1 day, without a trend" in found.method
    assert "the bands are not known" in found.method
    assert not found.has_band
    assert forecast([100, 110], date(2026, 12, 31), JANUARY, 1, 0).has_band


@pytest.mark.parametrize("begin", [date(2025, 1, 1), date(2026, 12, 1)])
def test_what_is_over_is_not_forecast(begin: date) -> None:
    with pytest.raises(NotAhead, match="begin with 2027-01 or later"):
        forecast([100, 110], date(2026, 12, 30), begin, 2, 0)


def test_two_days_without_a_whole_one_are_not_one(tmp_path) -> None:
    rows = [{"at": f"2026-11-{1 + hour // 24:02d}T{hour % 24:02d}:30:00Z", "input": 10} for hour in range(47)]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bring_in(tmp_path / "data", tmp_path / "log.jsonl", "jsonl")
    found = tco(tmp_path / "data", "--months", "1")
    assert found["forecast"]["months"][0]["requests"] == 31 * 24


WEEKS = [100 + 50 * (number % 7 < 5) for number in range(42)]


def test_a_season_of_weeks_without_the_library(monkeypatch) -> None:
    monkeypatch.setattr(forecasting, "_smooth", lambda *_: None)
    last = date(2026, 12, 31)
    found = forecast(WEEKS, last, JANUARY, 1, 0)
    # The pattern goes on: 43 days in, day 42 % 7 == 0 begins the week again.
    assert found.months[0].requests == sum(100 + 50 * (number % 7 < 5) for number in range(42, 42 + 31))
    assert "weekly season" in found.method


def test_trend_and_season_with_the_library() -> None:
    pytest.importorskip("statsmodels")
    daily = [round((200 + 2 * number) * (1.3 if number % 7 < 5 else 0.4)) for number in range(56)]
    found = forecast(daily, date(2026, 12, 31), JANUARY, 1, 0)
    truth = sum(round((200 + 2 * n) * (1.3 if n % 7 < 5 else 0.4)) for n in range(56, 56 + 31))
    assert "statsmodels" in found.method
    assert abs(found.months[0].requests - truth) < 0.1 * truth
    assert found.months[0].low < found.months[0].requests < found.months[0].high


def test_the_same_traffic_gives_the_same_bands() -> None:
    noisy = [100 + (number * 37) % 23 for number in range(20)]
    assert forecast(noisy, date(2026, 12, 31), JANUARY, 3, 5) == forecast(noisy, date(2026, 12, 31), JANUARY, 3, 5)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--begin", "soon"), "2027-01"),
        (("--months", "0"), "range"),
        *((("--growth", each), "-100 to 1000") for each in ("-150", "nan", "inf", "1e300")),
    ],
)
def test_bad_questions(tmp_path, words, said) -> None:
    result = run(tmp_path, "tco", *words)
    assert result.exit_code == 2
    assert said in result.output


def test_empty_books_say_what_to_do(tmp_path) -> None:
    result = run(tmp_path / "none", "tco")
    assert isinstance(result.exception, FareboxError)
    assert "import a log" in str(result.exception)


def test_tables_fit_a_narrow_terminal(tmp_path) -> None:
    result = run(make_log(tmp_path, 5), "tco", "--scheme", "big=all:openai/gpt-4o")
    assert result.exit_code == 0, result.exception
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80


def test_no_discount_is_more_than_the_price(tmp_path) -> None:
    (tmp_path / "s.toml").write_text('[fixed.commitment]\nusd_per_month = "1"\ndiscount_percent = "150"\n')
    result = run(make_log(tmp_path, 5), "tco", "--scheme", f"s={tmp_path / 's.toml'}")
    assert isinstance(result.exception, FareboxError)
    assert "discount_percent 150" in str(result.exception)
