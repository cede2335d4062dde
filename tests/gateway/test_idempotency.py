"""The same call again, under one idempotency key: one request to the provider, one charge, the same answer."""

import concurrent.futures
import contextlib
import http.client
import json
import time

import pytest

from tests.gateway.conftest import KEY

ASK = [{"role": "user", "content": "Tell me about trains."}]


def ask(gateway, key, *, stream=False, model="gpt-4o-mini", **fields):
    body = {"model": model, "messages": ASK, "max_tokens": 20, "stream": stream, **fields}
    status, headers, answer = gateway.openai("/chat/completions", body, {"idempotency-key": key})
    return status, headers, answer


def test_case_18_the_same_key_twenty_times_at_once_and_later(gateway, books):
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: ask(gateway, "key-18"), range(20)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) <= {200, 409}
    assert 200 in statuses
    bodies = {body for status, _, body in answers if status == 200}
    assert len(bodies) == 1
    for status, headers, body in answers:
        if status == 409:
            assert (json.loads(body)["error"]["code"], headers["retry-after"]) == ("idempotency_in_flight", "1")
    status, headers, body = ask(gateway, "key-18")
    assert (status, headers["x-farebox-replayed"], {body}) == (200, "true", bodies)
    status, _, body = ask(gateway, "key-18", temperature=0.5)
    assert (status, json.loads(body)["error"]["code"]) == (422, "idempotency_mismatch")
    (attempted,) = books.exact()
    assert headers["x-farebox-call"] == attempted.sent.call
    assert len({row.id for row in books.rows()}) == 1


def test_streams_are_given_again_event_for_event(gateway, books):
    first = ask(gateway, "key-stream", stream=True)
    again = ask(gateway, "key-stream", stream=True)
    assert first[0] == again[0] == 200
    assert first[2] == again[2]
    assert again[2].endswith(b"data: [DONE]\n\n")
    assert again[1]["content-type"] == "text/event-stream"
    books.exact()


def test_a_refusal_leaves_the_key_free(gateway, books, raw):
    raw.whole(b'{"error":{"message":"slow down"}}', "429 Too Many Requests")
    assert ask(gateway, "key-refused", model="raw/gpt-4o")[0] == 429
    raw.whole(b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}')
    status, headers, _ = ask(gateway, "key-refused", model="raw/gpt-4o")
    assert (status, "x-farebox-replayed" in headers) == (200, False)


def test_a_failure_that_may_be_billed_is_kept(gateway, books, raw):
    raw.whole(b"<html>")
    first = ask(gateway, "key-billed", model="raw/gpt-4o")
    assert first[0] == 502
    again = ask(gateway, "key-billed", model="raw/gpt-4o")
    assert (again[0], again[1]["x-farebox-replayed"], again[2]) == (502, "true", first[2])
    assert len(raw.received) == 1


@pytest.mark.parametrize("fields", [{"messages": "none"}, {"model": "nobody"}])
def test_what_was_never_sent_leaves_the_key_free(gateway, fields):
    body = {"model": "gpt-4o-mini", "messages": ASK, **fields}
    key = {"idempotency-key": f"key-invalid-{sorted(fields)}"}
    assert gateway.openai("/chat/completions", body, key)[0] in {400, 404}
    status, headers, _ = gateway.openai("/chat/completions", {**body, "model": "gpt-4o-mini", "messages": ASK}, key)
    assert (status, "x-farebox-replayed" in headers) == (200, False)


def test_a_key_must_be_one(gateway):
    status, _, body = ask(gateway, "x" * 256)
    assert (status, json.loads(body)["error"]["param"]) == (400, "idempotency-key")


def test_anthropic_clients_can_do_the_same(gateway, books):
    body = {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 20}
    first = gateway.anthropic("/messages", body, {"idempotency-key": "key-claude"})
    again = gateway.anthropic("/messages", body, {"idempotency-key": "key-claude"})
    assert (first[0], again[0], again[2]) == (200, 200, first[2])
    status, _, answer = gateway.anthropic("/messages", {**body, "max_tokens": 21}, {"idempotency-key": "key-claude"})
    assert (status, json.loads(answer)["error"]["details"]["error_code"]) == (422, "idempotency_mismatch")
    books.exact()


def test_a_client_that_left_in_the_middle_gets_the_whole_answer_later(gateway, books):
    wishes = json.dumps({"output_tokens": 60, "tokens_per_s": 100})
    body = {"model": "gpt-4o", "messages": ASK, "stream": True, "user": wishes}
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=20)
    sent = {"authorization": f"Bearer {KEY}", "idempotency-key": "key-left"}
    connection.request("POST", "/v1/chat/completions", json.dumps(body), sent)
    with contextlib.closing(connection), connection.getresponse() as answer:
        beginning = answer.read(300)
    deadline_s = time.monotonic() + 10
    while (again := gateway.openai("/chat/completions", body, {"idempotency-key": "key-left"}))[0] == 409:
        assert json.loads(again[2])["error"]["code"] == "idempotency_in_flight"
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    assert (again[0], again[1]["x-farebox-replayed"]) == (200, "true")
    assert again[2].startswith(beginning)
    assert again[2].endswith(b"data: [DONE]\n\n")
    (attempted,) = books.exact()
    assert attempted.done.outcome == "ok"
    assert again[1]["x-farebox-call"] == attempted.sent.call
