"""Every fault does what it says, seen from the socket."""

import gzip
import json
import socket
import time

import openai
import pytest

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}


class Wire:
    """A bare socket that sends one chat completion and notes how the connection ends."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.data = b""
        self.end = ""

    def ask(self, stream, body=None, **wishes):
        body = json.dumps({**CHAT, "stream": stream, **(body or {})}).encode()
        head = (
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
            f"content-type: application/json\r\nx-simulate: {json.dumps(wishes)}\r\ncontent-length: {len(body)}\r\n\r\n"
        )
        self.socket.sendall(head.encode() + body)

    def read_to_end(self):
        """Everything until the connection ends: ``eof`` or ``reset``."""
        try:
            while part := self.socket.recv(65536):
                self.data += part
            self.end = "eof"
        except ConnectionResetError:
            self.end = "reset"
        finally:
            self.socket.close()

    def read_until(self, mark, times=1):
        while self.data.count(mark) < times:
            part = self.socket.recv(65536)
            assert part, f"the connection ended before {mark!r}"
            self.data += part

    def read_nothing(self, seconds=0.15):
        """Asserts silence on an open connection."""
        self.socket.settimeout(seconds)
        with pytest.raises(TimeoutError):
            self.socket.recv(1)
        self.socket.settimeout(5)


@pytest.fixture
def wire(sim):
    made = Wire(sim.port)
    yield made
    made.socket.close()


def wait_for_row(sim, outcome):
    """The last row of the bill once it has this outcome; the server notices a departure in its own time."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        rows = sim.rows()
        if rows and rows[-1].outcome == outcome:
            return rows[-1]
        time.sleep(0.005)
    raise AssertionError(f"no row became {outcome!r}: {sim.rows()}")


@pytest.mark.parametrize(("fault", "end"), [("close_before_headers", "eof"), ("reset_before_headers", "reset")])
@pytest.mark.parametrize("stream", [True, False])
def test_nothing_comes_before_the_end(wire, sim, fault, end, stream):
    wire.ask(stream, fault=fault, output_tokens=10)
    wire.read_to_end()
    assert (wire.data, wire.end) == (b"", end)
    [row] = sim.rows()
    assert row.outcome == "cut"
    assert row.quantities.get("output", 0) == (0 if stream else 10), "a body is generated before its first byte"


@pytest.mark.parametrize("stream", [True, False])
def test_a_hang_lasts_until_the_caller_leaves_or_the_time_is_over(wire, sim, stream):
    wire.ask(stream, fault="hang_before_headers")
    wire.read_nothing()
    wire.socket.close()
    assert wait_for_row(sim, "left").quantities["input"] == 2
    short = Wire(sim.port)
    short.ask(stream, fault="hang_before_headers", stall_ms=20)
    short.read_until(b"200")
    short.socket.close()


@pytest.mark.parametrize(
    ("cut", "end", "tail"),
    [
        ("reset", "reset", b"\r\n"),
        ("inside_chunk", "eof", b"400\r\ndata: {"),
        ("clean", "eof", b"0\r\n\r\n"),
        ("close_delimited", "eof", b"\n\n"),
    ],
)
def test_streams_are_cut_mid_way(wire, sim, cut, end, tail):
    wire.ask(True, fault="cut_mid_stream", cut=cut, after_chunks=3, output_tokens=40)
    if cut == "clean":
        wire.read_until(tail)
        wire.read_nothing()
    else:
        wire.read_to_end()
        assert wire.end == end
    assert wire.data.endswith(tail)
    assert wire.data.count(b'"content":"') == 4, "the role and three parts"
    assert b"[DONE]" not in wire.data
    head = wire.data.partition(b"\r\n\r\n")[0].lower()
    assert (b"chunked" in head) == (cut != "close_delimited")
    [row] = sim.rows()
    assert (row.outcome, row.quantities["output"]) == ("cut", 12)


@pytest.mark.parametrize(
    ("cut", "end"), [("reset", "reset"), ("inside_chunk", "eof"), ("close_delimited", "eof"), ("clean", "")]
)
def test_bodies_are_cut_half_way_and_billed_in_full(wire, sim, cut, end):
    wire.ask(False, fault="cut_mid_stream", cut=cut, output_tokens=40)
    if end:
        wire.read_to_end()
    else:
        wire.read_until(b"0\r\n\r\n")
    assert wire.end == end
    assert b'"usage"' not in wire.data
    [row] = sim.rows()
    assert (row.outcome, row.quantities["output"]) == ("cut", 40)


