"""Invoices with one fault each: exactly that is found, and everything ties out."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farebox.cli.main import cli
from farebox.errors import FareboxError
from tests.reconcile.invoices import (
    DAY_S,
    HOUR_S,
    WITH_QUANTITIES,
    Call,
    Item,
    Prices,
    anthropic_json,
    items_of,
    openai_json,
)

START_S = 1_793_491_200  # 2026-11-01T00:00:00Z, less what a test takes off
OPENAI: Prices = {
    ("gpt-4o-mini", "input"): Decimal("0.15"),
    ("gpt-4o-mini", "output"): Decimal("0.60"),
    ("gpt-4o", "input"): Decimal("2.50"),
    ("gpt-4o", "output"): Decimal("10.00"),
}
CLAUDE: Prices = {("claude-haiku-4-5", "input"): Decimal("1.00"), ("claude-haiku-4-5", "output"): Decimal("5.00")}


def make_calls(models: tuple[str, ...], days: int = 5) -> list[Call]:
    midnight = START_S // DAY_S * DAY_S
    return [
        Call(midnight + day * DAY_S + hour * HOUR_S + 60, model, 1000 + 13 * day + 7 * hour, 100 + day + hour)
        for day in range(days)
        for hour in range(24)
        for model in models
    ]


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])


def bring_in(tmp_path: Path, calls: list[Call], provider: str) -> Path:
    rows = [{"at": call.at_s, "model": call.model, "input": call.input, "output": call.output} for call in calls]
    path = tmp_path / "log.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(tmp_path / "data", "import", str(path), "--format", "jsonl", "--provider", provider)
    assert result.exit_code == 0, result.output
    return tmp_path / "data"


CALLS = make_calls(("gpt-4o-mini", "gpt-4o"))


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory) -> Path:
    return bring_in(tmp_path_factory.mktemp("books"), CALLS, "openai")


def reconcile(data_dir: Path, tmp_path: Path, name: str, text: str, provider: str = "openai") -> dict[str, Any]:
    path = tmp_path / name
    path.write_text(text)
    result = run(data_dir, "reconcile", str(path), "--provider", provider, "--json")
    assert result.exit_code in {0, 1}, (result.output, result.exception)
    found: dict[str, Any] = json.loads(result.output)
    assert (result.exit_code == 1) == any(c in found["causes"] for c in ("unmapped", "quantity_or_price"))
    for line in found["lines"]:
        assert sum(Decimal(part["amount_usd"]) for part in line["causes"]) == Decimal(line["difference_usd"])
        assert Decimal(line["billed_usd"]) - Decimal(line["booked_usd"]) == Decimal(line["difference_usd"])
    assert sum(Decimal(line["billed_usd"]) for line in found["lines"]) == Decimal(found["billed_usd"])
    assert sum(Decimal(line["booked_usd"]) for line in found["lines"]) == Decimal(found["booked_usd"])
    return found


def causes(found: dict[str, Any]) -> set[tuple[str, str, str]]:
    return {(line["cause"], line["model"], line["meter"]) for line in found["lines"] if line["status"] != "matched"}


@pytest.mark.parametrize("name", WITH_QUANTITIES)
def test_a_clean_invoice_has_no_finding(data_dir, tmp_path, name) -> None:
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items_of(CALLS, OPENAI)))
    assert {line["status"] for line in found["lines"]} == {"matched"}
    assert found["tie_out_usd"] == "0"
    assert found["billed_usd"] == found["booked_usd"]
    assert len(found["lines"]) == 5 * 2 * 2


@pytest.mark.parametrize("name", WITH_QUANTITIES)
def test_a_day_that_is_missing(data_dir, tmp_path, name) -> None:
    gone = START_S // DAY_S * DAY_S + 2 * DAY_S
    items = [item for item in items_of(CALLS, OPENAI) if item.day_s != gone]
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items))
    assert {one[0] for one in causes(found)} == {"missing_day"}
    assert len(causes(found)) == 4
    assert found["tie_out_usd"] == "0"


@pytest.mark.parametrize("name", WITH_QUANTITIES)
@pytest.mark.parametrize("in_money", [False, True])
def test_thousands_and_millions_mixed_up(data_dir, tmp_path, name, in_money) -> None:
    items = items_of(CALLS, OPENAI)
    item = items[3]
    items[3] = item._replace(quantity=item.quantity * 1000, usd=item.usd * 1000 if in_money else item.usd)
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items))
    assert causes(found) == {("units", item.model, item.meter)}
    assert found["tie_out_usd"] == "0"


@pytest.mark.parametrize("name", WITH_QUANTITIES)
def test_a_price_that_drifted(data_dir, tmp_path, name) -> None:
    dearer = {**OPENAI, ("gpt-4o", "output"): Decimal("10.50")}
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items_of(CALLS, dearer)))
    assert causes(found) == {("price_change", "gpt-4o", "output")}
    tokens = sum(call.output for call in CALLS if call.model == "gpt-4o")
    assert Decimal(found["causes"]["price_change"]) == tokens * Decimal("0.5") / 1_000_000
    assert found["tie_out_usd"] == "0"


@pytest.mark.parametrize("name", WITH_QUANTITIES)
def test_a_line_that_is_there_twice(data_dir, tmp_path, name) -> None:
    items = items_of(CALLS, OPENAI)
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name]([*items, items[5]]))
    assert causes(found) == {("duplicate", items[5].model, items[5].meter)}
    assert Decimal(found["causes"]["duplicate"]) == items[5].usd
    assert found["tie_out_usd"] == "0"


@pytest.mark.parametrize("name", WITH_QUANTITIES)
def test_traffic_that_went_around_the_gateway(data_dir, tmp_path, name) -> None:
    around = [Call(CALLS[0].at_s, "gpt-4o", 5000, 700), Call(CALLS[-1].at_s, "gpt-4.1", 900, 80)]
    prices = {**OPENAI, ("gpt-4.1", "input"): Decimal("2.00"), ("gpt-4.1", "output"): Decimal("8.00")}
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items_of([*CALLS, *around], prices)))
    assert causes(found) == {
        ("bypassed", model, meter) for model in ("gpt-4o", "gpt-4.1") for meter in ("input", "output")
    }
    extra = Decimal(5000 * 2.5 + 700 * 10 + 900 * 2 + 80 * 8) / 1_000_000
    assert Decimal(found["causes"]["bypassed"]) == extra
    assert found["tie_out_usd"] == "0"


@pytest.mark.parametrize("name", WITH_QUANTITIES)
def test_calls_that_were_not_billed(data_dir, tmp_path, name) -> None:
    billed = [call for call in CALLS if not (call.model == "gpt-4o-mini" and call.at_s % DAY_S < 3 * HOUR_S)]
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items_of(billed, OPENAI)))
    assert {one[0] for one in causes(found)} == {"not_billed"}
    assert {one[1] for one in causes(found)} == {"gpt-4o-mini"}
    assert Decimal(found["tie_out_usd"]) == 0


@pytest.mark.parametrize("name", WITH_QUANTITIES)
@pytest.mark.parametrize("shift_h", [8, -5])
def test_days_that_begin_elsewhere(data_dir, tmp_path, name, shift_h) -> None:
    items = items_of(CALLS, OPENAI, shift_h=shift_h)
    found = reconcile(data_dir, tmp_path, name, WITH_QUANTITIES[name](items))
    assert found["shift_hours"] == shift_h
    assert {one[0] for one in causes(found)} <= {"time_zone", ""}
    assert set(found["causes"]) == {"time_zone"}
    assert found["tie_out_usd"] == "0"


def test_rounding_is_no_finding(data_dir, tmp_path) -> None:
    items = [item._replace(usd=round(item.usd, 6)) for item in items_of(CALLS, OPENAI)]
    found = reconcile(data_dir, tmp_path, "openai.json", openai_json(items))
    assert causes(found) == set()
    assert set(found["causes"]) <= {"rounding"}
    assert found["tie_out_usd"] == "0"


def test_credits_taxes_and_what_is_not_known(data_dir, tmp_path) -> None:
    items = items_of(CALLS, OPENAI)
    rows = WITH_QUANTITIES["focus.csv"](items).splitlines()
    head = rows[0].split(",")
    for category, cost, sku in (("Credit", "-2.5", ""), ("Tax", "0.75", ""), ("Usage", "0.1", "Magic Dust")):
        row = dict.fromkeys(head, "")
        row |= {"BilledCost": cost, "BillingCurrency": "USD", "ChargeCategory": category, "SkuMeter": sku}
        row |= {"ChargePeriodStart": "2026-10-31T00:00:00Z", "ChargePeriodEnd": "2026-11-01T00:00:00Z"}
        rows.append(",".join(row.values()))
    found = reconcile(data_dir, tmp_path, "focus.csv", "\n".join(rows))
    assert {line["cause"]: line["billed_usd"] for line in found["lines"] if line["status"] != "matched"} == {
        "credit": "-2.5",
        "tax": "0.75",
        "unmapped": "0.1",
    }
    assert found["tie_out_usd"] == "0.1"


def test_amounts_in_cents_without_quantities(tmp_path) -> None:
    calls = make_calls(("claude-haiku-4-5",))
    data_dir = bring_in(tmp_path, calls, "anthropic")
    clean = reconcile(data_dir, tmp_path, "a.json", anthropic_json(items_of(calls, CLAUDE)), "anthropic")
    assert {line["status"] for line in clean["lines"]} == {"matched"}
    assert clean["tie_out_usd"] == "0"
    dearer = {**CLAUDE, ("claude-haiku-4-5", "input"): Decimal("1.10")}
    found = reconcile(data_dir, tmp_path, "a.json", anthropic_json(items_of(calls, dearer)), "anthropic")
    assert set(found["causes"]) == {"quantity_or_price"}
    assert found["tie_out_usd"] == found["difference_usd"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the file is empty"),
        ("hello", "none of openai-costs"),
        ('{"data": 3, "line_item": 1}', "no list 'data'"),
        ('{"line_item": ', "no JSON"),
        (
            'amount_value,line_item,start_time,amount_currency\nabc,"gpt-4o, input",1793491200,usd\n',
            "row 1: amount 'abc'",
        ),
        ('amount_value,line_item,start_time,amount_currency\n1,"gpt-4o, input",1793491200,eur\n', "billed in EUR"),
        ('amount_value,line_item,start_time,amount_currency\n1,"gpt-4o, input",soon,usd\n', "start_time 'soon'"),
        ("amount_value,line_item\n", "no line in it"),
    ],
)
def test_a_wrong_file_is_named(data_dir, tmp_path, text, said) -> None:
    (tmp_path / "x").write_text(text)
    result = run(data_dir, "reconcile", str(tmp_path / "x"), "--provider", "openai")
    assert isinstance(result.exception, FareboxError), result.output
    assert said in str(result.exception)


def test_columns_of_another_name(data_dir, tmp_path) -> None:
    text = (
        WITH_QUANTITIES["plain.csv"](items_of(CALLS, OPENAI)).replace("start,", "day,", 1).replace("amount", "cost", 1)
    )
    (tmp_path / "x.csv").write_text(text)
    words = ("--column", "start=day", "--column", "amount=cost", "--json")
    result = run(data_dir, "reconcile", str(tmp_path / "x.csv"), "--provider", "openai", *words)
    assert result.exit_code == 0, result.exception
    assert json.loads(result.output)["causes"] == {}


def test_empty_books_are_all_bypassed(tmp_path) -> None:
    items: list[Item] = items_of(CALLS, OPENAI)
    found = reconcile(tmp_path / "none", tmp_path, "openai.json", openai_json(items))
    assert set(found["causes"]) == {"bypassed"}
    assert found["tie_out_usd"] == "0"


def test_tables_fit_a_narrow_terminal(data_dir, tmp_path) -> None:
    dearer = {**OPENAI, ("gpt-4o", "output"): Decimal("10.50")}
    (tmp_path / "i.json").write_text(openai_json(items_of(CALLS, dearer)))
    result = run(data_dir, "reconcile", str(tmp_path / "i.json"), "--provider", "openai")
    assert result.exit_code == 0
    assert "It ties out: 0 USD" in result.output
    assert max(len(line.rstrip()) for line in result.output.splitlines()) <= 80
