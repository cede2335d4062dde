"""What is read of requests, answers and streams in both dialects, leniently where servers differ."""

import contextlib
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.call import Answered
from farebox.errors import BadRequest
from farebox.wire import anthropic_messages, openai_chat, openai_embeddings
from farebox.wire.openai_chat import error_text
from farebox.wire.operations import READINGS

ASK = [{"role": "user", "content": "Hi"}]


def feed(read, *events) -> tuple[Answered, list[bool]]:
    answered = Answered()
    carries = [read(event if isinstance(event, bytes) else json.dumps(event).encode(), answered) for event in events]
    return answered, carries


class TestOpenAI:
    @pytest.mark.parametrize(
        ("fields", "cap"),
        [
            ({}, None),
            ({"max_tokens": 7}, 7),
            ({"max_completion_tokens": 9, "max_tokens": 7}, 9),
            ({"max_completion_tokens": None, "max_tokens": 7, "n": 3}, 21),
            ({"max_tokens": 0}, 0),
            ({"n": 3}, None),
        ],
    )
    def test_output_cap(self, fields, cap) -> None:
        assert openai_chat.read_request({"model": "m", "messages": ASK, **fields}).output_cap == cap

    def test_who_and_what_for(self) -> None:
        body = {"model": "m", "messages": ASK, "user": "ada", "metadata": {"a": "b", "n": 1, "x": None}}
        asked = openai_chat.read_request(body)
        assert (asked.user, asked.tags) == ("ada", {"a": "b"})
        assert openai_chat.read_request({**body, "safety_identifier": "hash"}).user == "hash"
        assert openai_chat.read_request({**body, "user": 7, "metadata": [1]}).tags == {}
        assert asked.body is body

    @pytest.mark.parametrize(("options", "wanted"), [(None, False), ({}, False), ({"include_usage": True}, True)])
    def test_usage_in_streams(self, options, wanted) -> None:
        body = {"model": "m", "messages": ASK, "stream": True, "stream_options": options}
        assert openai_chat.read_request(body).include_usage is wanted

    def test_a_stream(self) -> None:
        answered, carries = feed(
            openai_chat.read_event,
            {"model": "m-1", "service_tier": "default", "choices": [{"delta": {"role": "assistant", "content": ""}}]},
            {"model": "m-1", "choices": [{"delta": {"content": "Grüße"}}], "usage": None},
            {"choices": [{"delta": {"reasoning_content": "abc", "refusal": "de"}}]},
            {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": "{}"}}]}}]},
            {"choices": [{"delta": {}, "finish_reason": "stop"}]},
            {"choices": [], "usage": {"prompt_tokens": 1}},
            b"[DONE]",
        )
        assert carries == [False] * 5 + [True, False]
        assert answered == Answered(
            model="m-1",
            service_tier="default",
            finish="stop",
            usage={"prompt_tokens": 1},
            content_bytes=7 + 5 + 3,
            content_events=3,
            complete=True,
        )

    @pytest.mark.parametrize(
        ("delta", "size", "events"),
        [
            ({"role": "assistant"}, 0, 0),
            ({"role": "assistant", "content": None, "refusal": None, "tool_calls": []}, 0, 0),
            ({"reasoning": "hmm"}, 3, 1),
            ({"reasoning": "hmm", "reasoning_content": "hmm"}, 3, 1),
            ({"reasoning": {"effort": "low"}}, 0, 0),
            ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, 0, 1),
            ({"refusal": "No."}, 3, 1),
            ({"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "find", "arguments": ""}}]}, 4, 1),
            ({"function_call": {"name": "find", "arguments": "{}"}}, 6, 1),
            ({"audio": {"id": "audio_1", "data": "UklGRg=="}}, 0, 1),
        ],
    )
    def test_what_is_content(self, delta, size, events) -> None:
        answered, _ = feed(openai_chat.read_event, {"choices": [{"delta": delta}]})
        assert (answered.content_bytes, answered.content_events) == (size, events)
        assert answered.damaged_events == 0

    def test_usage_on_every_chunk_is_no_event_of_its_own(self) -> None:
        chunks = [{"choices": [{"delta": {"content": "a"}}], "usage": {"completion_tokens": n}} for n in (1, 2)]
        answered, carries = feed(openai_chat.read_event, *chunks)
        assert carries == [False, False]
        assert answered.usage == {"completion_tokens": 2}

    @pytest.mark.parametrize("data", [b"{", b"[]", b'{"choices": 7}', b'"x"', b"\xff"])
    def test_what_cannot_be_read_is_counted(self, data) -> None:
        answered, _ = feed(openai_chat.read_event, data)
        assert answered == Answered(damaged_events=1)

    def test_an_error_event(self) -> None:
        answered, _ = feed(openai_chat.read_event, {"error": {"message": "Out of steam.", "code": 500}})
        assert answered.error == "Out of steam."

    @pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"choices": {}}', b'{"error": {}}', b"<html>"])
    def test_what_is_no_answer(self, data) -> None:
        with pytest.raises(msgspec.DecodeError):
            openai_chat.read_answer(data)

    def test_an_answer_without_usage(self) -> None:
        assert openai_chat.read_answer(b'{"choices":[]}').usage is None
        assert openai_chat.read_answer(b'{"choices":[],"usage":null}').usage is None


START: Any = {
    "type": "message_start",
    "message": {
        "type": "message",
        "model": "c-1",
        "usage": {"input_tokens": 7, "cache_read_input_tokens": 3, "output_tokens": 1, "service_tier": "standard"},
    },
}


class TestAnthropic:
    def test_a_stream_overwrites_its_counts(self) -> None:
        answered, carries = feed(
            anthropic_messages.read_event,
            START,
            {"type": "ping"},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "Grüße"}},
            {"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "abc"}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": ""}},
            {"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": "{}"}},
            {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": {"output_tokens": 9}},
            {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 12, "cache_read_input_tokens": None}},
            {"type": "message_stop"},
        )
        assert carries == [False] * 7 + [True, True, False]
        assert answered == Answered(
            model="c-1",
            service_tier="standard",
            finish="tool_use",
            usage={
                "input_tokens": 7,
                "cache_read_input_tokens": 3,
                "output_tokens": 12,
                "service_tier": "standard",
            },
            content_bytes=7 + 3 + 2,
            content_events=3,
            complete=True,
        )

    @pytest.mark.parametrize(
        ("block", "size", "events"),
        [
            ({"type": "text", "text": ""}, 0, 0),
            ({"type": "thinking", "thinking": "", "signature": ""}, 0, 0),
            ({"type": "redacted_thinking", "data": "EmwK"}, 0, 1),
            ({"type": "tool_use", "id": "toolu_1", "name": "find", "input": {}}, 4, 1),
            ({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {}}, 10, 1),
            ({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"url": "u"}]}, 0, 0),
        ],
    )
    def test_which_beginnings_are_content(self, block, size, events) -> None:
        event = {"type": "content_block_start", "index": 0, "content_block": block}
        answered, _ = feed(anthropic_messages.read_event, event)
        assert (answered.content_bytes, answered.content_events) == (size, events)

    def test_an_unknown_event_is_nothing(self) -> None:
        assert feed(anthropic_messages.read_event, {"type": "something_new", "x": [1]})[0] == Answered()

    def test_an_error_event(self) -> None:
        error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
        assert feed(anthropic_messages.read_event, error)[0].error == "Overloaded"

    @pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"type":"error","error":{}}', b"<html>"])
    def test_what_is_no_answer(self, data) -> None:
        with pytest.raises(msgspec.DecodeError):
            anthropic_messages.read_answer(data)

    def test_counting_needs_no_cap_and_never_streams(self) -> None:
        asked = anthropic_messages.read_count_request({"model": "c", "messages": ASK, "stream": True})
        assert (asked.output_cap, asked.stream) == (0, False)
        assert anthropic_messages.read_count(b'{"input_tokens": 3}').complete
        with pytest.raises(msgspec.DecodeError):
            anthropic_messages.read_count(b'{"tokens": 3}')

    def test_max_tokens_is_needed(self) -> None:
        with pytest.raises(BadRequest, match="'max_tokens' is missing") as caught:
            anthropic_messages.read_request({"model": "c", "messages": ASK})
        assert caught.value.param == "max_tokens"


