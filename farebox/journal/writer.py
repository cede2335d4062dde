"""Appends records to this process's segments. Once `append` returns, kill -9 cannot lose the record.

Segments are preallocated and memory-mapped: an append is a copy into pages that the kernel owns, so it
survives the death of the process and costs no system call. A spare segment is always allocated ahead. While
there is none (disk full), `Sent` is refused, so nothing unjournalled leaves, and the space that is left
belongs to the `Done` of attempts already under way.
"""

import fcntl
import mmap
import os
import zlib
from contextlib import ExitStack
from pathlib import Path

import msgspec
from msgspec.structs import replace

from farebox.clock import Clock
from farebox.errors import TooLarge, Unavailable
from farebox.journal.record import Done, Flag, Sent
from farebox.journal.segment import FRAME, MAGIC, SUFFIX

SEGMENT_BYTES = 8 << 20
_INTEGERS_END = 1 << 64  # the first integer that MessagePack cannot hold
_RETRY_NS = 500_000_000  # how often a full disk is asked again


class _Segment:
    """One mapped segment and the offset of its end."""

    def __init__(self, path: Path, size: int) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(fd, 0, size)  # a mapped page without a block behind it would be a SIGBUS
            self.map = mmap.mmap(fd, size)
        except BaseException:
            os.close(fd)
            path.unlink()
            raise
        self.fd: int = fd
        self.size: int = size
        self.map[: len(MAGIC)] = MAGIC
        self.end: int = len(MAGIC)

    def put(self, payload: bytes) -> bool:
        """Append a frame; False where it does not fit."""
        length = len(payload)
        start = self.end + FRAME.size
        if start + length > self.size:
            return False
        # The payload first: a frame that a reader sees has its length last.
        self.map[start : start + length] = payload
        FRAME.pack_into(self.map, self.end, length, zlib.crc32(payload))
        self.end = start + length
        return True

    def close(self) -> None:
        self.map.close()
        os.close(self.fd)


