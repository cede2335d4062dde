"""LiteLLM's spend logs, as JSON lines, a JSON array and CSV."""

import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from farebox.imports import litellm
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import meters, take, write_lines

AT_NS = 1_789_380_001_123_000_000


def record(**changes: Any) -> dict[str, Any]:
    """A row of `LiteLLM_SpendLogs` as the proxy writes it for a chat completion of OpenAI."""
    return {
        "request_id": "chatcmpl-1",
        "call_type": "acompletion",
        "api_key": "88dc28d0f030c55ed4ab77ed8faf098196cb1c05df778539800c9f1243fe6b4b",
        "cache_hit": "False",
        "startTime": "2026-09-14T10:00:01.123000Z",
        "endTime": "2026-09-14T10:00:03.523000Z",
        "completionStartTime": "2026-09-14T10:00:01.723000Z",
        "model": "gpt-4o-2024-08-06",
        "model_group": "gpt-4o",
        "user": "default_user_id",
        "end_user": "customer-7",
        "team_id": "team-a",
        "metadata": {
            "user_api_key_alias": "prod",
            "user_api_key_team_alias": "search",
            "usage_object": {
                "prompt_tokens": 1200,
                "completion_tokens": 300,
                "total_tokens": 1500,
                "prompt_tokens_details": {"cached_tokens": 1024, "audio_tokens": 0},
                "completion_tokens_details": {"reasoning_tokens": 100, "audio_tokens": 0},
            },
        },
        "cache_key": "Cache OFF",
        "spend": 0.0047200000000000002,
        "total_tokens": 1500,
        "prompt_tokens": 1200,
        "completion_tokens": 300,
        "request_tags": ["jobID:214590", "prod"],
        "api_base": "https://api.openai.com",
        "custom_llm_provider": "openai",
        "session_id": "s-1",
        "status": "success",
        "messages": {},
        "response": {},
        **changes,
    }


def usage(**fields: Any) -> dict[str, Any]:
    """The metadata of a row with a usage object, and the counts of the row itself that go with it."""
    return {
        "metadata": {"usage_object": fields},
        "prompt_tokens": fields["prompt_tokens"],
        "completion_tokens": fields["completion_tokens"],
        "total_tokens": fields["prompt_tokens"] + fields["completion_tokens"],
    }


def take_one(path: Path, **changes: Any) -> dict[str, Any]:
    (row,) = take(litellm, write_lines(path / "spend.jsonl", [record(**changes)]))
    return row


def test_every_column(tmp_path: Path) -> None:
    row = take_one(tmp_path)
    assert meters(row) == {
        "input": 176,
        "cache_read": 1024,
        "input_audio": 0,
        "output": 200,
        "reasoning": 100,
        "output_audio": 0,
    }
    assert {name: value for name, value in row.items() if name not in meters(row) and value is not None} == {
        "row": 1,
        "at_ns": AT_NS,
        "source_id": "chatcmpl-1",
        "provider": "openai",
        "model": "gpt-4o-2024-08-06",
        "asked_model": "gpt-4o",
        "operation": "chat",
        "dialect": "openai",
        "user": "customer-7",
        "key_name": "prod",
        "team": "search",
        "tags": {"jobID": "214590", "prod": "true"},
        "session": "s-1",
        "outcome": "ok",
        "stream": True,
        "recorded_usd": Decimal("0.004720000000000"),
        "first_token_ns": 600_000_000,
        "total_ns": 2_400_000_000,
    }


def test_array_and_csv_give_the_same_rows(tmp_path: Path) -> None:
    records = [record(request_id=f"r{number}", request_tags=["a:b"]) for number in range(3)]
    lines = take(litellm, write_lines(tmp_path / "spend.jsonl", records))
    array = tmp_path / "spend.json"
    array.write_text(json.dumps(records, indent=2))
    table = tmp_path / "spend.csv"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        for each in records:
            writer.writerow({k: json.dumps(v) if isinstance(v, dict | list) else v for k, v in each.items()})
    assert take(litellm, array) == lines
    assert take(litellm, table) == lines
    assert [row["source_id"] for row in lines] == ["r0", "r1", "r2"]


