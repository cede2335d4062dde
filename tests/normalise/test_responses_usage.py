"""OpenAI's responses, images, realtime and transcriptions are taken apart, or refused."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.table import normaliser
from farebox.usage import METERS, Usage

responses = normaliser("openai-responses")
images = normaliser("openai-images")
realtime = normaliser("openai-realtime")
counts = st.integers(0, 2000)


def total_of(usage: Usage, family: str) -> int:
    return sum(count for meter, count in usage.meters.items() if METERS[meter].family == family)


def test_writes_are_split_by_the_time_they_are_kept() -> None:
    usage = responses(
        {
            "input_tokens": 40000,
            "input_tokens_details": {
                "cached_tokens": 1000,
                "cache_write_tokens": 25000,
                "cache_write_tokens_details": {"ttl_30m_tokens": 5000, "ttl_12h_tokens": 20000},
            },
            "output_tokens": 1000,
            "output_tokens_details": {"reasoning_tokens": 600},
            "total_tokens": 41000,
        }
    )
    assert usage.meters == {
        "input": 14000,
        "cache_read": 1000,
        "cache_write_30m": 5000,
        "cache_write_12h": 20000,
        "output": 400,
        "reasoning": 600,
    }
    assert usage.input_total == 40000


def test_searches_that_the_answer_counts_are_a_fee() -> None:
    raw = {"input_tokens": 1, "output_tokens": 1, "tool_usage": {"web_search": {"num_requests": 3}, "image_gen": None}}
    assert responses(raw).meters["web_search"] == 3


def test_every_tool_that_the_answer_counts_is_a_fee() -> None:
    tools = {
        "web_search": {"num_requests": 3},
        "file_search": {"num_requests": 2},
        "code_interpreter": {"num_sessions": 1},
        "image_gen": {"total_tokens": 0},
    }
    meters = responses({"input_tokens": 1, "output_tokens": 1, "tool_usage": tools}).meters
    assert meters == {"input": 1, "output": 1, "web_search": 3, "file_search": 2, "code_session": 1}
    flat = {"web_search_calls": 2, "file_search_calls": 4}
    assert responses({"input_tokens": 1, "output_tokens": 1, "tool_usage": flat}).meters["file_search"] == 4


def test_images_made_by_another_model_are_refused() -> None:
    raw = {"input_tokens": 1, "output_tokens": 1, "tool_usage": {"image_gen": {"total_tokens": 4160}}}
    with pytest.raises(UsageViolation, match="answering model"):
        responses(raw)


def test_the_output_of_an_image_is_an_image_unless_the_details_say() -> None:
    raw: dict[str, Any] = {
        "input_tokens": 1050,
        "input_tokens_details": {"text_tokens": 50, "image_tokens": 1000},
        "output_tokens": 4160,
    }
    assert images(raw).meters == {"input": 50, "input_image": 1000, "output_image": 4160}
    raw["output_tokens_details"] = {"image_tokens": 4000, "text_tokens": 160}
    assert images(raw).meters == {"input": 50, "input_image": 1000, "output": 160, "output_image": 4000}


def test_cached_audio_of_a_session_is_a_subset_of_its_audio() -> None:
    usage = realtime(
        {
            "input_tokens": 1250,
            "input_token_details": {
                "text_tokens": 200,
                "audio_tokens": 1000,
                "image_tokens": 50,
                "cached_tokens": 450,
                "cached_tokens_details": {"text_tokens": 20, "audio_tokens": 400, "image_tokens": 30},
            },
            "output_tokens": 850,
            "output_token_details": {"text_tokens": 50, "audio_tokens": 800},
        }
    )
    assert usage.meters == {
        "input": 180,
        "cache_read": 20,
        "input_audio": 600,
        "cache_read_audio": 400,
        "input_image": 20,
        "cache_read_image": 30,
        "output": 50,
        "output_audio": 800,
    }


def test_a_transcription_is_billed_by_tokens_or_by_its_length() -> None:
    by_tokens = {
        "type": "tokens",
        "input_tokens": 14,
        "input_token_details": {"text_tokens": 0, "audio_tokens": 14},
        "output_tokens": 45,
        "total_tokens": 59,
    }
    assert realtime(by_tokens).meters == {"input": 0, "input_audio": 14, "output": 45}
    assert realtime({"type": "duration", "seconds": 90.25}).meters == {"audio_time": 90250}


@pytest.mark.parametrize(
    ("read", "change", "rule"),
    [
        (responses, {"input_tokens": None}, "input_tokens is a count"),
        (responses, {"output_tokens": 1.0}, "output_tokens is a count"),
        (responses, {"total_tokens": 12}, "total_tokens == input_tokens + output_tokens"),
        (
            responses,
            {"input_tokens_details": {"cached_tokens": 11}},
            "cached_tokens + cache_write_tokens <= input_tokens",
        ),
        (
            responses,
            {"output_tokens_details": {"reasoning_tokens": 2}},
            "reasoning + audio + image tokens <= output_tokens",
        ),
        (
            images,
            {"input_tokens_details": {"text_tokens": 4, "image_tokens": 5}},
            "text + audio + image tokens == input_tokens",
        ),
        (
            images,
            {"output_tokens_details": {"text_tokens": 1, "image_tokens": 1}},
            "text + audio + image tokens <= output_tokens",
        ),
        (
            realtime,
            {"input_token_details": {"text_tokens": 4, "audio_tokens": 7}},
            "text + audio + image tokens == input_tokens",
        ),
        (
            realtime,
            {
                "input_token_details": {
                    "audio_tokens": 10,
                    "cached_tokens": 5,
                    "cached_tokens_details": {"audio_tokens": 4},
                    "text_tokens": 0,
                }
            },
            "cached_tokens_details add up to cached_tokens",
        ),
    ],
)
def test_a_broken_rule_is_refused_by_name(read: Any, change: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageViolation) as refused:
        read({"input_tokens": 10, "output_tokens": 1, **change})
    assert refused.value.rule == rule


@given(
    text=counts, audio=counts, image=counts, cached_text=counts, cached_audio=counts, cached_image=counts, spoken=counts
)
def test_a_valid_session_adds_up_and_another_is_refused(
    *, text: int, audio: int, image: int, cached_text: int, cached_audio: int, cached_image: int, spoken: int
) -> None:
    raw = {
        "input_tokens": text + audio + image,
        "input_token_details": {
            "text_tokens": text,
            "audio_tokens": audio,
            "image_tokens": image,
            "cached_tokens": cached_text + cached_audio + cached_image,
            "cached_tokens_details": {
                "text_tokens": cached_text,
                "audio_tokens": cached_audio,
                "image_tokens": cached_image,
            },
        },
        "output_tokens": spoken + 1,
        "output_token_details": {"text_tokens": 1, "audio_tokens": spoken},
    }
    if cached_text > text or cached_audio > audio or cached_image > image:
        with pytest.raises(UsageViolation):
            realtime(raw)
        return
    usage = realtime(raw)
    assert total_of(usage, "input") == usage.input_total == text + audio + image
    assert total_of(usage, "output") == spoken + 1
    assert usage.unsplit == ()
    assert usage.meters["cache_read"] == cached_text
    assert usage.meters.get("cache_read_audio", 0) == cached_audio


@given(total=counts, cached=st.none() | counts, written=st.none() | counts, result=counts, reasoning=st.none() | counts)
def test_a_valid_response_adds_up_and_another_is_refused(
    *, total: int, cached: int | None, written: int | None, result: int, reasoning: int | None
) -> None:
    raw = {
        "input_tokens": total,
        "input_tokens_details": {"cached_tokens": cached, "cache_write_tokens": written},
        "output_tokens": result,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": total + result,
    }
    if (cached or 0) + (written or 0) > total or (reasoning or 0) > result:
        with pytest.raises(UsageViolation):
            responses(raw)
        return
    usage = responses(raw)
    assert total_of(usage, "input") == usage.input_total == total
    assert total_of(usage, "output") == result
    assert ("cache_read" in usage.meters) == (cached is not None)
