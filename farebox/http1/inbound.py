"""One client connection: bytes in, one `Exchange` at a time to the handler, bytes out.

llhttp decides what a message is (it refuses contradicting lengths, bare line feeds, folded lines and the like);
this file keeps order. A handler runs once a request's body is whole or known to be too large, so it never waits
for a slow sender. One request is handled at a time; pipelined ones wait, unread, and so does the next one of a
client that does not read its answers. A client that closes its sending half has gone.
"""

import asyncio
import socket
import struct
import sys
from typing import Protocol

import httptools

from farebox.http1.exchange import STATUS_LINES, ClientGone, Exchange, Refused, RequestHeaders
from farebox.http1.head import HEAD_TOO_LARGE, NOT_HTTP, check_version, path_of
from farebox.http1.kernel import queue_little, watch_peer
from farebox.http1.limits import ServerLimits

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_PATIENCE_S = 15.0  # of the kernel, beyond our own


class Owner(Protocol):
    """What a connection needs of its server."""

    loop: asyncio.AbstractEventLoop
    body_bytes: int
    limits: ServerLimits
    closing: bool

    def adopt(self, connection: "ClientConnection") -> None:
        """Take note of a new connection."""

    def forget(self, connection: "ClientConnection") -> None:
        """Take note that a connection is closed."""

    def start(self, exchange: Exchange) -> None:
        """Start to answer an exchange."""


