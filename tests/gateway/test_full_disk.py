"""A full disk: no call is admitted, nothing unjournalled is sent, and it recovers by itself."""

import json
import time
from contextlib import ExitStack

import pytest

ASK = [{"role": "user", "content": "Tell me about trains."}]
# The worker's own allocation fails while the file exists; segments are small, so that they fill quickly.
PRELOAD = """
import errno, os, sys
from farebox.journal import writer
full, allocate = {flag!r}, os.posix_fallocate
def allocate_unless_full(fd, offset, size):
    if os.path.exists(full):
        raise OSError(errno.ENOSPC, "No space left on device")
    allocate(fd, offset, size)
os.posix_fallocate = allocate_unless_full
writer.JournalWriter.__init__.__defaults__ = (8192,)
"""
OPEN_STREAMS = 20


@pytest.fixture
def flag(tmp_path):
    return tmp_path / "full"


@pytest.fixture
def crowded(tmp_path, simulated, start_gateway, flag):
    gateway = start_gateway(tmp_path, simulated.url, preload=PRELOAD.format(flag=str(flag)))
    yield gateway
    assert gateway.stop() == 0


def wait_until_ready(gateway):
    deadline_s = time.monotonic() + 5
    while gateway.request("GET", "/readyz")[0] != 200:
        assert time.monotonic() < deadline_s, "it does not recover"
        time.sleep(0.05)


def fill(gateway):
    """Call until a call is refused; return the refusal."""
    for _ in range(100):
        answer = gateway.openai("/chat/completions", {"model": "gpt-4o", "messages": ASK})
        if answer[0] != 200:
            return answer
    pytest.fail("100 calls fit into a full disk")


def test_calls_are_refused_until_there_is_space(crowded, books_of, flag):
    books = books_of(crowded)
    flag.touch()
    status, headers, body = fill(crowded)
    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(body)["error"]["code"] == "journal_full"
    assert "Free space" in json.loads(body)["error"]["message"]
    assert headers["x-request-id"] == headers["x-farebox-call"]
    message = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": ASK}
    status, headers, body = crowded.anthropic("/messages", {**message, "stream": True})
    assert (status, headers["retry-after"]) == (503, "1")
    assert json.loads(body)["error"]["type"] == "overloaded_error"
    assert json.loads(body)["error"]["details"] == {"error_code": "journal_full"}
    assert crowded.request("GET", "/readyz")[0] == 503
    assert crowded.request("GET", "/healthz")[0] == 200
    served = len(books.rows())
    assert len(books.exact(served)) == served, "whatever was sent is on record"

    flag.unlink()
    wait_until_ready(crowded)
    assert crowded.anthropic("/messages", message)[0] == 200
    books.exact(served + 1)


def test_calls_under_way_get_their_end_when_there_is_space(crowded, books_of, flag):
    books = books_of(crowded)
    with ExitStack() as opened:
        streams = [crowded.stream(output_tokens=300, tokens_per_s=300) for _ in range(OPEN_STREAMS)]
        answers = [opened.enter_context(stream) for stream in streams]
        flag.touch()
        assert fill(crowded)[0] == 503
        assert all(answer.read().endswith(b"data: [DONE]\n\n") for answer in answers), "they end whole"
    assert crowded.request("GET", "/readyz")[0] == 503
    ended = sum(type(record).__name__ == "Done" for record in crowded.records())
    assert ended < len(books.rows()), "more ends than fit should be waiting"
    flag.unlink()
    wait_until_ready(crowded)
    books.exact(len(books.rows()))
