"""Reads a user's price file: models of any provider, and what was agreed with providers.

``[[prices]]`` are models; ``[[uplifts]]``, ``[[schedules]]`` and ``[[pools]]`` are as in a card and name their
provider; ``[[calendars]]`` and ``[[exchange]]`` hold for all; ``[[contracts]]`` and ``[[commitments]]`` are steps on
top of the list prices. Every error names the file and the entry.
"""

from datetime import date
from typing import Any

import msgspec

from farebox.errors import ConfigError
from farebox.prices import fields
from farebox.prices.arithmetic import percent_of
from farebox.prices.card import read_pool, read_schedule, read_uplift
from farebox.prices.rates import (
    ALWAYS_NS,
    ANY_TIER,
    NEVER_NS,
    Calendar,
    Commitment,
    Contract,
    Exchange,
    Model,
    Pool,
    Source,
    Uplift,
    Windows,
)
from farebox.prices.rows import (
    ROW_KEYS,
    Where,
    check_meter,
    check_pattern,
    read_inherit,
    read_patterns,
    read_price,
    read_rows,
)
from farebox.usage import METERS

KINDS = ("spend", "credits", "capacity")
_VIA = "own file"
_ENTRIES = ("prices", "uplifts", "schedules", "pools", "calendars", "exchange", "contracts", "commitments")
_PRICE_KEYS = frozenset(
    {"provider", "model", "names", "patterns", "source", "retrieved", "inherit", "note", "free", "rows"}
)
_CONTRACT_KEYS = frozenset(
    {"id", "provider", "models", "meters", "percent", "prices", "volume", "tiers", "from", "until", "source"}
)
_COMMITMENT_KEYS = frozenset(
    {"id", "provider", "kind", "models", "amount_usd", "percent", "units", "unit_price_usd"}
    | {"unit_tokens_per_minute", "burn", "from", "until", "source"}
)


class Own(msgspec.Struct, frozen=True):
    """What a user's file says; per provider where it is a provider's."""

    models: tuple[tuple[str, Model], ...] = ()
    uplifts: tuple[tuple[str, Uplift], ...] = ()
    schedules: tuple[tuple[str, Windows], ...] = ()
    pools: tuple[tuple[str, Pool], ...] = ()
    calendars: tuple[Calendar, ...] = ()
    exchange: tuple[Exchange, ...] = ()
    contracts: tuple[Contract, ...] = ()
    commitments: tuple[Commitment, ...] = ()


def read_own(file: str, data: bytes) -> Own:
    """Return what a user's file says.

    Raises:
        ConfigError: naming the file and the entry at fault.
    """
    table = fields.read_toml(file, data)
    fields.refuse_unknown(table, _ENTRIES, file)
    where = Where(file, "", "", {}, Source(file, via=_VIA))

    def of_provider(entry: dict[str, Any], kind: str) -> tuple[str, dict[str, Any]]:
        rest = {key: value for key, value in entry.items() if key != "provider"}
        return fields.text(entry, "provider", f"{file}: [[{kind}]]"), rest

    def each(kind: str) -> list[tuple[str, dict[str, Any]]]:
        return [of_provider(entry, kind) for entry in fields.tables(table, kind, file)]

    return Own(
        models=tuple(_read_model(entry, file) for entry in fields.tables(table, "prices", file)),
        uplifts=tuple((provider, read_uplift(entry, where)) for provider, entry in each("uplifts")),
        schedules=tuple((provider, read_schedule(entry, where)) for provider, entry in each("schedules")),
        pools=tuple((provider, read_pool(entry, where)) for provider, entry in each("pools")),
        calendars=tuple(read_calendar(entry, file) for entry in fields.tables(table, "calendars", file)),
        exchange=tuple(read_exchange(entry, file) for entry in fields.tables(table, "exchange", file)),
        contracts=tuple(_read_contract(entry, file) for entry in fields.tables(table, "contracts", file)),
        commitments=tuple(_read_commitment(entry, file) for entry in fields.tables(table, "commitments", file)),
    )


