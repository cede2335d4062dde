"""Answers of calls that carry an idempotency key, kept for a while: the same call again is answered from here.

Whoever comes first claims a key, in one transaction, before anything is sent; everybody else finds the claim. In a
SQLite file for one host, in Postgres where several share a ledger. Bodies are kept as they were answered, so nobody but
its owner can read the file.
"""

import os
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from farebox.errors import ConfigError, Unavailable
from farebox.idempotency import Answer, Claim, Ending, Found

ANSWERS = "idempotency.db"

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    digest {blob} PRIMARY KEY, fingerprint {blob} NOT NULL, call TEXT NOT NULL, writer TEXT NOT NULL,
    at_ns {big} NOT NULL, state TEXT NOT NULL, status {big} NOT NULL, is_stream {big} NOT NULL, headers TEXT NOT NULL,
    body {blob})
"""
INDEX = "CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at_ns)"
# So few at a time that nobody waits for long.
FORGET = "DELETE FROM answers WHERE digest IN (SELECT digest FROM answers WHERE at_ns < ? LIMIT 100) RETURNING call"
_DROP = "DELETE FROM answers WHERE digest = ? AND at_ns < ?"
_CLAIM = (
    "INSERT INTO answers (digest, fingerprint, call, writer, at_ns, state, status, is_stream, headers, body) "
    "VALUES (?, ?, ?, ?, ?, 'open', 0, 0, '[]', NULL) ON CONFLICT DO NOTHING"
)
_FIND = (
    "SELECT digest, fingerprint, call, writer, at_ns, state, status, is_stream, headers, body "
    "FROM answers WHERE digest = ?"
)
_FINISH = (
    "UPDATE answers SET state = ?, status = ?, is_stream = ?, headers = ?, body = ? "
    "WHERE digest = ? AND call = ? AND state = 'open'"
)
_RELEASE = "DELETE FROM answers WHERE digest = ? AND call = ? AND state = 'open'"

Statement = tuple[str, Sequence[Any]]


class AnswerStore(Protocol):
    """Where answers are. Methods are transactions and may be called from any thread.

    Each raises Unavailable (``idempotency_store_unavailable``) where the store does not answer in time.
    """

    def claim(self, claim: Claim, keep_ns: int) -> Found | None:
        """Claim a key; return the earlier claim where there is one, else None.

        Args:
            claim: the call's.
            keep_ns: how long a claim stands; an older one is forgotten.
        """

    def end(self, claim: Claim, ending: Ending) -> None:
        """Keep what became of a call that holds its claim, or free the key. Doing it again changes nothing."""

    def forget(self, before_ns: int) -> None:
        """Drop what was claimed before an instant."""

    def close(self) -> None:
        """Let go of the store."""


def open_answers(data_dir: Path, url: str | None) -> AnswerStore:
    """Return the store of an installation, beside its ledger; nothing is opened before it is used.

    Raises:
        ConfigError: where the Postgres client is not installed.
    """
    if not url:
        return SqliteAnswers(data_dir / ANSWERS)
    try:
        from farebox.state.answers_postgres import PostgresAnswers  # noqa: PLC0415 -- its client is an extra
    except ImportError:
        raise ConfigError("a ledger in Postgres needs `pip install 'farebox[postgres]'`") from None
    return PostgresAnswers(url)


class SqliteAnswers:
    """See `AnswerStore`: a file in WAL mode, every write on the disk when it is answered."""

    def __init__(self, path: Path, wait_s: float = 2.0) -> None:
        self._path = path
        self._wait_s = wait_s
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def claim(self, claim: Claim, keep_ns: int) -> Found | None:
        """See `AnswerStore.claim`."""
        return read_found(self._run(claim_statements(claim, keep_ns)), claim)

    def end(self, claim: Claim, ending: Ending) -> None:
        """See `AnswerStore.end`."""
        self._run([end_statement(claim, ending)])

    def forget(self, before_ns: int) -> None:
        """See `AnswerStore.forget`."""
        while self._path.exists() and self._run([(FORGET, (before_ns,))]):
            pass

    def close(self) -> None:
        """See `AnswerStore.close`."""
        with self._lock:
            self._let_go()

    def _run(self, statements: Sequence[Statement]) -> list[Any]:
        """Run statements in one transaction; return the rows of the last."""
        with self._lock:
            try:
                if self._database is None:
                    self._database = self._open()
                self._database.execute("BEGIN IMMEDIATE")
                for statement, values in statements:
                    cursor = self._database.execute(statement, values)
                rows = cursor.fetchall()
                self._database.execute("COMMIT")
            except (sqlite3.Error, OSError) as error:
                self._let_go()  # which rolls back
                raise unavailable() from error
            return rows

    def _open(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(self._path, timeout=self._wait_s, isolation_level=None, check_same_thread=False)
        try:
            for statement in (
                "PRAGMA journal_mode = WAL",
                "PRAGMA synchronous = FULL",
                table("BLOB", "INTEGER"),
                INDEX,
            ):
                database.execute(statement)
        except sqlite3.Error:
            database.close()
            raise
        return database

    def _let_go(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None


def table(blob: str, big: str) -> str:
    """Return the statement that makes the table, given the store's types."""
    return _TABLE.format(blob=blob, big=big)


def claim_statements(claim: Claim, keep_ns: int) -> list[Statement]:
    """Return the statements that claim a key; the last returns whose it is."""
    values = (claim.digest, claim.fingerprint, claim.call, claim.writer, claim.at_ns)
    return [(_DROP, (claim.digest, claim.at_ns - keep_ns)), (_CLAIM, values), (_FIND, (claim.digest,))]


def end_statement(claim: Claim, ending: Ending) -> Statement:
    """Return the statement that ends a claim."""
    if ending.state is None:
        return _RELEASE, (claim.digest, claim.call)
    answer = ending.answer or Answer(0, (), b"", is_stream=False)
    headers = msgspec.json.encode(answer.headers).decode()
    body = None if ending.answer is None else answer.body
    values = (ending.state, answer.status, int(answer.is_stream), headers, body)
    return _FINISH, (*values, claim.digest, claim.call)


def read_found(rows: Sequence[Any], claim: Claim) -> Found | None:
    """Return whose a key is, where it is not the claim's own."""
    ((digest, fingerprint, call, writer, at_ns, state, status, is_stream, headers, body),) = rows
    if call == claim.call:
        return None
    answer = None
    if body is not None:
        pairs = msgspec.json.decode(headers, type=tuple[tuple[str, str], ...])
        answer = Answer(status, pairs, bytes(body), bool(is_stream))
    return Found(Claim(bytes(digest), bytes(fingerprint), call, writer, at_ns), state, answer)


def unavailable() -> Unavailable:
    """Return the error of a call whose key cannot be looked up."""
    return Unavailable(
        "The store of idempotency keys cannot be reached, so a call that carries one cannot be admitted. Try again.",
        code="idempotency_store_unavailable",
        retry_after_s=1,
    )
