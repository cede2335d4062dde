"""JSON lines, JSON arrays, CSV and Parquet of any program."""

import gzip
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.errors import ConfigError
from farebox.imports import columns
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from farebox.usage import METERS
from tests.imports.taken import Row, meters, take, write_lines

AT = "2026-09-14T10:00:00Z"
AT_NS = 1_789_380_000_000_000_000
BASE = {"timestamp": AT, "provider": "openai", "model": "gpt-4o"}


def take_one(path: Path, record: dict[str, Any], options: Options | None = None) -> Row:
    (row,) = take(columns, write_lines(path / "log.jsonl", [record]), options)
    return row


def known(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


def test_names_that_apis_give(tmp_path: Path) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    row = take_one(tmp_path, BASE | {"id": "c-1", "usage": usage, "user_id": "u", "latency_ms": 1250.5, "cost": "0.01"})
    assert known(row) == {
        "row": 1,
        "at_ns": AT_NS,
        "provider": "openai",
        "model": "gpt-4o",
        "source_id": "c-1",
        "user": "u",
        "outcome": "ok",
        "input": 36,
        "cache_read": 64,
        "output": 15,
        "reasoning": 5,
        "recorded_usd": Decimal("0.01"),
        "total_ns": 1_250_500_000,
    }


def test_anthropic_leaves_cached_tokens_out_of_its_input(tmp_path: Path) -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 7,
        "cache_read_input_tokens": 500,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
    }
    row = take_one(tmp_path, BASE | {"model": "claude-opus-4-1", "provider": "anthropic", "usage": usage})
    assert meters(row) == {"input": 10, "cache_read": 500, "cache_write_5m": 100, "cache_write_1h": 200, "output": 7}


def test_given_columns(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "when;who;llm;in;cached;out;env;paid;dead;ttft;batch;n\n"
        "1789380000;Vertex_AI;gemini-2.5-pro;1000;400;50;prod;0,5;;0.25;true;3\n"
        "1789380000.5;;gemini-2.5-pro;1000;;50;;0.5;timed out;;false;\n"
    )
    options = Options(
        columns={
            "at": "when",
            "provider": "who",
            "model": "llm",
            "input_tokens": "in",
            "cache_read": "cached",
            "output": "out",
            "tag.env": "env",
            "recorded_usd": "paid",
            "error": "dead",
            "first_token_s": "ttft",
            "processing": "batch",
            "requests": "n",
        }
    )
    first, second = take(columns, path, options)
    assert first["fault"] == 'paid: "0,5" is not an amount of USD, such as 0.0125'
    assert json.loads(first["raw"])["who"] == "Vertex_AI"
    assert known({**first, "fault": None, "raw": None}) == {
        "row": 1,
        "at_ns": AT_NS,
        "provider": "google",
        "model": "gemini-2.5-pro",
        "outcome": "ok",
        "processing": "batch",
        "requests": 3,
        "input": 600,
        "cache_read": 400,
        "output": 50,
        "first_token_ns": 250_000_000,
        "tags": {"env": "prod"},
    }
    assert known(second) == {
        "row": 2,
        "at_ns": AT_NS + 500_000_000,
        "provider": "google",  # the maker's own API
        "model": "gemini-2.5-pro",
        "outcome": "error",
        "error": "timed out",
        "input": 1000,
        "output": 50,
        "recorded_usd": Decimal("0.5"),
    }


def test_parquet(tmp_path: Path) -> None:
    path = tmp_path / "log.parquet"
    with duckdb.connect() as connection:
        connection.execute(
            "COPY (SELECT TIMESTAMP '2026-09-14 10:00:00' + INTERVAL (i) SECOND AS ts, 'openai' AS provider, "
            "'gpt-4o' AS model, 10 + i AS input_tokens, 2.0::DOUBLE AS output_tokens, 0.25::DECIMAL(9,4) AS cost, "
            f"{{'team': 'a'}} AS tags FROM range(3) r(i)) TO '{path}'"
        )
    rows = take(columns, path, Options(columns={"tags": "tags"}))
    assert [row["at_ns"] for row in rows] == [AT_NS + second * 10**9 for second in range(3)]
    assert [row["row"] for row in rows] == [1, 2, 3]
    assert [meters(row) for row in rows] == [{"input": 10 + i, "output": 2} for i in range(3)]
    assert rows[0]["recorded_usd"] == Decimal("0.25")
    assert rows[0]["tags"] == {"team": "a"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"att": "timestamp"}, "there is no 'att'; there are at, end, provider"),
        ({"user": "nobody"}, "there is no column 'nobody'; found timestamp, provider, model"),
        ({"input": "a", "input_tokens": "a"}, "give one of both"),
    ],
)
def test_wrong_columns(tmp_path: Path, given: dict[str, str], message: str) -> None:
    path = write_lines(tmp_path / "log.jsonl", [BASE | {"a": 1}])
    with pytest.raises(WrongFile, match=message):
        columns.select(str(path), Options(columns=given))


