"""Keeps every price book that was used, so that an old charge can be computed again with the prices of its time.

A book is a ZIP file of its exact files under ``<data>/pricebooks``, named by its hash: written once, never changed,
and the same bytes whoever writes it. When a book was first seen is the time of its file.
"""

import io
import os
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook, restore_book
from farebox.state.pricebook import load_book

_FOLDER = "pricebooks"
_SUFFIX = ".zip"
_NO_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP file can say
_READABLE = 0o644 << 16
_HASH_DIGITS = 64


class Archived(msgspec.Struct, frozen=True):
    """A book in the archive.

    Attributes:
        hash: of the book.
        first_seen_ns: when it was put there, nanoseconds since the epoch, UTC.
        path: its file.
    """

    hash: str
    first_seen_ns: int
    path: Path


def use_book(data_dir: Path, own_files: Iterable[str | Path] = ()) -> PriceBook:
    """Return the book in use and see to it that it is in the archive.

    A book that cannot be kept is used all the same, with a word to the operator: calls go before records of
    prices, and the next start tries again.

    Args:
        data_dir: the data directory.
        own_files: the user's price files.

    Raises:
        ConfigError: where a price file cannot be read or has a fault.
    """
    book = load_book(own_files)
    try:
        keep_book(data_dir, book.hash, book.files)
    except OSError as error:
        print(f"farebox: the price book {book.short} cannot be archived: {error}", file=sys.stderr, flush=True)
    return book


def keep_book(data_dir: Path, book_hash: str, book_files: Mapping[str, bytes]) -> Path:
    """Put a book into the archive if it is not there yet, and return its file.

    Args:
        data_dir: the data directory.
        book_hash: the book's hash.
        book_files: the book's files, see `PriceBook.files`.

    Raises:
        OSError: where it cannot be written.
    """
    folder = data_dir / _FOLDER
    path = folder / f"{book_hash}{_SUFFIX}"
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{book_hash}.{os.getpid()}"
    try:
        with draft.open("wb") as file:
            file.write(_pack(book_files))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)  # whoever else writes it at the same time writes the same bytes
    finally:
        draft.unlink(missing_ok=True)
    return path


def list_books(data_dir: Path) -> list[Archived]:
    """Return the books in the archive, the oldest first."""
    folder = data_dir / _FOLDER
    if not folder.is_dir():
        return []
    found = [
        Archived(path.name.removesuffix(_SUFFIX), path.stat().st_mtime_ns, path)
        for path in folder.iterdir()
        if path.suffix == _SUFFIX and len(path.stem) == _HASH_DIGITS
    ]
    return sorted(found, key=lambda book: (book.first_seen_ns, book.hash))


def find_book(data_dir: Path, prefix: str) -> Archived:
    """Return the book whose hash starts with some digits.

    Raises:
        ConfigError: where there is none, or more than one.
    """
    known = list_books(data_dir)
    found = [book for book in known if prefix and book.hash.startswith(prefix.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        hashes = ", ".join(book.hash[: len(prefix) + 4] for book in found)
        raise ConfigError(f"book {prefix!r}: several start like that: {hashes}; give more digits")
    there = "there are " + ", ".join(book.hash[:12] for book in known[-5:]) if known else "it holds none yet"
    raise ConfigError(f"book {prefix!r} is not in the archive {data_dir / _FOLDER}; {there}")


def read_book_files(path: Path) -> dict[str, bytes]:
    """Return the files of an archived book, see `PriceBook.files`.

    Raises:
        ConfigError: where they cannot be read.
    """
    try:
        with zipfile.ZipFile(path) as packed:
            return {name: packed.read(name) for name in packed.namelist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise ConfigError(f"price book {path}: it cannot be read: {error}") from None


def open_book(data_dir: Path, prefix: str) -> PriceBook:
    """Return an archived book by its hash or the first digits of it.

    Raises:
        ConfigError: where it is not there, or is not what its name says.
    """
    found = find_book(data_dir, prefix)
    book = restore_book(read_book_files(found.path))
    if book.hash != found.hash:
        raise ConfigError(
            f"price book {found.path}: its files make the book {book.short}, so it was damaged or written by a "
            "release that counted other files; restore it from a backup"
        )
    return book


def _pack(book_files: Mapping[str, bytes]) -> bytes:
    """Return a ZIP file: the same files give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as packed:
        for name, data in book_files.items():
            member = zipfile.ZipInfo(name, _NO_DATE)
            member.compress_type = zipfile.ZIP_DEFLATED
            member.create_system = 3  # Unix, wherever it is written
            member.external_attr = _READABLE
            packed.writestr(member, data)
    return buffer.getvalue()
