"""Case 16: SIGTERM while two hundred streams are under way: every one is settled, within the grace."""

import http.client
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

STREAMS = 200


@pytest.fixture
def start(tmp_path, simulated, start_gateway):
    def run(grace_s):
        return start_gateway(tmp_path, simulated.url, grace_s=grace_s)

    return run


def open_streams(gateway, opened: ExitStack, **wishes: float) -> list[http.client.HTTPResponse]:
    with ThreadPoolExecutor(20) as threads:
        streams = [gateway.stream(**wishes) for _ in range(STREAMS)]
        return list(threads.map(opened.enter_context, streams))


def read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read()
    except (http.client.IncompleteRead, ConnectionError):
        return b""


def test_case_16_streams_that_end_in_time_end_whole(start, books_of):
    gateway = start(20)
    books = books_of(gateway)
    with ExitStack() as opened:
        answers = open_streams(gateway, opened, output_tokens=30, tokens_per_s=10)
        gateway.process.send_signal(signal.SIGTERM)
        bodies = [read(answer) for answer in answers]
    assert sum(body.endswith(b"data: [DONE]\n\n") for body in bodies) == STREAMS
    assert gateway.process.wait(20) == 0
    assert gateway.errors.read_text() == ""
    assert {attempt.done.outcome for attempt in books.exact(STREAMS)} == {"ok"}


@pytest.mark.parametrize("grace_s", [1.0, 0.0])
def test_case_16_streams_that_do_not_are_cut_and_settled(start, books_of, grace_s):
    gateway = start(grace_s)
    books = books_of(gateway)
    with ExitStack() as opened:
        answers = open_streams(gateway, opened, output_tokens=4000, tokens_per_s=10)
        stopped_s = time.monotonic()
        gateway.process.send_signal(signal.SIGTERM)
        assert gateway.process.wait(20) == 0
        assert time.monotonic() - stopped_s < grace_s + 4
        assert [read(answer) for answer in answers] == [b""] * STREAMS, "none looks like a whole answer"
    assert f"{STREAMS} calls cut" in gateway.errors.read_text()
    found = books.attempts(STREAMS)
    assert {(attempt.done.outcome, attempt.done.flags) for attempt in found} == {("lost", ("estimated",))}
    assert all(0 < attempt.done.total_femto <= attempt.billed_femto for attempt in found)


def test_case_16_a_kill_instead_leaves_the_beginnings(start, books_of):
    """What the grace adds to kill -9: an end for every beginning. The beginnings are there in any case."""
    gateway = start(10)
    books = books_of(gateway)
    with ExitStack() as opened:
        open_streams(gateway, opened, output_tokens=4000, tokens_per_s=10)
        gateway.process.kill()
        gateway.process.wait()
    sent = {record.attempt for record in gateway.records()}
    assert len(sent) == len(gateway.records()) == STREAMS
    assert {row.correlation for row in books.rows()} == sent
