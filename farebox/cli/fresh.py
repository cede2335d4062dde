"""Brings the books up to date before a command reads them, as the office does while the gateway runs."""

import time
from functools import cache
from pathlib import Path

import click

from farebox.books.ingest import IngestPlan, IngestReport, ingest_once
from farebox.books.parquet import BooksFailed
from farebox.cli.book_options import price_files
from farebox.errors import ConfigError
from farebox.journal.record import Done, Sent
from farebox.meter import lost
from farebox.prices.book import PriceBook
from farebox.state.archive import use_book
from farebox.state.pushed import list_pushed

_WAIT_S = 5.0  # for an office that is ingesting; it is as good as doing it here


def freshen(data_dir: Path, config_path: Path | None) -> IngestReport:
    """Ingest what the journal holds; where that cannot be done, say so and let the books be read as they are."""
    if not data_dir.is_dir():
        return IngestReport()

    @cache
    def price_book() -> PriceBook:
        return use_book(data_dir, [*price_files(config_path), *list_pushed(data_dir)])

    def assume(sent: Sent) -> Done:
        return lost(price_book(), sent, time.time_ns())

    try:
        return ingest_once(data_dir, assume, IngestPlan(wait_s=_WAIT_S))
    except (BooksFailed, ConfigError) as error:
        click.echo(f"farebox: the books are shown as they are: {error}", err=True)
        return IngestReport()
