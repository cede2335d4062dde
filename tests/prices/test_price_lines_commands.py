"""``farebox price --jsonl``: one line in, one line out, in order, decimals as they stand."""

import io
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.analyse.find_models import price_table
from farebox.cli.main import cli
from farebox.cli.price_lines import Answer, LinePricer, _run
from farebox.present.charges import LineWriter
from farebox.prices.book import compile_book
from farebox.prices.engine import lines_of
from farebox.state.pricebook import load_book
from farebox.usage import METERS

GOLDEN = Path(__file__).parents[3] / "shared" / "data" / "golden_prices.jsonl"
NOW_NS = 1_795_392_000_000_000_000
MINE = b"""
[[prices]]
provider = "cellar"
model = "qwen"
input = "0.5"
cache_read = "0.05"
output = "2"
audio_time = "0.04/h"
file_storage = "0.10"
source = "power bill"
"""
USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "prompt_tokens_details": {"cached_tokens": 40}}
LINE = {"id": "a", "provider": "cellar", "model": "qwen", "usage": USAGE, "context": {"time": "2026-11-20T12:00:00Z"}}


@pytest.fixture(scope="module")
def book():
    return compile_book({}, [("mine.toml", MINE)])


def answers(book, *lines: Any) -> list[dict[str, Any]]:
    out = io.BytesIO()
    _run(book, [line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines], out)
    return [
        json.loads(line, parse_float=lambda text: pytest.fail(f"a float: {text}"))
        for line in out.getvalue().splitlines()
    ]


def test_a_line_is_answered_line_by_line(book):
    (said,) = answers(book, LINE)
    assert said == {
        "id": "a",
        "total_usd": "0.000052",
        "lines": [
            {
                "meter": "input",
                "quantity": "60",
                "unit_price_usd": "0.5",
                "per": 1000000,
                "amount_usd": "0.00003",
                "rate": "cellar/qwen/standard#input",
                "source": "power bill",
            },
            {
                "meter": "cache_read",
                "quantity": "40",
                "unit_price_usd": "0.05",
                "per": 1000000,
                "amount_usd": "0.000002",
                "rate": "cellar/qwen/standard#cache_read",
                "source": "power bill",
            },
            {
                "meter": "output",
                "quantity": "10",
                "unit_price_usd": "2",
                "per": 1000000,
                "amount_usd": "0.00002",
                "rate": "cellar/qwen/standard#output",
                "source": "power bill",
            },
        ],
        "book": book.hash,
    }


def test_ids_are_given_back_as_they_are_and_other_keys_are_ignored(book):
    ids = ["x", 7, None, {"a": [1, 2]}, "ü\n"]
    said = answers(book, *({**LINE, "id": each, "expected_usd": 3, "source": "x"} for each in ids))
    assert [each["id"] for each in said] == ids
    assert "total_usd" in answers(book, {**LINE, "context": None})[0]
    without = {key: value for key, value in LINE.items() if key not in {"id", "context"}}
    assert answers(book, without)[0]["id"] is None


def test_decimals_are_read_as_they_stand(book):
    storage = {"provider": "cellar", "model": "qwen", "context": {"kind": "storage"}}
    (said,) = answers(book, json.dumps({**storage, "usage": {"vector_store_gb": 0}}).replace(
        '{"vector_store_gb": 0}', '{"vector_store_gb": 0.1, "days": 3}').encode())  # fmt: skip
    assert said["lines"][0]["quantity"] == "0.3"
    assert said["total_usd"] == "0.03"