@pytest.mark.parametrize(("policy", "output"), [("generated", 8), ("everything", 40), ("nothing", None)])
def test_what_a_cut_costs_can_be_chosen(wire, sim, policy, output):
    wire.ask(True, fault="cut_mid_stream", after_chunks=2, output_tokens=40, bill_on_cut=policy)
    wire.read_to_end()
    [row] = sim.rows()
    assert row.quantities.get("output") == output
    assert (row.amount == 0) == (output is None)


@pytest.mark.parametrize("stream", [True, False])
def test_a_stall_is_silent_and_ends(sim, wire, stream):
    wire.ask(stream, fault="stall", after_chunks=2)
    if stream:
        wire.read_until(b'"content":"', times=3)  # the role and two parts
        wire.read_until(b"\n\n", times=3)
    else:
        wire.read_until(b"chatcmpl-")
    wire.read_nothing()
    wire.socket.close()
    row = wait_for_row(sim, "left")
    assert row.quantities["output"] == (8 if stream else row.quantities["output"])
    short = Wire(sim.port)
    short.ask(stream, fault="stall", after_chunks=2, stall_ms=20)
    short.read_until(b"[DONE]" if stream else b'"usage"')
    short.socket.close()
    assert sim.rows()[-1].outcome == "complete"


def test_a_caller_who_leaves_pays_for_what_was_made(wire, sim):
    wire.ask(True, tokens_per_s=200, output_tokens=2000)
    wire.read_until(b'"content":"')
    wire.socket.close()
    row = wait_for_row(sim, "left")
    assert 0 <= row.quantities.get("output", 0) < 2000
    assert row.quantities["input"] == 2


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("garbage", "mark"),
    [
        ("html", b"<!DOCTYPE html>"),
        ("truncated_json", b'"mess'),
        ("invalid_utf8", b"\xff\xfe"),
        ("empty", b"content-length: 0"),
        ("not_an_object", b'["not"'),
    ],
)
def test_garbage_is_garbage_and_is_billed(wire, sim, garbage, mark, stream):
    wire.ask(stream, fault="garbage", garbage=garbage)
    wire.read_until(mark)
    assert wire.data.startswith(b"HTTP/1.1 200")
    assert sim.rows()[0].amount > 0


def test_a_malformed_event_stands_in_an_otherwise_whole_stream(wire):
    wire.ask(True, fault="malformed_sse", after_chunks=1, output_tokens=9)
    wire.read_until(b"[DONE]")
    events = [line[6:] for line in wire.data.split(b"\n") if line.startswith(b"data: {")]
    broken = [e for e in events if not e.rstrip().endswith(b"}")]
    assert len(broken) == 1


def test_an_error_event_ends_a_stream_without_done(gpt, sim):
    wishes = {"fault": "error_event", "after_chunks": 2, "message": "it broke", "output_tokens": 40}
    messages = [{"role": "user", "content": f"[[simulate {json.dumps(wishes)}]]"}]
    with (
        pytest.raises(openai.APIError, match="it broke"),
        gpt.chat.completions.create(model="gpt-4o-mini", messages=messages, stream=True) as chunks,
    ):
        list(chunks)
    assert sim.rows()[0].quantities["output"] == 8


@pytest.mark.parametrize(("fault", "usage"), [("missing_usage", "absent"), ("null_usage", None), ("zero_usage", 0)])
@pytest.mark.parametrize("stream", [True, False])
def test_usage_can_be_missing_null_or_zero_but_the_bill_is_true(hands, sim, fault, usage, stream):
    wishes = {"x-simulate": json.dumps({"fault": fault, "output_tokens": 9})}
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    body = hands.openai("/v1/chat/completions", {**CHAT, **more}, wishes)[2]
    if stream:
        chunks = [json.loads(e[6:]) for e in body.split(b"\n\n") if e.startswith(b"data: {")]
        last = chunks[-1] if chunks[-1]["choices"] == [] else {}
    else:
        last = json.loads(body)
    found = last.get("usage", "absent")
    assert (found["total_tokens"] if isinstance(found, dict) else found) == usage
    assert sim.rows()[0].quantities == {"input": 2, "output": 9}
    last_row = sim.rows()[0].usage
    assert (last_row is None) == (usage != 0)


