"""Bedrock's Converse leaves cached tokens out of its input; its total may count them or not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise import bedrock_invoke
from farebox.normalise.bedrock_converse import normalise

counts = st.integers(0, 2000)


def test_cached_tokens_are_beside_the_input() -> None:
    usage = normalise(
        {
            "inputTokens": 10000,
            "cacheReadInputTokens": 5000,
            "cacheWriteInputTokens": 2000,
            "cacheDetails": [{"ttl": "1h", "inputTokens": 500}, {"ttl": "5m", "inputTokens": 1500}],
            "outputTokens": 1000,
            "totalTokens": 18000,
        }
    )
    assert usage.meters == {
        "input": 10000,
        "cache_read": 5000,
        "cache_write_5m": 1500,
        "cache_write_1h": 500,
        "output": 1000,
    }
    assert usage.input_total == 17000


def test_writes_without_details_are_kept_for_five_minutes() -> None:
    raw = {"inputTokens": 1, "outputTokens": 2, "cacheWriteInputTokens": 3, "cacheDetails": []}
    assert normalise(raw).meters == {"input": 1, "cache_write_5m": 3, "output": 2}


def test_older_names_are_read() -> None:
    raw = {"inputTokens": 1, "outputTokens": 2, "cacheReadInputTokenCount": 3}
    assert normalise(raw).meters == {"input": 1, "cache_read": 3, "output": 2}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"inputTokens": None}, "inputTokens is a count"),
        ({"outputTokens": "1"}, "outputTokens is a count"),
        ({"totalTokens": 12}, "totalTokens == inputTokens + outputTokens, with or without cached ones"),
        (
            {"cacheReadInputTokens": 1, "cacheReadInputTokenCount": 2},
            "cacheReadInputTokens == cacheReadInputTokenCount",
        ),
        (
            {"cacheWriteInputTokens": 3, "cacheDetails": [{"ttl": "5m", "inputTokens": 2}]},
            "cacheDetails add up to cacheWriteInputTokens",
        ),
        ({"cacheDetails": [{"ttl": "2d", "inputTokens": 2}]}, "cacheDetails have a ttl of 5m or 1h"),
        ({"cacheDetails": [5]}, "cacheDetails is a list of objects"),
    ],
)
def test_a_broken_rule_is_refused_by_name(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageViolation) as refused:
        normalise({"inputTokens": 10, "outputTokens": 1, **change})
    assert refused.value.rule == rule


@given(plain=counts, cached=st.none() | counts, short=counts, long=counts, result=counts, total=st.none() | counts)
def test_valid_usage_adds_up_and_another_is_refused(
    *, plain: int, cached: int | None, short: int, long: int, result: int, total: int | None
) -> None:
    raw = {
        "inputTokens": plain,
        "cacheReadInputTokens": cached,
        "cacheWriteInputTokens": short + long,
        "cacheDetails": [{"ttl": "5m", "inputTokens": short}, {"ttl": "1h", "inputTokens": long}],
        "outputTokens": result,
        "totalTokens": total,
    }
    whole = plain + (cached or 0) + short + long
    if total is not None and total not in {plain + result, whole + result}:
        with pytest.raises(UsageViolation, match="totalTokens"):
            normalise(raw)
        return
    usage = normalise(raw)
    assert usage.input_total == whole
    assert sum(usage.meters.values()) == whole + result
    assert usage.meters["output"] == result


@pytest.mark.parametrize(
    ("raw", "meters"),
    [
        (
            {"inputTokenCount": 10, "outputTokenCount": 5, "cacheReadInputTokenCount": 3, "invocationLatency": 900},
            {"input": 10, "cache_read": 3, "output": 5},
        ),
        ({"prompt_token_count": 10, "generation_token_count": 5}, {"input": 10, "output": 5}),
        ({"inputTextTokenCount": 10, "results": [{"tokenCount": 2}, {"tokenCount": 3}]}, {"input": 10, "output": 5}),
        ({"inputTextTokenCount": 10, "embedding": [0.1]}, {"input": 10}),
    ],
)
def test_models_that_are_invoked_count_in_words_of_their_own(raw: dict[str, Any], meters: dict[str, int]) -> None:
    assert bedrock_invoke.normalise(raw).meters == meters


@pytest.mark.parametrize(
    "raw",
    [{"prompt_token_count": 10}, {"inputTokenCount": 1}, {"inputTextTokenCount": 1, "results": {}}, {}],
)
def test_half_an_invocation_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(UsageViolation):
        bedrock_invoke.normalise(raw)
