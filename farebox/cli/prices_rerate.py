"""``farebox prices rerate``: price recorded attempts again from their raw usage, and compare."""

import json
import sys
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import click

from farebox.analyse.rerate import rerate as rerate_rows
from farebox.analyse.window import parse_window
from farebox.books.query import Books
from farebox.books.rows import RecordedRow
from farebox.cli.book_options import price_files, prices_option
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.errors import ConfigError
from farebox.present.rerated import rerated_json, show_rerated
from farebox.present.tables import make_console
from farebox.prices.book import PriceBook
from farebox.state.archive import find_book, open_book, use_book
from farebox.state.pricebook import load_book

_DIFFERENT = 1
_RECORDED, _CURRENT = "recorded", "current"
_SHOWN_ROWS = 20_000


@click.command()
@click.option(
    "--book", default=_RECORDED, show_default=True, metavar="recorded|current|HASH", help="Which book's prices."
)
@click.option("--since", default="", metavar="TIME", help="30m, 24h, 30d, 4w or FROM..TO (UTC). [default: everything]")
@click.option("--data", "data_dir_too", type=click.Path(path_type=Path, file_okay=False), help="Short for --data-dir.")
@config_option
@data_dir_option
@prices_option
@json_option
def rerate(
    book: str,
    since: str,
    data_dir_too: Path | None,
    config_path: Path | None,
    data_dir: Path,
    own_files: tuple[Path, ...],
    *,
    as_json: bool,
) -> None:
    """Price recorded attempts again from their raw usage and compare with what is on record.

    With `recorded`, each attempt by the book of its time: every charge must come out as it was, line by line. Exit
    code 1: one does not, or its book is not at hand. With `current` (the cards of this release and your own files)
    or the hash of an archived book: what the same attempts cost by that one, by model.
    """
    folder = data_dir_too or data_dir
    try:
        window = parse_window(since, time.time_ns())
        config = find_config(config_path)
        books_at_hand = _Shelf(folder, book, list(own_files) or price_files(config))
        freshen(folder, config)
        with Books(folder, window) as books:
            result = rerate_rows(_shown(books.recorded(), books.total().attempts), books_at_hand.book_for)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(rerated_json(result, books_at_hand.named), indent=2))
    else:
        show_rerated(result, books_at_hand.named, folder, make_console())
    if result.missing or (books_at_hand.exact and result.different):
        sys.exit(_DIFFERENT)


class _Shelf:
    """The books that attempts are priced with.

    Attributes:
        exact: whether each attempt is priced with the book of its time.
        named: which book, for people.
    """

    def __init__(self, data_dir: Path, wanted: str, own_files: list[Path]) -> None:
        self.exact: bool = wanted == _RECORDED
        self.named: str = "the book of its time"
        self._data_dir = data_dir
        self._one: PriceBook | None = None
        self.book_for = cache(self._find)
        if not self.exact:
            self._one = _load(data_dir, own_files) if wanted == _CURRENT else open_book(data_dir, wanted)
            self.named = f"book {self._one.short}"

    def _find(self, book_hash: str) -> PriceBook | None:
        if self._one is not None:
            return self._one
        try:
            found = find_book(self._data_dir, book_hash)
        except ConfigError:
            return None
        return open_book(self._data_dir, found.hash)


def _load(data_dir: Path, own_files: list[Path]) -> PriceBook:
    """Return the book in use; it is archived where there is a data directory."""
    return use_book(data_dir, own_files) if data_dir.is_dir() else load_book(own_files)


def _shown(rows: Iterable[RecordedRow], total: int) -> Iterator[RecordedRow]:
    """Yield rows and show on a terminal how far it is."""
    quiet = not sys.stderr.isatty()
    for number, row in enumerate(rows, 1):
        if not quiet and not number % _SHOWN_ROWS:
            click.echo(f"\r{number:,} of {total:,} attempts", nl=False, err=True)
        yield row
    if not quiet and total >= _SHOWN_ROWS:
        click.echo(err=True)