class TestEmbeddings:
    @pytest.mark.parametrize(
        ("given_input", "size"), [("Grüße", 7), (["a", "bc"], 3), ([1, 2, 3], 12), ([[1, 2], [3]], 12), ("", 0)]
    )
    def test_size(self, given_input, size) -> None:
        asked = openai_embeddings.read_request({"model": "m", "input": given_input})
        assert (asked.parts.get("user", 0), asked.output_cap) == (size, 0)

    def test_input_is_needed(self) -> None:
        with pytest.raises(BadRequest, match="'input' is missing"):
            openai_embeddings.read_request({"model": "m"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    ["model", "messages", "input", "stream", "stream_options", "max_tokens", "n", "metadata", "user", "tools", "system"]
)


@given(st.sampled_from(sorted(READINGS)), st.dictionaries(FIELDS, JSON | st.just(ASK), max_size=8))
def test_any_request_is_read_or_refused(operation, body) -> None:
    try:
        asked = READINGS[operation].request(body)
    except BadRequest:
        return
    assert asked.model
    assert all(size > 0 for size in asked.parts.values())
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in asked.tags.items())


@given(st.sampled_from(sorted(READINGS)), JSON | st.dictionaries(st.sampled_from(["choices", "usage", "type"]), JSON))
def test_any_answer_and_event_is_read_or_refused(operation, body) -> None:
    data = json.dumps(body).encode()
    reading = READINGS[operation]
    with contextlib.suppress(msgspec.DecodeError):
        reading.answer(data)
    if reading.event is not None:
        reading.event(data, Answered())


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "m", "type": "t"}, "m"),
        ({"detail": "d"}, "d"),
        ({"type": "t"}, "t"),
        ("plain", "plain"),
        ({"message": None, "x": 1}, "{'message': None, 'x': 1}"),
        ({}, "{}"),
        ("", "unnamed error"),
        ("x" * 900, "x" * 500),
    ],
)
def test_words_of_errors(error, text) -> None:
    assert error_text(error) == text
