"""``farebox tco``: what traffic like the recorded will cost in the months to come."""

import json
import time
from datetime import UTC, date, datetime
from pathlib import Path

import click

from farebox.analyse.window import parse_window
from farebox.books.query import Books
from farebox.cli.book_options import price_files, prices_option
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.cli.progress import show_progress
from farebox.cli.whatif import read_schemes
from farebox.errors import ConfigError
from farebox.present.tables import make_console
from farebox.present.tco import show_tco, tco_json
from farebox.state.pushed import list_pushed
from farebox.tco.run import Asked, run

_LEAST_GROWTH = -100
_MOST_GROWTH = 1000


@click.command()
@click.option("--months", type=click.IntRange(1, 60), default=6, show_default=True, help="How many.")
@click.option("--scheme", "texts", multiple=True, metavar="NAME=FILE|SHORTHAND", help="As in whatif; repeat for more.")
@click.option("--begin", metavar="YYYY-MM", help="The first month. [default: the next one]")
@click.option("--growth", type=float, default=0.0, show_default=True, help="Percent a month, -100 to 1000.")
@click.option("--since", default="", metavar="TIME", help="Traffic to go by: 4w or FROM..TO. [default: everything]")
@click.option("--adjust-tokens", is_flag=True, help="Count as the other model's tokenizer does, where that is known.")
@config_option
@data_dir_option
@prices_option
@json_option
def tco(
    *,
    months: int,
    texts: tuple[str, ...],
    begin: str | None,
    growth: float,
    since: str,
    adjust_tokens: bool,
    config_path: Path | None,
    data_dir: Path,
    own_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Forecast traffic and what it costs under schemes, month by month, with bands, and what leaving each costs.

    The first scheme is always how the recorded traffic was sent, at the prices of those months.
    """
    if not _LEAST_GROWTH <= growth <= _MOST_GROWTH:  # nan, too
        raise click.UsageError(f"--growth {growth:g}: write percent a month, {_LEAST_GROWTH} to {_MOST_GROWTH}")
    try:
        window = parse_window(since, time.time_ns())
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    config = find_config(config_path)
    files = [*(own_files or price_files(config)), *list_pushed(data_dir)]
    asked = Asked(_first_month(begin), months, growth, adjust_tokens)
    schemes = read_schemes(("as sent=as:sent", *texts), data_dir, files)
    freshen(data_dir, config)
    with Books(data_dir, window) as books, show_progress("months", quiet=as_json) as progress:
        found = run(books, schemes, asked, progress)
    if as_json:
        click.echo(json.dumps(tco_json(found), indent=2))
    else:
        show_tco(found, make_console())


def _first_month(text: str | None) -> date:
    if text is None:
        today = datetime.now(UTC).date()
        return date(today.year + today.month // 12, today.month % 12 + 1, 1)
    try:
        return date.fromisoformat(f"{text}-01")
    except ValueError:
        raise click.UsageError(f"--begin {text!r}: write a month such as 2027-01") from None
