"""One connection to a provider and the answer that is being read from it, parsed by llhttp."""

import asyncio
from collections.abc import Callable

import httptools

from farebox.http1.exchange import NAMES, read_name
from farebox.http1.kernel import watch_peer
from farebox.http1.limits import PoolLimits, TimeLimits

Sink = Callable[[bytes], bool]
"""Takes bytes of a body; returns whether it wants more at once."""

# What a piece of a body costs beside its bytes: a stream of tiny pieces must not take many times its size.
_PIECE_BYTES = 64
_UNACKNOWLEDGED_S = 60.0

Progress = Callable[[], int]
"""Returns how much content an answer has had so far."""


class BrokeOff(Exception):
    """The exchange failed after bytes may have reached the provider.

    Attributes:
        timed_out: whether a time limit ran out.
    """

    def __init__(self, detail: str, *, timed_out: bool = False) -> None:
        super().__init__(detail)
        self.timed_out: bool = timed_out


class _Surplus(Exception):
    """Bytes after the end of the answer: nobody asked for them."""


class ProviderConnection(asyncio.Protocol):
    """One connection and the answer that is being read from it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: PoolLimits) -> None:
        self._loop = loop
        self._limits = limits
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: list[bytes] = []
        self._buffered: int = 0
        self._unparsed: int = 0  # bytes since the parser last had something whole to tell
        self.paused: bool = False
        self.headers: list[tuple[str, str]] = []
        self.status: int = 0
        self.head_done: bool = False
        self.complete: bool = False
        self.failure: BrokeOff | None = None
        self.closed: bool = False
        self.keep: bool = False
        self.started: float = 0.0
        self.active: float = 0.0
        self.released: float = 0.0
        self.progress: Progress | None = None
        self.seen: int = 0  # how much content, when it was last looked at
        self.moved: float = 0.0  # when there was more of it
        self._in_use: bool = False
        self._sink: Sink | None = None

    def send(self, data: bytes, progress: "Progress | None" = None) -> None:
        """Send a whole request and get ready for its answer.

        Args:
            data: the request.
            progress: counts what is content in the answer, or None where all of it is.
        """
        self.progress = progress
        self.seen = 0
        self.headers = []
        self.status = 0
        self.head_done = self.complete = self.keep = False
        self.started = self.active = self.moved = self._loop.time()
        self._in_use = True
        self.transport.write(data)

    def rest(self) -> None:
        """Wait in the pool; whatever arrives now belongs to no request."""
        self._in_use = False
        self.released = self._loop.time()

    async def wait(self) -> None:
        """Return when something new has arrived; raise what went wrong."""
        if self.failure is not None:
            raise self.failure
        self._waiter = self._loop.create_future()
        await self._waiter
        failure: BrokeOff | None = self.failure
        if failure is not None and not self._chunks:
            raise failure

    async def pour(self, sink: Sink) -> None:
        """Hand the body to a sink as it arrives, until the body ends or the sink wants no more; see `Answer.pour`."""
        self._sink = sink
        try:
            while self._sink is not None and not self.complete:
                await self.wait()
        finally:
            self._sink = None

    def take(self) -> bytes:
        """Return the bytes of the body that have arrived."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self.paused:
            self.paused = False
            self.active = self._loop.time()  # the silence was ours
            if not self.transport.is_closing():
                self.transport.resume_reading()
        return data

    @property
    def is_reusable(self) -> bool:
        """Whether the exchange is over: the request sent, its answer read whole, nothing left of either."""
        return (
            self.complete
            and self.keep
            and not self.closed
            and not self._chunks
            and not self.transport.get_write_buffer_size()
        )

    def find_late(self, now: float, limits: TimeLimits) -> str:
        """Return which time limit has run out, in words, or ""; called again and again while it is busy."""
        if now - self.started > limits.total_s:
            return f"the answer took longer than {limits.total_s:g} s (total_timeout_s)"
        if self._chunks:
            self.active = self.moved = now  # what has arrived is not taken: the silence is ours
            return ""
        if self.progress is None:
            is_late = now - self.active > limits.idle_s
            return f"nothing arrived for {limits.idle_s:g} s (idle_timeout_s)" if is_late else ""
        count = self.progress()
        if count != self.seen:
            self.seen = count
            self.moved = self.active  # when bytes came last, the content among them
        if not count:
            return self._find_late_first(now, limits)
        is_late = now - self.moved > limits.idle_s
        return f"no content arrived for {limits.idle_s:g} s (idle_timeout_s)" if is_late else ""

    def _find_late_first(self, now: float, limits: TimeLimits) -> str:
        if limits.first_s is not None:
            is_late = now - self.started > limits.first_s
            return f"no content arrived within {limits.first_s:g} s (first_token_timeout_s)" if is_late else ""
        is_late = now - self.started > limits.idle_s
        return f"no content arrived within {limits.idle_s:g} s (idle_timeout_s)" if is_late else ""

    def fail(self, failure: BrokeOff) -> None:
        """End the exchange with a failure and give the connection up."""
        if self.failure is None and not self.complete:
            self.failure = failure
        self.closed = True
        self.transport.abort()
        self._wake()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport
        watch_peer(transport, _UNACKNOWLEDGED_S)

    def data_received(self, data: bytes) -> None:
        """Parse bytes of the answer; where none is due, give the connection up."""
        self.active = self._loop.time()
        if not self._in_use or self.closed:
            self.closed = True
            self.transport.abort()
            return
        self._unparsed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.fail(BrokeOff("the provider switched to another protocol"))
        except httptools.HttpParserError as error:
            self.fail(BrokeOff(f"the answer is not valid HTTP/1.1: {error}"))
        else:
            if self._unparsed > self._limits.head_bytes:
                self.fail(BrokeOff("the answer's headers are too large"))
            elif self._sink is None:
                self._wake()
            else:
                self._feed_sink(self._sink)

    def eof_received(self) -> None:
        """Close the connection; nothing may be sent on it from here on, even before it is lost."""
        self.closed = True

    def connection_lost(self, exc: Exception | None) -> None:
        """End the answer: whole where the connection's end is its end, broken off otherwise."""
        self.closed = True
        if not self.complete and self.failure is None:
            if self.head_done and exc is None and self._ends_with_connection():
                self.complete = True
            else:
                when = "in the middle of the answer" if self.head_done else "before the answer"
                self.failure = BrokeOff(f"the connection was closed {when}" + (f": {exc}" if exc else ""))
        self._wake()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Refuse a second answer."""
        if self.complete:
            raise _Surplus

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        if self.head_done:
            return  # a trailer
        self.headers.append((NAMES.get(name) or read_name(name), value.decode("latin-1").rstrip(" \t")))

    def on_headers_complete(self) -> None:
        """Take the status."""
        self._unparsed = 0
        self.status = self._parser.get_status_code()
        self.head_done = self.status >= 200  # before it come interim answers

    def on_body(self, body: bytes) -> None:
        """Add to the body; stop reading where the consumer is slow."""
        self._unparsed = 0
        self._chunks.append(body)
        self._buffered += len(body) + _PIECE_BYTES
        if self._buffered > self._limits.buffer_bytes and not self.paused:
            self.paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        """End the answer, or an interim one."""
        self._unparsed = 0
        if self.status < 200:
            self.headers = []
            return
        self.complete = True
        self.keep = self._parser.should_keep_alive()

    def _feed_sink(self, sink: Sink) -> None:
        """Hand on what has arrived; the reader is woken only where it has something to do."""
        if self._chunks and not sink(self.take()):
            self._sink = None
        if self._sink is None or self.complete:
            self._wake()

    def _ends_with_connection(self) -> bool:
        """Return whether neither a length nor chunks say where the body ends."""
        return not any(name in ("content-length", "transfer-encoding") for name, _ in self.headers)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)
