"""What the commands about prices share: whose book, which provider, what time, a usage given in meters."""

import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import click

from farebox.cli.options import find_config
from farebox.config.parse import parse
from farebox.errors import ConfigError
from farebox.normalise.allowances import read_allowances
from farebox.normalise.context import read_context
from farebox.normalise.detect import provider_id
from farebox.prices.arithmetic import parse_units
from farebox.prices.book import PriceBook
from farebox.prices.choose import Position, Rating
from farebox.prices.rates import Model
from farebox.providers.profile import PROFILES
from farebox.state.pricebook import load_book
from farebox.usage import METERS, Usage

_Command = TypeVar("_Command", bound=Callable[..., Any])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Meters that have an option of their own; all others are given with --meter.
_PLAIN = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning")
_SUGGESTED = 4
# Who sells models of its own: where several providers price an id, the first of these is meant. Those that sell
# other makers' models too come last.
MAKERS = (
    *("openai", "anthropic", "deepseek", "x-ai", "mistral", "cohere", "perplexity", "dashscope", "moonshotai"),
    *("minimax", "zai", "google", "aws"),
)


def prices_option(command: _Command) -> _Command:
    """Add ``--prices``."""
    return click.option(
        "--prices",
        "own_files",
        type=click.Path(path_type=Path),
        multiple=True,
        help="File with own prices. [default: those of farebox.toml, if it is there]",
    )(command)


def at_option(command: _Command) -> _Command:
    """Add ``--at``."""
    return click.option("--at", metavar="TIME", help="ISO 8601, such as 2026-07-30T00:00:00Z. [default: now]")(command)


def meter_options(command: _Command) -> _Command:
    """Add ``--input`` and the like, and ``--meter``."""
    command = click.option(
        "--meter",
        "more_meters",
        multiple=True,
        metavar="NAME=QUANTITY",
        help="Any meter, such as web_search=2 or audio_time='90 s'.",
    )(command)
    for meter in reversed(_PLAIN):
        command = click.option(
            f"--{meter.replace('_', '-')}",
            f"meter_{meter}",
            type=click.IntRange(min=0),
            metavar="N",
            help=f"{METERS[meter].meaning[0].upper()}{METERS[meter].meaning[1:]}.",
        )(command)
    return command


def load(own_files: Iterable[Path]) -> PriceBook:
    """Return the book of the shipped cards and a user's files.

    Raises:
        click.UsageError: where a file has a fault.
    """
    try:
        return load_book(own_files_or_configured(tuple(own_files)))
    except ConfigError as error:
        raise click.UsageError(str(error)) from None


def own_files_or_configured(own_files: tuple[Path, ...]) -> list[Path]:
    """Return the files that were named, or those of the configuration in this folder."""
    return list(own_files) or price_files(find_config(None))


def price_files(config_path: Path | None) -> list[Path]:
    """Return the price files that a configuration names; no secret of it is needed for that.

    Raises:
        ConfigError: where the configuration cannot be read.
    """
    if config_path is None:
        return []
    try:
        text = config_path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{config_path}: cannot be read: {error}") from None
    config = parse(text, str(config_path), lambda value: value, frozenset(PROFILES))
    return [config_path.parent / name for name in config.prices]


def find_provider(book: PriceBook, model: str, provider: str | None) -> tuple[str, str, list[str]]:
    """Return the provider to take, the model's name there, and the others that price the model.

    It is the provider that was named, be it as ``provider/model``; else the only one whose card knows the model;
    else the one that makes it, if it is among `MAKERS`.

    Raises:
        click.UsageError: where it cannot be told.
    """
    if provider is not None:
        return provider_id(provider), model, []
    head, _, rest = model.partition("/")
    if rest and book.find_model(provider_id(head), rest):
        return provider_id(head), rest, []
    known = providers_of(book, model)
    makers = [name for name in MAKERS if name in known]
    if len(known) == 1 or makers:
        chosen = makers[0] if makers else known[0]
        return chosen, model, [name for name in known if name != chosen]
    if known:
        raise click.UsageError(f"{model} is priced by {', '.join(known)}; say which with --provider")
    raise click.UsageError(f"no card knows {model}{_suggest(book, model)}")


def providers_of(book: PriceBook, model: str) -> list[str]:
    """Return the providers whose cards know a model by that name."""
    return [name for name in book.providers() if book.find_model(name, model)]


