"""The commands ``farebox price`` and ``farebox prices``, as a person and as a script would use them."""

import json
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from farebox.cli.price import price
from farebox.cli.prices import prices

USAGE = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "prompt_tokens_details": {"cached_tokens": 1920},
    "completion_tokens_details": {"reasoning_tokens": 100},
}


def run(command: click.Command, *args: str, stdin: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(command, args, input=stdin)


def test_a_charge_is_explained_line_by_line() -> None:
    result = run(price, "gpt-4o", "--usage", json.dumps(USAGE), "--at", "2026-11-20T12:00:00Z")
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "model     openai/gpt-4o, matched by gpt-4o"
    assert any(line.split() == ["cache_read", "1,920", "1.25", "1M", "0.002400"] for line in lines)
    assert any(line.split() == ["total", "0.005615"] for line in lines)
    assert "  prices  input, cache_read, output, reasoning as output" in lines
    assert "  source  https://developers.openai.com/api/docs/pricing" in lines
    assert max(len(line) for line in lines) <= 80


def test_json_gives_decimal_strings() -> None:
    result = run(
        price, "claude-haiku-5-5", "--input", "100001", "--web-search", "2", "--region", "us", "--json",
        "--at", "2026-11-20T12:00:00Z",
    )  # fmt: skip
    said: dict[str, Any] = json.loads(result.output)
    assert (said["total_usd"], said["tier"], said["region"]) == ("0.07500055", "standard", "us")
    assert said["lines"][0] == {
        "meter": "input",
        "quantity": 100001,
        "unit_price_usd": "0.55",
        "per": 1000000,
        "amount_usd": "0.05500055",
        "rate": "anthropic/claude-haiku-5-5/standard/over-100000#input+us",
        "source": "https://platform.claude.com/docs/en/about-claude/pricing",
        "retrieved": "2026-11-23",
        "via": "genai-prices 0.2.3",
    }
    assert said["lines"][1]["per"] == 1


def test_a_whole_answer_from_a_file_or_standard_input_will_do(tmp_path: Path) -> None:
    answer = {"usage": {"input_tokens": 10, "output_tokens": 20, "speed": "fast", "inference_geo": "us"}}
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    at = ("--at", "2026-11-20T12:00:00Z", "--json")
    from_file = run(price, "claude-opus-5", "--usage", str(path), *at)
    from_stdin = run(price, "claude-opus-5", "--usage", "-", *at, stdin=json.dumps(answer))
    assert from_file.output == from_stdin.output
    said = json.loads(from_file.output)
    assert (said["tier"], said["region"], said["total_usd"]) == ("fast", "us", "0.00121")


def test_what_cannot_be_priced_is_said_and_fails() -> None:
    result = run(price, "gpt-5-pro", "--cache-read", "4")
    assert result.exit_code == 1
    assert "UNPRICED  no rate for openai/gpt-5-pro for the meter cache_read" in result.output
    said = json.loads(run(price, "gpt-5-pro", "--cache-read", "4", "--json").output)
    assert said["error"] == {"code": "unpriced", "message": "no rate for openai/gpt-5-pro for the meter cache_read"}
    unknown = run(price, "m", "--provider", "nobody", "--input", "1")
    assert "add [[prices]] for it" in unknown.output


def test_nothing_used_costs_nothing() -> None:
    assert any(line.split() == ["total", "0"] for line in run(price, "gpt-4o", "--input", "0").output.splitlines())


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["gpt-9", "--input", "1"], "no card knows gpt-9"),
        (["gpt-4o"], "say what was used"),
        (["gpt-4o", "--input", "1", "--usage", "{}"], "not both"),
        (["gpt-4o", "--usage", "{"], "not JSON"),
        (["gpt-4o", "--usage", "/nowhere.json"], "/nowhere.json: No such file"),
        (["gpt-4o", "--usage", "{}"], "prompt_tokens is a count: it is missing"),
        (["gpt-4o", "--input", "1", "--at", "yesterday"], "not an ISO 8601 time"),
        (["gpt-4o", "--input", "-1"], "--input"),
        (["gpt-4o", "--input", "1", "--prices", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_bad_usage_is_named_with_exit_code_two(args: list[str], words: str) -> None:
    result = run(price, *args)
    assert result.exit_code == 2
    assert words in result.output


def test_a_users_file_is_taken_into_account(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('[[prices]]\nprovider = "local"\nmodel = "qwen*"\ninput = "0.5"\nsource = "power bill"\n')
    result = run(price, "qwen3", "--input", "2000000", "--prices", str(path))
    assert any(line.split() == ["total", "1"] for line in result.output.splitlines())
    assert "power bill" in result.output
    both = tmp_path / "both.toml"
    both.write_text('[[prices]]\nprovider = "local"\nmodel = "gpt-4o"\ninput = "0.5"\n')
    assert "say which with --provider" in run(price, "gpt-4o", "--input", "1", "--prices", str(both)).output


def test_models_are_listed() -> None:
    result = run(prices, "list", "--provider", "anthropic", "--model", "claude-haiku-5*")
    assert result.exit_code == 0
    assert "claude-haiku-5-5    0.1        0.01     0.5  batch, long" in result.output
    said = json.loads(run(prices, "list", "--json").output)
    assert len(said["models"]) > 120
    assert run(prices, "list", "--provider", "nobody").exit_code == 2


def test_a_model_is_shown_with_every_row() -> None:
    result = run(prices, "show", "gpt-5.6-luna")
    assert "standard, inputs over 272,000 tokens, valid from 2026-07-30" in result.output
    assert "standard, valid until 2026-07-30" in result.output
    said = json.loads(run(prices, "show", "gpt-5.6-luna", "--json").output)
    assert said["id"] == "gpt-5.6-luna"
    assert run(prices, "show", "gpt-9").exit_code == 2


def test_a_check_of_the_shipped_book_finds_nothing(tmp_path: Path) -> None:
    result = run(prices, "check")
    assert result.exit_code == 0
    assert "0 findings" in result.output
    path = tmp_path / "gap.toml"
    path.write_text(
        '[[prices]]\nprovider = "p"\nmodel = "m"\nrows = [{ input = "1", until = 2026-01-01T00:00:00Z }, '
        '{ input = "1", from = 2026-01-02T00:00:00Z }]\n'
    )
    broken = run(prices, "check", "--prices", str(path))
    assert broken.exit_code == 1
    assert "p/m: no price at tier standard from 2026-01-01 to 2026-01-02" in broken.output
    assert json.loads(run(prices, "check", "--prices", str(path), "--json").output)["findings"]


def test_cards_are_written_again_unchanged(tmp_path: Path) -> None:
    result = run(prices, "import", "--into", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert "openai: whisper-1: left out, it is not priced by the token" in result.output
    for name in ("openai", "anthropic"):
        shipped = files("farebox.prices").joinpath("data", f"{name}.toml").read_bytes()
        assert (tmp_path / f"{name}.toml").read_bytes() == shipped
    assert "unchanged" in run(prices, "import", "--into", str(tmp_path)).output
    assert run(prices, "import", "--provider", "nobody", "--into", str(tmp_path)).exit_code == 2
    assert run(prices, "import", "--retrieved", "today", "--into", str(tmp_path)).exit_code == 2


def test_without_the_package_the_import_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices.data", None)
    result = run(prices, "import")
    assert result.exit_code == 2
    assert "pip install genai-prices" in result.output
