"""The ledger in a SQLite file, for one host: every write is one transaction that is on disk when it is answered."""

import random
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from farebox.budgets.authority import StoreUnavailable
from farebox.clock import Clock
from farebox.state.ledger_mark import Mark
from farebox.state.ledger_rows import Result, Rows
from farebox.state.ledger_schema import read_mark, sqlite_tables
from farebox.state.ledger_values import Row

# How long a transaction waits for others, and how long at a time: SQLite's own waiting soon sleeps 100 ms at a time.
WAIT_S = 2.0
_FIRST_WAIT_S = 0.0001
_LONGEST_WAIT_S = 0.002


class SqliteStore:
    """The rows in a file.

    One connection serves all threads of a process, one at a time. It is opened at first use and again when the file is
    another one (a copy that was put in its place), so nothing that happens to the file needs a restart. A file that is
    gone is not begun anew: that would be a ledger without budgets.
    """

    def __init__(self, path: Path, clock: Clock, wait_s: float = WAIT_S) -> None:
        self.path: Path = path
        self._clock = clock
        self._wait_s = wait_s
        self._mark = Mark(path.with_suffix(".mark"))
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None
        self._file: tuple[int, int] = (0, 0)
        self._failed: tuple[float, str] = (0.0, "")

    def write(self, work: Callable[[Rows], Result]) -> Result:
        """Do some work in a transaction and commit it.

        Raises:
            StoreUnavailable: where the file cannot be used, or others keep it for too long.
        """
        return self._transact("BEGIN IMMEDIATE", work)

    def read(self, work: Callable[[Rows], Result]) -> Result:
        """Do some work on one consistent state.

        Raises:
            StoreUnavailable: where the file cannot be used.
        """
        return self._transact("BEGIN", work)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._let_go()

    def _transact(self, begin: str, work: Callable[[Rows], Result]) -> Result:
        """Do some work, waiting for others as long as need be."""
        begun_s = time.monotonic()
        with self._lock:
            failed_s, why = self._failed
            if failed_s > begun_s:  # while this one waited its turn: another wait would not end better
                raise StoreUnavailable(why)
            try:
                return self._patiently(begin, work)
            except (sqlite3.Error, OSError) as error:
                self._let_go()
                self._failed = time.monotonic(), f"{self.path}: {error}"
                raise StoreUnavailable(f"{self.path}: {error}") from error

    def _patiently(self, begin: str, work: Callable[[Rows], Result]) -> Result:
        deadline_s = time.monotonic() + self._wait_s
        wait_s = _FIRST_WAIT_S
        while True:
            try:
                return self._attempt(begin, work)
            except sqlite3.OperationalError as error:
                if not _is_busy(error) or time.monotonic() > deadline_s:
                    raise
            time.sleep(wait_s * random.uniform(0.5, 1.0))  # noqa: S311 -- apart from each other, not secret
            wait_s = min(wait_s * 2, _LONGEST_WAIT_S)

    def _attempt(self, begin: str, work: Callable[[Rows], Result]) -> Result:
        database = self._connected()
        database.execute(begin)
        try:
            rows = Rows(_runner(database), self._clock.now_ns(), "")
            result = work(rows)
            database.execute("COMMIT" if rows.changed else "ROLLBACK")
        except BaseException:
            with suppress(sqlite3.Error):  # what failed may have ended the transaction already
                database.execute("ROLLBACK")
            raise
        return result

    def _connected(self) -> sqlite3.Connection:
        if self._database is not None:
            with suppress(FileNotFoundError):
                found = self.path.stat()
                if (found.st_dev, found.st_ino) == self._file:
                    return self._database
            self._let_go()
        if self._mark.is_made() and not self.path.exists():
            raise self._mark.lost(f"{self.path} is gone")
        database = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")
            database.execute("PRAGMA foreign_keys = ON")
            database.execute("BEGIN IMMEDIATE")
            for statement in sqlite_tables():
                database.execute(statement)
            number = read_mark(lambda statement: database.execute(statement).fetchall())
            database.execute("COMMIT")
            self._mark.confirm(number)
            opened = self.path.stat()
        except BaseException:
            database.close()
            raise
        self._database, self._file = database, (opened.st_dev, opened.st_ino)
        return database

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def _is_busy(error: sqlite3.OperationalError) -> bool:
    return error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY


def _runner(database: sqlite3.Connection) -> Callable[[str, Sequence[Any]], list[Row]]:
    return lambda statement, values: database.execute(statement, values).fetchall()
