"""``farebox audit``: what was called, what it cost and why."""

import json
import sys
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import click

from farebox.analyse.audit import Asked
from farebox.analyse.audit import audit as audit_rows
from farebox.analyse.findings import SavingFound, find_savings, top_movers
from farebox.analyse.window import parse_window
from farebox.books.looks import Looks, MoverRow, look
from farebox.books.query import Books
from farebox.books.rows import Grouping
from farebox.cli.book_options import price_files
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.errors import ConfigError
from farebox.present.audit import audit_json, show_audit, show_total
from farebox.present.findings import findings_json, show_findings
from farebox.present.tables import make_console
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import find_table, total_of
from farebox.state.pricebook import load_book
from farebox.state.pushed import list_pushed
from farebox.usage import Usage

_ALARMS = 1
_GROUPINGS: dict[str, Grouping] = {
    "model": "model",
    "key": "key",
    "team": "team",
    "project": "project",
    "user": "user",
    "provider": "provider",
}


@click.command()
@click.option("--since", default="", metavar="TIME", help="30m, 24h, 30d, 4w or FROM..TO (UTC). [default: everything]")
@click.option("--by", default="model", show_default=True, help="model, key, team, project, user, provider or tag:NAME.")
@click.option("--strict", is_flag=True, help="Exit with 1 where there are alarms.")
@config_option
@data_dir_option
@json_option
def audit(since: str, by: str, config_path: Path | None, data_dir: Path, *, strict: bool, as_json: bool) -> None:
    """Show what was called, what it cost and why.

    Costs are exact: the last line, and every amount of --json, is the sum to the last digit. Attempts without a
    price are named under the alarms, never counted as zero.
    """
    try:
        window = parse_window(since, time.time_ns())
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    grouping, tag = read_grouping(by)
    config = find_config(config_path)
    ingested = freshen(data_dir, config)
    with Books(data_dir, window) as books:
        rows = books.audit_rows(grouping, tag)
        looks = look(books)
    report = audit_rows(rows, Asked(window, grouping, tag, ingested.unreadable))
    found, movers = _find(looks, [*price_files(config), *list_pushed(data_dir)])
    console = make_console()
    if as_json:
        click.echo(json.dumps({**audit_json(report), **findings_json(found, movers)}, indent=2))
    else:
        show_audit(report, console)
        show_findings(found, movers, console)
        show_total(report, console)
    if strict and report.alarms:
        sys.exit(_ALARMS)


def _find(looks: Looks | None, files: Sequence[Path]) -> tuple[tuple[SavingFound, ...], tuple[MoverRow, ...]]:
    """Return the findings at today's prices for the end of the window, and what moved."""
    if looks is None:
        return (), ()
    at_ns = looks.last_ns

    @cache
    def book() -> PriceBook:
        return load_book(files)

    @cache
    def rate(provider: str, model: str, meter: str) -> int | None:
        table = find_table(book(), Rating(provider, "", model, Usage({meter: 1}, 1), at_ns))
        return None if isinstance(table, str) else total_of(table, {meter: 1})

    return find_savings(looks, rate), top_movers(looks.movers)


def read_grouping(by: str) -> tuple[Grouping, str]:
    """Return the property to group by and the tag's name, if it is a tag.

    Raises:
        click.UsageError: where nothing can be grouped by it.
    """
    kind, colon, tag = by.partition(":")
    if kind == "tag" and tag:
        return "tag", tag
    if colon or by not in _GROUPINGS:
        raise click.UsageError(f"--by {by}: group by {', '.join(_GROUPINGS)} or tag:NAME")
    return _GROUPINGS[by], ""
