"""The command line: ``farebox COMMAND``. A command's module is imported only when it is called."""

import importlib
import sys

import click

from farebox.errors import FareboxError

# Command by name: its module in this folder, the click command in it, one line of help. In the order of use.
COMMANDS: dict[str, tuple[str, str, str]] = {
    "serve": ("serve", "serve", "Start the gateway."),
    "keys": ("keys", "keys", "Create, list and revoke virtual keys."),
    "audit": ("audit", "audit", "What was called, what it cost and why."),
    "calls": ("calls", "calls", "List calls, or explain one line by line."),
    "price": ("price", "price", "Explain what a request costs."),
    "prices": ("prices", "prices", "Look into the price book, import and check it."),
    "simulate": ("simulate", "simulate", "Start simulated providers that bill."),
    "replay": ("replay", "replay", "Drive a gateway with a recorded trace."),
    "demo": ("demo", "demo", "Show the whole thing at work and compare books and bill."),
}


class _LazyGroup(click.Group):
    """Knows its commands by name and imports one only when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, name, _ = COMMANDS[cmd_name]
        command = getattr(importlib.import_module(f"farebox.cli.{module}"), name)
        assert isinstance(command, click.Command), "the table names click commands"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(package_name="farebox")
def cli() -> None:
    """A self-hosted LLM gateway whose books balance."""


def main() -> None:
    """Run the command line; errors of ours are one line on standard error."""
    try:
        cli.main(standalone_mode=False)
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