def test_an_hourly_price_rounds_once_and_keeps_its_words(book):
    (said,) = answers(book, {**LINE, "usage": {"type": "duration", "seconds": 7}})
    (line,) = said["lines"]
    assert (line["quantity"], line["unit_price_usd"], line["per"]) == ("7", "0.04", 3600)
    assert line["amount_usd"] == said["total_usd"] == "0.000077777778"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (b"{", "bad_line", "line 1: it is not JSON"),
        (b"\xff\xfe", "bad_line", "line 1"),
        (b"[1, 2]", "bad_line", "a line needs provider, model and usage"),
        ({"provider": 3}, "bad_line", "$.provider"),
        ({"model": None}, "bad_line", "$.model"),
        ({"usage": 3}, "bad_line", "$.usage"),
        ({"context": []}, "bad_line", "$.context"),
        ({"provider": "nobody"}, "unknown_provider", "add [[prices]] for it"),
        ({"model": "gpt-99"}, "unknown_model", "no rate for cellar/gpt-99"),
        ({"usage": {**USAGE, "completion_tokens": -1}}, "invalid_usage", "completion_tokens"),
        ({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 7}}, "invalid_usage", "total_tokens"),
        ({"usage": {}}, "invalid_usage", "usage"),
        ({"context": {"time": "soon"}}, "bad_context", "ISO 8601"),
        ({"usage": {"characters": 3}}, "unpriced", "for the meter character"),
    ],
)
def test_a_line_without_a_price_says_why_and_the_run_goes_on(book, change, code, words):
    bad = change if isinstance(change, bytes) else {**LINE, **change}
    first, second = answers(book, bad, LINE)
    assert set(first) == {"id", "error"}
    assert first["error"]["code"] == code, first
    assert words in first["error"]["message"]
    assert first["id"] == (None if isinstance(change, bytes) else "a")
    assert second["total_usd"] == "0.000052"


def test_blank_lines_are_skipped(book):
    assert len(answers(book, b"\n", LINE, b"  \r\n", LINE)) == 2
    assert answers(book) == []


def test_the_time_of_a_line_that_names_none_is_the_time_of_the_run(book):
    dated = b"""
[[prices]]
provider = "cellar"
model = "qwen"
rows = [
  { until = 2026-11-23T00:00:00Z, input = "1", output = "1" },
  { from = 2026-11-23T00:00:00Z, input = "2", output = "2" },
]
"""
    pricer = LinePricer(compile_book({}, [("mine.toml", dated)]), NOW_NS)

    def total(line: dict[str, Any]) -> str:
        answer = pricer.price(json.dumps(line).encode(), 1)
        assert isinstance(answer, Answer)
        return answer.total_usd

    line = {**LINE, "usage": {"prompt_tokens": 1_000_000, "completion_tokens": 0}}
    assert total(line) == "1"
    del line["context"]
    assert total(line) == "2"


def run(*args: str, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(cli, ["price", *args], input=stdin)


def test_the_command_reads_a_file_or_standard_input_and_fails_where_a_line_did(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_bytes(MINE)
    good = json.dumps(LINE).encode() + b"\n"
    path = tmp_path / "lines.jsonl"
    path.write_bytes(good * 3)
    prices = ("--prices", str(mine))
    from_file = run("--jsonl", str(path), *prices)
    from_stdin = run(*prices, "--jsonl", stdin=good * 3)
    assert (from_file.exit_code, from_file.output) == (0, from_stdin.output)
    assert len(from_file.output.splitlines()) == 3
    failed = run("--jsonl", "-", *prices, stdin=good + b"{\n" + good)
    assert failed.exit_code == 1
    assert ["error" in json.loads(line) for line in failed.output.splitlines()] == [False, True, False]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--jsonl", "/nowhere.jsonl"], "/nowhere.jsonl: No such file"),
        (["gpt-4o", "--jsonl", "x"], "leave out a model"),
        (["--jsonl", "x", "--input", "3"], "leave out --input"),
        (["--jsonl", "x", "--usage", "{}"], "leave out --usage"),
        (["--jsonl", "x", "--batch"], "leave out --batch"),
    ],
)
def test_bad_options_exit_with_two(args, words):
    result = run(*args)
    assert result.exit_code == 2
    assert words in result.output


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden prices are not beside this checkout")
def test_the_golden_prices_come_out_exactly():
    rows = {row["id"]: row for row in map(json.loads, GOLDEN.read_text().splitlines())}
    result = run("--jsonl", str(GOLDEN))
    assert result.exit_code == 0
    said = [json.loads(line) for line in result.output.splitlines()]
    assert [each["id"] for each in said] == list(rows)
    for each in said:
        assert Decimal(each["total_usd"]) == Decimal(rows[each["id"]]["expected_usd"]), each["id"]
        assert sum(Decimal(line["amount_usd"]) for line in each["lines"]) == Decimal(each["total_usd"])
        for line in each["lines"]:
            product = Fraction(line["quantity"]) * Fraction(line["unit_price_usd"]) / Fraction(line["per"])
            assert product == Fraction(line["amount_usd"]), (each["id"], line)
            assert line["meter"] in METERS
            assert line["source"].startswith("http"), line


