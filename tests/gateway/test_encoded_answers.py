"""A provider that encodes its answers although it was told not to: refused by name, never read as text."""

import gzip
import json

import pytest

BODY = {"model": "raw/gpt-4o", "messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 500}
PACKED = gzip.compress(b'{"error":{"message":"packed"}}')


@pytest.mark.parametrize("stream", [False, True])
def test_an_encoded_answer_is_assumed_and_named(gateway, raw, books, stream):
    kind = "text/event-stream" if stream else "application/json"
    raw.whole(PACKED, kind=kind, content_encoding="gzip")
    status, _, body = gateway.openai("/chat/completions", {**BODY, "stream": stream})
    assert (status, json.loads(body)["error"]["code"]) == (502, "provider_answer_unreadable")
    assert raw.received[0][1]["accept-encoding"] == "identity"
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("garbage", ("assumed",))
    assert "encoded (gzip)" in attempt.done.error


def test_an_encoded_error_costs_nothing_and_is_not_shown(gateway, raw, books):
    raw.whole(PACKED, "429 Too Many Requests", content_encoding="gzip")
    status, _, body = gateway.openai("/chat/completions", BODY)
    assert status == 429
    assert "no readable error" in json.loads(body)["error"]["message"]
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.error, attempt.done.total_femto) == ("error", "status 429", 0)
