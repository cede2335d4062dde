"""Removes journals that are completely in the books and old enough; what is damaged is set aside for people.

The file goes first and its position after it: a position without a file is harmless, a file without a position
would be read twice. A segment is removed only after all segments before it, and not while an attempt that began
in it is open: so recovering its writer later on sees no end without its beginning and no beginning without its end.
"""

import os
import shutil
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from farebox.books.manifest import Manifest, Position
from farebox.journal.segment import instances_of

NS_PER_DAY = 86_400_000_000_000
ASIDE = "damaged"  # in the data directory, beside the journal
_GONE = ".gone-"


def retire_journal(
    manifest: Manifest, journal: Path, keep_days: float, now_ns: int, fault: Callable[[str], None]
) -> int:
    """Remove what may go; return how many segments that were."""
    if not journal.is_dir():
        return 0
    for leftover in journal.glob(f"{_GONE}*"):
        shutil.rmtree(leftover)
    before_ns = now_ns - int(keep_days * NS_PER_DAY)
    segments: dict[str, dict[str, Position]] = defaultdict(dict)
    for (writer, name), position in sorted(manifest.positions().items()):
        segments[writer][name] = position
    damaged = {(each.writer, each.segment) for each in manifest.findings() if each.kind == "damaged"}
    needed = {(each.writer, each.segment) for each in manifest.open_attempts()}
    closed = manifest.closed_writers()
    present = {path.name for path in instances_of(journal)}
    removed = 0
    for writer in sorted(segments.keys() | closed.keys()):
        folder = journal / writer
        if writer not in present:
            manifest.forget_writer(writer)
        elif writer in closed:
            if closed[writer] <= before_ns:
                removed += len(segments[writer])
                _remove_writer(manifest, folder, {name for owner, name in damaged if owner == writer}, fault)
        else:
            for name in _removable(segments[writer], {name for owner, name in needed if owner == writer}, before_ns):
                _remove_segment(manifest, folder / name, fault, aside=(writer, name) in damaged)
                removed += 1
    return removed


def _removable(segments: dict[str, Position], needed: set[str], before_ns: int) -> list[str]:
    """Return the leading segments of a live writer that are read, old enough and not needed any more."""
    names: list[str] = []
    for name, position in segments.items():
        old = position.finished_ns is not None and position.finished_ns <= before_ns
        if position.state != "finished" or not old or name in needed:
            break
        names.append(name)
    return names


def _remove_segment(manifest: Manifest, path: Path, fault: Callable[[str], None], *, aside: bool) -> None:
    if path.exists():
        if aside:
            _set_aside(path)
        else:
            path.unlink()
        _sync(path.parent)
    fault("forget-segment")
    manifest.forget_segment(path.parent.name, path.name)


def _remove_writer(manifest: Manifest, folder: Path, damaged: set[str], fault: Callable[[str], None]) -> None:
    for name in sorted(damaged):
        if (folder / name).exists():
            _set_aside(folder / name)
    fault("remove-writer")
    gone = folder.rename(folder.with_name(f"{_GONE}{folder.name}"))
    _sync(folder.parent)  # else a power loss could bring it back after it is forgotten, to be read twice
    fault("forget-writer")
    with manifest.transaction():
        manifest.forget_writer(folder.name)
    shutil.rmtree(gone)


def _set_aside(path: Path) -> None:
    """Move a damaged segment out of the journal, for people to look at."""
    target = path.parent.parent.parent / ASIDE / f"{path.parent.name}-{path.name}"
    target.parent.mkdir(mode=0o700, exist_ok=True)
    path.rename(target)
    _sync(target.parent)


def _sync(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
