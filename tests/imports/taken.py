"""Runs a reader on a file that a test writes, and gives its rows back as dicts."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import duckdb

from farebox.imports.options import Options
from farebox.usage import METERS

Row = dict[str, Any]


def take(reader: ModuleType, path: Path, options: Options | None = None) -> list[Row]:
    """Return the rows that a reader makes of a file, by row number."""
    with duckdb.connect() as connection:
        query = reader.select(str(path), options or Options())
        cursor = connection.execute(f"SELECT * FROM ({query}) ORDER BY row")
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def write_lines(path: Path, records: Iterable[Mapping[str, Any] | str]) -> Path:
    """Write records as JSON lines; a text is written as it is."""
    lines = (record if isinstance(record, str) else json.dumps(record) for record in records)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def meters(row: Row) -> dict[str, int]:
    """Return the meters that a row reports."""
    return {name: row[name] for name in METERS if row.get(name) is not None}
