"""Reads rows of prices and the models they belong to, and refuses rows of which two would hold at once."""

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import msgspec

from farebox.errors import ConfigError
from farebox.prices import fields
from farebox.prices.arithmetic import parse_price, parse_units
from farebox.prices.rates import ALWAYS_NS, ANY_TIER, NEVER_NS, STANDARD, USD, About, Model, Price, Row, Source
from farebox.usage import METERS

MODEL_KEYS = frozenset({"id", "names", "patterns", "source", "inherit", "note", "about", "prices"})
ROW_KEYS = frozenset(
    {"tier", "over", "at_least", "from", "until", "rest", "source", "note", "when", "schedule", "currency"}
    | {"least", "step", "least_usd", "marginal", "pool"}
)
_ABOUT_KEYS = frozenset(
    {"kind", "context", "output", "inputs", "outputs", "supports", "released", "deprecated", "retires"}
)
_CURRENCY_LETTERS = 3


class Where(msgspec.Struct, frozen=True):
    """Where a row stands, for its id, its source and for errors."""

    file: str
    provider: str
    model: str
    sources: Mapping[str, Source]
    source: Source

    @property
    def label(self) -> str:
        """The file and the model, for errors."""
        return f"{self.file}: {self.provider}/{self.model}" if self.provider else self.file


def read_model(entry: dict[str, Any], where: Where, inherit: dict[str, str]) -> Model:
    """Return a model of a card.

    Raises:
        ConfigError: naming the file, the model and the row at fault.
    """
    label = where.label
    fields.refuse_unknown(entry, MODEL_KEYS, label)
    where = msgspec.structs.replace(where, source=read_source(entry, where))
    names = fields.texts(entry, "names", label)
    patterns = read_patterns(entry, label)
    if not names and not patterns:
        raise ConfigError(f"{label}: it has neither `names` nor `patterns`, so nothing can match it")
    return Model(
        id=where.model,
        names=names,
        patterns=patterns,
        rows=read_rows(fields.tables(entry, "prices", label), where),
        inherit={**inherit, **read_inherit(entry, label)},
        note=fields.text(entry, "note", label, ""),
        about=_read_about(entry["about"], label) if "about" in entry else None,
    )


def read_rows(entries: list[dict[str, Any]], where: Where) -> tuple[Row, ...]:
    """Return the rows of one model.

    Raises:
        ConfigError: where one has a fault, or two hold at once without one going before the other.
    """
    if not entries:
        raise ConfigError(f"{where.label}: it has no prices")
    rows = tuple(_read_row(entry, where) for entry in entries)
    for one, other in combinations(rows, 2):
        _refuse_clash(one, other, where.label)
    _refuse_hidden_sizes(rows, where.label)
    return rows


def conditions_of(row: Row) -> frozenset[tuple[str, str]]:
    """Return what must hold for a row beside time and size; a row with more of it goes before one with less."""
    found = {("when", f"{fact}={value}") for fact, value in row.when.items()}
    if row.tier != ANY_TIER:
        found.add(("tier", row.tier))
    if row.schedule:
        found.add(("schedule", row.schedule))
    return frozenset(found)


def read_patterns(entry: Mapping[str, Any], label: str) -> tuple[str, ...]:
    """Return a model's patterns, each checked."""
    return tuple(check_pattern(pattern, label) for pattern in fields.texts(entry, "patterns", label))


def check_pattern(pattern: str, label: str) -> str:
    """Return a pattern if its `*` is at its end.

    Raises:
        ConfigError: where it is not.
    """
    if "*" in pattern[:-1]:
        raise ConfigError(f"{label}: pattern {pattern!r}: `*` may only be its last letter")
    return pattern


def read_source(entry: Mapping[str, Any], where: Where) -> Source:
    """Return the source of an entry: one of the card's by its key, or a user's own words."""
    if "source" not in entry:
        return where.source
    key = fields.text(entry, "source", where.label)
    if not where.sources and where.source.via:
        return msgspec.structs.replace(where.source, url=key)
    if key not in where.sources:
        raise ConfigError(f"{where.label}: source {key!r} is not among [sources]: {', '.join(where.sources)}")
    return where.sources[key]


