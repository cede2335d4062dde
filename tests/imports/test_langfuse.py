"""Langfuse's observations."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.imports import langfuse
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import Row, meters, take, write_lines


def exported(**fields: Any) -> dict[str, Any]:
    """A generation as the table's export and the API give it."""
    return {
        "id": "obs-1",
        "traceId": "trace-1",
        "type": "GENERATION",
        "name": "answer",
        "startTime": "2026-09-14T10:00:01.123Z",
        "endTime": "2026-09-14T10:00:03.523Z",
        "completionStartTime": "2026-09-14T10:00:01.723Z",
        "level": "DEFAULT",
        "statusMessage": None,
        "model": "gpt-4.1-2025-04-14",
        "projectId": "p-1",
        "userId": "ada",
        "sessionId": "s-1",
        "traceTags": ["desk", "team:search"],
        "usageDetails": {
            "input": 171,
            "input_cached_tokens": 640,
            "output": 60,
            "output_reasoning_tokens": 32,
            "total": 903,
        },
        "costDetails": {"input": 0.001, "output": 0.0015, "total": 0.0025},
        "totalCost": 0.0025,
        **fields,
    }


def stored(**fields: Any) -> dict[str, Any]:
    """The same in a file of the blob storage export."""
    given = exported()
    names = {"id": "id", "traceId": "trace_id", "type": "type", "level": "level", "userId": "user_id"} | {
        "startTime": "start_time",
        "endTime": "end_time",
        "completionStartTime": "completion_start_time",
        "statusMessage": "status_message",
        "model": "provided_model_name",
        "projectId": "project_id",
        "sessionId": "session_id",
        "traceTags": "tags",
        "usageDetails": "usage_details",
        "costDetails": "cost_details",
        "totalCost": "total_cost",
    }
    times = {"start_time": "2026-09-14 10:00:01.123000", "end_time": "2026-09-14 10:00:03.523000"}
    times["completion_start_time"] = "2026-09-14 10:00:01.723000"
    return {new: given[old] for old, new in names.items()} | times | fields


def take_all(tmp_path: Path, *records: dict[str, Any], options: Options | None = None) -> list[Row]:
    return take(langfuse, write_lines(tmp_path / "observations.jsonl", records), options)


def usage(tmp_path: Path, details: dict[str, Any], model: str = "gpt-4.1") -> Row:
    (row,) = take_all(tmp_path, exported(model=model, usageDetails=details))
    return row


def test_every_column(tmp_path: Path) -> None:
    (row,) = take_all(tmp_path, exported())
    found = {"input": 171, "cache_read": 640, "output": 60, "reasoning": 32}
    assert meters(row) == found
    assert {name: value for name, value in row.items() if value is not None and name not in found} == {
        "row": 1,
        "at_ns": 1_789_380_001_123_000_000,
        "source_id": "obs-1",
        "provider": "openai",
        "model": "gpt-4.1-2025-04-14",
        "operation": "chat",
        "user": "ada",
        "session": "s-1",
        "project": "p-1",
        "tags": {"desk": "true", "team": "search"},
        "outcome": "ok",
        "stream": True,
        "recorded_usd": Decimal("0.0025"),
        "first_token_ns": 600_000_000,
        "total_ns": 2_400_000_000,
    }


def test_every_form_of_export(tmp_path: Path) -> None:
    expected = take_all(tmp_path, exported(), exported())
    array, page, table = tmp_path / "a.json", tmp_path / "p.json", tmp_path / "t.csv"
    array.write_text(json.dumps([exported(), exported()]))
    page.write_text(json.dumps({"data": [exported(), exported()], "meta": {"page": 1}}, indent=1))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(exported()))
        writer.writeheader()
        for each in (exported(), exported()):
            writer.writerow({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in each.items()})
    blob = write_lines(tmp_path / "blob.jsonl", [stored(), stored()])
    parquet = tmp_path / "blob.parquet"
    with duckdb.connect() as connection:
        connection.execute(f"COPY (SELECT * FROM read_json('{blob}')) TO '{parquet}'")
    for path in (array, table, blob, parquet, page):
        assert take(langfuse, path) == expected, path