class JournalWriter:
    """The journal of one process. Not shared between threads or processes.

    Args:
        journal: directory of the journal; this writer makes its own directory in it.
        instance: unique name of the process, see `ids.IdSource.instance`.
        clock: for naming the directory and for pacing retries on a full disk.
        segment_bytes: size of a segment; a record must fit into one.
    """

    def __init__(self, journal: Path, instance: str, clock: Clock, segment_bytes: int = SEGMENT_BYTES) -> None:
        name = f"{clock.now_ns() // 1_000_000:013d}-{instance}"
        draft = journal / f".{name}"
        draft.mkdir(parents=True)
        self._lock: int = os.open(draft / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # held until the process dies: proof of life
        self.directory: Path = draft.rename(journal / name)  # visible only once it is locked
        self._clock = clock
        self._segment_bytes = segment_bytes
        self._sequence: int = 0
        self._encode = msgspec.msgpack.Encoder().encode
        self._current: _Segment = self._allocate()
        self._spare: _Segment | None = None
        self._retry_at_ns: int = 0
        self._waiting: list[bytes] = []
        self._full: list[int] = []  # descriptors of finished segments, kept until the next sync
        self._has_new_files: bool = True
        self.appended: int = 0  # records so far, those that wait for space left out
        self.failed: bool = False
        self._make_spare()

    def append_sent(self, record: Sent) -> None:
        """Put an attempt on record before its first byte goes out.

        Raises:
            Unavailable: where there is no room; the attempt must not be sent.
            TooLarge: where the client's names and tags do not fit into a segment, or an output cap or what was reserved
                is beyond 64 bits; the attempt must not be sent.
        """
        if self.failed:
            raise Unavailable(
                "The journal's disk has failed, so no call is admitted.", code="journal_failed", retry_after_s=1
            )
        try:
            payload = self._encode(record)
        except OverflowError:
            raise TooLarge(
                "What the call may use is too much to be put on record. Lower max_tokens or n, or send less."
            ) from None
        if len(payload) > self._room:
            raise TooLarge("The call's user, tags and model name are too long to be put on record. Shorten them.")
        if self._waiting or self._spare is None:
            self._recover_space()
        if not self._put(payload, keep_spare=True):
            raise Unavailable(
                "The journal has no space left, so no call is admitted. Free space in the data directory.",
                code="journal_full",
                retry_after_s=1,
            )

    def append_done(self, record: Done) -> None:
        """Put the end of an attempt on record, at the latest when there is space again.

        What no record can hold is left out and flagged, so that the attempt still gets its end: a number
        beyond 64 bits takes the charge with it, an object larger than a segment is the provider's raw usage.
        """
        payload = self._encode_done(record)
        if self._waiting:
            self._recover_space()
        if self._waiting or not self._put(payload, keep_spare=False):
            self._waiting.append(payload)

    @property
    def admitting(self) -> bool:
        """Whether a new attempt would be accepted."""
        if self.failed:
            return False
        if self._waiting or self._spare is None:
            self._recover_space()
        return not self._waiting and self._spare is not None

    @property
    def waiting(self) -> int:
        """Number of ends of attempts that wait in memory for space."""
        return len(self._waiting)

    def fail(self) -> None:
        """Admit nothing any more: the disk has failed. Ends of attempts are still put on record."""
        self.failed = True

    def take_unsynced(self) -> list[int]:
        """Return descriptors of what may not be on the disk; the caller hands them to `flush.sync`.

        The directories are among them where files were made: a file that is synced and has no name is lost.
        """
        taken = [os.dup(self._current.fd), *self._take_full()]
        if self._has_new_files:
            self._has_new_files = False
            taken += [os.open(path, os.O_RDONLY) for path in (self.directory, self.directory.parent)]
        return taken

    def close(self) -> None:
        """Write what waits, force it to the disk and let go of the lock.

        Raises:
            OSError: where the disk failed; the lock is let go all the same.
        """
        self._retry_at_ns = 0
        self._recover_space()
        with ExitStack() as closing:
            closing.callback(os.close, self._lock)
            closing.callback(self._current.close)
            if self._spare is not None:
                closing.callback(self._spare.close)
            unsynced = self.take_unsynced()
            for fd in unsynced:
                closing.callback(os.close, fd)
            for fd in unsynced:
                os.fdatasync(fd)

    @property
    def _room(self) -> int:
        """Bytes of the largest record that a segment can hold."""
        return self._segment_bytes - len(MAGIC) - FRAME.size

    def _encode_done(self, record: Done) -> bytes:
        try:
            payload = self._encode(record)
        except OverflowError:
            record = replace(
                record,
                flags=_with_unpriced(record.flags),
                meters={name: quantity for name, quantity in record.meters.items() if quantity < _INTEGERS_END},
                lines=(),
                total_femto=None,
                unpriced="the charge is beyond 64 bits and cannot be put on record",
            )
            payload = self._encode(record)
        if len(payload) > self._room:
            cut = "the usage object is too large to be put on record"
            payload = self._encode(replace(record, usage_raw=b"", error=f"{cut}; {record.error}"[:500]))
        return payload

    def _take_full(self) -> list[int]:
        full, self._full = self._full, []
        return full

    def _put(self, payload: bytes, *, keep_spare: bool) -> bool:
        if keep_spare and self._spare is None:
            return False
        if self._current.put(payload):
            self.appended += 1
            return True
        if self._spare is None:
            return False
        self._current.map.close()
        self._full.append(self._current.fd)
        self._current, self._spare = self._spare, None
        self._make_spare()
        self.appended += 1
        return self._current.put(payload)

    def _recover_space(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._retry_at_ns:
            return
        self._retry_at_ns = now_ns + _RETRY_NS
        if self._spare is None:
            self._make_spare()
        while self._waiting and self._put(self._waiting[0], keep_spare=False):
            self._waiting.pop(0)

    def _make_spare(self) -> None:
        try:
            self._spare = self._allocate()
        except OSError:
            self._spare = None

    def _allocate(self) -> _Segment:
        segment = _Segment(self.directory / f"{self._sequence:08d}{SUFFIX}", self._segment_bytes)
        self._sequence += 1
        self._has_new_files = True
        return segment


def _with_unpriced(flags: tuple[Flag, ...]) -> tuple[Flag, ...]:
    return flags if "unpriced" in flags else (*flags, "unpriced")
