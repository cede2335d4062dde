"""Puts the events of a stream on the wire, in every form that the specification of SSE allows."""

import zlib
from collections.abc import Iterator

from farebox.simulate.asked import Frame
from farebox.simulate.control import Controls


def encode_event(frame: Frame, controls: Controls) -> bytes:
    """The bytes of one event with its blank line."""
    field = b"data:" if controls.no_space else b"data: "
    # Line breaks go where JSON allows blanks: behind the first brace and before the last.
    splits = controls.multi_line_data and frame.data.startswith(b"{")
    lines = [b"{", frame.data[1:-1], b"}"] if splits else [frame.data]
    out = [field + line for line in lines]
    if frame.event:
        out.insert(0, (b"event:" if controls.no_space else b"event: ") + frame.event.encode())
    if controls.comments:
        out.insert(0, b": keep-alive\n")
    text = b"\n".join(out) + b"\n\n"
    return text.replace(b"\n", b"\r\n") if controls.crlf else text


class Squeezer:
    """Compresses a stream so that every event can be read as soon as it arrives."""

    def __init__(self) -> None:
        self._packer = zlib.compressobj(wbits=31)

    def pack(self, data: bytes) -> bytes:
        """The compressed bytes of one part, flushed."""
        return self._packer.compress(data) + self._packer.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        """The end of the compressed stream."""
        return self._packer.flush()


def split_bytes(data: bytes, size: int) -> Iterator[bytes]:
    """The data in pieces of ``size`` bytes; whole if ``size`` is 0."""
    if size <= 0:
        yield data
        return
    for start in range(0, len(data), size):
        yield data[start : start + size]
