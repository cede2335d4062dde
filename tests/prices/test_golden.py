"""Charges worked out by hand from published prices, through the whole path: raw usage in, exact total out.

``golden_own.jsonl`` holds the project's own cases; each says how its total comes about.
"""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farebox.charge import Charge
from farebox.cli.price import price
from farebox.money import usd_text
from farebox.prices.book import PriceBook
from farebox.prices.engine import charge
from farebox.quote import read_instant, read_rating
from farebox.state.pricebook import load_book

_HERE = Path(__file__).parent
_SHARED = _HERE.parents[2] / "shared" / "data" / "golden_prices.jsonl"
_NOW_NS = 1_795_435_200_000_000_000
_LEAST_OWN = 80


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line, parse_float=Decimal) for line in path.read_text().splitlines() if line.strip()]


_OWN = _read(_HERE / "golden_own.jsonl")
_GIVEN = _read(_SHARED)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_book()


def _price(book: PriceBook, case: dict[str, Any]) -> Charge:
    rating = read_rating(case["provider"], case["model"], case["usage"], case.get("context", {}), _NOW_NS)
    found = charge(book, rating)
    assert isinstance(found, Charge), f"{case['id']}: {found.reason}"
    return found


@pytest.mark.parametrize("case", _OWN, ids=[case["id"] for case in _OWN])
def test_own_cases_are_exact(book: PriceBook, case: dict[str, Any]) -> None:
    found = _price(book, case)
    assert sum(line.amount_femto for line in found.lines) == found.total_femto
    assert Decimal(usd_text(found.total_femto)) == Decimal(case["expected_usd"]), case["reasoning"]


def test_own_cases_cover_every_provider_with_rules_of_its_own() -> None:
    published = Path(__file__).parents[2] / "farebox" / "prices" / "data" / "published"
    assert {path.stem for path in published.glob("*.toml")} <= {case["provider"] for case in _OWN}
    assert len(_OWN) >= _LEAST_OWN
    assert len({case["id"] for case in _OWN}) == len(_OWN)


@pytest.mark.skipif(not _GIVEN, reason="../shared/data/golden_prices.jsonl is not there")
@pytest.mark.parametrize("case", _GIVEN, ids=[case["id"] for case in _GIVEN])
def test_given_cases_are_exact(book: PriceBook, case: dict[str, Any]) -> None:
    found = _price(book, case)
    assert Decimal(usd_text(found.total_femto)) == Decimal(case["expected_usd"]), case["reasoning"]


@pytest.mark.parametrize("cases", [pytest.param(_OWN, id="own"), pytest.param(_GIVEN, id="given")])
def test_the_command_prices_a_file_of_cases_in_order(tmp_path: Path, cases: list[dict[str, Any]]) -> None:
    if not cases:
        pytest.skip("../shared/data/golden_prices.jsonl is not there")
    path = tmp_path / "cases.jsonl"
    path.write_text("".join(json.dumps(case, default=str) + "\n" for case in cases))
    done = CliRunner().invoke(price, ["--jsonl", str(path)])
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["id"] for line in lines] == [case["id"] for case in cases]
    for case, line in zip(cases, lines, strict=True):
        assert Decimal(line["total_usd"]) == Decimal(case["expected_usd"]), case["reasoning"]
        assert sum(Decimal(part["amount_usd"]) for part in line["lines"]) == Decimal(line["total_usd"])
        assert all(part["source"] for part in line["lines"] if Decimal(part["amount_usd"]))


def test_the_default_time_is_within_the_prices_known() -> None:
    assert read_instant("2026-11-23T12:00:00Z") == _NOW_NS
