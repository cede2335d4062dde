"""Answers of calls with an idempotency key in Postgres, beside the ledger that several hosts share."""

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

from farebox.state.answers import (
    CLAIM,
    FIND,
    FINISH,
    KEEP_NS,
    PURGE,
    RELEASE,
    Answer,
    Claim,
    Found,
    Slot,
    answer_values,
    claim_values,
    read_found,
    table,
    unavailable,
)

_CONNECT_S = 3
_SETTINGS = "SET statement_timeout = '3s'; SET lock_timeout = '2s'; SET search_path = farebox"
# Taken while the table is made, so that the workers that start at once do not make it at once.
_MAKING = 7_322_061_844


class PostgresAnswers:
    """See `AnswerStore`. One connection serves all threads of a process, one at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._connection: psycopg.Connection[Any] | None = None

    def claim(self, slot: Slot, claim: Claim) -> Found | None:
        """See `AnswerStore.claim`."""
        rows = self._run(
            [
                (PURGE, (claim.at_ns - KEEP_NS,)),
                (CLAIM, claim_values(slot, claim)),
                (FIND, (slot.caller, slot.key)),
            ]
        )
        found = read_found(rows[0])
        return None if found.claim.call == claim.call else found

    def finish(self, slot: Slot, call: str, answer: Answer) -> None:
        """See `AnswerStore.finish`."""
        self._run([(FINISH, answer_values(slot, call, answer))])

    def release(self, slot: Slot, call: str) -> None:
        """See `AnswerStore.release`."""
        self._run([(RELEASE, (slot.caller, slot.key, call))])

    def close(self) -> None:
        """See `AnswerStore.close`."""
        with self._lock:
            self._let_go()

    def _run(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        """Run statements in one transaction and return the rows of the last; again where the connection was broken."""
        with self._lock:
            was_open = self._connection is not None
            try:
                return self._transact(statements)
            except psycopg.Error as error:
                self._let_go()
                if not (was_open and isinstance(error, psycopg.OperationalError)):
                    raise unavailable() from error
            try:
                return self._transact(statements)
            except psycopg.Error as error:
                self._let_go()
                raise unavailable() from error

    def _transact(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        connection = self._connected()
        with connection.transaction(), connection.cursor() as cursor:
            for statement, values in statements:
                cursor.execute(statement.replace("?", "%s").encode(), values)
            return cursor.fetchall() if cursor.description is not None else []

    def _connected(self) -> psycopg.Connection[Any]:
        if self._connection is None:
            connection = psycopg.connect(self._url, connect_timeout=_CONNECT_S, autocommit=True)
            try:
                connection.execute("CREATE SCHEMA IF NOT EXISTS farebox")
                connection.execute(_SETTINGS)
                with connection.transaction():
                    connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING,))
                    connection.execute(table("BYTEA", "BIGINT").encode())
                    connection.execute("CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at_ns)")
            except psycopg.Error:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    def _let_go(self) -> None:
        if self._connection is not None:
            with suppress(psycopg.Error):
                self._connection.close()
            self._connection = None
