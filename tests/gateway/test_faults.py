"""What providers do wrong: the client's error, the outcome on record, and a cost that is never silently zero."""

import json
import time

import pytest

DIALECTS = ["openai", "anthropic"]
MODEL = {"openai": "gpt-4o-mini", "anthropic": "claude-haiku-4-5"}
ASK = "Tell me about trains."
FINISHED = {"openai": b"data: [DONE]", "anthropic": b"event: message_stop"}
CHUNK = b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"one two three"}}]}\n\n'
STOP = b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
DONE = b"data: [DONE]\n\n"


def usage(**counts):
    return b'data: {"model":"gpt-4o","choices":[],"usage":' + json.dumps(counts).encode() + b"}\n\n"


def ask(gateway, dialect, *, model="", stream=False, **wishes):
    """Ask in a dialect; returns status, headers and body."""
    body = {"model": model or MODEL[dialect], "messages": [{"role": "user", "content": ASK}], "stream": stream}
    # The provider reads its wishes in the name of the end user, which is no part of the prompt.
    user = json.dumps(wishes) if wishes else "ada"
    if dialect == "openai":
        return gateway.openai("/chat/completions", {**body, "max_completion_tokens": 500, "user": user})
    return gateway.anthropic("/messages", {**body, "max_tokens": 500, "metadata": {"user_id": user}})


def error_of(dialect, answer, status, code):
    """Check an error answer; returns its message."""
    got, headers, raw = answer
    body = json.loads(raw)
    assert got == status, body
    assert headers["content-type"] == "application/json"
    assert headers["x-farebox-call"].startswith("call_")
    assert headers["x-request-id" if dialect == "openai" else "request-id"]
    assert headers["x-farebox-attempts"] == "1"
    error = body["error"]
    assert code == (error["code"] if dialect == "openai" else error["details"]["error_code"])
    return error["message"]


def check_assumed(attempt, outcome):
    """The worst case: dearer than the bill, and flagged."""
    assert (attempt.done.outcome, attempt.done.flags) == (outcome, ("assumed",))
    assert attempt.done.error
    assert attempt.done.meters["output"] == 500
    assert attempt.done.total_femto > 0
    if attempt.row is not None:
        assert attempt.done.total_femto >= attempt.billed_femto


def check_estimated(attempt, outcome):
    """A floor from what was seen, flagged; the bill itself, as the simulated provider's tokens have four bytes."""
    assert (attempt.done.outcome, attempt.done.flags) == (outcome, ("estimated",))
    assert attempt.done.total_femto == attempt.billed_femto > 0


@pytest.mark.parametrize("stream", [False, True])
class TestBeforeHeaders:
    def test_connection_refused(self, gateway, books, stream):
        answer = ask(gateway, "openai", model="dead/gpt-4o", stream=stream)
        assert "'dead' cannot be reached" in error_of("openai", answer, 502, "provider_unreachable")
        (attempt,) = books.attempts(1)
        assert (attempt.done.outcome, attempt.done.status) == ("unreachable", 0)
        assert (attempt.done.total_femto, attempt.done.flags, attempt.done.lines) == (0, (), ())
        assert attempt.row is None

    @pytest.mark.parametrize("dialect", DIALECTS)
    @pytest.mark.parametrize("fault", ["close_before_headers", "reset_before_headers"])
    def test_cut(self, gateway, books, dialect, fault, stream):
        answer = ask(gateway, dialect, stream=stream, fault=fault)
        assert "broke off" in error_of(dialect, answer, 502, "provider_broke_off")
        (attempt,) = books.attempts(1)
        check_assumed(attempt, "unreachable")

    def test_silence(self, gateway, books, stream):
        started_s = time.monotonic()
        answer = ask(gateway, "openai", model="impatient/gpt-4o", stream=stream, fault="hang_before_headers")
        assert "in time" in error_of("openai", answer, 504, "provider_timeout")
        assert 0.3 < time.monotonic() - started_s < 3
        (attempt,) = books.attempts(1)
        check_assumed(attempt, "unreachable")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503, 529])
def test_error_statuses_are_free(gateway, books, dialect, stream, status):
    got, headers, body = ask(gateway, dialect, stream=stream, status=status, retry_after_s=0.3, message="No luck.")
    assert (got, headers["retry-after"]) == (status, "0.3")
    assert json.loads(body)["error"]["message"] == "No luck."
    (attempt,) = books.exact()
    done = attempt.done
    assert (done.outcome, done.status, done.error, done.total_femto) == ("error", status, "No luck.", 0)
    assert headers["x-request-id" if dialect == "openai" else "request-id"] == done.provider_request


