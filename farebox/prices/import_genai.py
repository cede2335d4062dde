"""Turns the data of the genai-prices package into rate cards.

The package (MIT licence, by Pydantic) is a tool of the maintainer who writes the cards, never needed to run.
Its provider objects come in as they are; out comes the text of a card, the same for the same input. Beside it
stand rules that the table does not have, from ``data/published/<provider>.toml``: multiples, inheritance, ends,
uplifts, models. What cannot be taken over is named in the notes, so nothing is left out silently.
"""

import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import product
from typing import Any

import msgspec

from farebox.prices.write import write_card
from farebox.usage import METERS

# The table's price keys and our meters. Fees are given per thousand calls there.
_KEYS = {
    "input_mtok": "input",
    "cache_read_mtok": "cache_read",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "cache_audio_read_mtok": "cache_read_audio",
    "input_image_mtok": "input_image",
    "cache_image_read_mtok": "cache_read_image",
    "output_mtok": "output",
    "output_reasoning_mtok": "reasoning",
    "output_audio_mtok": "output_audio",
    "output_image_mtok": "output_image",
    "web_searches_kcount": "web_search",
    "storage_searches_kcount": "file_search",
}
# How long a cache write without a time of its own is kept.
_WRITE = {"openai": "cache_write_30m", "anthropic": "cache_write_5m"}
_DECIMALS = 9
_ALTERNATIVES = re.compile(r"\[([^\]]+)\]")
_DIGITS = re.compile(r"\\d\{(\d+)\}")


class Imported(msgspec.Struct, frozen=True):
    """A card's text, and what a reader of it must know: models and prices that were not taken over."""

    text: str
    notes: tuple[str, ...]


def import_card(provider: Any, published: bytes, *, version: str, retrieved: date) -> Imported:
    """Return the card of a provider.

    Args:
        provider: a ``genai_prices.types.Provider``.
        published: the TOML of ``data/published/<provider>.toml``.
        version: of the package.
        retrieved: the day on which the package's data was taken over.
    """
    rules = tomllib.loads(published.decode())
    notes: list[str] = []
    models: dict[str, dict[str, Any]] = {}
    for info in provider.models:
        model = _Importer(provider.id, info, notes).model()
        if model is not None:
            models[model["id"]] = model
    for extra in rules.get("models", []):
        if extra["id"] in models:
            notes.append(f"{extra['id']}: the table has it now; take it out of the published rules")
        models.setdefault(extra["id"], extra)
    _apply_rules(rules, models, notes)
    head: dict[str, Any] = {
        key: rules[key] for key in ("provider", "name", "no_region", "tiers", "inherit", "uplifts") if key in rules
    }
    head["sources"] = {key: _date_source(source, version, retrieved) for key, source in rules["sources"].items()}
    comment = (
        f"Prices of {rules['name']}, written by `farebox prices import` from genai-prices {version} (MIT, Pydantic)\n"
        f"and data/published/{provider.id}.toml. USD per 1,000,000 tokens, and per call for fees.\n"
        "docs/prices.md explains the format."
    )
    ordered = [models[key] for key in sorted(models)]
    return Imported(write_card(head, ordered, comment=comment), tuple(dict.fromkeys(notes)))


def _date_source(source: dict[str, Any], version: str, retrieved: date) -> dict[str, Any]:
    dated = {"url": source["url"], "retrieved": source.get("retrieved", retrieved.isoformat())}
    dated["via"] = source.get("via", f"genai-prices {version}" if "retrieved" not in source else "")
    return {key: value for key, value in dated.items() if value}


