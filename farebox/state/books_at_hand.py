"""Finds price books by what people call them: shipped, own, a hash, a folder of cards, a file."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook, compile_book
from farebox.state.archive import open_book
from farebox.state.pricebook import load_book, read_folder, read_shared, read_shipped

SHIPPED, OWN = "shipped", "own"
_LEAST_DIGITS = 4


def find_book_named(name: str, data_dir: Path, own_files: Sequence[Path] = ()) -> PriceBook:
    """Return a book.

    Args:
        name: ``shipped`` (the cards of this release), ``own`` (with the user's files), a folder of cards, a TOML
            file (a card, which takes the place of the shipped one; or a user's prices, on top of the shipped
            cards), or the first digits of the hash of an archived book.
        data_dir: whose archive it is looked up in.
        own_files: the user's price files, for ``own``.

    Raises:
        ConfigError: where there is no such book or it has a fault.
    """
    if name == SHIPPED:
        return load_book()
    if name == OWN:
        return load_book(own_files)
    path = Path(name)
    if path.is_dir():
        return _read_folder(path)
    if path.suffix == ".toml":
        return _read_file(path)
    if len(name) >= _LEAST_DIGITS and all(letter in "0123456789abcdefABCDEF" for letter in name):
        return open_book(data_dir, name)
    raise ConfigError(
        f"book {name!r}: give the first digits of a hash (at least {_LEAST_DIGITS}), a folder of cards, a .toml file, "
        f"{SHIPPED} or {OWN}"
    )


def _read_folder(folder: Path) -> PriceBook:
    cards = read_folder(folder)
    if not cards:
        raise ConfigError(f"book {folder}: there is no card such as openai.toml in it")
    return compile_book(cards, (), read_folder(folder / "shared") or read_shared())


def _read_file(path: Path) -> PriceBook:
    try:
        data = path.read_bytes()
        table = tomllib.loads(data.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"book {path}: {error.strerror or error}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: it is not a TOML file: {error}") from None
    if "format" not in table:
        return load_book([path])
    return compile_book({**read_shipped(), str(table.get("provider", path.stem)): data}, (), read_shared())
