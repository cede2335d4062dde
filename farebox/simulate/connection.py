"""One HTTP/1.1 connection of a simulated provider, down to the socket.

h11 does the protocol, this file the transport, so that a fault can end a connection exactly where it wants: with a
reset, in the middle of a chunk, or with a clean end that is too early. Requests on one connection are answered one
after the other, also when they arrive together.
"""

import asyncio
import socket
import struct
import traceback
from collections.abc import Awaitable, Callable
from typing import cast

import h11

_MAX_BODY_BYTES = 64 * 1024 * 1024
_ABORT = struct.pack("ii", 1, 0)  # linger 0: closing sends a reset

Headers = list[tuple[str, str]]


class ClientLeft(Exception):
    """The caller closed the connection before the answer was complete."""


class Exchange:
    """One request and the means to answer it, in whole or badly.

    Attributes:
        method: the HTTP method.
        path: the path without its query.
        query: what followed the question mark.
        headers: request headers by lower-case name; repeated ones are joined with a comma.
        body: the request's body.
    """

    def __init__(self, connection: "Connection", request: h11.Request) -> None:
        self._connection = connection
        self.method = request.method.decode()
        target = request.target.decode("latin-1")
        self.path, _, self.query = target.partition("?")
        self.headers: dict[str, str] = {}
        for name, value in request.headers:
            key, text = name.decode(), value.decode("latin-1")
            self.headers[key] = f"{self.headers[key]}, {text}" if key in self.headers else text
        self.body = b""

    async def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """Send a whole answer with its length."""
        self._connection.send_whole(status, [*headers, ("content-length", str(len(body)))], body)
        await self._connection.flush()

    def start(self, status: int, headers: Headers, *, close_delimited: bool = False) -> None:
        """Send the head of an answer; without a content-length it is chunked, or ends with the connection."""
        self._connection.send_head(status, headers, close_delimited=close_delimited)

    async def send(self, data: bytes) -> None:
        """Send a part of the body.

        Raises:
            ClientLeft: nobody listens any more.
        """
        self._connection.send_body(data)
        await self._connection.flush()

    async def end(self) -> None:
        """End the body as its framing wants."""
        await self._connection.end_body()

    async def pause(self, seconds: float | None) -> None:
        """Wait; None waits until the caller leaves.

        Raises:
            ClientLeft: the caller left meanwhile.
        """
        await self._connection.pause(seconds)

    async def close(self) -> None:
        """Close in the ordinary way, wherever the answer stands."""
        self._connection.close()

    async def reset(self) -> None:
        """Deliver what was sent so far, then reset the connection."""
        await self._connection.reset()

    async def break_chunk(self) -> None:
        """Announce a chunk, send a part of it, and close."""
        self._connection.write_raw(b"400\r\ndata: {")
        self._connection.close()


Handler = Callable[[Exchange], Awaitable[None]]


