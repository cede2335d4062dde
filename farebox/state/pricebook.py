"""Reads the files of a price book from disk and hands their bytes to the compiler, which is pure."""

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook, compile_book

_SUFFIX = ".toml"


class BookFiles(msgspec.Struct, frozen=True):
    """The exact files that a price book is made of.

    Attributes:
        shipped: the bytes of a card by its provider's id.
        own: the user's files in their order, each a name for errors and its bytes.
        shared: what cards share, such as calendars, by the name of the file without its suffix.
    """

    shipped: dict[str, bytes]
    own: tuple[tuple[str, bytes], ...] = ()
    shared: dict[str, bytes] = {}


def load_book(own_files: Iterable[str | Path] = ()) -> PriceBook:
    """Return the book of the shipped cards and the user's files.

    Args:
        own_files: TOML files with ``[[prices]]`` entries and the like, which go before the shipped cards.

    Raises:
        ConfigError: where a file cannot be read or has a fault.
    """
    return compile_files(read_files(own_files))


def read_files(own_files: Iterable[str | Path] = ()) -> BookFiles:
    """Return the files of the package and the user's.

    Raises:
        ConfigError: where a file cannot be read.
    """
    own = tuple((str(path), _read_own(Path(path))) for path in own_files)
    return BookFiles(read_shipped(), own, read_shared())


def compile_files(book_files: BookFiles) -> PriceBook:
    """Return the book that files make.

    Raises:
        ConfigError: where one of the user's files has a fault.
    """
    return compile_book(book_files.shipped, book_files.own, book_files.shared)


def read_shipped() -> dict[str, bytes]:
    """Return the bytes of the cards in the package, by provider."""
    return read_folder(files("farebox.prices").joinpath("data"))


def read_shared() -> dict[str, bytes]:
    """Return the bytes of what the cards in the package share, by name."""
    return read_folder(files("farebox.prices").joinpath("data", "shared"))


def read_folder(folder: Traversable) -> dict[str, bytes]:
    """Return the bytes of the TOML files in a folder by their names, sorted; none where there is no folder."""
    if not folder.is_dir():
        return {}
    return {
        entry.name.removesuffix(_SUFFIX): entry.read_bytes()
        for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
        if entry.name.endswith(_SUFFIX)
    }


def _read_own(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"price file {path}: {error.strerror or error}") from None
