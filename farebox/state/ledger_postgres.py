"""The ledger in Postgres, for several hosts.

Rows are locked in one order, so transactions wait for each other and do not deadlock; where the server ends one all
the same, it is done again. The clock is the server's. A session that hangs inside a transaction (a stopped process)
is ended by the server, so that nobody waits for it for long.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import psycopg
from psycopg import errors

from farebox.budgets.authority import StoreUnavailable
from farebox.clock import Clock
from farebox.state.ledger_rows import Result, Rows
from farebox.state.ledger_schema import check_version, postgres_tables
from farebox.state.ledger_values import Row

_SCHEMA = "farebox"
_ATTEMPTS = 5
_CONNECT_S = 3
_SETTINGS = (
    "SET lock_timeout = '2s'",
    "SET statement_timeout = '5s'",
    "SET idle_in_transaction_session_timeout = '3s'",
    "SET synchronous_commit = on",
    f"SET search_path = {_SCHEMA}",
)
# Taken while the tables are made, so that the workers that start at once do not make them at once.
_MAKING = 7_322_061_843
_NOW = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000000)::bigint"


class PostgresStore:
    """The rows in a database, in tables of the schema ``farebox``.

    One connection serves all threads of a process, one at a time. It is opened at first use, and again where it broke.
    """

    def __init__(self, url: str, clock: Clock | None = None) -> None:
        self._url = url
        self._clock = clock
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Row] | None = None

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
        with self._lock:
            for attempt in range(1, _ATTEMPTS + 1):
                was_open = self._connection is not None
                try:
                    return self._attempt(begin, lock, work)
                except (errors.DeadlockDetected, errors.SerializationFailure, errors.UniqueViolation) as error:
                    if attempt == _ATTEMPTS:
                        raise StoreUnavailable(str(error)) from error
                except psycopg.Error as error:
                    is_broken = self._connection is None or self._connection.broken
                    self._let_go()
                    # A connection that broke while it lay idle says nothing about the server: try a new one, once.
                    if not (is_broken and was_open and attempt == 1) or isinstance(error, _CommitLost):
                        raise StoreUnavailable(str(error)) from error
        raise AssertionError("every attempt returns or raises")

    def _attempt(self, begin: str, lock: str, work: Callable[[Rows], Result]) -> Result:
        connection = self._connected()
        with connection.cursor() as cursor:
            try:
                cursor.execute(begin)
                now_ns = self._clock.now_ns() if self._clock else _first(cursor, _NOW)
                rows = Rows(_runner(cursor), _many_runner(cursor), now_ns, lock)
                result = work(rows)
            except BaseException:
                with suppress(psycopg.Error):
                    connection.rollback()
                raise
            _end(cursor, "COMMIT" if rows.changed else "ROLLBACK")
            return result

    def _connected(self) -> psycopg.Connection[Row]:
        if self._connection is not None:
            return self._connection
        connection = psycopg.connect(self._url, autocommit=True, connect_timeout=_CONNECT_S)
        try:
            with connection.transaction(), connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
                cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {_SCHEMA}")
                cursor.execute(f"SET LOCAL search_path = {_SCHEMA}")
                for statement in postgres_tables():
                    cursor.execute(_as_bytes(statement))
                check_version(_first(cursor, "SELECT value FROM meta WHERE name = 'schema'"))
            for statement in _SETTINGS:
                connection.execute(_as_bytes(statement))
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _let_go(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class _CommitLost(psycopg.OperationalError):
    """The connection broke during a commit: what became of it is not known."""


def _end(cursor: psycopg.Cursor[Row], statement: str) -> None:
    try:
        cursor.execute(_as_bytes(statement))
    except psycopg.OperationalError as error:
        if cursor.connection.broken:
            raise _CommitLost(f"the connection broke during the commit: {error}") from error
        raise


def _first(cursor: psycopg.Cursor[Row], statement: str) -> int:
    found = cursor.execute(_as_bytes(statement)).fetchone()
    assert found is not None
    return int(found[0])


def _runner(cursor: psycopg.Cursor[Row]) -> Callable[[str, Sequence[Any]], list[Row]]:
    def run(statement: str, values: Sequence[Any]) -> list[Row]:
        cursor.execute(_as_bytes(statement), values)
        return cursor.fetchall() if cursor.description is not None else []

    return run


def _many_runner(cursor: psycopg.Cursor[Row]) -> Callable[[str, Sequence[Sequence[Any]]], None]:
    def run_many(statement: str, values: Sequence[Sequence[Any]]) -> None:
        cursor.executemany(_as_bytes(statement), values)

    return run_many


@cache
def _as_bytes(statement: str) -> bytes:
    """Return a statement as the client takes it, with its own sign for parameters."""
    return statement.replace("?", "%s").encode()
