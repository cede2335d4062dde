"""Cases 21 and 27: streams that break, and errors in streams: another target before the first content, never after."""

import json

import pytest

from tests.streaming.peer import DELTA, PING, ROLE, SSE, START, TEXT, WORDS, event, request, writes

OVERLOADED = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
FAILED = b'data: {"error":{"message":"Out of steam.","type":"server_error","code":null}}\n\n'
UNENDED = FAILED[:-2]
CHUNKED = SSE.replace(b"connection: close", b"transfer-encoding: chunked")
FIRST = {
    "openai, at once": ("openai", [FAILED], 500, False),
    "openai, without an end": ("openai", [UNENDED], 500, False),
    "openai, after the role": ("openai", [ROLE, FAILED], 500, True),
    "anthropic, at once": ("anthropic", [OVERLOADED], 529, False),
    "anthropic, after a ping": ("anthropic", [PING, OVERLOADED], 529, False),
    "anthropic, after the start": ("anthropic", [START, TEXT, PING, OVERLOADED], 529, True),
}
LATER = {
    "openai": ([ROLE, WORDS, FAILED], b"Out of steam."),
    "anthropic": ([START, TEXT, DELTA, OVERLOADED], b"Overloaded"),
}
MODEL = {"openai": "raw/gpt-4o", "anthropic": "claude/claude-haiku-4-5"}
PAIR = {"openai": "raw-then-simulated", "anthropic": "claude-then-simulated"}


def ask(gateway, dialect, model):
    path = "/v1/chat/completions" if dialect == "openai" else "/v1/messages"
    head, _, body = request(dialect, model).partition(b"\r\n\r\n")
    key = head.partition(b"x-api-key: ")[2].partition(b"\r\n")[0].decode()
    return gateway.request("POST", path, body, {"x-api-key": key})


@pytest.mark.parametrize("name", FIRST)
def test_case_27_an_error_first_has_its_true_status(stream_gateway, stream_books, raw_streams, name):
    dialect, events, expected, has_begun = FIRST[name]
    raw_streams.play(writes(SSE, *events))
    status, headers, body = ask(stream_gateway, dialect, MODEL[dialect])
    assert status == expected
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"] in {"Out of steam.", "Overloaded"}
    (attempt,) = stream_books.attempts(1)
    assert attempt.done.outcome == "error"
    if has_begun:  # its prompt may be billed
        assert (attempt.done.flags, attempt.done.meters["input"]) == (("estimated",), 6)
        assert attempt.done.total_femto > 0
    else:
        assert (attempt.done.flags, attempt.done.total_femto) == ((), 0)


@pytest.mark.parametrize("name", FIRST)
def test_case_27_an_error_first_lets_another_answer(stream_gateway, stream_books, raw_streams, name):
    dialect, events, _, _ = FIRST[name]
    raw_streams.play(writes(SSE, *events))
    status, headers, body = ask(stream_gateway, dialect, PAIR[dialect])
    assert (status, headers["x-farebox-attempts"]) == (200, "2")
    assert b'"error"' not in body
    first, second = stream_books.attempts(2)
    assert (first.done.outcome, second.done.outcome) == ("error", "ok")
    assert second.done.total_femto == second.billed_femto


@pytest.mark.parametrize("dialect", LATER)
def test_case_27_an_error_after_content_passes_through(stream_gateway, stream_books, raw_streams, dialect):
    events, message = LATER[dialect]
    raw_streams.play(writes(SSE, *events))
    status, headers, body = ask(stream_gateway, dialect, PAIR[dialect])
    assert (status, headers["x-farebox-attempts"]) == (200, "1")
    assert body == b"".join(events)
    assert message in body
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("error", ("estimated",))
    assert attempt.done.meters == {"input": 6, "output": 4 if dialect == "openai" else attempt.done.meters["output"]}


@pytest.mark.parametrize("dialect", LATER)
@pytest.mark.parametrize("cut", ["reset", "end", "inside a chunk"])
def test_case_21_a_broken_stream_is_said_to_be_one_and_never_continued(
    stream_gateway, stream_books, raw_streams, dialect, cut
):
    events = LATER[dialect][0][:-1]
    if cut == "inside a chunk":
        data = b"".join(events)
        raw_streams.play(writes(CHUNKED, b"%x\r\n%s" % (len(data) + 10, data)))
    else:
        raw_streams.play(writes(SSE, *events, then=cut))
    status, headers, body = ask(stream_gateway, dialect, PAIR[dialect])
    assert (status, headers["x-farebox-attempts"]) == (200, "1")
    assert body.startswith(b"".join(events))
    assert body.count(b"one two three") == 1
    assert b"broke off" in body
    assert b"stream_truncated" in body
    assert b"[DONE]" not in body
    assert b"message_stop" not in body
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))


@pytest.mark.parametrize("dialect", LATER)
@pytest.mark.parametrize("cut", ["reset", "end"])
def test_case_21_before_the_first_content_another_answers(stream_gateway, stream_books, raw_streams, dialect, cut):
    raw_streams.play(writes(SSE, *LATER[dialect][0][:-2], then=cut))
    status, headers, body = ask(stream_gateway, dialect, PAIR[dialect])
    assert (status, headers["x-farebox-attempts"]) == (200, "2")
    assert b'"error"' not in body
    first, second = stream_books.attempts(2)
    assert first.done.flags == ("assumed",)
    assert second.done.total_femto == second.billed_femto
