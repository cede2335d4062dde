"""Streams of both providers for the translation tests, and the official SDKs reading what comes out."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest
from openai.lib.streaming.chat import ChatCompletionStreamState

from farebox.errors import UpstreamFailed
from farebox.translate import anthropic_openai
from farebox.translate.table import find
from farebox.wire.sse import SseDecoder, encode

Json = dict[str, Any]


def anthropic_stream(*events: Json) -> bytes:
    return b"".join(encode(json.dumps(event, ensure_ascii=False).encode(), event["type"].encode()) for event in events)


def openai_stream(*chunks: Json, done: bool = True) -> bytes:
    body = b"".join(encode(json.dumps(chunk, ensure_ascii=False).encode()) for chunk in chunks)
    return body + (b"data: [DONE]\n\n" if done else b"")


def start(**usage: Any) -> Json:
    message: Json = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-6",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 10, "output_tokens": 1, **usage},
    }
    return {"type": "message_start", "message": message}


def block(index: int, content_block: Json, *deltas: Json) -> list[Json]:
    return [
        {"type": "content_block_start", "index": index, "content_block": content_block},
        *({"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas),
        {"type": "content_block_stop", "index": index},
    ]


def text(index: int, *pieces: str) -> list[Json]:
    return block(index, {"type": "text", "text": ""}, *({"type": "text_delta", "text": piece} for piece in pieces))


def tool(index: int, name: str, *pieces: str) -> list[Json]:
    opened = {"type": "tool_use", "id": f"toolu_{index}", "name": name, "input": {}}
    return block(index, opened, *({"type": "input_json_delta", "partial_json": piece} for piece in pieces))


def end(stop_reason: str = "end_turn", **delta: Any) -> list[Json]:
    usage = {"output_tokens": 25}
    delta = {"stop_reason": stop_reason, "stop_sequence": None, **delta}
    return [{"type": "message_delta", "delta": delta, "usage": usage}, {"type": "message_stop"}]


PING = {"type": "ping"}
THINKING = block(
    0,
    {"type": "thinking", "thinking": "", "signature": ""},
    {"type": "thinking_delta", "thinking": "Let me "},
    {"type": "thinking_delta", "thinking": "see."},
    {"type": "signature_delta", "signature": "c2ln"},
)
CITED = {
    "type": "citations_delta",
    "citation": {
        "type": "web_search_result_location",
        "url": "https://example.com/",
        "title": "Example",
        "cited_text": "so",
        "encrypted_index": "x",
    },
}
FROM_ANTHROPIC: dict[str, bytes] = {
    "text": anthropic_stream(start(), PING, *text(0, "Grüße", " 世界 🌍\u2028", "!"), *end()),
    "cached": anthropic_stream(
        start(cache_read_input_tokens=100, cache_creation_input_tokens=20), *text(0, "Hi"), *end("max_tokens")
    ),
    "tools": anthropic_stream(
        start(),
        *text(0, "Looking."),
        *tool(1, "weather", "", '{"city": "P', 'aris"}'),
        *tool(2, "clock"),
        *tool(3, "both", '{"a":[1,', "2]}"),
        *end("tool_use"),
    ),
    "tool_only": anthropic_stream(start(), *tool(0, "weather", '{"city":"Rome"}'), *end("tool_use")),
    "thinking": anthropic_stream(
        start(),
        *THINKING,
        *block(1, {"type": "redacted_thinking", "data": "RW5j"}),
        *text(2, "Done."),
        *tool(3, "weather", "{}"),
        *end("tool_use"),
    ),
    "refusal": anthropic_stream(
        start(),
        *text(0, "I"),
        *end("refusal", stop_details={"type": "refusal", "category": "cyber", "explanation": "Not this."}),
    ),
    "cited": anthropic_stream(
        start(), *block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "It is so."}, CITED), *end()
    ),
    "empty": anthropic_stream(start(), *end()),
}


def chunk(delta: Json, finish_reason: str | None = None, **fields: Any) -> Json:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 7, "model": "gpt-4o-mini"}
    return {**head, "choices": [choice], "usage": None, **fields}


ROLE = chunk({"role": "assistant", "content": "", "refusal": None})
USAGE = {
    "prompt_tokens": 130,
    "completion_tokens": 25,
    "total_tokens": 155,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
LAST = {**chunk({}), "choices": [], "usage": USAGE}


def call(index: int, arguments: str, name: str | None = None, **fields: Any) -> Json:
    function: Json = {"arguments": arguments}
    head: Json = {"index": index}
    if name is not None:
        function["name"] = name
        head.update(id=f"call_{index}", type="function")
    return chunk({"tool_calls": [{**head, "function": function, **fields}]})


FROM_OPENAI: dict[str, bytes] = {
    "text": openai_stream(
        ROLE, chunk({"content": "Grüße"}), chunk({"content": " 世界 🌍\u2028!"}), chunk({}, "stop"), LAST
    ),
    "tools": openai_stream(
        ROLE,
        chunk({"content": "Looking."}),
        call(0, "", "weather"),
        call(0, '{"city": "P'),
        call(0, 'aris"}'),
        call(1, "", "clock"),
        call(1, "{}"),
        chunk({}, "tool_calls"),
        LAST,
    ),
    "interleaved": openai_stream(
        ROLE,
        call(0, "", "weather"),
        call(1, "", "clock"),
        call(1, '{"zone":'),
        call(0, '{"city": "Paris"}'),
        call(1, '"UTC"}'),
        chunk({}, "tool_calls"),
        LAST,
    ),
    "whole_call": openai_stream(ROLE, call(0, '{"city":"Rome"}', "weather"), chunk({}, "tool_calls"), LAST),
    "forced_call": openai_stream(ROLE, call(0, "{}", "weather"), chunk({}, "stop"), LAST),
    "thinking": openai_stream(
        ROLE,
        chunk({"reasoning_content": "Let me "}),
        chunk({"reasoning_content": "see."}),
        chunk({"content": "Done."}),
        chunk({}, "stop"),
        LAST,
    ),
    "refusal": openai_stream(ROLE, chunk({"refusal": "Not "}), chunk({"refusal": "this."}), chunk({}, "stop"), LAST),
    "filtered": openai_stream(ROLE, chunk({"content": "I"}), chunk({}, "content_filter"), LAST),
    "usage_with_finish": openai_stream(ROLE, chunk({"content": "Hi"}), chunk({}, "length", usage=USAGE)),
    "empty": openai_stream(ROLE, chunk({}, "stop"), LAST),
}


def translate(stream: bytes, client: str, parts: list[bytes] | None = None, **options: Any) -> bytes:
    """The translated stream of the other dialect's stream, which may come in parts."""
    translation = find(client, "openai" if client == "anthropic" else "anthropic")
    assert translation is not None
    decoder, translator = SseDecoder(), translation.start_stream("asked", **options)
    out = [
        piece
        for part in (parts if parts is not None else [stream])
        for event in decoder.feed(part)
        for piece in translator.feed(event)
    ]
    return b"".join(out + translator.finish())


