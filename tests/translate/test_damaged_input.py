"""Bodies with anything anywhere: the client gets a clear error, and no provider's nonsense becomes a traceback."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.errors import BadRequest, Untranslatable, UpstreamFailed
from farebox.translate.table import TRANSLATIONS, find
from farebox.wire.sse import SseDecoder, encode

Json = dict[str, Any]
MARK = {"type": "ephemeral"}
OPENAI_REQUEST: Json = {
    "model": "m",
    "messages": [
        {"role": "system", "content": [{"type": "text", "text": "S", "cache_control": MARK}]},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "T"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD", "detail": "auto"}},
                {"type": "file", "file": {"filename": "a", "file_data": "data:text/plain;base64,QUJD"}},
            ],
        },
        {
            "role": "assistant",
            "content": "A",
            "refusal": "R",
            "thinking_blocks": [{"type": "thinking", "thinking": "t", "signature": "s"}],
            "tool_calls": [{"id": "a", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "a", "content": "r"},
        {"role": "user", "content": "Q"},
    ],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True, "description": "d"}}],
    "tool_choice": {"type": "function", "function": {"name": "f"}},
    "parallel_tool_calls": False,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
    "reasoning_effort": "low",
    "temperature": 0.5,
    "top_p": 0.5,
    "stop": ["x"],
    "max_tokens": 5000,
    "stream": True,
    "stream_options": {"include_usage": True},
    "user": "u",
    "service_tier": "default",
    "n": 1,
}
ANTHROPIC_REQUEST: Json = {
    "model": "m",
    "max_tokens": 100,
    "system": [{"type": "text", "text": "S", "cache_control": MARK}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "T"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
                {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "QUJD"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "r"}]}],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}, "description": "d"}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "thinking": {"type": "enabled", "budget_tokens": 50},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["x"],
    "service_tier": "auto",
    "stream": True,
}
OPENAI_ANSWER: Json = {
    "id": "i",
    "model": "m",
    "choices": [
        {
            "index": 0,
            "message": {
                "content": "x",
                "refusal": "no",
                "reasoning_content": "r",
                "annotations": [{"url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1}}],
                "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}],
            },
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 5,
        "completion_tokens": 1,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1},
    },
    "service_tier": "default",
}
CITATION = {"type": "web_search_result_location", "url": "u", "title": "t"}
ANTHROPIC_ANSWER: Json = {
    "id": "i",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "t", "signature": "s"},
        {"type": "text", "text": "x", "citations": [CITATION]},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
    ],
    "stop_reason": "refusal",
    "stop_details": {"explanation": "e"},
    "usage": {"input_tokens": 1, "output_tokens": 1, "cache_read_input_tokens": 1, "service_tier": "standard"},
}
CHUNKS: list[Json] = [
    {
        "id": "i",
        "model": "m",
        "service_tier": "default",
        "choices": [
            {
                "delta": {
                    "content": "x",
                    "refusal": "n",
                    "reasoning_content": "r",
                    "annotations": [{"url_citation": {"url": "u"}}],
                    "tool_calls": [{"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}}],
                },
                "finish_reason": None,
            }
        ],
    },
    {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": OPENAI_ANSWER["usage"]},
]
EVENTS: list[Json] = [
    {"type": "message_start", "message": {"id": "i", "model": "m", "usage": {"input_tokens": 1}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": "t"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "t"}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "t"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": "x"}},
    {"type": "content_block_delta", "index": 1, "delta": {"type": "citations_delta", "citation": CITATION}},
    {"type": "content_block_start", "index": 2, "content_block": {"type": "tool_use", "id": "a", "name": "f"}},
    {"type": "content_block_delta", "index": 2, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
    {"type": "content_block_stop", "index": 2},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "refusal", "stop_details": {"explanation": "e"}},
        "usage": {"output_tokens": 3, "output_tokens_details": {"thinking_tokens": 1}},
    },
    {"type": "message_stop"},
]
junk: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 1.5, 2**63, "", "x", [], [1], [[]], ["x"], {}, {"type": []}, {"x": {}}]
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [at] if at else []
    if isinstance(value, dict):
        found += [place for key, item in value.items() for place in places(item, (*at, key))]
    elif isinstance(value, list):
        found += [place for index, item in enumerate(value) for place in places(item, (*at, index))]
    return found


def damaged(whole: Any) -> st.SearchStrategy[Any]:
    """The value with one or two of its places taken by junk."""

    def damage(picks: list[tuple[tuple[Any, ...], Any]]) -> Any:
        out = copy.deepcopy(whole)
        for place, item in sorted(picks, key=lambda pick: -len(pick[0])):
            inner = out
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = copy.deepcopy(item)
        return out

    return st.lists(st.tuples(st.sampled_from(places(whole)), junk), min_size=1, max_size=2).map(damage)


@pytest.mark.parametrize(("client", "whole"), [("openai", OPENAI_REQUEST), ("anthropic", ANTHROPIC_REQUEST)])
def test_a_damaged_request_is_translated_or_refused(client: str, whole: Json) -> None:
    translation = TRANSLATIONS[client, "anthropic" if client == "openai" else "openai"]
    translation.translate_request(whole, "claude-sonnet-4-5")

    @settings(max_examples=250, deadline=None)
    @given(damaged(whole))
    def run(body: Json) -> None:
        try:
            translation.translate_request(body, "claude-sonnet-4-5")
        except (BadRequest, Untranslatable) as error:
            assert error.message.startswith(error.param or "?")  # noqa: PT017 - some bodies are translated

    run()


@pytest.mark.parametrize(("client", "whole"), [("anthropic", OPENAI_ANSWER), ("openai", ANTHROPIC_ANSWER)])
def test_a_damaged_answer_is_translated_or_the_providers_failure(client: str, whole: Json) -> None:
    translation = find(client, "anthropic" if client == "openai" else "openai")
    assert translation is not None
    translation.translate_response(whole, "asked")

    @settings(max_examples=250, deadline=None)
    @given(damaged(whole))
    def run(body: Json) -> None:
        try:
            translation.translate_response(body, "asked")
        except UpstreamFailed as error:
            assert error.message.startswith("The provider's answer")  # noqa: PT017 - some answers are translated

    run()


@pytest.mark.parametrize(("client", "whole"), [("anthropic", CHUNKS), ("openai", EVENTS)])
def test_a_damaged_stream_is_translated_or_the_providers_failure(client: str, whole: list[Json]) -> None:
    translation = find(client, "anthropic" if client == "openai" else "openai")
    assert translation is not None

    def read(events: list[Any]) -> None:
        decoder, stream = SseDecoder(), translation.start_stream("asked", include_usage=True)
        for event in decoder.feed(b"".join(encode(json.dumps(event).encode()) for event in events)):
            stream.feed(event)
        stream.finish()

    read(whole)

    @settings(max_examples=250, deadline=None)
    @given(damaged(whole))
    def run(events: list[Any]) -> None:
        try:
            read(events)
        except UpstreamFailed as error:
            assert error.message.startswith("The provider's stream")  # noqa: PT017 - some streams are translated

    run()
