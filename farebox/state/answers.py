"""Answers of calls that carry an idempotency key, kept for a day: the same call again is answered from here.

A key belongs to the caller's virtual key. Whoever comes first claims it, in one transaction, before anything is sent;
everybody else finds the claim. In a SQLite file for one host, in Postgres where several share a ledger.
"""

import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from farebox.errors import ConfigError, Unavailable

ANSWERS = "idempotency.db"
KEEP_NS = 24 * 3_600_000_000_000

# `open`: under way, or its worker died. `done`: can be replayed. `broken`: the client left before it was whole.
# `large`: too large to be kept.
State = Literal["open", "done", "broken", "large"]

_TABLE = """
CREATE TABLE IF NOT EXISTS answers (
    caller TEXT NOT NULL, key TEXT NOT NULL, fingerprint {blob} NOT NULL, call TEXT NOT NULL, home TEXT NOT NULL,
    writer TEXT NOT NULL, at_ns {big} NOT NULL, state TEXT NOT NULL, status {big} NOT NULL, streamed {big} NOT NULL,
    headers TEXT NOT NULL, body {blob} NOT NULL, PRIMARY KEY (caller, key))
"""
_INDEX = "CREATE INDEX IF NOT EXISTS answers_by_age ON answers (at_ns)"
_COLUMNS = "fingerprint, call, home, writer, at_ns, state, status, streamed, headers, body"
PURGE = "DELETE FROM answers WHERE at_ns < ?"
CLAIM = (
    f"INSERT INTO answers (caller, key, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, 'open', 0, 0, '[]', ?) "  # noqa: S608 -- names of this file
    "ON CONFLICT DO NOTHING"
)
FIND = f"SELECT {_COLUMNS} FROM answers WHERE caller = ? AND key = ?"  # noqa: S608 -- names of this file
FINISH = (
    "UPDATE answers SET state = ?, status = ?, streamed = ?, headers = ?, body = ? "
    "WHERE caller = ? AND key = ? AND call = ?"
)
RELEASE = "DELETE FROM answers WHERE caller = ? AND key = ? AND call = ?"


class Slot(msgspec.Struct, frozen=True):
    """Whose key it is: the id of the virtual key, or "" for open access, and the idempotency key."""

    caller: str
    key: str


class Claim(msgspec.Struct, frozen=True):
    """What the first call with a key says.

    Attributes:
        fingerprint: digest of what is asked; another with the same key is a mistake.
        call: id of the call.
        home: which installation its worker belongs to.
        writer: name of the worker's journal.
        at_ns: when, nanoseconds since the epoch.
    """

    fingerprint: bytes
    call: str
    home: str
    writer: str
    at_ns: int


class Answer(msgspec.Struct, frozen=True):
    """An answer as it was given, or why there is none to replay."""

    state: State
    status: int = 0
    streamed: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""


class Found(msgspec.Struct, frozen=True):
    """An earlier claim and what became of it."""

    claim: Claim
    answer: Answer


class AnswerStore(Protocol):
    """Where answers are. Methods are transactions and may be called from any thread.

    Each raises Unavailable (``idempotency_store_unavailable``) where the store does not answer.
    """

    def claim(self, slot: Slot, claim: Claim) -> Found | None:
        """Claim a key; return the earlier claim where there is one, else None. What is older than a day is dropped."""

    def finish(self, slot: Slot, call: str, answer: Answer) -> None:
        """Keep the answer of a call that holds the claim."""

    def release(self, slot: Slot, call: str) -> None:
        """Give a claim up: nothing was sent, or nothing of it can have been billed."""

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

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._database: sqlite3.Connection | None = None

    def claim(self, slot: Slot, claim: Claim) -> Found | None:
        """See `AnswerStore.claim`."""
        statements = [
            ("BEGIN IMMEDIATE", ()),
            (PURGE, (claim.at_ns - KEEP_NS,)),
            (CLAIM, claim_values(slot, claim)),
            (FIND, (slot.caller, slot.key)),
            ("COMMIT", ()),
        ]
        found = read_found(self._run(statements)[3][0])
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
            if self._database is not None:
                self._database.close()
                self._database = None

    def _run(self, statements: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Any]]:
        with self._lock:
            try:
                if self._database is None:
                    self._database = self._open()
                return [self._database.execute(statement, values).fetchall() for statement, values in statements]
            except sqlite3.Error as error:
                if self._database is not None:
                    self._database.close()  # which rolls back
                    self._database = None
                raise unavailable() from error

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=5, isolation_level=None, check_same_thread=False)
        for statement in ("PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", table("BLOB", "INTEGER"), _INDEX):
            database.execute(statement)
        return database


def table(blob: str, big: str) -> str:
    """Return the statement that makes the table, given the store's types."""
    return _TABLE.format(blob=blob, big=big)


def claim_values(slot: Slot, claim: Claim) -> tuple[Any, ...]:
    """Return the values of `CLAIM`."""
    return slot.caller, slot.key, claim.fingerprint, claim.call, claim.home, claim.writer, claim.at_ns, b""


def answer_values(slot: Slot, call: str, answer: Answer) -> tuple[Any, ...]:
    """Return the values of `FINISH`."""
    headers = msgspec.json.encode(answer.headers).decode()
    what = (answer.state, answer.status, int(answer.streamed), headers, answer.body)
    return *what, slot.caller, slot.key, call


def read_found(row: Sequence[Any]) -> Found:
    """Return what stands in a row of `FIND`."""
    fingerprint, call, home, writer, at_ns, state, status, streamed, headers, body = row
    claim = Claim(bytes(fingerprint), call, home, writer, at_ns)
    pairs = msgspec.json.decode(headers, type=tuple[tuple[str, str], ...])
    return Found(claim, Answer(state, status, bool(streamed), pairs, bytes(body)))


def unavailable() -> Unavailable:
    """Return the error of a call whose key cannot be looked up."""
    return Unavailable(
        "The store of idempotency keys cannot be reached, so a call that carries one cannot be admitted. Try again.",
        code="idempotency_store_unavailable",
        retry_after_s=1,
    )
