"""Case 20: a client leaves at every event of a stream; nothing is billed that is not in the books, nothing is left."""

import asyncio
import time

import pytest

from tests.streaming.conftest import FIRST_S, HEARTBEAT_S
from tests.streaming.peer import DONE, ROLE, SSE, STOP, USAGE, WORDS, read_events, request, writes

EVENTS = 14  # of a stream with ten pieces: a role before them; a finish reason, usage and an end behind
MODELS = {
    "abort": [("openai", "openai/gpt-4o"), ("anthropic", "anthropic/claude-haiku-4-5")],
    "drain": [("openai", "drainer/gpt-4o"), ("anthropic", "drainer/gpt-4o")],
}


def leave_everywhere(gateway, dialect, model, *, stream):
    """Ask once for every index, and leave once so many events have come."""
    data = request(dialect, model, stream=stream, output_tokens=40, tokens_per_s=1000)
    for index in range(EVENTS):
        with gateway.connect() as connection:
            connection.sendall(data)
            if stream:
                read_events(connection, index)
            else:
                time.sleep(index * 0.003)  # an answer in one piece has no events to leave at


def until_as_before(inside, before):
    deadline_s = time.monotonic() + 10
    while (tasks := inside.tasks()) > before[0] and time.monotonic() < deadline_s:
        time.sleep(0.02)
    descriptors = inside.descriptors()
    assert tasks <= before[0]
    assert descriptors <= before[1] + EVENTS // 2, "a leak would be one for every call"


@pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])
@pytest.mark.parametrize("policy", ["abort", "drain"])
def test_case_20_clients_that_leave_at_every_event(stream_gateway, stream_books, capped, inside, policy, stream):
    rounds = [(dialect, model) for _ in range(2) for dialect, model in MODELS[policy]]
    before = (inside.tasks(), inside.descriptors())
    for number, (dialect, model) in enumerate(rounds):
        if number == len(rounds) // 2:
            stream_books.attempts(EVENTS * number)
            before = (before[0], inside.descriptors())  # some connections to providers are kept for the next calls
        leave_everywhere(stream_gateway, dialect, model, stream=stream)
    attempts = stream_books.attempts(EVENTS * len(rounds))
    for attempt in attempts:
        done = attempt.done
        assert done.outcome in {"ok", "client_gone"}
        assert done.total_femto > 0
        charged = done.total_femto if done.charged_femto is None else done.charged_femto
        assert charged >= attempt.billed_femto, "the ledger has what is billed, or more"
        if done.flags == ():
            assert done.total_femto == attempt.billed_femto
        else:
            assert (done.flags, policy, stream) == (("estimated",), "abort", True)
    if stream:
        assert sum(attempt.done.outcome == "client_gone" for attempt in attempts) >= EVENTS
    until_as_before(inside, before)


def test_case_20_a_client_that_leaves_before_the_first_content(stream_gateway, stream_books, raw_streams, capped):
    """A model that thinks in silence is stopped as soon as nobody waits, not at its first word."""
    raw_streams.play(writes(SSE, ROLE, then="hold"))
    started_s = time.monotonic()
    with stream_gateway.connect() as connection:
        connection.sendall(request("openai", "raw/gpt-4o"))
        time.sleep(0.05)
    (attempt,) = stream_books.attempts(1)
    assert time.monotonic() - started_s < FIRST_S - 0.05, "it was not the time limit"
    assert (attempt.done.outcome, attempt.done.flags) == ("client_gone", ("estimated",))
    assert attempt.done.meters == {"input": 6}
    assert attempt.done.charged_femto > attempt.done.total_femto > 0


@pytest.mark.parametrize(
    ("dialect", "model", "beat"),
    [
        ("openai", "slow/gpt-4o", b": farebox\n\n"),
        ("anthropic", "slow/gpt-4o", b'event: ping\ndata: {"type": "ping"}\n\n'),
    ],
    ids=["openai", "anthropic"],
)
def test_case_20_a_silent_stream_is_seen_to_be_alive(stream_gateway, stream_books, raw_streams, dialect, model, beat):
    """What a client that has vanished would not acknowledge; its time, not the provider's, is what it shows."""

    async def script(reader, writer):
        await writes(SSE, ROLE, WORDS)(reader, writer)
        await asyncio.sleep(HEARTBEAT_S * 3)
        await writes(STOP, USAGE, DONE)(reader, writer)

    raw_streams.play(script)
    with stream_gateway.connect() as connection:
        connection.sendall(request(dialect, model))
        received = b""
        while not received.endswith(b"0\r\n\r\n"):
            more = connection.recv(65536)
            assert more, received
            received += more
    before, _, after = received.partition(beat)
    assert b"one two three" in before
    assert b"stop" in after, "it stands between two events"
    (attempt,) = stream_books.attempts(1)
    assert (attempt.done.outcome, attempt.done.flags) == ("ok", ())
