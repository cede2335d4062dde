"""``farebox prices show``: every price of a model."""

import json
from pathlib import Path

import click
import msgspec

from farebox.cli.book_options import find_provider, load, prices_option
from farebox.cli.options import json_option
from farebox.errors import ConfigError
from farebox.present.price_rows import show_model
from farebox.present.tables import make_console


@click.command()
@click.argument("model")
@click.option("--provider", help="Id in the price book.")
@prices_option
@json_option
def show(model: str, provider: str | None, own_files: tuple[Path, ...], *, as_json: bool) -> None:
    """Show every row of prices that MODEL has, with its conditions and sources."""
    book = load(own_files)
    try:
        provider, model, _ = find_provider(book, model, provider)
        found = book.find_model(provider, model)
        card = book.card(provider)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if found is None or card is None:
        raise click.UsageError(f"{provider} has no price for {model}; see farebox prices list")
    if as_json:
        click.echo(json.dumps({"provider": provider, "book": book.hash, **msgspec.to_builtins(found[0])}, indent=2))
    else:
        show_model(card, found[0], make_console())
