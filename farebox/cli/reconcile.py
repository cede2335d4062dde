"""``farebox reconcile``: an invoice or cost export beside the books, line by line."""

import json
from pathlib import Path

import click

from farebox.books.query import Books
from farebox.books.rows import Window
from farebox.cli.book_options import price_files
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.present.reconciled import reconciled_csv, reconciled_json, show_reconciled
from farebox.present.tables import make_console
from farebox.prices.book import PriceBook
from farebox.reconcile.billed import WrongInvoice
from farebox.reconcile.formats import COLUMNS, FORMATS, read_lines, sniff
from farebox.reconcile.match import HOUR_NS, OPEN, Booked, reconcile
from farebox.state.pricebook import load_book

_MARGIN_NS = 15 * HOUR_NS
_OPEN = 1


@click.command("reconcile")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--provider", required=True, help="Whose invoice it is: id in the price book.")
@click.option("--format", "form", type=click.Choice(FORMATS), help="[default: by what stands in the file]")
@click.option(
    "--column", "pairs", multiple=True, metavar="NAME=COLUMN", help=f"csv: a column: {', '.join(COLUMNS)}; repeat."
)
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV: a row for each line.")
@config_option
@data_dir_option
@json_option
def reconcile_invoice(
    *,
    file: Path,
    provider: str,
    form: str | None,
    pairs: tuple[str, ...],
    as_csv: bool,
    config_path: Path | None,
    data_dir: Path,
    as_json: bool,
) -> None:
    """Put what a provider billed beside what is booked, and say why they differ, to the last digit.

    Quantities are compared first, then unit prices, then money. Exit code 1: a difference has no explanation.
    """
    columns = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not (name and equals and column):
            raise click.UsageError(f"--column {pair!r}: write NAME=COLUMN, such as amount=cost")
        columns[name] = column
    try:
        text = file.read_text(encoding="utf-8-sig")
        billed = read_lines(text, form or ("csv" if columns else sniff(text)), columns)
    except (OSError, UnicodeDecodeError) as error:
        raise WrongInvoice(f"{file}: cannot be read: {error}") from None
    except WrongInvoice as error:
        raise WrongInvoice(f"{file}: {error}") from None
    config = find_config(config_path)
    freshen(data_dir, config)
    window = Window(
        since_ns=min(line.start_ns for line in billed) - _MARGIN_NS,
        until_ns=max(line.end_ns for line in billed) + _MARGIN_NS,
    )
    with Books(data_dir, window) as books:
        booked = _booked(books, provider)
    book = load_book(price_files(config))
    result = reconcile(billed, booked, lambda name: _name_of(book, provider, name))
    if as_json:
        click.echo(json.dumps(reconciled_json(result), indent=2))
    elif as_csv:
        click.echo(reconciled_csv(result), nl=False)
    else:
        show_reconciled(result, make_console())
    if any(cause in OPEN for cause in result.causes):
        click.get_current_context().exit(_OPEN)


def _booked(books: Books, provider: str) -> list[Booked]:
    """Return what is booked at a provider, by hour, model and meter; steps of contracts belong to their meter."""
    rows = books.ask(
        """
        SELECT epoch_ns(sent_at) // 3600000000000 * 3600000000000 AS hour,
            coalesce(nullif(answered_model, ''), model) AS name, line.meter,
            coalesce(sum(line.quantity) FILTER (NOT starts_with(line.rate, 'contract/')
                AND NOT ends_with(line.rate, '!least')), 0),
            sum(line.amount_femto), count(DISTINCT attempt)
        FROM (SELECT sent_at, attempt, answered_model, model, unnest(lines) AS line FROM attempts
            WHERE rate_provider = $provider)
        GROUP BY hour, name, line.meter
        """,
        {"provider": provider},
    )
    return [
        Booked(hour, model, meter, int(quantity), int(amount), attempts)
        for hour, model, meter, quantity, amount, attempts in rows
    ]


def _name_of(book: PriceBook, provider: str, name: str) -> str:
    """Return the price book's name of a model, or the given one where the book does not know it."""
    found = book.find_model(provider, name)
    return name if found is None else found[0].id
