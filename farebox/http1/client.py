"""The client side of HTTP/1.1: connections to one origin, kept open between requests.

A connection is used by one request at a time and goes back to the pool only after its answer was read whole.
Nothing is sent twice: a request whose connection breaks is reported, not repeated, because what a provider has
seen it may bill. Time limits are kept by one sweep over the busy connections, not by a timer per request.
"""

import asyncio
import ssl
from typing import Self

import msgspec

from farebox.http1.limits import PoolLimits, TimeLimits
from farebox.http1.outbound import BrokeOff, Progress, ProviderConnection, Sink

__all__ = ["Answer", "AnswerTooLarge", "BrokeOff", "NeverSent", "Origin", "PoolLimits", "TimeLimits", "Upstream"]


_SHORTEST_SWEEP_S = 0.01


class NeverSent(Exception):
    """No connection came about: the provider cannot have seen, or billed, the request."""


class AnswerTooLarge(Exception):
    """The answer is larger than the limit."""


class Origin(msgspec.Struct, frozen=True):
    """Where a provider is."""

    scheme: str
    host: str
    port: int


class Answer:
    """A provider's answer, its body still to be read.

    Use it as an async context manager: entering sends the request and reads the head; leaving before the end of
    the body closes the connection.
    """

    __slots__ = ("_connection", "_headers", "_pool", "_progress", "_request", "status")

    def __init__(self, pool: "Upstream", request: bytes, progress: Progress | None = None) -> None:
        self._pool = pool
        self._request = request
        self._progress = progress
        self._connection: ProviderConnection
        self._headers: list[tuple[str, str]] = []
        self.status: int = 0

    async def __aenter__(self) -> Self:
        connection = self._pool.idle() or await self._pool.connect()
        self._connection = connection
        try:
            connection.send(self._request, self._progress)
            while not connection.head_done:
                await connection.wait()
        except BaseException:
            self._pool.drop(connection)
            raise
        self.status = connection.status
        self._headers = connection.headers
        return self

    async def __aexit__(self, *exc: object) -> None:
        connection = self._connection
        if connection.is_reusable:
            self._pool.release(connection)
        else:
            self._pool.drop(connection)

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        for key, value in self._headers:
            if key == name:
                return value
        return None

    def headers(self) -> list[tuple[str, str]]:
        """Return all headers, names in lower case."""
        return self._headers

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

    def break_off(self, detail: str) -> None:
        """Close the connection in the middle of the answer; whoever reads it gets `BrokeOff` with this detail."""
        self._connection.fail(BrokeOff(detail))

    async def pour(self, sink: Sink) -> bool:
        """Hand the body to a sink as it arrives, with no turn of the event loop between a read and its sink.

        Args:
            sink: takes bytes; returns whether it wants more at once. It must not raise.

        Returns:
            True at the end of the body, False where the sink wanted no more; pouring may go on.

        Raises:
            BrokeOff: where the connection fails before the end.
        """
        connection = self._connection
        while True:
            data = connection.take()
            if data and not sink(data):
                return False
            if connection.complete:
                return True
            await connection.pour(sink)
            if not connection.complete:
                return False


class Upstream:
    """The connections to one provider. One per provider and process.

    Args:
        origin: where it is.
        limits: its time limits.
        pool: what is kept of its connections and answers.
    """

    def __init__(self, origin: Origin, limits: TimeLimits, pool: PoolLimits | None = None) -> None:
        self.origin: Origin = origin
        self.limits: TimeLimits = limits
        self._pool = pool or PoolLimits()
        self._loop = asyncio.get_running_loop()
        self._tls: ssl.SSLContext | None = None
        if origin.scheme == "https":
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        self._idle: list[ProviderConnection] = []
        self._is_retired: bool = False
        self._busy: set[ProviderConnection] = set()
        # A limit is kept to a twentieth of it.
        self._sweep_s: float = max(_SHORTEST_SWEEP_S, min(self._pool.sweep_s, limits.shortest_s / 20))
        self._sweeper: asyncio.TimerHandle = self._loop.call_later(self._sweep_s, self._sweep)

    def post(self, head: bytes, body: bytes, progress: Progress | None = None) -> Answer:
        """Return the answer to a request; nothing is sent before it is entered.

        Args:
            head: request line and headers, each line ended, without ``content-length`` and without the empty line.
            body: the bytes of the body.
            progress: counts what is content in the answer, for the time limits of streams; None: all of it is.
        """
        return Answer(self, b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body), progress)

    def idle(self) -> ProviderConnection | None:
        """Return a connection that is open and free, or None."""
        newest = self._loop.time() - self._pool.idle_s
        while self._idle:
            connection = self._idle.pop()
            if not connection.closed and connection.released > newest:
                self._busy.add(connection)
                return connection
            connection.transport.abort()
        return None

    async def connect(self) -> ProviderConnection:
        """Return a new connection.

        Raises:
            NeverSent: where none comes about.
        """
        try:
            async with asyncio.timeout(self.limits.connect_s) as limit:
                _, connection = await self._loop.create_connection(
                    lambda: ProviderConnection(self._loop, self._pool),
                    self.origin.host,
                    self.origin.port,
                    ssl=self._tls,
                )
        except (OSError, UnicodeError) as error:  # late, refused, unknown host, TLS, a name that can be no host
            if limit.expired():
                raise NeverSent(f"no connection within {self.limits.connect_s:g} s") from None
            raise NeverSent(f"{type(error).__name__}: {getattr(error, 'strerror', None) or error}") from error
        if connection.closed:
            raise NeverSent("the connection was closed before anything was sent")
        self._busy.add(connection)
        return connection

    def release(self, connection: ProviderConnection) -> None:
        """Take a connection back whose answer was read whole."""
        self._busy.discard(connection)
        connection.rest()
        if len(self._idle) < self._pool.size and not self._is_retired:
            self._idle.append(connection)
        else:
            connection.transport.close()

    def drop(self, connection: ProviderConnection) -> None:
        """Close a connection whose answer was not read whole."""
        self._busy.discard(connection)
        connection.transport.abort()

    def retire(self) -> None:
        """Close connections as soon as their answers are read; no new request will come."""
        self._is_retired = True
        for connection in self._idle:
            connection.transport.abort()
        self._idle.clear()

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
            if connection.complete:
                continue  # what is left takes only ourselves
            late = connection.find_late(now, self.limits)
            if late:
                connection.fail(BrokeOff(late, timed_out=True))
        kept: list[ProviderConnection] = []
        for connection in self._idle:
            if connection.closed or now - connection.released > self._pool.idle_s:
                connection.transport.abort()
            else:
                kept.append(connection)
        self._idle = kept
        if self._is_retired and not self._busy:
            return
        self._sweeper = self._loop.call_later(self._sweep_s, self._sweep)
