"""``farebox flags``: what behaves unlike itself, for policies to act on."""

import re
import time
from pathlib import Path

import click
import msgspec

from farebox.cli.options import data_dir_option, json_option
from farebox.errors import ConfigError
from farebox.present.amounts import moment_text
from farebox.present.tables import make_console, print_table
from farebox.state.flags import Flag, FlagStore

_SPAN = re.compile(r"(\d{1,6})([smhd])")
_NS = {"s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}


@click.group()
def flags() -> None:
    """Flag keys, teams, models or tags, for policies to act on."""


@flags.command("set")
@click.argument("scope")
@click.option("--reason", default="set by the operator", show_default=True)
@click.option("--for", "span", default="", help="Such as 30m, 2h or 7d. [default: until it is cleared]")
@data_dir_option
def set_flag(scope: str, reason: str, span: str, data_dir: Path) -> None:
    """Flag a SCOPE: key:NAME, team:NAME, model:NAME or tag:KEY=VALUE. In force within a second."""
    now_ns = time.time_ns()
    until_ns = None
    if span:
        found = _SPAN.fullmatch(span)
        if found is None:
            raise click.UsageError(f"--for {span!r} is no span of time such as 30m, 2h or 7d")
        until_ns = now_ns + int(found[1]) * _NS[found[2]]
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        FlagStore(data_dir).set(Flag(scope, reason, now_ns, until_ns, "operator"))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    until = "until it is cleared" if until_ns is None else f"until {moment_text(until_ns)}"
    click.echo(f"{scope} is flagged {until}. Policies with flagged = true act on it.")


@flags.command("list")
@data_dir_option
@json_option
def list_flags(data_dir: Path, *, as_json: bool) -> None:
    """List the flags in force."""
    found = FlagStore(data_dir).list(time.time_ns()) if data_dir.is_dir() else []
    if as_json:
        listed = [
            {
                "scope": flag.scope,
                "reason": flag.reason,
                "since": moment_text(flag.since_ns),
                "until": None if flag.until_ns is None else moment_text(flag.until_ns),
                "source": flag.source,
            }
            for flag in found
        ]
        click.echo(msgspec.json.encode({"flags": listed}))
    elif not found:
        click.echo("Nothing is flagged.")
    else:
        rows = [
            (flag.scope, (flag.until_ns and moment_text(flag.until_ns)) or "cleared", flag.reason) for flag in found
        ]
        print_table(make_console(), "Flags", ("scope", "until", "reason"), rows)


@flags.command("clear")
@click.argument("scope")
@data_dir_option
def clear_flag(scope: str, data_dir: Path) -> None:
    """Clear the flag on a SCOPE."""
    if not data_dir.is_dir() or not FlagStore(data_dir).clear(scope):
        raise click.UsageError(f"{scope!r} is not flagged; see farebox flags list")
    click.echo(f"{scope} is not flagged any more.")
