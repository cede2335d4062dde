"""Reads a log of somebody else into the books, priced line by line, in one step as seen by every reader.

Rows that cannot be taken are counted, kept in a file beside the books and explained. A row that is in the books
already is passed over, so that the same export, or a later one that overlaps, can be imported again. Killed at any
moment, nothing of the import counts; the next pass over the books clears away what it left.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from hashlib import blake2b
from pathlib import Path
from typing import Any

import msgspec

from farebox.books.keep import lock_books, write_view
from farebox.books.manifest import Manifest
from farebox.books.parquet import ParquetWriter, new_path, told
from farebox.books.schema import day_of, select_from_files
from farebox.errors import FareboxError
from farebox.imports.charges import add_charges
from farebox.imports.intake import Intake
from farebox.prices.book import PriceBook
from farebox.reprice.sql import quoted
from farebox.reprice.traffic import DuckEngine

PIECE_ROWS = 500_000
_WAIT_S = 30.0
_REASONS = 20
_DIGITS = 8
_READ = 1 << 20

# What is being done, how many rows of it are done, and how many there are.
Progress = Callable[[str, int, int], None]


class ImportFailed(FareboxError):
    """Nothing was imported; the message says why and what to do."""


class Rejected(msgspec.Struct, frozen=True):
    """Rows that could not be taken for one reason: how many, and the number of the first."""

    reason: str
    rows: int
    example: int


class ImportReport(msgspec.Struct, frozen=True):
    """What an import did.

    Attributes:
        rows: records in the file.
        imported: rows that are in the books now and were not before.
        duplicates: rows that were in the books already, or twice in the file.
        rejected: rows that could not be taken.
        reasons: why, the most frequent first.
        rejects: the file that keeps them, or "".
        requests: how many requests the imported rows stand for.
        unpriced: imported rows without a price.
        total_femto: what the others cost, femtodollars.
        recorded_femto: what the log itself says they cost, femtodollars, or None where it does not say.
        first_ns: the first time of an imported row, nanoseconds since the epoch, or None.
        last_ns: the last.
    """

    rows: int
    imported: int
    duplicates: int
    rejected: int
    reasons: tuple[Rejected, ...]
    rejects: str
    requests: int
    unpriced: int
    total_femto: int
    recorded_femto: int | None
    first_ns: int | None
    last_ns: int | None


def import_rows(
    data_dir: Path, source: str, path: Path, select: str, book: PriceBook, progress: Progress | None = None
) -> ImportReport:
    """Bring the rows of a file into the books.

    Args:
        data_dir: whose books.
        source: name of the format.
        path: of the file.
        select: what its reader made of it.
        book: the price book.
        progress: is told of every piece.

    Raises:
        ImportFailed: where another process writes the books for too long, or the file cannot be read.
        BooksFailed: where the books cannot be written.
    """
    books = data_dir / "books"
    with ExitStack() as stack:
        stack.enter_context(told(books))
        if not stack.enter_context(lock_books(books / "ingest.lock", _WAIT_S)):
            raise ImportFailed(f"The books in {books} are being written by another process. Try again in a moment.")
        work = stack.enter_context(closing(_Work(data_dir, source, path, book)))
        work.read(select, progress or _nobody)
        return work.write(progress or _nobody)


def last_offset_ns(select: str) -> int:
    """Return the last time of a file whose times count from its beginning, nanoseconds; 0 where it has none.

    Raises:
        ImportFailed: where the file cannot be read.
    """
    import duckdb  # noqa: PLC0415 - see `books.parquet.connect`

    with closing(DuckEngine()) as engine:
        try:
            (last,) = engine.rows(f"SELECT max(at_ns) FROM ({select}) WHERE fault IS NULL")[0]  # noqa: S608 - the reader's
        except duckdb.Error as error:
            raise ImportFailed(f"The file cannot be read: {str(error).partition(chr(10))[0]}") from error
    return int(last or 0)


class _Work:
    """One import, under the lock."""

    def __init__(self, data_dir: Path, source: str, path: Path, book: PriceBook) -> None:
        self._books = data_dir / "books"
        self._source = source
        self._book = book
        self._file = _digest(path)
        self._path = path
        self._manifest = Manifest(self._books / "manifest.db")
        self._writer = ParquetWriter(self._books)
        self._scratch = self._books / f"import-{self._file}"
        self._engine = DuckEngine(spill_dir=self._scratch)
        self._intake = Intake(())
        self._rejects = data_dir / "imports" / f"{source}-{self._file}.rejected.jsonl"

    def close(self) -> None:
        self._engine.close()
        self._writer.close()
        self._manifest.close()
        for left in sorted(self._scratch.glob("*")) if self._scratch.is_dir() else ():
            left.unlink(missing_ok=True)
        if self._scratch.is_dir():
            self._scratch.rmdir()

    def read(self, select: str, progress: Progress) -> None:
        """Keep the rows of the file in the table ``intake``, those that cannot be taken in a file of their own."""
        import duckdb  # noqa: PLC0415 - see `books.parquet.connect`

        progress("read", 0, 0)
        try:
            names = [row[0] for row in self._engine.rows(f"DESCRIBE {select}")]
            self._intake = Intake(names)
            self._engine.rows(self._intake.create(select, self._source, self._file))
        except duckdb.Error as error:
            reason = str(error).partition("\n")[0]
            raise ImportFailed(f"{self._path} cannot be read as {self._source}: {reason}") from error
        self._engine.rows("CREATE TABLE known (ix BIGINT)")
        if self._intake.gives("source_id"):
            numbered = (
                "SELECT ix, row_number() OVER (PARTITION BY attempt ORDER BY ix) AS n FROM intake WHERE fault IS NULL"
            )
            self._engine.rows(f"INSERT INTO known SELECT ix FROM ({numbered}) WHERE n > 1")  # noqa: S608 - ours
        self._find_known()

    def _find_known(self) -> None:
        """Note which rows are in the books already."""
        first, last = self._engine.rows("SELECT min(at_ns), max(at_ns) FROM intake WHERE fault IS NULL")[0]
        if first is None:
            return
        files = [
            str(self._books / file.path)
            for file in self._manifest.files("live")
            if file.last_ns >= first and file.first_ns <= last
        ]
        if files:
            there = f"SELECT attempt FROM ({select_from_files(files)}) WHERE source = {quoted(self._source)}"  # noqa: S608 - ours, quoted
            self._engine.rows(
                f"INSERT INTO known SELECT ix FROM (SELECT ix, {self._intake.attempt} AS id FROM intake "  # noqa: S608 - as above
                f"WHERE fault IS NULL) AS i SEMI JOIN ({there}) AS b ON b.attempt = i.id "
                "WHERE ix NOT IN (SELECT ix FROM known)"
            )

    def write(self, progress: Progress) -> ImportReport:
        """Write what is new, and let it count."""
        now_ns = time.time_ns()
        self._clear_drafts()
        (rows,) = self._engine.rows("SELECT count(*) FROM intake")[0]
        (duplicates,) = self._engine.rows("SELECT count(*) FROM known")[0]
        drafts: list[int] = []
        totals = _Totals()
        for start in range(0, rows, PIECE_ROWS):
            where = f"fault IS NULL AND ix >= {start} AND ix < {start + PIECE_ROWS}"
            if duplicates:
                where += " AND ix NOT IN (SELECT ix FROM known)"
            drafts += self._write_piece(where, totals)
            progress("write", min(rows, start + PIECE_ROWS), rows)
        reasons = self._keep_rejects()
        with self._manifest.transaction():
            self._manifest.set_file_state(drafts, "live", now_ns)
        write_view(self._books, self._manifest)
        rejected = sum(one.rows for one in reasons)
        return ImportReport(
            rows=rows,
            imported=totals.rows,
            duplicates=duplicates,
            rejected=rejected,
            reasons=tuple(reasons[:_REASONS]),
            rejects=str(self._rejects) if rejected else "",
            requests=totals.requests,
            unpriced=totals.unpriced,
            total_femto=totals.total_femto,
            recorded_femto=totals.recorded_femto,
            first_ns=totals.first_ns,
            last_ns=totals.last_ns,
        )

    def _write_piece(self, where: str, totals: "_Totals") -> list[int]:
        """Price some rows and write them into a file that does not count yet; return it."""
        count, first_ns, last_ns, *missing = self._engine.rows(self._intake.count_missing(where))[0]
        if not count:
            return []
        add_charges(self._engine, self._intake, self._book, where, self._scratch.with_suffix(".json"))
        path = new_path(day_of(first_ns))
        draft = self._manifest.draft_file(path, day_of(first_ns), count, (first_ns, last_ns), time.time_ns())
        partial = [name for name, lacking in zip(self._intake.meters, missing, strict=True) if lacking]
        select = self._intake.books(self._source, self._book.hash, where, partial)
        self._writer.write_from(self._engine.connection, select, path)
        self._writer.publish(path)
        sums = _SUMS.format(self._intake.recorded, self._intake.requests, where)
        totals.add(self._engine.rows(sums)[0], first_ns, last_ns)
        return [draft]

    def _keep_rejects(self) -> list[Rejected]:
        """Write the rows that cannot be taken into a file; return the reasons, values in quotes left out."""
        reason = 'regexp_replace(fault, \'"[^"]*"\', \'"..."\')'
        found = self._engine.rows(
            f'SELECT {reason} AS why, count(*), min("row") FROM intake WHERE fault IS NOT NULL '  # noqa: S608 - ours
            "GROUP BY why ORDER BY count(*) DESC, why"
        )
        if found:
            self._rejects.parent.mkdir(parents=True, exist_ok=True)
            columns = f'"row", fault AS reason, {self._intake.column("raw")} AS record'
            self._engine.rows(
                f"COPY (SELECT {columns} FROM intake WHERE fault IS NOT NULL ORDER BY ix) "  # noqa: S608 - as above
                f"TO {quoted(str(self._rejects))} (FORMAT json)"
            )
        return [Rejected(why, count, example or 0) for why, count, example in found]

    def _clear_drafts(self) -> None:
        """Remove what a writer that was killed has written but not let count."""
        drafts = self._manifest.files("draft")
        for file in drafts:
            self._writer.remove(file.path)
        self._manifest.forget_files([file.id for file in drafts])


class _Totals:
    """What the pieces come to."""

    def __init__(self) -> None:
        self.rows: int = 0
        self.requests: int = 0
        self.unpriced: int = 0
        self.total_femto: int = 0
        self.recorded_femto: int | None = None
        self.first_ns: int | None = None
        self.last_ns: int | None = None

    def add(self, sums: tuple[Any, ...], first_ns: int, last_ns: int) -> None:
        """Add a piece."""
        rows, requests, unpriced, total, recorded = sums
        self.rows += rows
        self.requests += int(requests)
        self.unpriced += unpriced
        self.total_femto += int(total)
        if recorded is not None:
            self.recorded_femto = (self.recorded_femto or 0) + int(recorded)
        self.first_ns = first_ns if self.first_ns is None else min(first_ns, self.first_ns)
        self.last_ns = last_ns if self.last_ns is None else max(last_ns, self.last_ns)


_SUMS = (
    "SELECT count(*), sum({1}), count(*) FILTER (c.total_femto IS NULL), coalesce(sum(c.total_femto), 0), sum({0}) "
    "FROM (SELECT * FROM intake WHERE {2}) AS i JOIN charges AS c USING (ix)"
)


def _digest(path: Path) -> str:
    """Return what stands for the content of a file."""
    digest = blake2b(digest_size=_DIGITS)
    with path.open("rb") as file:
        while chunk := file.read(_READ):
            digest.update(chunk)
    return digest.hexdigest()


def _nobody(_what: str, _done: int, _all: int) -> None:
    """Tell nobody."""
