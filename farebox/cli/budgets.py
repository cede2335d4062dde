"""``farebox budgets``: caps on spending."""

import time
from typing import Any

import click
import msgspec

from farebox.budgets.account import Account, read_account
from farebox.budgets.authority import Status
from farebox.budgets.window import Window, read_window
from farebox.cli.ledger_options import LedgerAt, ledger_options, opened, say_when_in_force
from farebox.cli.options import json_option
from farebox.config.tables import BudgetTable
from farebox.present.budgets import (
    budget_json,
    describe,
    movement_json,
    show_movements,
    show_statuses,
    status_json,
    violation_json,
)
from farebox.present.tables import make_console
from farebox.state.budget_tables import read_budget

_ACCOUNT = "ACCOUNT is org, team:NAME, project:NAME, key:NAME, user:NAME, tag:KEY=VALUE, model:NAME or provider:NAME."


@click.group()
def budgets() -> None:
    """Cap what an organisation, a team, a key or a model may spend."""


@budgets.command(name="set", epilog=_ACCOUNT)
@click.argument("account")
@click.option("--amount", required=True, help="Most that may be spent, such as 250 or 0.50.")
@click.option("--currency", default="USD", show_default=True, help="Of the amount; converted at its dated rate.")
@click.option("--window", default="month", show_default=True, help="hour, day, week, month, lifetime or rolling:24h.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of the calendar, such as Europe/Berlin.")
@click.option("--soft", is_flag=True, help="Alert only; refuse nothing.")
@click.option("--alert", "alerts", multiple=True, type=click.IntRange(1, 1000), help="Percent to alert at; repeatable.")
@click.option("--per-call", help="Most that one call may cost.")
@ledger_options
@json_option
def set_budget(account: str, at: LedgerAt, as_json: bool, **given: Any) -> None:
    """Set or change the budget of ACCOUNT.

    An account may have one budget for each window; setting it again changes it. Whoever has a hard budget is never let
    beyond it: what a call may cost at most is reserved before it is sent.
    """
    table = BudgetTable(account=account, **given)
    with opened(at) as authority:
        budget = msgspec.structs.replace(read_budget(table, at.book(), time.time_ns()), source="state")
        placed = authority.put(budget)
    if as_json:
        click.echo(msgspec.json.encode(budget_json(placed)))
    else:
        click.echo(f"{describe(placed)}. {say_when_in_force()}")


@budgets.command(name="list")
@ledger_options
@json_option
def list_budgets(at: LedgerAt, as_json: bool) -> None:
    """List budgets and how they stand."""
    with opened(at) as authority:
        found = [one for one in authority.status() if one.budget.unit == "usd"]
    if as_json:
        click.echo(msgspec.json.encode([status_json(one) for one in found]))
    elif not found:
        click.echo("There are no budgets. Set one: farebox budgets set org --amount 250 --window month")
    else:
        show_statuses(found, make_console(), "")


@budgets.command()
@click.argument("account")
@ledger_options
@json_option
def show(account: str, at: LedgerAt, as_json: bool) -> None:
    """Show how the budgets and limits of ACCOUNT stand."""
    whose = read_account(account)
    with opened(at) as authority:
        found = authority.status(whose)
        lines = authority.movements(whose, 10)
    if as_json:
        click.echo(msgspec.json.encode(_account_json(whose, found)))
    elif found:
        known = {one.budget.id: one.budget for one in found}
        show_statuses(found, make_console(), str(whose))
        show_movements(lines, known, make_console(), "Latest movements")
    if not found:
        if not as_json:
            click.echo(f"{whose} has no budget. Set one: farebox budgets set {whose} --amount 250 --window month")
        raise click.exceptions.Exit(1)


@budgets.command()
@click.argument("account")
@click.option("--window", help="Only of this window.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of that window.")
@ledger_options
@json_option
def reset(
    account: str,
    at: LedgerAt,
    as_json: bool,
    window: str | None,
    zone: str,
) -> None:
    """Begin the windows of ACCOUNT anew, with nothing posted in them.

    What is under way is still charged to the window it began in. A budget that an overrun closed opens again.
    """
    whose = read_account(account)
    only = None if window is None else read_window(window, zone)
    with opened(at) as authority:
        done = authority.reset(whose, None, only)
    if as_json:
        click.echo(msgspec.json.encode([budget_json(one) for one in done]))
    elif done:
        click.echo(f"{len(done)} window(s) of {whose} begin anew. {say_when_in_force()}")
    if not done:
        _tell_missing(whose, only)


@budgets.command()
@click.argument("account")
@click.option("--window", default="month", show_default=True, help="Of the budget that is removed.")
@click.option("--zone", default="UTC", show_default=True, help="Time zone of that window.")
@ledger_options
def remove(account: str, at: LedgerAt, window: str, zone: str) -> None:
    """Remove a budget of ACCOUNT; what was posted stays in the ledger."""
    whose = read_account(account)
    which = read_window(window, zone)
    with opened(at) as authority:
        is_removed = authority.remove(whose, "usd", which)
    if not is_removed:
        _tell_missing(whose, which)
    click.echo(f"{whose} has no budget per {which} any more. {say_when_in_force()}")


@budgets.command()
@click.argument("account", required=False)
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many lines.")
@ledger_options
@json_option
def movements(account: str | None, at: LedgerAt, as_json: bool, limit: int) -> None:
    """List the lines of the ledger, newest first, of ACCOUNT or all."""
    whose = None if account is None else read_account(account)
    with opened(at) as authority:
        lines = authority.movements(whose, limit)
        known = {one.id: one for one in authority.budgets()}
    if as_json:
        click.echo(msgspec.json.encode([movement_json(line, known.get(line.budget)) for line in lines]))
    elif lines:
        show_movements(lines, known, make_console(), "")
    else:
        click.echo("Nothing has been posted yet.")


@budgets.command()
@ledger_options
@json_option
def check(at: LedgerAt, as_json: bool) -> None:
    """Check that every rule of the ledger holds; exit code 1 where one does not."""
    with opened(at) as authority:
        found = authority.check()
    if as_json:
        click.echo(msgspec.json.encode([violation_json(one) for one in found]))
    elif found:
        for one in found:
            click.echo(f"budget {one.budget}, window {one.span_id}: {one.rule}: {one.detail}")
    else:
        click.echo("Every rule of the ledger holds.")
    if found:
        raise click.exceptions.Exit(1)


def _account_json(account: Account, found: list[Status]) -> dict[str, Any]:
    """Return how an account stands; the fields of its only budget in money at the top, where it has one."""
    money = [one for one in found if one.budget.unit == "usd"]
    head = status_json(money[0]) if len(money) == 1 else {}
    return {"account": str(account), **head, "budgets": [status_json(one) for one in found]}


def _tell_missing(account: Account, window: Window | None) -> None:
    which = "" if window is None else f" per {window}"
    click.echo(f"farebox: {account} has no budget{which}; `farebox budgets list` names those there are", err=True)
    raise click.exceptions.Exit(1)
