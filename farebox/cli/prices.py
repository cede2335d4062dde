"""``farebox prices``: look into the price book, check it, write its cards anew."""

import json
import sys
import time
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.table import Table

from farebox.cli.price import find_provider
from farebox.errors import ConfigError
from farebox.prices.book import PriceBook
from farebox.prices.check import check_book
from farebox.prices.explain import size_text, validity_text
from farebox.prices.import_genai import import_card
from farebox.prices.rates import ANY_TIER, STANDARD, Model
from farebox.prices.schedule import Table as Rates
from farebox.state.pricebook import load_book, read_shipped
from farebox.usage import METERS

_FOUND = 1
_LISTED = ("input", "cache_read", "output")
_own_files = click.option(
    "--prices", "own_files", type=click.Path(path_type=Path), multiple=True, help="File with own [[prices]]."
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def prices() -> None:
    """Look into the price book, check it, write its cards anew."""


@prices.command("list")
@click.option("--provider", help="Only this provider's models.")
@click.option("--model", "pattern", default="*", metavar="GLOB", help="Only models whose id fits.")
@_own_files
@_as_json
def list_models(provider: str | None, pattern: str, own_files: tuple[Path, ...], *, as_json: bool) -> None:
    """List the models that have prices, with today's standard ones in USD per million tokens."""
    book = _load(own_files)
    try:
        rows = [row for row in _list_rows(book, provider) if fnmatchcase(row["model"], pattern)]
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps({"book": book.hash, "models": rows}, indent=2))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("provider")
    table.add_column("model", overflow="fold")
    for meter in _LISTED:
        table.add_column(meter.replace("_", " "), justify="right")
    table.add_column("also", overflow="fold")
    for row in rows:
        also = [*(tier for tier in row["tiers"] if tier != STANDARD), *(["long"] if row["long_context"] else [])]
        cells = [row["prices_usd"].get(meter, "-") for meter in _LISTED]
        table.add_row(row["provider"], row["model"], *cells, ", ".join(also))
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(table)
    console.print(f"\n{len(rows)} models, book {book.short}; USD per 1M tokens; long: long inputs cost more")


def _list_rows(book: PriceBook, provider: str | None) -> Iterator[dict[str, Any]]:
    now_ns = time.time_ns()
    if provider is not None and provider not in book.providers():
        raise click.UsageError(f"no card of {provider!r}; there are {', '.join(book.providers())}")
    for name in [provider] if provider else book.providers():
        card = book.card(name)
        assert card is not None
        for model in card.models:
            tiers = sorted({row.tier for row in model.rows})
            bands = book.schedule(card, model, STANDARD, "").at(now_ns) or ()
            yield {
                "provider": name,
                "model": model.id,
                "tiers": [tier for tier in tiers if book.schedule(card, model, tier, "").at(now_ns)],
                "long_context": [above for above, _ in bands if above >= 0],
                "prices_usd": _own_prices(bands[-1][1]) if bands else {},
            }


def _own_prices(rates: Rates) -> dict[str, str]:
    """Return the prices of a table, those left out that a meter only inherits."""
    return {meter: rate.row.prices[meter] for meter, rate in rates.items() if rate.meter == meter}


@prices.command()
@click.argument("model")
@click.option("--provider", help="Id in the price book.")
@_own_files
@_as_json
def show(model: str, provider: str | None, own_files: tuple[Path, ...], *, as_json: bool) -> None:
    """Show every row of prices that MODEL has, with its conditions and sources."""
    book = _load(own_files)
    try:
        provider = find_provider(book, model, provider)
        found = book.find_model(provider, model)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if found is None:
        raise click.UsageError(f"{provider} has no price for {model}; see farebox prices list")
    if as_json:
        click.echo(json.dumps({"provider": provider, "book": book.hash, **msgspec.to_builtins(found[0])}, indent=2))
        return
    _show_model(provider, found[0])


def _show_model(provider: str, model: Model) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    console.print(f"{provider}/{model.id}", style="bold")
    console.print(f"ids       {', '.join((*model.names, *model.patterns))}")
    for meter, other in model.inherit.items():
        console.print(f"inherits  {meter} is priced as {other} where it has no price of its own")
    for row in model.rows:
        conditions = [row.tier if row.tier != ANY_TIER else "any tier", size_text(row), f"valid {validity_text(row)}"]
        console.print(f"\n{', '.join(filter(None, conditions))}", style="bold")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(min_width=18)
        table.add_column(justify="right")
        table.add_column()
        for meter, price in row.prices.items():
            table.add_row(meter, price, "per 1M" if METERS[meter].unit == "token" else "per call")
        console.print(table)
        if row.rest:
            console.print(f"other meters as in tier {row.rest}")
        source = row.source
        read = ", ".join(filter(None, [source.url, source.retrieved and f"read {source.retrieved}"]))
        console.print(f"source  {read}", style="dim")


@prices.command()
@_own_files
@_as_json
def check(own_files: tuple[Path, ...], *, as_json: bool) -> None:
    """Compile everything and report overlaps, gaps, unreachable rows and float noise."""
    checked = check_book(_load(own_files))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(checked), indent=2))
    else:
        for finding in checked.findings:
            click.echo(f"{finding.where}: {finding.what}")
        click.echo(
            f"{checked.providers} providers, {checked.models} models, {checked.rows} rows, {checked.rates} prices: "
            f"{len(checked.findings)} findings"
        )
    if checked.findings:
        sys.exit(_FOUND)


@prices.command("import")
@click.option("--provider", "wanted", multiple=True, help="Only this provider; default: every card there is.")
@click.option(
    "--into",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to; default: the package's own, for working on Farebox itself.",
)
@click.option("--retrieved", metavar="DATE", help="Day on which the data was read; default: today.")
def import_cards(wanted: tuple[str, ...], into: Path | None, retrieved: str | None) -> None:
    """Write the cards anew from the data of the genai-prices package (install it first)."""
    try:
        from genai_prices.data import providers  # noqa: PLC0415 - a maintainer's tool, not needed to run
    except ImportError:
        raise click.UsageError("genai-prices is not installed; `pip install genai-prices` and try again") from None
    package = files("farebox.prices").joinpath("data")
    folder = into or Path(str(package))
    shipped = read_shipped()
    known = {provider.id: provider for provider in providers}
    for name in wanted or sorted(shipped):
        if name not in shipped or name not in known:
            raise click.UsageError(f"--provider {name}: there are {', '.join(sorted(shipped))}")
        imported = import_card(
            known[name],
            package.joinpath("published", f"{name}.toml").read_bytes(),
            version=version("genai-prices"),
            retrieved=_read_day(retrieved) or _last_day(shipped[name]) or datetime.now(UTC).date(),
        )
        for note in imported.notes:
            click.echo(f"{name}: {note}")
        path = folder / f"{name}.toml"
        before = path.read_text(encoding="utf-8") if path.exists() else None
        path.write_text(imported.text, encoding="utf-8")
        click.echo(f"{path}: {'unchanged' if before == imported.text else 'written'}")


def _read_day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--retrieved {text!r}: not a day such as 2026-11-23") from None


def _last_day(card: bytes) -> date | None:
    """Return the day of the last import where it was from the same data, so that importing again changes nothing."""
    source = tomllib.loads(card.decode())["sources"]["list"]
    same = source.get("via") == f"genai-prices {version('genai-prices')}"
    return date.fromisoformat(source["retrieved"]) if same else None


def _load(own_files: tuple[Path, ...]) -> PriceBook:
    try:
        return load_book(own_files)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
