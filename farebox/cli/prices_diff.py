"""``farebox prices diff``: what differs between two price books."""

import json
import sys
from pathlib import Path

import click
import msgspec

from farebox.analyse.diff_books import BookDiff, diff_books
from farebox.cli.book_options import own_files_or_configured, prices_option
from farebox.cli.options import data_dir_option, json_option
from farebox.errors import ConfigError
from farebox.present.explained import say
from farebox.present.price_rows import show_changes
from farebox.present.tables import make_console, print_table
from farebox.prices.book import PriceBook
from farebox.state.books_at_hand import OWN, find_book_named

_DIFFERENT = 1


@click.command()
@click.argument("old")
@click.argument("new", default=OWN)
@click.option("--provider", "only", multiple=True, help="Only these providers.")
@data_dir_option
@prices_option
@json_option
def diff(
    old: str, new: str, only: tuple[str, ...], data_dir: Path, own_files: tuple[Path, ...], *, as_json: bool
) -> None:
    """List models that NEW has more or less than OLD, and every price and rule that differs.

    A book is `shipped` (the cards of this release), `own` (with your own files; what NEW is by default), the first
    digits of the hash of an archived book, a folder of cards or a .toml file. Exit code 1: they differ.
    """
    try:
        mine = own_files_or_configured(own_files)
        before, after = find_book_named(old, data_dir, mine), find_book_named(new, data_dir, mine)
        found = diff_books(before, after, _unchanged(before, after, only))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps({"old": before.hash, "new": after.hash, **msgspec.to_builtins(found)}, indent=2))
    else:
        _show(before, after, found)
    if not found.empty:
        sys.exit(_DIFFERENT)


def _unchanged(old: PriceBook, new: PriceBook, only: tuple[str, ...]) -> set[str]:
    """Return the providers that need not be looked at: those whose files are the same, and those not asked for."""
    mine, its = ({path: data for path, data in book.files.items() if path.startswith("own/")} for book in (old, new))
    providers = {*old.providers(), *new.providers()}
    same = {name for name in providers if only and name not in only}
    if mine == its:
        paths = {name: f"shipped/{name}.toml" for name in providers}
        same |= {name for name, path in paths.items() if old.files.get(path) == new.files.get(path)}
    return same


def _show(old: PriceBook, new: PriceBook, found: BookDiff) -> None:
    console = make_console()
    console.print(f"old  {old.short}, {len(old.providers())} providers")
    console.print(f"new  {new.short}, {len(new.providers())} providers")
    if found.empty:
        console.print("\nThey say the same.")
        return
    for title, models in (("Models added", found.added), ("Models removed", found.removed)):
        if models:
            console.print(f"\n{title}: {len(models):,}", style="bold")
            for provider, model in models:
                console.print(f"  {provider}/{model}", soft_wrap=True)
    if found.prices:
        show_changes(found.prices, console, f"Prices: {len(found.prices):,}")
    if found.rules:
        rows = [(one.where, one.what) for one in found.rules]
        print_table(console, f"Rules: {len(rows):,}", ("where", "what"), rows)
    say(
        console,
        f"\n{len(found.added):,} models added, {len(found.removed):,} removed, {len(found.prices):,} prices and "
        f"{len(found.rules):,} rules changed",
    )
