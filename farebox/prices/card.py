"""Reads rate cards: TOML bytes in, a provider's prices out. Every error names the file, the model and the row.

A card holds one provider. Its prices are texts, since a float would not say what was published. docs/prices.md
describes the format.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from farebox.errors import ConfigError
from farebox.prices import fields
from farebox.prices.arithmetic import percent_of
from farebox.prices.rates import ALWAYS_NS, NEVER_NS, Card, Model, Pool, Source, Uplift, Windows
from farebox.prices.rows import Where, check_meter, check_pattern, read_inherit, read_model, read_units

FORMAT = 2
REPORTED = ("check", "bill")
UPLIFT_KEYS = frozenset(
    {"id", "times", "models", "source", "regions", "tiers", "when", "schedule", "from", "until", "meters", "replaces"}
)
SCHEDULE_KEYS = frozenset({"id", "zone", "weekdays", "spans", "off_days", "on_days", "source"})
POOL_KEYS = frozenset({"id", "meter", "free", "period", "shared_by", "source"})
_CARD_KEYS = frozenset(
    {"format", "provider", "name", "note", "tiers", "no_region", "regions", "reported", "inherit", "facts"}
    | {"sources", "schedules", "pools", "uplifts", "models"}
)
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_PERIODS = ("day", "month")
_MINUTES_PER_DAY = 1440


def read_card(file: str, data: bytes) -> Card:
    """Return the card of one provider.

    Raises:
        ConfigError: naming the file, the model and the row at fault.
    """
    table = fields.read_toml(file, data)
    fields.refuse_unknown(table, _CARD_KEYS, file)
    if table.get("format") != FORMAT:
        raise ConfigError(f"{file}: format must be {FORMAT}, not {table.get('format')!r}")
    provider = fields.text(table, "provider", file)
    sources = {key: fields.source(entry, f"{file}: source {key}") for key, entry in table.get("sources", {}).items()}
    where = Where(file, provider, "", sources, Source(""))
    inherit = read_inherit(table, file)
    models = tuple(
        read_model(entry, Where(file, provider, fields.text(entry, "id", file), sources, Source("")), inherit)
        for entry in fields.tables(table, "models", file)
    )
    reported = fields.text(table, "reported", file, REPORTED[0])
    if reported not in REPORTED:
        raise ConfigError(f"{file}: `reported` is one of {', '.join(REPORTED)}, not {reported!r}")
    card = Card(
        provider=provider,
        name=fields.text(table, "name", file, provider),
        models=models,
        tiers=fields.words(table, "tiers", file),
        no_region=fields.texts(table, "no_region", file),
        regions=fields.texts(table, "regions", file),
        uplifts=tuple(read_uplift(entry, where) for entry in fields.tables(table, "uplifts", file)),
        facts=_read_facts(table, file),
        schedules={
            found.id: found for found in (read_schedule(e, where) for e in fields.tables(table, "schedules", file))
        },
        pools={found.id: found for found in (read_pool(e, where) for e in fields.tables(table, "pools", file))},
        reported=reported,
    )
    for model in models:
        check_references(model, card, file)
    check_uplifts(card.uplifts, card.schedules, file)
    return card


def check_references(model: Model, card: Card, file: str) -> None:
    """Refuse a model's rows that name a schedule, a pool or a fact's value that the card does not have.

    Raises:
        ConfigError: naming the row.
    """
    for row in model.rows:
        label = f"{file}: row {row.id}"
        if row.schedule and row.schedule not in card.schedules:
            raise ConfigError(f"{label}: schedule {row.schedule!r} is not among [[schedules]]")
        for meter, pool in row.pool.items():
            if pool not in card.pools or card.pools[pool].meter != meter:
                raise ConfigError(f"{label}: pool {pool!r} of {meter} is not among [[pools]]")
        for fact, value in row.when.items():
            if fact in card.facts and value not in card.facts[fact]:
                raise ConfigError(f"{label}: {fact} = {value!r} is not among [facts]: {', '.join(card.facts[fact])}")


def check_uplifts(uplifts: tuple[Uplift, ...], schedules: Mapping[str, Windows], file: str) -> None:
    """Refuse uplifts with the same id, or that name what is not there.

    Raises:
        ConfigError: naming the uplift.
    """
    ids = [uplift.id for uplift in uplifts]
    for uplift in uplifts:
        label = f"{file}: [[uplifts]] {uplift.id}"
        if ids.count(uplift.id) > 1:
            raise ConfigError(f"{label}: another one has the same id")
        if uplift.schedule and uplift.schedule not in schedules:
            raise ConfigError(f"{label}: schedule {uplift.schedule!r} is not among [[schedules]]")
        for other in uplift.replaces:
            if other not in ids:
                raise ConfigError(f"{label}: replaces {other!r}, which is not among [[uplifts]]")


def read_uplift(entry: dict[str, Any], where: Where) -> Uplift:
    """Return a multiplier.

    Raises:
        ConfigError: naming the file and the key at fault.
    """
    label = f"{where.file}: [[uplifts]]"
    fields.refuse_unknown(entry, UPLIFT_KEYS, label)
    uplift_id = fields.text(entry, "id", label)
    label = f"{label} {uplift_id}"
    if "+" in uplift_id or "#" in uplift_id:
        raise ConfigError(f"{label}: an id has neither + nor #")
    times = fields.text(entry, "times", label)
    try:
        positive = percent_of(times) > 0
    except ValueError as error:
        raise ConfigError(f"{label}: times: {error}") from None
    if not positive:
        raise ConfigError(f"{label}: times must be more than 0, not {times}")
    models = fields.texts(entry, "models", label)
    if not models:
        raise ConfigError(f'{label}: `models` is missing; ["*"] is all of them')
    return Uplift(
        id=uplift_id,
        times=times,
        models=tuple(check_pattern(model, label) for model in models),
        source=_source_of(entry, where, label),
        regions=fields.texts(entry, "regions", label),
        tiers=fields.texts(entry, "tiers", label),
        when=fields.words(entry, "when", label),
        schedule=fields.text(entry, "schedule", label, ""),
        from_ns=fields.instant(entry, "from", label, ALWAYS_NS),
        until_ns=fields.instant(entry, "until", label, NEVER_NS),
        meters=tuple(check_meter(meter, label) for meter in fields.texts(entry, "meters", label)),
        replaces=fields.texts(entry, "replaces", label),
    )


def read_schedule(entry: dict[str, Any], where: Where) -> Windows:
    """Return a schedule.

    Raises:
        ConfigError: naming the file and the key at fault.
    """
    label = f"{where.file}: [[schedules]]"
    fields.refuse_unknown(entry, SCHEDULE_KEYS, label)
    schedule_id = fields.text(entry, "id", label)
    label = f"{label} {schedule_id}"
    zone = fields.text(entry, "zone", label)
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"{label}: zone {zone!r} is no IANA time zone such as America/New_York") from None
    days = fields.texts(entry, "weekdays", label) if "weekdays" in entry else _WEEKDAYS
    for day in days:
        if day not in _WEEKDAYS:
            raise ConfigError(f"{label}: weekday {day!r}; there are {', '.join(_WEEKDAYS)}")
    spans = tuple(sorted(_read_span(span, label) for span in fields.texts(entry, "spans", label)))
    if not spans:
        raise ConfigError(f'{label}: `spans` is missing, such as ["09:00-17:00"]')
    if any(before[1] > after[0] for before, after in pairwise(spans)):
        raise ConfigError(f"{label}: spans overlap")
    return Windows(
        id=schedule_id,
        zone=zone,
        weekdays=tuple(_WEEKDAYS.index(day) for day in days),
        spans=spans,
        off_days=fields.text(entry, "off_days", label, ""),
        on_days=fields.text(entry, "on_days", label, ""),
        source=_source_of(entry, where, label),
    )


def read_pool(entry: dict[str, Any], where: Where) -> Pool:
    """Return a pool of free units.

    Raises:
        ConfigError: naming the file and the key at fault.
    """
    label = f"{where.file}: [[pools]]"
    fields.refuse_unknown(entry, POOL_KEYS, label)
    label = f"{label} {fields.text(entry, 'id', label)}"
    meter = check_meter(fields.text(entry, "meter", label), label)
    period = fields.text(entry, "period", label)
    if period not in _PERIODS:
        raise ConfigError(f"{label}: period is one of {', '.join(_PERIODS)}, not {period!r}")
    free = read_units(fields.text(entry, "free", label), meter, f"{label}: free")
    shared_by = fields.text(entry, "shared_by", label, "account")
    return Pool(entry["id"], meter, free, period, shared_by, _source_of(entry, where, label))


def _read_span(text: str, label: str) -> tuple[int, int]:
    start, _, end = text.partition("-")
    minutes = [_read_minute(part, label) for part in (start, end)]
    if not 0 <= minutes[0] < minutes[1] <= _MINUTES_PER_DAY:
        raise ConfigError(f"{label}: span {text!r} must run forward within a day, such as 22:00-24:00")
    return minutes[0], minutes[1]


def _read_minute(text: str, label: str) -> int:
    hours, colon, minutes = text.strip().partition(":")
    if not colon or not (hours.isdigit() and minutes.isdigit()) or int(minutes) > 59:
        raise ConfigError(f"{label}: {text!r} is no time of the day such as 09:00")
    return int(hours) * 60 + int(minutes)


def _read_facts(table: Mapping[str, Any], file: str) -> dict[str, tuple[str, ...]]:
    facts = table.get("facts", {})
    if not isinstance(facts, dict):
        raise ConfigError(f'{file}: `facts` must be a table such as deployment = ["global"]')
    found = {fact: fields.texts(facts, fact, f"{file}: [facts]") for fact in facts}
    for fact, values in found.items():
        if not values:
            raise ConfigError(f"{file}: [facts]: {fact} has no values")
    return found


def _source_of(entry: Mapping[str, Any], where: Where, label: str) -> Source:
    """Return the source of an entry of a card; a user's entry says it in words."""
    key = fields.text(entry, "source", label, "")
    if key in where.sources:
        return where.sources[key]
    if where.sources or (not key and not where.source.url):
        raise ConfigError(f"{label}: source {key!r} is not among [sources]: {', '.join(where.sources)}")
    return Source(key, where.source.retrieved, where.source.via) if key else where.source