def test_a_key_that_the_provider_does_not_accept(gateway, books):
    status, headers, body = ask(gateway, "openai", model="locked-out/gpt-4o")
    assert (status, headers["x-farebox-provider"]) == (401, "locked-out")
    assert json.loads(body)["error"]["code"] == "invalid_api_key"
    (attempt,) = books.exact()
    assert (attempt.done.outcome, attempt.done.total_femto) == ("error", 0)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (b"<html><h1>502 Bad Gateway</h1></html>", "502 Bad Gateway"),
        (b"", "500 Internal Server Error"),
        (b'"out of order"', "503 Service Unavailable"),
        (b"\xff\xfe", "429 Too Many Requests"),
    ],
)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_errors_that_cannot_be_read(gateway, raw, books, dialect, reply, status):
    raw.whole(reply, status, "text/html", retry_after="1")
    got, headers, body = ask(gateway, dialect, model="raw/gpt-4o")
    assert got == int(status[:3])
    assert headers["retry-after"] == "1"
    assert headers["x-request-id" if dialect == "openai" else "request-id"]
    assert json.loads(body)["error"]["message"]
    assert b"html" not in body
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.total_femto) == ("error", 0)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("garbage", ["html", "truncated_json", "invalid_utf8", "empty", "not_an_object"])
def test_answers_that_cannot_be_read(gateway, books, dialect, garbage, stream):
    answer = ask(gateway, dialect, stream=stream, fault="garbage", garbage=garbage)
    assert "cannot be read" in error_of(dialect, answer, 502, "provider_answer_unreadable")
    (attempt,) = books.attempts(1)
    check_assumed(attempt, "garbage")
    assert attempt.done.status == 200


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\nconnection: close\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 2000000\r\n\r\n"
        + b" " * 2_000_000,
    ],
    ids=["redirect", "nothing", "too large"],
)
def test_answers_that_are_none(gateway, raw, books, reply):
    raw.reply(reply)
    error_of("openai", ask(gateway, "openai", model="raw/gpt-4o"), 502, "provider_answer_unreadable")
    (attempt,) = books.attempts(1)
    check_assumed(attempt, "garbage")


@pytest.mark.parametrize("reply", [b"SSH-2.0-OpenSSH_9.6\r\n", b"HTTP/1.1 2x0 OK\r\n\r\n", b"\x15\x03\x01"])
def test_what_is_not_http(gateway, raw, books, reply):
    raw.reply(reply)
    error_of("openai", ask(gateway, "openai", model="raw/gpt-4o"), 502, "provider_broke_off")
    (attempt,) = books.attempts(1)
    check_assumed(attempt, "unreachable")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cut", ["reset", "inside_chunk", "clean", "close_delimited"])
def test_half_an_answer(gateway, books, dialect, cut):
    status, _, _ = ask(gateway, dialect, fault="cut_mid_stream", cut=cut)
    assert status == 502
    (attempt,) = books.attempts(1)
    check_assumed(attempt, "truncated" if cut in {"reset", "inside_chunk"} else "garbage")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("cut", ["reset", "inside_chunk", "clean", "close_delimited"])
@pytest.mark.parametrize("after", [1, 5])
def test_half_a_stream(gateway, books, dialect, cut, after):
    status, headers, body = ask(
        gateway, dialect, stream=True, fault="cut_mid_stream", cut=cut, after_chunks=after, output_tokens=100
    )
    assert (status, headers["x-farebox-attempts"]) == (200, "1")
    assert FINISHED[dialect] not in body
    last = [line for line in body.splitlines() if line.startswith(b"data:")][-1]
    error = json.loads(last[5:])["error"]
    assert "broke off" in error["message"]
    assert "stream_truncated" in (error.get("code"), error.get("details", {}).get("error_code"))
    (attempt,) = books.attempts(1)
    check_estimated(attempt, "truncated")
    assert bool(attempt.done.error) == (cut in {"reset", "inside_chunk"}), "the others look like an end"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_falls_silent(gateway, books, dialect):
    model = "impatient/gpt-4o"
    status, _, body = ask(gateway, dialect, model=model, stream=True, fault="stall", after_chunks=4, output_tokens=100)
    assert status == 200
    assert b"stream_truncated" in body
    (attempt,) = books.attempts(1)
    check_estimated(attempt, "truncated")
    assert "no content arrived" in attempt.done.error


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_error_in_the_middle_of_a_stream(gateway, books, dialect):
    status, _, body = ask(gateway, dialect, stream=True, fault="error_event", message="Out of steam.", output_tokens=50)
    assert status == 200
    assert body.count(b'"error"') == (1 if dialect == "openai" else 2)  # Anthropic's has it as a type too
    assert b"Out of steam." in body
    assert FINISHED[dialect] not in body
    assert b"stream_truncated" not in body
    (attempt,) = books.attempts(1)
    check_estimated(attempt, "error")
    assert attempt.done.error == "Out of steam."


