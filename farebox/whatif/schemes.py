"""What a scheme says: prices, where calls would have gone, what share of them, how they would have been cached.

A scheme is ``NAME=FILE`` with a TOML file, or ``NAME=SHORTHAND``:

    all:PROVIDER/MODEL    every call at that model
    tier:TIER             every call at that service tier of its own model: batch, flex, priority, standard
    batch:PERCENT         so much of the traffic through the batch channel
    as:sent               everything as it was, at the prices in force
    book:BOOK             the prices of another book: shipped, own, a hash, a folder, a file
    cache:TTL             prefixes that repeat are read from a cache that keeps them for 5m, 30m, 1h or 12h
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Literal

import msgspec

from farebox.errors import ConfigError
from farebox.reprice.scheme import Rule
from farebox.whatif.fixed import Decimal, Fixed

_TIERS = ("standard", "batch", "flex", "priority")
Ttl = Literal["5m", "30m", "1h", "12h"]
TTL_S: Mapping[str, int] = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43_200}
_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,6})?)%?")


Confidence = Literal["exact", "high", "low"]


class Assumption(msgspec.Struct, frozen=True):
    """Something that a result rests on, and how sure it is."""

    confidence: Confidence
    text: str


class RuleTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[rules]]`` table: what of the traffic it is for, and what that would have been; see `Rule`."""

    where: dict[str, str] = {}
    to: dict[str, str] = {}
    facts: dict[str, str] = {}


class CacheTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[cache]`` table: how prefixes would have been cached at the provider.

    Attributes:
        ttl: how long a prefix is kept after it was last used.
        min_tokens: shortest prefix that is cached.
        write: ``all`` writes every prefix, ``seen`` only what was seen before within the time that it is kept.
    """

    ttl: Ttl
    min_tokens: Annotated[int, msgspec.Meta(ge=0)] = 1024
    write: Literal["all", "seen"] = "all"


class LimitsTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[limits]`` table: what the provider would have let through in a minute."""

    requests_per_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None
    tokens_per_minute: Annotated[int, msgspec.Meta(ge=1)] | None = None


class SchemeTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scheme's file.

    Attributes:
        book: the price book: ``shipped``, ``own``, a hash, a folder or a file; "" for the current one.
        prices: price files of its own, contracts among them, relative to the file.
        rules: the first that fits a call applies.
        share_percent: of the calls that the rules are for, how many they apply to; the others stay as they are.
        cache: how prefixes would have been cached, or None: as recorded.
        limits: what the provider lets through, for whether it would have been enough.
        monthly_usd: what the scheme costs a month beside the calls.
        fixed: what else it costs over months, see `whatif.fixed`.
    """

    book: str = ""
    prices: tuple[str, ...] = ()
    rules: tuple[RuleTable, ...] = ()
    share_percent: Annotated[float, msgspec.Meta(ge=0, le=100)] = 100.0
    cache: CacheTable | None = None
    limits: LimitsTable = LimitsTable()
    monthly_usd: Decimal = "0"
    fixed: Fixed = Fixed()


class WhatIf(msgspec.Struct, frozen=True):
    """A scheme as it was asked for.

    Attributes:
        name: for people.
        source: as it was written.
        table: what it says.
        rules: the table's, checked.
        share: of the calls, 0 to 1.
    """

    name: str
    source: str
    table: SchemeTable
    rules: tuple[Rule, ...]
    share: Fraction


def parse_scheme(text: str, read: Callable[[str], str]) -> WhatIf:
    """Return the scheme that an option names.

    Args:
        text: ``NAME=FILE`` or ``NAME=SHORTHAND``; without a name, it is its own name.
        read: returns the text of a file.

    Raises:
        ConfigError: where it is none, naming what is wrong.
    """
    name, equals, source = text.partition("=")
    if not equals:
        name, source = text, text
    if not (name and source):
        raise ConfigError(
            f"--scheme {text!r}: write NAME=FILE.toml, or NAME=SHORTHAND such as mini=all:openai/gpt-4o-mini"
        )
    kind, colon, value = source.partition(":")
    table = _shorthand(kind, value, source) if colon and kind in _SHORTHANDS else _decode(source, read(source))
    try:
        rules = tuple(Rule(where=one.where, to=one.to, facts=one.facts) for one in table.rules)
    except ConfigError as error:
        raise ConfigError(f"{source}: {error}") from None
    return WhatIf(name, source, table, rules, Fraction(str(table.share_percent)) / 100)


def _shorthand(kind: str, value: str, source: str) -> SchemeTable:
    """Return what a shorthand stands for.

    Raises:
        ConfigError: where it is none, with how it is written.
    """
    table = _SHORTHANDS[kind](value)
    if table is None:
        raise ConfigError(f"--scheme {source!r}: write {_WRITTEN[kind]}")
    return table


def _all(value: str) -> SchemeTable | None:
    provider, slash, model = value.partition("/")
    if not (provider and slash and model):
        return None
    return SchemeTable(rules=(RuleTable(to={"provider": provider, "model": model}),))


def _as(value: str) -> SchemeTable | None:
    return SchemeTable() if value == "sent" else None


def _tier(value: str) -> SchemeTable | None:
    return SchemeTable(rules=(_to_tier(value),)) if value in _TIERS else None


def _batch(value: str) -> SchemeTable | None:
    found = _PERCENT.fullmatch(value)
    if found is None or float(found[1]) > 100:
        return None
    return SchemeTable(rules=(_to_tier("batch"),), share_percent=float(found[1]))


def _cache(value: str) -> SchemeTable | None:
    return SchemeTable(cache=CacheTable(ttl=value)) if value in TTL_S else None  # type: ignore[arg-type]  # it is one


def _book(value: str) -> SchemeTable | None:
    return SchemeTable(book=value) if value else None


def _to_tier(tier: str) -> RuleTable:
    if tier == "batch":
        return RuleTable(to={"processing": "batch", "service_tier": ""})
    return RuleTable(to={"service_tier": "" if tier == "standard" else tier, "processing": ""})


def _decode(source: str, text: str) -> SchemeTable:
    try:
        found: dict[str, Any] = tomllib.loads(text)
        return msgspec.convert(found, SchemeTable)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: no TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_where(str(error))}") from None


def _where(message: str) -> str:
    """Return a message with the key first."""
    said, _, path = message.partition(" - at `$.")
    return f"{path.rstrip('`')}: {said}" if path else said


_SHORTHANDS: Mapping[str, Callable[[str], SchemeTable | None]] = {
    "all": _all,
    "as": _as,
    "tier": _tier,
    "batch": _batch,
    "cache": _cache,
    "book": _book,
}
_WRITTEN = {
    "all": "all:PROVIDER/MODEL, such as all:anthropic/claude-haiku-4-5",
    "as": "as:sent for the traffic as it was",
    "tier": f"tier: and one of {', '.join(_TIERS)}",
    "batch": "a share such as batch:40%",
    "cache": f"cache: and how long a prefix is kept: {', '.join(TTL_S)}",
    "book": "book: and shipped, own, a hash, a folder or a file",
}
