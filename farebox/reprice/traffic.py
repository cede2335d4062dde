"""Where traffic comes from, and the engine that holds it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from farebox.books.parquet import BooksFailed, connect
from farebox.books.schema import select_from_files
from farebox.reprice.sql import DUCKDB, Dialect, named, quoted

# Rows that are prepared at a time: more take more memory, fewer take more time.
PIECE_ROWS = 1_000_000


class Engine(Protocol):
    """What runs the statements."""

    dialect: Dialect

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows."""
        ...


class DuckEngine:
    """DuckDB within this process.

    Attributes:
        connection: for a caller's own tables and questions.
    """

    dialect: Dialect = DUCKDB

    def __init__(self, memory_limit: str = "2GB", spill_dir: Path | None = None) -> None:
        """Open one.

        Args:
            memory_limit: what it may hold in memory; the rest goes to ``spill_dir``.
            spill_dir: a directory for what does not fit, or None for DuckDB's own choice.
        """
        self.connection = connect()
        self.rows(f"SET memory_limit = {quoted(memory_limit)}")
        if spill_dir is not None:
            self.rows(f"SET temp_directory = {quoted(str(spill_dir))}")

    def close(self) -> None:
        """Let go of everything it holds."""
        self.connection.close()

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows.

        Raises:
            BooksFailed: where a file cannot be read.
        """
        import duckdb  # noqa: PLC0415 - see `books.parquet.connect`

        try:
            return self.connection.execute(statement).fetchall()
        except duckdb.IOException as error:
            raise BooksFailed(
                f"The traffic cannot be read: {error}. Ask again; if it stays, a file is missing."
            ) from error


class Drawer:
    """A part of a DuckDB for one preparation, so that several can be held at once; it sees the tables of the others.

    Args:
        engine: the DuckDB.
        name: of the part, a word.
    """

    dialect: Dialect = DUCKDB

    def __init__(self, engine: DuckEngine, name: str) -> None:
        self._engine = engine
        self._name = name
        engine.rows(f"CREATE SCHEMA IF NOT EXISTS {named(name)}")

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Run a statement whose new tables belong to this part, and return its rows."""
        self._engine.rows(f"SET search_path = '{self._name},main'")
        try:
            return self._engine.rows(statement)
        finally:
            self._engine.rows("SET search_path = 'main'")

    def empty(self) -> None:
        """Remove everything in it."""
        self._engine.rows(f"DROP SCHEMA {named(self._name)} CASCADE")


class Source(msgspec.Struct, frozen=True):
    """Traffic as SELECTs with the same columns, read one after the other.

    Columns: ``at_ns`` (nanoseconds since the epoch, UTC) and ``provider`` (id in the price book) must be there;
    ``asked``, ``answered``, ``service_tier``, ``processing``, ``speed``, ``region`` as in `prices.choose.Rating`,
    ``facts`` (a JSON object as text), ``unsplit`` (meters with commas between), ``input_total``, ``prompts`` (a list)
    and ``reported_femto`` as in `usage.Usage` may be. Quantities are columns named after their meters, NULL where
    not reported, or a map ``meters``. Everything else can be grouped by.

    Attributes:
        pieces: the SELECTs; each is held in memory while it is prepared.
    """

    pieces: tuple[str, ...]


def table_source(engine: Engine, table: str, columns: str = "*", piece_rows: int = PIECE_ROWS) -> Source:
    """Return a table of DuckDB as a source."""
    (count,) = engine.rows(f"SELECT count(*) FROM {named(table)}")[0]  # noqa: S608 - quoted
    starts = range(0, max(count, 1), piece_rows)
    return Source(
        tuple(
            f"SELECT {columns} FROM {named(table)} WHERE rowid >= {start} AND rowid < {start + piece_rows}"  # noqa: S608 - quoted
            for start in starts
        )
    )


# What the books call what a `Rating` is made of. Attempts that provably cost nothing are left out.
_BOOKS_COLUMNS = {
    "at_ns": "epoch_ns(sent_at)",
    "provider": "rate_provider",
    "asked": "model",
    "answered": "answered_model",
    "service_tier": "service_tier",
    "input_total": "input_tokens",
    "meters": "meters",
    "attempt": "attempt",
    "key": "key_name",
    "user": '"user"',
    "asked_model": "asked_model",
    "operation": "operation",
}
# What the books of some versions have beside these.
_BOOKS_EXTRAS = ("processing", "speed", "region", "unsplit", "prompts", "reported_femto")


def books_source(engine: DuckEngine, files: Sequence[Path], tags: Sequence[str] = ()) -> Source:
    """Return the attempts in files of the books as a source; every tag is a column ``tag:<name>``.

    Args:
        engine: reads the files' sizes and columns.
        files: see `books.query`.
        tags: whose values can be grouped by.
    """
    everything = select_from_files([str(file) for file in files])
    there = {row[0] for row in engine.rows(engine.dialect.describe.format(everything))}
    columns = _BOOKS_COLUMNS | {name: name for name in _BOOKS_EXTRAS if name in there}
    if "facts" in there:
        columns["facts"] = "CASE WHEN cardinality(facts) = 0 THEN '' ELSE CAST(to_json(facts) AS VARCHAR) END"
    columns |= {f"tag:{tag}": f"coalesce(tags[{quoted(tag)}], '')" for tag in tags}
    select = ", ".join(f"{text} AS {named(name)}" for name, text in columns.items())
    billed = "NOT (cardinality(meters) = 0 AND coalesce(total_femto = 0, false))"
    return Source(
        tuple(
            f"SELECT {select} FROM ({piece}) AS books WHERE {billed}"  # noqa: S608 - names are ours or quoted
            for piece in _file_pieces(engine, files)
        )
    )


def _file_pieces(engine: DuckEngine, files: Sequence[Path]) -> list[str]:
    """Return SELECTs over all files: several small files at a time, large ones in parts."""
    if not files:
        return [select_from_files([])]
    listed = ", ".join(quoted(str(file)) for file in files)
    sizes = engine.rows(f"SELECT file_name, num_rows FROM parquet_file_metadata([{listed}])")  # noqa: S608 - quoted
    pieces: list[str] = []
    batch: list[str] = []
    room = PIECE_ROWS
    for name, count in sizes:
        if count > PIECE_ROWS:
            whole = f"read_parquet({quoted(name)}, hive_partitioning = false, file_row_number = true)"
            pieces += [
                f"SELECT * FROM {whole} WHERE file_row_number >= {start} AND file_row_number < {start + PIECE_ROWS}"  # noqa: S608 - quoted
                for start in range(0, count, PIECE_ROWS)
            ]
            continue
        if count > room:
            pieces.append(select_from_files(batch))
            batch, room = [], PIECE_ROWS
        batch.append(name)
        room -= count
    return pieces + ([select_from_files(batch)] if batch else [])
