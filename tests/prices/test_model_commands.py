"""``farebox compare`` and ``farebox models``: side by side, and found by what they can do and cost."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from farebox.analyse.compare_models import percent_above
from farebox.cli import book_options
from farebox.cli.main import cli
from farebox.prices.book import compile_book

CARD = b"""
format = 2
provider = "acme"
name = "Acme"
[tiers]
default = "standard"
flex = "flex"
priority = "priority"
[inherit]
reasoning = "output"
[sources.list]
url = "https://acme.example/prices"
retrieved = "2026-11-23"
[[uplifts]]
id = "eu"
regions = ["eu"]
times = "2"
models = ["big*"]
source = "list"
[[models]]
id = "big-1"
names = ["big-1"]
source = "list"
about = { kind = "chat", context = 400000, output = 128000, inputs = ["text", "image"], outputs = ["text"], \
supports = ["tools", "json_schema"], released = "2026-08-01" }
prices = [
  { until = 2027-01-01T00:00:00Z, input = "2", cache_read = "0.2", output = "10", web_search = "10/1k" },
  { from = 2027-01-01T00:00:00Z, input = "4", cache_read = "0.4", output = "20", web_search = "10/1k" },
  { tier = "flex", input = "1", cache_read = "0.1", output = "5" },
  { tier = "batch", input = "1", cache_read = "0.1", output = "5" },
]
[[models]]
id = "small-1"
names = ["small-1"]
source = "list"
about = { kind = "chat", context = 128000, output = 16000, inputs = ["text"], outputs = ["text"], \
supports = ["tools"], released = "2026-09-01", deprecated = "2026-12-01", retires = "2027-06-01" }
prices = [{ input = "0.5", output = "2" }]
[[models]]
id = "soon-1"
names = ["soon-1"]
source = "list"
about = { kind = "chat", context = 1000000, inputs = ["text"], outputs = ["text"], released = "2027-02-01" }
prices = [{ input = "0.1", output = "0.2" }]
[[models]]
id = "ears-1"
names = ["ears-1"]
source = "list"
about = { kind = "audio", inputs = ["audio"], outputs = ["text"] }
prices = [{ audio_time = "0.006/min" }]
[[models]]
id = "vector-1"
names = ["vector-1"]
source = "list"
about = { kind = "embedding", context = 8000, inputs = ["text"] }
prices = [{ input = "0.02" }]
"""
OTHER = b"""
format = 2
provider = "resale"
name = "Resale"
[sources.list]
url = "https://resale.example/prices"
retrieved = "2026-11-23"
[[models]]
id = "big-1"
names = ["big-1"]
source = "list"
about = { kind = "chat", context = 400000, inputs = ["text", "image"], outputs = ["text"] }
prices = [{ input = "2.5", output = "12" }]
[[models]]
id = "gift:free"
names = ["gift:free"]
source = "list"
prices = [{ input = "0", output = "0" }]
"""


@pytest.fixture(autouse=True)
def book(monkeypatch: pytest.MonkeyPatch) -> None:
    """A book of two providers in place of the shipped one."""
    small = compile_book({"acme": CARD, "resale": OTHER})
    monkeypatch.setattr(book_options, "load_book", lambda own_files: small)


def run(*args: str, code: int = 0) -> Result:
    result = CliRunner(env={"COLUMNS": "80"}).invoke(cli, list(args))
    assert result.exit_code == code, result.output
    assert max((len(line) for line in result.output.splitlines()), default=0) <= 80 or "--json" in args
    return result


def compare(*args: str, code: int = 0) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(run("compare", *args, "--at", "2026-11-23", "--json", code=code).output)
    return said


def models(*args: str) -> list[str]:
    said = json.loads(run("models", "--active-at", "2026-11-23", *args, "--json").output)
    return [f"{model['provider']}/{model['model']}" for model in said["models"]]


def test_the_same_usage_at_every_model_and_tier_the_cheapest_first() -> None:
    said = compare("big-1", "small-1", "--input", "1000000", "--output", "100000", "--tiers", "standard,batch,flex")
    priced = [
        (row["provider"], row["model"], row["tier"], row["total_usd"]) for row in said["models"] if "lines" in row
    ]
    assert priced == [
        ("acme", "small-1", "standard", "0.7"),
        ("acme", "big-1", "batch", "1.5"),
        ("acme", "big-1", "flex", "1.5"),
        ("acme", "big-1", "standard", "3"),
        ("resale", "big-1", "standard", "3.7"),
    ]
    assert [row["above_first"] for row in said["models"][:3]] == ["+0.0%", "+114.3%", "+114.3%"]
    assert said["usage"] == {"input": "1000000", "output": "100000"}
    reasons = {(row["provider"], row["model"], row["tier"]): row["error"]["message"] for row in said["models"][5:]}
    assert set(reasons) == {
        ("acme", "small-1", "batch"),
        ("acme", "small-1", "flex"),
        ("resale", "big-1", "batch"),
        ("resale", "big-1", "flex"),
    }
    assert all("no rate for" in reason for reason in reasons.values())


def test_lines_add_up_and_name_their_rates() -> None:
    (row,) = compare("acme/big-1", "--meter", "web_search=3", "--input", "10", "--reasoning", "5")["models"]
    assert Decimal(row["total_usd"]) == sum(Decimal(line["amount_usd"]) for line in row["lines"])
    assert {line["meter"]: line["rate"] for line in row["lines"]}["reasoning"] == "acme/big-1/standard#output"


def test_people_see_a_table_with_what_is_unpriced_and_why() -> None:
    shown = run("compare", "big-*", "ears-1", "--input", "1000", "--tiers", "standard,priority").output
    assert "UNPRICED" in shown
    assert "no rate for acme/ears-1 for the meter" in " ".join(shown.split())
    assert "priced at: standard 2, priority 0" in shown
    assert any(line.split() == ["resale/big-1", "standard", "0.0025", "+25.0%"] for line in shown.splitlines())


def test_usage_is_meters_or_a_providers_own_object_and_the_same_for_all() -> None:
    raw = '{"prompt_tokens": 1000, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 400}}'
    assert compare("acme/big-1", "--usage", raw)["usage"] == {"input": "600", "cache_read": "400", "output": "10"}
    meters = '{"audio_time": "90 s"}'
    assert compare("ears-1", "--usage", meters)["models"][0]["total_usd"] == "0.009"
    assert compare("ears-1", "--usage", '{"audio_time": 90.5}')["usage"] == {"audio_time": "90.5"}


def test_region_time_and_context_matter() -> None:
    base = ("acme/big-1", "--input", "1000000")
    assert compare(*base, "--region", "eu")["models"][0]["total_usd"] == "4"
    assert compare(*base, "--context", '{"data_residency": "eu"}')["models"][0]["total_usd"] == "4"
    said = json.loads(run("compare", *base, "--at", "2027-03-01", "--json").output)
    assert said["models"][0]["total_usd"] == "4"
    said = json.loads(run("compare", *base, "--context", '{"time": "2027-03-01T00:00:00Z"}', "--json").output)
    assert said["at"] == "2027-03-01"


def test_names_and_globs_say_which_models() -> None:
    def named(*args: str) -> set[str]:
        return {f"{row['provider']}/{row['model']}" for row in compare(*args, "--input", "1")["models"]}

    assert named("big-1") == {"acme/big-1", "resale/big-1"}
    assert named("big-1", "--provider", "resale") == {"resale/big-1"}
    assert named("acme/[bs]*-1") == {"acme/big-1", "acme/small-1", "acme/soon-1"}
    assert named("*/big*", "big-1") == {"acme/big-1", "resale/big-1"}


def test_where_nothing_can_be_priced_the_exit_code_says_so() -> None:
    said = compare("ears-1", "--input", "1", code=1)
    assert said["models"][0]["error"]["code"] == "unpriced"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["gpt-99", "--input", "1"], "no card knows gpt-99"),
        (["big-1"], "say what is used"),
        (["big-1", "--input", "1", "--usage", "{}"], "say what is used"),
        (["big-1", "--input", "1", "--tiers", ","], "--tiers"),
        (["big-1", "--input", "1", "--provider", "nobody"], "no card of 'nobody'; there are acme, resale"),
        (["big-1", "--usage", '{"input": 1.5}'], "finer than input"),
        (["big-1", "--usage", '{"prompt_tokens": 1, "completion_tokens": -1}'], "completion_tokens"),
        (["big-1", "--input", "1", "--at", "x"], "ISO 8601"),
    ],
)
def test_bad_comparisons_are_refused(args: list[str], words: str) -> None:
    result = CliRunner().invoke(cli, ["compare", *args])
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.parametrize(
    ("total", "first", "text"),
    [
        (100, 100, "+0.0%"),
        (150, 100, "+50.0%"),
        (1002, 1000, "+0.2%"),
        (30, 1, "+2,900.0%"),
        (1, 0, ""),
        (0, 0, "+0.0%"),
    ],
)
def test_percent(total: int, first: int, text: str) -> None:
    assert percent_above(total, first) == text


def test_models_are_sorted_by_a_blend_that_is_said() -> None:
    assert models() == [
        "resale/gift:free",
        "acme/vector-1",
        "acme/small-1",
        "acme/big-1",
        "resale/big-1",
        "acme/ears-1",
    ]
    said = json.loads(run("models", "big-1", "--active-at", "2026-11-23", "--json").output)
    assert "3 x input + output) / 4" in said["cost"]
    assert said["models"][0]["cost_usd"] == "4"
    assert said["models"][0]["prices"]["web_search"] == {"usd": "10", "per": "1k calls"}


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (["--supports", "vision,tools"], ["acme/big-1"]),
        (["--supports", "vision"], ["acme/big-1", "resale/big-1"]),
        (["--supports", "batch"], ["acme/big-1"]),
        (["--supports", "prompt_cache,web_search"], ["acme/big-1"]),
        (["--max-input-price", "0.5"], ["resale/gift:free", "acme/vector-1", "acme/small-1"]),
        (["--max-input-price", "0.49"], ["resale/gift:free", "acme/vector-1"]),
        (["--max-output-price", "10", "--min-context", "1"], ["acme/small-1", "acme/big-1"]),
        (["--min-context", "200000"], ["acme/big-1", "resale/big-1"]),
        (["--min-context", "400k", "--min-output", "1k"], ["acme/big-1"]),
        (["--min-context", "0.5M"], []),
        (["--inputs", "image", "--outputs", "text", "--provider", "resale"], ["resale/big-1"]),
        (["--kind", "audio"], ["acme/ears-1"]),
        (["--free"], ["resale/gift:free"]),
        (["--sort", "name", "--kind", "chat"], ["acme/big-1", "resale/big-1", "acme/small-1"]),
        (["--sort", "context", "--limit", "2"], ["acme/big-1", "resale/big-1"]),
        (["--sort", "released", "--limit", "2"], ["acme/small-1", "acme/big-1"]),
        (["--sort", "output", "--limit", "2"], ["resale/gift:free", "acme/small-1"]),
        (
            ["*-1", "--provider", "acme", "--sort", "input"],
            ["acme/vector-1", "acme/small-1", "acme/big-1", "acme/ears-1"],
        ),
        (["--all", "--kind", "chat"], ["acme/soon-1", "acme/small-1", "acme/big-1", "resale/big-1"]),
        (["--active-at", "2027-03-01", "--kind", "chat"], ["acme/soon-1", "resale/big-1", "acme/big-1"]),
    ],
)
def test_filters(args: list[str], found: list[str]) -> None:
    assert models(*args) == found


def test_prices_are_those_of_the_day() -> None:
    said = json.loads(run("models", "acme/big-1", "--active-at", "2027-03-01", "--json").output)
    assert said["models"][0]["cost_usd"] == "8"


def test_dates_of_a_life_are_shown() -> None:
    assert "deprecated 2026-12-01" in " ".join(run("models", "--active-at", "2026-11-23").output.split())
    assert "small-1" not in run("models", "--active-at", "2026-12-01").output
    shown = " ".join(run("models", "--active-at", "2027-06-01", "--all").output.split())
    assert "retired 2027-06-01" in shown
    soon = " ".join(run("models", "--active-at", "2026-12-01", "--all", "soon-1").output.split())
    assert "from 2027-02-01" in soon


def test_people_see_what_other_models_are_billed_by() -> None:
    shown = " ".join(run("models", "--kind", "audio", "--active-at", "2026-11-23").output.split())
    assert "audio_time 0.006/minute" in shown


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--supports", "telepathy"], "no model has it; there are audio_input, batch, flex"),
        (["--inputs", "smell"], "no model has it; there are audio, image, text"),
        (["--kind", "chatty"], "there are audio, chat"),
        (["--provider", "nobody"], "no card of 'nobody'"),
        (["--min-context", "many"], "not a number of tokens"),
        (["--max-input-price", "cheap"], "not an amount of USD"),
        (["--max-input-price", "-1"], "not an amount of USD"),
        (["--active-at", "soon"], "not a day"),
        (["--sort", "colour"], "--sort"),
    ],
)
def test_bad_questions_are_refused_with_what_is_possible(args: list[str], words: str) -> None:
    result = CliRunner().invoke(cli, ["models", *args])
    assert result.exit_code == 2, result.output
    assert words in result.output


def test_no_model_fits_is_an_answer() -> None:
    assert "No model fits" in run("models", "--min-context", "9M").output
    assert json.loads(run("models", "nothing*", "--json").output)["models"] == []


def test_the_shipped_book_can_be_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    args = ("--supports", "vision,tools", "--max-input-price", "1", "--min-context", "200k", "--json", "--limit", "500")
    said = json.loads(run("models", *args).output)
    assert said["found"] > 20
    costs = [model["cost_usd"] for model in said["models"]]
    blends = [Decimal(cost) for cost in costs if cost is not None]
    assert blends == sorted(blends)
    assert all(cost is None for cost in costs[len(blends) :])
    for model in said["models"]:
        assert {"vision", "tools"} <= set(model["supports"])
        assert model["context_tokens"] >= 200_000
        assert Decimal(model["prices"]["input"]["usd"]) <= 1


def test_a_data_directory_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run("models", "--limit", "1")
    assert list(tmp_path.iterdir()) == []
