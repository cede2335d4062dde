"""Finds models by what they can do and what they cost.

A model's price is that of its standard tier for a short request, with no region and every fact at its default, at
one instant. Its cost is a blend: three tokens of input for each of output; of embeddings it is the input alone.
Amounts are exact fractions.
"""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from fractions import Fraction

import msgspec

from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import find_table
from farebox.prices.rates import ANY_TIER, STANDARD, About, Model, Table
from farebox.usage import Usage

PER_MILLION = 1_000_000
INPUT_SHARE = 3  # parts of input in the blend, for one of output
# What a meter with a price says about a model.
_CAPABILITY_OF_METER = {
    "cache_read": "prompt_cache",
    "web_search": "web_search",
    "x_search": "x_search",
    "maps_search": "maps_search",
    "file_search": "file_search",
    "training": "fine_tuning",
    "training_time": "fine_tuning",
}
# What a modality of the input is called as a capability.
_CAPABILITY_OF_INPUT = {"image": "vision", "audio": "audio_input", "video": "video_input", "document": "pdf"}
_NO_OUTPUT = "embedding"
_SHORT = Usage({"input": 1}, 1)


class Wanted(msgspec.Struct, frozen=True):
    """What a model must have.

    Attributes:
        at_ns: the instant of prices and of the life of models, nanoseconds since the epoch.
        day: its day, ISO.
        models: globs for ``model`` or ``provider/model``, any of them; empty: all.
        providers: any of them; empty: all.
        kinds: any of them; empty: all.
        supports: all of them.
        inputs: modalities, all of them.
        outputs: modalities, all of them.
        min_context_tokens: of the context window.
        min_output_tokens: of the longest answer.
        max_input: femtodollars per million tokens of input, at most; None: any.
        max_output: the same for output.
        free: input and output cost an explicit 0.
        everything: also models that are deprecated, retired, not yet released or without a price.
    """

    at_ns: int
    day: str
    models: tuple[str, ...] = ()
    providers: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    supports: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    min_context_tokens: int = 0
    min_output_tokens: int = 0
    max_input: Fraction | None = None
    max_output: Fraction | None = None
    free: bool = False
    everything: bool = False


class Found(msgspec.Struct, frozen=True):
    """A model with what is known of it.

    Attributes:
        provider: id in the book.
        model: its id.
        about: what it can do.
        supports: its capabilities, those that prices and modalities show included; sorted.
        tiers: with prices, sorted.
        table: its rates by meter at that instant; empty where it has none.
        input: femtodollars per million tokens, or None.
        output: the same.
        blend: the same, of three tokens of input and one of output, or None.
        life: ``current``, ``deprecated``, ``retired`` or ``unreleased``.
    """

    provider: str
    model: str
    about: About
    supports: tuple[str, ...]
    tiers: tuple[str, ...]
    table: Table
    input: Fraction | None
    output: Fraction | None
    blend: Fraction | None
    life: str


def find_models(book: PriceBook, wanted: Wanted) -> list[Found]:
    """Return the models that have what is wanted, in the order of the book.

    Raises:
        ConfigError: where a card has a fault.
    """
    return [found for found in read_models(book, wanted) if _fits(found, wanted)]


def read_models(book: PriceBook, wanted: Wanted) -> Iterator[Found]:
    """Yield the models of the providers and names that are wanted, whatever they can do."""
    for provider in book.providers():
        if wanted.providers and provider not in wanted.providers:
            continue
        card = book.card(provider)
        for model in card.models if card else ():
            if names_fit(provider, model.id, wanted.models):
                yield read_one(book, provider, model, wanted)


def read_one(book: PriceBook, provider: str, model: Model, wanted: Wanted) -> Found:
    """Return one model with what is known of it."""
    table = price_table(book, provider, model, wanted.at_ns)
    about = model.about or About()
    tiers = tuple(sorted({row.tier for row in model.rows if row.from_ns <= wanted.at_ns < row.until_ns}))
    taken, given = per_million(table, "input"), per_million(table, "output")
    return Found(
        provider=provider,
        model=model.id,
        about=about,
        supports=_capabilities(about, table, tiers),
        tiers=tiers,
        table=table,
        input=taken,
        output=given,
        blend=taken if about.kind == _NO_OUTPUT and given is None else _blend(taken, given),
        life=_life(about, wanted.day),
    )


