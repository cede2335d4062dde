"""Targets are tried in order until one answers; every attempt is on record, and only the client's answer is final."""

import json

import pytest

ASK = [{"role": "user", "content": "Hi"}]
CHUNK = b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"one two three"}}]}\n\n'
REPLIES = {
    "500": (
        b'HTTP/1.1 500 Oops\r\nconnection: close\r\ncontent-length: 25\r\n\r\n{"error":{"message":"x"}}',
        "error",
        0,
    ),
    "429": (
        b'HTTP/1.1 429 Slow\r\nconnection: close\r\ncontent-length: 25\r\n\r\n{"error":{"message":"x"}}',
        "error",
        0,
    ),
    "404": (
        b'HTTP/1.1 404 None\r\nconnection: close\r\ncontent-length: 25\r\n\r\n{"error":{"message":"x"}}',
        "error",
        0,
    ),
    "garbage": (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\ncontent-length: 6\r\n\r\n<html>",
        "garbage",
        1,
    ),
    "cut": (b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 6\r\n\r\n", "truncated", 1),
    "nothing": (b"", "unreachable", 1),
}


def ask(gateway, model, *, stream=False, **fields):
    body = {"model": model, "messages": ASK, "stream": stream, **fields}
    status, headers, answer = gateway.openai("/chat/completions", body)
    return status, headers, answer


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("case", REPLIES)
def test_the_second_target_answers(gateway, raw, books, case, stream):
    reply, outcome, costs = REPLIES[case]
    raw.reply(reply)
    status, headers, body = ask(gateway, "raw-first", stream=stream)
    assert status == 200, body
    assert headers["x-farebox-attempts"] == "2"
    assert (headers["x-farebox-provider"], headers["x-farebox-model"]) == ("openai", "gpt-4o-mini")
    first, second = books.attempts(2)
    assert first.sent.call == second.sent.call == headers["x-farebox-call"]
    assert [first.sent.attempt, second.sent.attempt] == [f"{first.sent.call}.1", f"{first.sent.call}.2"]
    assert (first.sent.provider, second.sent.provider) == ("raw", "openai")
    assert (first.done.outcome, first.done.final) == (outcome, False)
    assert (first.done.total_femto > 0, first.done.flags) == (bool(costs), ("assumed",) if costs else ())
    assert (second.done.outcome, second.done.final, second.done.flags) == ("ok", True, ())
    assert second.done.total_femto == second.billed_femto
    if not stream:
        assert "x-farebox-cost-usd" in headers


@pytest.mark.parametrize(("model", "outcome"), [("dead-first", "unreachable"), ("locked-first", "error")])
def test_other_reasons(gateway, books, model, outcome):
    status, headers, _ = ask(gateway, model)
    assert (status, headers["x-farebox-attempts"]) == (200, "2")
    first, second = books.attempts(2)
    assert (first.done.outcome, first.done.total_femto, first.done.final) == (outcome, 0, False)
    assert second.done.total_femto == second.billed_femto > 0


def test_the_clients_own_error_is_not_tried_again(gateway, raw, books):
    raw.whole(b'{"error":{"message":"Bad temperature.","code":"x"}}', "400 Bad Request")
    status, headers, body = ask(gateway, "raw-first")
    assert (status, headers["x-farebox-attempts"]) == (400, "1")
    assert json.loads(body)["error"]["message"] == "Bad temperature."
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.final) == ("error", True)


def test_nothing_is_tried_again_after_the_first_byte(gateway, raw, books):
    raw.stream(CHUNK, raw.RESET)
    status, headers, body = ask(gateway, "raw-first", stream=True)
    assert (status, headers["x-farebox-attempts"]) == (200, "1")
    assert body.startswith(CHUNK)
    assert b"stream_truncated" in body
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags, attempt.done.final) == ("truncated", ("estimated",), True)


def test_the_last_failure_is_the_answer(gateway, raw, simulated, books):
    raw.reply(REPLIES["500"][0])
    simulated.configure(rules=[{"status": 429, "retry_after_s": 5, "message": "Slow down."}])
    try:
        status, headers, body = ask(gateway, "raw-first")
    finally:
        simulated.configure()
    assert (status, headers["x-farebox-attempts"], headers["retry-after"]) == (429, "2", "5")
    assert json.loads(body)["error"]["message"] == "Slow down."
    first, second = books.attempts(2)
    assert (first.done.final, second.done.final) == (False, True)
    assert (first.done.total_femto, second.done.total_femto) == (0, 0)


def test_across_dialects(gateway, raw, books):
    raw.reply(REPLIES["500"][0])
    status, headers, body = ask(gateway, "raw-first-claude-second", max_completion_tokens=50)
    assert (status, headers["x-farebox-attempts"], headers["x-farebox-provider"]) == (200, "2", "anthropic")
    assert json.loads(body)["object"] == "chat.completion"
    first, second = books.attempts(2)
    assert second.done.total_femto == second.billed_femto > 0
    assert (first.sent.provider_operation, second.sent.provider_operation) == ("chat", "messages")


def test_a_target_that_cannot_express_the_request_is_passed_over(gateway, raw, books):
    raw.reply(REPLIES["500"][0])
    status, headers, body = ask(gateway, "raw-first-claude-second", logit_bias={"1": 1})
    assert (status, headers["x-farebox-attempts"]) == (500, "1")
    assert json.loads(body)["error"]["message"] == "x"
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.total_femto) == ("error", 0)
