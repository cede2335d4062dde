"""Anthropic's usage report."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.imports import anthropic_usage
from farebox.imports.options import Options
from tests.imports.taken import Row, meters, take

START_NS = 1_789_344_000_000_000_000


def result(**fields: Any) -> dict[str, Any]:
    """A result as the API answers it, grouped by everything."""
    return {
        "api_key_id": "apikey_1",
        "account_id": None,
        "context_window": "0-200k",
        "inference_geo": "global",
        "model": "claude-sonnet-4-5-20250929",
        "service_tier": "standard",
        "speed": None,
        "workspace_id": "wrkspc_1",
        "uncached_input_tokens": 1_500,
        "cache_creation": {"ephemeral_1h_input_tokens": 1_000, "ephemeral_5m_input_tokens": 500},
        "cache_read_input_tokens": 200_000,
        "output_tokens": 700,
        "server_tool_use": {"web_search_requests": 10},
        **fields,
    }


def take_all(tmp_path: Path, *results: dict[str, Any], options: Options | None = None) -> list[Row]:
    bucket = {"starting_at": "2026-09-14T00:00:00Z", "ending_at": "2026-09-15T00:00:00Z", "results": list(results)}
    path = tmp_path / "usage.json"
    path.write_text(json.dumps({"data": [bucket], "has_more": False, "next_page": None}))
    return take(anthropic_usage, path, options)


def test_every_column(tmp_path: Path) -> None:
    (row,) = take_all(tmp_path, result())
    found = {
        "input": 1_500,
        "cache_read": 200_000,
        "cache_write_5m": 500,
        "cache_write_1h": 1_000,
        "output": 700,
        "web_search": 10,
    }
    assert meters(row) == found
    assert {name: value for name, value in row.items() if value is not None and name not in found} == {
        "row": 1,
        "at_ns": START_NS,
        "source_id": "1789344000000000/1789430400000000/claude-sonnet-4-5-20250929/wrkspc_1/apikey_1/standard/0-200k/"
        "global///",
        "provider": "anthropic",
        "model": "claude-sonnet-4-5-20250929",
        "operation": "messages",
        "dialect": "anthropic",
        "service_tier": "standard",
        "region": "global",
        "key_name": "apikey_1",
        "project": "wrkspc_1",
        "outcome": "ok",
        "input_total": 200_000,
    }


def test_what_changes_the_price(tmp_path: Path) -> None:
    rows = take_all(
        tmp_path,
        result(service_tier="batch"),
        result(speed="fast", inference_geo="us"),
        result(context_window="200k-1M"),
        result(context_window=None, uncached_input_tokens=9, cache_read_input_tokens=0, cache_creation={}),
    )
    assert [row["processing"] for row in rows] == ["batch", None, None, None]
    assert [row["speed"] for row in rows] == [None, "fast", None, None]
    assert [row["region"] for row in rows] == ["global", "us", "global", "global"]
    assert [row["input_total"] for row in rows] == [200_000, 200_000, 200_001, 9]
    assert len({row["source_id"] for row in rows}) == 4


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"uncached_input_tokens": -3}, 'uncached_input_tokens: "-3" is not a whole number from 0 to 1000000000000000'),
        ({"output_tokens": 0.5}, 'output_tokens: "0.5" is not a whole number from 0 to 1000000000000000'),
        ({"model": None}, "model is missing: export the report with group_by[]=model, or give --model"),
    ],
)
def test_faults(tmp_path: Path, fields: dict[str, Any], fault: str) -> None:
    assert [row["fault"] for row in take_all(tmp_path, result(), result(**fields))] == [None, fault]


def test_a_model_for_reports_that_were_not_grouped(tmp_path: Path) -> None:
    (row,) = take_all(tmp_path, result(model=None), options=Options(model="claude-haiku-4-5"))
    assert (row["fault"], row["model"]) == (None, "claude-haiku-4-5")


counts = st.integers(0, 10**12)


@settings(max_examples=15, deadline=None)
@given(counts, counts, counts, counts, counts)
def test_all_tokens_are_there_once(
    tmp_path_factory: pytest.TempPathFactory, plain: int, read: int, short: int, long: int, made: int
) -> None:
    (row,) = take_all(
        tmp_path_factory.mktemp("usage"),
        result(
            uncached_input_tokens=plain,
            cache_read_input_tokens=read,
            cache_creation={"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
            output_tokens=made,
            server_tool_use=None,
        ),
    )
    assert sum(meters(row).values()) == plain + read + short + long + made
