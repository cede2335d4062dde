"""``farebox whatif``: what recorded traffic would have cost otherwise."""

import json
import time
from collections.abc import Sequence
from pathlib import Path

import click

from farebox.analyse.window import parse_window
from farebox.books.query import Books
from farebox.cli.book_options import price_files, prices_option
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.cli.progress import show_progress
from farebox.errors import ConfigError
from farebox.present.tables import make_console
from farebox.present.whatif import show_whatif, whatif_csv, whatif_json
from farebox.prices.book import PriceBook
from farebox.state.books_at_hand import find_book_named
from farebox.state.pricebook import load_book
from farebox.state.pushed import list_pushed
from farebox.whatif.run import run
from farebox.whatif.schemes import WhatIf, parse_scheme


@click.command()
@click.option("--scheme", "texts", multiple=True, required=True, metavar="NAME=FILE|SHORTHAND", help="Repeat for more.")
@click.option("--since", default="", metavar="TIME", help="30m, 24h, 30d, 4w or FROM..TO (UTC). [default: everything]")
@click.option("--adjust-tokens", is_flag=True, help="Count as the other model's tokenizer does, where that is known.")
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: a row for each meter of each scheme.")
@config_option
@data_dir_option
@prices_option
@json_option
def whatif(
    *,
    texts: tuple[str, ...],
    since: str,
    adjust_tokens: bool,
    as_csv: bool,
    config_path: Path | None,
    data_dir: Path,
    own_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Price recorded traffic under other schemes, line by line.

    A scheme is a TOML file, or one of: all:PROVIDER/MODEL, tier:TIER, batch:PERCENT, cache:TTL, book:BOOK; such as
    --scheme mini=all:openai/gpt-4o-mini --scheme half=batch:50%. Exit code 1: a scheme has calls without a price.
    """
    try:
        window = parse_window(since, time.time_ns())
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    config = find_config(config_path)
    files = [*(own_files or price_files(config)), *list_pushed(data_dir)]
    asked = read_schemes(texts, data_dir, files)
    freshen(data_dir, config)
    with Books(data_dir, window) as books, show_progress("traffic", quiet=as_json or as_csv) as progress:
        result = run(books, asked, adjust_tokens=adjust_tokens, progress=progress)
    if as_json:
        click.echo(json.dumps(whatif_json(result), indent=2))
    elif as_csv:
        click.echo(whatif_csv(result), nl=False)
    else:
        show_whatif(result, make_console())
    if any(one.unpriced for one in result.schemes):
        click.get_current_context().exit(1)


def read_schemes(texts: Sequence[str], data_dir: Path, files: list[Path]) -> list[tuple[WhatIf, PriceBook]]:
    """Return schemes as options name them, each with its prices.

    Raises:
        click.UsageError: where two have the same name.
        ConfigError: where one is none.
    """
    schemes = [parse_scheme(text, _read) for text in texts]
    twice = {one.name for one in schemes if sum(one.name == other.name for other in schemes) > 1}
    if twice:
        raise click.UsageError(f"--scheme: two schemes are called {min(twice)!r}; give each a name of its own")
    return [(one, _book_of(one, data_dir, files)) for one in schemes]


def _read(name: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"--scheme {name!r}: neither a file ({reason}) nor one of all:PROVIDER/MODEL, tier:TIER, batch:PERCENT, "
            "cache:TTL, book:BOOK"
        ) from None


def _book_of(one: WhatIf, data_dir: Path, files: list[Path]) -> PriceBook:
    """Return the prices of a scheme."""
    own = [*files, *(Path(one.source).parent / name for name in one.table.prices)]
    if one.table.book:
        return find_book_named(one.table.book, data_dir, own)
    return load_book(own)
