"""``farebox prices history``: a model's prices over time, or the books that were used."""

import json
import time
from functools import cache
from pathlib import Path
from typing import Any

import click

from farebox.analyse.price_history import Edition, Revision, periods_of, revisions_of
from farebox.cli.book_options import find_provider, load, prices_option
from farebox.cli.options import data_dir_option, json_option
from farebox.errors import ConfigError
from farebox.present.amounts import moment_text, short_moment
from farebox.present.price_rows import history_json, show_history, show_revisions
from farebox.present.tables import make_console, print_table
from farebox.prices.book import PriceBook
from farebox.prices.card import read_card
from farebox.state.archive import Archived, list_books, open_book


@click.command()
@click.argument("model", required=False)
@click.option("--provider", help="Id in the price book.")
@data_dir_option
@prices_option
@json_option
def history(
    model: str | None, provider: str | None, data_dir: Path, own_files: tuple[Path, ...], *, as_json: bool
) -> None:
    """Show the prices of MODEL over time, announced ones included, and what each book that was used changed.

    Without MODEL: the books that were used, as kept in the data directory.
    """
    book = load(own_files)
    archived = list_books(data_dir)
    try:
        if model is None:
            _show_books(book, archived, data_dir, as_json=as_json)
        else:
            named = find_provider(book, model, provider)[:2]
            _show_model(book, named, _revisions(book, named, archived, data_dir), as_json=as_json)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def _show_model(book: PriceBook, named: tuple[str, str], revisions: list[Revision], *, as_json: bool) -> None:
    provider, name = named
    found = book.find_model(provider, name)
    if found is None:
        raise click.UsageError(f"{provider} has no price for {name}; see farebox prices list")
    periods = periods_of(found[0], time.time_ns())
    if as_json:
        click.echo(json.dumps({"book": book.hash, **history_json(provider, found[0], periods, revisions)}, indent=2))
        return
    console = make_console()
    show_history(provider, found[0], periods, console)
    show_revisions(revisions, console)


def _revisions(book: PriceBook, named: tuple[str, str], archived: list[Archived], data_dir: Path) -> list[Revision]:
    """Return what the archived books changed about a model, and then the book at hand."""
    provider, name = named
    editions = [
        _edition(open_book(data_dir, each.hash), each.first_seen_ns, provider, name)
        for each in archived
        if each.hash != book.hash
    ]
    return revisions_of(provider, [*editions, _edition(book, None, provider, name)])


def _edition(book: PriceBook, seen_ns: int | None, provider: str, name: str) -> Edition:
    found = book.find_model(provider, name)
    return Edition(book.hash, seen_ns, found[0] if found else None)


def _show_books(book: PriceBook, archived: list[Archived], data_dir: Path, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = []
    for each in archived:
        opened = open_book(data_dir, each.hash)
        models, prices = _count(opened)
        rows.append(
            {
                "book": each.hash,
                "first_seen": moment_text(each.first_seen_ns),
                "first_seen_ns": each.first_seen_ns,
                "providers": len(opened.providers()),
                "models": models,
                "prices": prices,
                "own_files": [path.rpartition("/")[2] for path in opened.files if path.startswith("own/")],
                "in_use": each.hash == book.hash,
            }
        )
    if as_json:
        click.echo(json.dumps({"book": book.hash, "books": rows}, indent=2))
        return
    console = make_console()
    if not rows:
        console.print(f"No book is kept in {data_dir} yet: `farebox serve` keeps every one that it uses.")
        return
    cells = [
        (
            row["book"][:12] + (" *" if row["in_use"] else ""),
            short_moment(row["first_seen_ns"]),
            f"{row['providers']:,}",
            f"{row['models']:,}",
            f"{row['prices']:,}",
            ", ".join(row["own_files"]),
        )
        for row in rows
    ]
    columns = ("book", "first used (UTC)", ">providers", ">models", ">prices", "own files")
    print_table(console, "", columns, cells)
    console.print("\n* the book of this release and your own files")


def _count(book: PriceBook) -> tuple[int, int]:
    """Return how many models and prices a book has; a card that several books share is read once."""
    if any(path.startswith("own/") for path in book.files):
        cards = [book.card(provider) for provider in book.providers()]
        models = [model for card in cards if card for model in card.models]
        return len(models), sum(len(row.prices) for model in models for row in model.rows)
    counts = [_count_card(path, data) for path, data in book.files.items() if path.startswith("shipped/")]
    return sum(models for models, _ in counts), sum(prices for _, prices in counts)


@cache
def _count_card(path: str, data: bytes) -> tuple[int, int]:
    models = read_card(path.rpartition("/")[2], data).models
    return len(models), sum(len(row.prices) for model in models for row in model.rows)
