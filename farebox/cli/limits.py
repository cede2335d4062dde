"""``farebox limits``: caps on requests, tokens and calls under way."""

import click
import msgspec

from farebox.budgets.account import read_account
from farebox.budgets.plan import UNITS, Budget, Unit
from farebox.budgets.window import read_window
from farebox.cli.ledger_options import LedgerAt, ledger_options, opened, say_when_in_force
from farebox.cli.limits_forecast import forecast
from farebox.cli.options import json_option
from farebox.present.budgets import budget_json, describe, show_statuses, status_json
from farebox.present.tables import make_console

_ACCOUNT = "ACCOUNT is org, team:NAME, project:NAME, key:NAME, user:NAME, tag:KEY=VALUE, model:NAME or provider:NAME."
_COUNT = click.IntRange(min=0)
_PER = click.Choice(["minute", "hour", "day", "week", "month"])


@click.group()
def limits() -> None:
    """Limit requests, tokens and calls under way."""


limits.add_command(forecast)


@limits.command(name="set", epilog=_ACCOUNT)
@click.argument("account")
@click.option("--requests", type=_COUNT, help="Requests to providers.")
@click.option("--tokens", type=_COUNT, help="Tokens of input and output together.")
@click.option("--input-tokens", type=_COUNT, help="Tokens of input.")
@click.option("--output-tokens", type=_COUNT, help="Tokens of output.")
@click.option("--concurrency", type=_COUNT, help="Calls under way at once.")
@click.option("--per", type=_PER, default="minute", show_default=True, help="Window, but for --concurrency.")
@click.option("--soft", is_flag=True, help="Count only; refuse nothing.")
@ledger_options
@json_option
def set_limits(
    account: str,
    at: LedgerAt,
    as_json: bool,
    per: str,
    soft: bool,
    **counts: int | None,
) -> None:
    """Set or change limits of ACCOUNT. Tokens are estimated before a call and corrected after it."""
    whose = read_account(account)
    wanted = [(unit, counts[unit]) for unit in UNITS if counts.get(unit) is not None]
    if not wanted:
        raise click.UsageError("Say what is limited, such as --requests 60 or --concurrency 8.")
    placed = []
    with opened(at) as authority:
        for unit, count in wanted:
            window = read_window("lifetime" if unit == "concurrency" else per)
            placed.append(authority.put(Budget("", whose, unit, window, count or 0, hard=not soft)))
    if as_json:
        click.echo(msgspec.json.encode([budget_json(one) for one in placed]))
    else:
        for one in placed:
            click.echo(f"{describe(one)}.")
        click.echo(say_when_in_force())


@limits.command(name="list")
@ledger_options
@json_option
def list_limits(at: LedgerAt, as_json: bool) -> None:
    """List limits and how much of them is used."""
    with opened(at) as authority:
        found = [one for one in authority.status() if one.budget.unit != "usd"]
    if as_json:
        click.echo(msgspec.json.encode([status_json(one) for one in found]))
    elif not found:
        click.echo("There are no limits. Set one: farebox limits set key:NAME --requests 60 --per minute")
    else:
        show_statuses(found, make_console(), "")


@limits.command()
@click.argument("account")
@click.argument("unit", type=click.Choice([unit for unit in UNITS if unit != "usd"]))
@click.option("--per", type=_PER, default="minute", show_default=True, help="Window of the limit.")
@ledger_options
def remove(account: str, unit: Unit, at: LedgerAt, per: str) -> None:
    """Remove the limit of ACCOUNT on UNIT."""
    whose = read_account(account)
    window = read_window("lifetime" if unit == "concurrency" else per)
    with opened(at) as authority:
        is_removed = authority.remove(whose, unit, window)
    if not is_removed:
        click.echo(f"farebox: {whose} has no such limit; `farebox limits list` names those there are", err=True)
        raise click.exceptions.Exit(1)
    click.echo(f"{whose} has no limit on {unit.replace('_', ' ')} per {window} any more. {say_when_in_force()}")
