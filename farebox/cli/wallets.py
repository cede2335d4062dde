"""``farebox wallets``: prepaid money."""

import re

import click
import msgspec

from farebox.budgets.account import read_account
from farebox.cli.ledger_options import LedgerAt, ledger_options, opened, say_when_in_force
from farebox.cli.options import json_option
from farebox.money import femto_from_usd, usd_text
from farebox.present.budgets import budget_json, movement_json, show_movements, show_statuses, status_json
from farebox.present.tables import make_console

_AMOUNT = re.compile(r"-?\d{1,15}(\.\d{1,15})?")


@click.group()
def wallets() -> None:
    """Pay in advance: an account spends what was paid in, and is refused at zero."""


@wallets.command(name="top-up")
@click.argument("account")
@click.argument("usd")
@click.option("--note", default="", help="For the statement.")
@ledger_options
@json_option
def top_up(account: str, usd: str, at: LedgerAt, as_json: bool, note: str) -> None:
    """Pay USD into the wallet of ACCOUNT, which is made on first use; a negative amount is paid out."""
    whose = read_account(account)
    amount_femto = _read_usd(usd)
    with opened(at) as authority:
        wallet = authority.top_up(whose, amount_femto, note)
    if as_json:
        click.echo(msgspec.json.encode(budget_json(wallet)))
    else:
        click.echo(f"{whose}: {usd_text(wallet.limit)} USD were paid in so far. {say_when_in_force()}")


@wallets.command()
@click.argument("account", required=False)
@ledger_options
@json_option
def show(account: str | None, at: LedgerAt, as_json: bool) -> None:
    """Show what is left in the wallet of ACCOUNT, or in all."""
    whose = None if account is None else read_account(account)
    with opened(at) as authority:
        found = [one for one in authority.status(whose) if one.budget.wallet]
    if as_json:
        click.echo(msgspec.json.encode([status_json(one) for one in found]))
    elif found:
        show_statuses(found, make_console(), "")
    if not found:
        if not as_json:
            click.echo("There is no such wallet. Make one: farebox wallets top-up ACCOUNT 50", err=True)
        raise click.exceptions.Exit(1)


@wallets.command()
@click.argument("account")
@click.option("--limit", type=click.IntRange(1, 1_000_000), default=1000, show_default=True, help="How many lines.")
@ledger_options
@json_option
def statement(account: str, at: LedgerAt, as_json: bool, limit: int) -> None:
    """List every movement of the wallet of ACCOUNT with the balance after it, newest first."""
    whose = read_account(account)
    with opened(at) as authority:
        known = {one.id: one for one in authority.budgets()}
        lines = [line for line in authority.movements(whose, limit) if line.balance is not None]
    if as_json:
        click.echo(msgspec.json.encode([movement_json(line, known.get(line.budget)) for line in lines]))
    elif lines:
        show_movements(lines, known, make_console(), f"Wallet of {whose}")
    else:
        click.echo(f"{whose} has no wallet. Make one: farebox wallets top-up {whose} 50", err=True)
        raise click.exceptions.Exit(1)


def _read_usd(text: str) -> int:
    if _AMOUNT.fullmatch(text) is None:
        raise click.BadParameter(f"{text!r} is no amount in USD such as 50 or 12.50", param_hint="USD")
    return femto_from_usd(text)