class Connection(asyncio.Protocol):
    """The server's end of one connection."""

    def __init__(self, handler: Handler, open_connections: "set[Connection]") -> None:
        self._handler = handler
        self._open = open_connections
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=65536)
        self._transport: asyncio.Transport | None = None
        self._exchange: Exchange | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._task: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._full = False
        self._raw = False  # the rest of this answer is not h11's business; the connection ends with it
        self._gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it ended changes nothing
        """Called by asyncio."""
        self._gone = True
        self._open.discard(self)
        self._wake()

    def pause_writing(self) -> None:
        """Called by asyncio: the caller reads slower than we write."""
        self._full = True

    def resume_writing(self) -> None:
        """Called by asyncio."""
        self._full = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        """Called by asyncio."""
        self._http.receive_data(data)
        self._advance()

    def eof_received(self) -> bool:
        """Called by asyncio; a caller that has closed its half is taken to have left."""
        return False

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _advance(self) -> None:
        """Take events until more bytes, or the end of the answer in progress, are needed."""
        try:
            while self._take(self._http.next_event()):
                pass
        except h11.RemoteProtocolError as error:
            self._refuse(error.error_status_hint)

    def _take(self, event: object) -> bool:
        """Act on one event; false if there is nothing more to take for now."""
        if isinstance(event, h11.Request):
            self._exchange, self._parts, self._size = Exchange(self, event), [], 0
            if self._http.they_are_waiting_for_100_continue:
                self._write(self._http.send(h11.InformationalResponse(status_code=100, headers=[])))
        elif isinstance(event, h11.Data):
            self._parts.append(bytes(event.data))
            self._size += len(event.data)
            if self._size > _MAX_BODY_BYTES:
                self._refuse(413)
                return False
        elif isinstance(event, h11.EndOfMessage):
            assert self._exchange is not None
            self._exchange.body = b"".join(self._parts)
            self._task = asyncio.get_running_loop().create_task(self._answer(self._exchange))
        elif isinstance(event, h11.ConnectionClosed):
            self.close()
            return False
        else:  # NEED_DATA or PAUSED
            return False
        return True

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._handler(exchange)
        except ClientLeft:
            return
        except Exception:  # noqa: BLE001 - a mistake of the simulator ends one answer, never the server
            traceback.print_exc()
            self.close()
            return
        if self._raw or self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            self.close()
            return
        self._http.start_next_cycle()
        self._advance()

    def _refuse(self, status: int) -> None:
        if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            head = [("content-length", "0"), ("connection", "close")]
            self._write(self._http.send(h11.Response(status_code=status, headers=head)))
        self.close()

    def _write(self, data: bytes | None) -> None:
        if data and not self._gone and self._transport is not None:
            self._transport.write(data)

    def send_head(self, status: int, headers: Headers, *, close_delimited: bool) -> None:
        """The status line and headers."""
        if close_delimited:
            self._raw = True
            lines = [f"HTTP/1.1 {status} OK", *(f"{n}: {v}" for n, v in headers), "connection: close", "", ""]
            self._write("\r\n".join(lines).encode())
            return
        self._write(self._http.send(h11.Response(status_code=status, headers=headers)))

    def send_whole(self, status: int, headers: Headers, body: bytes) -> None:
        """Head, body and end in one write."""
        events = (h11.Response(status_code=status, headers=headers), h11.Data(data=body), h11.EndOfMessage())
        self._write(b"".join(self._http.send(event) or b"" for event in events))

    def send_body(self, data: bytes) -> None:
        """A part of the body."""
        self._write(data if self._raw else self._http.send(h11.Data(data=data)))

    async def end_body(self) -> None:
        """The end of the body."""
        if self._raw:
            self.close()
            return
        self._write(self._http.send(h11.EndOfMessage()))
        await self.flush()

    def write_raw(self, data: bytes) -> None:
        """Bytes past all framing; the connection cannot be used afterwards."""
        self._raw = True
        self._write(data)

    async def flush(self) -> None:
        """Let the transport send; wait while the caller reads too slowly.

        Raises:
            ClientLeft: the caller is gone.
        """
        while self._full and not self._gone:
            await self._wait(None)
        if self._gone:
            raise ClientLeft

    async def pause(self, seconds: float | None) -> None:
        """Wait; None is until the caller leaves.

        Raises:
            ClientLeft: the caller is gone.
        """
        if seconds == 0:
            await asyncio.sleep(0)
        elif not self._gone:
            await self._wait(seconds)
            while seconds is None and not self._gone:
                await self._wait(None)
        if self._gone:
            raise ClientLeft

    async def _wait(self, seconds: float | None) -> None:
        loop = asyncio.get_running_loop()
        self._waiter = loop.create_future()
        timer = None if seconds is None else loop.call_later(seconds, self._wake)
        try:
            await self._waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def close(self) -> None:
        """Send what is buffered, then end the connection."""
        if self._transport is not None:
            self._transport.close()

    async def reset(self) -> None:
        """Send what is buffered, then reset the connection."""
        assert self._transport is not None
        while self._transport.get_write_buffer_size() and not self._gone:  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.001)
        # Give the caller's kernel the bytes before the reset overtakes them.
        await asyncio.sleep(0.005)
        self.abort()

    def abort(self) -> None:
        """Reset the connection at once."""
        if self._transport is not None and not self._gone:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
            self._transport.abort()

    async def finish(self, seconds: float) -> None:
        """Wait for the answer in progress, at most so long, then close."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=seconds)
            self._task.cancel()
        self.close()
