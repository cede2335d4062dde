"""``farebox import``: bring logs and exports of others into the books."""

import json
import time
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
import msgspec

from farebox.cli.book_options import price_files, prices_option
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.cli.progress import show_progress
from farebox.errors import ConfigError
from farebox.imports.formats import FORMATS, Format
from farebox.imports.options import Options
from farebox.imports.run import ImportReport, import_rows, last_offset_ns
from farebox.money import usd_text
from farebox.present.amounts import moment_text, short_usd
from farebox.present.tables import make_console, print_facts, print_table
from farebox.state.archive import use_book
from farebox.state.pushed import list_pushed

_REJECTED = 1
_DAY_NS = 86_400_000_000_000


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--format", "form", required=True, type=click.Choice(list(FORMATS)), help="What wrote the file.")
@click.option("--provider", help="Id in the price book, for records that name none.")
@click.option("--model", help="The model, for records that name none.")
@click.option("--column", "pairs", multiple=True, metavar="NAME=COLUMN", help="jsonl, csv, parquet: a column; repeat.")
@click.option(
    "--map",
    "map_path",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The same as a TOML file of NAME = 'COLUMN'.",
)
@click.option("--zone", default="UTC", show_default=True, help="IANA time zone of times that have none.")
@click.option("--start", metavar="TIME", help="When a trace began whose times count from 0. [default: it ends today]")
@config_option
@data_dir_option
@prices_option
@json_option
def import_logs(
    *,
    files: tuple[Path, ...],
    form: str,
    provider: str | None,
    model: str | None,
    pairs: tuple[str, ...],
    map_path: Path | None,
    zone: str,
    start: str | None,
    config_path: Path | None,
    data_dir: Path,
    own_files: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Bring logs, exports and traces of others into the books, priced line by line.

    Afterwards they are audited like Farebox's own traffic. What is in the books already is passed over, so that an
    export can be imported again. Exit code 1: some records could not be taken; they are kept in a file, with reasons.
    """
    options = Options(provider=provider, model=model, columns=_read_map(pairs, map_path), zone=zone)
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    config = find_config(config_path)
    book = use_book(data_dir, [*(own_files or price_files(config)), *list_pushed(data_dir)])
    reports = []
    for path in files:
        chosen = FORMATS[form]
        placed = msgspec.structs.replace(options, start_ns=_start_ns(chosen, path, options, start))
        with show_progress(path.name, quiet=as_json) as progress:
            reports.append(import_rows(data_dir, form, path, chosen.select(str(path), placed), book, progress))
    if as_json:
        click.echo(json.dumps([_as_dict(path, report) for path, report in zip(files, reports, strict=True)], indent=2))
    else:
        _print(files, reports, data_dir)
    if any(report.rejected for report in reports):
        click.get_current_context().exit(_REJECTED)


def _read_map(pairs: Sequence[str], path: Path | None) -> dict[str, str]:
    columns: dict[str, str] = {}
    if path is not None:
        try:
            found = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"{path}: cannot be read: {error}") from None
        wrong = [name for name, column in found.items() if not isinstance(column, str)]
        if wrong:
            raise ConfigError(f"{path}: {wrong[0]}: write the name of a column, such as {wrong[0]} = 'timestamp'")
        columns |= found
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise click.UsageError(f"--column {pair!r}: write NAME=COLUMN, such as at=timestamp")
        columns[name] = column
    return columns


def _start_ns(chosen: Format, path: Path, options: Options, start: str | None) -> int:
    """Return when a trace began whose times count from its beginning: by default so that it ends today."""
    if start is not None:
        try:
            moment = datetime.fromisoformat(start)
        except ValueError:
            raise click.UsageError(f"--start {start!r}: write a time such as 2026-11-01T00:00:00Z") from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(moment.timestamp()) * 1_000_000_000
    if not chosen.counts_from_start:
        return 0
    last_ns = last_offset_ns(chosen.select(str(path), options))
    return (time.time_ns() - last_ns) // _DAY_NS * _DAY_NS


def _as_dict(path: Path, report: ImportReport) -> dict[str, Any]:
    found = msgspec.structs.asdict(report)
    for name in ("total", "recorded"):
        femto = found.pop(f"{name}_femto")
        found[f"{name}_usd"] = None if femto is None else usd_text(femto)
    found["first"], found["last"] = moment_text(found.pop("first_ns")), moment_text(found.pop("last_ns"))
    found["reasons"] = [msgspec.structs.asdict(reason) for reason in report.reasons]
    return {"file": str(path), **found}


def _print(files: Sequence[Path], reports: Sequence[ImportReport], data_dir: Path) -> None:
    console = make_console()
    for path, report in zip(files, reports, strict=True):
        rows = [("file", path.name), ("records", f"{report.rows:,}"), ("imported", f"{report.imported:,}")]
        if report.requests != report.imported:
            rows.append(("requests", f"{report.requests:,}"))
        if report.duplicates:
            rows.append(("known already", f"{report.duplicates:,}"))
        if report.rejected:
            rows.append(("rejected", f"{report.rejected:,}, kept in {report.rejects}"))
        if report.imported:
            rows.append(("from", f"{moment_text(report.first_ns)} to {moment_text(report.last_ns)}"))
            rows.append(("cost", f"{short_usd(report.total_femto)} (exactly {usd_text(report.total_femto)} USD)"))
        if report.recorded_femto is not None:
            rows.append(("the log says", f"{short_usd(report.recorded_femto)}"))
        if report.unpriced:
            rows.append(("without a price", f"{report.unpriced:,}; see farebox audit"))
        print_facts(console, rows)
        if report.reasons:
            reasons = [(f"{one.rows:,}", f"{one.example:,}", one.reason) for one in report.reasons]
            print_table(console, "Why records were rejected", (">records", ">first", "reason"), reasons)
        console.print()
    if any(report.imported or report.duplicates for report in reports):
        console.print(f"Look at it: farebox audit --data-dir {data_dir}")
