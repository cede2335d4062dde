"""Helicone's requests."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from farebox.imports import helicone
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import Row, meters, take, write_lines


def record(**fields: Any) -> dict[str, Any]:
    """A request as the API gives it, without bodies."""
    return {
        "response_id": "b1",
        "response_created_at": "2026-09-14T10:00:03.523Z",
        "response_status": 200,
        "response_model": "gpt-4.1-2025-04-14",
        "request_id": "a1",
        "request_created_at": "2026-09-14T10:00:01.123Z",
        "request_body": {},
        "request_path": "https://oai.helicone.ai/v1/chat/completions",
        "request_user_id": "ada",
        "request_properties": {"app": "desk", "Helicone-Session-Id": "s-1"},
        "request_model": "gpt-4.1",
        "model_override": None,
        "helicone_user": None,
        "provider": "OPENAI",
        "delay_ms": 2400,
        "time_to_first_token": 600,
        "total_tokens": 263,
        "prompt_tokens": 171,
        "prompt_cache_write_tokens": 0,
        "prompt_cache_read_tokens": 640,
        "completion_tokens": 92,
        "prompt_audio_tokens": 0,
        "completion_audio_tokens": 0,
        "prompt_id": None,
        "signed_body_url": None,
        "country_code": "DE",
        "costUSD": 0.001398,
        "properties": {"app": "desk"},
        "target_url": "https://api.openai.com/v1/chat/completions",
        "model": "gpt-4.1-2025-04-14",
        "cache_reference_id": "00000000-0000-0000-0000-000000000000",
        "cache_enabled": False,
        **fields,
    }


def take_all(tmp_path: Path, *records: dict[str, Any] | str, options: Options | None = None) -> list[Row]:
    return take(helicone, write_lines(tmp_path / "output.jsonl", records), options)


def test_every_column(tmp_path: Path) -> None:
    (row,) = take_all(tmp_path, record())
    found = {
        "input": 171,
        "cache_read": 640,
        "cache_write_5m": 0,
        "input_audio": 0,
        "output": 92,
        "output_audio": 0,
    }
    assert meters(row) == found
    assert {name: value for name, value in row.items() if value is not None and name not in found} == {
        "row": 1,
        "at_ns": 1_789_380_001_123_000_000,
        "source_id": "a1",
        "provider": "openai",
        "model": "gpt-4.1-2025-04-14",
        "asked_model": "gpt-4.1",
        "answered_model": "gpt-4.1-2025-04-14",
        "operation": "chat",
        "dialect": "openai",
        "user": "ada",
        "tags": {"app": "desk", "Helicone-Session-Id": "s-1"},
        "session": "s-1",
        "outcome": "ok",
        "status": 200,
        "recorded_usd": Decimal("0.001398"),
        "first_token_ns": 600_000_000,
        "total_ns": 2_400_000_000,
    }


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        (
            {
                "prompt_tokens": 811,
                "completion_tokens": 192,
                "prompt_tokens_details": {"cached_tokens": 640},
                "completion_tokens_details": {"reasoning_tokens": 100},
            },
            {"input": 171, "cache_read": 640, "output": 92, "reasoning": 100},
        ),
        (
            {
                "input_tokens": 811,
                "output_tokens": 192,
                "input_tokens_details": {"cached_tokens": 640},
                "output_tokens_details": {"reasoning_tokens": 100},
            },
            {"input": 171, "cache_read": 640, "output": 92, "reasoning": 100},
        ),
        (
            {
                "input_tokens": 10,
                "output_tokens": 192,
                "cache_read_input_tokens": 640,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            },
            {"input": 10, "cache_read": 640, "cache_write_5m": 100, "cache_write_1h": 200, "output": 192},
        ),
        (
            {"input_tokens": 10, "output_tokens": 192, "cache_creation_input_tokens": 300},
            {"input": 10, "cache_write_5m": 300, "output": 192},
        ),
    ],
)
def test_the_usage_object_of_the_provider_goes_first(
    tmp_path: Path, usage: dict[str, Any], expected: dict[str, int]
) -> None:
    (row,) = take_all(tmp_path, record(response_body={"id": "x", "usage": usage}))
    assert (row["fault"], meters(row)) == (None, expected)


def test_a_body_that_is_no_object_says_nothing(tmp_path: Path) -> None:
    rows = take_all(tmp_path, record(response_body={}), record(response_body="data: {}"), record(response_body=None))
    assert [(row["fault"], row["input"]) for row in rows] == [(None, 171)] * 3


def test_csv_of_the_export_tool(tmp_path: Path) -> None:
    path = tmp_path / "output.csv"
    names = (
        *("response_id", "response_created_at", "response_status", "request_created_at", "request_body"),
        *("request_properties", "request_user_id", "model", "prompt_tokens", "completion_tokens", "latency", "cost"),
    )
    given = record(latency=2400, cost=0.001398)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, quoting=csv.QUOTE_ALL)
        writer.writerow(names)
        writer.writerow([json.dumps(given[n]) if isinstance(given[n], dict) else given[n] for n in names])
    (row,) = take(helicone, path)
    assert (row["fault"], row["source_id"], row["provider"]) == (None, "b1", "openai")
    assert meters(row) == {"input": 171, "output": 92}
    assert row["tags"] == {"app": "desk", "Helicone-Session-Id": "s-1"}
    assert (row["total_ns"], row["recorded_usd"]) == (2_400_000_000, Decimal("0.001398"))


@pytest.mark.parametrize(
    ("fields", "provider", "named"),
    [
        ({"provider": "ANTHROPIC", "model": "claude-sonnet-4-5"}, "anthropic", "claude-sonnet-4-5"),
        ({"provider": "BEDROCK", "model": "anthropic.claude-3-haiku-20240307-v1:0"}, "aws", None),
        ({"provider": "CUSTOM", "model": "gemini-2.5-pro"}, "google", None),
        ({"provider": None, "model": "groq/llama-3.3-70b"}, "groq", "llama-3.3-70b"),
    ],
)
def test_names_of_providers(tmp_path: Path, fields: dict[str, Any], provider: str, named: str | None) -> None:
    (row,) = take_all(tmp_path, record(**fields))
    assert (row["fault"], row["provider"], row["model"]) == (None, provider, named or fields["model"])


def test_its_cache_and_ends(tmp_path: Path) -> None:
    rows = take_all(
        tmp_path,
        record(cache_reference_id="6b4f3d5e-0000-4000-8000-000000000000"),
        record(response_status=429),
        record(response_status=-3),
        record(response_status=-2),
        record(cache_reference_id=None),
    )
    assert [(row["row"], row["outcome"], row["status"]) for row in rows] == [
        (2, "error", 429),
        (3, "client_gone", None),
        (4, "unreachable", None),
        (5, "ok", 200),
    ]


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"prompt_tokens": -1}, 'prompt_tokens: "-1" is not a whole number from 0 to 2147483647'),
        ({"costUSD": "NaN"}, 'costUSD: "NaN" is not an amount of USD, such as 0.0125'),
        ({"request_created_at": "?"}, 'request_created_at: "?" is not a time from 1970 to 2100'),
        ({"provider": "CUSTOM", "model": "ours"}, "the record does not say which provider was called: give --provider"),
        (
            {"response_body": {"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 2}}}},
            'usage.cached_tokens: "2" are more than the prompt of "1"',
        ),
        (
            {"response_body": {"usage": {"prompt_tokens": 1}}, "prompt_audio_tokens": 1},
            "audio tokens are not read from a usage object: export without bodies",
        ),
    ],
)
def test_faults(tmp_path: Path, fields: dict[str, Any], fault: str) -> None:
    rows = take_all(tmp_path, record(response_body={}), record(**fields))
    assert rows[0]["fault"] is None
    assert rows[1]["fault"].startswith(fault)
    assert json.loads(rows[1]["raw"])["request_id"] == "a1"


def test_another_file(tmp_path: Path) -> None:
    with pytest.raises(WrongFile, match="this is not an export of Helicone"):
        helicone.select(str(write_lines(tmp_path / "x.jsonl", [{"a": 1}])), Options())
