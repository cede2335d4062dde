"""Reads the files of a price book from disk and hands their bytes to the compiler, which is pure."""

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook, compile_book

_SUFFIX = ".toml"


def load_book(own_files: Iterable[str | Path] = ()) -> PriceBook:
    """Return the book of the shipped cards and the user's files.

    Args:
        own_files: TOML files with ``[[prices]]`` entries, which go before the shipped cards.

    Raises:
        ConfigError: where a file cannot be read or has a fault.
    """
    return compile_book(read_shipped(), [(str(path), _read_own(Path(path))) for path in own_files])


def read_shipped() -> dict[str, bytes]:
    """Return the bytes of the cards in the package, by provider."""
    folder = files("farebox.prices").joinpath("data")
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
