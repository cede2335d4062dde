"""The client side of HTTP/1.1: connections to one origin, kept open between requests.

A connection is used by one request at a time and goes back to the pool only after its answer was read whole.
Nothing is sent twice: a request whose connection breaks is reported, not repeated, because what a provider has
seen it may bill. Time limits are kept by one sweep over the busy connections, not by a timer per request.
"""

import asyncio
import ssl
from typing import Self

import httptools
import msgspec

_SWEEP_S = 0.25
_POOL_IDLE_S = 20.0  # below the keep-alive of common servers and load balancers
_POOL_SIZE = 256
_BUFFER_BYTES = 256 << 10


class NeverSent(Exception):
    """No connection came about: the provider cannot have seen, or billed, the request."""


class BrokeOff(Exception):
    """The exchange failed after bytes may have reached the provider.

    Attributes:
        timed_out: whether a time limit ran out.
    """

    def __init__(self, detail: str, *, timed_out: bool = False) -> None:
        super().__init__(detail)
        self.timed_out: bool = timed_out


class AnswerTooLarge(Exception):
    """The answer is larger than the limit."""


class Origin(msgspec.Struct, frozen=True):
    """Where a provider is."""

    scheme: str
    host: str
    port: int


class TimeLimits(msgspec.Struct, frozen=True):
    """The time limits of a provider, in seconds: to connect, of silence, and for a whole answer."""

    connect_s: float
    idle_s: float
    total_s: float


