"""The books as FOCUS 1.2: what the specification demands of the numbers, and back again through the reconciler."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from click.testing import CliRunner, Result

from farebox.cli.main import cli
from farebox.errors import FareboxError

# FOCUS 1.2, the columns that every dataset must have.
MANDATORY = {
    *("BilledCost", "BillingAccountId", "BillingAccountName", "BillingCurrency", "BillingPeriodStart"),
    *("BillingPeriodEnd", "ChargeCategory", "ChargeClass", "ChargeDescription", "ChargePeriodStart", "ChargePeriodEnd"),
    *("ContractedCost", "EffectiveCost", "InvoiceIssuerName", "ListCost", "PricingQuantity", "PricingUnit"),
    *("ProviderName", "PublisherName", "ServiceCategory", "ServiceName"),
}
NEVER_NULL = MANDATORY - {"BillingAccountName", "ChargeClass"}
ROWS = [
    {"at": "2026-11-01T10:00:00Z", "input": 1000, "output": 100, "key_name": "ci", "team": "search"},
    {"at": "2026-11-01T11:30:00Z", "input": 7, "output": 3, "key_name": "ci", "team": "search"},
    {"at": "2026-11-02T00:00:00Z", "input": 123_456, "output": 9, "cache_read": 55, "key_name": "web"},
    {"at": "2026-11-02T00:00:01Z", "input": 5, "output": 1, "processing": "batch"},
]


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("focus")
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    target = (
        "--format",
        "jsonl",
        "--provider",
        "openai",
        "--model",
        "gpt-4o-mini",
        "--column",
        "processing=processing",
    )
    result = run(folder / "data", "import", str(folder / "log.jsonl"), *target)
    assert result.exit_code == 0, result.output
    return folder / "data"


def write(data_dir: Path, path: Path, *more: str) -> tuple[list[dict[str, str]], dict[str, Any]]:
    result = run(data_dir, "export", "focus", "--out", str(path), "--json", *more)
    assert result.exit_code == 0, (result.output, result.exception)
    return list(csv.DictReader(path.read_text().splitlines())), json.loads(result.output)


def test_every_number_adds_up(data_dir, tmp_path) -> None:
    rows, report = write(data_dir, tmp_path / "f.csv")
    audit = json.loads(run(data_dir, "audit", "--json").output)["totals"]
    assert (
        sum(Decimal(row["BilledCost"]) for row in rows) == Decimal(audit["cost_usd"]) == Decimal(report["billed_usd"])
    )
    assert report["rows"] == len(rows) == 2 + 3 + 2
    for row in rows:
        assert set(row) >= MANDATORY
        assert all(row[name] for name in NEVER_NULL)
        assert Decimal(row["ListUnitPrice"]) * Decimal(row["PricingQuantity"]) == Decimal(row["ListCost"])
        assert Decimal(row["ConsumedQuantity"]) == Decimal(row["PricingQuantity"]) * 1_000_000
        assert row["BilledCost"] == row["EffectiveCost"] == row["ContractedCost"]
        assert row["ChargePeriodStart"] < row["ChargePeriodEnd"] <= row["BillingPeriodEnd"]
        assert row["BillingPeriodStart"] <= row["ChargePeriodStart"]
        assert (row["ChargeCategory"], row["ServiceCategory"]) == ("Usage", "AI and Machine Learning")
        assert (row["BillingCurrency"], row["PricingUnit"]) == ("USD", "1000000 Tokens")
        assert {name for name in row if name[0].islower()} == {"x_Attempts", "x_PriceBook", "x_ServiceTier"}
        json.loads(row["Tags"])
        assert json.loads(row["SkuPriceDetails"])["x_Model"] == "gpt-4o-mini"
    assert sum(int(row["ConsumedQuantity"]) for row in rows if row["SkuMeter"] == "input") == 124_468
    assert {row["SubAccountName"] for row in rows} == {"ci", "web", ""}
    assert {row["x_ServiceTier"] for row in rows} == {"standard", "batch"}


def test_by_the_hour(data_dir, tmp_path) -> None:
    rows, _ = write(data_dir, tmp_path / "f.csv", "--grain", "hour")
    assert len(rows) == 4 + 3 + 2
    assert {(row["ChargePeriodStart"], row["ChargePeriodEnd"]) for row in rows if row["SubAccountName"] == "ci"} == {
        ("2026-11-01T10:00:00Z", "2026-11-01T11:00:00Z"),
        ("2026-11-01T11:00:00Z", "2026-11-01T12:00:00Z"),
    }


def test_parquet_is_the_same(data_dir, tmp_path) -> None:
    rows, _ = write(data_dir, tmp_path / "f.csv")
    result = run(data_dir, "export", "focus", "--out", str(tmp_path / "f.parquet"))
    assert result.exit_code == 0
    with duckdb.connect() as connection:
        found = connection.execute(f"SELECT BilledCost, SkuMeter FROM '{tmp_path / 'f.parquet'}'").fetchall()
    assert found == [(Decimal(row["BilledCost"]), row["SkuMeter"]) for row in rows]


def test_our_own_reconciler_finds_nothing(data_dir, tmp_path) -> None:
    write(data_dir, tmp_path / "f.csv")
    result = run(data_dir, "reconcile", str(tmp_path / "f.csv"), "--provider", "openai", "--json")
    found = json.loads(result.output)
    assert {line["status"] for line in found["lines"]} == {"matched"}
    assert (found["tie_out_usd"], found["causes"]) == ("0", {})


@pytest.mark.parametrize(("name", "said"), [("f.txt", ".csv or .parquet"), ("none/f.csv", "cannot be written")])
def test_where_it_cannot_be_written(data_dir, tmp_path, name, said) -> None:
    result = run(data_dir, "export", "focus", "--out", str(tmp_path / name))
    assert isinstance(result.exception, FareboxError), result.output
    assert said in str(result.exception)


def test_empty_books_make_an_empty_file(tmp_path) -> None:
    rows, report = write(tmp_path / "none", tmp_path / "f.csv")
    assert (rows, report["rows"], report["billed_usd"]) == ([], 0, "0")
