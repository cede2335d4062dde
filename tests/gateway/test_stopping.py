"""SIGTERM: what is under way ends whole, is settled, and the worker exits with 0."""

import http.client
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest


@pytest.fixture
def start(tmp_path, simulated, start_gateway):
    def run(grace_s):
        return start_gateway(tmp_path, simulated.url, grace_s=grace_s)

    return run


def wait_until_refused(gateway):
    deadline_s = time.monotonic() + 5
    while True:
        try:
            gateway.connect().close()
        except ConnectionError:
            return
        assert time.monotonic() < deadline_s, "it still accepts connections"
        time.sleep(0.01)


def test_streams_end_whole(start, books_of):
    gateway = start(10)
    books = books_of(gateway)
    with ExitStack() as opened:
        streams = [gateway.stream(output_tokens=200, tokens_per_s=400) for _ in range(4)]
        answers = [opened.enter_context(stream) for stream in streams]
        gateway.process.send_signal(signal.SIGTERM)
        wait_until_refused(gateway)
        assert gateway.process.poll() is None
        with ThreadPoolExecutor(4) as threads:
            bodies = list(threads.map(lambda answer: answer.read(), answers))
    assert all(body.endswith(b"data: [DONE]\n\n") for body in bodies)
    assert gateway.process.wait(10) == 0
    assert gateway.errors.read_text() == ""
    assert {attempt.done.outcome for attempt in books.exact(4)} == {"ok"}


def test_streams_that_outlast_the_grace_are_cut_and_settled(start, books_of):
    gateway = start(0.3)
    books = books_of(gateway)
    with gateway.stream(output_tokens=4000, tokens_per_s=400) as answer:
        gateway.process.send_signal(signal.SIGTERM)
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):  # not an end that looks like one
            answer.read()
    assert gateway.process.wait(10) == 0
    assert "1 calls cut" in gateway.errors.read_text()
    (attempt,) = books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("lost", ("estimated",))
    assert 0 < attempt.done.total_femto <= attempt.billed_femto


def test_idle_connections_do_not_hold_it_up(start):
    gateway = start(10)
    with gateway.connect() as idle, gateway.connect() as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\n")
        started_s = time.monotonic()
        assert gateway.stop() == 0
        assert time.monotonic() - started_s < 3
        assert idle.recv(1) == b""


def test_it_stops_when_its_parent_is_gone(tmp_path, simulated, start_gateway):
    gateway = start_gateway(tmp_path, simulated.url, life_line=True)
    assert gateway.process.poll() is None
    gateway.cut_life_line()
    assert gateway.process.wait(10) == 0
