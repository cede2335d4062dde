"""The truth about the books: which files belong to them, how far the journal was read, what is still open.

A small SQLite database in WAL mode with full synchronisation. A Parquet file counts from the moment its row
here says ``live`` and not before; that happens in the same transaction that moves the journal's positions, so
an attempt is in the books exactly once wherever a crash falls.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec

SegmentState = Literal["reading", "ended", "finished"]
FindingKind = Literal["torn", "damaged", "late", "orphan", "refused"]

_SCHEMA = """
CREATE TABLE IF NOT EXISTS segment (
    writer TEXT NOT NULL, name TEXT NOT NULL, next_offset INTEGER NOT NULL, state TEXT NOT NULL,
    finished_ns INTEGER, PRIMARY KEY (writer, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS writer (
    name TEXT PRIMARY KEY, closed_ns INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open_attempt (
    attempt TEXT PRIMARY KEY, writer TEXT NOT NULL, segment TEXT NOT NULL, sent BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY AUTOINCREMENT, path TEXT NOT NULL UNIQUE, day INTEGER NOT NULL, state TEXT NOT NULL,
    rows INTEGER NOT NULL, first_ns INTEGER NOT NULL, last_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS spent (
    writer TEXT NOT NULL, budget TEXT NOT NULL, span TEXT NOT NULL, amount TEXT NOT NULL, over TEXT NOT NULL,
    PRIMARY KEY (writer, budget, span)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS unswept (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS corrected (attempt TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS file_by_state ON file (state, day);
CREATE TABLE IF NOT EXISTS finding (
    kind TEXT NOT NULL, writer TEXT NOT NULL, segment TEXT NOT NULL, at_offset INTEGER NOT NULL,
    found_ns INTEGER NOT NULL, attempt TEXT NOT NULL, detail TEXT NOT NULL, sent BLOB NOT NULL, done BLOB NOT NULL,
    PRIMARY KEY (kind, writer, segment, at_offset, attempt)) WITHOUT ROWID;
"""


class Position(msgspec.Struct):
    """How far a segment was read.

    Attributes:
        next_offset: where to read on.
        state: ``finished`` is never read again; ``ended`` belongs to a dead writer and was checked to its end.
        finished_ns: when its last record was committed, or None.
    """

    next_offset: int = 0
    state: SegmentState = "reading"
    finished_ns: int | None = None


class OpenAttempt(msgspec.Struct, frozen=True):
    """An attempt without an end, and the segment that holds its `Sent` (MessagePack)."""

    attempt: str
    writer: str
    segment: str
    sent: bytes


class BookFile(msgspec.Struct, frozen=True):
    """A Parquet file: its path within the books, its day, rows and the first and last `sent_at` in it."""

    id: int
    path: str
    day: int
    rows: int
    first_ns: int
    last_ns: int
    changed_ns: int


class Finding(msgspec.Struct, frozen=True):
    """Something in the journal that is not in the books as it stands there.

    Attributes:
        kind: ``torn``: an unfinished record at the end of a dead writer's journal, cut. ``damaged``: a place
            that cannot be read, set aside. ``late``: a second end of an attempt that has one; the first counts.
            ``orphan``: an end whose beginning is not on record. ``refused``: records the books' columns cannot hold.
        writer: directory of the writer.
        segment: the file, or "" where the finding is not about a place.
        at_offset: of the place in the segment.
        found_ns: when it was found.
        attempt: the attempt concerned, or "".
        detail: in words.
        sent: the `Sent` as MessagePack, or b"".
        done: the `Done` as MessagePack, or b"".
    """

    kind: FindingKind
    writer: str
    segment: str
    at_offset: int
    found_ns: int
    attempt: str = ""
    detail: str = ""
    sent: bytes = b""
    done: bytes = b""


class Manifest:
    """The open manifest. One process writes; any number read."""

    def __init__(self, path: Path) -> None:
        # isolation_level=None: transactions are written where they begin and end, never implied.
        self._db = sqlite3.connect(path, isolation_level=None, timeout=30)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error:
            self._db.close()
            raise

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything done inside, or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def positions(self) -> dict[tuple[str, str], Position]:
        """Return how far every segment was read, by writer and segment name."""
        rows = self._db.execute("SELECT writer, name, next_offset, state, finished_ns FROM segment")
        return {(writer, name): Position(*rest) for writer, name, *rest in rows}

    def put_position(self, writer: str, segment: str, position: Position) -> None:
        """Record how far a segment was read."""
        self._db.execute(
            "INSERT OR REPLACE INTO segment VALUES (?, ?, ?, ?, ?)",
            (writer, segment, position.next_offset, position.state, position.finished_ns),
        )

    def forget_segment(self, writer: str, segment: str) -> None:
        """Drop the position of a segment whose file is gone."""
        self._db.execute("DELETE FROM segment WHERE writer = ? AND name = ?", (writer, segment))

    def closed_writers(self) -> dict[str, int]:
        """Return the writers that are dead and completely in the books, with the moment that was found."""
        return dict(self._db.execute("SELECT name, closed_ns FROM writer"))

    def close_writer(self, name: str, now_ns: int) -> None:
        """Record that a dead writer's journal is completely in the books; the ledger of budgets is to be told."""
        self._db.execute("INSERT OR IGNORE INTO writer VALUES (?, ?)", (name, now_ns))
        self._db.execute("INSERT OR IGNORE INTO unswept VALUES (?)", (name,))

    def add_spent(self, spent: Mapping[tuple[str, str, str], tuple[int, int]]) -> None:
        """Add what attempts used to the totals of (writer, budget id, window id): an amount, and what is over holds.

        Amounts go beyond 64 bits, so they are texts of whole numbers, added here. A writer that was taken for dead and
        went on is to be told of again.
        """
        for writer in {writer for writer, _, _ in spent}:
            self._db.execute("INSERT OR IGNORE INTO unswept SELECT name FROM writer WHERE name = ?", (writer,))
        for key, (amount, over) in spent.items():
            row = self._db.execute(
                "SELECT amount, over FROM spent WHERE writer = ? AND budget = ? AND span = ?", key
            ).fetchone()
            before = (int(row[0]), int(row[1])) if row else (0, 0)
            self._db.execute(
                "INSERT OR REPLACE INTO spent VALUES (?, ?, ?, ?, ?)",
                (*key, str(before[0] + amount), str(before[1] + over)),
            )

    def spent_by(self, writer: str) -> list[tuple[str, str, int, int]]:
        """Return a writer's totals: budget id, window id, amount and what is over holds."""
        rows = self._db.execute("SELECT budget, span, amount, over FROM spent WHERE writer = ?", (writer,))
        return [(budget, span, int(amount), int(over)) for budget, span, amount, over in rows]

    def unswept_writers(self) -> list[str]:
        """Return the dead writers of which the ledger of budgets has not been told, oldest first."""
        return [row[0] for row in self._db.execute("SELECT name FROM unswept ORDER BY name")]

    def mark_swept(self, writer: str) -> None:
        """Record that the ledger has a dead writer's totals."""
        self._db.execute("DELETE FROM unswept WHERE name = ?", (writer,))

    def forget_writer(self, name: str) -> None:
        """Drop everything about a writer whose directory is gone, but for what the ledger of budgets is to be told."""
        self._db.execute("DELETE FROM segment WHERE writer = ?", (name,))
        self._db.execute("DELETE FROM writer WHERE name = ?", (name,))
        self._db.execute("DELETE FROM spent WHERE writer = ? AND writer NOT IN (SELECT name FROM unswept)", (name,))

    def uncorrected_ends(self) -> list[Finding]:
        """Return the second ends of attempts of which the ledger of budgets has not been told, one of an attempt."""
        told = {row[0] for row in self._db.execute("SELECT attempt FROM corrected")}
        late = [each for each in self.findings() if each.kind == "late" and each.attempt not in told]
        return list({each.attempt: each for each in reversed(late)}.values())

    def mark_corrected(self, attempt: str) -> None:
        """Record that the ledger has what an attempt's second end says."""
        self._db.execute("INSERT OR IGNORE INTO corrected VALUES (?)", (attempt,))

    def open_attempts(self) -> list[OpenAttempt]:
        """Return the attempts without an end."""
        rows = self._db.execute("SELECT attempt, writer, segment, sent FROM open_attempt ORDER BY attempt")
        return [OpenAttempt(*row) for row in rows]

    def put_open(self, attempts: list[OpenAttempt]) -> None:
        """Record attempts that have begun."""
        rows = [(each.attempt, each.writer, each.segment, each.sent) for each in attempts]
        self._db.executemany("INSERT OR REPLACE INTO open_attempt VALUES (?, ?, ?, ?)", rows)

    def end_open(self, attempts: list[str]) -> None:
        """Record that attempts have ended."""
        self._db.executemany("DELETE FROM open_attempt WHERE attempt = ?", [(attempt,) for attempt in attempts])

    def draft_file(self, path: str, day: int, rows: int, span: tuple[int, int], now_ns: int) -> int:
        """Announce a file that is about to be written; a crash leaves this row as its death certificate."""
        cursor = self._db.execute(
            "INSERT INTO file (path, day, state, rows, first_ns, last_ns, changed_ns) "
            "VALUES (?, ?, 'draft', ?, ?, ?, ?)",
            (path, day, rows, *span, now_ns),
        )
        return int(cursor.lastrowid or 0)

    def set_file_state(self, ids: list[int], state: Literal["live", "replaced"], now_ns: int) -> None:
        """Let files count, or count no longer."""
        rows = [(state, now_ns, each) for each in ids]
        self._db.executemany("UPDATE file SET state = ?, changed_ns = ? WHERE id = ?", rows)

    def forget_files(self, ids: list[int]) -> None:
        """Drop files that are no longer on disk."""
        self._db.executemany("DELETE FROM file WHERE id = ?", [(each,) for each in ids])

    def files(self, state: Literal["draft", "live", "replaced"]) -> list[BookFile]:
        """Return the files in one state, by day and age."""
        rows = self._db.execute(
            "SELECT id, path, day, rows, first_ns, last_ns, changed_ns FROM file WHERE state = ? ORDER BY day, id",
            (state,),
        )
        return [BookFile(*row) for row in rows]

    def put_finding(self, finding: Finding) -> bool:
        """Record a finding; False where it is known already."""
        cursor = self._db.execute(
            "INSERT OR IGNORE INTO finding (kind, writer, segment, at_offset, found_ns, attempt, detail, sent, done) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            msgspec.structs.astuple(finding),
        )
        return cursor.rowcount > 0

    def findings(self) -> list[Finding]:
        """Return all findings, oldest first."""
        rows = self._db.execute(
            "SELECT kind, writer, segment, at_offset, found_ns, attempt, detail, sent, done "
            "FROM finding ORDER BY found_ns, writer, segment, at_offset"
        )
        return [Finding(*row) for row in rows]
