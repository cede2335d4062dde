"""OpenRouter's activity, as CSV by the generation and as JSON by the day."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from farebox.imports import openrouter
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import Row, meters, take

HEADER = (
    "generation_id,created_at,cost_total,cost_web_search,cost_cache,cost_file_processing,byok_usage_inference,"
    "tokens_prompt,tokens_completion,tokens_reasoning,tokens_cached,model_permaslug,provider_name,variant,cancelled,"
    "streamed,user,finish_reason_raw,finish_reason_normalized,generation_time_ms,time_to_first_token_ms,"
    "api_key_disabled,api_key_name,app_name"
)
FIELDS = {
    "generation_id": "gen-1789380001-abc",
    "created_at": "2026-09-14 10:00:01.123",
    "cost_total": "0.0123",
    "cost_web_search": "0",
    "cost_cache": "-0.001",
    "cost_file_processing": "0",
    "byok_usage_inference": "0",
    "tokens_prompt": "10389",
    "tokens_completion": "137",
    "tokens_reasoning": "100",
    "tokens_cached": "9000",
    "model_permaslug": "openai/gpt-4.1-2025-04-14",
    "provider_name": "OpenAI",
    "variant": "standard",
    "cancelled": "false",
    "streamed": "true",
    "user": "user_1",
    "finish_reason_raw": "stop",
    "finish_reason_normalized": "stop",
    "generation_time_ms": "2400.5",
    "time_to_first_token_ms": "600",
    "api_key_disabled": "false",
    "api_key_name": "prod",
    "app_name": "desk",
}


def take_csv(tmp_path: Path, *changes: dict[str, str]) -> list[Row]:
    path = tmp_path / "openrouter_activity.csv"
    rows = (",".join((FIELDS | change).values()) for change in changes)
    path.write_text("\n".join((HEADER, *rows)) + "\n")
    return take(openrouter, path)


def test_every_column_of_the_csv(tmp_path: Path) -> None:
    (row,) = take_csv(tmp_path, {})
    found = {"input": 1_389, "cache_read": 9_000, "output": 37, "reasoning": 100}
    assert meters(row) == found
    assert {name: value for name, value in row.items() if value is not None and name not in found} == {
        "row": 1,
        "at_ns": 1_789_380_001_123_000_000,
        "source_id": "gen-1789380001-abc",
        "provider": "openrouter",
        "model": "openai/gpt-4.1-2025-04-14",
        "operation": "chat",
        "dialect": "openai",
        "user": "user_1",
        "key_name": "prod",
        "tags": {"served_by": "OpenAI", "app": "desk"},
        "outcome": "ok",
        "finish": "stop",
        "stream": True,
        "reported_usd": Decimal("0.0123"),
        "first_token_ns": 600_000_000,
        "total_ns": 2_400_500_000,
    }


def test_variants_ends_and_counts_of_two_tokenizers(tmp_path: Path) -> None:
    free, gone, failed, more = take_csv(
        tmp_path,
        {"variant": "free", "cost_total": "0"},
        {"cancelled": "true"},
        {"finish_reason_normalized": "error"},
        {"tokens_reasoning": "140"},
    )
    assert free["model"] == "openai/gpt-4.1-2025-04-14:free"
    assert [row["outcome"] for row in (free, gone, failed)] == ["ok", "client_gone", "error"]
    assert (more["fault"], more["output"], more["reasoning"]) == (None, 137, None)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"tokens_cached": "10390"}, 'cached, written and other tokens are "10390", more than prompt tokens: "10389"'),
        ({"tokens_prompt": "NaN"}, 'prompt tokens: "NaN" is not a whole number from 0 to 1000000000000000'),
        ({"cost_total": "free"}, 'cost: "free" is not an amount of USD, such as 0.0125'),
        ({"created_at": ""}, "created_at is missing: a record needs the time of its request"),
        ({"model_permaslug": ""}, "the record does not say which model was called: give --model"),
    ],
)
def test_faults(tmp_path: Path, change: dict[str, str], fault: str) -> None:
    good, bad = take_csv(tmp_path, {}, change)
    assert (good["fault"], bad["fault"]) == (None, fault)
    assert json.loads(bad["raw"])["app_name"] == "desk"


def day(**fields: Any) -> dict[str, Any]:
    return {
        "date": "2026-09-14",
        "model": "openai/gpt-4.1",
        "model_permaslug": "openai/gpt-4.1-2025-04-14",
        "endpoint_id": "550e8400-e29b-41d4-a716-446655440000",
        "provider_name": "OpenAI",
        "usage": 0.015,
        "byok_usage_inference": 0.012,
        "requests": 5,
        "prompt_tokens": 50,
        "completion_tokens": 125,
        "reasoning_tokens": 25,
        **fields,
    }


@pytest.mark.parametrize("form", ["page", "pretty", "array"])
def test_json_of_the_api(tmp_path: Path, form: str) -> None:
    days = [day(), day(date="2026-09-15 00:00:00", usage=1e-9)]
    path = tmp_path / "activity.json"
    path.write_text(json.dumps(days if form == "array" else {"data": days}, indent=2 if form == "pretty" else None))
    first, second = take(openrouter, path)
    assert meters(first) == {"input": 50, "output": 100, "reasoning": 25}
    assert (first["requests"], first["reported_usd"], first["asked_model"]) == (5, Decimal("0.015"), "openai/gpt-4.1")
    assert first["source_id"] != second["source_id"]
    assert [row["at_ns"] // 10**9 for row in (first, second)] == [1_789_344_000, 1_789_430_400]
    assert second["reported_usd"] == Decimal("1e-9")


def test_another_file(tmp_path: Path) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(WrongFile, match="this is not OpenRouter's activity, which has model_permaslug or"):
        openrouter.select(str(path), Options())