@pytest.mark.parametrize("fault", ["missing_usage", "null_usage", "zero_usage"])
@pytest.mark.parametrize("stream", [True, False])
def test_anthropics_usage_can_lie_too(hands, sim, fault, stream):
    wishes = {"x-simulate": json.dumps({"fault": fault, "output_tokens": 9})}
    request = {**CHAT, "model": "claude-haiku-4-5", "max_tokens": 50, "stream": stream}
    body = hands.anthropic("/v1/messages", request, wishes)[2]
    sign = {"missing_usage": b"usage", "null_usage": b'"usage":null', "zero_usage": b'"output_tokens":0'}[fault]
    assert (sign in body) == (fault != "missing_usage")
    assert sim.rows()[0].quantities == {"input": 2, "output": 9}


def test_an_embedding_can_lack_its_usage(hands, sim):
    request = {"model": "text-embedding-3-small", "input": "abcd", "dimensions": 2}
    body = hands.openai("/v1/embeddings", request, {"x-simulate": '{"fault": "missing_usage"}'})[2]
    assert "usage" not in json.loads(body)
    assert sim.rows()[0].quantities == {"input": 1}


@pytest.mark.parametrize("stream", [True, False])
def test_bodies_and_streams_are_compressed_only_where_accepted(hands, stream):
    wishes = {"x-simulate": '{"gzip": true}'}
    request = {**CHAT, "stream": stream}
    plain = hands.openai("/v1/chat/completions", request, {**wishes, "accept-encoding": "identity"})
    packed = hands.openai("/v1/chat/completions", request, {**wishes, "accept-encoding": "gzip, br"})
    assert "content-encoding" not in plain[1]
    assert packed[1]["content-encoding"] == "gzip"
    text = gzip.decompress(packed[2])
    assert (b"[DONE]" in text) if stream else ("choices" in json.loads(text))


def test_a_stream_can_begin_with_a_byte_order_mark(hands):
    body = hands.openai("/v1/chat/completions", {**CHAT, "stream": True}, {"x-simulate": '{"bom": true}'})[2]
    assert body.startswith(b"\xef\xbb\xbfdata: {")


def test_more_than_the_cap_can_be_generated(hands):
    wishes = {"x-simulate": '{"ignore_max_tokens": true, "output_tokens": 55}'}
    body = json.loads(hands.openai("/v1/chat/completions", {**CHAT, "max_tokens": 1}, wishes)[2])
    assert body["usage"]["completion_tokens"] == 55


def test_the_first_token_and_the_pace_can_be_slow(wire):
    began = time.monotonic()
    wire.ask(True, ttft_ms=60, tokens_per_s=400, output_tokens=40)
    wire.read_until(b'"role"')
    role_s = time.monotonic() - began
    wire.read_until(b"[DONE]")
    whole_s = time.monotonic() - began
    assert whole_s >= 0.16, "60 ms to the first token and 40 tokens at 400 a second"
    assert role_s < whole_s - 0.1


def test_an_answer_that_is_not_streamed_takes_as_long(wire):
    began = time.monotonic()
    wire.ask(False, latency_ms=30, ttft_ms=30, tokens_per_s=400, output_tokens=20)
    wire.read_until(b'"usage"')
    assert time.monotonic() - began >= 0.11


def test_connections_are_refused_for_a_while(hands, sim):
    assert hands.order("refuse", {"for_ms": 250})[0] == 200
    refused = served = 0
    until = time.monotonic() + 5
    while not (refused and served) and time.monotonic() < until:
        try:
            served += hands.openai("/v1/chat/completions", CHAT)[0] == 200 and refused > 0
        except ConnectionRefusedError:
            refused += 1
            time.sleep(0.01)
    assert refused
    assert served
    assert hands.order("refuse", {"for": 1})[0] == 400


