"""``farebox audit`` and ``farebox calls`` as people and programs see them, and as the documentation shows them."""

import json
import re
import shlex
from decimal import Decimal
from pathlib import Path

import pytest
from click.testing import CliRunner

from farebox.analyse.meanings import FINDINGS, FLAGS, OUTCOMES
from farebox.books.schema import COLUMNS
from farebox.charge import Line
from farebox.cli.main import cli
from tests.analyse.test_audit import mixed
from tests.books.test_kinds_of_lines import special
from tests.books.traffic import done, line, sent, write_calls

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture
def data_dir(tmp_path):
    write_calls(tmp_path, [*mixed(), sent("call_7")])
    return tmp_path


def run(*arguments, code=0):
    result = CliRunner().invoke(cli, [str(each) for each in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_audit_brings_the_books_up_to_date_by_itself(data_dir):
    shown = json.loads(run("audit", "--data-dir", data_dir, "--json"))
    assert shown["calls"] == {"total": 7, "answered": 5, "client_gone": 1, "failed": 1, "with_fallbacks": 1}
    assert shown["unpriced_attempts"] == 2
    assert {flag["flag"] for flag in shown["flags"]} == {"estimated", "assumed", "unpriced", "quarantined"}
    assert all(isinstance(row["amount_usd"], str) for row in shown["meters"])


def test_audit_fits_80_columns_and_shows_the_exact_total_once(data_dir):
    shown = run("audit", "--data-dir", data_dir)
    assert max(map(len, shown.splitlines())) <= 80
    exact = json.loads(run("audit", "--data-dir", data_dir, "--json"))["total_usd"]
    assert shown.count(exact) == 1
    for words in ("openai/new", "[[prices]]", "quarantined", "cached_tokens <= prompt_tokens", "unknown"):
        assert words in shown


def test_strict_turns_alarms_into_an_exit_code(data_dir):
    run("audit", "--data-dir", data_dir, "--strict", code=1)
    run("audit", "--data-dir", data_dir, "--strict", "--since", "..2026-01-01")


@pytest.mark.parametrize("arguments", [("--by", "colour"), ("--by", "tag:"), ("--by", "model:x"), ("--since", "soon")])
def test_bad_questions_are_refused_with_what_is_possible(data_dir, arguments):
    result = CliRunner().invoke(cli, ["audit", "--data-dir", str(data_dir), *arguments])
    assert result.exit_code == 2
    assert arguments[0] in result.output


def test_no_books_say_how_to_make_traffic(tmp_path):
    nowhere = tmp_path / "nowhere"
    for command in ("audit", "calls"):
        assert "Make traffic" in run(command, "--data-dir", nowhere)
    assert not nowhere.exists()


def test_calls_lists_the_newest_first_and_filters(data_dir):
    def listed(*options):
        return [call["call"] for call in json.loads(run("calls", "--data-dir", data_dir, "--json", *options))]

    assert listed()[0] == "call_2"
    assert len(listed("--limit", "2")) == 2
    assert listed("--model", "claude-haiku-4-5") == ["call_3"]
    assert listed("--outcome", "lost") == ["call_7"]
    assert listed("--flag", "quarantined") == ["call_5"]
    assert listed("--key", "nobody") == []
    assert "No call fits" in run("calls", "--data-dir", data_dir, "--key", "nobody")
    shown = run("calls", "--data-dir", data_dir)
    assert "ok after 2" in shown
    assert max(map(len, shown.splitlines())) <= 80


def test_a_call_is_explained_by_its_id_or_an_attempts(data_dir):
    shown = run("calls", "show", "call_3.2", "--data-dir", data_dir)
    assert shown == run("calls", "--data-dir", data_dir, "show", "call_3")
    for words in (
        "Attempt 1: openai/gpt-4o-mini",
        "status 529",
        "Nothing was billed",
        "Attempt 2: anthropic",
        "$0.15/1M",
    ):
        assert words in shown
    assert "Call in total: $0.0000435" in shown
    call = json.loads(run("calls", "show", "call_2", "--data-dir", data_dir, "--json"))
    lines = {line["meter"]: line for line in call["attempts"][0]["lines"]}
    assert lines["web_search"]["unit_price_usd"] == "0.01"
    assert call["total_usd"] == "0.02000000000007"
    assert "UNPRICED: no rate for openai/new" in run("calls", "show", "call_4", "--data-dir", data_dir)
    assert "worst case" in run("calls", "show", "call_7", "--data-dir", data_dir)


@pytest.fixture
def special_dir(tmp_path):
    """A call with lines of every kind, one that its provider billed itself, one with a region of its own."""
    billed = sent("call_2", provider="openrouter", rate_provider="openrouter")
    reported = Line("reported_cost", 5 * 10**12, 1, 5 * 10**12, "openrouter/reported#reported_cost")
    begun, ended = special(flags=("reported_differs",))
    records = [begun, ended, billed, done(billed, reported, meters={"input": 9}, reported_femto=5 * 10**12)]
    write_calls(tmp_path, records)
    return tmp_path


def test_lines_of_every_kind_are_told_apart(special_dir):
    shown = run("calls", "show", "call_1", "--data-dir", special_dir)
    assert max(map(len, shown.splitlines())) <= 80
    rows = [re.split(r"  +", row.strip()) for row in shown.splitlines()]
    for row in (
        ["input", "1,000", "$2/1M", "$0.002", "acme/m/standard"],
        ["contract acme-2026", "-12.5 %", "-$0.25/1M", "-$0.00025"],
        ["audio_time", "10 s", "$0.12/h", "$0.000333333333", "acme/m/standard"],
        ["audio_time at least", "$0.000000666667"],
        ["web_search", "3", "free", "$0", "pool/search"],
        ["web_search", "1", "$0.01/call", "$0.01", "acme/m/any"],
        ["total", "$0.012164"],
        ["region", "eu"],
        ["deployment", "data_zone"],
        ["meters", "input 1,000, output 10, audio_time 7.001 s, web_search 4"],
    ):
        assert row in rows
    assert "$0.012000000000001 by the provider, $0.000163999999999 less than the price book gives" in re.sub(
        r"\s+", " ", shown
    )
    billed = run("calls", "show", "call_2", "--data-dir", special_dir)
    assert re.search(r"reported_cost +as reported +\$0.005 +openrouter/reported\n", billed)
    assert "than the price book" not in billed


def test_a_call_in_json_has_exact_quantities_and_what_prices_are_for(special_dir):
    (attempt,) = json.loads(run("calls", "show", "call_1", "--data-dir", special_dir, "--json"))["attempts"]
    assert (attempt["region"], attempt["deployment"]) == ("eu", "data_zone")
    assert (attempt["reported_usd"], attempt["total_usd"]) == ("0.012000000000001", "0.012164")
    assert attempt["meters"] == {"input": "1000", "output": "10", "audio_time": "7.001", "web_search": "4"}
    audio = next(each for each in attempt["lines"] if each["meter"] == "audio_time")
    assert audio == {
        "meter": "audio_time",
        "quantity": "10",
        "unit": "second",
        "unit_price_usd": "0.12",
        "per": 3600,
        "amount_usd": "0.000333333333",
        "rate": "acme/m/standard#audio_time",
    }
    for each in attempt["lines"]:
        exact = Decimal(each["quantity"]) * Decimal(each["unit_price_usd"]) / each["per"]
        assert abs(exact - Decimal(each["amount_usd"])) <= Decimal("5e-13")


def test_an_audit_shows_list_contract_and_net_and_what_providers_report(special_dir):
    shown = run("audit", "--data-dir", special_dir)
    assert max(map(len, shown.splitlines())) <= 80
    assert re.search(r"meter +quantity +not priced +list +contract +net +share", shown)
    assert re.search(r"input +1,009 +\$0.00200 +-\$0.000250 +\$0.00175", shown)
    assert re.search(r"audio_time +7.001 +\$0.000334 +\$0 +\$0.000334", shown)
    assert re.search(r"openai +1 +1 +\$0.0120 +\$0.0122", shown)
    assert "reported_differs" in shown.partition("ALARMS")[2]
    told = json.loads(run("audit", "--data-dir", special_dir, "--json"))
    (price,) = [row for row in told["meters"] if row["meter"] == "input"]
    assert (price["quantity"], price["list_usd"], price["contract_usd"]) == ("1009", "0.002", "-0.00025")
    assert price["amount_usd"] == "0.00175"
    assert told["reported"][0] == {
        "provider": "openai",
        "attempts": 1,
        "differing": 1,
        "reported_usd": "0.012000000000001",
        "charged_usd": "0.012164",
    }
    assert len(json.loads(run("calls", "--data-dir", special_dir, "--flag", "reported_differs", "--json"))) == 1


def test_each_band_of_a_marginal_price_has_its_own_step(tmp_path):
    lines = [
        Line("egress", 10, 100, 1000, "acme/m/standard#egress"),
        Line("egress", 10, 50, 500, "acme/m/standard#egress"),
        Line("egress", 10, -10, -100, "contract/a#egress"),
        Line("egress", 10, -10, -100, "contract/a#egress"),
        Line("egress", 10, -9, -90, "contract/b#egress"),
        Line("egress", 10, -1, -10, "contract/b#egress"),
        line("output", 1, 0),
        Line("output", 1, -5, -5, "contract/c#output"),
    ]
    begun = sent()
    write_calls(tmp_path, [begun, done(begun, *lines, meters={"egress": 20})])
    shown = run("calls", "show", "call_1", "--data-dir", tmp_path)
    steps = re.findall(r"contract (\w) +([-+][\d.]+ %)?", shown)
    assert steps == [("a", "-10 %"), ("a", "-20 %"), ("b", "-10 %"), ("b", "-2.5 %"), ("c", "")]


def test_an_unknown_call_is_a_finding(data_dir):
    assert "no call 'call_99'" in run("calls", "show", "call_99", "--data-dir", data_dir, code=1)


def test_the_commands_in_the_documentation_run(data_dir, monkeypatch):
    monkeypatch.chdir(data_dir)
    data_dir.joinpath("farebox-data").symlink_to(data_dir)
    text = (DOCS / "audit.md").read_text()
    commands = re.findall(r"^    \$ farebox (.*)$", text, re.MULTILINE)
    assert len(commands) >= 5
    for command in commands:
        run(*shlex.split(command, comments=True))
    options = re.findall(r"`(--[a-z-]+)", text)
    known = run("audit", "--help") + run("calls", "--help") + run("calls", "show", "--help")
    assert options
    assert all(option in known for option in options)


def test_the_documentation_knows_every_column_outcome_flag_and_finding():
    text = (DOCS / "books.md").read_text()
    for column in COLUMNS:
        assert f"| `{column.name}` | {column.kind} | {column.meaning} |" in text
    for name in (*OUTCOMES, *FLAGS, *FINDINGS):
        assert f"| `{name}` |" in text
