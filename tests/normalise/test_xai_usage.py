"""xAI: reasoning is outside of a chat's completion and inside of a response's output; tools are billed by the call."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.table import normaliser

chat = normaliser("xai-chat")
responses = normaliser("xai-responses")
counts = st.integers(0, 2000)


def test_reasoning_is_added_in_chat_and_inside_in_responses() -> None:
    usage = chat(
        {
            "prompt_tokens": 10000,
            "completion_tokens": 200,
            "total_tokens": 11000,
            "prompt_tokens_details": {"cached_tokens": 4000},
            "completion_tokens_details": {"reasoning_tokens": 800},
        }
    )
    assert usage.meters == {"input": 6000, "cache_read": 4000, "output": 200, "reasoning": 800}
    inside = {"input_tokens": 10, "output_tokens": 1000, "output_tokens_details": {"reasoning_tokens": 800}}
    assert responses(inside).meters == {"input": 10, "output": 200, "reasoning": 800}


def test_cached_images_are_not_counted_twice() -> None:
    usage = chat(
        {
            "prompt_tokens": 100,
            "completion_tokens": 1,
            "prompt_tokens_details": {"text_tokens": 20, "image_tokens": 80, "cached_tokens": 64},
        }
    )
    assert usage.meters == {"input": 36, "cache_read": 64, "output": 1}
    assert usage.unsplit == ("input_image",)


@pytest.mark.parametrize(
    "used",
    [
        ["web_search", "web_search", "x_search", "code_execution", "collections_search", "view_image"],
        {
            "SERVER_SIDE_TOOL_WEB_SEARCH": 2,
            "SERVER_SIDE_TOOL_X_SEARCH": 1,
            "SERVER_SIDE_TOOL_CODE_EXECUTION": 1,
            "SERVER_SIDE_TOOL_COLLECTIONS_SEARCH": 1,
            "SERVER_SIDE_TOOL_VIEW_IMAGE": 4,
        },
        {"web_search_calls": 2, "x_search_calls": 1, "code_interpreter_calls": 1, "document_search_calls": 1},
    ],
)
def test_tools_are_counted_as_a_list_or_by_name(used: Any) -> None:
    meters = chat({"prompt_tokens": 1, "completion_tokens": 1, "server_side_tools_used": used}).meters
    fees = {"web_search": 2, "x_search": 1, "code_execution": 1, "collections_search": 1}
    assert meters == {"input": 1, "output": 1, **fees}


def test_the_same_tools_may_be_counted_under_two_names_that_agree() -> None:
    raw = {
        "prompt_tokens": 1,
        "completion_tokens": 1,
        "server_side_tools_used": ["web_search"],
        "server_side_tool_usage_details": {"web_search_calls": 1, "mcp_calls": 0},
    }
    assert chat(raw).meters["web_search"] == 1
    with pytest.raises(UsageViolation, match="agrees"):
        chat({**raw, "server_side_tool_usage_details": {"web_search_calls": 2}})


def test_an_unknown_tool_is_named() -> None:
    with pytest.raises(UsageViolation, match=r"crystal_ball.*web_search"):
        chat({"prompt_tokens": 1, "completion_tokens": 1, "server_side_tools_used": ["crystal_ball"]})


def test_ticks_are_what_was_billed() -> None:
    assert chat({"prompt_tokens": 1, "completion_tokens": 1, "cost_in_usd_ticks": 37_756_000}).reported_femto == (
        3_775_600_000_000
    )
    assert chat({"prompt_tokens": 1, "completion_tokens": 1}).reported_femto is None
    assert responses({"input_tokens": 1, "output_tokens": 1, "cost_in_usd_ticks": 0}).reported_femto == 0


@given(
    prompt=counts,
    cached=st.none() | counts,
    completion=counts,
    reasoning=st.none() | counts,
    off=st.integers(-1, 1),
)
def test_valid_usage_adds_up_and_another_is_refused(
    *, prompt: int, cached: int | None, completion: int, reasoning: int | None, off: int
) -> None:
    total = prompt + completion + (reasoning or 0)
    raw = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": max(0, total + off),
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if (cached or 0) > prompt or max(0, total + off) != total:
        with pytest.raises(UsageViolation):
            chat(raw)
        return
    usage = chat(raw)
    assert usage.input_total == prompt
    assert sum(usage.meters.values()) == total
    assert usage.meters["output"] == completion
