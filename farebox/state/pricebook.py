"""Reads the files of a price book from disk and hands their bytes to the compiler, which is pure."""

from collections.abc import Iterable
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook, compile_book

_SUFFIX = ".toml"


def load_book(own_files: Iterable[str | Path] = ()) -> PriceBook:
    """Return the book of the shipped cards and the user's files.

    Args:
        own_files: TOML files with ``[[prices]]`` entries and the like, which go before the shipped cards.

    Raises:
        ConfigError: where a file cannot be read or has a fault.
    """
    own = [(str(path), _read_own(Path(path))) for path in own_files]
    return compile_book(read_shipped(), own, read_shared())


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