def price_table(book: PriceBook, provider: str, model: Model, at_ns: int) -> Table:
    """Return a model's rates at the standard tier for a short request, empty where it has none."""
    name = model.names[0] if model.names else model.id
    found = find_table(book, Rating(provider=provider, answered="", asked=name, usage=_SHORT, at_ns=at_ns))
    return {} if isinstance(found, str) else found


def per_million(table: Table, meter: str) -> Fraction | None:
    """Return the price of a million tokens, femtodollars, or None."""
    rate = table.get(meter)
    return None if rate is None else Fraction(rate.femto * PER_MILLION, rate.per)


def capabilities(models: Iterator[Found]) -> set[str]:
    """Return every capability that some model has."""
    return {name for found in models for name in found.supports}


def names_fit(provider: str, model: str, globs: tuple[str, ...]) -> bool:
    """Return whether a model is meant by one of the globs; of none, every model is."""
    return not globs or any(fnmatchcase(model, glob) or fnmatchcase(f"{provider}/{model}", glob) for glob in globs)


def _capabilities(about: About, table: Table, tiers: tuple[str, ...]) -> tuple[str, ...]:
    found = set(about.supports)
    found |= {_CAPABILITY_OF_INPUT[name] for name in about.inputs if name in _CAPABILITY_OF_INPUT}
    found |= {name for meter, name in _CAPABILITY_OF_METER.items() if meter in table}
    found |= {tier for tier in tiers if tier not in {STANDARD, ANY_TIER}}
    return tuple(sorted(found))


def _blend(taken: Fraction | None, given: Fraction | None) -> Fraction | None:
    return None if taken is None or given is None else (INPUT_SHARE * taken + given) / (INPUT_SHARE + 1)


def _life(about: About, day: str) -> str:
    if about.retires and about.retires <= day:
        return "retired"
    if about.deprecated and about.deprecated <= day:
        return "deprecated"
    return "unreleased" if about.released and about.released > day else "current"


def _fits(found: Found, wanted: Wanted) -> bool:
    about = found.about
    if not wanted.everything and (found.life != "current" or not found.table):
        return False
    if wanted.kinds and about.kind not in wanted.kinds:
        return False
    if not set(wanted.supports) <= set(found.supports):
        return False
    if not (set(wanted.inputs) <= set(about.inputs) and set(wanted.outputs) <= set(about.outputs)):
        return False
    if (about.context_tokens or 0) < wanted.min_context_tokens:
        return False
    return (about.output_tokens or 0) >= wanted.min_output_tokens and _affordable(found, wanted)


def _affordable(found: Found, wanted: Wanted) -> bool:
    for price, most in ((found.input, wanted.max_input), (found.output, wanted.max_output)):
        if most is not None and (price is None or price > most):
            return False
    return not wanted.free or (found.blend is not None and not found.blend)


def sort_models(models: list[Found], by: str) -> list[Found]:
    """Return models in order.

    Args:
        models: to be sorted.
        by: ``cost``, ``input``, ``output`` (the cheapest first), ``context``, ``released`` (the largest, the latest
            first) or ``name``. What is not known comes last; of equals, the larger context window comes first.
    """
    second = "name" if by == "name" else "context"
    return sorted(models, key=lambda found: (_rank(found, by), _rank(found, second), found.model, found.provider))


def _rank(found: Found, by: str) -> tuple[bool, Fraction | int]:
    """Return where a model belongs by one property; by its name alone all are equal."""
    day = found.about.released.replace("-", "")
    values = {
        "cost": found.blend,
        "input": found.input,
        "output": found.output,
        "context": None if found.about.context_tokens is None else -found.about.context_tokens,
        "released": -int(day) if day.isdigit() else None,
        "name": 0,
    }
    value = values[by]
    return (value is None, 0 if value is None else value)