def check_provider(book: PriceBook, provider: str) -> str:
    """Return the provider if it has a card.

    Raises:
        click.UsageError: where it has none.
    """
    if provider not in book.providers():
        raise click.UsageError(f"no card of {provider!r}; there are {', '.join(book.providers())}")
    return provider


def read_instant(text: str | None) -> int:
    """Return an ISO 8601 time as nanoseconds since the epoch, UTC unless it says otherwise; the present for none.

    Raises:
        click.UsageError: where it is no time.
    """
    if text is None:
        return time.time_ns()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--at {text!r}: not an ISO 8601 time such as 2026-07-30T00:00:00Z") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return (instant - _EPOCH) // timedelta(microseconds=1) * 1000


def read_object(given: str, option: str) -> dict[str, Any]:
    """Return a JSON object given as text, as a file or on standard input (``-``); decimals stay as they stand.

    Raises:
        click.UsageError: where it is none.
    """
    if given == "-":
        text = sys.stdin.read()
    elif given.lstrip().startswith(("{", "[")):
        text = given
    else:
        try:
            text = Path(given).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{option} {given}: {getattr(error, 'strerror', None) or error}") from None
    try:
        found = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{option} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise click.UsageError(f'{option} must be a JSON object such as {{"input_tokens": 100}}')
    return found


def take_meters(options: dict[str, Any]) -> dict[str, int]:
    """Return the quantities that were given by options, of each meter's smallest part, in the order of the meters.

    Raises:
        click.UsageError: where a meter or a quantity is none.
    """
    given = {name: options.pop(f"meter_{name}") for name in _PLAIN}
    quantities: dict[str, int] = {name: count for name, count in given.items() if count is not None}
    for text in options.pop("more_meters"):
        name, equals, quantity = text.partition("=")
        name = name.strip().replace("-", "_")
        if not equals:
            raise click.UsageError(f"--meter {text}: write NAME=QUANTITY, such as web_search=2")
        quantities[name] = read_quantity(name, quantity, "--meter")
    return {name: quantities[name] for name in METERS if name in quantities}


def read_quantity(meter: str, quantity: str, option: str) -> int:
    """Return a quantity as text as a number of the meter's smallest part.

    Raises:
        click.UsageError: where there is no such meter or it is no quantity of it.
    """
    if meter not in METERS:
        raise click.UsageError(f"{option}: unknown meter {meter!r}; there are {', '.join(METERS)}")
    try:
        return parse_units(quantity, meter)
    except ValueError as error:
        raise click.UsageError(f"{option} {meter}: {error}") from None


def rating_of(named: tuple[str, str], usage: Usage, context: dict[str, Any], now_ns: int) -> Rating:
    """Return what there is to price of a usage that is given in meters.

    Args:
        named: provider and model.
        usage: the meters.
        context: tier, region, time and whatever else the price depends on.
        now_ns: the time where the context says none, nanoseconds since the epoch.

    Raises:
        BadContext: where a value of the context cannot be used.
    """
    known = read_context(context)
    tier, processing = known.service_tier, known.processing
    if tier == "batch":
        tier, processing = None, "batch"
    period = read_allowances({}, context, usage.meters, None)
    return Rating(
        provider=provider_id(named[0]),
        answered=known.answered,
        asked=named[1],
        usage=usage,
        at_ns=now_ns if known.at_ns is None else known.at_ns,
        service_tier=known.asked_tier if tier is None and processing is None else tier,
        processing=processing,
        speed=known.speed,
        region=known.region,
        facts=known.facts,
        position=Position(period.used, period.free, period.days) if period.given else None,
    )


def usage_of(meters: dict[str, int]) -> Usage:
    """Return the usage that meters make."""
    return Usage(meters, sum(count for name, count in meters.items() if METERS[name].family == "input"))


def _suggest(book: PriceBook, model: str) -> str:
    """Return ids that look like one that nobody knows, in words."""
    wanted = model.lower().rpartition("/")[2]
    known = {one.id.lower(): f"{provider}/{one.id}" for provider in book.providers() for one in _models(book, provider)}
    near = get_close_matches(wanted, known, _SUGGESTED, 0.7)
    if near:
        return f"; near it: {', '.join(known[name] for name in near)}"
    return "; `farebox models` lists those there are"


def _models(book: PriceBook, provider: str) -> tuple[Model, ...]:
    card = book.card(provider)
    return card.models if card else ()
