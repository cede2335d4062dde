"""Findings from books that were made to have them, and from none that were not."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farebox.cli.main import cli

DAY_S = 86_400
START_S = 1_793_500_800  # 2026-11-01T00:00:00Z


def run(data_dir: Path, *words: str) -> Any:
    result = CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])
    assert result.exit_code == 0, result.output
    return result


def books_of(tmp_path: Path, rows: list[dict[str, Any]], form: str = "jsonl") -> Path:
    path = tmp_path / f"log.{form}"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    target = ("--provider", "anthropic", "--model", "claude-haiku-4-5")
    run(tmp_path / "data", "import", str(path), "--format", form, *target, "--start", "2026-11-01T00:00:00Z")
    return tmp_path / "data"


def audit(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(data_dir, "audit", "--json").output)
    return found


def named(found: dict[str, Any], name: str) -> dict[str, Any]:
    one: dict[str, Any]
    (one,) = [each for each in found["findings"] if each["name"] == name]
    return one


def row(second: int, **counts: Any) -> dict[str, Any]:
    return {"at": START_S + second, "input": 100, "output": 10, **counts}


def test_plain_traffic_has_no_findings(tmp_path) -> None:
    found = audit(books_of(tmp_path, [row(second) for second in range(200)]))
    assert found["findings"] == []
    assert found["movers"] == []


def test_prefixes_that_come_again_uncached(tmp_path) -> None:
    prompt = {"input_length": 2048, "output_length": 1, "hash_ids": [1, 2, 3, 4]}
    rows = [{**prompt, "timestamp": second * 1000} for second in (0, 60, 1000)]  # the last one after 5 minutes
    one = named(audit(books_of(tmp_path, rows, "mooncake")), "missed_cache")
    # 2,047 tokens could have been read once, at 0.10 instead of 1.00 USD a million.
    assert one["saving_usd"] == "0.0018423"
    assert one["about"] == "anthropic/claude-haiku-4-5"
    assert "2,047 tokens, of which 0" in one["evidence"]


def test_short_prefixes_are_not_cached_anywhere(tmp_path) -> None:
    prompt = {"input_length": 900, "output_length": 1, "hash_ids": [1, 2]}
    rows = [{**prompt, "timestamp": second * 1000} for second in (0, 60)]
    assert audit(books_of(tmp_path, rows, "mooncake"))["findings"] == []


def test_caches_that_are_written_and_not_read(tmp_path) -> None:
    rows = [row(second, cache_write_1h=1000) for second in range(10)]
    one = named(audit(books_of(tmp_path, rows)), "idle_cache_writes")
    # Writing for an hour costs 2.00 instead of 1.00 USD a million.
    assert one["saving_usd"] == "0.01"


def test_caches_that_pay_are_no_finding(tmp_path) -> None:
    rows = [row(0, cache_write_5m=1000), *(row(second, cache_read=1000) for second in range(1, 10))]
    assert audit(books_of(tmp_path, rows))["findings"] == []


def test_what_was_paid_for_nothing(tmp_path) -> None:
    rows = [row(second, outcome="client_gone" if second < 5 else "ok") for second in range(50)]
    one = named(audit(books_of(tmp_path, rows)), "paid_for_nothing")
    assert (one["about"], one["saving_usd"]) == ("client_gone", "0.00075")
    assert "farebox calls --outcome client_gone" in one["remedy"]


def test_a_few_answers_that_are_far_too_long(tmp_path) -> None:
    rows = [row(second, output=9000 if second in {3, 4} else 10) for second in range(400)]
    one = named(audit(books_of(tmp_path, rows)), "long_answers")
    assert one["saving_usd"] == str(2 * 8990 * 5 / 1_000_000)
    assert "99 in 100 up to 10" in one["evidence"]


def test_movers_from_week_to_week(tmp_path) -> None:
    rows = [row(day * DAY_S, key_name=name) for day in range(16) for name in ("ci", "web")]
    rows += [row(day * DAY_S + 60, key_name="ci") for day in range(9, 16) for _ in range(3)]
    movers = audit(books_of(tmp_path, rows))["movers"]
    assert (movers[0]["kind"], movers[0]["name"]) in {("key", "ci"), ("model", "claude-haiku-4-5")}
    ci = next(each for each in movers if each["name"] == "ci")
    assert (ci["week_before_usd"], ci["last_week_usd"]) == ("0.00105", "0.0042")
    assert all(each["name"] != "web" for each in movers)


@pytest.mark.parametrize("columns", ["80", "60"])
def test_the_table_is_readable(tmp_path, monkeypatch, columns) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    rows = [row(second, outcome="client_gone" if second < 5 else "ok") for second in range(50)]
    output = run(books_of(tmp_path, rows), "audit").output
    assert "paid_for_nothing: client_gone" in output
    assert "$0.00075" in output