def test_metadata_as_text(tmp_path: Path) -> None:
    plain = record()
    texts = {**plain, "metadata": json.dumps(plain["metadata"]), "request_tags": json.dumps(plain["request_tags"])}
    path = write_lines(tmp_path / "spend.jsonl", [texts, {**texts, "metadata": "{cut off"}])
    first, second = take(litellm, path)
    assert meters(first) == meters(take_one(tmp_path))
    assert first["tags"] == {"jobID": "214590", "prod": "true"}
    assert second["fault"] == "metadata is not JSON"


def test_metadata_that_is_a_text_in_one_record(tmp_path: Path) -> None:
    path = write_lines(
        tmp_path / "spend.jsonl", [record(), record(metadata='{"usage_object": {}}'), record(metadata=None)]
    )
    assert [row["fault"] for row in take(litellm, path)] == [
        None,
        "metadata is not a JSON object, as it is in the first records of the file",
        None,
    ]


def test_anthropic_writes_by_time_kept(tmp_path: Path) -> None:
    row = take_one(
        tmp_path,
        custom_llm_provider="anthropic",
        model="anthropic/claude-sonnet-4-5",
        call_type="anthropic_messages",
        **usage(
            prompt_tokens=5000,
            completion_tokens=10,
            cache_creation_input_tokens=3000,
            cache_read_input_tokens=1500,
            prompt_tokens_details={
                "cached_tokens": 1500,
                "cache_creation_tokens": 3000,
                "cache_creation_token_details": {"ephemeral_5m_input_tokens": 1000, "ephemeral_1h_input_tokens": 2000},
            },
            server_tool_use={"web_search_requests": 2},
        ),
    )
    assert (row["provider"], row["model"], row["operation"], row["dialect"]) == (
        "anthropic",
        "claude-sonnet-4-5",
        "messages",
        "anthropic",
    )
    assert meters(row) == {
        "input": 500,
        "cache_read": 1500,
        "cache_write_5m": 1000,
        "cache_write_1h": 2000,
        "output": 10,
        "web_search": 2,
    }


@pytest.mark.parametrize(
    ("passed_on", "expected"),
    [
        (
            {
                "input_tokens": 10,
                "output_tokens": 7,
                "cache_read_input_tokens": 500,
                "cache_creation_input_tokens": 300,
                "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
            },
            {"input": 10, "cache_read": 500, "cache_write_5m": 100, "cache_write_1h": 200, "output": 7},
        ),
        (
            {
                "input_tokens": 510,
                "output_tokens": 7,
                "input_tokens_details": {"cached_tokens": 500},
                "output_tokens_details": {"reasoning_tokens": 5},
            },
            {"input": 10, "cache_read": 500, "output": 2, "reasoning": 5},
        ),
    ],
)
def test_usage_objects_as_providers_write_them(
    tmp_path: Path, passed_on: dict[str, Any], expected: dict[str, int]
) -> None:
    row = take_one(tmp_path, metadata={"usage_object": passed_on}, prompt_tokens=10, total_tokens=17)
    assert (row["fault"], meters(row)) == (None, expected)


