"""The model invocation log of Amazon Bedrock."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from farebox.imports import bedrock
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import Row, meters, take, write_lines

MODEL = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
USAGE = {
    "input_tokens": 6,
    "cache_creation_input_tokens": 553,
    "cache_read_input_tokens": 1000,
    "cache_creation": {"ephemeral_5m_input_tokens": 500, "ephemeral_1h_input_tokens": 53},
    "output_tokens": 2,
}


def record(body: Any = None, **fields: Any) -> dict[str, Any]:
    """A record of Converse as it is logged, the prompt shortened."""
    converse = {
        "output": {"message": {"role": "assistant", "content": [{"text": "Hello!"}]}},
        "stopReason": "end_turn",
        "metrics": {"latencyMs": 302},
        "usage": {"inputTokens": 4, "outputTokens": 38, "totalTokens": 42},
    }
    return {
        "schemaType": "ModelInvocationLog",
        "schemaVersion": "1.0",
        "timestamp": "2026-09-14T10:00:00Z",
        "accountId": "123456789012",
        "identity": {"arn": "arn:aws:sts::123456789012:assumed-role/SupportRole/ada"},
        "region": "us-east-1",
        "requestId": "ff4b6c63-5561-4431-93b8-06a817275900",
        "operation": "ConverseStream",
        "modelId": MODEL,
        "requestMetadata": {"team": "support"},
        "input": {
            "inputContentType": "application/json",
            "inputBodyJson": {"messages": [{"role": "user", "content": [{"text": "hello"}]}]},
            "inputTokenCount": 4,
            "cacheReadInputTokenCount": 0,
            "cacheWriteInputTokenCount": 0,
        },
        "output": {
            "outputContentType": "application/json",
            "outputBodyJson": converse if body is None else body,
            "outputTokenCount": 38,
        },
        **fields,
    }


def cached(body: Any) -> dict[str, Any]:
    counts = {"inputTokenCount": 6, "cacheReadInputTokenCount": 1000, "cacheWriteInputTokenCount": 553}
    return record(body, input=counts)


def take_all(tmp_path: Path, *records: dict[str, Any] | str) -> list[Row]:
    return take(bedrock, write_lines(tmp_path / "log.json", records))


def test_every_column(tmp_path: Path) -> None:
    (row,) = take_all(tmp_path, record())
    assert {name: value for name, value in row.items() if value is not None} == {
        "row": 1,
        "at_ns": 1_789_380_000_000_000_000,
        "source_id": "ff4b6c63-5561-4431-93b8-06a817275900",
        "provider": "aws",
        "model": MODEL,
        "asked_model": MODEL,
        "operation": "chat",
        "dialect": "openai",
        "region": "us-east-1",
        "user": "ada",
        "key_name": "SupportRole",
        "project": "123456789012",
        "tags": {"team": "support"},
        "outcome": "ok",
        "finish": "end_turn",
        "stream": True,
        "input": 4,
        "cache_read": 0,
        "cache_write_5m": 0,
        "output": 38,
        "total_ns": 302_000_000,
    }


@pytest.mark.parametrize(
    "body",
    [
        {"id": "msg_1", "usage": USAGE, "stop_reason": "end_turn"},
        [
            {"type": "message_start", "message": {"usage": USAGE}},
            {"type": "content_block_delta", "delta": {"text": "a"}},
            {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 38}},
            {
                "type": "message_stop",
                "amazon-bedrock-invocationMetrics": {"firstByteLatency": 30, "invocationLatency": 90},
            },
        ],
        {
            "usage": {"cacheDetails": [{"ttl": "1h", "inputTokens": 53}, {"ttl": "5m", "inputTokens": 500}]},
            "stopReason": "end_turn",
        },
    ],
)
def test_cache_writes_by_the_time_they_are_kept(tmp_path: Path, body: Any) -> None:
    (row,) = take_all(tmp_path, cached(body))
    assert row["fault"] is None
    assert meters(row) == {"input": 6, "cache_read": 1000, "cache_write_5m": 500, "cache_write_1h": 53, "output": 38}
    assert row["finish"] == "end_turn"
    if isinstance(body, list):
        assert (row["first_token_ns"], row["total_ns"]) == (30_000_000, 90_000_000)


def test_without_the_body_writes_are_kept_for_5_minutes(tmp_path: Path) -> None:
    bare = cached({})
    bare["output"] = {"outputBodyS3Path": "s3://logs/large", "outputTokenCount": 38}
    (row,) = take_all(tmp_path, bare)
    assert meters(row) == {"input": 6, "cache_read": 1000, "cache_write_5m": 553, "output": 38}


@pytest.mark.parametrize(
    ("given", "model"),
    [
        ("arn:aws:bedrock:us-east-1::foundation-model/amazon.nova-lite-v1:0", "amazon.nova-lite-v1:0"),
        (f"arn:aws:bedrock:us-east-1:123456789012:inference-profile/{MODEL}", MODEL),
        ("amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v2:0"),
        (
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
            "arn:aws:bedrock:us-east-1:1:application-inference-profile/x",
        ),
    ],
)
def test_names_of_models(tmp_path: Path, given: str, model: str) -> None:
    (row,) = take_all(tmp_path, record(modelId=given))
    assert (row["model"], row["asked_model"]) == (model, given)
    assert row["operation"] == ("embeddings" if "embed" in given else "chat")


def test_an_application_profile_stands_for_the_given_model(tmp_path: Path) -> None:
    profile = "arn:aws:bedrock:us-east-1:1:application-inference-profile/x"
    path = write_lines(tmp_path / "log.json", [record(modelId=profile), record()])
    rows = take(bedrock, path, Options(model="amazon.nova-pro-v1:0"))
    assert [row["model"] for row in rows] == ["amazon.nova-pro-v1:0", MODEL]


def test_errors_and_other_records(tmp_path: Path) -> None:
    failed = {name: value for name, value in record(errorCode="ThrottlingException").items() if name != "output"}
    failed["input"] = {"inputContentType": "application/json"}
    (row,) = take_all(tmp_path, {"schemaType": "Other", "modelId": "x"}, failed)
    assert (row["row"], row["fault"], row["outcome"], row["status"], row["error"]) == (
        2,
        None,
        "error",
        429,
        "ThrottlingException",
    )
    assert meters(row) == {}


def test_what_cloudwatch_gives(tmp_path: Path) -> None:
    expected = take_all(tmp_path, record(), record())
    events = [{"eventId": "1", "timestamp": 1, "message": json.dumps(record())} for _ in range(2)]
    lines = write_lines(tmp_path / "events.jsonl", events)
    array, printed = tmp_path / "array.json", tmp_path / "printed.json"
    array.write_text(json.dumps(events))
    printed.write_text(json.dumps({"events": events, "searchedLogStreams": []}, indent=4))
    packed = tmp_path / "log.json.gz"
    packed.write_bytes(gzip.compress("".join(f"{json.dumps(record())}\n" for _ in range(2)).encode()))
    for path in (lines, array, printed, packed):
        assert take(bedrock, path) == expected


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        (record(input={"inputTokenCount": -4}), 'inputTokenCount: "-4" is not a whole number from 0 to 2147483647'),
        (record(timestamp=None), "timestamp is missing: a record needs the time of its request"),
        (record(input={}, output={}), "inputTokenCount and outputTokenCount are missing"),
        (
            cached({"usage": USAGE | {"cache_creation": {"ephemeral_5m_input_tokens": 1}}}),
            'cacheWriteInputTokenCount: "553" is not the "1" of the answer',
        ),
        ('{"schemaType": "ModelInv', "the line is not a JSON object in UTF-8"),
    ],
)
def test_faults(tmp_path: Path, bad: dict[str, Any] | str, fault: str) -> None:
    rows = take_all(tmp_path, record(), bad, record())
    assert rows[1]["fault"].startswith(fault)
    assert rows[1]["raw"] == (bad if isinstance(bad, str) else json.dumps(bad))
    assert (rows[0]["fault"], rows[2]["fault"]) == (None, None)


def test_another_file(tmp_path: Path) -> None:
    with pytest.raises(
        WrongFile, match="this is not a log of model invocations of Bedrock, which has modelId; found a"
    ):
        bedrock.select(str(write_lines(tmp_path / "x.json", [{"a": 1}])), Options())
