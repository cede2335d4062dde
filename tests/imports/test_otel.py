"""Spans of OpenTelemetry's GenAI conventions, as OTLP in JSON."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.imports import otel
from farebox.imports.options import Options
from farebox.imports.records import WrongFile
from tests.imports.taken import Row, meters, take, write_lines

START = 1_789_380_001_123_456_789


def held(value: Any) -> dict[str, Any]:
    """A value as OTLP's JSON writes it: 64-bit integers are texts."""
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, list):
        return {"arrayValue": {"values": [held(each) for each in value]}}
    return {"stringValue": value}


def attributes(**values: Any) -> list[dict[str, Any]]:
    return [{"key": key.replace("__", "."), "value": held(value)} for key, value in values.items() if value is not None]


def span(status: dict[str, Any] | None = None, number: int = 1, **values: Any) -> dict[str, Any]:
    """A span of a chat, with the attributes of the conventions; `None` takes one away."""
    given = {
        "gen_ai__operation__name": "chat",
        "gen_ai__provider__name": "openai",
        "gen_ai__request__model": "gpt-4.1",
        "gen_ai__response__model": "gpt-4.1-2025-04-14",
        "gen_ai__usage__input_tokens": 811,
        "gen_ai__usage__output_tokens": 92,
    }
    return {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": f"eee19b7ec3c1b17{number}",
        "name": "chat gpt-4.1",
        "kind": 3,
        "startTimeUnixNano": str(START),
        "endTimeUnixNano": str(START + 2_400_000_000),
        "attributes": attributes(**given | values),
        "status": status or {},
    }


def batch(*spans: dict[str, Any]) -> dict[str, Any]:
    resource = {"attributes": attributes(service__name="desk", deployment__environment__name="prod")}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": list(spans)}]}]}


def take_all(tmp_path: Path, *spans: dict[str, Any], options: Options | None = None) -> list[Row]:
    return take(otel, write_lines(tmp_path / "traces.jsonl", [batch(*spans)]), options)


def test_every_column(tmp_path: Path) -> None:
    (row,) = take_all(
        tmp_path,
        span(
            gen_ai__usage__cache_read__input_tokens=640,
            gen_ai__usage__cache_creation__input_tokens=100,
            gen_ai__usage__reasoning__output_tokens=32,
            gen_ai__usage__cost=0.0025,
            gen_ai__conversation__id="conv_1",
            gen_ai__response__finish_reasons=["stop", "length"],
            gen_ai__response__time_to_first_chunk=0.6,
            gen_ai__request__stream=True,
            openai__response__service_tier="flex",
            user__id="ada",
            server__address="api.openai.com",
        ),
    )
    found = {"input": 71, "cache_read": 640, "cache_write_5m": 100, "output": 60, "reasoning": 32}
    assert meters(row) == found
    assert {name: value for name, value in row.items() if value is not None and name not in found} == {
        "row": 1,
        "at_ns": START // 1000 * 1000,
        "source_id": "5b8efff798038103d269b633813fc60c/eee19b7ec3c1b171",
        "provider": "openai",
        "model": "gpt-4.1",
        "asked_model": "gpt-4.1",
        "answered_model": "gpt-4.1-2025-04-14",
        "operation": "chat",
        "service_tier": "flex",
        "user": "ada",
        "session": "conv_1",
        "tags": {"service": "desk", "env": "prod"},
        "outcome": "ok",
        "finish": "stop",
        "stream": True,
        "recorded_usd": Decimal("0.0025"),
        "first_token_ns": 600_000_000,
        "total_ns": 2_400_000_000,
    }


@pytest.mark.parametrize(
    "old",
    [
        {"gen_ai__usage__prompt_tokens": 811, "gen_ai__usage__completion_tokens": 92, "gen_ai__system": "openai"},
        {"llm__usage__prompt_tokens": 811, "llm__usage__completion_tokens": 92, "gen_ai__system": "openai"},
    ],
)
def test_names_of_older_versions(tmp_path: Path, old: dict[str, Any]) -> None:
    gone: dict[str, Any] = dict.fromkeys(
        ("gen_ai__usage__input_tokens", "gen_ai__usage__output_tokens", "gen_ai__provider__name")
    )
    (row,) = take_all(tmp_path, span(**gone, **old, gen_ai__usage__cache_read_input_tokens=11))
    assert (row["provider"], meters(row)) == ("openai", {"input": 800, "cache_read": 11, "output": 92})


