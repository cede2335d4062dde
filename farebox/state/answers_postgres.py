"""Answers of calls with an idempotency key in Postgres, beside the ledger that several hosts share."""

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

from farebox.idempotency import Claim, Ending, Found
from farebox.state.answers import (
    FORGET,
    INDEX,
    Statement,
    claim_statements,
    end_statement,
    read_found,
    table,
    unavailable,
)
from farebox.state.postgres import Connection

_ATTEMPTS = 3
_CONNECT_S = 3
_ANSWER_S = 4.0
_SETTINGS = (
    "CREATE SCHEMA IF NOT EXISTS farebox",
    "SET lock_timeout = '2s'",
    "SET statement_timeout = '3s'",
    "SET idle_in_transaction_session_timeout = '3s'",
    "SET synchronous_commit = on",
    "SET search_path = farebox",
)
# Taken while the table is made, so that the workers that start at once do not make it at once.
_MAKING = 7_322_061_844


class PostgresAnswers:
    """See `AnswerStore`. One connection serves all threads of a process, one at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: Connection | None = None

    def claim(self, claim: Claim, keep_ns: int) -> Found | None:
        """See `AnswerStore.claim`."""
        for _ in range(_ATTEMPTS):
            rows = self._run(claim_statements(claim, keep_ns))
            if rows:  # else whoever had the key freed it between two of the statements
                return read_found(rows, claim)
        raise unavailable()

    def end(self, claim: Claim, ending: Ending) -> None:
        """See `AnswerStore.end`."""
        self._run([end_statement(claim, ending)])

    def forget(self, before_ns: int) -> None:
        """See `AnswerStore.forget`."""
        while self._run([(FORGET, (before_ns,))]):
            pass

    def close(self) -> None:
        """See `AnswerStore.close`."""
        with self._lock:
            self._let_go()

    def _run(self, statements: Sequence[Statement]) -> list[Any]:
        """Run statements in one transaction and return the rows of the last; twice where a connection was broken.

        Every one of them may be run twice: a claim knows its own call, and ends name it.
        """
        with self._lock:
            was_open = self._connection is not None
            try:
                return self._transact(statements)
            except (psycopg.Error, OSError) as error:
                is_broken = self._connection is None or self._connection.broken
                self._let_go()
                if not (was_open and is_broken):
                    raise unavailable() from error
            try:
                return self._transact(statements)
            except (psycopg.Error, OSError) as error:
                self._let_go()
                raise unavailable() from error

    def _transact(self, statements: Sequence[Statement]) -> list[Any]:
        connection = self._connected()
        connection.deadline_s = time.monotonic() + _ANSWER_S
        with connection.transaction(), connection.cursor() as cursor:
            for statement, values in statements:
                cursor.execute(statement.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description is not None else []

    def _connected(self) -> Connection:
        if self._connection is None:
            connection = Connection.connect(self._url, connect_timeout=_CONNECT_S, autocommit=True)
            connection.deadline_s = time.monotonic() + _ANSWER_S
            try:
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
                    for statement in _SETTINGS:
                        connection.execute(statement.encode())
                    connection.execute(table("BYTEA", "BIGINT").encode())
                    connection.execute(INDEX.encode())
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
