"""Gemini's usage is taken apart by modality, thoughts are added, and the total has to be right."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.google_gemini import normalise
from farebox.usage import METERS, Usage

counts = st.integers(0, 2000)


def total_of(usage: Usage, family: str) -> int:
    return sum(count for meter, count in usage.meters.items() if METERS[meter].family == family)


def details(**counts: int) -> list[dict[str, Any]]:
    return [{"modality": name.upper(), "tokenCount": count} for name, count in counts.items()]


def test_thoughts_are_added_and_cached_tokens_are_inside_the_prompt() -> None:
    usage = normalise(
        {
            "promptTokenCount": 11500,
            "cachedContentTokenCount": 10000,
            "candidatesTokenCount": 1000,
            "thoughtsTokenCount": 10000,
            "totalTokenCount": 22500,
        }
    )
    assert usage.meters == {"input": 1500, "cache_read": 10000, "output": 1000, "reasoning": 10000}
    assert usage.input_total == 11500


def test_what_tools_gave_back_is_input_beside_the_prompt() -> None:
    usage = normalise(
        {
            "promptTokenCount": 10,
            "toolUsePromptTokenCount": 7,
            "toolUsePromptTokensDetails": details(text=5, image=2),
            "candidatesTokenCount": 3,
            "totalTokenCount": 20,
        }
    )
    assert usage.meters == {"input": 15, "input_image": 2, "output": 3}
    assert usage.input_total == 17


def test_documents_count_as_images_and_snake_case_is_read() -> None:
    usage = normalise(
        {
            "prompt_token_count": 1000,
            "prompt_tokens_details": [
                {"modality": "TEXT", "token_count": 100},
                {"modality": "DOCUMENT", "token_count": 500},
                {"modality": "IMAGE", "token_count": 300},
                {"modality": "VIDEO", "token_count": 100},
            ],
            "candidates_token_count": 1120,
            "candidates_tokens_details": [{"modality": "IMAGE", "token_count": 1120}],
        }
    )
    assert usage.meters == {"input": 100, "input_image": 800, "input_video": 100, "output": 0, "output_image": 1120}


def test_a_live_answer_calls_the_candidates_a_response() -> None:
    raw = {"promptTokenCount": 5, "responseTokenCount": 9, "responseTokensDetails": details(audio=8, text=1)}
    assert normalise(raw).meters == {"input": 5, "output": 1, "output_audio": 8}


def test_an_answer_without_candidates_has_an_output_of_zero() -> None:
    assert normalise({"promptTokenCount": 5, "totalTokenCount": 5}).meters == {"input": 5, "output": 0}


def test_cached_audio_is_told_apart_where_it_can_be() -> None:
    raw = {"promptTokenCount": 100, "cachedContentTokenCount": 40, "promptTokensDetails": details(text=70, audio=30)}
    blurred = normalise(raw)
    assert blurred.meters == {"input": 60, "cache_read": 40, "output": 0}
    assert blurred.unsplit == ("input_audio",)
    told = normalise({**raw, "cacheTokensDetails": details(text=15, audio=25)})
    assert told.meters == {
        "input": 55,
        "cache_read": 15,
        "input_audio": 5,
        "cache_read_audio": 25,
        "output": 0,
    }
    only = normalise({**raw, "promptTokensDetails": details(audio=100)})
    assert only.meters == {"input": 0, "cache_read": 0, "input_audio": 60, "cache_read_audio": 40, "output": 0}
    assert told.unsplit == only.unsplit == ()


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"promptTokenCount": None}, "promptTokenCount is a count"),
        ({"totalTokenCount": 12}, "totalTokenCount == prompt + toolUsePrompt + candidates + thoughts"),
        ({"cachedContentTokenCount": 11}, "cachedContentTokenCount <= promptTokenCount"),
        ({"promptTokensDetails": []}, None),
        ({"promptTokensDetails": "TEXT"}, "promptTokensDetails is a list of objects"),
        ({"promptTokensDetails": details(audio=11)}, "promptTokensDetails add up to promptTokenCount"),
        ({"promptTokensDetails": details(smell=1)}, "promptTokensDetails names known modalities"),
        (
            {
                "cachedContentTokenCount": 5,
                "promptTokensDetails": details(audio=4, text=6),
                "cacheTokensDetails": details(audio=5),
            },
            "cached audio tokens <= audio tokens",
        ),
        ({"candidatesTokensDetails": details(image=2)}, "candidatesTokensDetails add up to candidatesTokenCount"),
    ],
)
def test_a_broken_rule_is_refused_by_name(change: dict[str, Any], rule: str | None) -> None:
    raw = {"promptTokenCount": 10, "candidatesTokenCount": 1, **change}
    if rule is None:  # nothing is said
        assert normalise(raw).meters == {"input": 10, "output": 1}
        return
    with pytest.raises(UsageViolation) as refused:
        normalise(raw)
    assert refused.value.rule == rule


@given(
    text=counts,
    audio=counts,
    cached_text=counts,
    cached_audio=counts,
    told=st.booleans(),
    tools=counts,
    result=counts,
    thoughts=st.none() | counts,
    off=st.integers(-1, 1),
)
def test_valid_usage_adds_up_and_another_is_refused(
    *,
    text: int,
    audio: int,
    cached_text: int,
    cached_audio: int,
    told: bool,
    tools: int,
    result: int,
    thoughts: int | None,
    off: int,
) -> None:
    prompt, cached = text + audio, cached_text + cached_audio
    total = prompt + tools + result + (thoughts or 0)
    raw = {
        "promptTokenCount": prompt,
        "promptTokensDetails": details(text=text, audio=audio),
        "cachedContentTokenCount": cached,
        "toolUsePromptTokenCount": tools,
        "candidatesTokenCount": result,
        "thoughtsTokenCount": thoughts,
        "totalTokenCount": max(0, total + off),
    }
    if told:
        raw["cacheTokensDetails"] = details(text=cached_text, audio=cached_audio)
    possible = cached <= prompt and (not told or (cached_text <= text and cached_audio <= audio) or not cached)
    if not possible or max(0, total + off) != total:
        with pytest.raises(UsageViolation):
            normalise(raw)
        return
    usage = normalise(raw)
    assert total_of(usage, "input") == usage.input_total == prompt + tools
    assert total_of(usage, "output") == result + (thoughts or 0)
    assert sum(count for meter, count in usage.meters.items() if meter.startswith("cache_read")) == cached
    assert all(count >= 0 for count in usage.meters.values())
