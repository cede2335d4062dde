"""Brings the books up to date before a command reads them, as the office does while the gateway runs."""

import time
from functools import cache
from pathlib import Path

import click

from farebox.books.ingest import IngestPlan, IngestReport, ingest_once
from farebox.books.parquet import BooksFailed
from farebox.config import parse
from farebox.errors import ConfigError
from farebox.journal.record import Done, Sent
from farebox.meter import lost
from farebox.prices.book import PriceBook
from farebox.providers.profile import PROFILES
from farebox.state.pricebook import load_book

_WAIT_S = 5.0  # for an office that is ingesting; it is as good as doing it here


def freshen(data_dir: Path, config_path: Path | None) -> IngestReport:
    """Ingest what the journal holds; where that cannot be done, say so and let the books be read as they are."""
    if not data_dir.is_dir():
        return IngestReport()

    @cache
    def price_book() -> PriceBook:
        return load_book(_price_files(config_path))

    def assume(sent: Sent) -> Done:
        return lost(price_book(), sent, time.time_ns())

    try:
        return ingest_once(data_dir, assume, IngestPlan(wait_s=_WAIT_S))
    except (BooksFailed, ConfigError) as error:
        click.echo(f"farebox: the books are shown as they are: {error}", err=True)
        return IngestReport()


def _price_files(config_path: Path | None) -> list[Path]:
    """Return the user's own price files; no secret of the configuration is needed for that."""
    if config_path is None:
        return []
    try:
        text = config_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_path}: cannot be read: {error}") from None
    config = parse(text, str(config_path), lambda value: value, frozenset(PROFILES))
    return [config_path.parent / name for name in config.prices]