def test_anthropic_counts_are_disjoint(tmp_path: Path) -> None:
    details = {"input": 10, "output": 7, "cache_read_input_tokens": 500, "cache_creation_input_tokens": 300}
    for total in ({}, {"total": 817}, {"total": 17}):
        row = usage(tmp_path, details | total, "claude-opus-4-1")
        assert (row["fault"], row["provider"]) == (None, "anthropic")
        assert meters(row) == {"input": 10, "cache_read": 500, "cache_write_5m": 300, "output": 7}


def test_a_total_shows_whether_counts_include_their_details(tmp_path: Path) -> None:
    details = {"input": 100, "output": 50, "input_cached_tokens": 40, "output_reasoning_tokens": 20}
    for total, plain in (({"total": 150}, (60, 30)), ({"total": 210}, (100, 50)), ({}, (100, 50))):
        row = usage(tmp_path, details | total)
        assert (row["fault"], row["input"], row["output"]) == (None, *plain)
        assert (row["cache_read"], row["reasoning"]) == (40, 20)
    row = usage(tmp_path, details | {"total": 151})
    assert row["fault"] == 'usage total: "151" is not the sum of the known usage types, "210"'


def test_text_and_predictions_are_text(tmp_path: Path) -> None:
    details = {
        "input": 0,
        "input_text_tokens": 80,
        "input_audio_tokens": 20,
        "output": 5,
        "output_text_tokens": 10,
        "output_accepted_prediction_tokens": 3,
        "output_rejected_prediction_tokens": 2,
        "total": 120,
    }
    row = usage(tmp_path, details)
    assert meters(row) == {"input": 80, "input_audio": 20, "output": 20}


def test_only_requests_to_models_are_rows(tmp_path: Path) -> None:
    rows = take_all(tmp_path, exported(type="SPAN"), exported(type="EMBEDDING"), exported(type="TOOL"), exported())
    assert [(row["row"], row["operation"]) for row in rows] == [(2, "embeddings"), (4, "chat")]


def test_errors_and_names(tmp_path: Path) -> None:
    failed, bedrock, ours = take_all(
        tmp_path,
        exported(level="ERROR", statusMessage="429", usageDetails={}),
        exported(model="us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
        exported(model="ours"),
    )
    assert (failed["outcome"], failed["error"], meters(failed)) == ("error", "429", {})
    assert (bedrock["provider"], bedrock["model"]) == ("aws", "us.anthropic.claude-sonnet-4-5-20250929-v1:0")
    assert ours["fault"] == "the record does not say which provider was called: give --provider"
    (ours,) = take_all(tmp_path, exported(model="ours"), options=Options(provider="deepinfra"))
    assert (ours["fault"], ours["provider"]) == (None, "deepinfra")


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"usageDetails": {"input": -2}}, 'usage input: "-2" is not a whole number from 0 to 2147483647'),
        ({"startTime": None}, "startTime is missing: a record needs the time of its request"),
        ({"model": None}, "model is missing: give --model"),
        ({"totalCost": -1}, 'totalCost: "-1" is not an amount of USD, such as 0.0125'),
        (
            {"usageDetails": {"input": 5, "output": 0, "input_cached_tokens": 6, "total": 5}},
            "usage: details are more than the input or output that includes them",
        ),
    ],
)
def test_faults(tmp_path: Path, fields: dict[str, Any], fault: str) -> None:
    rows = take_all(tmp_path, exported(), exported(**fields))
    assert [row["fault"] for row in rows] == [None, fault]
    assert json.loads(rows[1]["raw"])["id"] == "obs-1"


def test_another_file(tmp_path: Path) -> None:
    with pytest.raises(
        WrongFile, match="this is not an export of Langfuse's observations, which has startTime; found a"
    ):
        langfuse.select(str(write_lines(tmp_path / "x.jsonl", [{"a": 1}])), Options())


counts = st.integers(0, 10_000)


@settings(max_examples=15, deadline=None)
@given(counts, counts, counts, counts, st.sampled_from(["sum", "absent"]))
def test_all_tokens_are_there_once(
    tmp_path_factory: pytest.TempPathFactory, plain: int, cached: int, text: int, reasoning: int, total: str
) -> None:
    details = {"input": plain, "input_cached_tokens": cached, "output": text, "output_reasoning_tokens": reasoning}
    whole = sum(details.values())
    row = usage(tmp_path_factory.mktemp("langfuse"), details | ({"total": whole} if total == "sum" else {}))
    assert sum(meters(row).values()) == whole
