"""The ledger in Postgres, for several hosts.

Rows are locked in one order, so transactions wait for each other and do not deadlock; where the server ends one all
the same, it is done again. The clock is the server's. A session that hangs inside a transaction (a stopped process)
is ended by the server, so that nobody waits for it for long.
"""

import hashlib
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
from psycopg import errors
from psycopg.conninfo import conninfo_to_dict

from farebox.budgets.authority import StoreUnavailable
from farebox.clock import Clock
from farebox.errors import ConfigError
from farebox.state.ledger_mark import Mark
from farebox.state.ledger_rows import Result, Rows
from farebox.state.ledger_schema import postgres_tables, read_mark
from farebox.state.ledger_values import Row
from farebox.state.postgres import Connection

_SCHEMA = "farebox"
_ATTEMPTS = 5
_CONNECT_S = 3
_ANSWER_S = 4.0  # for a whole transaction; the server's own limits end it earlier where the server can
_SETTINGS = (
    "SET lock_timeout = '2s'",
    "SET statement_timeout = '3s'",
    "SET idle_in_transaction_session_timeout = '3s'",
    "SET synchronous_commit = on",
    f"SET search_path = {_SCHEMA}",
)
# Taken while the tables are made, so that the workers that start at once do not make them at once.
_MAKING = 7_322_061_843
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"
_IS_THERE = f"SELECT (to_regclass('{_SCHEMA}.meta') IS NOT NULL)::int"
_COLLISIONS = (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation)


class PostgresStore:
    """The rows in a database, in tables of the schema ``farebox``.

    One connection serves all threads of a process, one at a time. It is opened at first use, and again where it broke.

    Args:
        url: of the database.
        clock: for tests; else it is the server's.
        marks: directory that remembers which ledger is used, or None.

    Raises:
        ConfigError: for a URL that is none.
    """

    def __init__(self, url: str, clock: Clock | None = None, marks: Path | None = None) -> None:
        self._url = url
        self._clock = clock
        self._mark = Mark(marks / f"ledger-{_name_of(url)}.mark") if marks else None
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._failed: tuple[float, str] = (0.0, "")

    def write(self, work: Callable[[Rows], Result]) -> Result:
        """Do some work in a transaction and commit it.

        Raises:
            StoreUnavailable: where the server does not answer, or others keep the rows for too long. Where the
                connection broke during the commit, the work may have been done.
        """
        return self._transact("BEGIN ISOLATION LEVEL READ COMMITTED", "FOR UPDATE", work)

    def read(self, work: Callable[[Rows], Result]) -> Result:
        """Do some work on one consistent state.

        Raises:
            StoreUnavailable: where the server does not answer.
        """
        return self._transact("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", "", work)

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._let_go()

    def _transact(self, begin: str, lock: str, work: Callable[[Rows], Result]) -> Result:
        begun_s = time.monotonic()
        with self._lock:
            failed_s, why = self._failed
            if failed_s > begun_s:  # while this one waited its turn: another wait would not end better
                raise StoreUnavailable(why)
            try:
                return self._repeatedly(begin, lock, work)
            except (psycopg.Error, OSError) as error:
                self._let_go()
                self._failed = time.monotonic(), str(error).strip()
                raise StoreUnavailable(str(error).strip()) from error

    def _repeatedly(self, begin: str, lock: str, work: Callable[[Rows], Result]) -> Result:
        """Do some work, again where transactions collided, and once more where an idle connection was found broken."""
        for attempt in range(1, _ATTEMPTS + 1):
            was_open = self._connection is not None
            try:
                return self._attempt(begin, lock, work)
            except _COLLISIONS:
                if attempt == _ATTEMPTS:
                    raise
            except psycopg.OperationalError as error:
                # A connection that broke while it lay idle says nothing about the server: try a new one.
                is_broken = self._connection is None or self._connection.broken
                if isinstance(error, _CommitLost) or not (is_broken and was_open and attempt == 1):
                    raise
                self._let_go()
        raise AssertionError("every attempt returns or raises")

    def _attempt(self, begin: str, lock: str, work: Callable[[Rows], Result]) -> Result:
        connection = self._connected()
        connection.deadline_s = time.monotonic() + _ANSWER_S
        with connection.cursor() as cursor:
            try:
                if self._clock:
                    cursor.execute(_as_bytes(begin))
                    now_ns = self._clock.now_ns()
                else:
                    cursor.execute(_as_bytes(f"{begin}; {_NOW}"))  # one message
                    cursor.nextset()
                    now_ns = _one(cursor)
                talk = _Talk(connection, cursor)
                rows = Rows(talk.run, now_ns, lock)
                result = work(rows)
                talk.end("COMMIT" if rows.changed else "ROLLBACK")
            except BaseException:
                with suppress(psycopg.Error):
                    connection.rollback()
                raise
            return result

    def _connected(self) -> Connection:
        if self._connection is not None:
            return self._connection
        connection = Connection.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S)
        connection.deadline_s = time.monotonic() + _ANSWER_S
        try:
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _prepare(self, connection: Connection) -> None:
        for statement in _SETTINGS:
            connection.execute(_as_bytes(statement))
        with connection.cursor() as cursor:
            if not _first(cursor, _IS_THERE):
                if self._mark is not None and self._mark.is_made():
                    raise self._mark.lost(f"the schema {_SCHEMA} has no tables")
                _make_tables(connection, cursor)
            number = read_mark(lambda statement: _Talk(connection, cursor).run(statement, ()))
        if self._mark is not None:
            self._mark.confirm(number)

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _make_tables(connection: Connection, cursor: psycopg.Cursor[Row]) -> None:
    with connection.transaction():
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
        for statement in postgres_tables():
            cursor.execute(_as_bytes(statement))