@pytest.mark.parametrize(
    ("given", "model", "provider", "named"),
    [
        (
            "bedrock",
            "us-east-1/anthropic.claude-3-haiku-20240307-v1:0",
            "aws",
            "anthropic.claude-3-haiku-20240307-v1:0",
        ),
        ("vertex_ai", "vertex_ai/gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("openrouter", "openai/gpt-4.1", "openrouter", "openai/gpt-4.1"),
        ("fireworks_ai", "accounts/fireworks/models/x", "fireworks", "accounts/fireworks/models/x"),
        ("", "azure/gpt-4o", "azure", "gpt-4o"),
        ("", "claude-opus-4-1", "anthropic", "claude-opus-4-1"),
        ("a_new_one", "some-model", "a_new_one", "some-model"),
    ],
)
def test_names_of_providers(tmp_path: Path, given: str, model: str, provider: str, named: str) -> None:
    row = take_one(tmp_path, custom_llm_provider=given, model=model)
    assert (row["fault"], row["provider"], row["model"]) == (None, provider, named)


def test_options_stand_in_for_what_is_missing(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "spend.jsonl", [record(custom_llm_provider=None, model="our-model")])
    (row,) = take(litellm, path)
    assert row["fault"] == "the record does not say which provider was called: give --provider"
    (row,) = take(litellm, path, Options(provider="deepinfra"))
    assert (row["fault"], row["provider"]) == (None, "deepinfra")
    (row,) = take(litellm, write_lines(path, [record(model="")]))
    assert row["fault"] == "the record does not say which model was called: give --model"


def test_answers_of_its_cache_reached_no_provider(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "spend.jsonl", [record(cache_hit="True"), record(cache_hit="None")])
    assert [row["row"] for row in take(litellm, path)] == [2]


def test_failures(tmp_path: Path) -> None:
    row = take_one(
        tmp_path,
        status="failure",
        spend=0,
        prompt_tokens=0,
        completion_tokens=0,
        total_tokens=0,
        metadata={"error_information": {"error_code": "429", "error_message": "Rate limit"}},
    )
    assert (row["fault"], row["outcome"], row["status"], row["error"]) == (None, "error", 429, "Rate limit")
    assert meters(row) == {"input": 0, "output": 0}


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"startTime": None}, "startTime is missing: a record needs the time of its request"),
        ({"startTime": "yesterday"}, 'startTime: "yesterday" is not a time from 1970 to 2100, such as '),
        ({"startTime": "9999-01-01T00:00:00Z"}, "startTime: "),
        (
            usage(prompt_tokens=-1, completion_tokens=0),
            'prompt_tokens: "-1" is not a whole number from 0 to 2147483647',
        ),
        (usage(prompt_tokens=1.5, completion_tokens=0), 'prompt_tokens: "1.5" is not a whole number'),
        ({"spend": "NaN"}, 'spend: "NaN" is not an amount of USD'),
        ({"spend": -0.5}, 'spend: "-0.5" is not an amount of USD'),
        ({"total_tokens": 1600, "metadata": {}}, 'total_tokens: "1600" is not prompt_tokens + completion_tokens'),
        (
            usage(prompt_tokens=10, completion_tokens=1, prompt_tokens_details={"cached_tokens": 11}),
            'cached, written and other tokens are "11", more than prompt_tokens: "10"',
        ),
        (
            usage(prompt_tokens=10, completion_tokens=1, prompt_tokens_details={"cached_tokens": 5, "audio_tokens": 3}),
            "of prompt_tokens some are not text and some were cached",
        ),
    ],
)
def test_faults_name_the_field(tmp_path: Path, changes: dict[str, Any], fault: str) -> None:
    path = write_lines(tmp_path / "spend.jsonl", [record(), record(**changes), record()])
    rows = take(litellm, path)
    assert rows[1]["fault"].startswith(fault)
    assert json.loads(rows[1]["raw"])["request_id"] == "chatcmpl-1"
    assert [row["fault"] for row in rows[::2]] == [None, None]
    assert [row["raw"] for row in rows[::2]] == [None, None]


def test_lines_that_are_no_json(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "spend.jsonl", [record(), "", '{"request_id": "cut', record(), "[]"])
    rows = take(litellm, path)
    assert [row["row"] for row in rows] == [1, 3, 4, 5]
    assert rows[1]["fault"] == "the line is not a JSON object in UTF-8: it is cut short or of another format"
    assert rows[1]["raw"] == '{"request_id": "cut'
    assert rows[3]["fault"].startswith("startTime is missing")


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "spend.jsonl"
    good = json.dumps(record()).encode()
    path.write_bytes(good + b"\n" + good.replace(b"prod", b"pr\xffd") + b"\n" + good + b"\n")
    rows = take(litellm, path)
    assert [row["fault"] is None for row in rows] == [True, False, True]


def test_a_file_of_another_kind(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "other.jsonl", [{"timestamp": 1, "tokens": 2}])
    with pytest.raises(WrongFile, match=r"not a file of LiteLLM spend logs, which has .*; found timestamp, tokens"):
        litellm.select(str(path), Options())
    path.write_text("")
    with pytest.raises(WrongFile, match="the file is empty"):
        litellm.select(str(path), Options())
    with pytest.raises(WrongFile, match="cannot be opened: No such file"):
        litellm.select(str(tmp_path / "none.jsonl"), Options())
