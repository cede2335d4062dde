"""Keeps the number of Parquet files small: many files of a day become one, in the way rows come in.

Files are merged with others of their size (powers of eight), so that a row is rewritten a few times and not
with every merge; one merge of bounded size a pass. A merged file counts and its parts cease to count in one
transaction; the parts stay on disk for a while for readers that listed them before.
"""

from collections import defaultdict
from collections.abc import Callable

from farebox.books.manifest import BookFile, Manifest
from farebox.books.parquet import BooksFailed, ParquetWriter, new_path
from farebox.books.schema import NS_PER_DAY

MERGE_FILES = 8
MERGE_ROWS = 250_000  # of a merged file: about a second of work
_SETTLED_NS = 3_600_000_000_000  # a past day without a new file for an hour gets few more


def choose_merge(files: list[BookFile], now_ns: int) -> list[BookFile]:
    """Return files of one day to merge now, or nothing.

    Args:
        files: those that count.
        now_ns: wall clock; the files of a past day that has settled are merged whatever their size.
    """
    days: dict[int, list[BookFile]] = defaultdict(list)
    for file in files:
        if file.rows < MERGE_ROWS:
            days[file.day].append(file)
    for day, candidates in sorted(days.items()):
        settled = now_ns > (day + 1) * NS_PER_DAY and now_ns > max(f.changed_ns for f in candidates) + _SETTLED_NS
        groups: dict[int, list[BookFile]] = defaultdict(list)
        for file in candidates:
            groups[0 if settled else _size_class(file.rows)].append(file)
        for _, group in sorted(groups.items()):
            chosen = _within_bounds(group)
            if len(chosen) >= (2 if settled else MERGE_FILES):
                return chosen
    return []


def merge_once(manifest: Manifest, writer: ParquetWriter, now_ns: int, fault: Callable[[str], None]) -> int:
    """Merge some files, if there are enough; return how many were replaced.

    Raises:
        BooksFailed: where the merged file does not hold as many rows as its parts; the parts still count.
    """
    parts = choose_merge(manifest.files("live"), now_ns)
    if not parts:
        return 0
    rows = sum(part.rows for part in parts)
    path = new_path(parts[0].day)
    span = (min(part.first_ns for part in parts), max(part.last_ns for part in parts))
    fault("merge-draft")
    draft = manifest.draft_file(path, parts[0].day, rows, span, now_ns)
    fault("merge-write")
    written = writer.write_merged(path, [part.path for part in parts])
    if written != rows:
        raise BooksFailed(
            f"Merging {len(parts)} files of the books gave {written} rows instead of {rows}; none was replaced."
        )
    fault("merge-publish")
    writer.publish(path)
    fault("merge-commit")
    with manifest.transaction():
        manifest.set_file_state([draft], "live", now_ns)
        manifest.set_file_state([part.id for part in parts], "replaced", now_ns)
    fault("merge-committed")
    return len(parts)


def remove_replaced(manifest: Manifest, writer: ParquetWriter, before_ns: int, fault: Callable[[str], None]) -> None:
    """Remove the files that a merge replaced before a moment."""
    old = [file for file in manifest.files("replaced") if file.changed_ns <= before_ns]
    for file in old:
        writer.remove(file.path)
    if old:
        fault("forget-replaced")
        manifest.forget_files([file.id for file in old])


def _size_class(rows: int) -> int:
    return (max(rows, 1).bit_length() - 1) // 3


def _within_bounds(files: list[BookFile]) -> list[BookFile]:
    """Return the oldest files that fit into one merge."""
    chosen: list[BookFile] = []
    rows = 0
    for file in files:
        if rows + file.rows > MERGE_ROWS:
            break
        rows += file.rows
        chosen.append(file)
    return chosen
