"""Ends the attempts of dead writers.

A writer is dead when its lock can be taken. Its attempts without an end are given one, derived by the caller
(`meter.assume`), in a segment of their own that appears at once by rename. Doing it again changes nothing, so
it may be killed and repeated at any point. One process recovers at a time: the caller holds the books' lock.
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from farebox.journal.record import Done, Record, Sent
from farebox.journal.segment import MAGIC, SUFFIX, SegmentDamaged, frame, next_frame, read_segment, segments_of

RECOVERED = f"recovered{SUFFIX}"  # sorts after every numbered segment


def is_dead(instance: Path) -> bool:
    """Whether no process holds the lock of a writer's directory."""
    fd = os.open(instance / "lock", os.O_RDWR)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True


def recover_instance(instance: Path, assume: Callable[[Sent], Done]) -> int:
    """End the open attempts of a dead writer; return how many were ended now.

    Args:
        instance: the writer's directory; `is_dead` must hold.
        assume: makes the end of an attempt whose end nobody saw.

    Raises:
        OSError: where a segment cannot be read; nothing is written then.
    """
    if (instance / RECOVERED).exists():
        return 0
    open_attempts: dict[str, Sent] = {}
    for path in segments_of(instance):
        for record in readable(path):
            if isinstance(record, Sent):
                open_attempts[record.attempt] = record
            else:
                open_attempts.pop(record.attempt, None)
    encode = msgspec.msgpack.Encoder().encode
    frames = [frame(encode(assume(sent))) for sent in open_attempts.values()]
    _publish(instance / RECOVERED, b"".join([MAGIC, *frames]))
    return len(frames)


def readable(path: Path) -> Iterator[Record]:
    """Yield what can be read of a segment nobody writes to, damaged places left out."""
    offset: int | None = 0
    while offset is not None:
        try:
            batch = read_segment(path, offset)
        except SegmentDamaged as damage:
            offset = next_frame(path, damage.offset) if damage.offset else None
            continue
        for record, _ in batch.records:
            yield record
        offset = batch.next_offset if batch.records else next_frame(path, batch.next_offset)


def _publish(path: Path, data: bytes) -> None:
    """Make a file appear whole or not at all."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power loss could take back what the books have read already
    finally:
        os.close(folder)
