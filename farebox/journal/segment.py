"""A segment: a preallocated file of framed records.

Layout: 16 bytes of header (magic and version), then frames of ``length (u32) | crc32 (u32) | payload``, both
little-endian, the checksum over the payload. The file is filled with zeros in advance, so a length of 0 is
the end of what has been written. A frame whose checksum does not hold is being written if its writer lives,
and torn if it does not: nothing can follow it, because one writer appends in order.
"""

import zlib
from pathlib import Path
from struct import Struct

import msgspec

from farebox.journal.record import Record

MAGIC = b"FAREBOXJOURNAL01"
FRAME = Struct("<II")
SUFFIX = ".seg"

_decoder = msgspec.msgpack.Decoder(Record)
_TAGS = (b"\xa2S1", b"\xa2D1")  # how the tags of `Sent` and `Done` look in MessagePack


class SegmentDamaged(Exception):
    """A file in the journal is not a segment, or a checked record cannot be read.

    Attributes:
        offset: of the frame that cannot be read; 0 where the file is not a segment at all.
    """

    def __init__(self, message: str, offset: int) -> None:
        super().__init__(message)
        self.offset: int = offset


class Batch(msgspec.Struct, frozen=True):
    """Records read from a segment.

    Attributes:
        records: each with the offset of the frame after it.
        next_offset: where to read on.
        torn: whether reading stopped at a frame whose checksum does not hold.
    """

    records: list[tuple[Record, int]]
    next_offset: int
    torn: bool


def frame(payload: bytes) -> bytes:
    """Return a payload with its length and checksum in front."""
    return FRAME.pack(len(payload), zlib.crc32(payload)) + payload


def read_segment(path: Path, offset: int = 0, *, window_bytes: int = 1 << 20) -> Batch:
    """Return the records of a segment from ``offset`` on (0 is the start), about one window of them.

    An empty batch that is not torn means that nothing more has been written. What can be read before a
    damaged record is returned first; the damage is raised by the next call.

    Raises:
        SegmentDamaged: where the header is not a segment's or a checked payload is not a record.
        OSError: where the file cannot be read.
    """
    offset = max(offset, len(MAGIC))
    data = _read_window(path, offset, window_bytes)
    records: list[tuple[Record, int]] = []
    at = 0
    while at + FRAME.size <= len(data):
        length, checksum = FRAME.unpack_from(data, at)
        if length == 0:
            break
        start = at + FRAME.size
        payload = data[start : start + length]
        if len(payload) < length and records:
            break  # the window ends inside a frame: the next one starts there
        if zlib.crc32(payload) != checksum:
            return Batch(records, offset + at, torn=True)
        try:
            record = _decoder.decode(payload)
        except msgspec.DecodeError as error:
            if records:
                break
            raise SegmentDamaged(f"{path} at {offset + at}: {error}", offset + at) from error
        at = start + length
        records.append((record, offset + at))
    return Batch(records, offset + at, torn=False)


def next_frame(path: Path, offset: int) -> int | None:
    """Return where the next readable frame after ``offset`` starts, or None.

    Tells damage in the middle of a segment, which frames follow, from a torn tail, which nothing follows. A
    frame is found by its tag and then proved by its checksum; the tag's first byte cannot occur in UTF-8 text
    after the byte of an array's length, so nothing that a client or a provider wrote can pose as a frame.

    Raises:
        OSError: where the file cannot be read.
    """
    data = path.read_bytes()
    at = offset
    while True:
        found = [place for tag in _TAGS if (place := data.find(tag, at + 1)) >= 0]
        if not found:
            return None
        at = min(found)
        # The array's length in front of the tag takes one byte below 16 fields, three from there on.
        for start in (at - 3 - FRAME.size, at - 1 - FRAME.size):
            if start > offset and _is_frame(data, start):
                return start


def _is_frame(data: bytes, start: int) -> bool:
    length, checksum = FRAME.unpack_from(data, start)
    payload = data[start + FRAME.size : start + FRAME.size + length]
    if not length or len(payload) < length or zlib.crc32(payload) != checksum:
        return False
    try:
        _decoder.decode(payload)
    except msgspec.DecodeError:
        return False
    return True


def _read_window(path: Path, offset: int, window_bytes: int) -> bytes:
    """Return bytes from ``offset`` on that hold at least one whole frame, if one is there."""
    with path.open("rb") as file:
        magic = file.read(len(MAGIC))
        if not magic.strip(b"\0"):
            return b""  # preallocated, its header not yet written
        if magic != MAGIC:
            raise SegmentDamaged(f"{path} is not a journal segment of this version", 0)
        file.seek(offset)
        data = file.read(window_bytes)
        if len(data) >= FRAME.size:
            missing = FRAME.size + FRAME.unpack_from(data)[0] - len(data)
            if missing > 0:
                data += file.read(missing)
        return data


def segments_of(instance: Path) -> list[Path]:
    """Return the segments of one writer's directory in the order they were written."""
    return sorted(instance.glob(f"*{SUFFIX}"))


def instances_of(journal: Path) -> list[Path]:
    """Return the directories of all writers, oldest first."""
    if not journal.is_dir():
        return []
    return sorted(path for path in journal.iterdir() if path.is_dir() and not path.name.startswith("."))