def test_no_time(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", [{"model": "gpt-4o", "a": 1}])
    with pytest.raises(WrongFile, match="say which with --column at=NAME; found model, a"):
        columns.select(str(path), Options())


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("2026-10-25T01:30:00Z", 1_792_891_800_000_000_000),
        ("2026-10-25T03:30:00.123456+02:00", 1_792_891_800_123_456_000),
        ("2026-10-25 03:30:00+0200", 1_792_891_800_000_000_000),
        ("2026-10-25 01:30:00", 1_792_891_800_000_000_000),
        ("2026-10-25 01:30", 1_792_891_800_000_000_000),
        ("2026-10-25", 1_792_886_400_000_000_000),
        ("2026-10-25 01:30:00 UTC", 1_792_891_800_000_000_000),
        ("2026-10-25 03:30:00 Europe/Helsinki", 1_792_891_800_000_000_000),
        (1792891800, 1_792_891_800_000_000_000),
        (1792891800.25, 1_792_891_800_250_000_000),
        (1792891800250, 1_792_891_800_250_000_000),
        (1792891800250001, 1_792_891_800_250_001_000),
        (1792891800250001999, 1_792_891_800_250_001_000),
    ],
)
def test_times(tmp_path: Path, text: Any, at_ns: int) -> None:
    assert take_one(tmp_path, BASE | {"timestamp": text})["at_ns"] == at_ns


@pytest.mark.parametrize(
    "text", ["25.10.2026", "2026-13-01", "2026-10-25 25:00:00", "soon", "10/25/2026 1:00", "NaN", -1]
)
def test_texts_that_are_no_time(tmp_path: Path, text: Any) -> None:
    row = take_one(tmp_path, BASE | {"timestamp": text})
    assert row["fault"] == f'timestamp: "{text}" is not a time from 1970 to 2100, such as 2026-10-25T09:30:00Z'


