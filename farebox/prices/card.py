"""Reads rate cards: TOML bytes in, rows out. Every error names the file, the model and the row.

A shipped card holds one provider (``provider = "openai"``, ``[[models]]``); a file of the user holds
``[[prices]]`` entries, each a model of any provider. Both give prices as strings, since a float would not say
what was published.
"""

import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from farebox.errors import ConfigError
from farebox.money import femto_per_unit
from farebox.prices.rates import (
    ALWAYS_NS,
    ANY_TIER,
    NEVER_NS,
    STANDARD,
    Card,
    Model,
    Row,
    Source,
    Uplift,
    units_per_price,
)
from farebox.usage import METERS

FORMAT = 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CARD_KEYS = {"format", "provider", "name", "note", "tiers", "no_region", "inherit", "sources", "uplifts", "models"}
_MODEL_KEYS = {"id", "names", "patterns", "source", "inherit", "note", "prices"}
_OWN_KEYS = {"provider", "model", "names", "patterns", "source", "retrieved", "inherit", "note", "free", "rows"}
_ROW_KEYS = {"tier", "over", "at_least", "from", "until", "rest", "source", "note"}
_UPLIFT_KEYS = {"regions", "times", "models", "source"}


class _Where(msgspec.Struct, frozen=True):
    """Where a row stands, for its id, its source and for errors."""

    file: str
    provider: str
    model: str
    sources: Mapping[str, Source]
    source: Source


def read_card(file: str, data: bytes) -> Card:
    """Return the card of one provider.

    Raises:
        ConfigError: naming the file, the model and the row at fault.
    """
    table = _read_toml(file, data)
    _refuse_unknown(table, _CARD_KEYS, file)
    if table.get("format") != FORMAT:
        raise ConfigError(f"{file}: format must be {FORMAT}, not {table.get('format')!r}")
    provider = _text(table, "provider", file)
    sources = {key: _read_source(entry, f"{file}: source {key}") for key, entry in table.get("sources", {}).items()}
    inherit = _inherit(table, file)
    models = tuple(
        _read_model(entry, _Where(file, provider, _text(entry, "id", file), sources, Source("")), inherit)
        for entry in _tables(table, "models", file)
    )
    return Card(
        provider=provider,
        name=_text(table, "name", file) if "name" in table else provider,
        models=models,
        tiers=_table(table, "tiers", file),
        no_region=_texts(table, "no_region", file),
        uplifts=tuple(_read_uplift(entry, file, sources) for entry in _tables(table, "uplifts", file)),
    )


def read_own(file: str, data: bytes) -> list[tuple[str, Model]]:
    """Return the models that a user's file prices, each with its provider's id.

    Raises:
        ConfigError: naming the file, the model and the row at fault.
    """
    found: list[tuple[str, Model]] = []
    for entry in _tables(_read_toml(file, data), "prices", file):
        provider = _text(entry, "provider", f"{file}: [[prices]]")
        free = entry.get("free", False)
        if not isinstance(free, bool):
            raise ConfigError(f"{file}: [[prices]] of provider {provider}: `free` is true or false")
        model = entry.get("model", "*" if free else None)
        if not isinstance(model, str) or not model:
            raise ConfigError(f"{file}: [[prices]] of provider {provider}: `model` is missing")
        label = f"{file}: [[prices]] {provider}/{model}"
        _refuse_unknown(entry, _OWN_KEYS | _ROW_KEYS | set(METERS), label)
        words = _text(entry, "source", label) if "source" in entry else file
        source = Source(words, str(entry.get("retrieved", "")), "own file")
        where = _Where(file, provider, model, {}, source)
        found.append((provider, _read_own_model(entry, where, free=free)))
    return found


def _read_source(entry: Any, label: str) -> Source:
    if not isinstance(entry, dict):
        raise ConfigError(f"{label}: it must be a table with `url`, `retrieved` and `via`")
    optional = (str(entry.get(key, "")) for key in ("retrieved", "via"))
    return Source(_text(entry, "url", label), *optional)


