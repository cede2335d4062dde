"""``farebox export``: the books in the forms that others read."""

import json
import time
from pathlib import Path
from typing import cast

import click

from farebox.analyse.window import parse_window
from farebox.books.query import Books
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.errors import ConfigError
from farebox.export.focus import Grain, export_focus
from farebox.money import usd_text
from farebox.present.amounts import short_usd


@click.group()
def export() -> None:
    """Write the books in the forms that others read."""


@export.command()
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file that ends in .csv or .parquet.",
)
@click.option("--grain", type=click.Choice(["hour", "day"]), default="day", show_default=True, help="Periods of rows.")
@click.option("--since", default="", metavar="TIME", help="30m, 24h, 30d, 4w or FROM..TO (UTC). [default: everything]")
@config_option
@data_dir_option
@json_option
def focus(*, out: Path, grain: str, since: str, config_path: Path | None, data_dir: Path, as_json: bool) -> None:
    """Write FOCUS 1.2: one row for a period, a key, a provider, a model, a tier and a meter."""
    try:
        window = parse_window(since, time.time_ns())
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    freshen(data_dir, find_config(config_path))
    with Books(data_dir, window) as books:
        done = export_focus(books, out, cast("Grain", grain))
    if as_json:
        found = {
            "file": str(out),
            "rows": done.rows,
            "billed_usd": usd_text(done.billed_femto),
            "unpriced": done.unpriced,
        }
        click.echo(json.dumps(found))
        return
    click.echo(
        f"{done.rows:,} rows in {out}, {short_usd(done.billed_femto)} (exactly {usd_text(done.billed_femto)} USD)"
    )
    if done.unpriced:
        click.echo(f"{done.unpriced:,} attempts have no price and are in no row; see farebox audit")
