"""One request and its answer, as the handler sees them; the connection is behind it."""

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

Headers = list[tuple[str, str]]

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("latin-1") for status in HTTPStatus}


class Connection(Protocol):
    """What an exchange needs of its connection."""

    paused: asyncio.Future[None] | None

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport."""

    async def drained(self) -> None:
        """Return when the client has taken enough."""

    def end_exchange(self, *, keep_alive: bool) -> None:
        """Go on to the next request of this connection, or close it."""


class ClientGone(Exception):
    """The client has closed the connection, or does not take what is sent to it."""


class RequestHeaders:
    """The headers of a request; names in lower case, repeated ones joined by a comma."""

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[str, str] = {}

    def add(self, name: bytes, value: bytes) -> None:
        """Add one header line."""
        key = name.decode("latin-1").lower()
        text = value.decode("latin-1")
        earlier = self._values.get(key)
        self._values[key] = text if earlier is None else f"{earlier}, {text}"

    def get(self, name: str, default: str | None = None) -> str | None:
        """Return the value of a header."""
        return self._values.get(name, default)


class Exchange:
    """One request and its answer.

    Attributes:
        method: such as ``POST``.
        path: without query, percent-decoded.
        headers: of the request.
        body: whole, or as far as it was read where it is too large.
        too_large: whether the body is larger than the server's limit.
        gone: whether the client has closed the connection.
    """

    __slots__ = (
        "_connection",
        "_keep_alive",
        "_on_gone",
        "_state",
        "body",
        "gone",
        "headers",
        "method",
        "path",
        "too_large",
    )

    def __init__(self, connection: Connection, headers: RequestHeaders) -> None:
        self._connection = connection
        self._keep_alive: bool = True
        self._on_gone: Callable[[], None] | None = None
        self._state: int = 0  # 0 not answered, 1 streaming, 2 answered
        self.method: str = ""
        self.path: str = ""
        self.headers: RequestHeaders = headers
        self.body: bytes = b""
        self.too_large: bool = False
        self.gone: bool = False

    @property
    def answered(self) -> bool:
        """Whether the answer has begun; there can be no other."""
        return self._state != 0

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client closes the connection before the answer is whole."""
        self._on_gone = callback
        if self.gone and callback is not None:
            callback()

    def lose_client(self) -> None:
        """Take note that the client has closed the connection."""
        self.gone = True
        if self._on_gone is not None:
            self._on_gone()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a whole body."""
        self._state = 2
        head = self._head(status, headers)
        self._connection.write(b"%scontent-length: %d\r\n\r\n%s" % (head, len(body), body))

    def start_stream(self, status: int, headers: Headers) -> None:
        """Answer with a stream; `send` follows."""
        self._state = 1
        self._connection.write(b"%stransfer-encoding: chunked\r\n\r\n" % self._head(status, headers))

    async def send(self, data: bytes) -> None:
        """Send bytes of the stream; waits while the client is slower than the provider.

        Raises:
            ClientGone: where the client has gone.
        """
        connection = self._connection
        if self.gone:
            raise ClientGone
        connection.write(b"%x\r\n%s\r\n" % (len(data), data))
        if connection.paused is not None:
            await connection.drained()

    def finish(self) -> None:
        """End the answer; called when the handler returns."""
        self._on_gone = None
        if self._state == 1:
            self._connection.write(b"0\r\n\r\n")
        self._state = 2
        self._connection.end_exchange(keep_alive=self._keep_alive and not self.too_large)

    def refuse_keep_alive(self) -> None:
        """Close the connection after this answer."""
        self._keep_alive = False

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if not self._keep_alive or self.too_large:
            lines += "connection: close\r\n"
        return STATUS_LINES.get(status, b"HTTP/1.1 %d \r\n" % status) + lines.encode("latin-1", "replace")