def test_rules_strike_the_requests_they_name(hands, sim):
    def statuses(count, **change):
        return [hands.openai("/v1/chat/completions", {**CHAT, **change})[0] for _ in range(count)]

    sim.configure(rules=[{"nth": [2, 4], "status": 500}])
    assert statuses(5) == [200, 500, 200, 500, 200]
    sim.configure(rules=[{"every": 3, "status": 503}, {"first": 1, "status": 429}])
    assert statuses(6) == [429, 200, 503, 200, 200, 503]
    sim.configure(rules=[{"model": "gpt-4o", "status": 500}])
    assert statuses(1) + statuses(1, model="gpt-4o") == [200, 500]
    sim.configure(rules=[{"api": "anthropic", "status": 500}, {"stream": True, "status": 503}])
    assert statuses(1) + statuses(1, stream=True) == [200, 503]
    sim.configure(rules=[{"probability": 0.5, "seed": 3, "status": 500}])
    first = statuses(20)
    sim.configure(rules=[{"probability": 0.5, "seed": 3, "status": 500}])
    assert statuses(20) == first
    assert {200, 500} == set(first)


def test_the_operator_changes_settings_while_it_runs(hands, sim):
    assert hands.order("config", {"defaults": {"output_tokens": 7}})[0] == 200
    body = json.loads(hands.openai("/v1/chat/completions", CHAT)[2])
    assert body["usage"]["completion_tokens"] == 7
    status, bill = hands.order("bill")
    assert (status, bill["count"], bill["total_usd"]) == (200, 1, sim.rows()[0].amount_usd)
    assert hands.order("config", {"rules": [{"status": 429}]})[1]["defaults"] == {"output_tokens": 7}
    assert hands.order("reset", {})[1]["rules"] == []
    assert hands.order("bill")[1]["count"] == 0


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"defaults": {"fautl": "stall"}}, "fautl"),
        ({"rules": [{"nth": "x", "status": 429}]}, "nth"),
        ({"rules": [{"every": 0, "status": 429}]}, "every must be at least 1"),
        ({"defaults": {"fault": "status"}}, "needs a status"),
        ({"colour": 1}, "colour"),
        ([], "one JSON object"),
    ],
)
def test_settings_that_cannot_be_used_are_refused_by_name(hands, settings, words):
    status, answer = hands.order("config", settings)
    assert status == 400
    assert words in answer["error"]


@pytest.mark.parametrize(
    "place",
    [
        {"messages": [{"role": "user", "content": 'a [[simulate {"output_tokens": 5}]] b'}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": '[[simulate {"output_tokens": 5}]]'}]}]},
        {"user": '{"output_tokens": 5}'},
    ],
)
def test_directives_are_found_in_the_body(hands, place):
    body = json.loads(hands.openai("/v1/chat/completions", {**CHAT, **place})[2])
    assert body["usage"]["completion_tokens"] == 5


def test_directives_are_found_in_anthropics_metadata_and_other_users_are_left_alone(hands):
    request = {**CHAT, "model": "claude-haiku-4-5", "max_tokens": 50}
    for user, same in (('{"output_tokens": 5}', True), ('{"device": 5}', False), ("{oops", False)):
        status, _, body = hands.anthropic("/v1/messages", {**request, "metadata": {"user_id": user}})
        assert status == 200
        assert (json.loads(body)["usage"]["output_tokens"] == 5) == same


@pytest.mark.parametrize(
    "text", ["[[simulate {nope}]]", '[[simulate {"bogus": 1}]]', '[[simulate {"output_tokens": 5}', "[[simulate 5]]"]
)
def test_a_directive_that_cannot_be_used_is_an_error(hands, text):
    status, _, body = hands.openai("/v1/chat/completions", {**CHAT, "messages": [{"role": "user", "content": text}]})
    assert status == 400
    assert b"simulate: " in body


def test_requests_on_one_connection_are_answered_in_turn(wire, sim):
    for tokens in (5, 6, 7):  # all sent before anything is read
        wire.ask(tokens == 6, output_tokens=tokens)
    wire.read_until(b'"completion_tokens":7')
    assert wire.data.count(b"HTTP/1.1 200") == 3
    assert [r.quantities["output"] for r in sim.rows()] == [5, 6, 7]


def test_bytes_that_are_no_http_are_refused(sim):
    wire = Wire(sim.port)
    wire.socket.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
    wire.read_to_end()
    assert wire.data.startswith(b"HTTP/1.1 400")


def test_a_reader_who_does_not_read_is_waited_for(sim, wire):
    wire.ask(True, output_tokens=16_000, chunk_tokens=1)
    time.sleep(0.3)  # enough to generate all of it, were nobody waiting
    assert sim.rows()[0].outcome == "planned"
    wire.read_until(b"[DONE]")
    assert wait_for_row(sim, "complete").quantities["output"] == 16_000
