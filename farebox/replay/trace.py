"""A trace file: its rows in order, and what was left out and why."""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from farebox.replay.formats import READERS
from farebox.replay.rows import RowError, TraceError, TraceRow


class Rejection(msgspec.Struct):
    """One reason for leaving rows out.

    Attributes:
        rows: how many.
        first_line: where the first of them is, from 1.
    """

    rows: int
    first_line: int


class Trace:
    """The rows of a file, read anew at every iteration.

    Attributes:
        format: a key of `formats.READERS`.
        rejected: reason -> Rejection, of the latest iteration.
    """

    def __init__(self, path: Path, trace_format: str) -> None:
        self.path: Path = path
        self.format: str = trace_format
        self.rejected: dict[str, Rejection] = {}

    def __iter__(self) -> Iterator[TraceRow]:
        """Yield rows with `at_s` counted from the first one; a row dated before it comes at 0.

        Raises:
            TraceError: the file cannot be read.
        """
        self.rejected = {}
        start_s: float | None = None
        try:
            # utf-8-sig drops a byte order mark; what is no UTF-8 becomes U+FFFD and fails as a number.
            with self.path.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
                for number, row in READERS[self.format](lines):
                    if isinstance(row, RowError):
                        self._reject(str(row), number)
                        continue
                    if start_s is None:
                        start_s = row.at_s
                    yield msgspec.structs.replace(row, at_s=max(0.0, row.at_s - start_s))
        except OSError as error:
            raise TraceError(f"cannot read the trace {self.path}: {error.strerror or error}") from None

    def count_lines(self) -> int:
        """Return the number of lines: what a progress bar expects at most."""
        try:
            with self.path.open("rb") as file:
                return sum(piece.count(b"\n") for piece in iter(lambda: file.read(1 << 20), b"")) + 1
        except OSError as error:
            raise TraceError(f"cannot read the trace {self.path}: {error.strerror or error}") from None

    def _reject(self, reason: str, line: int) -> None:
        seen = self.rejected.get(reason)
        if seen is None:
            self.rejected[reason] = Rejection(1, line)
        else:
            seen.rows += 1


def parse(path: str | Path, trace_format: str) -> Trace:
    """Return the trace in `path`; nothing is read yet.

    Raises:
        TraceError: the format is not one of azure, mooncake, ragpulse, burstgpt, jsonl.
    """
    if trace_format not in READERS:
        raise TraceError(f"unknown trace format {trace_format!r}: use one of {', '.join(READERS)}")
    return Trace(Path(path), trace_format)
