"""``farebox calls``: list calls; ``farebox calls show``: explain one line by line."""

import json
import sys
import time
from pathlib import Path
from typing import get_args

import click

from farebox.analyse.window import parse_window
from farebox.books.query import Books
from farebox.books.rows import CallFilter
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.errors import ConfigError
from farebox.journal.record import Flag, Outcome
from farebox.present.audit import EMPTY
from farebox.present.calls import call_json, calls_json, show_call, show_calls
from farebox.present.tables import make_console

_NOT_FOUND = 1


@click.group(invoke_without_command=True)
@click.option("--since", default="", metavar="TIME", help="30m, 24h, 30d, 4w or FROM..TO (UTC). [default: everything]")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=20, show_default=True, help="How many to list.")
@click.option("--model", default="", help="Asked of Farebox or of the provider.")
@click.option("--key", default="", help="Name or id of a key.")
@click.option("--outcome", type=click.Choice(get_args(Outcome)), help="Of one of its attempts.")
@click.option("--flag", type=click.Choice(get_args(Flag)), help="On one of its attempts.")
@config_option
@data_dir_option
@json_option
@click.pass_context
def calls(
    context: click.Context,
    *,
    since: str,
    limit: int,
    model: str,
    key: str,
    outcome: str | None,
    flag: str | None,
    config_path: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """List calls, the newest first; `calls show CALL` explains one."""
    context.obj = data_dir
    if context.invoked_subcommand:
        return
    try:
        window = parse_window(since, time.time_ns())
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    freshen(data_dir, find_config(config_path))
    wanted = CallFilter(model=model, key=key, outcome=outcome or "", flag=flag or "")
    with Books(data_dir, window) as books:
        found = books.calls(limit, wanted)
    if as_json:
        click.echo(json.dumps(calls_json(found), indent=2))
    elif found:
        show_calls(found, make_console())
    elif wanted == CallFilter():
        click.echo(EMPTY)
    else:
        click.echo("No call fits.")


@calls.command()
@click.argument("call")
@config_option
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), help="Where everything is kept.")
@json_option
@click.pass_context
def show(context: click.Context, call: str, config_path: Path | None, data_dir: Path | None, *, as_json: bool) -> None:
    """Explain CALL, the id of a call or of an attempt: its attempts, times, usage and charge lines.

    Exit code 1: no such call is on record.
    """
    folder = data_dir or context.obj
    freshen(folder, find_config(config_path))
    with Books(folder) as books:
        attempts = books.attempts_of(call)
    if not attempts:
        click.echo(f"farebox: no call {call!r} is in the books of {folder}; `farebox calls` lists them", err=True)
        sys.exit(_NOT_FOUND)
    if as_json:
        click.echo(json.dumps(call_json(attempts), indent=2))
    else:
        show_call(attempts, make_console())
