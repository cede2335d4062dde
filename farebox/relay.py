"""Passes a provider's stream on to the client, event by event, and meters it on the way.

Rules: nothing is sent to the client before the first content, so that whatever goes wrong until then is a real
error or another target's answer; after that nothing is ever retried or spliced. The protocol's own end, not the end
of the connection, says that an answer is complete. An event goes out as the bytes that came in, unless it carries
usage. An answer that outgrows the output cap which its hold was computed from is cut.
"""

import asyncio
import sys
from typing import Any

import msgspec

from farebox.attempt import Attempt
from farebox.edges import Reply
from farebox.errors import CallError, UpstreamFailed
from farebox.failure import fail_garbage, refuse
from farebox.http1.client import Answer, BrokeOff
from farebox.http1.exchange import ClientGone
from farebox.journal.record import Outcome
from farebox.meter import BYTES_PER_TOKEN, UNBILLED, Priced, estimate, price_answer
from farebox.money import usd_text
from farebox.wire.errors_of import render_event, status_of_event
from farebox.wire.json_body import encode
from farebox.wire.sse import Event, EventTooLarge, SseDecoder
from farebox.wire.sse import encode as encode_event

STREAM_HEADERS = [("content-type", "text/event-stream"), ("cache-control", "no-cache"), ("x-accel-buffering", "no")]
# What a provider may still send after the client has gone, before the connection is cut.
_DRAIN_BYTES = 16 << 20
_DRAIN_SECONDS = 120.0
# An honest answer must never be cut: some servers send a token in several events, and some tokens are long.
_SPARE_EVENTS = 64
_HELD_BYTES = 64 << 10  # what is held back of a stream that has no content
_BYTES_OF_LONG_TOKENS = 12


async def relay(attempt: Attempt, answer: Answer, reply: Reply) -> None:
    """Stream one answer to the client.

    Raises:
        Failed: where it fails before the client has seen anything.
        BrokeOff: where the connection breaks, or a time limit ends it, before the first content.
    """
    kind = answer.header("content-type") or ""
    if "text/event-stream" not in kind:
        fail_garbage(attempt, f"a stream was asked for, the answer is {kind or 'of no type'}")
    stream = _Stream(attempt, answer)
    pending = await _begin(stream, reply)
    if stream.client_gone:
        return await _settle(stream, "client_gone")
    if not attempt.wins():
        await stream.drain()
        attempt.received_ns = attempt.edges.clock.monotonic_ns()
        attempt.put_done("outpaced", stream.price(), final=False)
        return None
    reply.start_stream(200, [*STREAM_HEADERS, *attempt.headers(answer, None)])
    if attempt.is_cut_short:
        reply.when_gone(stream.hang_up)
    outcome: Outcome = "lost"
    try:
        outcome = await _pass_on(stream, pending, reply)
    except ClientGone:
        outcome = "client_gone"
    finally:
        reply.when_gone(None)
        if outcome == "lost":
            attempt.put_done("lost", stream.price())
    if outcome == "client_gone" and attempt.target.drains:
        await stream.drain()
    return await _settle(stream, outcome)


async def _begin(stream: "_Stream", reply: Reply) -> bytes:
    """Read up to the first content; a client that leaves meanwhile ends it, where that ends what it costs."""
    attempt = stream.attempt
    if attempt.is_cut_short and attempt.claim is None:  # of several attempts none speaks for the client yet
        reply.when_gone(stream.hang_up)
    try:
        return await stream.begin()
    except BrokeOff:
        if not stream.client_gone:
            raise
        return b""
    finally:
        reply.when_gone(None)


async def _settle(stream: "_Stream", outcome: Outcome) -> None:
    """Put the end of a stream on record."""
    attempt = stream.attempt
    attempt.received_ns = attempt.edges.clock.monotonic_ns()
    attempt.put_done(outcome, stream.price())
    await attempt.flush_done()


async def _pass_on(stream: "_Stream", pending: bytes, reply: Reply) -> Outcome:
    """Send everything to the client; return how the stream ended."""

    def sink(chunk: bytes) -> bool:
        try:
            return reply.offer(stream.take(chunk)) and stream.failure is None
        except Exception as error:  # noqa: BLE001 - raised below, in the task of the call
            stream.failure = error
            return False

    try:
        reply.offer(pending)
        ended = False
        while not ended:
            await reply.drained()
            if stream.failure is None:
                ended = await stream.answer.pour(sink)
            if stream.failure is not None:
                raise stream.failure
        tail = stream.finish()
        complete = stream.is_complete
    except _Overgrown as error:
        stream.answered.error = error.message
        await reply.send(render_event(stream.attempt.asked.dialect, error, stream.attempt.inbound.id))
        return "cut"
    except _ENDS_EARLY as error:
        stream.end_early(error)
        tail = b""
        complete = stream.answered.complete
    outcome: Outcome = "ok" if complete else "error" if stream.error_passed_on else "truncated"
    if outcome == "truncated":
        tail += stream.cut_event()
    if tail:
        await reply.send(tail)
    return outcome


