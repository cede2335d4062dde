"""``farebox keys``: virtual keys."""

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.table import Table

from farebox.cli.options import data_dir_option, json_option
from farebox.state.keys import KeyRow, KeyStore, load_pepper


@click.group()
def keys() -> None:
    """Create, list and revoke virtual keys."""


@keys.command()
@click.argument("name")
@click.option("--team", default="", help="Team that the key belongs to.")
@click.option("--project", default="", help="Project that the key belongs to.")
@data_dir_option
@json_option
def create(name: str, team: str, project: str, data_dir: Path, as_json: bool) -> None:
    """Create a key for NAME; it is shown once.

    From the first key on, every call needs one.
    """
    if not name.strip() or len(name) > 200:
        raise click.UsageError("NAME must have 1 to 200 characters.")
    if len(team) > 200 or len(project) > 200:
        raise click.UsageError("--team and --project have at most 200 characters.")
    row, key = _store(data_dir).create(name, time.time_ns(), team, project)
    if as_json:
        click.echo(msgspec.json.encode({**_as_dict(row), "key": key}))
        return
    click.echo(key)
    click.echo(f"Key {row.id} for {name!r}. It is shown only now; keep it. It works within a second.", err=True)


@keys.command(name="list")
@data_dir_option
@json_option
def list_keys(data_dir: Path, as_json: bool) -> None:
    """List keys, without their secrets."""
    rows = _store(data_dir).list()
    if as_json:
        click.echo(msgspec.json.encode([_as_dict(row) for row in rows]))
        return
    if not rows:
        click.echo("No key has been created. Create one with 'farebox keys create NAME'.")
        return
    table = Table("id", "name", "team", "project", "created", "state", box=None, pad_edge=False)
    for row in rows:
        state = "valid" if row.revoked_ns is None else f"revoked {_when(row.revoked_ns)}"
        table.add_row(row.id, row.name, row.team, row.project, _when(row.created_ns), state)
    Console(highlight=False).print(table)


@keys.command()
@click.argument("key")
@data_dir_option
@json_option
def revoke(key: str, data_dir: Path, as_json: bool) -> None:
    """Revoke KEY, an id or a name; it stops working within a second."""
    row = _store(data_dir).revoke(key, time.time_ns())
    if row is None:
        click.echo(f"farebox: no valid key has the id or name {key!r}; see 'farebox keys list'", err=True)
        raise click.exceptions.Exit(1)
    if as_json:
        click.echo(msgspec.json.encode(_as_dict(row)))
    else:
        click.echo(f"Key {row.id} of {row.name!r} is revoked; it stops working within a second.")


def _store(data_dir: Path) -> KeyStore:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    return KeyStore(data_dir, load_pepper(data_dir, os.environ.get("FAREBOX_PEPPER")))


def _when(at_ns: int) -> str:
    return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M")


def _as_dict(row: KeyRow) -> dict[str, str | None]:
    created = datetime.fromtimestamp(row.created_ns / 1e9, UTC).isoformat()
    revoked = None if row.revoked_ns is None else datetime.fromtimestamp(row.revoked_ns / 1e9, UTC).isoformat()
    return {
        "id": row.id,
        "name": row.name,
        "team": row.team or None,
        "project": row.project or None,
        "created": created,
        "revoked": revoked,
    }