FIRST_ERRORS = {
    "typed": ("raw/gpt-4o", 429, b'data: {"error":{"message":"Slow down.","type":"rate_limit_error","code":null}}'),
    "numbered": ("raw/gpt-4o", 503, b'data: {"error":{"message":"Slow down.","code":503}}'),
    "after a comment": ("raw/gpt-4o", 500, b': x\n\ndata: {"error":{"message":"Slow down.","type":"server_error"}}'),
    "named": (
        "raw-claude/claude-haiku-4-5",
        529,
        b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error","message":"Slow down."}}',
    ),
    "after a ping": (
        "raw-claude/claude-haiku-4-5",
        500,
        b'data: {"type":"ping"}\n\ndata: {"type":"error","error":{"type":"api_error","message":"Slow down."}}',
    ),
}


@pytest.mark.parametrize("client", DIALECTS)
@pytest.mark.parametrize("case", FIRST_ERRORS)
def test_an_error_as_the_first_event_becomes_a_status(gateway, raw, books, client, case):
    model, status, events = FIRST_ERRORS[case]
    raw.stream(events + b"\n\n")
    got, headers, body = ask(gateway, client, model=model, stream=True)
    assert got == (503 if (client, status) == ("openai", 529) else status), body
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"]["message"] == "Slow down."
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.error, attempt.done.total_femto) == ("error", "Slow down.", 0)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_event_that_cannot_be_read(gateway, books, dialect):
    """It is passed on as it came; everything else, and the usage at the end, holds."""
    status, _, body = ask(gateway, dialect, stream=True, fault="malformed_sse", output_tokens=50)
    assert status == 200
    assert b'"content":\n' in body
    assert FINISHED[dialect] in body
    (attempt,) = books.exact()
    assert attempt.done.outcome == "ok"


@pytest.mark.parametrize(("client", "model"), [("openai", "claude-haiku-4-5"), ("anthropic", "gpt-4o")])
def test_an_event_that_cannot_be_translated(gateway, books, client, model):
    status, _, body = ask(gateway, client, model=model, stream=True, fault="malformed_sse", output_tokens=50)
    assert status == 200
    assert FINISHED[client] not in body
    assert b"stream_truncated" in body
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))
    assert attempt.done.total_femto > 0


def test_an_event_without_end(gateway, raw, books):
    raw.stream(CHUNK, b"data: " + b"x" * 200_000)
    status, _, body = ask(gateway, "openai", model="raw/gpt-4o", stream=True)
    assert status == 200
    assert CHUNK in body
    assert b"stream_truncated" in body
    assert b"xxxx" not in body
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))
    assert "at most 65536" in attempt.done.error


def test_a_first_event_without_end(gateway, raw, books):
    raw.stream(b"data: " + b"x" * 200_000)
    error_of("openai", ask(gateway, "openai", model="raw/gpt-4o", stream=True), 502, "provider_answer_unreadable")
    (attempt,) = books.attempts(1)
    check_assumed(attempt, "garbage")


