"""``farebox price``: one charge explained, as a person and as a script would ask for it."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from farebox.cli.price import price

USAGE = {
    "prompt_tokens": 2006,
    "completion_tokens": 300,
    "prompt_tokens_details": {"cached_tokens": 1920},
    "completion_tokens_details": {"reasoning_tokens": 100},
}
AT = ("--at", "2026-11-20T12:00:00Z")
OPENAI = ("--provider", "openai")
MINE = """
[[prices]]
provider = "cellar"
model = "qwen*"
input = "0.5"
audio_time = "0.6/min"
page = "1/1k"
egress = "0.09"
source = "power bill"
retrieved = "2026-11-01"
note = "one source"
step = { audio_time = "1 min" }
least = { page = "10" }
marginal = { egress = [["10 GB", "0.08"]] }

[[uplifts]]
provider = "cellar"
id = "loud"
when = { fans = "on" }
times = "1.5"
models = ["qwen*"]
source = "meter reading"

[[contracts]]
id = "friends"
provider = "cellar"
percent = "10"
meters = ["input"]
source = "handshake"
"""


def run(command: click.Command, *args: str, stdin: str | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "80"}).invoke(command, args, input=stdin)


@pytest.fixture
def mine(tmp_path: Path) -> str:
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    return str(path)


def cells(result: Result) -> list[list[str]]:
    return [line.split() for line in result.output.splitlines()]


def test_a_charge_is_explained_line_by_line() -> None:
    result = run(price, "gpt-4o", *OPENAI, "--usage", json.dumps(USAGE), *AT)
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "model     openai/gpt-4o, matched by gpt-4o"
    assert ["cache_read", "1,920", "1.25", "1M", "tokens", "0.002400"] in cells(result)
    assert ["total", "0.005615"] in cells(result)
    assert any(line.startswith("  prices  input 2.5") and "reasoning as output 10" in line for line in lines)
    assert "  source  https://developers.openai.com/api/docs/pricing" in lines
    assert any(line.strip().startswith("read 2026-") for line in lines)
    assert "  holds   valid always" in lines
    assert max(len(line) for line in lines) <= 80


def test_json_gives_decimal_strings() -> None:
    result = run(
        price, "claude-haiku-5-5", "--provider", "anthropic", "--input", "100001", "--meter", "web_search=2",
        "--region", "us", "--json", *AT,
    )  # fmt: skip
    said: dict[str, Any] = json.loads(result.output, parse_float=lambda text: pytest.fail(f"a float: {text}"))
    assert (said["total_usd"], said["tier"], said["region"]) == ("0.07500055", "standard", "us")
    first, second = said["lines"]
    assert (first["quantity"], first["unit_price_usd"], first["per"], first["amount_usd"]) == (
        "100001",
        "0.55",
        1000000,
        "0.05500055",
    )
    assert first["rate"].startswith("anthropic/claude-haiku-5-5/standard/over-100000#input+")
    assert first["published"] == "0.5"
    assert [uplift["times"] for uplift in first["uplifts"]] == ["1.1"]
    assert first["source"] == "https://platform.claude.com/docs/en/about-claude/pricing"
    assert second["meter"] == "web_search"
    assert Decimal(second["unit_price_usd"]) / Decimal(second["per"]) == Decimal("0.01")


def test_a_whole_answer_from_a_file_or_standard_input_will_do(tmp_path: Path) -> None:
    answer = {"usage": {"input_tokens": 10, "output_tokens": 20, "speed": "fast", "inference_geo": "us"}}
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(answer))
    at = (*AT, "--json", "--provider", "anthropic")
    from_file = run(price, "claude-opus-5", "--usage", str(path), *at)
    from_stdin = run(price, "--model", "claude-opus-5", "--usage", "-", *at, stdin=json.dumps(answer))
    assert from_file.output == from_stdin.output
    said = json.loads(from_file.output)
    assert (said["tier"], said["region"], said["total_usd"]) == ("fast", "us", "0.00121")


def test_the_context_says_what_else_the_price_depends_on() -> None:
    usage = json.dumps({"input_tokens": 1000, "output_tokens": 500})
    context = json.dumps({"api": "responses", "service_tier": "flex", "time": "2026-11-20T12:00:00Z"})
    said = json.loads(run(price, "gpt-5", *OPENAI, "--usage", usage, "--context", context, "--json").output)
    assert (said["tier"], said["at"], said["total_usd"]) == ("flex", "2026-11-20T12:00:00Z", "0.003125")
    # An option says the same as the key of the context, and goes before it.
    options = ("--service-tier", "flex", "--api", "responses", *AT)
    assert json.loads(run(price, "gpt-5", *OPENAI, "--usage", usage, *options, "--json").output) == said
    batch = run(price, "gpt-5", *OPENAI, "--usage", usage, "--context", '{"processing": "batch"}', *AT, "--json")
    assert json.loads(batch.output)["tier"] == "batch"
    assert (
        json.loads(run(price, "gpt-5", *OPENAI, "--usage", usage, "--batch", *AT, "--json").output)["tier"] == "batch"
    )


def test_meters_take_the_same_context(mine: str) -> None:
    base = ("qwen3", "--provider", "cellar", "--prices", mine)
    plain = json.loads(run(price, *base, "--output", "0", "--meter", "page=1", "--json").output)
    assert plain["total_usd"] == "0.01"
    loud = json.loads(run(price, *base, "--input", "1000000", "--context", '{"fans": "on"}', "--json").output)
    assert loud["facts"] == {"fans": "on"}
    assert loud["total_usd"] == "0.675"


def test_every_step_of_a_price_is_shown(mine: str) -> None:
    base = ("qwen3", "--provider", "cellar", "--prices", mine)
    shown = run(price, *base, "--input", "1000000", "--context", '{"fans": "on"}')
    assert ["input", "1,000,000", "0.750", "1M", "tokens", "0.750"] in cells(shown)
    assert ["contract", "1,000,000", "-0.075", "1M", "tokens", "-0.075"] in cells(shown)
    assert ["total", "0.675"] in cells(shown)
    for words in (
        "uplift  loud: 1.5 times, meter reading",
        "contract  friends: 10% off",
        "source  handshake",
        "source  power bill",
        "read 2026-11-01",
        "note      one source",
        "facts     fans on",
    ):
        assert words in shown.output
    time = run(price, *base, "--meter", "audio_time=61 s")
    assert ["audio_time", "120", "s", "0.6", "minute", "1.2"] in cells(time)
    assert "step    audio_time is rounded up to multiples of 60 seconds" in time.output
    pages = run(price, *base, "--meter", "page=3")
    assert ["page", "10", "1", "1k", "pages", "0.01"] in cells(pages)
    assert "least   page is billed for 10 pages at least" in pages.output
    egress = run(price, *base, "--meter", "egress=11GB")
    assert ["egress", "1", "GB", "0.08", "GB", "0.08"] in cells(egress)
    assert "beyond  10 GB: 0.08" in egress.output
    for result in (shown, time, pages, egress):
        assert max(len(line) for line in result.output.splitlines()) <= 80


def test_what_the_end_of_the_month_settles_is_named_and_not_charged(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        '[[prices]]\nprovider = "cellar"\nmodel = "m"\nweb_search = "1"\npool = { web_search = "free" }\n'
        '[[pools]]\nprovider = "cellar"\nid = "free"\nmeter = "web_search"\nfree = "5000"\nperiod = "month"\n'
        'shared_by = "project"\nsource = "x"\n'
        '[[contracts]]\nid = "by-volume"\nprovider = "cellar"\nsource = "x"\nvolume = [["0", "0"], ["100", "5"]]\n'
        '[[commitments]]\nid = "credits"\nprovider = "cellar"\nkind = "credits"\namount_usd = "10"\nsource = "x"\n'
    )
    base = ("m", "--provider", "cellar", "--prices", str(path), "--meter", "web_search=2")
    said = json.loads(run(price, *base, "--json").output)
    assert said["total_usd"] == "2"
    assert said["settled_later"] == [
        "contract by-volume: 5% beyond 100 USD a month",
        "commitment credits: credits",
        "pool free: 5,000 calls are free per month and project",
    ]
    assert "Settled at the end of the period" in run(price, *base).output
    position = json.loads(run(price, *base, "--context", '{"web_search_used": 4999}', "--json").output)
    assert position["total_usd"] == "1"
    assert all(not each.startswith("pool") for each in position["settled_later"])


def test_what_cannot_be_priced_is_said_and_fails() -> None:
    result = run(price, "gpt-5-pro", *OPENAI, "--cache-read", "4")
    assert result.exit_code == 1
    assert "UNPRICED  no rate for openai/gpt-5-pro for the meter cache_read" in result.output
    said = json.loads(run(price, "gpt-5-pro", *OPENAI, "--cache-read", "4", "--json").output)
    assert said["error"] == {"code": "unpriced", "message": "no rate for openai/gpt-5-pro for the meter cache_read"}
    unknown = run(price, "m", "--provider", "nobody", "--input", "1")
    assert unknown.exit_code == 1
    assert "add [[prices]] for it" in unknown.output
    code = json.loads(run(price, "m", "--provider", "nobody", "--input", "1", "--json").output)["error"]["code"]
    assert code == "unknown_provider"
    code = json.loads(run(price, "gpt-99", *OPENAI, "--input", "1", "--json").output)["error"]["code"]
    assert code == "unknown_model"


def test_a_model_that_several_providers_price_is_taken_from_its_maker() -> None:
    said = json.loads(run(price, "gpt-4o", "--input", "1", "--json").output)
    assert said["provider"] == "openai"
    assert "azure" in said["also_priced_by"]
    assert json.loads(run(price, "azure/gpt-4o", "--input", "1", "--json").output)["provider"] == "azure"
    shown = run(price, "gpt-4o", "--input", "1").output
    assert "also      priced by azure" in shown
    assert "also      priced by" not in run(price, "gpt-4o", *OPENAI, "--input", "1").output


def test_nothing_used_costs_nothing() -> None:
    assert ["total", "0"] in cells(run(price, "gpt-4o", *OPENAI, "--input", "0"))


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "name one MODEL"),
        (["gpt-4o", "--model", "gpt-4o"], "name one MODEL"),
        (["gpt-4o"], "say what was used"),
        (["gpt-4o", "--input", "1", "--usage", "{}"], "not both"),
        (["gpt-4o", "--usage", "{"], "not JSON"),
        (["gpt-4o", "--usage", "[1]"], "must be a JSON object"),
        (["gpt-4o", "--usage", "/nowhere.json"], "/nowhere.json: No such file"),
        (["gpt-4o", "--usage", '{"prompt_tokens": 1, "completion_tokens": -1}'], "completion_tokens"),
        (["gpt-4o", "--usage", '{"prompt_tokens": 1, "completion_tokens": 1.5}'], "completion_tokens"),
        (["gpt-4o", "--usage", '{"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 9}'], "total_tokens"),
        (["gpt-4o", "--input", "1", "--context", '{"time": "soon"}'], "ISO 8601"),
        (["gpt-4o", "--input", "1", "--at", "yesterday"], "not an ISO 8601 time"),
        (["gpt-4o", "--input", "-1"], "--input"),
        (["gpt-4o", "--meter", "tokens=3"], "unknown meter 'tokens'; there are input"),
        (["gpt-4o", "--meter", "input"], "write NAME=QUANTITY"),
        (["gpt-4o", "--meter", "input=1.5"], "finer than input is counted"),
        (["gpt-4o", "--meter", "audio_time=3 eons"], "'eons' is no unit of audio_time"),
        (["gpt-4o", "--input", "1", "--prices", "/nowhere.toml"], "/nowhere.toml"),
    ],
)
def test_bad_usage_is_named_with_exit_code_two(args: list[str], words: str) -> None:
    result = run(price, *OPENAI, *args)
    assert result.exit_code == 2, result.output
    assert words in result.output


def test_a_misspelt_model_gets_the_nearest_ones() -> None:
    result = run(price, "gpt-4omini", "--input", "1")
    assert result.exit_code == 2
    assert "no card knows gpt-4omini; near it: " in result.output
    assert "openai/gpt-4o-mini" in result.output


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[prices]]\nprovider = "p"\nmodel = "m"\ntokens = "1"\n', "tokens"),
        ('[[prices]]\nprovider = "p"\nmodel = "m"\ninput = 1\n', "must be a string"),
        (
            '[[prices]]\nprovider = "p"\nmodel = "m"\nrows = [{ input = "1" }, { input = "2" }]\n',
            "hold at the same time",
        ),
        ("[[prices", "not a TOML file"),
    ],
)
def test_a_bad_price_file_is_named_with_its_row_and_the_remedy(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    result = run(price, "m", "--input", "1", "--prices", str(path))
    assert result.exit_code == 2
    assert "bad.toml" in result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_the_price_files_of_the_configuration_are_taken_into_account(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    (tmp_path / "farebox.toml").write_text('prices = ["mine.toml"]\n')
    monkeypatch.chdir(tmp_path)
    assert ["total", "0.45"] in cells(run(price, "qwen3", "--provider", "cellar", "--input", "1000000"))
    (tmp_path / "farebox.toml").write_text("prices = 3\n")
    assert run(price, "qwen3", "--input", "1").exit_code == 2
