"""Whatever JSON comes where a usage object should be: meters that add up, or a refusal by name; never a fault."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.table import NORMALISERS
from farebox.usage import METERS

COUNTS = (
    *("prompt_tokens", "completion_tokens", "total_tokens", "input_tokens", "output_tokens", "cached_tokens"),
    *("prompt_cache_hit_tokens", "prompt_cache_miss_tokens", "reasoning_tokens", "citation_tokens", "seconds"),
    *("cache_creation_input_tokens", "cache_read_input_tokens", "promptTokenCount", "candidatesTokenCount"),
    *("thoughtsTokenCount", "totalTokenCount", "cachedContentTokenCount", "toolUsePromptTokenCount", "cost"),
    *("inputTokens", "outputTokens", "totalTokens", "cacheReadInputTokens", "cacheWriteInputTokens", "documents"),
    *("queries", "pages_processed", "annotated_pages", "num_search_queries", "cost_in_usd_ticks", "search_units"),
    *("prompt_audio_seconds", "inputTokenCount", "outputTokenCount", "prompt_token_count", "generation_token_count"),
)
OBJECTS = (
    *("prompt_tokens_details", "completion_tokens_details", "input_tokens_details", "output_tokens_details"),
    *("input_token_details", "output_token_details", "cache_creation", "server_tool_use", "tool_usage", "plugins"),
    *("billed_units", "meta", "cost_details", "tool_calls_details", "server_side_tools_used"),
)
LISTS = ("iterations", "promptTokensDetails", "cacheTokensDetails", "candidatesTokensDetails", "cacheDetails")
INSIDE = (
    *("cached_tokens", "audio_tokens", "image_tokens", "text_tokens", "reasoning_tokens", "cache_write_tokens"),
    *("cached_tokens_details", "cache_write_tokens_details", "ephemeral_5m_input_tokens", "web_search_requests"),
    *("cache_creation_input_tokens", "cache_type", "web_search", "search_web", "billed_units", "total_cost"),
    *("type", "modality", "tokenCount", "ttl", "inputTokens", "input_tokens", "output_tokens", "model"),
)
small = st.integers(0, 9)
odd: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-9, 2**70) | st.floats() | st.text(max_size=4) | st.just([]) | st.just({})
)
value = st.one_of(small, small, odd)
inside = st.dictionaries(st.sampled_from(INSIDE), value | st.dictionaries(st.sampled_from(INSIDE), value, max_size=3))
entry = st.dictionaries(st.sampled_from(INSIDE), value | st.sampled_from(("TEXT", "AUDIO", "5m", "message")))


@st.composite
def usages(draw: st.DrawFn) -> dict[str, Any]:
    counts = draw(st.dictionaries(st.sampled_from(COUNTS), value, max_size=2))
    objects = draw(st.dictionaries(st.sampled_from(OBJECTS), inside | value, max_size=1))
    lists = draw(st.dictionaries(st.sampled_from(LISTS), st.lists(entry | value, max_size=3) | value, max_size=1))
    return counts | objects | lists


# Valid, and changed at random: what is changed is reached.
BASES = {
    "chat": {"prompt_tokens": 9, "completion_tokens": 9},
    "embeddings": {"prompt_tokens": 9},
    "gemini": {"promptTokenCount": 9, "candidatesTokenCount": 9},
    "converse": {"inputTokens": 9, "outputTokens": 9},
    "invoke": {"inputTokenCount": 9, "outputTokenCount": 9},
    "ocr": {"pages_processed": 9},
    "cohere": {"input_tokens": 9, "output_tokens": 9},
    "dashscope": {"prompt_tokens": 9, "completion_tokens": 9},
    "perplexity": {"prompt_tokens": 9, "completion_tokens": 9},
    "mistral": {"prompt_tokens": 9, "completion_tokens": 9},
}
OTHER = {"input_tokens": 9, "output_tokens": 9}


def base_of(api: str) -> dict[str, Any]:
    if api == "perplexity-responses":
        return OTHER
    return next((base for word, base in BASES.items() if word in api.split("-")), OTHER)


@pytest.mark.parametrize("api", NORMALISERS)
@settings(max_examples=60)
@given(raw=usages())
def test_nothing_but_a_refusal_comes_out(api: str, raw: dict[str, Any]) -> None:
    try:
        usage = NORMALISERS[api](base_of(api) | raw)
    except UsageViolation as refused:
        assert refused.rule  # noqa: PT017 - either outcome is right
        return
    assert usage.meters
    assert all(type(count) is int and count >= 0 for count in usage.meters.values())
    assert usage.meters.keys() <= METERS.keys()
    inputs = sum(count for name, count in usage.meters.items() if METERS[name].family == "input")
    assert inputs == usage.input_total