def _read_own_model(entry: dict[str, Any], where: _Where, *, free: bool) -> Model:
    label = _label(where)
    inline = {key: entry[key] for key in entry if key in METERS or key in _ROW_KEYS - {"source", "note"}}
    rows = _tables(entry, "rows", label)
    if sum((bool(inline), bool(rows), bool(free))) != 1:
        raise ConfigError(f"{label}: give prices by meter, or `rows`, or `free = true`: exactly one of them")
    if free:
        inline = {"tier": ANY_TIER, **dict.fromkeys(METERS, "0")}
    wild = "#" in where.model or "*" in where.model
    return Model(
        id=where.model,
        names=_texts(entry, "names", label) or (() if wild else (where.model,)),
        patterns=_patterns(entry, label) or (_check_pattern(where.model, label) if wild else ()),
        rows=_read_rows(rows or [inline], where),
        inherit={"reasoning": "output", **_inherit(entry, label)},
        own=True,
        note=_text(entry, "note", label) if "note" in entry else "",
    )


def _read_model(entry: dict[str, Any], where: _Where, inherit: dict[str, str]) -> Model:
    label = _label(where)
    _refuse_unknown(entry, _MODEL_KEYS, label)
    where = msgspec.structs.replace(where, source=_source(entry, where))
    names = _texts(entry, "names", label)
    patterns = _patterns(entry, label)
    if not names and not patterns:
        raise ConfigError(f"{label}: it has neither `names` nor `patterns`, so nothing can match it")
    return Model(
        id=where.model,
        names=names,
        patterns=patterns,
        rows=_read_rows(_tables(entry, "prices", label), where),
        inherit={**inherit, **_inherit(entry, label)},
        note=_text(entry, "note", label) if "note" in entry else "",
    )


def _read_rows(entries: list[dict[str, Any]], where: _Where) -> tuple[Row, ...]:
    if not entries:
        raise ConfigError(f"{_label(where)}: it has no prices")
    rows = tuple(_read_row(entry, where) for entry in entries)
    for index, row in enumerate(rows):
        for other in rows[:index]:
            if (
                (row.tier, row.above) == (other.tier, other.above)
                and row.from_ns < other.until_ns
                and other.from_ns < row.until_ns
            ):
                raise ConfigError(f"{_label(where)}: rows {other.id} and {row.id} hold at the same time")
    return rows


def _read_row(entry: dict[str, Any], where: _Where) -> Row:
    label = _label(where)
    _refuse_unknown(entry, _ROW_KEYS | set(METERS), label)
    tier = _text(entry, "tier", label) if "tier" in entry else STANDARD
    above, size = _read_size(entry, label)
    from_ns = _instant(entry, "from", label, ALWAYS_NS)
    until_ns = _instant(entry, "until", label, NEVER_NS)
    since = f"/{_short_instant(entry['from'])}" if "from" in entry else ""
    row_id = f"{where.provider}/{where.model}/{tier}{size}{since}"
    if from_ns >= until_ns:
        raise ConfigError(f"{label}: row {row_id}: `from` must be before `until`")
    prices = {meter: entry[meter] for meter in METERS if meter in entry}
    rest = _text(entry, "rest", label) if "rest" in entry else ""
    if not prices and not rest:
        raise ConfigError(f"{label}: row {row_id} has no price")
    for meter, price in prices.items():
        _check_price(price, meter, f"{label}: row {row_id}")
    note = _text(entry, "note", label) if "note" in entry else ""
    return Row(row_id, tier, above, from_ns, until_ns, prices, rest, _source(entry, where), note)


def _read_size(entry: dict[str, Any], label: str) -> tuple[int, str]:
    """Return the input size above which a row holds, and its part of the row's id."""
    over, at_least = entry.get("over"), entry.get("at_least")
    if over is None and at_least is None:
        return -1, ""
    if over is not None and at_least is not None:
        raise ConfigError(f"{label}: a row has either `over` or `at_least`")
    tokens = at_least if over is None else over
    if type(tokens) is not int or tokens < 1:
        raise ConfigError(f"{label}: `over` and `at_least` are numbers of tokens, not {tokens!r}")
    return (tokens, f"/over-{tokens}") if at_least is None else (tokens - 1, f"/at-least-{tokens}")