def answering(body: bytes, status: int = 200, content_type: str = "text/event-stream") -> httpx2.Client:
    def answer(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, content=body, headers={"content-type": content_type})

    return httpx2.Client(transport=httpx2.MockTransport(answer))


def openai_reads(stream: bytes) -> Json:
    """The completion that the official OpenAI SDK gathers from a stream."""
    state: ChatCompletionStreamState[None] = ChatCompletionStreamState()
    with answering(stream) as http, openai.OpenAI(api_key="k", http_client=http, max_retries=0) as client:
        ask: Any = [{"role": "user", "content": "?"}]
        for chunk_ in client.chat.completions.create(model="m", messages=ask, stream=True):
            list(state.handle_chunk(chunk_))
    return state.current_completion_snapshot.model_dump(mode="json", exclude_none=True)


def anthropic_reads(stream: bytes) -> Json:
    """The message that the official Anthropic SDK gathers from a stream."""
    with (
        answering(stream) as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=[{"role": "user", "content": "?"}]) as events,
    ):
        return events.get_final_message().model_dump(mode="json", exclude_none=True)


def same(streamed: Json, whole: Json) -> None:
    """Hold a gathered stream against the translation of the whole answer: the two paths share no code."""
    whole = json.loads(json.dumps(whole))
    for message in (*(choice["message"] for choice in streamed.get("choices", ())), streamed):
        for numbered in (*message.get("tool_calls", ()), *message.get("thinking_blocks", ())):
            numbered.pop("index")
    assert without_nothing(streamed) == without_nothing(whole)


