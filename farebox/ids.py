"""Identifiers: unique without coordination, sorted by time, readable in a log."""

import itertools
import secrets
from collections.abc import Iterator


class IdSource:
    """Makes ids of calls and attempts for one process.

    An id is a prefix, 11 hex digits of milliseconds since the epoch, 8 random hex digits that name the process,
    and a counter. Two processes collide only if they draw the same 32 random bits in the same millisecond.
    """

    def __init__(self) -> None:
        self.instance: str = secrets.token_hex(4)
        self._counter: Iterator[int] = itertools.count()

    def call_id(self, now_ns: int) -> str:
        """Return a new call id such as ``call_19340f1a2b3c0ffee120``."""
        return f"call_{now_ns // 1_000_000:011x}{self.instance}{next(self._counter):x}"

    @staticmethod
    def attempt_id(call_id: str, number: int) -> str:
        """Return the id of a call's attempt, counted from 1."""
        return f"{call_id}.{number}"