def read_shared(file: str, data: bytes) -> Own:
    """Return the calendars and exchange rates of a file of the package.

    Raises:
        ConfigError: naming the file and the entry at fault.
    """
    table = fields.read_toml(file, data)
    fields.refuse_unknown(table, ("calendars", "exchange"), file)
    return Own(
        calendars=tuple(read_calendar(entry, file) for entry in fields.tables(table, "calendars", file)),
        exchange=tuple(read_exchange(entry, file) for entry in fields.tables(table, "exchange", file)),
    )


def read_calendar(entry: dict[str, Any], file: str) -> Calendar:
    """Return a calendar.

    Raises:
        ConfigError: naming the file and the entry at fault.
    """
    label = f"{file}: [[calendars]]"
    fields.refuse_unknown(entry, ("id", "days", "known_until", "source"), label)
    label = f"{label} {fields.text(entry, 'id', label)}"
    days = tuple(_check_day(day, label) for day in fields.texts(entry, "days", label))
    known = _check_day(fields.text(entry, "known_until", label), label)
    return Calendar(entry["id"], frozenset(days), known, _own_source(entry, file, label))


def read_exchange(entry: dict[str, Any], file: str) -> Exchange:
    """Return an exchange rate.

    Raises:
        ConfigError: naming the file and the entry at fault.
    """
    label = f"{file}: [[exchange]]"
    fields.refuse_unknown(entry, ("currency", "from", "usd", "source"), label)
    currency = fields.text(entry, "currency", label)
    label = f"{label} {currency}"
    usd = _decimal(entry, "usd", label)
    if percent_of(usd) <= 0:
        raise ConfigError(f"{label}: usd must be more than 0, not {usd}")
    return Exchange(currency, fields.instant(entry, "from", label, ALWAYS_NS), usd, _own_source(entry, file, label))


def _read_model(entry: dict[str, Any], file: str) -> tuple[str, Model]:
    provider = fields.text(entry, "provider", f"{file}: [[prices]]")
    free = entry.get("free", False)
    if not isinstance(free, bool):
        raise ConfigError(f"{file}: [[prices]] of provider {provider}: `free` is true or false")
    model = entry.get("model", "*" if free else None)
    if not isinstance(model, str) or not model:
        raise ConfigError(f"{file}: [[prices]] of provider {provider}: `model` is missing")
    label = f"{file}: [[prices]] {provider}/{model}"
    fields.refuse_unknown(entry, _PRICE_KEYS | ROW_KEYS | set(METERS), label)
    source = Source(fields.text(entry, "source", label, file), str(entry.get("retrieved", "")), _VIA)
    where = Where(file, provider, model, {}, source)
    inline = {key: entry[key] for key in entry if key in METERS or key in ROW_KEYS - {"source", "note"}}
    rows = fields.tables(entry, "rows", label)
    if sum((bool(inline), bool(rows), free)) != 1:
        raise ConfigError(f"{label}: give prices by meter, or `rows`, or `free = true`: exactly one of them")
    if free:
        inline = {"tier": ANY_TIER, **dict.fromkeys(METERS, "0")}
    wild = "#" in model or "*" in model
    return provider, Model(
        id=model,
        names=fields.texts(entry, "names", label) or (() if wild else (model,)),
        patterns=read_patterns(entry, label) or ((check_pattern(model, label),) if wild else ()),
        rows=read_rows(rows or [inline], where),
        inherit={"reasoning": "output", **read_inherit(entry, label)},
        own=True,
        note=fields.text(entry, "note", label, ""),
    )


def _read_contract(entry: dict[str, Any], file: str) -> Contract:
    label = f"{file}: [[contracts]]"
    fields.refuse_unknown(entry, _CONTRACT_KEYS, label)
    label = f"{label} {fields.text(entry, 'id', label)}"
    given = [key for key in ("percent", "prices", "volume") if key in entry]
    if len(given) != 1:
        raise ConfigError(f"{label}: give `percent`, or `prices`, or `volume`: exactly one of them")
    prices = entry.get("prices", {})
    if not isinstance(prices, dict):
        raise ConfigError(f'{label}: `prices` must be a table such as {{ input = "1.80" }}')
    return Contract(
        id=entry["id"],
        provider=fields.text(entry, "provider", label),
        models=_models(entry, label),
        source=_own_source(entry, file, label),
        meters=tuple(check_meter(meter, label) for meter in fields.texts(entry, "meters", label)),
        percent=_percent(entry, label),
        prices={check_meter(meter, label): read_price(price, meter, label) for meter, price in prices.items()},
        tiers=fields.texts(entry, "tiers", label),
        from_ns=fields.instant(entry, "from", label, ALWAYS_NS),
        until_ns=fields.instant(entry, "until", label, NEVER_NS),
        volume=_read_volume(entry.get("volume", []), label),
    )


