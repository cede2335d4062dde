"""Anthropic's usage objects are taken apart into disjoint meters, or refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.anthropic_messages import merge_stream, normalise
from farebox.normalise.evidence import Evidence, read_evidence
from farebox.usage import METERS


def test_input_tokens_exclude_the_cache() -> None:
    usage = normalise(
        {
            "input_tokens": 3,
            "cache_creation_input_tokens": 12304,
            "cache_read_input_tokens": 0,
            "output_tokens": 550,
        }
    )
    assert usage.meters == {"input": 3, "cache_read": 0, "cache_write_5m": 12304, "output": 550}
    assert usage.input_total == 12307


def test_writes_are_split_by_the_time_they_are_kept() -> None:
    usage = normalise(
        {
            "input_tokens": 1,
            "cache_creation_input_tokens": 5,
            "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
            "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 7},
        }
    )
    assert usage.meters == {
        "input": 1,
        "cache_write_5m": 2,
        "cache_write_1h": 3,
        "output": 5,
        "reasoning": 4,
        "web_search": 2,
    }
    assert usage.input_total == 6


def test_null_is_absent() -> None:
    raw = {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_read_input_tokens": None,
        "cache_creation_input_tokens": None,
        "cache_creation": None,
        "server_tool_use": None,
        "output_tokens_details": None,
        "iterations": None,
    }
    assert normalise(raw).meters == {"input": 1, "output": 2}


def message(**counts: Any) -> dict[str, Any]:
    return {"type": "message", **counts}


def test_a_compaction_is_billed_on_top() -> None:
    usage = normalise(
        {
            "input_tokens": 1000,
            "output_tokens": 500,
            "iterations": [
                {"type": "compaction", "input_tokens": 180_000, "output_tokens": 3000},
                message(input_tokens=400, output_tokens=200),
                message(input_tokens=600, output_tokens=300),
            ],
        }
    )
    assert usage.meters == {"input": 181_000, "output": 3500}
    assert usage.input_total == 181_000
    assert usage.prompts == (180_000, 400, 600)


def test_one_message_iteration_changes_nothing() -> None:
    raw = {"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 5}
    usage = normalise({**raw, "iterations": [message(**raw, model="claude-opus-5")]})
    assert usage == normalise(raw)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"input_tokens": None}, "input_tokens is a count"),
        ({"output_tokens": None}, "output_tokens is a count"),
        ({"output_tokens": False}, "output_tokens is a count"),
        (
            {
                "cache_creation_input_tokens": 5,
                "cache_creation": {"ephemeral_5m_input_tokens": 2, "ephemeral_1h_input_tokens": 2},
            },
            "ephemeral_5m + ephemeral_1h == cache_creation_input_tokens",
        ),
        ({"output_tokens_details": {"thinking_tokens": 3}}, "thinking_tokens <= output_tokens"),
        ({"server_tool_use": {"psychic_readings": 1}}, "server_tool_use counts tools with a known price"),
        ({"server_tool_use": {"web_search_requests": 1.5}}, "web_search_requests is a count"),
        ({"iterations": "twice"}, "iterations is a list of objects"),
        ({"iterations": ["twice"]}, "iterations is a list of objects"),
        (
            {"iterations": [{"type": "advisor_message", "input_tokens": 1, "output_tokens": 1}]},
            "every iteration is billed at the answering model",
        ),
        (
            {
                "iterations": [
                    message(input_tokens=1, output_tokens=1, model="a"),
                    message(input_tokens=0, output_tokens=1, model="b"),
                ]
            },
            "every iteration is billed at the answering model",
        ),
        (
            {"iterations": [message(input_tokens=1, output_tokens=1)]},
            "message iterations add up to output_tokens",
        ),
    ],
)
def test_a_broken_rule_is_refused_by_name(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageViolation) as refused:
        normalise({"input_tokens": 1, "output_tokens": 2, **change})
    assert refused.value.rule == rule


def test_counters_of_unknown_tools_that_are_zero_do_no_harm() -> None:
    raw = {"input_tokens": 1, "output_tokens": 2, "server_tool_use": {"psychic_readings": 0}}
    assert normalise(raw).meters == {"input": 1, "output": 2}


def test_the_evidence_is_what_the_answer_says() -> None:
    raw = {"service_tier": "batch", "speed": "fast", "inference_geo": "us"}
    assert read_evidence(raw) == Evidence("batch", "fast", "us")
    assert read_evidence({"service_tier": None, "speed": 3}) == Evidence()


def test_a_delta_overwrites_and_never_adds() -> None:
    start = {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 1}
    first = merge_stream(start, {"output_tokens": 10})
    last = merge_stream(first, {"output_tokens": 15, "input_tokens": None})
    assert last == {"input_tokens": 25, "cache_read_input_tokens": 5, "output_tokens": 15}


counts = st.integers(0, 5000)


@given(
    fresh=counts,
    read=st.none() | counts,
    short=counts,
    long=counts,
    off_by=st.sampled_from([0, 0, 1, -1]),
    output=counts,
    thinking=st.none() | counts,
)
def test_meters_are_disjoint_or_the_usage_is_refused(
    *, fresh: int, read: int | None, short: int, long: int, off_by: int, output: int, thinking: int | None
) -> None:
    raw = {
        "input_tokens": fresh,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": short + long + off_by,
        "cache_creation": {"ephemeral_5m_input_tokens": short, "ephemeral_1h_input_tokens": long},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": thinking},
    }
    if off_by or (thinking or 0) > output:
        with pytest.raises(UsageViolation):
            normalise(raw)
        return
    usage = normalise(raw)
    inputs = sum(count for meter, count in usage.meters.items() if METERS[meter].family == "input")
    assert inputs == usage.input_total == fresh + (read or 0) + short + long
    assert usage.meters["output"] + usage.meters.get("reasoning", 0) == output


def test_code_is_counted_by_the_run_and_by_the_time_its_container_ran() -> None:
    tools = {"web_search_requests": 0, "code_execution_requests": 2, "code_execution_seconds": 7.5}
    meters = normalise({"input_tokens": 1, "output_tokens": 1, "server_tool_use": tools}).meters
    assert meters == {"input": 1, "output": 1, "web_search": 0, "code_execution": 2, "code_time": 7500}
