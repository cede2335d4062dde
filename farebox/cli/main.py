"""The command line: ``farebox COMMAND``. A command's module is imported only when it is called."""

import sys

import click

from farebox.cli.lazy import Commands, LazyGroup
from farebox.errors import FareboxError

COMMANDS: Commands = {
    "serve": ("serve", "serve", "Start the gateway."),
    "config": ("config", "config", "Check a configuration before it is in force."),
    "keys": ("keys", "keys", "Create, list and revoke virtual keys."),
    "budgets": ("budgets", "budgets", "Cap what accounts may spend."),
    "limits": ("limits", "limits", "Limit requests, tokens and calls under way."),
    "wallets": ("wallets", "wallets", "Prepaid money: top up, balance, statement."),
    "flags": ("flags", "flags", "Flag what behaves unlike itself, for policies to act on."),
    "route": ("route", "route", "See where calls go, and why."),
    "audit": ("audit", "audit", "What was called, what it cost and why."),
    "import": ("import_logs", "import_logs", "Bring logs and exports of others into the books."),
    "whatif": ("whatif", "whatif", "Price recorded traffic under other schemes."),
    "tco": ("tco", "tco", "What traffic like the recorded will cost in months to come."),
    "anomalies": ("anomalies", "anomalies", "What spent unlike itself, why, and how much."),
    "reconcile": ("reconcile", "reconcile_invoice", "Put an invoice beside the books, line by line."),
    "export": ("export", "export", "Write the books in the forms that others read."),
    "calls": ("calls", "calls", "List calls, or explain one line by line."),
    "price": ("price", "price", "Explain what a request costs, or price a stream of them."),
    "compare": ("compare", "compare", "Put models and tiers side by side."),
    "models": ("models", "models", "Find models by what they can do and what they cost."),
    "prices": ("prices", "prices", "Look into the price book, its history and its archive."),
    "simulate": ("simulate", "simulate", "Start simulated providers that bill."),
    "replay": ("replay", "replay", "Drive a gateway with a recorded trace."),
    "demo": ("demo", "demo", "Show the whole thing at work and compare books and bill."),
}


@click.group(
    cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80}
)
@click.version_option(package_name="farebox")
def cli() -> None:
    """A self-hosted LLM gateway whose books balance."""


def main() -> None:
    """Run the command line; errors of ours are one line on standard error."""
    try:
        code = cli.main(standalone_mode=False)
        if isinstance(code, int):  # how a command that is left early ends
            sys.exit(code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except FareboxError as error:
        click.echo(f"farebox: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)


if __name__ == "__main__":
    main()
