"""Cases 25 and 26: what is too large, has no end or is packed, and clients that do not read: memory stays bounded."""

import contextlib
import gzip
import json
import time
import zlib

import pytest

from tests.streaming.conftest import STREAM_BYTES
from tests.streaming.peer import DONE, ROLE, SSE, STOP, USAGE, WORDS, chunk, request, small_buffers, trickles, writes

GROWTH_KIB = 32 << 10
ASK = {"model": "slow/gpt-4o", "messages": [{"role": "user", "content": "Tell me about trains."}], "max_tokens": 50}
MIB = 1 << 20
COMMENTS = (b": " + b"x" * 1000 + b"\n\n") * 60


def ask(gateway, *, stream=True):
    return gateway.openai("/chat/completions", {**ASK, "stream": stream})


def check_memory(inside, before_kib):
    assert inside.peak() - before_kib < GROWTH_KIB


@pytest.mark.parametrize("begun", [False, True], ids=["first", "later"])
def test_case_25_an_event_of_64_mib(stream_gateway, stream_books, raw_streams, inside, begun):
    raw_streams.play(writes(SSE, *([ROLE, WORDS] if begun else []), b"data: {", *[b"x" * MIB] * 64))
    before_kib = inside.forget_peak()
    status, _, body = ask(stream_gateway)
    check_memory(inside, before_kib)
    (attempt,) = stream_books.attempts(1)
    assert "no end" in attempt.done.error
    if begun:
        assert status == 200
        assert b"answer was cut" in body
        assert b"[DONE]" not in body
        assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))
    else:
        assert (status, json.loads(body)["error"]["code"]) == (502, "provider_answer_unreadable")
        assert (attempt.done.outcome, attempt.done.flags) == ("garbage", ("assumed",))


@pytest.mark.parametrize(
    ("begun", "drop"),
    [
        ([ROLE, WORDS], chunk({"content": "w" * 30_000})),
        ([ROLE, WORDS], COMMENTS),
        ([], COMMENTS),
    ],
    ids=["content", "comments", "comments only"],
)
def test_case_25_a_stream_without_end(stream_gateway, stream_books, raw_streams, inside, begun, drop):
    raw_streams.play(trickles(SSE, *begun, drop=drop, every_s=0))
    before_kib = inside.forget_peak()
    status, _, body = ask(stream_gateway)
    check_memory(inside, before_kib)
    assert status == 200
    assert f"the stream is larger than {STREAM_BYTES} bytes (limits.stream_bytes)".encode() in body
    assert STREAM_BYTES * 3 // 4 < len(body) < STREAM_BYTES + 1000
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("truncated", ("estimated",))


def packed(encoding: str) -> bytes:
    """A MiB that would be a GiB, or what stands for it where no packer is at hand: nothing unpacks it either way."""
    if encoding == "gzip":
        return gzip.compress(bytes(64 * MIB))
    if encoding == "deflate":
        return zlib.compress(bytes(64 * MIB))
    return bytes.fromhex("28b52ffd") + bytes(MIB)


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_case_25_packed_answers_are_not_unpacked(stream_gateway, stream_books, raw_streams, inside, encoding, stream):
    kind = b"text/event-stream" if stream else b"application/json"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %s\r\ncontent-encoding: %s\r\nconnection: close\r\n\r\n"
    raw_streams.play(writes(head % (kind, encoding.encode()), packed(encoding)))
    before_kib = inside.forget_peak()
    status, _, body = ask(stream_gateway, stream=stream)
    check_memory(inside, before_kib)
    assert (status, json.loads(body)["error"]["code"]) == (502, "provider_answer_unreadable")
    assert raw_streams.received[0][1]["accept-encoding"] == "identity"
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("garbage", ("assumed",))


def test_case_26_clients_that_do_not_read(stream_gateway, stream_books, raw_streams, inside):
    """Each may have so much written ahead, its provider as much read ahead; then it is taken for gone."""
    clients = 500
    before_kib = inside.forget_peak()
    tasks = inside.tasks()
    raw_streams.play(writes(SSE, ROLE, *[chunk({"content": "w" * 16_000})] * 100, STOP, USAGE, DONE))
    data = request("openai", "unread/gpt-4o")
    with contextlib.ExitStack() as stack:
        for _ in range(clients):
            stack.enter_context(small_buffers(stream_gateway.port)).sendall(data)
        attempts = stream_books.attempts(clients)
        grown_kib = inside.peak() - before_kib
    assert grown_kib / clients < 384, "some queues of 64 KiB, not the 1.6 MB that each provider has to say"
    for attempt in attempts:
        assert (attempt.done.outcome, attempt.done.flags) == ("client_gone", ("estimated",))
        assert attempt.done.total_femto > 0
    deadline_s = time.monotonic() + 5
    while inside.tasks() > tasks and time.monotonic() < deadline_s:
        time.sleep(0.02)
    assert inside.tasks() <= tasks
    assert stream_gateway.request("GET", "/healthz")[0] == 200
