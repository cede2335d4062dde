"""Client and provider of the same dialect: what one sends is what the other gets."""

import json
from typing import Any

import pytest

BODY = {
    "model": "raw/gpt-4o",
    "messages": [{"role": "user", "content": 'Grüße, 世界 \u2028 "quoted" \\ \u0001', "name": "ada"}],
    "temperature": 0.30000000000000004,
    "seed": 9007199254740993,
    "flavour": {"nested": [None, True, {"deep": [1.5e-7, -0.0]}]},
    "logit_bias": {"50256": -100},
    "max_tokens": None,
}
# As no serialiser of ours would write it: order, blanks, escapes and unknown fields must survive.
ANSWER = (
    b'{ "object":"chat.completion","x_unknown" : [1.0, 2e3] ,"id":"chatcmpl-1",\n "model":"gpt-4o-2024-08-06",'
    b'"choices":[{"finish_reason":"stop","index":0,"message":{"role":"assistant","content":"\\u00fc \xe4\xb8\x96"}}],'
    b'"usage":{"total_tokens":30,"prompt_tokens":10,"completion_tokens":20}  }\n'
)
CHUNKS = [
    b": keep-alive\n\n",
    b'data: {"id":"c","model":"gpt-4o-2024-08-06","choices":[{"index":0,"delta":{"role":"assistant"}}]}\n\n',
    b'event: x\ndata: {"choices" : [{"index":0,"delta":{"content":"\\u00fc\xe4\xb8\x96\xe2\x80\xa8"}}]}\r\n\r\n',
    b'data:{"id":"c",\ndata:"choices":[{"index":0,"delta":{"content":"b"}}],"odd":1}\n\n',
    b'data: {"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n',
]
USAGE = b'data: {"id":"c", "choices":[], "usage":{"prompt_tokens":10,"completion_tokens":20,"total_tokens":30}}\n\n'
DONE = b"data: [DONE]\n\n"
COST_FEMTO = 10 * 2_500_000_000 + 20 * 10_000_000_000
MESSAGE = (
    b'{"type":"message", "id":"msg_1","role":"assistant","model":"claude-haiku-4-5","content":[],"odd":{"a":1.0},'
    b'"stop_reason":"end_turn","stop_sequence":null,"usage":{"input_tokens":7,"output_tokens":3}}'
)
EVENTS = b"""event: message_start
data: {"type":"message_start", "message":{"id":"m","type":"message","role":"assistant","model":"claude-haiku-4-5",
data: "content":[],"usage":{"input_tokens":7,"output_tokens":1}}}

event: ping
data: {"type": "ping"}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"hi"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0 }

"""
DELTA = (
    b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},'
    b'"usage":{"output_tokens":3}}\n\n'
)
STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


def test_a_whole_answer(gateway, raw, books):
    raw.whole(ANSWER, x_ratelimit_limit_requests="5", x_request_id="req_abc", set_cookie="secret=1")
    status, headers, body = gateway.openai("/chat/completions", BODY)
    assert (status, body) == (200, ANSWER)
    assert headers["content-type"] == "application/json"
    assert headers["x-request-id"] == "req_abc"
    assert headers["x-ratelimit-limit-requests"] == "5"
    assert "set-cookie" not in headers
    (attempt,) = books.attempts(1)
    assert attempt.done.total_femto == COST_FEMTO
    assert attempt.done.usage_raw == b'{"total_tokens":30,"prompt_tokens":10,"completion_tokens":20}'
    ((line, sent, received),) = raw.received
    assert line == "POST /v1/chat/completions HTTP/1.1"
    assert json.loads(received) == {**BODY, "model": "gpt-4o"}
    assert list(json.loads(received)) == list(BODY)
    assert len(received) == attempt.sent.body_bytes
    assert sent["authorization"] == "Bearer sk-raw"
    assert sent["x-team"] == "search"
    assert sent["x-client-request-id"] == attempt.sent.attempt
    assert sent["accept-encoding"] == "identity"