class _Importer:
    """Takes over one model of the table."""

    def __init__(self, provider: str, info: Any, notes: list[str]) -> None:
        self.provider: str = provider
        self.info: Any = info
        self.notes: list[str] = notes

    def model(self) -> dict[str, Any] | None:
        """Return the model as a table of a card, or None where it has no price that a meter could use."""
        names, patterns = self._ids()
        rows = [row for row in self._rows() if row is not None]
        if not any("input" in row for row in rows):
            self.notes.append(f"{self.info.id}: left out, it is not priced by the token")
            return None
        return {"id": self.info.id, "names": names, "patterns": patterns, "source": "list", "prices": rows}

    def _ids(self) -> tuple[list[str], list[str]]:
        names: list[str] = []
        patterns: list[str] = []
        for kind, text in _clauses(self.info.match):
            if kind == "equals":
                names.append(text)
            elif kind == "starts_with":
                patterns.append(f"{text}*")
            elif kind == "regex":
                patterns += _patterns_from_regex(text)
            else:
                names.append(text)
                self.notes.append(f"{self.info.id}: {kind} {text!r} became an exact name")
        return sorted(set(names)), sorted(set(patterns))

    def _rows(self) -> Iterator[dict[str, Any] | None]:
        prices = self.info.prices if isinstance(self.info.prices, list) else [_Always(self.info.prices)]
        starts = [_start(entry.constraint) for entry in prices]
        for index, entry in enumerate(prices):
            until = starts[index + 1] if index + 1 < len(starts) else None
            yield from self._sizes(entry.prices, _span(starts[index], until))
        standard = {meter for row in self._sizes(prices[-1].prices, {}) for meter in row if meter in METERS}
        seen: dict[str, list[dict[str, Any]]] = {}
        for variant in self.info.price_variants or []:
            tier = _tier_of(variant.when)
            if tier == "standard":
                continue
            conditions = {"tier": tier, **_span(_start(variant.constraint), None)}
            rows = list(self._sizes(variant.prices, conditions)) or [dict(conditions)]
            for row in rows:
                row["source"] = "batch" if tier == "batch" else "tiers"
                if standard - set(row):
                    row["rest"] = "standard"
            if tier in seen:
                if rows != seen[tier]:
                    self.notes.append(f"{self.info.id}: two different prices for the tier {tier}; the first is kept")
                continue
            seen[tier] = rows
            yield from rows

    def _sizes(self, prices: Any, conditions: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield one row per input size at which a price changes."""
        found = {key: value for key, value in vars(prices).items() if value is not None}
        sizes = sorted({tier.start for value in found.values() for tier in getattr(value, "tiers", ())})
        for size in (None, *sizes):
            row = dict(conditions)
            if size is not None:
                row["over"] = size
            for key, value in found.items():
                meter = _WRITE[self.provider] if key == "cache_write_mtok" else _KEYS.get(key)
                if meter is None:
                    if size is None:
                        self.notes.append(f"{self.info.id}: {key} has no meter")
                    continue
                text = self._price(_at_size(value, size), key)
                if text is not None:
                    row[meter] = text
            if set(row) & set(METERS):
                yield row

    def _price(self, price: Decimal, key: str) -> str | None:
        """Return a price as text, freed of what binary floats left behind."""
        if price <= 0:
            self.notes.append(f"{self.info.id}: {key} = {price} was not taken over; a price of 0 must be explicit")
            return None
        if key.endswith("_kcount"):
            price /= 1000
        clean = round(price, _DECIMALS)
        if clean != price:
            if abs(clean - price) * 10**6 > price:
                self.notes.append(f"{self.info.id}: {key} = {price} was not taken over; it has too many decimals")
                return None
            self.notes.append(f"{self.info.id}: {key} = {price} was cleaned of float noise: {clean.normalize():f}")
        return f"{clean.normalize():f}"


class _Always(msgspec.Struct):
    """A price without a constraint, in the shape of one that has it."""

    prices: Any
    constraint: Any = None


def _at_size(value: Any, size: int | None) -> Decimal:
    price: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if size is not None and tier.start <= size:
            price = tier.price
    return price


def _start(constraint: Any) -> datetime | None:
    if constraint is None:
        return None
    day = constraint.start_date
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


def _span(start: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {key: value for key, value in (("from", start), ("until", until)) if value is not None}


def _tier_of(when: dict[str, str]) -> str:
    if when.get("processing") == "batch" or when.get("speed") == "fast":
        return "batch" if "processing" in when else "fast"
    word = when["service_tier"]
    return {"default": "standard", "fast": "priority"}.get(word, word)


def _clauses(match: Any) -> Iterator[tuple[str, str]]:
    for kind in ("equals", "starts_with", "contains", "ends_with", "regex"):
        text = getattr(match, kind, None)
        if text is not None:
            yield kind, text
    for clause in getattr(match, "or_", None) or ():
        yield from _clauses(clause)


def _patterns_from_regex(regex: str) -> list[str]:
    """Return the patterns that say what a regular expression of dated ids says."""
    text = _DIGITS.sub(lambda found: "#" * int(found[1]), regex.removeprefix("^").removesuffix("$")).replace("\\.", ".")
    choices = [list(found) for found in _ALTERNATIVES.findall(text)]
    blank = _ALTERNATIVES.sub("\0", text)
    if set(blank) & set("\\()+?|^$*{}"):
        raise ValueError(f"not a pattern of dated ids: {regex}")
    filled: list[str] = []
    for letters in product(*choices):
        chosen = iter(letters)
        filled.append("".join(next(chosen) if letter == "\0" else letter for letter in blank))
    return filled


def _apply_rules(rules: dict[str, Any], models: dict[str, dict[str, Any]], notes: list[str]) -> None:
    """Add what is published beside the table; tiers first, so that multiples of meters reach them."""
    for kind, apply in _RULES.items():
        for rule in rules.get(kind, []):
            for model_id in rule["models"]:
                if model_id in models:
                    apply(models[model_id], rule)
                else:
                    notes.append(f"{model_id}: a published rule names it, but it is not in the table")


def _add_tier(model: dict[str, Any], rule: dict[str, Any]) -> None:
    model["prices"] += [_multiply_row(row, rule) for row in model["prices"] if _is_current(row)]


def _add_meter(model: dict[str, Any], rule: dict[str, Any]) -> None:
    for row in model["prices"]:
        if rule["of"] in row and rule["meter"] not in row:
            row[rule["meter"]] = _times(row[rule["of"]], rule["times"])


def _add_inheritance(model: dict[str, Any], rule: dict[str, Any]) -> None:
    model["inherit"] = {**model.get("inherit", {}), **rule["inherit"]}


def _end_tier(model: dict[str, Any], rule: dict[str, Any]) -> None:
    for row in model["prices"]:
        if row.get("tier", "standard") == rule["tier"]:
            row["until"] = rule["until"]


_RULES = {"tier_multiples": _add_tier, "multiples": _add_meter, "inherits": _add_inheritance, "ends": _end_tier}


def _is_current(row: dict[str, Any]) -> bool:
    return row.get("tier", "standard") == "standard" and "until" not in row


def _multiply_row(row: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    """Return a row of another tier: token prices multiplied, fees left to the standard tier."""
    made: dict[str, Any] = {"tier": rule["tier"], "rest": "standard", "source": rule["source"]}
    made |= {key: rule[key] for key in ("from", "until") if key in rule}
    if "over" in row:
        made["over"] = row["over"]
    for meter, price in row.items():
        if meter in METERS and METERS[meter].unit == "token":
            made[meter] = _times(price, rule["times"])
    return made


def _times(price: str, times: str) -> str:
    return f"{(Decimal(price) * Decimal(times)).normalize():f}"
