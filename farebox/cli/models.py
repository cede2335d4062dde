"""``farebox models``: find models by what they can do and what they cost."""

import json
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

import click

from farebox.analyse.find_models import Found, Wanted, capabilities, find_models, read_models, sort_models
from farebox.cli.book_options import check_provider, load, prices_option
from farebox.cli.options import json_option
from farebox.errors import ConfigError
from farebox.money import FEMTO_PER_USD
from farebox.present.models import models_json, show_models
from farebox.present.tables import make_console
from farebox.prices.book import PriceBook

_SORTS = ("cost", "input", "output", "context", "released", "name")
_EPOCH = date(1970, 1, 1)
_NS_PER_DAY = 86_400_000_000_000
_SUFFIXES = {"k": 1000, "m": 1_000_000}


@click.command()
@click.argument("models", nargs=-1, metavar="[GLOB]...")
@click.option("--supports", metavar="LIST", help="Capabilities, all of them: vision,tools,json_schema,batch,...")
@click.option("--inputs", metavar="LIST", help="Modalities that it reads: text,image,audio,video,document.")
@click.option("--outputs", metavar="LIST", help="Modalities that it makes.")
@click.option("--kind", metavar="LIST", help="chat, embedding, image, audio, rerank, ...")
@click.option("--provider", metavar="LIST", help="Only these providers.")
@click.option("--min-context", metavar="TOKENS", help="At least so large a context window, such as 200k.")
@click.option("--min-output", metavar="TOKENS", help="At least so long an answer.")
@click.option("--max-input-price", metavar="USD", help="Per million tokens of input, at most.")
@click.option("--max-output-price", metavar="USD", help="Per million tokens of output, at most.")
@click.option("--free", is_flag=True, help="Input and output cost an explicit 0.")
@click.option("--active-at", metavar="DATE", help="Models and prices of that day. [default: today]")
@click.option("--all", "everything", is_flag=True, help="Also deprecated, retired, announced and unpriced models.")
@click.option("--sort", "by", type=click.Choice(_SORTS), default="cost", show_default=True)
@click.option("--limit", type=click.IntRange(1, 100_000), default=40, show_default=True, help="How many to show.")
@prices_option
@json_option
def models(
    models: tuple[str, ...], own_files: tuple[Path, ...], *, by: str, limit: int, as_json: bool, **options: Any
) -> None:
    """Find models by capability, modality, context window, date and price, the cheapest first.

    Prices are those of the standard tier for a short request. --sort cost is by a blend of three tokens of input
    for each token of output. What is not known of a model does not fit a filter.
    """
    book = load(own_files)
    wanted = _read_wanted(book, models, options)
    try:
        found = sort_models(find_models(book, wanted), by)
        if not found:
            _check_words(list(read_models(book, wanted)), wanted)
    except ConfigError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(models_json(book, wanted, found[:limit], len(found)), indent=2))
    else:
        show_models(book, wanted, found[:limit], len(found), make_console())


def _read_wanted(book: PriceBook, globs: tuple[str, ...], options: dict[str, Any]) -> Wanted:
    at_ns, day = _read_day(options["active_at"])
    return Wanted(
        at_ns=at_ns,
        day=day,
        models=tuple(globs),
        providers=tuple(check_provider(book, name) for name in _words(options["provider"])),
        kinds=_words(options["kind"]),
        supports=_words(options["supports"]),
        inputs=_words(options["inputs"]),
        outputs=_words(options["outputs"]),
        min_context_tokens=_read_tokens(options["min_context"], "--min-context"),
        min_output_tokens=_read_tokens(options["min_output"], "--min-output"),
        max_input=_read_price(options["max_input_price"], "--max-input-price"),
        max_output=_read_price(options["max_output_price"], "--max-output-price"),
        free=options["free"],
        everything=options["everything"],
    )


def _words(text: str | None) -> tuple[str, ...]:
    return tuple(part.strip() for part in (text or "").split(",") if part.strip())


def _read_day(text: str | None) -> tuple[int, str]:
    """Return an instant and its day: the present, or noon UTC of a day."""
    if text is None:
        now_ns = time.time_ns()
        return now_ns, datetime.fromtimestamp(now_ns // 10**9, UTC).date().isoformat()
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--active-at {text!r}: not a day such as 2026-11-23") from None
    return (day - _EPOCH).days * _NS_PER_DAY + _NS_PER_DAY // 2, day.isoformat()


def _read_tokens(text: str | None, option: str) -> int:
    if text is None:
        return 0
    digits, factor = (text[:-1], _SUFFIXES[text[-1:].lower()]) if text[-1:].lower() in _SUFFIXES else (text, 1)
    try:
        return int(Decimal(digits) * factor)
    except (InvalidOperation, ValueError, OverflowError):
        raise click.UsageError(f"{option} {text!r}: not a number of tokens such as 200000 or 200k") from None


def _read_price(text: str | None, option: str) -> Fraction | None:
    """Return a price in USD as femtodollars."""
    if text is None:
        return None
    try:
        amount = Decimal(text)
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise click.UsageError(f"{option} {text!r}: not an amount of USD such as 0.50")
    return Fraction(amount) * FEMTO_PER_USD


def _check_words(models: list[Found], wanted: Wanted) -> None:
    """Refuse words that no model is described with: a misspelt one must not look like an empty answer.

    Raises:
        click.UsageError: naming the words there are.
    """
    known = (
        ("--supports", wanted.supports, capabilities(iter(models))),
        ("--inputs", wanted.inputs, _all(found.about.inputs for found in models)),
        ("--outputs", wanted.outputs, _all(found.about.outputs for found in models)),
        ("--kind", wanted.kinds, _all((found.about.kind,) for found in models)),
    )
    for option, words, there in known:
        for word in words:
            if models and word not in there:
                raise click.UsageError(f"{option} {word}: no model has it; there are {', '.join(sorted(there))}")


def _all(groups: Iterable[tuple[str, ...]]) -> set[str]:
    return {word for group in groups for word in group if word}