def test_what_the_provider_gets_keeps_every_number_and_character(gateway, raw):
    raw.whole(ANSWER)
    gateway.openai("/chat/completions", json.dumps(BODY, ensure_ascii=True).encode())
    gateway.openai("/chat/completions", json.dumps(BODY, ensure_ascii=False, indent=3).encode())
    first, second = (received for _, _, received in raw.received)
    assert first == second
    assert b"9007199254740993" in first
    assert b"0.30000000000000004" in first
    assert json.loads(first)["messages"] == BODY["messages"]


@pytest.mark.parametrize("wants_usage", [True, False])
def test_a_stream(gateway, raw, books, wants_usage):
    raw.stream(*CHUNKS, USAGE, DONE)
    body: dict[str, Any] = {**BODY, "stream": True}
    if wants_usage:
        body["stream_options"] = {"include_usage": True, "include_obfuscation": False}
    status, headers, received = gateway.openai("/chat/completions", body)
    assert status == 200
    assert headers["content-type"] == "text/event-stream"
    priced = USAGE.replace(b'{"id":"c", "choices":[], ', b'{"id":"c","choices":[],').replace(
        b'"total_tokens":30', b'"total_tokens":30,"cost":"0.000225"'
    )
    assert received == b"".join([*CHUNKS, priced if wants_usage else b"", DONE])
    (attempt,) = books.attempts(1)
    assert (attempt.done.total_femto, attempt.done.flags, attempt.done.outcome) == (COST_FEMTO, (), "ok")
    options = {**body.get("stream_options", {}), "include_usage": True}
    assert json.loads(raw.received[0][2]) == {**body, "model": "gpt-4o", "stream_options": options}


@pytest.mark.parametrize("width", [1, 3, 7, 64])
def test_a_stream_cut_into_odd_pieces(gateway, raw, books, width):
    chunks = CHUNKS if width > 3 else CHUNKS[3:]  # each piece takes a moment
    stream = b"".join([*chunks, USAGE, DONE])
    pieces = [stream[at : at + width] for at in range(0, len(stream), width)]
    raw.stream(*pieces)
    _, _, received = gateway.openai("/chat/completions", {**BODY, "stream": True})
    assert received == stream.replace(USAGE, b"")
    (attempt,) = books.attempts(1)
    assert (attempt.done.total_femto, attempt.done.outcome) == (COST_FEMTO, "ok")


def test_a_message(gateway, raw, books):
    raw.whole(MESSAGE, request_id="req_1")
    body = {"model": "raw-claude/claude-haiku-4-5", "max_tokens": 5, "messages": BODY["messages"], "odd": [1.0]}
    status, headers, received = gateway.anthropic("/messages", body)
    assert (status, received, headers["request-id"]) == (200, MESSAGE, "req_1")
    (attempt,) = books.attempts(1)
    assert attempt.done.meters == {"input": 7, "output": 3}
    assert attempt.done.total_femto == 7 * 1_000_000_000 + 3 * 5_000_000_000
    assert json.loads(raw.received[0][2]) == {**body, "model": "claude-haiku-4-5"}


def test_a_stream_of_messages(gateway, raw, books):
    raw.stream(EVENTS, DELTA, STOP)
    body = {"model": "raw-claude/claude-haiku-4-5", "max_tokens": 5, "messages": BODY["messages"], "stream": True}
    _, _, received = gateway.anthropic("/messages", body)
    priced = DELTA.replace(b'"output_tokens":3', b'"output_tokens":3,"cost":"0.000022"')
    assert received == b"".join([EVENTS, priced, STOP])
    (attempt,) = books.attempts(1)
    assert (attempt.done.meters, attempt.done.outcome) == ({"input": 7, "output": 3}, "ok")
    assert json.loads(raw.received[0][2]) == {**body, "model": "claude-haiku-4-5"}


@pytest.mark.parametrize("controls", [{"crlf": True}, {"comments": True}, {"multi_line_data": True}, {"bom": True}])
@pytest.mark.parametrize("more", [{}, {"no_space": True, "split_bytes": 11}])
@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5"])
def test_every_form_of_a_stream_is_metered_exactly(gpt, books, controls, more, model):
    wish = json.dumps({**controls, **more, "output_tokens": 40})
    stream = gpt.chat.completions.create(
        model=model, messages=[{"role": "user", "content": f"Hi [[simulate {wish}]]"}], stream=True
    )
    assert len("".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)) == 160
    books.exact()