def without_nothing(value: Any) -> Any:
    """Nulls and empty texts taken away, and arguments read."""
    if isinstance(value, list):
        return [without_nothing(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "arguments" in value:
        value = {**value, "arguments": json.loads(value["arguments"])}
    return {key: without_nothing(item) for key, item in value.items() if item is not None and item != ""}


@pytest.mark.parametrize("name", FROM_ANTHROPIC)
def test_the_openai_sdk_gathers_the_same_as_from_a_whole_answer(name: str) -> None:
    stream = FROM_ANTHROPIC[name]
    translation = find("openai", "anthropic")
    assert translation is not None
    whole = translation.translate_response(anthropic_reads(stream), "asked", now_s=7)
    same(openai_reads(translate(stream, "openai", include_usage=True, now_s=7)), whole)


@pytest.mark.parametrize("name", FROM_OPENAI)
def test_the_anthropic_sdk_gathers_the_same_as_from_a_whole_answer(name: str) -> None:
    stream = FROM_OPENAI[name]
    translation = find("anthropic", "openai")
    assert translation is not None
    whole = translation.translate_response(openai_reads(stream), "asked")
    same(anthropic_reads(translate(stream, "anthropic")), whole)


BOTH = [("openai", name, stream) for name, stream in FROM_ANTHROPIC.items()]
BOTH += [("anthropic", name, stream) for name, stream in FROM_OPENAI.items()]


@pytest.mark.parametrize(("client", "stream"), [(c, s) for c, _, s in BOTH], ids=[f"{c}-{n}" for c, n, _ in BOTH])
def test_cuts_change_nothing(client: str, stream: bytes) -> None:
    whole = translate(stream, client)
    assert translate(stream, client, [stream[at : at + 1] for at in range(len(stream))]) == whole
    for at in range(1, len(stream), 7):
        assert translate(stream, client, [stream[:at], stream[at:]]) == whole
    assert translate(stream.replace(b"\n", b"\r\n"), client) == whole


@pytest.mark.parametrize(("client", "stream"), [(c, s) for c, _, s in BOTH], ids=[f"{c}-{n}" for c, n, _ in BOTH])
def test_a_cut_stream_gets_no_end(client: str, stream: bytes) -> None:
    """Without the provider's own end the client gets none; what came before it is all passed on."""
    whole = translate(stream, client)
    translation = find(client, "openai" if client == "anthropic" else "anthropic")
    assert translation is not None
    events = SseDecoder().feed(stream)
    for kept in range(len(events)):
        translator = translation.start_stream("asked")
        out = b"".join(piece for event in events[:kept] for piece in translator.feed(event))
        out += b"".join(translator.finish())
        if translator.complete:
            # A reason to stop is an end, even if what should follow it is missing.
            assert any(
                b'"finish_reason": "' in event.raw or b'"stop_reason": "' in event.raw for event in events[:kept]
            )
            assert out.endswith((b'event: message_stop\ndata: {"type":"message_stop"}\n\n', b"data: [DONE]\n\n"))
        else:
            assert whole.startswith(out)
            assert b"[DONE]" not in out
            assert b"message_stop" not in out


@pytest.mark.parametrize("name", FROM_ANTHROPIC)
@pytest.mark.parametrize("include_usage", [True, False])
def test_chunks_keep_to_openais_published_description(name: str, include_usage: bool, validator: Any) -> None:
    out = translate(FROM_ANTHROPIC[name], "openai", include_usage=include_usage, now_s=7).decode()
    found = validator.sse("createChatCompletion", out, include_usage="yes" if include_usage else "no")
    assert [error for error in found if error["kind"] != "published"] == []


def events_of(stream: bytes) -> list[Json]:
    return [json.loads(event.data) for event in SseDecoder().feed(stream) if event.data and event.data != b"[DONE]"]


def test_interleaved_calls_become_blocks_one_after_the_other() -> None:
    events = [
        (event["type"], event.get("index"))
        for event in events_of(translate(FROM_OPENAI["interleaved"], "anthropic"))
        if event["type"].startswith("content_block")
    ]
    assert events == [
        ("content_block_start", 0),
        ("content_block_delta", 0),
        ("content_block_stop", 0),
        ("content_block_start", 1),
        ("content_block_delta", 1),
        ("content_block_stop", 1),
    ]


def test_arguments_of_the_open_call_are_not_held_back() -> None:
    """Each fragment leaves with the chunk that brought it."""
    decoder, translator = SseDecoder(), anthropic_openai.start_stream("m")
    chunks = [call(0, "", "weather"), call(0, '{"city": "P'), call(0, 'aris"}'), call(1, "", "clock"), call(1, "{}")]
    sent = [b"".join(translator.feed(decoder.feed(openai_stream(one, done=False))[0])) for one in chunks]
    assert [b"input_json_delta" in piece for piece in sent] == [False, True, True, False, True]
    assert b'"name":"clock"' in sent[3]


def test_another_id_at_the_same_index_is_another_call() -> None:
    again = call(0, '{"b":2}', "second", id="call_other")
    out = translate(openai_stream(call(0, '{"a":1}', "first"), again, chunk({}, "tool_calls")), "anthropic")
    message = anthropic_reads(out)
    assert [(block["id"], block["input"]) for block in message["content"]] == [
        ("call_0", {"a": 1}),
        ("call_other", {"b": 2}),
    ]


def test_calls_without_numbers_are_told_apart_by_their_ids() -> None:
    def bare(**fields: Any) -> Json:
        return chunk({"tool_calls": [fields]})

    out = translate(
        openai_stream(
            bare(id="a", function={"name": "f", "arguments": "{"}),
            bare(function={"arguments": "}"}),
            bare(id="b", function={"name": "g", "arguments": ""}),
            chunk({}, "stop"),
        ),
        "anthropic",
    )
    assert [(block["id"], block["name"]) for block in anthropic_reads(out)["content"]] == [("a", "f"), ("b", "g")]


def test_a_call_that_goes_on_after_its_end_is_an_error() -> None:
    broken = openai_stream(call(0, '{"a"', "f"), chunk({"content": "x"}), call(0, ":1}"))
    with pytest.raises(UpstreamFailed, match="goes on with the tool call call_0"):
        translate(broken, "anthropic")


def test_pings_keep_both_kinds_of_clients_waiting() -> None:
    assert translate(anthropic_stream(PING), "openai") == b": ping\n\n"
    assert translate(b": keep-alive\n\n", "anthropic") == b'event: ping\ndata: {"type":"ping"}\n\n'
    assert translate(b"\n", "anthropic") == b""


def test_an_error_event_ends_an_openai_stream_without_done() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    out = translate(anthropic_stream(start(), *text(0, "Hi"), error, *end()), "openai")
    assert b"[DONE]" not in out
    with pytest.raises(openai.APIError, match="Overloaded") as caught:
        openai_reads(out)
    assert caught.value.code == "overloaded"


def test_an_error_event_ends_an_anthropic_stream_without_message_stop() -> None:
    error = {"error": {"message": "Slow down", "type": "requests", "code": "rate_limit_exceeded", "param": None}}
    out = translate(openai_stream(ROLE, chunk({"content": "Hi"}), error, chunk({}, "stop")), "anthropic")
    assert b"message_stop" not in out
    with pytest.raises(anthropic.APIStatusError) as caught:
        anthropic_reads(out)
    assert caught.value.type == "rate_limit_error"
    assert caught.value.api_message == "Slow down"


@pytest.mark.parametrize("data", [b"not json", b"[1]", b'"x"', b"7"])
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_garbage_is_the_providers_failure(client: str, data: bytes) -> None:
    with pytest.raises(UpstreamFailed, match="The provider's stream has"):
        translate(encode(data), client)


def test_unknown_events_and_a_providers_own_tools_are_passed_over() -> None:
    own = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    stream = anthropic_stream(
        start(),
        {"type": "something_new"},
        *block(0, own, {"type": "input_json_delta", "partial_json": '{"query":"x"}'}),
        *text(1, "Found."),
        *end(),
    )
    (choice,) = openai_reads(translate(stream, "openai"))["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Found."}


def test_usage_is_told_only_if_asked_for() -> None:
    assert b"usage" not in translate(FROM_ANTHROPIC["cached"], "openai")
    chunks = events_of(translate(FROM_ANTHROPIC["cached"], "openai", include_usage=True))
    assert [chunk_["usage"] for chunk_ in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-1]["choices"] == []


def test_counts_known_at_the_end_are_all_in_message_delta() -> None:
    (delta,) = [e for e in events_of(translate(FROM_OPENAI["text"], "anthropic")) if e["type"] == "message_delta"]
    assert delta["usage"] == {
        "input_tokens": 10,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 20,
        "output_tokens": 25,
        "output_tokens_details": {"thinking_tokens": 5},
    }