@pytest.mark.parametrize(
    ("given", "model", "provider", "named"),
    [
        (
            "aws.bedrock",
            "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0",
            "aws",
            "amazon.nova-lite-v1:0",
        ),
        ("gcp.vertex_ai", "gemini-2.5-pro", "google", "gemini-2.5-pro"),
        ("az.ai.openai", "gpt-4o", "azure", "gpt-4o"),
        ("x_ai", "grok-4", "x-ai", "grok-4"),
        ("mistral_ai", "mistral-large-latest", "mistral", "mistral-large-latest"),
        (None, "azure/gpt-4o", "azure", "gpt-4o"),
    ],
)
def test_names_of_providers(tmp_path: Path, given: str | None, model: str, provider: str, named: str) -> None:
    (row,) = take_all(tmp_path, span(gen_ai__provider__name=given, gen_ai__request__model=model))
    assert (row["fault"], row["provider"], row["model"]) == (None, provider, named)


def test_only_inferences_are_rows(tmp_path: Path) -> None:
    rows = take_all(
        tmp_path,
        span(number=1, gen_ai__operation__name="invoke_agent"),
        span(number=2, gen_ai__operation__name="execute_tool"),
        span(number=3),
        {"traceId": "t", "spanId": "s", "name": "GET /", "startTimeUnixNano": "1", "attributes": []},
        span(number=4, gen_ai__operation__name="embeddings", gen_ai__usage__output_tokens=None),
        span(number=5, gen_ai__operation__name=None),
    )
    assert [(row["source_id"][-1], row["operation"]) for row in rows] == [
        ("3", "chat"),
        ("4", "embeddings"),
        ("5", "chat"),
    ]
    assert meters(rows[1]) == {"input": 811}


def test_errors(tmp_path: Path) -> None:
    gone: dict[str, Any] = dict.fromkeys(("gen_ai__usage__input_tokens", "gen_ai__usage__output_tokens"))
    failed, refused = take_all(
        tmp_path,
        span(error__type="timeout", **gone),
        span({"code": 2, "message": "Too many requests"}, error__type="429", **gone),
    )
    assert (failed["outcome"], failed["status"], failed["error"], meters(failed)) == ("error", None, "timeout", {})
    assert (refused["outcome"], refused["status"], refused["error"]) == ("error", 429, "Too many requests")


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (
            {"gen_ai__usage__cache_read__input_tokens": 812},
            'cached, written and other tokens are "812", more than gen_ai.usage.input_tokens: "811"',
        ),
        ({"gen_ai__usage__input_tokens": -1}, 'gen_ai.usage.input_tokens: "-1" is not a whole number'),
        ({"gen_ai__usage__output_tokens": "NaN"}, 'gen_ai.usage.output_tokens: "NaN" is not a whole number'),
        ({"gen_ai__provider__name": None, "gen_ai__request__model": "ours"}, "the record does not say which provider"),
    ],
)
def test_faults(tmp_path: Path, values: dict[str, Any], fault: str) -> None:
    good, bad = take_all(tmp_path, span(), span(number=2, **values))
    assert good["fault"] is None
    assert bad["fault"].startswith(fault)
    assert json.loads(bad["raw"])["spanId"] == "eee19b7ec3c1b172"


def test_instrumentation_that_leaves_cached_tokens_out(tmp_path: Path) -> None:
    options = Options(columns={"input": "gen_ai.usage.input_tokens"})
    (row,) = take_all(tmp_path, span(gen_ai__usage__cache_read__input_tokens=5000), options=options)
    assert (row["fault"], meters(row)) == (None, {"input": 811, "cache_read": 5000, "output": 92})


def test_lines_that_cannot_be_read(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "traces.jsonl", [batch(span()), '{"resourceSpans": [', batch(span(number=2))])
    rows = take(otel, path)
    assert [row["fault"] is None for row in rows] == [True, False, True]
    assert rows[1]["raw"] == '{"resourceSpans": ['


def test_a_pretty_document_and_another_file(tmp_path: Path) -> None:
    path = tmp_path / "traces.json"
    path.write_text(json.dumps(batch(span()), indent=2))
    assert [meters(row) for row in take(otel, path)] == [{"input": 811, "output": 92}]
    with pytest.raises(WrongFile, match="this is not OTLP in JSON, which has resourceSpans; found resourceLogs"):
        otel.select(str(write_lines(path, [{"resourceLogs": []}])), Options())


counts = st.integers(0, 10_000)


@settings(max_examples=15, deadline=None)
@given(counts, counts, counts, counts, counts)
def test_all_tokens_are_there_once(
    tmp_path_factory: pytest.TempPathFactory, plain: int, read: int, written: int, text: int, reasoning: int
) -> None:
    (row,) = take_all(
        tmp_path_factory.mktemp("otel"),
        span(
            gen_ai__usage__input_tokens=plain + read + written,
            gen_ai__usage__cache_read__input_tokens=read,
            gen_ai__usage__cache_creation__input_tokens=written,
            gen_ai__usage__output_tokens=text + reasoning,
            gen_ai__usage__reasoning__output_tokens=reasoning,
        ),
    )
    assert meters(row) == {
        "input": plain,
        "cache_read": read,
        "cache_write_5m": written,
        "output": text,
        "reasoning": reasoning,
    }