_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**6),
    st.sampled_from([10**30, 1e308, 0.1, 1.5, "x", "", "-1", "9" * 400, "2026-11-20T12:00:00Z", "NaN"]),
)
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["cached_tokens", "type", "ttl", "modality", "tokenCount"]), inner, max_size=2
        )
    ),
    max_leaves=4,
)
_USAGE_KEYS = [
    *("prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"),
    *(
        "input_tokens",
        "output_tokens",
        "cache_creation",
        "iterations",
        "server_tool_use",
        "inputTokens",
        "cacheDetails",
    ),
    *("promptTokenCount", "candidatesTokenCount", "promptTokensDetails", "seconds", "type", "pages_processed"),
    *("training_file_tokens", "n_epochs", "vector_store_gb", "days", "hours", "ptu", "purchase_usd", "cost"),
]
_CONTEXT_KEYS = [
    "api",
    "time",
    "service_tier",
    "processing",
    "region",
    "deployment",
    "kind",
    "cache",
    "free_gb",
    "batch",
]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    provider=st.sampled_from(["cellar", "openai", "anthropic", "google", "aws", "nobody", "bedrock", "X-AI"]),
    usage=st.dictionaries(st.sampled_from(_USAGE_KEYS), _VALUES, max_size=5),
    context=st.dictionaries(st.sampled_from(_CONTEXT_KEYS), _VALUES, max_size=4),
)
def test_whatever_a_line_says_it_is_answered(book, provider, usage, context):
    line = {"id": 1, "provider": provider, "model": "qwen", "usage": usage, "context": context}
    (said,) = answers(book, line)
    assert said["id"] == 1
    if "error" in said:
        assert said["error"]["code"] in {
            "invalid_usage",
            "bad_context",
            "unknown_provider",
            "unknown_model",
            "unpriced",
        }
        assert said["error"]["message"]
    else:
        assert sum(Decimal(each["amount_usd"]) for each in said["lines"]) == Decimal(said["total_usd"])


def test_every_price_of_a_card_reads_back_as_quantity_times_price_over_per():
    book = load_book()
    writer = LineWriter(book)
    priced = 0
    for provider in ("openai", "google", "aws", "openrouter", "deepseek", "groq"):
        card = book.card(provider)
        assert card is not None
        for model in card.models:
            table = price_table(book, provider, model, NOW_NS)
            for meter, rate in table.items():
                for quantity in (1, 7 * METERS[meter].scale, 1_234_567 * METERS[meter].scale):
                    for line, text in zip(
                        lines := lines_of(rate, meter, quantity), writer.write(lines, NOW_NS), strict=True
                    ):
                        product = Fraction(text.quantity) * Fraction(text.unit_price_usd) / Fraction(text.per)
                        # Only what is no whole number of femtodollars is rounded, and to 1e-12 USD.
                        assert abs(product - Fraction(text.amount_usd)) <= Fraction(1, 2 * 10**12), line
                        priced += 1
    assert priced > 10_000