@pytest.mark.parametrize(
    ("zone", "text", "said"),
    [
        ("Europe/Berlin", "2026-10-25 01:59:59", 1_792_886_399),
        ("Europe/Berlin", "2026-10-25 02:30:00", "comes twice when the clock is put back"),
        ("Europe/Berlin", "2026-10-25 03:00:00", 1_792_893_600),
        ("Europe/Berlin", "2026-10-25 02:30:00+01:00", 1_792_891_800),
        ("Europe/Berlin", "2026-03-29 02:30:00", "is skipped when the clock is put forward"),
        ("Europe/Berlin", "2026-03-29 03:00:00", 1_774_746_000),
        ("Australia/Lord_Howe", "2026-04-05 01:45:00", "comes twice when the clock is put back"),
        ("America/New_York", "2026-11-01 01:30:00", "comes twice when the clock is put back"),
        ("Asia/Kolkata", "2026-10-25 02:30:00", 1_792_875_600),
    ],
)
def test_local_times_around_the_change_of_the_clock(tmp_path: Path, zone: str, text: str, said: str | int) -> None:
    row = take_one(tmp_path, BASE | {"timestamp": text}, Options(zone=zone))
    if isinstance(said, int):
        assert (row["fault"], row["at_ns"]) == (None, said * 10**9)
    else:
        assert row["fault"] == f'timestamp: "{text}" {said} in {zone}: export times with their offset, or in UTC'


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"prompt_tokens": -5}, 'prompt_tokens: "-5" is not a whole number from 0 to 2147483647'),
        ({"prompt_tokens": "NaN"}, 'prompt_tokens: "NaN" is not a whole number from 0 to 2147483647'),
        ({"prompt_tokens": 2**31}, 'prompt_tokens: "2147483648" is not a whole number from 0 to 2147483647'),
        ({"cached_tokens": 11}, 'cached, written and other tokens are "11", more than prompt_tokens: "10"'),
        ({"reasoning_tokens": 4}, 'reasoning and other tokens are "4", more than completion_tokens: "3"'),
        ({"prompt_tokens": None, "cached_tokens": 1}, "prompt_tokens is missing, and its parts are there"),
        ({"latency_ms": "fast"}, 'latency_ms: "fast" is not a length of time'),
        ({"model": None}, "the record does not say which model was called: give --model"),
    ],
)
def test_faults(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    good = BASE | {
        "prompt_tokens": 10,
        "completion_tokens": 3,
        "cached_tokens": 0,
        "reasoning_tokens": 0,
        "latency_ms": 1,
    }
    rows = take(columns, write_lines(tmp_path / "log.jsonl", [good, good | changes]))
    assert [row["fault"] for row in rows] == [None, fault]


def test_zones_that_do_not_exist(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", [BASE])
    with pytest.raises(ConfigError, match="There is no time zone 'Mars/Olympus': write an IANA name"):
        columns.select(str(path), Options(zone="Mars/Olympus"))


def test_damaged_csv(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes(
        b"timestamp,provider,model,prompt_tokens\n"
        b"2026-09-14,openai,gpt-4o,1\n"
        b"2026-09-14,openai\n"
        b"2026-09-14,openai,gpt-4o,2,too,many\n"
        b'2026-09-14,openai,"gp\nt",3\n'
        b"2026-09-14,openai,caf\xe9,4\n"
        b'2026-09-14,openai,"never closed,5\n'
    )
    rows = take(columns, path)
    assert [row["row"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row["fault"] for row in rows[:5]] == [
        None,
        "the record does not say which model was called: give --model",
        None,
        None,
        None,
    ]
    assert [row["model"] for row in rows[3:5]] == ["gp\nt", "café"]


def test_csv_of_a_spreadsheet(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_bytes('\ufefftimestamp;provider;model;prompt_tokens\r\n2026-09-14;openai;"gpt;4o";7\r\n'.encode())
    (row,) = take(columns, path)
    assert (row["fault"], row["model"], row["input"]) == (None, "gpt;4o", 7)


def test_columns_that_are_there_twice(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text("timestamp,model,model\n1,2,3\n")
    with pytest.raises(WrongFile, match="the columns model are there twice"):
        columns.select(str(path), Options())


def test_an_array_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.json"
    path.write_text('{\n  "a": 1\n}')
    with pytest.raises(WrongFile, match="one JSON object over many lines"):
        columns.select(str(path), Options())
    path.write_bytes("timestamp,model\n".encode("utf-16"))
    with pytest.raises(WrongFile, match="the file is UTF-16; convert it to UTF-8"):
        columns.select(str(path), Options())
    path.write_text("just words\n")
    with pytest.raises(WrongFile, match="neither JSON nor CSV nor Parquet"):
        columns.select(str(path), Options())


def test_a_packed_file_that_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl.gz"
    lines = b"".join(b'{"timestamp": %d, "provider": "openai", "model": "m"}\n' % at for at in range(100_000))
    path.write_bytes(gzip.compress(lines)[:-1000])
    with pytest.raises(WrongFile, match="the file cannot be read, it may be cut short"):
        columns.select(str(path), Options())
    path.write_bytes(gzip.compress(lines))
    assert len(take(columns, path)) == 100_000


def test_very_long_lines(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "log.jsonl", [BASE, BASE | {"prompt": "x" * 40_000_000}, BASE])
    assert [row["fault"] for row in take(columns, path)] == [None, None, None]


counts = st.one_of(st.none(), st.integers(0, 5000))


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "prompt_tokens": counts,
                "cached_tokens": counts,
                "cache_write_tokens": counts,
                "input_audio": counts,
                "completion_tokens": counts,
                "reasoning": counts,
            }
        ),
        min_size=1,
        max_size=30,
    )
)
def test_disjoint_meters_add_up_to_the_totals(
    tmp_path_factory: pytest.TempPathFactory, records: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("log") / "log.jsonl"
    first = BASE | dict.fromkeys(records[0], 0)
    rows = take(columns, write_lines(path, [first, *(BASE | record for record in records)]))[1:]
    for row, record in zip(rows, records, strict=True):
        found = meters(row)
        cached = (record["cached_tokens"] or 0) + (record["cache_write_tokens"] or 0)
        audio, reasoning = record["input_audio"] or 0, record["reasoning"] or 0
        fits = cached + audio <= (record["prompt_tokens"] or 0) and reasoning <= (record["completion_tokens"] or 0)
        assert (row["fault"] is None) == (fits and not (cached and audio))
        if row["fault"] is None:
            for family, total in (("input", "prompt_tokens"), ("output", "completion_tokens")):
                parts = [count for name, count in found.items() if METERS[name].family == family]
                assert sum(parts) == (record[total] or 0)
                assert all(part >= 0 for part in parts)