def _name_of(url: str) -> str:
    """Return a short name for a database, the same whoever opens it."""
    try:
        parts = conninfo_to_dict(url)
    except psycopg.Error as error:
        raise ConfigError(f"the ledger of budgets: this is no URL of a Postgres database: {error}") from None
    place = "|".join(f"{name}={parts.get(name)}" for name in ("host", "hostaddr", "port", "dbname"))
    return hashlib.sha256(place.encode()).hexdigest()[:12]


class _CommitLost(psycopg.OperationalError):
    """The connection broke during a commit: what became of it is not known."""


class _Talk:
    """What is said to the server in one transaction.

    Writes wait for the next read or for the end, and are sent together with it: others wait for the rows of this
    transaction, so that every journey to the server and back is one that they wait for, too.
    """

    def __init__(self, connection: Connection, cursor: psycopg.Cursor[Row]) -> None:
        self._connection = connection
        self._cursor = cursor
        self._waiting: list[tuple[str, Sequence[Any]]] = []

    def run(self, statement: str, values: Sequence[Any]) -> list[Row]:
        """Execute a statement; return its rows."""
        if not statement.startswith("SELECT") and "RETURNING" not in statement:
            self._waiting.append((statement, values))
            return []
        self._send(statement, values)
        return self._cursor.fetchall()

    def end(self, statement: str) -> None:
        """End the transaction."""
        try:
            self._send(statement, ())
        except psycopg.OperationalError as error:
            if self._connection.broken:
                raise _CommitLost(f"the connection broke during the commit: {error}") from error
            raise

    def _send(self, statement: str, values: Sequence[Any]) -> None:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            self._cursor.execute(_as_bytes(statement), values or None)
            return
        with self._connection.pipeline():
            for written, amounts in waiting:
                self._connection.execute(_as_bytes(written), amounts)
            self._cursor.execute(_as_bytes(statement), values)


def _first(cursor: psycopg.Cursor[Row], statement: str) -> int:
    cursor.execute(_as_bytes(statement))
    return _one(cursor)


def _one(cursor: psycopg.Cursor[Row]) -> int:
    found = cursor.fetchone()
    assert found is not None
    return int(found[0])


@cache
def _as_bytes(statement: str) -> bytes:
    """Return a statement as the client takes it, with its own sign for parameters."""
    return statement.replace("?", "%s").encode()