def read_inherit(entry: Mapping[str, Any], label: str) -> dict[str, str]:
    """Return which meter takes the price of which other one."""
    pairs = fields.words(entry, "inherit", label)
    for meter in (*pairs, *pairs.values()):
        check_meter(meter, f"{label}: inherit")
    return pairs


def check_meter(meter: str, label: str) -> str:
    """Return a meter's name if there is one.

    Raises:
        ConfigError: where there is none; it lists those there are.
    """
    if meter not in METERS:
        raise ConfigError(f"{label}: unknown meter {meter!r}; there are {', '.join(METERS)}")
    return meter


def read_price(value: Any, meter: str, label: str) -> Price:
    """Return a price of a meter.

    Raises:
        ConfigError: where it is no text or says nothing that can be a price.
    """
    if not isinstance(value, str):
        raise ConfigError(f'{label}: {meter} must be a string such as "2.50", not {value!r}')
    try:
        return parse_price(value, meter)
    except ValueError as error:
        raise ConfigError(f"{label}: {meter}: {error}") from None


def read_units(value: Any, meter: str, label: str) -> int:
    """Return a number of a meter's smallest part from a text such as ``"10 s"``.

    Raises:
        ConfigError: where it is no such text.
    """
    try:
        return parse_units(value if isinstance(value, str) else repr(value), meter)
    except ValueError as error:
        raise ConfigError(f"{label}: {error}") from None


def _read_row(entry: dict[str, Any], where: Where) -> Row:
    label = where.label
    fields.refuse_unknown(entry, ROW_KEYS | set(METERS), label)
    tier = fields.text(entry, "tier", label, STANDARD)
    above, size = _read_size(entry, label)
    from_ns = fields.instant(entry, "from", label, ALWAYS_NS)
    until_ns = fields.instant(entry, "until", label, NEVER_NS)
    when = fields.words(entry, "when", label)
    schedule = fields.text(entry, "schedule", label, "")
    marks = [tier, *(f"{fact}={value}" for fact, value in when.items())]
    marks += [mark for mark in (schedule, size) if mark]
    marks += [fields.short_instant(entry["from"])] if "from" in entry else []
    row_id = "/".join((where.provider, where.model, *marks))
    label = f"{label}: row {row_id}"
    if from_ns >= until_ns:
        raise ConfigError(f"{label}: `from` must be before `until`")
    prices = {meter: read_price(entry[meter], meter, label) for meter in METERS if meter in entry}
    rest = fields.text(entry, "rest", label, "")
    if not prices and not rest:
        raise ConfigError(f"{label} has no price")
    currency = fields.text(entry, "currency", label, USD)
    if len(currency) != _CURRENCY_LETTERS or not currency.isupper():
        raise ConfigError(f"{label}: currency {currency!r} is no ISO 4217 code such as EUR")
    row = Row(
        id=row_id,
        tier=tier,
        above=above,
        from_ns=from_ns,
        until_ns=until_ns,
        prices=prices,
        rest=rest,
        source=read_source(entry, where),
        note=fields.text(entry, "note", label, ""),
        when=when,
        schedule=schedule,
        currency=currency,
    )
    return _add_terms(row, entry, label)


def _add_terms(row: Row, entry: Mapping[str, Any], label: str) -> Row:
    """Return a row with its minimums, steps, marginal prices and pools, if it has any."""
    terms: dict[str, Any] = {}
    for key, name in (("least", "least_units"), ("step", "step_units")):
        pairs = fields.words(entry, key, label)
        terms[name] = {meter: read_units(value, meter, f"{label}: {key}") for meter, value in pairs.items()}
    terms["least_amount"] = {
        meter: read_price(value, meter, f"{label}: least_usd").amount
        for meter, value in fields.words(entry, "least_usd", label).items()
    }
    terms["marginal"] = _read_marginal(entry, label)
    terms["pool"] = fields.words(entry, "pool", label)
    for name, pairs in terms.items():
        for meter in pairs:
            if meter not in row.prices:
                raise ConfigError(f"{label}: {name.partition('_')[0]}: the row has no price of {meter!r}")
    used = {name: pairs for name, pairs in terms.items() if pairs}
    return msgspec.structs.replace(row, **used) if used else row


