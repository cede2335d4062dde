"""The server side of HTTP/1.1: connections in, one `Exchange` a request, one handler for all.

llhttp decides what a message is (it refuses contradicting lengths, bare line feeds and the like); this file only
keeps connections. A handler runs once a request's body is whole or known to be too large, so it never waits for
a slow sender. One request of a connection is handled at a time; pipelined ones wait, unread.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from urllib.parse import unquote

import httptools

from farebox.http1.exchange import STATUS_LINES, ClientGone, Exchange, RequestHeaders

Handler = Callable[["Exchange"], Awaitable[None]]

_HEAD_BYTES = 64 << 10
_SWEEP_S = 1.0
_HEAD_TIMEOUT_S = 15.0
_BODY_STALL_S = 30.0
_IDLE_TIMEOUT_S = 75.0
_LINGER_STALL_S = 2.0
_LINGER_S = 30.0
_WRITE_STALL_S = 60.0
_HIGH_WATER_BYTES = 256 << 10

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class _Connection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: "HttpServer") -> None:
        self._server = server
        self._loop = server.loop
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._current: Exchange | None = None
        self._waiting: list[Exchange] = []
        self._building: Exchange | None = None
        self._url: bytes = b""
        self._chunks: list[bytes] = []
        self._size: int = 0
        self._head_size: int = 0
        self.paused: asyncio.Future[None] | None = None
        self.since: float = self._loop.time()
        self._lingering_since: float | None = None

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write"), "a stream transport"
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport
        self._transport.set_write_buffer_limits(_HIGH_WATER_BYTES)
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._server.connections.discard(self)
        self.resume_writing()
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.lose_client()
        self._waiting.clear()

    def pause_writing(self) -> None:
        if self.paused is None:
            self.paused = self._loop.create_future()

    def resume_writing(self) -> None:
        if self.paused is not None:
            if not self.paused.done():
                self.paused.set_result(None)
            self.paused = None

    def data_received(self, data: bytes) -> None:
        self.since = self._loop.time()
        if self._lingering_since is not None:
            return
        if self._building is None or not self._building.path:
            self._head_size += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._close_after_current()  # an upgrade was asked for; it is answered as a plain request
        except httptools.HttpParserError:
            self._reject(400, "The request is not valid HTTP/1.1.")
        else:
            if self._head_size > _HEAD_BYTES:
                self._reject(431, "The request's headers are too large.")

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._building = Exchange(self, RequestHeaders())
        self._url = b""
        self._chunks = []
        self._size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        assert self._building is not None, "a message has begun"
        self._building.headers.add(name, value)

    def on_headers_complete(self) -> None:
        exchange = self._building
        assert exchange is not None, "a message has begun"
        self._head_size = 0
        exchange.method = self._parser.get_method().decode("latin-1")
        path = self._url.partition(b"?")[0].decode("latin-1")
        exchange.path = unquote(path) if "%" in path else path
        if not self._parser.should_keep_alive():
            exchange.refuse_keep_alive()
        declared = exchange.headers.get("content-length")
        if declared is not None and int(declared) > self._server.body_bytes:
            self._give_up_body(exchange)
        elif exchange.headers.get("expect", "").lower() == "100-continue":  # type: ignore[union-attr]  # it has a default
            self.write(_CONTINUE)

    def on_body(self, body: bytes) -> None:
        exchange = self._building
        if exchange is None or exchange.too_large:
            return
        self._size += len(body)
        self._chunks.append(body)
        if self._size > self._server.body_bytes:
            self._chunks = []
            self._give_up_body(exchange)

    def on_message_complete(self) -> None:
        exchange = self._building
        self._building = None
        if exchange is None or exchange.too_large:
            return
        exchange.body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks = []
        self._enqueue(exchange)

    # What exchanges call.

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; they are lost if the client has gone."""
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Return when the client has taken enough.

        Raises:
            ClientGone: where it takes nothing for too long, or has gone.
        """
        if self.paused is not None:
            try:
                await asyncio.wait_for(asyncio.shield(self.paused), _WRITE_STALL_S)
            except TimeoutError:
                self._transport.abort()
                raise ClientGone from None
        if self._transport.is_closing():
            raise ClientGone

    def end_exchange(self, *, keep_alive: bool) -> None:
        """Go on to the next request of this connection, or close it."""
        self._current = None
        self.since = self._loop.time()
        if self._building is not None and self._building.too_large:
            self._linger()
        elif not keep_alive or self._server.closing:
            self._transport.close()
        elif self._waiting:
            self._run(self._waiting.pop(0))
            if not self._waiting:
                self._transport.resume_reading()

    # Timeouts and the like.

    def sweep(self, now: float) -> None:
        """Close the connection if it has been silent for too long in the middle of something."""
        if self._current is not None:
            return
        silent = now - self.since
        if self._lingering_since is not None:
            if silent > _LINGER_STALL_S or now - self._lingering_since > _LINGER_S:
                self._transport.abort()
            return
        if self._building is None:
            limit = _IDLE_TIMEOUT_S if self._head_size == 0 else _HEAD_TIMEOUT_S
        else:
            limit = _BODY_STALL_S if self._building.path else _HEAD_TIMEOUT_S
        if silent > limit:
            self._transport.close()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._current is None and self._building is None

    def close(self) -> None:
        """Close the connection once what has been written is sent."""
        self._transport.close()

    def _enqueue(self, exchange: Exchange) -> None:
        if self._current is None:
            self._run(exchange)
        else:
            self._waiting.append(exchange)
            self._transport.pause_reading()

    def _run(self, exchange: Exchange) -> None:
        self._current = exchange
        task = self._loop.create_task(self._server.answer(exchange))
        self._server.tasks.add(task)
        task.add_done_callback(self._server.tasks.discard)

    def _give_up_body(self, exchange: Exchange) -> None:
        """Answer without having read the body; the rest of the connection cannot be used."""
        exchange.too_large = True
        self._enqueue(exchange)

    def _linger(self) -> None:
        """Close, but read on and discard for a while: what is left unread would reset the answer away."""
        self._building = None
        self._lingering_since = self._loop.time()
        if not self._transport.is_closing():
            self._transport.write_eof()

    def _close_after_current(self) -> None:
        for exchange in (self._current, *self._waiting):
            if exchange is not None:
                exchange.refuse_keep_alive()

    def _reject(self, status: int, message: str) -> None:
        """Answer what is no request, and close."""
        self._building = None
        if self._current is None:
            body = (
                b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % message.encode()
            )
            head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
            self.write(STATUS_LINES[status] + head + body)
        self._transport.close()


class HttpServer:
    """Listens, and calls one handler for every request.

    Args:
        handler: answers an exchange; what it raises is an internal error.
        body_bytes: largest request body.
    """

    def __init__(self, handler: Handler, body_bytes: int) -> None:
        self._handler = handler
        self.body_bytes: int = body_bytes
        self.loop = asyncio.get_running_loop()
        self.connections: set[_Connection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.closing: bool = False
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int, backlog: int) -> int:
        """Start to listen, sharing the address with other processes; return the port."""
        self._listener = await self.loop.create_server(
            lambda: _Connection(self), host, port, reuse_port=True, backlog=backlog
        )
        self._sweep()
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    async def answer(self, exchange: Exchange) -> None:
        """Run the handler for one exchange and end it."""
        try:
            await self._handler(exchange)
        except Exception as error:  # noqa: BLE001 - the last line of defence: the client gets an answer, the operator a line
            where = error.__traceback__
            while where is not None and where.tb_next is not None:
                where = where.tb_next
            place = f"{where.tb_frame.f_code.co_qualname}:{where.tb_lineno}" if where is not None else "?"
            print(f"farebox: internal error: {type(error).__name__}: {error} in {place}", file=sys.stderr, flush=True)
            exchange.refuse_keep_alive()
            if not exchange.answered:
                body = b'{"error":{"message":"Internal error.","type":"server_error","param":null,"code":null}}'
                exchange.respond(500, [("content-type", "application/json")], body)
        finally:
            exchange.finish()

    def stop_listening(self) -> None:
        """Accept no more connections, and close those that are idle; others close after their answer."""
        self.closing = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            if connection.is_idle:
                connection.close()

    async def close(self) -> None:
        """Close everything that is left."""
        self.stop_listening()
        if self._sweeper is not None:
            self._sweeper.cancel()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.close()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(_SWEEP_S, self._sweep)
