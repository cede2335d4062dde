"""Tells apart the ends that have no open beginning: a second end, or an end whose beginning was lost.

Both are rare, and neither is in the books' totals: the first end of an attempt counts, and without its
beginning nobody knows whom to charge. They are kept whole as findings, so that the audit can name them.
"""

from pathlib import Path

import msgspec

from farebox.books.drain import Haul
from farebox.books.manifest import Finding, Manifest
from farebox.books.parquet import connect
from farebox.books.schema import select_from_files

_encode = msgspec.msgpack.Encoder().encode


def sort_strays(haul: Haul, manifest: Manifest, books: Path, now_ns: int) -> list[Finding]:
    """Return a finding for every stray end: ``late`` where its attempt is in the books, else ``orphan``."""
    if not haul.strays:
        return []
    wanted = sorted({stray.done.attempt for stray in haul.strays})
    known = {pair.sent.attempt for pair in haul.pairs}
    known |= _in_books(wanted, [str(books / file.path) for file in manifest.files("live")])
    return [
        Finding(
            "late" if stray.done.attempt in known else "orphan",
            stray.writer,
            stray.segment,
            stray.at_offset,
            now_ns,
            attempt=stray.done.attempt,
            detail=f"outcome {stray.done.outcome}",
            done=_encode(stray.done),
        )
        for stray in haul.strays
    ]


def _in_books(attempts: list[str], files: list[str]) -> set[str]:
    connection = connect()
    try:
        found = connection.execute(
            f"SELECT attempt FROM ({select_from_files(files)}) WHERE list_contains($1, attempt)",  # noqa: S608 - files are ours
            [attempts],
        ).fetchall()
    finally:
        connection.close()
    return {attempt for (attempt,) in found}
