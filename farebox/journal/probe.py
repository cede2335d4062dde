"""Measures how long a sync takes in a directory: what `power` costs a call, twice."""

import os
import statistics
import time
from pathlib import Path

import msgspec

_PROBES = 25
_RECORD_BYTES = 512
SLOW_NS = 5_000_000


class SyncTimes(msgspec.Struct, frozen=True):
    """Durations of syncs, nanoseconds."""

    median_ns: int
    worst_ns: int


def measure_sync(folder: Path) -> SyncTimes:
    """Write and sync a small record several times in a file of its own, which is removed.

    Raises:
        OSError: where that cannot be done.
    """
    path = folder / f".sync-probe-{os.getpid()}"
    times = []
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.posix_fallocate(fd, 0, _PROBES * _RECORD_BYTES)
        os.fsync(fd)
        for number in range(_PROBES):
            os.pwrite(fd, b"\1" * _RECORD_BYTES, number * _RECORD_BYTES)
            start_ns = time.perf_counter_ns()
            os.fdatasync(fd)
            times.append(time.perf_counter_ns() - start_ns)
    finally:
        os.close(fd)
        path.unlink()
    return SyncTimes(int(statistics.median(times)), max(times))
