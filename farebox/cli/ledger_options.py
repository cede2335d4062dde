"""What the commands on budgets, limits and wallets share: which ledger, and how its errors end."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import click
import msgspec

from farebox.budgets.authority import Authority, StoreUnavailable
from farebox.cli.options import config_option, data_dir_option, find_config
from farebox.config.tables import Config
from farebox.prices.book import PriceBook
from farebox.state.budget_tables import budgets_of
from farebox.state.ledger_authority import open_authority
from farebox.state.pricebook import load_book
from farebox.state.settings import read_config


class LedgerAt(msgspec.Struct, frozen=True):
    """Where a ledger is: what the options say."""

    data_dir: Path
    config_path: Path | None
    ledger_url: str | None

    def config(self) -> Config:
        """Return the configuration."""
        return read_config(find_config(self.config_path), os.environ)

    def book(self) -> PriceBook:
        """Return the price book, with the files of the configuration."""
        path = find_config(self.config_path)
        base = Path() if path is None else path.parent
        return load_book([base / name for name in self.config().prices])


def ledger_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--data-dir``, ``--config`` and ``--ledger``; the command is given them as ``at``, a `LedgerAt`."""

    @wraps(command)
    def with_ledger(*, data_dir: Path, config_path: Path | None, ledger_url: str | None, **given: Any) -> None:
        command(at=LedgerAt(data_dir, config_path, ledger_url), **given)

    option = click.option(
        "--ledger",
        "ledger_url",
        envvar="FAREBOX_LEDGER",
        help="URL of the ledger, postgresql://... [default: the configuration's, else a file in the data directory]",
    )
    return data_dir_option(config_option(option(with_ledger)))


@contextmanager
def opened(at: LedgerAt) -> Iterator[Authority]:
    """Open a ledger; one that cannot be reached ends the command with exit code 1 and what to do.

    The budgets of the configuration are put into it first, as the gateway does.
    """
    config = at.config()
    at.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    authority = open_authority(at.data_dir, at.ledger_url or config.spending.ledger or None)
    try:
        if config.budgets:
            authority.align(budgets_of(config, at.book(), time.time_ns()))
        yield authority
    except StoreUnavailable as error:
        click.echo(f"farebox: the ledger of budgets cannot be reached: {error.detail}", err=True)
        click.echo("Check that it runs and that --ledger or [spending] ledger names it; then try again.", err=True)
        raise click.exceptions.Exit(1) from None
    finally:
        authority.close()


def say_when_in_force() -> str:
    """Return the words that end every change."""
    return "Running workers follow within a second."
