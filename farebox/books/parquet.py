"""Writes the books' Parquet files through DuckDB: whole, synced to the disk, or not at all.

A file gets its name before it is written, so that the manifest can announce it; it is written under another
name, synced and renamed. DuckDB is imported by the first write, so that nobody else pays for it.
"""

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from farebox.books.schema import NS_PER_DAY, Row, select_from_files, select_from_json
from farebox.errors import FareboxError

if TYPE_CHECKING:
    import duckdb

ATTEMPTS = "attempts"
DRAFT = ".draft"

_encode_lines = msgspec.json.Encoder().encode_lines


class BooksFailed(FareboxError):
    """The books cannot be written or read; the message says where and what to do."""


class RowsRefused(Exception):
    """DuckDB cannot hold at least one of the rows in the books' columns."""


def connect() -> "duckdb.DuckDBPyConnection":
    """Return a DuckDB of its own in memory, which never fetches an extension."""
    import duckdb  # noqa: PLC0415 - costs 50 ms, which only readers and writers of the books should pay

    return duckdb.connect(
        ":memory:", config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    )


def new_path(day: int) -> str:
    """Return an unused path for a file of a day, relative to the books."""
    date = datetime.fromtimestamp(day * (NS_PER_DAY // 10**9), UTC).date()
    return f"{ATTEMPTS}/day={date.isoformat()}/{secrets.token_hex(10)}.parquet"


class ParquetWriter:
    """Writes files into the books of one directory, with one DuckDB for all of them."""

    def __init__(self, books: Path) -> None:
        self._books = books
        self._connection: duckdb.DuckDBPyConnection | None = None

    def close(self) -> None:
        """Let go of DuckDB."""
        if self._connection is not None:
            self._connection.close()

    def write_rows(self, path: str, rows: list[Row]) -> None:
        """Write rows, in the order of `sent_at`, to the draft of ``path``.

        Raises:
            RowsRefused: where a row does not fit the columns.
            BooksFailed, OSError: where the disk is full or cannot be written.
        """
        lines = self._books / f"{path}.json"
        lines.parent.mkdir(parents=True, exist_ok=True)
        try:
            lines.write_bytes(_encode_lines(rows))
            self._copy(select_from_json(str(lines)), path)
        finally:
            lines.unlink(missing_ok=True)

    def write_merged(self, path: str, parts: list[str]) -> int:
        """Write the rows of several files to the draft of ``path``; return their number."""
        files = select_from_files([str(self._books / part) for part in parts])
        return self._copy(f"{files} ORDER BY sent_at, attempt", path)

    def write_from(self, connection: "duckdb.DuckDBPyConnection", select: str, path: str) -> int:
        """Write the rows of a SELECT over somebody's own tables to the draft of ``path``; return their number.

        Raises:
            RowsRefused: where a row does not fit the columns.
            BooksFailed: where the disk is full or cannot be written.
        """
        return self._copy(select, path, connection)

    def publish(self, path: str) -> None:
        """Sync the draft of ``path`` and give it its name."""
        draft, final = self._draft(path), self._books / path
        _sync(draft)
        draft.rename(final)
        _sync(final.parent)
        _sync(final.parent.parent)

    def remove(self, path: str) -> None:
        """Remove a file, whatever stage it is in."""
        final = self._books / path
        for each in (final, self._draft(path), self._books / f"{path}.json"):
            each.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the day has other files
            final.parent.rmdir()

    def _draft(self, path: str) -> Path:
        return self._books / f"{path}{DRAFT}"

    def _copy(self, select: str, path: str, connection: "duckdb.DuckDBPyConnection | None" = None) -> int:
        import duckdb  # noqa: PLC0415 - see `connect`

        if connection is None:
            connection = self._connection = self._connection or connect()
        target = str(self._draft(path)).replace("'", "''")
        self._draft(path).parent.mkdir(parents=True, exist_ok=True)
        try:
            done = connection.execute(f"COPY ({select}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)").fetchone()
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            raise RowsRefused(str(error)) from error
        except duckdb.Error as error:
            raise BooksFailed(f"The books in {self._books} cannot be written: {error}") from error
        return int(done[0]) if done else 0


@contextlib.contextmanager
def told(books: Path) -> Iterator[None]:
    """Say which books could not be written: files and manifest alike."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise BooksFailed(f"The books in {books} cannot be written: {error}") from error


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