class ClientConnection(asyncio.Protocol):
    """One client connection."""

    def __init__(self, server: Owner) -> None:
        self._server = server
        self._loop = server.loop
        self._limits = server.limits
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._current: Exchange | None = None
        self._waiting: list[Exchange] = []
        self._building: Exchange | None = None
        self._url: bytes = b""
        self._body: bytes | bytearray = b""
        self._unparsed: int = 0  # bytes since the parser last had something whole to tell
        self._read: int = 0  # bytes of the last read
        self._slack: int = 0  # of the read in which the request began, which may be its own
        self._deaf: bool = False  # what arrives is not read as requests any more
        self._declined: bool = False  # a wish for another protocol: this request is the last
        self._farewell: bytes = b""  # what is said after all answers, before the connection is closed
        self._owes_continue: bool = False
        self._begun: float = 0.0
        self._parted: float | None = None
        self._stalled: float = 0.0
        self._wrote: bool = False  # since the last sweep
        self._written: float = 0.0
        self.paused: asyncio.Future[None] | None = None
        self.since: float = self._loop.time()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to serve a client."""
        self._transport = transport  # type: ignore[assignment]  # uvloop's transports are not asyncio.Transport
        self._transport.set_write_buffer_limits(self._limits.high_water_bytes)
        watch_peer(transport, self._limits.write_stall_s + _PATIENCE_S)
        queue_little(transport, self._limits.high_water_bytes)
        self._server.adopt(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever answers that the client has gone."""
        del exc
        self._server.forget(self)
        self._waiting.clear()
        self._wake_sender()
        if self._current is not None:
            self._current.lose_client()

    def pause_writing(self) -> None:
        """Hold senders back: enough is written ahead."""
        if self.paused is None:
            self.paused = self._loop.create_future()
            self._stalled = self._loop.time()

    def resume_writing(self) -> None:
        """Let senders, or the next request, go on."""
        self._wake_sender()
        if self._current is None:
            self._go_on()

    def data_received(self, data: bytes) -> None:
        """Parse bytes; what is no request is refused."""
        self.since = self._loop.time()
        if self._deaf:
            return
        self._read = len(data)
        self._unparsed += self._read
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as asked:
            self._decline_upgrade(data[asked.args[0] :])
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            if isinstance(cause, Refused):
                self._refuse(cause.status, cause.message)
            else:
                print(f"farebox: internal error while reading a request: {cause!r}", file=sys.stderr, flush=True)
                self._refuse(500, "Internal error.")
        except httptools.HttpParserError:
            if not self._deaf:
                self._refuse(400, NOT_HTTP)
        else:
            if self._unparsed > self._limits.head_bytes:
                self._refuse(431, HEAD_TOO_LARGE)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        if self._deaf:
            raise Refused(0, "")
        if len(self._waiting) >= self._limits.pipelined:
            self.retire()  # the client sends what is not answered again, on a new connection
            raise Refused(0, "")
        self._building = Exchange(self, RequestHeaders())
        if self._server.closing:
            self._building.refuse_keep_alive()
        self._begun = self.since
        self._slack = self._read
        self._url = b""
        self._body = b""

    def on_url(self, url: bytes) -> None:
        """Add to the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Add a header."""
        exchange = self._building
        if exchange is not None and not exchange.path:  # what follows a chunked body is no header
            exchange.headers.add(name, value)

    def on_headers_complete(self) -> None:
        """Read the head; refuse it, or its body, where that can be told by now."""
        exchange = self._building
        assert exchange is not None, "a message has begun"
        headers = exchange.headers
        if (
            self._unparsed + self._slack > self._limits.head_bytes
            and len(self._url) + headers.count_bytes() > self._limits.head_bytes
        ):
            raise Refused(431, HEAD_TOO_LARGE)
        self._unparsed = 0
        check_version(exchange, self._parser.get_http_version())
        exchange.method = self._parser.get_method().decode("latin-1")
        exchange.path = path_of(self._url)
        if not self._parser.should_keep_alive():
            exchange.refuse_keep_alive()
        declared = headers.get("content-length")
        if declared is not None and int(declared) > self._server.body_bytes:
            self._give_up_body(exchange)
        elif (headers.get("expect") or "").lower() == "100-continue" and not exchange.is_1_0:
            self._owes_continue = True
            if self._current is None and not self._waiting and self.paused is None:
                self._go_on()

    def on_body(self, body: bytes) -> None:
        """Add to the body."""
        self._unparsed = 0
        exchange = self._building
        if exchange is None:
            return
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)  # many small pieces must not cost more than their bytes
            self._body += body
        if len(self._body) > self._server.body_bytes:
            self._give_up_body(exchange)

    def on_message_complete(self) -> None:
        """Hand the request on."""
        self._unparsed = 0
        exchange = self._building
        if exchange is None or self._parser.should_upgrade():
            return
        self._building = None
        self._owes_continue = False
        self._deaf = self._deaf or self._declined
        exchange.body = bytes(self._body)
        self._body = b""
        self._enqueue(exchange)

    # What exchanges call.

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport; they are lost if the client has gone."""
        self._wrote = True
        if not self._transport.is_closing():
            self._transport.write(data)

    async def drained(self) -> None:
        """Return when the client has taken enough.

        Raises:
            ClientGone: where it takes nothing for too long, or has gone.
        """
        if self.paused is not None:
            await self.paused
        if self._transport.is_closing():
            raise ClientGone

    def end_exchange(self, *, keep_alive: bool) -> None:
        """Go on to the next request of this connection, or close it."""
        self._current = None
        self.since = self._loop.time()
        if keep_alive:
            if self.paused is None:
                self._go_on()
        elif self._deaf or self._building is not None:
            self._farewell = b""
            self._part()
        else:
            self._transport.close()

    def cut_exchange(self, *, reset: bool) -> None:
        """Close the connection in the middle of an answer."""
        self._current = None
        self._deaf = True
        self._waiting.clear()
        if not reset:
            self._transport.close()
            return
        connected = self._transport.get_extra_info("socket")
        if connected is not None and not self._transport.is_closing():
            connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # What the server calls.

    def sweep(self, now: float) -> None:
        """Close the connection if something takes too long; show a client of a silent stream that it is alive."""
        limits = self._limits
        if self._wrote:
            self._wrote = False
            self._written = now
        if self.paused is not None and now - self._stalled > limits.write_stall_s:
            self._transport.abort()
        elif self._parted is not None:
            if now - self._parted > limits.linger_s:
                self._transport.abort()
        elif self._transport.is_closing():
            if now - self.since > limits.write_stall_s:
                self._transport.abort()  # the client does not take the rest of its answer
        elif self._current is not None:
            if self.paused is None and now - self._written >= limits.heartbeat_s:
                self._current.beat()
        elif not self._waiting and self._is_late(now):
            self._transport.abort()

    @property
    def is_idle(self) -> bool:
        """Whether no request is being read or answered."""
        return self._current is None and self._building is None and not self._waiting

    def retire(self) -> None:
        """Let the last request that has arrived, or is arriving, be the last of the connection."""
        last = self._building or (self._waiting[-1] if self._waiting else self._current)
        if last is not None:
            last.refuse_keep_alive()

    def close(self) -> None:
        """Close the connection once what has been written is sent."""
        self._transport.close()

    def abort(self) -> None:
        """Close the connection now."""
        self._transport.abort()

    def _decline_upgrade(self, rest: bytes) -> None:
        """Read a request for another protocol as a plain one, the last of its connection (RFC 9110, 7.8).

        Java's HTTP client asks for h2c with its first request. The parser takes what follows such a head for the
        other protocol, so a new one reads the head again without that wish, and then the body.
        """
        asked, self._building = self._building, None
        if asked is None:  # it was refused by its head
            self._deaf = True
            return
        if asked.method == "CONNECT":  # it has no body, whatever follows
            asked.refuse_keep_alive()
            self._deaf = True
            self._enqueue(asked)
            return
        headers = asked.headers
        lines = [f"{name}: {value}\r\n" for name, value in headers.items() if name not in {"upgrade", "connection"}]
        head = f"{asked.method} {self._url.decode('latin-1')} HTTP/1.1\r\n{''.join(lines)}connection: close\r\n\r\n"
        self._parser = httptools.HttpRequestParser(self)
        self._declined = True
        self.data_received(head.encode("latin-1") + rest)

    def _is_late(self, now: float) -> bool:
        """Return whether a request, or the next one, takes too long to arrive."""
        limits = self._limits
        if self._building is None:
            return now - self.since > (limits.head_s if self._unparsed else limits.idle_s)
        if not self._building.path:
            return now - self._begun > limits.head_s
        return now - self._begun > limits.body_s + len(self._body) / limits.body_rate_bytes

    def _wake_sender(self) -> None:
        if self.paused is not None:
            if not self.paused.done():
                self.paused.set_result(None)
            self.paused = None

    def _enqueue(self, exchange: Exchange) -> None:
        if self._current is None and self.paused is None:
            self._run(exchange)
        else:
            self._waiting.append(exchange)
            self._transport.pause_reading()

    def _go_on(self) -> None:
        """Take up what has waited for the last answer to end and to be taken."""
        if self._waiting:
            self._run(self._waiting.pop(0))
            if not self._waiting and not self._transport.is_closing():
                self._transport.resume_reading()
        elif self._farewell:
            self._part()
        elif self._owes_continue:
            self._owes_continue = False
            self.write(_CONTINUE)

    def _run(self, exchange: Exchange) -> None:
        self._current = exchange
        self._server.start(exchange)

    def _give_up_body(self, exchange: Exchange) -> None:
        """Answer without having read the body; the rest of the connection cannot be used."""
        exchange.too_large = True
        self._building = None
        self._deaf = True
        self._owes_continue = False
        self._body = b""
        self._enqueue(exchange)

    def _refuse(self, status: int, message: str) -> None:
        """Answer what is no request once all before it is answered, and close."""
        already = self._deaf
        self._deaf = True
        self._building = None
        self._body = b""
        if already or not status:
            return
        body = b'{"error":{"message":"%s","type":"invalid_request_error","param":null,"code":null}}' % message.encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
        self._farewell = STATUS_LINES[status] + head + body
        if self._current is None and not self._waiting:
            self._part()

    def _part(self) -> None:
        """Say the last words and close the sending half; `sweep` does the rest.

        Closing with bytes unread would reset the connection, and the client would lose what was just written.
        """
        farewell, self._farewell = self._farewell, b""
        self._deaf = True
        self._parted = self._loop.time()
        if not self._transport.is_closing():
            self.write(farewell)
            self._transport.write_eof()
