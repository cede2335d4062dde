"""``farebox prices list``: the models that have prices."""

import json
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from farebox.analyse.find_models import price_table
from farebox.cli.book_options import check_provider, load, prices_option
from farebox.cli.options import json_option
from farebox.errors import ConfigError
from farebox.present.charges import rate_text, rate_unit
from farebox.present.tables import make_console, print_table
from farebox.prices.book import PriceBook
from farebox.prices.rates import STANDARD, Model, Table
from farebox.usage import METERS

_LISTED = ("input", "cache_read", "output")
_OTHERS = 2


@click.command("list")
@click.option("--provider", help="Only this provider's models.")
@click.option("--model", "pattern", default="*", metavar="GLOB", help="Only models whose id fits.")
@prices_option
@json_option
def list_models(provider: str | None, pattern: str, own_files: tuple[Path, ...], *, as_json: bool) -> None:
    """List the models that have prices, with today's standard ones in USD per million tokens."""
    book = load(own_files)
    try:
        rows = list(_rows(book, provider, pattern))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps({"book": book.hash, "models": rows}, indent=2))
        return
    console = make_console()
    cells = [
        (
            f"{row['provider']}/{row['model']}",
            *(row["prices_usd"].get(meter, "-") for meter in _LISTED),
            ", ".join(_also(row)),
        )
        for row in rows
    ]
    print_table(console, "", ("model", *(f">{meter.replace('_', ' ')}" for meter in _LISTED), "also"), cells)
    console.print(f"\n{len(rows):,} models, book {book.short}; USD per 1M tokens; long: long inputs cost more")


def _rows(book: PriceBook, provider: str | None, pattern: str) -> Iterator[dict[str, Any]]:
    now_ns = time.time_ns()
    for name in [check_provider(book, provider)] if provider else book.providers():
        card = book.card(name)
        for model in card.models if card else ():
            if fnmatchcase(model.id, pattern):
                yield _row(name, model, price_table(book, name, model, now_ns), now_ns)


def _row(provider: str, model: Model, table: Table, now_ns: int) -> dict[str, Any]:
    held = [row for row in model.rows if row.from_ns <= now_ns < row.until_ns]
    return {
        "provider": provider,
        "model": model.id,
        "tiers": sorted({row.tier for row in held}),
        "long_context": sorted({row.above for row in held if row.above >= 0}),
        "prices_usd": {meter: rate_text(meter, rate) for meter, rate in table.items() if rate.meter == meter},
        "per": {meter: rate_unit(meter, rate) for meter, rate in table.items() if rate.meter == meter},
    }


def _also(row: dict[str, Any]) -> Iterator[str]:
    """Yield the other tiers, and the first prices of a model that has none by the token of text."""
    yield from (tier for tier in row["tiers"] if tier not in {STANDARD, "any"})
    if row["long_context"]:
        yield "long"
    if not set(_LISTED) & set(row["prices_usd"]):
        for meter in [meter for meter in METERS if meter in row["prices_usd"]][:_OTHERS]:
            yield f"{meter} {row['prices_usd'][meter]}/{row['per'][meter]}"
