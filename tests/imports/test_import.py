"""Traces become books: every row priced as the scalar engine prices it, once, and what cannot be taken is kept."""

import csv
import json
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from farebox.books.query import Books
from farebox.cli.main import cli
from farebox.errors import FareboxError
from farebox.imports.run import import_rows
from farebox.money import FEMTO_PER_USD
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.state.pricebook import load_book
from farebox.usage import Usage

TRACES = Path(__file__).parents[2].parent / "shared/data/traces"
NEEDS_TRACES = pytest.mark.skipif(not TRACES.is_dir(), reason="the public traces are not at hand")
AZURE = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
ROWS = "2026-11-01 10:00:00.1234567,100,20\n2026-11-01 10:00:01,4808,10\n"
# USD for a million tokens of input and output, looked up by hand on OpenAI's price page.
GPT_4O_MINI = (Fraction(15, 100), Fraction(60, 100))


def run(data_dir: Path, *words: str) -> Result:
    return CliRunner().invoke(cli, [*words, "--data-dir", str(data_dir)])


def bring_in(data_dir: Path, path: Path, form: str, *more: str) -> Result:
    target = ("--provider", "openai", "--model", "gpt-4o-mini")
    return run(data_dir, "import", str(path), "--format", form, *target, *more)


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def totals(data_dir: Path) -> dict[str, object]:
    result = run(data_dir, "audit", "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.output)["totals"]
    return found


def read_lengths(path: Path) -> list[tuple[int, int]]:
    """Read a trace's input and output lengths with plain loops."""
    if path.suffix == ".csv":
        with path.open() as file:
            return [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    records = [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return [(record["input_length"], record["output_length"]) for record in records]


@NEEDS_TRACES
@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("azure_2023_code.csv", "azure"),
        ("azure_2023_conv.csv", "azure"),
        ("mooncake_conversation_trace.jsonl", "mooncake"),
        ("ragpulse_trace.jsonl", "ragpulse"),
    ],
)
def test_a_trace_costs_what_plain_loops_say(tmp_path, name, form) -> None:
    lengths = read_lengths(TRACES / name)
    cost = sum(inputs * GPT_4O_MINI[0] + outputs * GPT_4O_MINI[1] for inputs, outputs in lengths) / 1_000_000
    result = bring_in(tmp_path, TRACES / name, form)
    assert result.exit_code == 0, result.output
    found = totals(tmp_path)
    assert found["calls"] == found["attempts"] == len(lengths)
    assert found["input_tokens"] == sum(inputs for inputs, _ in lengths)
    assert found["output_tokens"] == sum(outputs for _, outputs in lengths)
    assert Fraction(str(found["cost_usd"])) == cost
    assert found["unpriced"] == 0


@NEEDS_TRACES
def test_blocks_and_parts_are_kept(tmp_path) -> None:
    assert bring_in(tmp_path, TRACES / "mooncake_conversation_trace.jsonl", "mooncake").exit_code == 0
    first = json.loads((TRACES / "mooncake_conversation_trace.jsonl").read_text().splitlines()[0])
    with Books(tmp_path) as books:
        blocks, tokens = books.ask("SELECT blocks, block_tokens FROM attempts WHERE attempt LIKE '%.1'")[0]
    assert (blocks, tokens) == (first["hash_ids"], 512)


def test_a_second_import_changes_nothing(tmp_path) -> None:
    path = write(tmp_path / "trace.csv", AZURE + ROWS)
    assert bring_in(tmp_path / "data", path, "azure").exit_code == 0
    before = totals(tmp_path / "data")
    again = bring_in(tmp_path / "data", path, "azure", "--json")
    assert again.exit_code == 0
    report = json.loads(again.output)[0]
    assert (report["imported"], report["duplicates"]) == (0, 2)
    assert totals(tmp_path / "data") == before


def test_times_keep_their_hundred_nanoseconds(tmp_path) -> None:
    path = write(tmp_path / "trace.csv", AZURE + ROWS)
    assert bring_in(tmp_path / "data", path, "azure").exit_code == 0
    with Books(tmp_path / "data") as books:
        found = books.ask("SELECT CAST(sent_at AS VARCHAR) FROM attempts ORDER BY sent_at")
    assert found == [("2026-11-01 10:00:00.1234567",), ("2026-11-01 10:00:01",)]


def test_rows_that_cannot_be_taken_are_kept_and_explained(tmp_path) -> None:
    bad = "2026-11-01 10:00:00,5,x\nfoo,3,4\n2026-11-01 10:00:00,-5,3\n,,\n2026-11-01 10:00:00,1.5,3\n"
    path = write(tmp_path / "trace.csv", AZURE + ROWS + bad)
    result = bring_in(tmp_path / "data", path, "azure", "--json")
    assert result.exit_code == 1
    report = json.loads(result.output)[0]
    assert (report["rows"], report["imported"], report["rejected"]) == (7, 2, 5)
    kept = [json.loads(line) for line in Path(report["rejects"]).read_text().splitlines()]
    assert [(one["row"], one["record"]) for one in kept] == [
        (number, line) for number, line in enumerate(bad.splitlines(), 3)
    ]
    assert kept[0]["reason"] == 'GeneratedTokens: "x" is not a whole number from 0 to 2147483647'
    assert kept[1]["reason"] == 'TIMESTAMP: "foo" is no time'
    assert kept[3]["reason"] == "TIMESTAMP: it is missing"
    assert totals(tmp_path / "data")["calls"] == 2


@pytest.mark.parametrize(
    ("name", "text", "form", "said"),
    [
        ("empty.csv", "", "azure", "the file is empty"),
        ("other.csv", "a,b\n1,2\n", "azure", "not an Azure LLM inference trace"),
        ("other.jsonl", '{"a": 1}\n', "mooncake", "not a Mooncake trace"),
        ("other.jsonl", '{"timestamp": 1, "input_length": 1, "output_length": 1}\n', "ragpulse", "no hash_ids"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, name, text, form, said) -> None:
    result = bring_in(tmp_path / "data", write(tmp_path / name, text), form)
    assert isinstance(result.exception, FareboxError), result.output
    assert said in str(result.exception)
    assert totals(tmp_path / "data")["calls"] == 0


def test_a_trace_without_a_model_says_what_to_give(tmp_path) -> None:
    path = write(tmp_path / "trace.csv", AZURE + ROWS)
    result = run(tmp_path / "data", "import", str(path), "--format", "azure", "--provider", "openai")
    assert result.exit_code == 1
    assert "give --model" in " ".join(result.output.split())


def test_a_model_without_a_price_is_unpriced_not_free(tmp_path) -> None:
    path = write(tmp_path / "trace.csv", AZURE + ROWS)
    result = run(
        *(tmp_path / "data", "import", str(path), "--format", "azure", "--provider", "openai"), "--model", "made-up"
    )
    assert result.exit_code == 0
    assert "without a price" in result.output
    found = totals(tmp_path / "data")
    assert (found["unpriced"], found["cost_usd"]) == (2, "0")


def test_a_trace_that_counts_from_its_start(tmp_path) -> None:
    records = [{"timestamp": ms, "input_length": 600, "output_length": 5, "hash_ids": [1, 2]} for ms in (0, 2500)]
    path = write(tmp_path / "t.jsonl", "".join(json.dumps(one) + "\n" for one in records))
    assert bring_in(tmp_path / "data", path, "mooncake", "--start", "2026-11-01T00:00:00Z").exit_code == 0
    with Books(tmp_path / "data") as books:
        found = books.ask("SELECT CAST(sent_at AS VARCHAR) FROM attempts ORDER BY sent_at")
    assert found == [("2026-11-01 00:00:00",), ("2026-11-01 00:00:02.5",)]


def test_burstgpt_names_its_models_and_failures_cost_nothing(tmp_path) -> None:
    head = "Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type\n"
    text = head + "5,ChatGPT,472,18,490,Conversation log\n45,GPT-4,100,0,100,API log\n"
    result = run(
        *(tmp_path / "data", "import", str(write(tmp_path / "b.csv", text)), "--format", "burstgpt"),
        *("--start", "2026-11-01T00:00:00Z"),
    )
    assert result.exit_code == 0, result.output
    with Books(tmp_path / "data") as books:
        found = books.ask("SELECT model, outcome, total_femto FROM attempts ORDER BY sent_at")
    assert found[1] == ("gpt-4", "error", 0)
    assert found[0][:2] == ("gpt-3.5-turbo", "ok")
    assert found[0][2] > 0


Record = tuple[tuple[str, str], int | None, int | None, int | None, int]
KINDS = st.sampled_from(
    [
        ("openai", "gpt-4o-mini"),
        ("openai", "gpt-5-mini"),
        ("google", "gemini-2.5-pro"),  # dearer above 200,000 tokens
        ("anthropic", "claude-sonnet-4-6"),
        ("openai", "no-such-model"),
    ]
)
COUNT = st.one_of(st.none(), st.integers(0, 400_000))
RECORDS = st.lists(
    st.tuples(KINDS, COUNT, COUNT, COUNT, st.integers(0, 40 * 86_400)),
    min_size=1,
    max_size=30,
)


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_book()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(RECORDS)
def test_rows_cost_what_the_engine_says(tmp_path_factory, book, records) -> None:
    folder = tmp_path_factory.mktemp("import")
    start_ns = 1_790_000_000_000_000_000
    values = ", ".join(_values(number, one, start_ns) for number, one in enumerate(records, 1))
    select = f"SELECT * FROM (VALUES {values}) AS v(row, provider, model, input, cache_read, output, at_ns)"
    (folder / "x").write_text(repr(records))
    report = import_rows(folder, "test", folder / "x", select, book)
    assert report.imported == len(records)
    total = 0
    with Books(folder) as books:
        rows = books.ask("SELECT attempt, total_femto, unpriced, lines, meters FROM attempts")
    for attempt, femto, unpriced, lines, meters in rows:
        (provider, model), inputs, cached, outputs, second = records[int(attempt.rpartition(".")[2]) - 1]
        given = {"input": inputs, "cache_read": cached, "output": outputs}
        used = {name: count for name, count in given.items() if count is not None}
        assert meters == used
        usage = Usage(used, (inputs or 0) + (cached or 0))
        expected = charge(book, Rating(provider, "", model, usage, start_ns + second * 10**9))
        if femto is None:
            assert unpriced == expected.reason  # type: ignore[union-attr]
            continue
        assert int(femto) == expected.total_femto  # type: ignore[union-attr]
        assert [(line["meter"], line["quantity"], int(line["amount_femto"]), line["rate"]) for line in lines] == [
            (line.meter, line.quantity, line.amount_femto, line.rate)
            for line in expected.lines  # type: ignore[union-attr]
        ]
        total += int(femto)
    assert report.total_femto == total
    assert Decimal(total) / FEMTO_PER_USD >= 0


def _values(number: int, record: Record, start_ns: int) -> str:
    (provider, model), *counts, second = record
    numbers = ", ".join("NULL::BIGINT" if count is None else f"{count}::BIGINT" for count in counts)
    return f"({number}, '{provider}', '{model}', {numbers}, {start_ns + (second or 0) * 10**9})"