class _StreamTooLarge(ValueError):
    """The stream is larger than the limit."""


_ENDS_EARLY = (BrokeOff, EventTooLarge, UpstreamFailed, _StreamTooLarge)
_UNREADABLE = (EventTooLarge, UpstreamFailed, _StreamTooLarge)


class _Overgrown(CallError):
    """The provider ignores the output cap it was told, and with it the hold."""

    status = 502
    code = "budget_cutoff"


class _Stream:
    """One provider's stream as it is read: decoded, metered, rewritten where it must be."""

    def __init__(self, attempt: Attempt, answer: Answer) -> None:
        self.attempt: Attempt = attempt
        self.answer: Answer = answer
        self.answered = attempt.answered
        self.error_passed_on: bool = False
        self.failure: Exception | None = None
        self.ended_by: Exception | None = None
        self.client_gone: bool = False
        self.priced: Priced | None = None
        read_event = attempt.outgoing.reading.event
        assert read_event is not None, "an operation that streams can be read as events"
        self._read_event = read_event
        self._decoder = SseDecoder(attempt.edges.limits.event_bytes)
        self._left_bytes: int = attempt.edges.limits.stream_bytes
        self._has_begun: bool = False  # anything but pings and errors was seen
        self._has_ended: bool = False
        translation = attempt.outgoing.translation
        asked = attempt.asked
        self._translator = (
            None
            if translation is None
            else translation.start_stream(
                asked.model, include_usage=asked.include_usage, now_s=attempt.sent.at_ns // 1_000_000_000
            )
        )
        self._wants_usage: bool = asked.include_usage
        cap = attempt.outgoing.output_cap if attempt.admitted.is_strict else None
        self._most_events: int = sys.maxsize if cap is None else cap + cap // 8 + _SPARE_EVENTS
        self._most_bytes: int = sys.maxsize if cap is None else (cap + _SPARE_EVENTS) * _BYTES_OF_LONG_TOKENS
        self._capped: tuple[int, int] = self._most_events, self._most_bytes
        if attempt.most_tokens is not None:
            self._most_events = min(self._most_events, attempt.most_tokens)
            self._most_bytes = min(self._most_bytes, attempt.most_tokens * BYTES_PER_TOKEN)

    @property
    def is_complete(self) -> bool:
        """Whether the protocol's own end was seen; a finish reason and a clean end of the body say the same."""
        return self.answered.complete or (bool(self.answered.finish) and not self.answered.error)

    def hang_up(self) -> None:
        """End the provider's stream: nobody reads it any more."""
        self.client_gone = True
        self.answer.break_off("the client has gone")

    def end_early(self, error: Exception) -> None:
        """Take down why the provider's stream is not whole.

        Raises:
            ClientGone: where that is why.
        """
        if self.client_gone:
            raise ClientGone from error
        self.ended_by = error
        self.answered.error = self.answered.error or str(error)[:500]

    async def begin(self) -> bytes:
        """Read up to the first content and return what the client gets first.

        What comes before it, such as a role, the prompt's usage or pings, is held back: should nothing follow, another
        target can still answer.
        """
        out: list[bytes] = []
        held_bytes = 0
        while True:
            chunk = await self.answer.next_chunk()
            try:
                for event in self._rest() if chunk is None else self._split(chunk):
                    out.append(self._take_first(event))
                    held_bytes += len(out[-1])
            except _UNREADABLE as error:
                if not self.answered.content_events:
                    fail_garbage(self.attempt, str(error))
                self.failure = error
            except _Overgrown as error:
                self.failure = error
            if chunk is None:
                out.append(self.finish())
                if not self.is_complete and not self.answered.content_events:
                    fail_garbage(self.attempt, "the stream ended before its first content")
                break
            if self.answered.content_events or self.is_complete or self.failure or held_bytes > _HELD_BYTES:
                break
        return b"".join(out)

    def _take_first(self, event: Event) -> bytes:
        """Take an event in; an error before any content becomes an answer of its own.

        It is free like any other refusal, unless the provider had begun: then its prompt may be billed.
        """
        out = self._take_event(event)
        answered = self.answered
        if answered.error and not answered.content_events:
            priced = self.price() if self._has_begun else UNBILLED
            refuse(self.attempt, self.answer, status_of_event(event.data), event.data, priced)
        self._has_begun = self._has_begun or (bool(event.data) and b'"ping"' not in event.data)
        return out

    def take(self, chunk: bytes) -> bytes:
        """Take bytes in; return what goes to the client, up to the event that cannot be read: see `failure`."""
        pieces: list[bytes] = []
        try:
            events = self._split(chunk)
            if len(events) == 1:
                return self._take_event(events[0])
            for event in events:
                pieces.append(self._take_event(event))  # noqa: PERF401 - those before a failure are kept
        except _UNREADABLE as error:
            self.failure = error
        return b"".join(pieces)

    def finish(self) -> bytes:
        """Take the end of the body in; return what goes to the client."""
        if self._has_ended:
            return b""
        self._has_ended = True
        out = b"".join(map(self._take_event, self._rest()))
        if self._translator is not None:
            out += b"".join(self._translator.finish())
        return out

    def _split(self, chunk: bytes) -> list[Event]:
        """Return the events that end in a chunk."""
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            most = self.attempt.edges.limits.stream_bytes
            raise _StreamTooLarge(f"the stream is larger than {most} bytes (limits.stream_bytes)")
        return self._decoder.feed(chunk)

    def _rest(self) -> list[Event]:
        """Return the last event where its empty line is missing: some servers leave it out."""
        return self._decoder.feed(b"\n\n") if self._decoder.rest().strip() else []

    def _take_event(self, event: Event) -> bytes:
        answered = self.answered
        carries_usage = bool(event.data) and self._read_event(event.data, answered)
        if self.attempt.first_token_ns is None and answered.content_events:
            self.attempt.first_token_ns = self.attempt.edges.clock.monotonic_ns() - self.attempt.sent_ns
        if carries_usage:
            self.priced = price_answer(self.attempt.edges.book, self.attempt.sent, answered)
        if answered.error:
            self.error_passed_on = True
        if answered.content_events > self._most_events or answered.content_bytes > self._most_bytes:
            self._overgrow()
        if self._translator is not None:
            pieces = self._translator.feed(event)
            if self.priced is not None:
                pieces = [_with_cost(piece, self.priced) if b'"usage"' in piece else piece for piece in pieces]
            return b"".join(pieces)
        if carries_usage and self.priced is not None:
            # Where a piece ended inside a line end of two bytes, the second one still belongs to the event before.
            lead = b"\n" if event.raw[:1] == b"\n" else b""
            return lead + _with_cost(event.raw[len(lead) :], self.priced) if self._wants_usage else lead
        return event.raw

    def _overgrow(self) -> None:
        """Do as the policy says about what the call has cost; stop where what comes would not be covered by the hold.

        Raises:
            _Overgrown: where the answer is cut.
        """
        attempt, answered = self.attempt, self.answered
        if attempt.policy is not None and not attempt.is_over:
            attempt.note_over()
            if attempt.policy.policy.then == "refuse":
                raise _Overgrown(f"The answer was cut by {attempt.policy.reason}.", code="cost_threshold")
            self._most_events, self._most_bytes = self._capped
            if answered.content_events <= self._most_events and answered.content_bytes <= self._most_bytes:
                return
        raise _Overgrown(
            f"The answer was cut: it grew beyond the {self.attempt.outgoing.output_cap} tokens that the provider was "
            "told and that were reserved in the budget. The provider does not keep to its output cap."
        )

    def cut_event(self) -> bytes:
        """Return the error event that ends a stream which is not whole: whose doing it was, and why."""
        ended_by = self.ended_by
        ours = ended_by is not None and not (isinstance(ended_by, BrokeOff) and not ended_by.timed_out)
        what = "The provider's answer was cut" if ours else "The provider broke off its answer"
        detail = f": {ended_by}" if ended_by is not None else ""
        error = UpstreamFailed(f"{what}{detail}. What was received is incomplete.", code="stream_truncated")
        return render_event(self.attempt.asked.dialect, error, self.attempt.inbound.id)

    def price(self) -> Priced:
        """Return what the stream costs by all that was seen of it."""
        if self.priced is not None:
            return self.priced
        book, sent = self.attempt.edges.book, self.attempt.sent
        if self.is_complete:
            return price_answer(book, sent, self.answered)
        return estimate(book, sent, self.answered)

    async def drain(self) -> None:
        """Read on without a client until the end, for the usage; bounded in bytes and time."""
        seen = 0
        try:
            async with asyncio.timeout(_DRAIN_SECONDS):
                while seen < _DRAIN_BYTES and (chunk := await self.answer.next_chunk()) is not None:
                    seen += len(chunk)
                    self.take(chunk)
                    if self.failure is not None:
                        raise self.failure
        except (*_ENDS_EARLY, TimeoutError) as error:
            self.answered.error = self.answered.error or f"while draining: {error}"[:500]


def _with_cost(raw: bytes, priced: Priced) -> bytes:
    """Return an event with ``cost`` (USD, decimal text, null where unpriced) inside its usage object."""
    events = SseDecoder().feed(raw)
    if len(events) != 1:
        return raw
    body: dict[str, Any] = msgspec.json.decode(events[0].data)
    usage = body.get("usage")
    if not isinstance(usage, dict):
        return raw
    cost = None if priced.total_femto is None else usd_text(priced.total_femto)
    return encode_event(encode({**body, "usage": {**usage, "cost": cost}}), events[0].name)
