import asyncio
import os
import signal
import socket

import pytest

from farebox.replay import Plan, TraceError, TraceRow, drive, parse, run
from farebox.replay.summary import measure


def rows(count, gap_s=0.0, **fields):
    text = {"prompt": "Where does this train go?"} | fields
    return [TraceRow(at_s=number * gap_s, input_tokens=6, output_tokens=3, **text) for number in range(count)]


def outcome(gateway, how, **options):
    gateway.script = lambda asked: how
    return run(Plan(rows=rows(4), url=gateway.url, speed=None, **options))


@pytest.mark.parametrize("stream_share", [0, 1])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_complete_answers(gateway, dialect, stream_share):
    summary = outcome(gateway, "ok", dialect=dialect, stream_share=stream_share)
    assert (summary.calls, summary.failed, summary.retries, summary.statuses) == (4, 0, 0, {200: 4})
    assert (summary.input_tokens, summary.cached_tokens, summary.output_tokens) == (4 * 6, 4, 4 * 3)
    assert (summary.streams, summary.ttft_ms.count) == (4 * stream_share, 4 * stream_share)
    assert summary.events == stream_share * 4 * 4
    assert summary.total_ms.count == 4
    assert summary.lag_ms.count == 0


@pytest.mark.parametrize(
    ("how", "stream_share", "failure", "says"),
    [
        ("429", 0, "http status", "429: told to answer 429"),
        ("500", 1, "http status", "500: told to answer 500"),
        ("plain", 0, "http status", "502: bad gateway"),
        ("close", 0, "connection lost", "closed before the answer"),
        ("cut", 1, "connection lost", "in the middle of the answer"),
        ("unterminated", 1, "stream cut", "without its terminator"),
        ("fault", 1, "error in stream", "overloaded in the middle"),
        ("garbage", 1, "unreadable answer", "nonsense"),
        ("garbage", 0, "unreadable answer", "html"),
    ],
)
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_failures_are_told_apart(gateway, dialect, how, stream_share, failure, says):
    summary = outcome(gateway, how, dialect=dialect, stream_share=stream_share)
    assert (summary.calls, summary.failed, summary.total_ms.count) == (4, 4, 0)
    assert summary.failures[failure].calls == 4
    assert says in summary.failures[failure].example
    assert len(gateway.asked) == 4


def test_silence_is_a_timeout(gateway):
    summary = outcome(gateway, "silent", timeout_s=0.1)
    assert summary.failures["timeout"].calls == 4


def test_nobody_listens():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        summary = run(Plan(rows=rows(2), url=f"http://127.0.0.1:{taken.getsockname()[1]}", speed=None))
    assert summary.failures["no connection"].calls == 2
    assert "refused" in summary.failures["no connection"].example
    assert summary.statuses == {}


def test_a_lost_connection_is_tried_again_only_if_asked_for(gateway, monkeypatch):
    monkeypatch.setattr("farebox.replay.client.FIRST_PAUSE_S", 0.001)
    seen: list[str] = []

    def script(asked):
        seen.append(asked.body["messages"][0]["content"])
        return "cut" if seen.count(seen[-1]) < 3 else "ok"

    gateway.script = script
    calls = [row for number in range(3) for row in rows(1, prompt=f"prompt {number}", stream=True)]
    summary = run(Plan(rows=calls, url=gateway.url, speed=None, retries=5))
    assert (summary.calls, summary.failed, summary.retries) == (3, 0, 6)
    assert len(gateway.asked) == 9
    seen.clear()
    summary = run(Plan(rows=calls, url=gateway.url, speed=None, retries=1))
    assert (summary.calls, summary.failed, summary.retries) == (3, 3, 3)


def test_an_error_answer_is_never_tried_again(gateway):
    summary = outcome(gateway, "500", retries=5)
    assert (summary.failed, summary.retries, len(gateway.asked)) == (4, 0, 4)


def test_concurrency_is_limited(gateway):
    gateway.hold_s = 0.01
    summary = run(Plan(rows=rows(12), url=gateway.url, speed=None, concurrency_max=3))
    assert summary.failed == 0
    assert gateway.in_flight_max == 3


def test_calls_arrive_when_the_trace_says_divided_by_speed(gateway):
    summary = run(Plan(rows=rows(4, gap_s=1.0), url=gateway.url, speed=20))
    assert summary.duration_s >= 3 / 20
    assert summary.lag_ms.count == 4
    # Without the division this would take three seconds.
    assert summary.duration_s < 2


def test_waiting_for_a_slot_is_lag(gateway):
    gateway.hold_s = 0.05
    summary = run(Plan(rows=rows(3), url=gateway.url, concurrency_max=1))
    assert summary.lag_ms.max is not None
    assert summary.lag_ms.max >= 90


def test_limit_and_key(gateway):
    summary = run(Plan(rows=iter(rows(9)), url=gateway.url, speed=None, limit=2, key="sk-2"))
    assert summary.calls == 2
    assert {asked.headers["authorization"] for asked in gateway.asked} == {"Bearer sk-2"}


def test_what_arrives_is_as_long_as_the_trace_says(gateway, trace_file):
    text = "".join(f"2023-11-16 18:00:0{number},{100 + number},5\n" for number in range(5))
    trace = parse(trace_file(text + "nonsense\n"), "azure")
    summary = run(Plan(rows=trace, url=gateway.url, speed=None, concurrency_max=1))
    assert [asked.count_text() for asked in gateway.asked] == [100, 101, 102, 103, 104]
    assert summary.asked_input_tokens == summary.input_tokens == 510
    assert summary.asked_output_tokens == summary.output_tokens == 25
    assert [rejection.rows for rejection in summary.rejected.values()] == [1]


def test_replays_of_one_seed_send_the_same(gateway, published):
    bodies = []
    for seed in (1, 1, 2):
        gateway.asked.clear()
        trace = parse(published("ragpulse_trace.jsonl"), "ragpulse")
        run(Plan(rows=trace, url=gateway.url, speed=None, limit=20, concurrency_max=1, dialect="both", seed=seed))
        bodies.append([asked.body for asked in gateway.asked])
    assert bodies[0] == bodies[1]
    assert bodies[0] != bodies[2]


def test_stop_ends_the_sending_and_waits_for_the_rest(gateway):
    stopped = asyncio.Event()

    def watch(tally):
        if tally.done == 2:
            stopped.set()

    async def main():
        return await drive(Plan(rows=rows(500, gap_s=0.01), url=gateway.url), stopped, watch)

    summary = asyncio.run(main())
    assert summary.stopped
    assert 2 <= summary.calls < 100
    assert summary.failed == 0


def test_interrupt_returns_the_summary(gateway):
    def watch(tally):
        if tally.done == 1:
            os.kill(os.getpid(), signal.SIGINT)

    summary = run(Plan(rows=rows(500, gap_s=1.0), url=gateway.url), watch)
    assert summary.stopped
    assert summary.calls == 1


def test_an_unreadable_trace_is_one_plain_error(gateway, tmp_path):
    with pytest.raises(TraceError, match="No such file"):
        run(Plan(rows=parse(tmp_path / "none", "azure"), url=gateway.url))


def test_percentiles_are_values_that_were_measured():
    measured = measure([float(value) for value in range(1, 101)])
    assert (measured.count, measured.p50, measured.p90, measured.p99, measured.max) == (100, 50, 90, 99, 100)
    assert measure([7.0]).p99 == 7.0
    assert measure([]).p50 is None