def _read_marginal(entry: Mapping[str, Any], label: str) -> dict[str, tuple[tuple[int, Price], ...]]:
    found: dict[str, tuple[tuple[int, Price], ...]] = {}
    table = entry.get("marginal", {})
    if not isinstance(table, dict):
        raise ConfigError(f'{label}: `marginal` must be a table such as {{ egress = [["10 TB", "0.085"]] }}')
    for meter, pairs in table.items():
        check_meter(meter, f"{label}: marginal")
        if not isinstance(pairs, list) or not all(isinstance(pair, list) and len(pair) == 2 for pair in pairs):
            raise ConfigError(f'{label}: marginal: {meter} must be a list of pairs such as ["10 TB", "0.085"]')
        bands = tuple(
            (read_units(start, meter, f"{label}: marginal"), read_price(price, meter, f"{label}: marginal"))
            for start, price in pairs
        )
        starts = [start for start, _ in bands]
        if not starts or starts[0] <= 0 or starts != sorted(set(starts)):
            raise ConfigError(f"{label}: marginal: the thresholds of {meter} must rise from above 0")
        found[meter] = bands
    return found


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
    return (tokens, f"over-{tokens}") if at_least is None else (tokens - 1, f"at-least-{tokens}")


def _read_about(entry: Any, label: str) -> About:
    label = f"{label}: about"
    if not isinstance(entry, dict):
        raise ConfigError(f"{label}: it must be a table")
    fields.refuse_unknown(entry, _ABOUT_KEYS, label)
    return About(
        kind=fields.text(entry, "kind", label, ""),
        context_tokens=fields.number(entry, "context", label),
        output_tokens=fields.number(entry, "output", label),
        inputs=fields.texts(entry, "inputs", label),
        outputs=fields.texts(entry, "outputs", label),
        supports=fields.texts(entry, "supports", label),
        released=fields.text(entry, "released", label, ""),
        deprecated=fields.text(entry, "deprecated", label, ""),
        retires=fields.text(entry, "retires", label, ""),
    )


def _refuse_clash(one: Row, other: Row, label: str) -> None:
    """Refuse two rows that can hold at once where neither says more than the other.

    Of two schedules it is not known here whether they are ever on together: the compiled rates tell.
    """
    if _apart(one, other):
        return
    mine, its = conditions_of(one), conditions_of(other)
    if mine == its:
        if one.above == other.above:
            raise ConfigError(
                f"{label}: rows {one.id} and {other.id} hold at the same time; give them `until` and `from`"
            )
        return
    shared = sorted(set(one.prices) & set(other.prices))
    if not shared or _exclude(one, other):
        return
    if mine < its or its < mine:
        return
    raise ConfigError(
        f"{label}: rows {one.id} and {other.id} both price {shared[0]} and can hold at once; "
        "give one of them the other's conditions too"
    )


def _refuse_hidden_sizes(rows: tuple[Row, ...], label: str) -> None:
    """Refuse a row with more conditions that would hide the dearer prices of long inputs by saying nothing of them."""
    for large in rows:
        mine = conditions_of(large)
        for small in rows:
            if small.above <= large.above or not conditions_of(small) < mine or _apart(small, large):
                continue
            same = (row for row in rows if conditions_of(row) == mine and not _apart(row, small))
            token = next((m for m in large.prices if m in small.prices and METERS[m].unit == "token"), "")
            if token and not any(row.above >= small.above for row in same):
                raise ConfigError(
                    f"{label}: row {large.id} does not say what {token} costs above {small.above} tokens, "
                    f"as row {small.id} does; add a row for that size"
                )


def _apart(one: Row, other: Row) -> bool:
    """Return whether two rows are valid at different times."""
    return one.from_ns >= other.until_ns or other.from_ns >= one.until_ns


def _exclude(one: Row, other: Row) -> bool:
    """Return whether two rows can never hold at once."""
    if one.tier != other.tier and ANY_TIER not in (one.tier, other.tier):
        return True
    if any(other.when.get(fact, value) != value for fact, value in one.when.items()):
        return True
    return bool(one.schedule and other.schedule and one.schedule != other.schedule)
