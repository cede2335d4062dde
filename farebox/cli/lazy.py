"""A group of commands whose modules are imported only when they are called."""

import importlib
from collections.abc import Mapping
from typing import Any

import click

# Command by name: its module in this folder, the click command in it, one line of help. In the order of use.
Commands = Mapping[str, tuple[str, str, str]]


class LazyGroup(click.Group):
    """Knows its commands by name and imports one only when it is used."""

    def __init__(self, *args: Any, table: Commands, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of use."""
        del ctx
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None where there is none of that name."""
        del ctx
        if cmd_name not in self._table:
            return None
        module, name, _ = self._table[cmd_name]
        command = getattr(importlib.import_module(f"farebox.cli.{module}"), name)
        assert isinstance(command, click.Command), "the table names click commands"
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, _, text) in self._table.items()])
