"""Cases 23 and 28: whatever the form of a stream and wherever it is cut, the client gets its bytes and pays for it."""

import pytest

from tests.streaming.peer import (
    DELTA,
    DONE,
    PATH,
    PING,
    ROLE,
    SSE,
    START,
    STOP,
    TEXT,
    USAGE,
    WORDS,
    chunk,
    event,
    request,
    writes,
)

TOLD = chunk(usage={"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9})
LAST = (
    event("content_block_stop", index=0)
    + event("message_delta", delta={"stop_reason": "end_turn"}, usage={"output_tokens": 9})
    + event("message_stop")
)
TWO_LINES = b'data: {"choices":[{"index":0,\ndata: "delta":{"content":"two lines"}}]}\n\n'
CORPUS = {
    "letters of two to four bytes": [ROLE, chunk({"content": "Grüße, 世界 🚂"}), STOP, DONE],
    "line ends of other worlds": [chunk({"content": "a\u2028b\u2029c\u0085d"}), STOP, DONE],
    "carriage returns and line feeds": [WORDS.replace(b"\n", b"\r\n"), STOP.replace(b"\n", b"\r\n"), DONE],
    "both": [chunk({"content": "Grüße, 世界"}).replace(b"\n", b"\r\n"), STOP.replace(b"\n", b"\r\n"), DONE],
    "carriage returns": [part.replace(b"\n", b"\r") for part in (ROLE, WORDS, STOP, DONE)],
    "data on several lines": [TWO_LINES, STOP, DONE],
    "a byte order mark": [b"\xef\xbb\xbf" + WORDS, STOP, DONE],
    "comments, names, times": [b": hi\n\n", b"event: x\nid: 7\nretry: 10\n" + WORDS, b":\n", STOP, b": bye\n\n", DONE],
    "no space behind the colon": [WORDS.replace(b"data: ", b"data:"), STOP, DONE],
    "what cannot be read": [WORDS, b"data: {broken\n\n", b"nonsense\n\n", STOP, DONE],
}


def ask(gateway, model, *, dialect="openai"):
    head, _, body = request(dialect, model).partition(b"\r\n\r\n")
    key = head.partition(b"x-api-key: ")[2].partition(b"\r\n")[0].decode()
    return gateway.request("POST", PATH[dialect], body, {"x-api-key": key})


def check_paid(attempt):
    assert (attempt.done.outcome, attempt.done.flags) == ("ok", ())
    assert attempt.done.meters == {"input": 6, "output": 3}


@pytest.mark.parametrize("name", CORPUS)
def test_case_23_every_byte_by_itself(stream_gateway, stream_books, raw_streams, name):
    *before, end = CORPUS[name]
    raw = b"".join([*before, TOLD, end])
    raw_streams.play(writes(SSE, *[raw[i : i + 1] for i in range(len(raw))]))
    status, _, body = ask(stream_gateway, "slow/gpt-4o")
    assert (status, body) == (200, raw.replace(TOLD, b"")), "all but the usage that was not asked for"
    (attempt,) = stream_books.attempts(1)
    check_paid(attempt)


def test_case_23_every_cut(stream_gateway, stream_books, raw_streams):
    *before, end = CORPUS["both"]
    raw = b"".join([*before, TOLD, end])
    for cut in range(1, len(raw)):
        raw_streams.play(writes(SSE + raw[:cut], raw[cut:]))
        assert ask(stream_gateway, "slow/gpt-4o")[2] == raw.replace(TOLD, b"")
    for attempt in stream_books.attempts(len(raw) - 1):
        check_paid(attempt)


def test_case_23_the_price_is_put_in_wherever_the_stream_was_cut(stream_gateway, stream_books, raw_streams):
    told = TOLD.replace(b"\n", b"\r\n")
    raw_streams.play(writes(SSE, STOP.replace(b"\n", b"\r\n")[:-1], b"\n" + told, DONE))
    body = {"model": "slow/gpt-4o", "messages": [{"role": "user", "content": "Tell me about trains."}]}
    wishes = {"stream": True, "stream_options": {"include_usage": True}}
    _, _, answer = stream_gateway.openai("/chat/completions", {**body, **wishes})
    assert answer.startswith(STOP.replace(b"\n", b"\r\n"))
    assert answer.count(b'"cost":"0.0000') == 1
    check_paid(*stream_books.attempts(1))


@pytest.mark.parametrize(
    ("parts", "flags", "output"),
    [
        ([ROLE, WORDS, STOP, DONE], ("estimated", "no_usage"), 4),
        ([ROLE, WORDS, STOP, chunk(usage=None), DONE], ("estimated", "no_usage"), 4),
        ([ROLE, WORDS, STOP, DONE, USAGE], (), 3),
        ([ROLE, WORDS, STOP, USAGE, USAGE, DONE], (), 3),
        ([ROLE, USAGE, WORDS, STOP, USAGE, DONE], (), 3),
        ([ROLE, WORDS, STOP, USAGE, DONE], (), 3),
    ],
    ids=["missing", "null", "late", "twice", "early and late", "as it should be"],
)
def test_case_24_usage_in_every_place(stream_gateway, stream_books, raw_streams, parts, flags, output):
    raw_streams.play(writes(SSE, *parts))
    status, _, body = ask(stream_gateway, "slow/gpt-4o")
    assert status == 200
    assert body == b"".join(part for part in parts if part is not USAGE), "what was not asked for is not seen"
    (sent,) = raw_streams.received
    assert b'"include_usage":true' in sent[2]
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("ok", flags)
    assert attempt.done.meters == {"input": 6, "output": output}
    assert attempt.done.total_femto > 0


def call(index, id_=None, **function):
    return chunk({"tool_calls": [{"index": index, **({"id": id_} if id_ else {}), "function": function}]})


TOOLS = [
    ROLE,
    call(0, "call_1", name="find", arguments=""),
    call(0, arguments='{"q":'),
    call(0, arguments='{"q":'),  # the same again
    call(7, arguments="lost"),  # of no call that has begun
    call(0, "call_2", name="find", arguments='"x"}'),  # another one under the same index
    call(0, arguments=""),
    chunk({}, "tool_calls"),
    USAGE,
    DONE,
]


def test_case_28_odd_pieces_of_tool_calls_pass_as_they_are(stream_gateway, stream_books, raw_streams):
    raw_streams.play(writes(SSE, *TOOLS))
    _, _, body = ask(stream_gateway, "slow/gpt-4o")
    assert body == b"".join(part for part in TOOLS if part is not USAGE)
    (attempt,) = stream_books.attempts(1)
    check_paid(attempt)


def test_case_28_what_odd_pieces_of_tool_calls_said_counts_when_they_break_off(
    stream_gateway, stream_books, raw_streams
):
    raw_streams.play(writes(SSE, *TOOLS[:6]))
    ask(stream_gateway, "slow/gpt-4o")
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))
    written = len('find{"q":{"q":lostfind"x"}')
    assert attempt.done.meters == {"input": 6, "output": -(-written // 4)}


def test_case_28_trailers_are_not_passed_on(stream_gateway, stream_books, raw_streams):
    """HTTP/1.1 has no GOAWAY; what may follow a body in chunks is no part of the answer."""
    parts = b"".join([START, TEXT, PING, DELTA, LAST])
    head = SSE.replace(b"connection: close", b"transfer-encoding: chunked\r\ntrailer: x-usage")
    raw_streams.play(writes(head, b"%x\r\n%s\r\n0\r\nx-usage: 1\r\nx-api-key: no\r\n\r\n" % (len(parts), parts)))
    with stream_gateway.connect() as connection:
        connection.sendall(
            request("anthropic", "claude/claude-haiku-4-5").replace(b"host: a", b"host: a\r\nte: trailers")
        )
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            more = connection.recv(65536)
            assert more, received
            received += more
    assert b"x-usage" not in received
    assert received.count(b"message_stop") == 2
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("ok", ())
    assert attempt.done.meters == {"input": 6, "output": 9}