def _check_price(price: Any, meter: str, label: str) -> None:
    if not isinstance(price, str):
        raise ConfigError(f'{label}: {meter} must be a string such as "2.50", not {price!r}')
    try:
        femto = femto_per_unit(price, per=units_per_price(meter))
    except ValueError as error:
        raise ConfigError(f"{label}: {meter}: {error}") from None
    if femto < 0:
        raise ConfigError(f"{label}: {meter}: a price is not negative: {price}")


def _read_uplift(entry: dict[str, Any], file: str, sources: Mapping[str, Source]) -> Uplift:
    _refuse_unknown(entry, _UPLIFT_KEYS, f"{file}: [[uplifts]]")
    where = _Where(file, "", "[[uplifts]]", sources, Source(""))
    return Uplift(
        regions=_texts(entry, "regions", file),
        times=_text(entry, "times", f"{file}: [[uplifts]]"),
        models=_texts(entry, "models", file),
        source=_source(entry, where),
    )


def _read_toml(file: str, data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{file}: it is not a TOML file: {error}") from None


def _refuse_unknown(entry: Mapping[str, Any], known: set[str], label: str) -> None:
    unknown = sorted(set(entry) - known)
    if unknown:
        raise ConfigError(f"{label}: unknown key `{unknown[0]}`; there are {', '.join(sorted(known))}")


def _label(where: _Where) -> str:
    return f"{where.file}: {where.provider}/{where.model}" if where.provider else where.file


def _text(entry: Mapping[str, Any], key: str, label: str) -> str:
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{label}: `{key}` must be a text, not {value!r}")
    return value


def _texts(entry: Mapping[str, Any], key: str, label: str) -> tuple[str, ...]:
    values = entry.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, str) and value for value in values):
        raise ConfigError(f"{label}: `{key}` must be a list of texts")
    return tuple(values)


def _tables(entry: Mapping[str, Any], key: str, label: str) -> list[dict[str, Any]]:
    values = entry.get(key, [])
    if not isinstance(values, list) or not all(isinstance(value, dict) for value in values):
        raise ConfigError(f"{label}: `{key}` must be a list of tables")
    return values


def _table(entry: Mapping[str, Any], key: str, label: str) -> dict[str, str]:
    pairs = entry.get(key, {})
    if not isinstance(pairs, dict) or not all(isinstance(value, str) for value in pairs.values()):
        raise ConfigError(f"{label}: `{key}` must be a table of texts")
    return dict(pairs)


def _patterns(entry: Mapping[str, Any], label: str) -> tuple[str, ...]:
    for pattern in (patterns := _texts(entry, "patterns", label)):
        _check_pattern(pattern, label)
    return patterns


def _check_pattern(pattern: str, label: str) -> tuple[str]:
    if "*" in pattern[:-1]:
        raise ConfigError(f"{label}: pattern {pattern!r}: `*` may only be its last letter")
    return (pattern,)


def _source(entry: Mapping[str, Any], where: _Where) -> Source:
    """Return the source of a row: one of the card's by its key, or a user's own words."""
    if "source" not in entry:
        return where.source
    key = _text(entry, "source", _label(where))
    if not where.sources and where.source.via:
        return msgspec.structs.replace(where.source, url=key)
    if key not in where.sources:
        raise ConfigError(f"{_label(where)}: source {key!r} is not among [sources]: {', '.join(where.sources)}")
    return where.sources[key]


def _inherit(entry: Mapping[str, Any], label: str) -> dict[str, str]:
    pairs = _table(entry, "inherit", label)
    for meter in (*pairs, *pairs.values()):
        if meter not in METERS:
            raise ConfigError(f"{label}: inherit: unknown meter {meter!r}; there are {', '.join(METERS)}")
    return pairs


def _instant(entry: Mapping[str, Any], key: str, label: str, absent: int) -> int:
    value = entry.get(key)
    if value is None:
        return absent
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ConfigError(f"{label}: `{key}` must be an instant with its zone, such as 2026-07-30T00:00:00Z")
    return (value - _EPOCH) // timedelta(microseconds=1) * 1000


def _short_instant(value: datetime) -> str:
    value = value.astimezone(UTC)
    return value.strftime("%Y-%m-%d" if value.hour == value.minute == value.second == 0 else "%Y-%m-%dT%H:%M:%SZ")
