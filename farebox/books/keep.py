"""What whoever writes the books does: alone, and with a file beside them for anybody's DuckDB."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farebox.books.manifest import Manifest
from farebox.books.schema import select_from_files

_POLL_S = 0.01


def write_view(books: Path, manifest: Manifest) -> None:
    """Leave an SQL file beside the books that shows anybody's DuckDB the files that count.

    Compared and not only written after a change, because a pass may have been killed between the two.
    """
    folder = books.resolve()
    select = select_from_files([str(folder / file.path) for file in manifest.files("live")])
    text = f"CREATE OR REPLACE VIEW attempts AS {select};\n"
    path = books / "attempts.sql"
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return
    draft = books / "attempts.sql.draft"
    draft.write_text(text, encoding="utf-8")
    draft.rename(path)


@contextmanager
def lock_books(path: Path, wait_s: float) -> Iterator[bool]:
    """Hold the books' lock; False where another process holds it for longer than one waits."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    yield False
                    return
                time.sleep(_POLL_S)
            else:
                break
        yield True
    finally:
        os.close(fd)
