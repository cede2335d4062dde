"""Case 22: a provider that is silent, or says nothing: the right limit ends it, in time, and another may answer.

Time limits are real here, and the records say how long an attempt took.
"""

import json

import pytest

from tests.streaming.conftest import FIRST_S, IDLE_S, TOTAL_S
from tests.streaming.peer import DELTA, PING, ROLE, SSE, START, TEXT, WORDS, chunk, trickles, writes

MODEL = {"openai": "raw/gpt-4o", "anthropic": "claude/claude-haiku-4-5"}
PAIR = {"openai": "raw-then-simulated", "anthropic": "claude-then-simulated"}
COMMENT = b": still there\n\n"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n"
SILENT = {
    "no head": ("openai", writes(then="hold")),
    "head only": ("openai", writes(SSE, then="hold")),
    "role only": ("openai", writes(SSE, ROLE, then="hold")),
    "comments": ("openai", trickles(SSE, drop=COMMENT, every_s=0.03)),
    "empty deltas": ("openai", trickles(SSE, ROLE, drop=chunk({"content": ""}), every_s=0.03)),
    "empty chunks": ("openai", trickles(SSE, ROLE, drop=chunk(), every_s=0.03)),
    "start only": ("anthropic", writes(SSE, START, TEXT, then="hold")),
    "pings": ("anthropic", trickles(SSE, START, TEXT, drop=PING, every_s=0.03)),
}
STALLED = {
    "silence": ("openai", writes(SSE, ROLE, WORDS, then="hold")),
    "comments": ("openai", trickles(SSE, ROLE, WORDS, drop=COMMENT, every_s=0.03)),
    "pings": ("anthropic", trickles(SSE, START, TEXT, DELTA, drop=PING, every_s=0.03)),
}
BYTE = b"x"


def ask(gateway, dialect, model, *, stream=True):
    body = {"model": model, "messages": [{"role": "user", "content": "Tell me about trains."}], "max_tokens": 50}
    post = gateway.openai if dialect == "openai" else gateway.anthropic
    return post("/chat/completions" if dialect == "openai" else "/messages", {**body, "stream": stream})


def check_took(attempt, limit_s):
    """Never early by more than a tick of the clock, and at most a tenth late; a moment more for a busy machine."""
    assert limit_s - 0.005 <= attempt.done.total_ns / 1e9 <= limit_s * 1.1 + 0.05


@pytest.mark.parametrize("name", SILENT)
def test_case_22_no_first_token(stream_gateway, stream_books, raw_streams, name):
    dialect, script = SILENT[name]
    raw_streams.play(script)
    status, _, body = ask(stream_gateway, dialect, MODEL[dialect])
    assert status == 504
    error = json.loads(body)["error"]
    assert "provider_timeout" in (error.get("code"), error.get("details", {}).get("error_code"))
    assert f"within {FIRST_S:g} s (first_token_timeout_s)" in error["message"]
    (attempt,) = stream_books.attempts(1)
    assert attempt.done.flags == ("assumed",)
    check_took(attempt, FIRST_S)


@pytest.mark.parametrize("name", ["role only", "pings"])
def test_case_22_another_answers_while_nothing_was_forwarded(stream_gateway, stream_books, raw_streams, name):
    dialect, script = SILENT[name]
    raw_streams.play(script)
    status, headers, body = ask(stream_gateway, dialect, PAIR[dialect])
    assert (status, headers["x-farebox-attempts"]) == (200, "2")
    assert body.count(b"message_start" if dialect == "anthropic" else b'"role"') <= 2, "of one answer"
    assert b"error" not in body
    first, second = stream_books.attempts(2)
    assert first.done.flags == ("assumed",)
    assert second.done.total_femto == second.billed_femto
    check_took(first, FIRST_S)


@pytest.mark.parametrize("name", STALLED)
def test_case_22_a_stall_between_tokens(stream_gateway, stream_books, raw_streams, name):
    dialect, script = STALLED[name]
    raw_streams.play(script)
    status, headers, body = ask(stream_gateway, dialect, PAIR[dialect])
    assert (status, headers["x-farebox-attempts"]) == (200, "1")
    assert body.count(b"one two three") == 1
    assert f"no content arrived for {IDLE_S:g} s (idle_timeout_s)".encode() in body
    assert b"stream_truncated" in body
    assert b"[DONE]" not in body
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))
    assert attempt.done.meters["output"] >= 3
    check_took(attempt, IDLE_S)


def test_case_22_a_stream_without_end(stream_gateway, stream_books, raw_streams):
    raw_streams.play(trickles(SSE, ROLE, drop=WORDS, every_s=0.03))
    status, _, body = ask(stream_gateway, "openai", PAIR["openai"])
    assert status == 200
    assert f"longer than {TOTAL_S:g} s (total_timeout_s)".encode() in body
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))
    check_took(attempt, TOTAL_S)


@pytest.mark.parametrize(
    ("script", "limit_s", "words"),
    [
        (writes(HEAD, then="hold"), IDLE_S, f"nothing arrived for {IDLE_S:g} s (idle_timeout_s)"),
        (trickles(HEAD, drop=BYTE, every_s=0.03), TOTAL_S, f"longer than {TOTAL_S:g} s (total_timeout_s)"),
    ],
    ids=["silence", "trickle"],
)
def test_case_22_answers_in_one_piece(stream_gateway, stream_books, raw_streams, script, limit_s, words):
    raw_streams.play(script)
    status, _, body = ask(stream_gateway, "openai", MODEL["openai"], stream=False)
    assert status == 504
    assert words in json.loads(body)["error"]["message"]
    (attempt,) = stream_books.attempts(1)
    assert attempt.done.flags == ("assumed",)
    check_took(attempt, limit_s)