class _Connection(asyncio.Protocol):
    """One connection and the answer that is being read from it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.transport: asyncio.Transport
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._chunks: list[bytes] = []
        self._buffered: int = 0
        self._paused: bool = False
        self._until_close: bool = False
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
        self._in_use: bool = False

    def send(self, data: bytes) -> None:
        """Send a whole request and get ready for its answer."""
        self.headers = []
        self.status = 0
        self.head_done = self.complete = self.keep = self._until_close = False
        self.started = self.active = self._loop.time()
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

    def take(self) -> bytes:
        """Return the bytes of the body that have arrived."""
        chunks = self._chunks
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self.transport.resume_reading()
        return data

    def fail(self, failure: BrokeOff) -> None:
        """End the exchange with a failure and give the connection up."""
        if self.failure is None and not self.complete:
            self.failure = failure
        self.transport.abort()
        self._wake()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport

    def data_received(self, data: bytes) -> None:
        self.active = self._loop.time()
        if not self._in_use:
            self.closed = True
            self.transport.abort()
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self.fail(BrokeOff(f"the answer is not valid HTTP/1.1: {error}"))
        else:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if not self.complete and self.failure is None:
            if self.head_done and self._until_close and exc is None:
                self.complete = True
            else:
                when = "in the middle of the answer" if self.head_done else "before the answer"
                self.failure = BrokeOff(f"the connection was closed {when}" + (f": {exc}" if exc else ""))
        self._wake()

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:
            return  # an interim answer; the real one follows
        self.head_done = True
        names = {name for name, _ in self.headers}
        self._until_close = "content-length" not in names and "transfer-encoding" not in names

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)
        if self._buffered > _BUFFER_BYTES and not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.headers = []
            return
        self.complete = True
        self.keep = self._parser.should_keep_alive()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)


class Answer:
    """A provider's answer, its body still to be read.

    Use it as an async context manager: entering sends the request and reads the head; leaving before the end of
    the body closes the connection.
    """

    __slots__ = ("_connection", "_pool", "_request", "status")

    def __init__(self, pool: "Upstream", request: bytes) -> None:
        self._pool = pool
        self._request = request
        self._connection: _Connection
        self.status: int = 0

    async def __aenter__(self) -> Self:
        connection = self._pool.idle() or await self._pool.connect()
        self._connection = connection
        try:
            connection.send(self._request)
            while not connection.head_done:
                await connection.wait()
        except BaseException:
            self._pool.drop(connection)
            raise
        self.status = connection.status
        return self

    async def __aexit__(self, *exc: object) -> None:
        connection = self._connection
        if connection.complete and connection.keep and not connection.closed:
            self._pool.release(connection)
        else:
            self._pool.drop(connection)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        for key, value in self._connection.headers:
            if key == name:
                return value
        return None

    def headers(self) -> list[tuple[str, str]]:
        """Return all headers, names in lower case."""
        return self._connection.headers

    async def read(self, limit_bytes: int) -> bytes:
        """Return the whole body.

        Raises:
            AnswerTooLarge: where it is larger than the limit.
            BrokeOff: where it does not arrive whole.
        """
        connection = self._connection
        if connection.complete:  # the usual case: it came in one piece
            data = connection.take()
            if len(data) > limit_bytes:
                raise AnswerTooLarge(f"the provider's answer is larger than {limit_bytes} bytes")
            return data
        chunks: list[bytes] = []
        size = 0
        while (chunk := await self.next_chunk()) is not None:
            size += len(chunk)
            if size > limit_bytes:
                raise AnswerTooLarge(f"the provider's answer is larger than {limit_bytes} bytes")
            chunks.append(chunk)
        return b"".join(chunks)

    async def next_chunk(self) -> bytes | None:
        """Return bytes as they arrive, or None at the end of the body.

        Raises:
            BrokeOff: where the connection fails before the end.
        """
        connection = self._connection
        while True:
            data = connection.take()
            if data:
                return data
            if connection.complete:
                return None
            await connection.wait()


class Upstream:
    """The connections to one provider. One per provider and process.

    Args:
        origin: where it is.
        limits: its time limits.
    """

    def __init__(self, origin: Origin, limits: TimeLimits) -> None:
        self._origin = origin
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLContext | None = None
        if origin.scheme == "https":
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: list[_Connection] = []
        self._busy: set[_Connection] = set()
        self._sweeper: asyncio.TimerHandle = self._loop.call_later(_SWEEP_S, self._sweep)

    def post(self, head: bytes, body: bytes) -> Answer:
        """Return the answer to a request; nothing is sent before it is entered.

        Args:
            head: request line and headers, each line ended, without ``content-length`` and without the empty line.
            body: the bytes of the body.
        """
        return Answer(self, b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))

    def idle(self) -> _Connection | None:
        """Return a connection that is open and free, or None."""
        newest = self._loop.time() - _POOL_IDLE_S
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.released > newest:
                self._busy.add(connection)
                return connection
            connection.transport.abort()
        return None

    async def connect(self) -> _Connection:
        """Return a new connection.

        Raises:
            NeverSent: where none comes about.
        """
        try:
            _, connection = await asyncio.wait_for(
                self._loop.create_connection(
                    lambda: _Connection(self._loop), self._origin.host, self._origin.port, ssl=self._tls
                ),
                self._limits.connect_s,
            )
        except TimeoutError:
            raise NeverSent(f"no connection within {self._limits.connect_s:g} s") from None
        except OSError as error:  # refused, unknown host, TLS
            raise NeverSent(f"{type(error).__name__}: {error.strerror or error}") from error
        self._busy.add(connection)
        return connection

    def release(self, connection: _Connection) -> None:
        """Take a connection back whose answer was read whole."""
        self._busy.discard(connection)
        connection.rest()
        if len(self._idle) < _POOL_SIZE:
            self._idle.append(connection)
        else:
            connection.transport.close()

    def drop(self, connection: _Connection) -> None:
        """Close a connection whose answer was not read whole."""
        self._busy.discard(connection)
        connection.transport.abort()

    async def close(self) -> None:
        """Close all connections."""
        self._sweeper.cancel()
        for connection in (*self._idle, *self._busy):
            connection.transport.abort()
        self._idle.clear()

    def _sweep(self) -> None:
        """End what has been silent or under way for too long; close what has been idle for too long."""
        now = self._loop.time()
        for connection in list(self._busy):
            if now - connection.active > self._limits.idle_s:
                connection.fail(BrokeOff(f"nothing arrived for {self._limits.idle_s:g} s", timed_out=True))
            elif now - connection.started > self._limits.total_s:
                connection.fail(BrokeOff(f"the answer took longer than {self._limits.total_s:g} s", timed_out=True))
        kept: list[_Connection] = []
        for connection in self._idle:
            if connection.closed or now - connection.released > _POOL_IDLE_S:
                connection.transport.abort()
            else:
                kept.append(connection)
        self._idle = kept
        self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