class TestUsage:
    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("dialect", DIALECTS)
    @pytest.mark.parametrize("fault", ["missing_usage", "null_usage"])
    def test_absent(self, gateway, books, dialect, fault, stream):
        status, headers, body = ask(gateway, dialect, stream=stream, fault=fault, output_tokens=80)
        assert status == 200
        if stream:
            assert FINISHED[dialect] in body
        else:
            assert headers["x-farebox-flags"] == "estimated,no_usage"
        (attempt,) = books.attempts(1)
        assert attempt.done.outcome == "ok"
        assert attempt.done.flags == ("estimated", "no_usage")
        if stream:  # what streamed by was counted, four bytes a token, as the simulated provider does
            assert attempt.done.total_femto == attempt.billed_femto
        assert attempt.done.total_femto > 0

    @pytest.mark.parametrize("stream", [False, True])
    @pytest.mark.parametrize("dialect", DIALECTS)
    def test_zero_is_not_absent(self, gateway, books, dialect, stream):
        status, headers, _ = ask(gateway, dialect, stream=stream, fault="zero_usage")
        assert status == 200
        (attempt,) = books.attempts(1)
        assert (attempt.done.total_femto, attempt.done.flags, attempt.done.unpriced) == (0, (), "")
        assert attempt.done.meters == {"input": 0, "output": 0}
        assert headers.get("x-farebox-cost-usd", "0") == "0"
        assert attempt.billed_femto > 0, "the bill is what it is; the books show what the provider said"

    @pytest.mark.parametrize(
        "counts",
        [
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 99},
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 11}},
            {"prompt_tokens": -1, "completion_tokens": 5},
            {"prompt_tokens": 1.5, "completion_tokens": 5},
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 6}},
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    def test_a_broken_rule_is_quarantined(self, gateway, raw, books, stream, counts):
        body = {"model": "gpt-4o", "choices": [{"index": 0, "message": {"content": "x"}, "finish_reason": "stop"}]}
        if stream:
            raw.stream(CHUNK, STOP, usage(**counts), DONE)
        else:
            raw.whole(json.dumps({**body, "usage": counts}).encode())
        status, headers, _ = ask(gateway, "openai", model="raw/gpt-4o", stream=stream)
        assert status == 200
        assert "x-farebox-cost-usd" not in headers
        if not stream:
            assert headers["x-farebox-flags"] == "unpriced,quarantined"
        (attempt,) = books.attempts(1)
        assert (attempt.done.total_femto, attempt.done.lines) == (None, ())
        assert attempt.done.flags == ("unpriced", "quarantined")
        assert attempt.done.unpriced.startswith("usage: ")
        assert json.loads(attempt.done.usage_raw) == counts

    @pytest.mark.parametrize("stream", [False, True])
    def test_a_model_without_a_price(self, gateway, raw, books, stream):
        counts = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
        named = b'"model":"house-model-7b"'
        if stream:
            events = (CHUNK, STOP, usage(**counts), DONE)
            raw.stream(*(event.replace(b'"model":"gpt-4o"', named) for event in events))
        else:
            raw.whole(b"{" + named + b',"choices":[],"usage":' + json.dumps(counts).encode() + b"}")
        wish = {"model": "raw/house-model-7b", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
        if stream:
            wish["stream_options"] = {"include_usage": True}
        status, headers, body = gateway.openai("/chat/completions", wish)
        assert status == 200
        assert "x-farebox-cost-usd" not in headers
        if stream:
            assert b'"cost":null' in body
        else:
            assert headers["x-farebox-flags"] == "unpriced"
        (attempt,) = books.attempts(1)
        assert (attempt.done.total_femto, attempt.done.flags) == (None, ("unpriced",))
        assert attempt.done.meters == {"input": 10, "output": 5}
        assert attempt.done.unpriced == "no rate for openai/house-model-7b"

    def test_a_lost_answer_of_a_model_without_a_price(self, gateway, raw, books):
        raw.reply(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{")
        assert ask(gateway, "openai", model="raw/house-model-7b")[0] == 502
        (attempt,) = books.attempts(1)
        assert (attempt.done.total_femto, attempt.done.flags) == (None, ("unpriced", "assumed"))

    def test_usage_beside_the_last_choice(self, gateway, raw, books):
        """Some servers of OpenAI's API send the usage with the finish reason, and nothing after it."""
        ending = STOP[:-3] + b',"usage":{"prompt_tokens":10,"completion_tokens":5}}\n\n'
        raw.stream(CHUNK, ending)
        _, _, body = ask(gateway, "openai", model="raw/gpt-4o", stream=True)
        assert body == CHUNK + ending
        (attempt,) = books.attempts(1)
        assert (attempt.done.outcome, attempt.done.flags) == ("ok", ())
        assert attempt.done.meters == {"input": 10, "output": 5}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("after", [None, 0])
def test_no_end_but_a_finish_reason(gateway, raw, books, dialect, after):
    """Without ``[DONE]`` the finish reason and the clean end of the body say that the answer is whole."""
    raw.stream(CHUNK, STOP, usage(prompt_tokens=10, completion_tokens=5)[: -2 if after == 0 else None])
    status, _, body = ask(gateway, dialect, model="raw/gpt-4o", stream=True)
    assert status == 200
    assert b"stream_truncated" not in body
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("ok", ())
    assert attempt.done.meters == {"input": 10, "output": 5}