def _read_volume(pairs: Any, label: str) -> tuple[tuple[str, str], ...]:
    if not isinstance(pairs, list) or not all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(part, str) for part in pair) for pair in pairs
    ):
        raise ConfigError(f'{label}: `volume` must be a list of pairs such as ["100000", "5"]')
    try:
        starts = [percent_of(start) for start, _ in pairs]
        percents = [percent_of(percent) for _, percent in pairs]
    except ValueError as error:
        raise ConfigError(f"{label}: volume: {error}") from None
    if starts != sorted(set(starts)) or any(start < 0 for start in starts):
        raise ConfigError(f"{label}: volume: the thresholds must rise from 0 USD")
    if any(not 0 <= percent <= 1 for percent in percents):
        raise ConfigError(f"{label}: volume: percents off are from 0 to 100")
    return tuple((start, percent) for start, percent in pairs)


def _read_commitment(entry: dict[str, Any], file: str) -> Commitment:
    label = f"{file}: [[commitments]]"
    fields.refuse_unknown(entry, _COMMITMENT_KEYS, label)
    label = f"{label} {fields.text(entry, 'id', label)}"
    kind = fields.text(entry, "kind", label)
    if kind not in KINDS:
        raise ConfigError(f"{label}: kind is one of {', '.join(KINDS)}, not {kind!r}")
    needed = ("units", "unit_price_usd", "unit_tokens_per_minute") if kind == "capacity" else ("amount_usd",)
    for key in needed:
        if key not in entry:
            raise ConfigError(f"{label}: `{key}` is missing, which {kind!r} needs")
    burn = fields.words(entry, "burn", label)
    for meter in burn:
        check_meter(meter, f"{label}: burn")
        _decimal(burn, meter, f"{label}: burn")
    return Commitment(
        id=entry["id"],
        provider=fields.text(entry, "provider", label),
        kind=kind,
        models=_models(entry, label),
        source=_own_source(entry, file, label),
        amount_usd=_decimal(entry, "amount_usd", label),
        percent=_percent(entry, label),
        units=fields.number(entry, "units", label) or 0,
        unit_price_usd=_decimal(entry, "unit_price_usd", label),
        unit_tokens_per_minute=fields.number(entry, "unit_tokens_per_minute", label) or 0,
        burn=burn,
        from_ns=fields.instant(entry, "from", label, ALWAYS_NS),
        until_ns=fields.instant(entry, "until", label, NEVER_NS),
    )


def _models(entry: dict[str, Any], label: str) -> tuple[str, ...]:
    return tuple(check_pattern(model, label) for model in fields.texts(entry, "models", label)) or ("*",)


def _percent(entry: dict[str, Any], label: str) -> str:
    text = _decimal(entry, "percent", label, signed=True)
    if text and percent_of(text) > 1:
        raise ConfigError(f"{label}: percent: more than 100 off: {text}")
    return text


def _decimal(entry: dict[str, Any], key: str, label: str, *, signed: bool = False) -> str:
    """Return a decimal string, or "" where it is absent."""
    text = fields.text(entry, key, label, "")
    if text:
        try:
            value = percent_of(text)
        except ValueError as error:
            raise ConfigError(f"{label}: {key}: {error}") from None
        if value < 0 and not signed:
            raise ConfigError(f"{label}: {key}: it is not negative: {text}")
    return text


def _check_day(day: str, label: str) -> str:
    try:
        return date.fromisoformat(day).isoformat()
    except ValueError:
        raise ConfigError(f"{label}: {day!r} is no day such as 2026-10-01") from None


def _own_source(entry: dict[str, Any], file: str, label: str) -> Source:
    """Return a source: a table of its own, words, or the file."""
    given = entry.get("source", file)
    return Source(given, via=_VIA) if isinstance(given, str) and given else fields.source(given, label)
