"""``farebox anomalies``: what spent unlike itself, why, and how much."""

import json
import time
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from farebox.analyse.window import parse_window
from farebox.anomalies.incident import Incident
from farebox.books.query import Books
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.detect.lookout import recorded
from farebox.detect.scan import read_history, scan
from farebox.errors import ConfigError
from farebox.money import femto_from_usd
from farebox.present.anomalies import anomalies_json, show_anomalies
from farebox.present.tables import make_console

_MINUTE_NS = 60_000_000_000


@click.command()
@click.option("--since", default="", metavar="TIME", help="30m, 24h, 30d, 4w or FROM..TO (UTC). [default: everything]")
@click.option("--least", default="0.10", show_default=True, metavar="USD", help="Leave out what cost less beyond it.")
@click.option("--scan", "scanned", is_flag=True, help="Search the whole books hour by hour, as for imported logs.")
@config_option
@data_dir_option
@json_option
def anomalies(
    since: str, least: str, config_path: Path | None, data_dir: Path, *, scanned: bool, as_json: bool
) -> None:
    """Show what spent unlike itself, why, and how much.

    Keys, teams, models and tags are held against their own hours of the week: by the gateway while it runs, or over
    the whole books with --scan, and wherever no gateway ever ran. What --since leaves out is learned from all the same.
    """
    try:
        window = parse_window(since, time.time_ns())
        least_femto = femto_from_usd(least)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    except ValueError:
        raise click.UsageError(f"--least {least!r} is no amount in USD such as 0.10") from None
    found = None if scanned else recorded(data_dir)
    if found is None:
        freshen(data_dir, find_config(config_path))
        found = _scan(data_dir, least_femto)
    since_ns, until_ns = window.since_ns or 0, window.until_ns
    found = [
        each
        for each in found
        if each.actual_femto - each.expected_femto >= least_femto
        and (each.end is None or each.end * _MINUTE_NS > since_ns)
        and (until_ns is None or each.start * _MINUTE_NS < until_ns)
    ]
    if as_json:
        click.echo(json.dumps(anomalies_json(found), indent=2))
    else:
        show_anomalies(found, make_console())


def _scan(data_dir: Path, least_femto: int) -> list[Incident]:
    with Books(data_dir) as books:
        history = read_history(books)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("scopes", total=None)
        return scan(history, least_femto, lambda done, of: progress.update(task, completed=done, total=of))
