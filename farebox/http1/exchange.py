"""One request and its answer, as the handler sees them; the connection is behind it."""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Protocol

Headers = list[tuple[str, str]]

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode("latin-1") for status in HTTPStatus}
# Names of headers as they came, and as they are read: there are few, and each comes with every message.
NAMES: dict[bytes, str] = {}
_MOST_NAMES = 1000
_LONGEST_NAME = 64
_REPEATED_BYTES = 8 << 10  # of one repeated header, joined: joining costs the square of its length
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_BREAKING = re.compile(r"[\r\n\0]+")
_INTERNAL_ERROR = b'{"error":{"message":"Internal error.","type":"server_error","param":null,"code":null}}'


class Connection(Protocol):
    """What an exchange needs of its connection."""

    paused: asyncio.Future[None] | None

    def write(self, data: bytes) -> None:
        """Hand bytes to the transport."""

    async def drained(self) -> None:
        """Return when the client has taken enough."""

    def end_exchange(self, *, keep_alive: bool) -> None:
        """Go on to the next request of this connection, or close it."""

    def cut_exchange(self, *, reset: bool) -> None:
        """Close the connection in the middle of an answer."""


class ClientGone(Exception):
    """The client has closed the connection, or does not take what is sent to it."""


class Refused(Exception):
    """A request is not one that can be answered by a handler.

    Attributes:
        status: of the answer, or 0 where there is none and the connection just ends after what came before.
        message: for the client.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status: int = status
        self.message: str = message


def read_name(raw: bytes) -> str:
    """Return the name of a header in lower case, and remember it in `NAMES`, where callers look first."""
    name = raw.decode("latin-1").lower()
    if len(raw) <= _LONGEST_NAME:
        if len(NAMES) >= _MOST_NAMES:
            NAMES.clear()  # peers may name headers at will; what they name must not fill the memory
        NAMES[raw] = name
    return name


class RequestHeaders(dict[str, str]):
    """The headers of a request; names in lower case, repeated ones joined by a comma.

    A name with an underscore is a name of its own: nothing here or behind takes ``x_api_key`` for ``x-api-key``.
    """

    __slots__ = ()

    def add(self, name: bytes, value: bytes) -> None:
        """Add one header line.

        Raises:
            Refused: where it repeats one that is too long already.
        """
        key = NAMES.get(name) or read_name(name)
        text = value.decode("latin-1").rstrip(" \t")
        earlier = self.get(key)
        if earlier is not None:
            if len(earlier) + len(text) > _REPEATED_BYTES:
                raise Refused(431, "A repeated header is too large.")
            text = f"{earlier}, {text}"
        self[key] = text

    def count_bytes(self) -> int:
        """Return how many bytes the names and values are."""
        return sum(len(name) + len(value) for name, value in self.items())


class Exchange:
    """One request and its answer.

    Attributes:
        method: such as ``POST``.
        path: without query, percent-decoded.
        headers: of the request.
        body: whole, or as far as it was read where it is too large.
        too_large: whether the body is larger than the server's limit.
        gone: whether the client has closed the connection, or its sending half of it.
        is_1_0: whether the client speaks HTTP/1.0, which knows no chunks.
        heartbeat: what is sent in a stream that is silent for long, so that a client that has vanished is noticed;
            b"": nothing.
    """

    __slots__ = (
        "_connection",
        "_keep_alive",
        "_on_gone",
        "_state",
        "body",
        "gone",
        "headers",
        "heartbeat",
        "is_1_0",
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
        self.is_1_0: bool = False
        self.heartbeat: bytes = b""

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client closes the connection before the answer is whole."""
        if self.gone and callback is not None:
            callback()
        elif self._state != 2:
            self._on_gone = callback

    def lose_client(self) -> None:
        """Take note that the client has closed the connection."""
        self.gone = True
        callback, self._on_gone = self._on_gone, None
        if callback is not None:
            callback()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a whole body."""
        assert self._state == 0, "a request is answered once"
        self._state = 2
        self._on_gone = None
        size = len(body)
        if self.method == "HEAD":
            body = b""
        self._connection.write(b"%scontent-length: %d\r\n\r\n%s" % (self._head(status, headers), size, body))

    def start_stream(self, status: int, headers: Headers) -> None:
        """Answer with a stream; `send` follows."""
        assert self._state == 0, "a request is answered once"
        self._state = 1
        if self.is_1_0:
            self._keep_alive = False  # the end of the connection is the end of the stream
            self._connection.write(self._head(status, headers) + b"\r\n")
        else:
            self._connection.write(b"%stransfer-encoding: chunked\r\n\r\n" % self._head(status, headers))

    async def send(self, data: bytes) -> None:
        """Send bytes of the stream; waits while the client is slower than the provider.

        Raises:
            ClientGone: where the client has gone.
        """
        self.offer(data)
        await self.drained()

    def offer(self, data: bytes) -> bool:
        """Send bytes of the stream without waiting; return whether the client can take more at once."""
        if self.gone:
            return False
        if data:  # an empty chunk would be the last
            self._connection.write(data if self.is_1_0 else b"%x\r\n%s\r\n" % (len(data), data))
        return self._connection.paused is None

    def beat(self) -> None:
        """Send the heartbeat, where a stream is under way; it stands between two events, as every piece of it does."""
        if self._state == 1:
            self.offer(self.heartbeat)

    async def drained(self) -> None:
        """Return when the client can take more.

        Raises:
            ClientGone: where the client has gone.
        """
        if self.gone:
            raise ClientGone
        if self._connection.paused is not None:
            await self._connection.drained()

    def finish(self) -> None:
        """End the answer; called when the handler has returned."""
        if self._state == 0:
            self.fail()
            return
        self._on_gone = None
        if self._state == 1 and not self.is_1_0:
            self._connection.write(b"0\r\n\r\n")
        self._state = 2
        self._connection.end_exchange(keep_alive=self._keep_alive and not self.too_large)

    def fail(self) -> None:
        """End the answer where the handler did not: with an error, or so that the client sees it is not whole."""
        if self._state == 1:
            self.cut()
            return
        self._keep_alive = False
        if self._state == 0:
            self.respond(500, [("content-type", "application/json")], _INTERNAL_ERROR)
        self._connection.end_exchange(keep_alive=False)

    def cut(self) -> None:
        """Close the connection. A stream lacks its last chunk then; without chunks, a reset is what tells."""
        self._on_gone = None
        streaming = self._state == 1
        self._state = 2
        self._connection.cut_exchange(reset=streaming and self.is_1_0)

    def refuse_keep_alive(self) -> None:
        """Close the connection after this answer."""
        self._keep_alive = False

    def _head(self, status: int, headers: Headers) -> bytes:
        count = len(headers)
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if lines.count("\n") != count or lines.count("\r") != count or "\0" in lines:
            lines = _clean(headers)
        if not self._keep_alive or self.too_large:
            lines += "connection: close\r\n"
        elif self.is_1_0:
            lines += "connection: keep-alive\r\n"
        return STATUS_LINES.get(status, b"HTTP/1.1 %d \r\n" % status) + lines.encode("latin-1", "replace")


def _clean(headers: Headers) -> str:
    """Return header lines that cannot be taken for more or other ones: values come from providers, names never do."""
    return "".join(
        [f"{name}: {_BREAKING.sub(' ', value)}\r\n" for name, value in headers if _NAME.fullmatch(name) is not None]
    )
