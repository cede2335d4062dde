"""Clients that hang up: metered and flagged, never zero, and exact where the provider's stream is read to its end."""

import json
import time

import pytest

MODEL = {"openai": "gpt-4o", "anthropic": "claude-haiku-4-5"}
PATH = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
ASK = "Tell me about trains."


def leave(gateway, key, dialect, *, model="", after=b"", stream=True, **wishes):
    """Ask for a stream and hang up once ``after`` has arrived."""
    user = json.dumps({"tokens_per_s": 400, "output_tokens": 400, **wishes})
    body = {"model": model or MODEL[dialect], "messages": [{"role": "user", "content": ASK}], "stream": stream}
    body |= {"user": user} if dialect == "openai" else {"max_tokens": 500, "metadata": {"user_id": user}}
    data = json.dumps(body).encode()
    head = f"POST {PATH[dialect]} HTTP/1.1\r\nhost: a\r\nx-api-key: {key}\r\ncontent-length: {len(data)}\r\n\r\n"
    with gateway.connect() as connection:
        connection.sendall(head.encode() + data)
        received = b""
        while after and after not in received:
            more = connection.recv(65536)
            assert more, received
            received += more
        if not after:
            time.sleep(0.05)  # nothing comes that one could wait for


def wait_for_bill(books, outcome):
    deadline_s = time.monotonic() + 10
    while not any(row.outcome == outcome for row in books.rows()):
        assert time.monotonic() < deadline_s, books.rows()
        time.sleep(0.01)


CONTENT = {"openai": b'"content":"', "anthropic": b"text_delta"}


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("model", ["gpt-4o", "claude-haiku-4-5"])
def test_a_provider_that_stops_billing_is_cut_off(gateway, gpt, books, dialect, model):
    started_s = time.monotonic()
    leave(gateway, gpt.api_key, dialect, model=model, after=CONTENT[dialect])
    wait_for_bill(books, "left")
    assert time.monotonic() - started_s < 0.9, "the whole answer would have taken a second"
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags, attempt.done.final) == ("client_gone", ("estimated",), True)
    assert 0 < attempt.done.total_femto <= attempt.billed_femto
    assert attempt.done.meters["input"] == 6


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_provider_that_bills_anyway_is_read_to_the_end(gateway, gpt, books, dialect):
    after = CONTENT[dialect]
    leave(gateway, gpt.api_key, dialect, model="drainer/gpt-4o", after=after, tokens_per_s=2000)
    (attempt,) = books.exact()
    assert (attempt.done.outcome, attempt.row.outcome) == ("client_gone", "complete")
    assert attempt.done.meters["output"] == 400


def test_a_drained_provider_that_breaks_off(gateway, gpt, books):
    wishes = {"fault": "cut_mid_stream", "after_chunks": 60, "tokens_per_s": 2000}
    leave(gateway, gpt.api_key, "openai", model="drainer/gpt-4o", after=CONTENT["openai"], **wishes)
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("client_gone", ("estimated",))
    assert "while draining" in attempt.done.error
    assert attempt.done.total_femto == attempt.billed_femto
    assert attempt.done.meters["output"] == 240


@pytest.mark.parametrize(("model", "exact"), [("gpt-4o", False), ("drainer/gpt-4o", True)])
def test_before_the_first_event(gateway, gpt, books, model, exact):
    leave(gateway, gpt.api_key, "openai", model=model, latency_ms=200, tokens_per_s=4000)
    (attempt,) = books.attempts(1)
    assert attempt.done.outcome == "client_gone"
    if exact:
        assert (attempt.done.flags, attempt.done.total_femto) == ((), attempt.billed_femto)
    else:
        assert attempt.done.flags == ("estimated",)
    assert attempt.done.total_femto > 0


def test_before_an_answer_that_is_not_streamed(gateway, gpt, books):
    """It was generated and is billed, whether anybody reads it or not."""
    leave(gateway, gpt.api_key, "openai", stream=False, tokens_per_s=0, latency_ms=200)
    (attempt,) = books.exact()
    assert attempt.done.outcome == "ok"


def test_before_an_answer_that_never_comes(gateway, gpt, books):
    leave(gateway, gpt.api_key, "openai", model="impatient/gpt-4o", stream=False, fault="hang_before_headers")
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("unreachable", ("assumed",))
    assert attempt.done.total_femto > 0


def test_many_leave_at_once(gateway, gpt, books):
    for dialect in ["openai", "anthropic"] * 10:
        leave(gateway, gpt.api_key, dialect, after=CONTENT[dialect])
    attempts = books.attempts(20)
    assert {attempt.done.outcome for attempt in attempts} == {"client_gone"}
    assert all(attempt.done.total_femto > 0 for attempt in attempts)
    assert gateway.request("GET", "/healthz")[0] == 200
