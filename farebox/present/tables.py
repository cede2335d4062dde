"""Plain tables that fit 80 columns, and the console they go to."""

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table


def make_console() -> Console:
    """Return a console that prints text as it is."""
    return Console(highlight=False, markup=False, emoji=False)


def print_facts(console: Console, rows: Iterable[Sequence[str]]) -> None:
    """Print names and what they are, without a head."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_table(console: Console, title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table under its title; a column whose name starts with ``>`` is aligned to the right.

    Text folds where the width does not suffice; nothing is cut off.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), title_justify="left")
    for index, name in enumerate(columns):
        table.add_column(name.removeprefix(">"), justify="right" if name.startswith(">") else "left", overflow="fold")
        table.columns[index].no_wrap = name.startswith(">")
    for row in rows:
        table.add_row(*row)
    console.print()
    if title:
        console.print(title, style="bold")
    console.print(table)
