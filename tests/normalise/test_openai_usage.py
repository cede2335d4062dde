"""OpenAI's usage objects are taken apart into disjoint meters, or refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.table import NORMALISERS, normaliser
from farebox.usage import METERS, Usage

chat = normaliser("openai-chat")
embeddings = normaliser("openai-embeddings")


def total_of(usage: Usage, family: str) -> int:
    return sum(count for meter, count in usage.meters.items() if METERS[meter].family == family)


def test_cached_tokens_are_inside_the_prompt_and_reasoning_inside_the_completion() -> None:
    usage = chat(
        {
            "prompt_tokens": 2006,
            "completion_tokens": 300,
            "total_tokens": 2306,
            "prompt_tokens_details": {"cached_tokens": 1920, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": 100,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 20,
                "rejected_prediction_tokens": 30,
            },
        }
    )
    assert usage.meters == {
        "input": 86,
        "cache_read": 1920,
        "input_audio": 0,
        "output": 200,
        "reasoning": 100,
        "output_audio": 0,
    }
    assert usage.input_total == 2006


def test_a_plain_object_has_two_meters() -> None:
    assert chat({"prompt_tokens": 3, "completion_tokens": 4}).meters == {"input": 3, "output": 4}


def test_null_is_absent_and_zero_is_not() -> None:
    absent = {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": None,
        "prompt_tokens_details": None,
        "completion_tokens_details": {"reasoning_tokens": None, "audio_tokens": None},
        "prompt_cache_hit_tokens": None,
    }
    assert chat(absent).meters == {"input": 3, "output": 4}
    zero = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 0}}
    assert chat(zero).meters == {"input": 3, "cache_read": 0, "output": 4}


@pytest.mark.parametrize(
    ("details", "written"),
    [
        ({"cache_write_tokens": 5}, {"cache_write_30m": 5}),
        (
            {"cache_write_tokens": 5, "cache_write_tokens_details": {"ttl_30m_tokens": 2, "ttl_12h_tokens": 3}},
            {"cache_write_30m": 2, "cache_write_12h": 3},
        ),
        (
            {"cache_write_tokens_details": {"ttl_12h_tokens": 3}},
            {"cache_write_30m": 0, "cache_write_12h": 3},
        ),
    ],
)
def test_cache_writes_are_split_by_the_time_they_are_kept(details: dict[str, Any], written: dict[str, int]) -> None:
    usage = chat({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": details})
    assert usage.meters == {"input": 10 - sum(written.values()), **written, "output": 1}


def test_deepseek_names_for_cached_tokens_are_read() -> None:
    usage = chat(
        {
            "prompt_tokens": 10,
            "completion_tokens": 1,
            "prompt_cache_hit_tokens": 8,
            "prompt_cache_miss_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 8},
        }
    )
    assert usage.meters == {"input": 2, "cache_read": 8, "output": 1}


@pytest.mark.parametrize("name", ["cached_tokens", "cache_read_input_tokens"])
def test_other_names_for_cached_tokens_are_read(name: str) -> None:
    assert chat({"prompt_tokens": 10, "completion_tokens": 1, name: 8}).meters == {
        "input": 2,
        "cache_read": 8,
        "output": 1,
    }


def test_written_tokens_of_anthropics_cache_are_inside_the_prompt_of_a_gateway() -> None:
    raw = {
        "prompt_tokens": 100,
        "completion_tokens": 1,
        "cache_read_input_tokens": 30,
        "cache_creation_input_tokens": 60,
        "prompt_tokens_details": {"cached_tokens": 30},
    }
    assert chat(raw).meters == {"input": 10, "cache_read": 30, "cache_write_5m": 60, "output": 1}
    counted = {"cached_tokens": 30, "cache_write_tokens": 60}
    assert chat({**raw, "prompt_tokens_details": counted}).meters["cache_write_30m"] == 60
    assert chat({**raw, "cache_creation_input_tokens": 0}).meters["cache_write_5m"] == 0


def test_audio_and_images_have_meters_of_their_own() -> None:
    usage = chat(
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "prompt_tokens_details": {"text_tokens": 60, "audio_tokens": 30, "image_tokens": 10},
            "completion_tokens_details": {"audio_tokens": 40, "text_tokens": 10},
        }
    )
    assert usage.meters == {
        "input": 60,
        "input_audio": 30,
        "input_image": 10,
        "output": 10,
        "output_audio": 40,
    }


def test_cached_audio_is_a_subset_of_audio_where_the_answer_says_so() -> None:
    usage = chat(
        {
            "prompt_tokens": 1200,
            "completion_tokens": 1,
            "prompt_tokens_details": {
                "text_tokens": 200,
                "audio_tokens": 1000,
                "cached_tokens": 400,
                "cached_tokens_details": {"text_tokens": 100, "audio_tokens": 300},
            },
        }
    )
    assert usage.meters == {
        "input": 100,
        "cache_read": 100,
        "input_audio": 700,
        "cache_read_audio": 300,
        "output": 1,
    }
    assert usage.unsplit == ()


def test_cached_images_that_are_not_told_apart_are_marked() -> None:
    usage = chat(
        {
            "prompt_tokens": 100,
            "completion_tokens": 1,
            "prompt_tokens_details": {"cached_tokens": 64, "image_tokens": 80, "audio_tokens": 0},
        }
    )
    assert usage.meters == {"input": 36, "cache_read": 64, "output": 1}
    assert usage.unsplit == ("input_image",)


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"prompt_tokens": None}, "prompt_tokens is a count"),
        ({"completion_tokens": None}, "completion_tokens is a count"),
        ({"prompt_tokens": 1.0}, "prompt_tokens is a count"),
        ({"prompt_tokens": "10"}, "prompt_tokens is a count"),
        ({"prompt_tokens": True}, "prompt_tokens is a count"),
        ({"prompt_tokens": -1}, "prompt_tokens is a count"),
        ({"prompt_tokens": 2**31}, "prompt_tokens is a count"),
        ({"total_tokens": 12}, "total_tokens == prompt_tokens + completion_tokens"),
        ({"prompt_tokens_details": []}, "prompt_tokens_details is an object"),
        ({"prompt_tokens_details": {"cached_tokens": 11}}, "cached_tokens + cache_write_tokens <= prompt_tokens"),
        (
            {"prompt_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 5}},
            "cached_tokens + cache_write_tokens <= prompt_tokens",
        ),
        (
            {"prompt_tokens_details": {"cache_write_tokens": 5, "cache_write_tokens_details": {}}},
            "ttl_30m_tokens + ttl_12h_tokens == cache_write_tokens",
        ),
        (
            {"prompt_tokens_details": {"audio_tokens": 6, "image_tokens": 5}},
            "text + audio + image tokens <= prompt_tokens",
        ),
        (
            {
                "prompt_tokens_details": {
                    "audio_tokens": 4,
                    "cached_tokens": 5,
                    "cached_tokens_details": {"audio_tokens": 5},
                }
            },
            "cached audio_tokens <= audio_tokens",
        ),
        (
            {
                "prompt_tokens_details": {
                    "audio_tokens": 4,
                    "cached_tokens": 5,
                    "cached_tokens_details": {"audio_tokens": 4, "text_tokens": 2},
                }
            },
            "cached_tokens_details add up to cached_tokens",
        ),
        (
            {"completion_tokens_details": {"reasoning_tokens": 2}},
            "reasoning + audio + image tokens <= completion_tokens",
        ),
        (
            {"completion_tokens_details": {"accepted_prediction_tokens": 1, "rejected_prediction_tokens": 1}},
            "accepted + rejected prediction tokens <= completion_tokens",
        ),
        ({"prompt_cache_hit_tokens": 11}, "prompt_cache_hit_tokens <= prompt_tokens"),
        (
            {"prompt_cache_hit_tokens": 8, "prompt_cache_miss_tokens": 1},
            "prompt_cache_hit_tokens + prompt_cache_miss_tokens == prompt_tokens",
        ),
        ({"cached_tokens": 8, "cache_read_input_tokens": 7}, "all counts of cached tokens agree"),
        (
            {"cached_tokens": 8, "cache_creation_input_tokens": 3},
            "cached_tokens + cache_creation_input_tokens <= prompt_tokens",
        ),
        (
            {"cache_creation_input_tokens": 3, "prompt_tokens_details": {"cache_write_tokens": 4}},
            "cache_creation_input_tokens == cache_write_tokens",
        ),
        (
            {"prompt_cache_hit_tokens": 8, "prompt_tokens_details": {"cached_tokens": 7}},
            "prompt_cache_hit_tokens == cached_tokens",
        ),
    ],
)
def test_a_broken_rule_is_refused_by_name(change: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageViolation) as refused:
        chat({"prompt_tokens": 10, "completion_tokens": 1, **change})
    assert refused.value.rule == rule


def test_reasoning_left_out_of_the_completion_is_refused() -> None:
    # Some servers count reasoning beside the completion; the total gives them away.
    with pytest.raises(UsageViolation, match="total_tokens"):
        chat(
            {
                "prompt_tokens": 10,
                "completion_tokens": 5,
                "total_tokens": 115,
                "completion_tokens_details": {"reasoning_tokens": 100},
            }
        )


def test_an_embedding_has_only_input() -> None:
    assert embeddings({"prompt_tokens": 8, "total_tokens": 8}).meters == {"input": 8}
    assert embeddings({"prompt_tokens": 8, "total_tokens": 8, "completion_tokens": 0}).meters == {"input": 8}
    with pytest.raises(UsageViolation, match="completion"):
        embeddings({"prompt_tokens": 8, "completion_tokens": 1})
    with pytest.raises(UsageViolation, match="total"):
        embeddings({"prompt_tokens": 8, "total_tokens": 9})


def test_an_unknown_api_is_named() -> None:
    with pytest.raises(KeyError, match="openai-chat"):
        normaliser("smoke-signals")
    assert {"openai-chat", "openai-embeddings", "anthropic-messages"} <= set(NORMALISERS)


counts = st.integers(0, 2000)


@given(
    prompt=counts,
    cached=st.none() | counts,
    written=st.none() | counts,
    audio=st.none() | counts,
    image=st.none() | counts,
    completion=counts,
    reasoning=st.none() | counts,
    spoken=st.none() | counts,
)
def test_meters_are_disjoint_or_the_usage_is_refused(
    *,
    prompt: int,
    cached: int | None,
    written: int | None,
    audio: int | None,
    image: int | None,
    completion: int,
    reasoning: int | None,
    spoken: int | None,
) -> None:
    raw = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {
            "cached_tokens": cached,
            "cache_write_tokens": written,
            "audio_tokens": audio,
            "image_tokens": image,
        },
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": spoken},
    }
    possible = (
        (cached or 0) + (written or 0) <= prompt
        and (audio or 0) + (image or 0) <= prompt
        and (reasoning or 0) + (spoken or 0) <= completion
    )
    if not possible:
        with pytest.raises(UsageViolation):
            chat(raw)
        return
    usage = chat(raw)
    assert total_of(usage, "input") == usage.input_total == prompt
    assert total_of(usage, "output") == completion
    assert all(type(count) is int and count >= 0 for count in usage.meters.values())
