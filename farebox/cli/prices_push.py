"""``farebox prices push``, ``pushed`` and ``withdraw``: prices for a gateway that is running."""

from pathlib import Path

import click
import msgspec

from farebox.cli.book_options import price_files
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.errors import ConfigError
from farebox.present.tables import make_console, print_table
from farebox.state.pricebook import load_book
from farebox.state.pushed import list_pushed, name_of, withdraw
from farebox.state.pushed import push as put_in_force


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--name", default="", help="What it is called. [default: the file's name]")
@config_option
@data_dir_option
def push(file: Path, name: str, config_path: Path | None, data_dir: Path) -> None:
    """Put the prices in a file in force, in place of those there are for the same models.

    Running gateways go by them within a second.
    """
    name = name or file.stem.lower()
    data = file.read_bytes()
    others = [path for path in list_pushed(data_dir) if name_of(path) != name]
    try:
        load_book([*price_files(find_config(config_path)), *others, file])
    except ConfigError as error:
        raise click.UsageError(f"{error}; nothing was changed") from None
    put_in_force(data_dir, name, data)
    click.echo(f"The prices {name} are in force. Take them out again: farebox prices withdraw {name}")


@click.command()
@data_dir_option
@json_option
def pushed(data_dir: Path, *, as_json: bool) -> None:
    """List the price files that were pushed."""
    names = [name_of(path) for path in list_pushed(data_dir)]
    if as_json:
        click.echo(msgspec.json.encode({"pushed": names}))
    elif names:
        print_table(make_console(), "Pushed prices", ("name",), [(name,) for name in names])
    else:
        click.echo("No prices are pushed.")


@click.command("withdraw")
@click.argument("name")
@data_dir_option
def withdraw_prices(name: str, data_dir: Path) -> None:
    """Take pushed prices out of force."""
    if not withdraw(data_dir, name):
        there = ", ".join(name_of(path) for path in list_pushed(data_dir)) or "none"
        raise click.UsageError(f"no prices are pushed as {name!r}; there are {there}")
    click.echo(f"The prices {name} are not in force any more.")
