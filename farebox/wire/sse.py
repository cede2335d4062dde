r"""Server-sent events, as bytes in and events out; no I/O, no text decoding.

Two rules hold here. The bytes of all events followed by ``rest()`` are the bytes that went in, so a stream can
be passed on untouched. And a line ends at ``\n``, ``\r\n`` or ``\r`` only (WHATWG HTML, section 9.2.6): text
decoders that also split at U+2028 or U+0085 tear JSON apart.
"""

import re

import msgspec

BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 1 << 20
# What keeps a silent stream alive, by dialect: a comment; Anthropic's own event for it.
HEARTBEATS: dict[str, bytes] = {
    "openai": b": farebox\n\n",
    "anthropic": b'event: ping\ndata: {"type": "ping"}\n\n',
}
_LINE_END = re.compile(rb"\r\n|\n|\r")
_LF, _CR = 0x0A, 0x0D


class EventTooLarge(ValueError):
    """An event that has not ended is already larger than the limit.

    Attributes:
        size_bytes: what is buffered.
        limit_bytes: what is allowed.
    """

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(
            f"an event of the provider's stream has {size_bytes} bytes and no end; at most {limit_bytes} are buffered"
        )
        self.size_bytes: int = size_bytes
        self.limit_bytes: int = limit_bytes


class Event(msgspec.Struct, frozen=True, gc=False):
    r"""One event, ended by an empty line.

    Attributes:
        raw: its exact bytes, terminator included. An event of comments or empty lines only has no data.
        data: the values of its data lines joined with ``\n``; empty if there are none.
        name: the value of its last event field, or empty.
    """

    raw: bytes
    data: bytes
    name: bytes


class SseDecoder:
    r"""Splits one stream into events. One decoder per stream, fed in order.

    An event is handed out as soon as the empty line that ends it is seen. When that line ends with a ``\r`` and
    the chunk with it, a ``\n`` at the head of the next chunk still belongs to the terminator; it then stands at
    the head of the next event's ``raw``.
    """

    __slots__ = ("_buffer", "_data", "_limit_bytes", "_line", "_name", "_search", "_simple", "_skip_lf", "_started")

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._limit_bytes = max_event_bytes
        self._buffer = bytearray()  # from the start of the unfinished event
        self._line = 0  # where its unfinished line starts
        self._search = 0  # up to here no line end was found
        self._data: list[bytes] = []
        self._name = b""
        self._skip_lf = False
        self._started = False
        self._simple = False  # nothing is buffered and nothing is awaited

    def feed(self, chunk: bytes) -> list[Event]:
        """Take the next bytes of the stream and return the events that they end.

        Raises:
            EventTooLarge: an event is larger than the limit and has not ended. Events that ended in the same
                chunk are returned first; the error comes with the next call.
        """
        if not self._simple or _CR in chunk:  # by number: five times faster than by substring
            return self._feed_lines(chunk)
        end = chunk.find(b"\n")
        if chunk[:6] == b"data: " and chunk[end:] == b"\n\n":  # one event of one line: the usual chunk
            return [Event(chunk, chunk[6:end], b"")]
        if chunk[-2:] != b"\n\n":
            return self._feed_lines(chunk)
        events = []
        for block in chunk[:-2].split(b"\n\n"):
            if _LF not in block and block[:6] == b"data: ":
                events.append(Event(block + b"\n\n", block[6:], b""))
                continue
            end = block.find(b"\n")
            if block[:7] == b"event: " and block[end : end + 7] == b"\ndata: " and _LF not in block[end + 7 :]:
                events.append(Event(block + b"\n\n", block[end + 7 :], block[7:end]))
            else:
                return self._feed_lines(chunk)
        return events

    def rest(self) -> bytes:
        """Return the bytes after the last event that ended."""
        return bytes(self._buffer)

    def _feed_lines(self, chunk: bytes) -> list[Event]:
        buffer = self._buffer
        buffer += chunk
        if not self._started and not self._start():
            return []
        events: list[Event] = []
        event_start = 0
        while True:
            if self._skip_lf and self._line < len(buffer):
                self._skip_lf = False
                if buffer[self._line] == _LF:
                    self._line += 1
            match = _LINE_END.search(buffer, max(self._line, self._search))
            if match is None:
                break
            line, after = bytes(buffer[self._line : match.start()]), match.end()
            self._skip_lf = match.group() == b"\r" and after == len(buffer)
            self._line = after
            if line:
                self._take(line)
                continue
            events.append(Event(bytes(buffer[event_start:after]), b"\n".join(self._data), self._name))
            event_start = after
            self._data, self._name = [], b""
        self._settle(event_start)
        if not events and len(buffer) > self._limit_bytes:
            raise EventTooLarge(len(buffer), self._limit_bytes)
        return events

    def _start(self) -> bool:
        """Skip a byte order mark; False while it cannot be told whether there is one."""
        head = bytes(self._buffer[:3])
        if len(head) < len(BOM) and BOM.startswith(head):
            return False
        self._started = True
        if head == BOM:
            self._line = len(BOM)
        return True

    def _settle(self, event_start: int) -> None:
        """Forget the bytes of the events that ended."""
        del self._buffer[:event_start]
        self._line -= event_start
        self._search = len(self._buffer)
        self._simple = not self._buffer and not self._skip_lf

    def _take(self, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if value[:1] == b" ":
            value = value[1:]
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = value


def encode(data: bytes, name: bytes = b"") -> bytes:
    """Return one event with this data and, if given, this name.

    Line ends inside the data start a new data line, as the format demands.
    """
    head = b"event: " + name + b"\n" if name else b""
    if b"\n" in data or b"\r" in data:
        data = b"\ndata: ".join(_LINE_END.split(data))
    return head + b"data: " + data + b"\n\n"


def encode_comment(text: bytes) -> bytes:
    """Return a comment, which readers skip: it keeps a connection alive."""
    return b": " + text + b"\n\n"
