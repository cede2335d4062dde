"""``farebox price``: explain one charge line by line, or price a stream of usage objects."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from farebox.charge import Charge
from farebox.cli.book_options import (
    at_option,
    find_provider,
    load,
    meter_options,
    prices_option,
    rating_of,
    read_instant,
    read_object,
    take_meters,
    usage_of,
)
from farebox.cli.options import json_option
from farebox.cli.price_lines import failure_code, price_lines
from farebox.errors import FareboxError
from farebox.present.explained import explanation_json, say, show_explanation
from farebox.present.settled_later import settled_later
from farebox.present.tables import make_console
from farebox.prices.choose import Rating
from farebox.prices.explain import explain
from farebox.quote import read_rating

_UNPRICED = 1
# Options that stand for a key of the context.
_CONTEXT_KEYS = {"api": "api", "service_tier": "service_tier", "speed": "speed", "region": "region"}


@click.command()
@click.argument("model", required=False)
@click.option("--model", "named", metavar="MODEL", help="The same as the argument.")
@click.option("--provider", help="Id in the price book. [default: who makes the model]")
@click.option(
    "--usage", "usage_from", metavar="JSON|FILE|-", help="A provider's raw usage object, or its whole answer."
)
@click.option("--context", "context_from", metavar="JSON|FILE|-", help="Tier, region, deployment, time, ...")
@click.option("--api", metavar="API", help="Which API the usage is of, such as chat, responses or messages.")
@click.option("--service-tier", metavar="TIER", help="As the provider's answer names it.")
@click.option("--batch", is_flag=True, help="The attempt went through a batch channel.")
@click.option("--speed", metavar="SPEED", help="As the provider's answer names it.")
@click.option("--region", metavar="REGION", help="Region of the inference or of the endpoint.")
@meter_options
@at_option
@click.option(
    "--jsonl",
    "lines_from",
    is_flag=False,
    flag_value="-",
    metavar="[FILE|-]",
    help="Price lines of {id, provider, model, usage, context} from a file or standard input.",
)
@prices_option
@json_option
def price(model: str | None, named: str | None, own_files: tuple[Path, ...], *, as_json: bool, **options: Any) -> None:
    """Explain what one use of MODEL costs, line by line.

    Give the meters (they are disjoint: --input is what was neither read from nor written to the cache), or a
    provider's raw usage object with --usage. With --jsonl, price one usage object a line, in order. Exit code 1:
    something cannot be priced.
    """
    book = load(own_files)
    lines_from = options.pop("lines_from")
    if lines_from is not None:
        _refuse_beside_lines(model or named, options)
        price_lines(book, lines_from)
        return
    if (model is None) == (named is None):
        raise click.UsageError("name one MODEL, such as `farebox price gpt-4o --input 1000 --output 200`")
    try:
        provider, name, others = find_provider(book, model or named or "", options["provider"])
        rating = _read_rating((provider, name), options)
        explanation = explain(book, rating)
        later = settled_later(book, rating, explanation)
    except (FareboxError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        said = {**explanation_json(rating, explanation), "settled_later": later, "also_priced_by": others}
        if "error" in said:
            said["error"]["code"] = failure_code(book, rating)
        click.echo(json.dumps(said, indent=2))
    else:
        console = make_console()
        show_explanation(book, rating, explanation, console)
        if later:
            say(console, "\nSettled at the end of the period, and not in this charge:")
        for each in later:
            say(console, f"          {each}")
        if others:
            say(console, f"\nalso      priced by {', '.join(others)}: see --provider, or farebox compare")
    if not isinstance(explanation.result, Charge):
        sys.exit(_UNPRICED)


def _refuse_beside_lines(model: str | None, options: dict[str, Any]) -> None:
    """Refuse options that the lines of --jsonl say themselves."""
    meters = take_meters(options)
    given = [name.removesuffix("_from") for name, value in options.items() if value] + list(meters)
    if model or given:
        named = "a model" if model else f"--{given[0].replace('_', '-')}"
        raise click.UsageError(f"--jsonl takes everything from its lines: leave out {named}")


def _read_rating(named: tuple[str, str], options: dict[str, Any]) -> Rating:
    meters = take_meters(options)
    context = {} if options["context_from"] is None else read_object(options["context_from"], "--context")
    context |= {key: options[name] for name, key in _CONTEXT_KEYS.items() if options[name] is not None}
    if options["batch"]:
        context["processing"] = "batch"
    if options["at"] is not None:
        context["time"] = options["at"]
    now_ns = read_instant(options["at"])
    if meters:
        if options["usage_from"] is not None:
            raise click.UsageError("give either --usage or meters, not both")
        return rating_of(named, usage_of(meters), context, now_ns)
    if options["usage_from"] is None:
        raise click.UsageError("say what was used: --input N --output N, --meter NAME=QUANTITY or --usage JSON")
    return read_rating(*named, read_object(options["usage_from"], "--usage"), context, now_ns)
