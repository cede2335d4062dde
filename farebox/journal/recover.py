"""Ends the attempts of dead writers.

A writer is dead when its lock can be taken. Its attempts without an end are given one, derived by the caller
(`meter.assume`), in a segment of their own that appears at once by rename. Doing it again changes nothing, so
it may be killed and repeated at any point. One process recovers at a time: the caller holds the books' lock.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from farebox.journal.record import Done, Sent
from farebox.journal.segment import MAGIC, SUFFIX, frame, read_segment, segments_of

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
    """
    if (instance / RECOVERED).exists():
        return 0
    open_attempts: dict[str, Sent] = {}
    for path in segments_of(instance):
        offset = 0
        while True:
            batch = read_segment(path, offset)
            for record, _ in batch.records:
                if isinstance(record, Sent):
                    open_attempts[record.attempt] = record
                else:
                    open_attempts.pop(record.attempt, None)
            if not batch.records:
                break
            offset = batch.next_offset
    encode = msgspec.msgpack.Encoder().encode
    frames = [frame(encode(assume(sent))) for sent in open_attempts.values()]
    _publish(instance / RECOVERED, b"".join([MAGIC, *frames]))
    return len(frames)


def _publish(path: Path, data: bytes) -> None:
    """Make a file appear whole or not at all."""
    draft = path.with_suffix(".draft")
    with draft.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
