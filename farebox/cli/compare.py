"""``farebox compare``: the same usage at several models and tiers, side by side."""

import json
import sys
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import click

from farebox.analyse.compare_models import Terms, compare_models
from farebox.charge import Charge
from farebox.cli.book_options import (
    at_option,
    check_provider,
    load,
    meter_options,
    prices_option,
    read_instant,
    read_object,
    read_quantity,
    take_meters,
    usage_of,
)
from farebox.cli.options import json_option
from farebox.errors import FareboxError
from farebox.normalise.context import read_context
from farebox.present.compared import compared_json, show_compared
from farebox.present.tables import make_console
from farebox.prices.book import PriceBook
from farebox.prices.rates import STANDARD
from farebox.quote import read_usage
from farebox.usage import METERS, Usage

_UNPRICED = 1
_GLOB = frozenset("*?[")


@click.command()
@click.argument("models", nargs=-1, required=True, metavar="MODEL...")
@click.option("--usage", "usage_from", metavar="JSON|FILE|-", help="Meters, or a provider's raw usage object.")
@click.option("--provider", help="Only this provider's models.")
@click.option("--tiers", default=STANDARD, show_default=True, metavar="LIST", help="Such as standard,batch,flex.")
@click.option("--context", "context_from", metavar="JSON|FILE|-", help="Region, deployment, time, ...")
@click.option("--region", metavar="REGION", help="Region of the inference or of the endpoint.")
@meter_options
@at_option
@prices_option
@json_option
def compare(models: tuple[str, ...], own_files: tuple[Path, ...], *, as_json: bool, **options: Any) -> None:
    """Compare what the same usage costs at each MODEL and tier, the cheapest first.

    MODEL is an id, provider/id, or a glob such as 'claude-*'. An id that several providers price is compared at all
    of them. Exit code 1: nothing of it can be priced.
    """
    book = load(own_files)
    try:
        chosen = _choose_models(book, models, options["provider"])
        terms = _read_terms(chosen, options)
        found = compare_models(book, chosen, terms)
    except (FareboxError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(compared_json(book, terms, found), indent=2))
    else:
        show_compared(book, terms, found, make_console())
    if not any(isinstance(each.result, Charge) for each in found):
        sys.exit(_UNPRICED)


def _choose_models(book: PriceBook, wanted: tuple[str, ...], only: str | None) -> list[tuple[str, str]]:
    """Return provider and id of the models that are meant, in the order they were named.

    Raises:
        click.UsageError: where one means no model.
    """
    providers = [check_provider(book, only)] if only else book.providers()
    chosen: dict[tuple[str, str], None] = {}
    for name in wanted:
        found = _expand(book, name, providers)
        if not found:
            raise click.UsageError(f"no card knows {name}; farebox models lists what there is")
        chosen.update(dict.fromkeys(found))
    return list(chosen)


def _expand(book: PriceBook, name: str, providers: list[str]) -> list[tuple[str, str]]:
    head, slash, rest = name.partition("/")
    if slash and head in providers:
        at_head = _expand_at(book, rest, head)
        if at_head:
            return at_head
    found = [pair for provider in providers for pair in _expand_at(book, name, provider)]
    if not found and slash and _GLOB & set(head):
        fitting = [provider for provider in providers if fnmatchcase(provider, head)]
        found = [pair for provider in fitting for pair in _expand_at(book, rest, provider)]
    return found


def _expand_at(book: PriceBook, name: str, provider: str) -> list[tuple[str, str]]:
    """Return the models of a provider that a name or a glob means; a name keeps its own spelling."""
    if not _GLOB & set(name):
        return [(provider, name)] if book.find_model(provider, name) else []
    card = book.card(provider)
    return [(provider, model.id) for model in (card.models if card else ()) if fnmatchcase(model.id, name)]


def _read_terms(models: list[tuple[str, str]], options: dict[str, Any]) -> Terms:
    known = read_context({} if options["context_from"] is None else read_object(options["context_from"], "--context"))
    said_ns = known.at_ns if options["at"] is None else None
    return Terms(
        usage=_read_usage(models, known.api, options),
        at_ns=read_instant(options["at"]) if said_ns is None else said_ns,
        tiers=_read_tiers(options["tiers"]),
        region=options["region"] or known.region,
        facts=known.facts,
    )


def _read_usage(models: list[tuple[str, str]], api: str, options: dict[str, Any]) -> Usage:
    meters = take_meters(options)
    given = options["usage_from"]
    if (given is None) == (not meters):
        raise click.UsageError("say what is used: either --input N --output N and the like, or --usage JSON")
    if given is None:
        return usage_of(meters)
    raw = read_object(given, "--usage")
    if raw and set(raw) <= set(METERS):
        return usage_of({name: read_quantity(name, str(raw[name]), "--usage") for name in METERS if name in raw})
    return read_usage(*models[0], raw, api)


def _read_tiers(text: str) -> tuple[str, ...]:
    tiers = tuple(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    if not tiers:
        raise click.UsageError("--tiers: name at least one, such as standard,batch")
    return tiers
