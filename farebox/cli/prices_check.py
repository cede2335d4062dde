"""``farebox prices check``: what is wrong with the price book."""

import json
import sys
from pathlib import Path

import click
import msgspec

from farebox.cli.book_options import load, prices_option
from farebox.cli.options import json_option
from farebox.present.tables import make_console, print_table
from farebox.prices.check import check_book

_FOUND = 1


@click.command()
@prices_option
@json_option
def check(own_files: tuple[Path, ...], *, as_json: bool) -> None:
    """Compile everything and report overlaps, gaps, unreachable rows and float noise.

    A finding names the file or row, what is wrong with it and what to do. Exit code 1: there are findings.
    """
    checked = check_book(load(own_files))
    if as_json:
        click.echo(json.dumps(msgspec.to_builtins(checked), indent=2))
    else:
        console = make_console()
        rows = [(one.where, one.what, one.remedy) for one in checked.findings]
        if rows:
            print_table(console, "", ("where", "what", "remedy"), rows)
            console.print()
        console.print(
            f"{checked.providers:,} providers, {checked.models:,} models, {checked.rows:,} rows, "
            f"{checked.rates:,} prices: {len(checked.findings):,} findings"
        )
    if checked.findings:
        sys.exit(_FOUND)
