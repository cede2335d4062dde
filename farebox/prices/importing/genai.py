"""Reads the data of the genai-prices package (MIT, Pydantic), which transcribes the vendors' own price pages.

Its provider objects come in as they are. What has no meter or no place in a card is named, never dropped in silence.
"""

import re
from collections.abc import Iterator
from datetime import datetime, time
from decimal import Decimal
from typing import Any

import msgspec

from farebox.prices.importing.clauses import ids_of
from farebox.prices.importing.offers import Cleaner, Finding, Offer, Package, midnight, unique
from farebox.prices.importing.providers import write_meter
from farebox.usage import METERS

# Its price keys and our meters; the number brings its unit to ours (fees and pages are per thousand there).
KEYS: dict[str, tuple[str, Decimal]] = {
    "input_mtok": ("input", Decimal(1)),
    "cache_read_mtok": ("cache_read", Decimal(1)),
    "cache_write_5m_mtok": ("cache_write_5m", Decimal(1)),
    "cache_write_1h_mtok": ("cache_write_1h", Decimal(1)),
    "input_audio_mtok": ("input_audio", Decimal(1)),
    "cache_audio_read_mtok": ("cache_read_audio", Decimal(1)),
    "input_image_mtok": ("input_image", Decimal(1)),
    "cache_image_read_mtok": ("cache_read_image", Decimal(1)),
    "input_video_mtok": ("input_video", Decimal(1)),
    "cache_video_read_mtok": ("cache_read_video", Decimal(1)),
    "output_mtok": ("output", Decimal(1)),
    "output_reasoning_mtok": ("reasoning", Decimal(1)),
    "output_audio_mtok": ("output_audio", Decimal(1)),
    "output_image_mtok": ("output_image", Decimal(1)),
    "output_video_mtok": ("output_video", Decimal(1)),
    "output_citation_mtok": ("citation", Decimal(1)),
    "input_text_mtok": ("input", Decimal(1)),
    "cache_text_read_mtok": ("cache_read", Decimal(1)),
    "cache_text_write_5m_mtok": ("cache_write_5m", Decimal(1)),
    "cache_text_write_1h_mtok": ("cache_write_1h", Decimal(1)),
    "output_text_mtok": ("output", Decimal(1)),
    "output_text_reasoning_mtok": ("reasoning", Decimal(1)),
    "output_text_citation_mtok": ("citation", Decimal(1)),
    "input_mchars": ("character", Decimal(1)),
    "audio_hours": ("audio_time", Decimal(1)),
    "input_audio_hours": ("audio_time", Decimal(1)),
    "output_audio_hours": ("speech_time", Decimal(1)),
    "input_document_kpages": ("page", Decimal(1)),
    "input_annotated_document_kpages": ("annotated_page", Decimal(1)),
    "web_searches_kcount": ("web_search", Decimal("0.001")),
    "social_searches_kcount": ("x_search", Decimal("0.001")),
    "storage_searches_kcount": ("file_search", Decimal("0.001")),
    "rerank_searches_kcount": ("search_unit", Decimal("0.001")),
    "code_executions_kcount": ("code_execution", Decimal("0.001")),
    "requests_kcount": ("request", Decimal("0.001")),
}
# Its units for which no provider has a price yet and the book no meter; a price for one would be named as left out.
NO_METER = re.compile(
    r"cache_(audio|image|video)_write(_5m|_1h)?_mtok|input_((audio|image|text|video)_)?tool_mtok|"
    r"output_(audio|image|video)_(citation|reasoning)_mtok|input_gpixels|input_text_messages_kcount"
)
# A cache write whose time it does not say; see `write_meter`.
WRITES = ("cache_write_mtok", "cache_text_write_mtok")
_STREAMED = ("live", "realtime", "voice")


class GenaiReader:
    """Reads one provider's models."""

    def __init__(self, package: Package, provider: str) -> None:
        self.package: Package = package
        self.provider: str = provider
        self.cleaner: Cleaner = Cleaner(package, provider)
        self.schedules: dict[str, dict[str, Any]] = {}

    @property
    def findings(self) -> list[Finding]:
        """What was not taken over."""
        return self.cleaner.findings

    def read(self, infos: list[Any]) -> list[Offer]:
        """Return the offers of ``genai_prices.types.ModelInfo`` objects; of two models with one id, the first."""
        offers: dict[str, Offer] = {}
        for info in infos:
            offer = self._read_model(info)
            if offer.id in offers:
                self.cleaner.note(offer.id, "", "double")
            offers.setdefault(offer.id, offer)
        return list(offers.values())

    def _read_model(self, info: Any) -> Offer:
        names, patterns, lost = ids_of(info.match, self.provider)
        for clause in lost:
            self.cleaner.note(info.id, "", "unmatched", clause)
        if info.match.is_match(info.id) and info.id not in names:
            names.append(info.id)
        rows = _merge_rows([row for row in self._rows(info) if set(row) & set(METERS)])
        if not rows and is_free(info.id):
            rows = [{"input": "0", "output": "0", "note": "free by its id"}]
        about: dict[str, Any] = {"context": info.context_window} if info.context_window else {}
        return Offer(self.package, self.provider, info.id, unique(names), patterns, rows, about)

    def _rows(self, info: Any) -> Iterator[dict[str, Any]]:
        entries = info.prices if isinstance(info.prices, list) else [_Always(info.prices)]
        dated = [entry for entry in entries if not hasattr(entry.constraint, "start_time")]
        starts = [_start(entry.constraint) for entry in dated]
        for index, entry in enumerate(dated):
            until = starts[index + 1] if index + 1 < len(starts) else None
            yield from self._sizes(info.id, entry.prices, _span(starts[index], until))
        for entry in entries:
            if hasattr(entry.constraint, "start_time"):
                given = {"schedule": self._schedule(entry.constraint), **_span(starts[-1], None)}
                yield from self._sizes(info.id, entry.prices, given)
        starts_of: dict[Any, list[datetime]] = {}
        for variant in info.price_variants or []:
            start = _start(variant.constraint)
            if start is not None:
                starts_of.setdefault(str(condition_of(variant.when)), []).append(start)
        for variant in info.price_variants or []:
            start = _start(variant.constraint)
            later = [one for one in starts_of.get(str(condition_of(variant.when)), ()) if start is None or one > start]
            yield from self._variant(info, variant, dated[-1].prices, _span(start, min(later, default=None)))

    def _variant(self, info: Any, variant: Any, standard: Any, span: dict[str, Any]) -> Iterator[dict[str, Any]]:
        found = condition_of(variant.when)
        if found is None:
            self.cleaner.note(info.id, str(variant.when), "unmapped")
            return
        tier, when = found
        if tier == "standard" and not when:
            return
        given: dict[str, Any] = {"tier": tier} if tier != "standard" else {}
        if when:
            given["when"] = when
        given |= span
        rows = list(self._sizes(info.id, variant.prices, given))
        there = {KEYS[key][0] for key, value in vars(standard).items() if value is not None and key in KEYS}
        for row in rows:
            if tier != "standard" and there - set(row):
                row["rest"] = "standard"
            yield row

    def _sizes(self, model: str, prices: Any, given: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield one row per input size at which a price changes."""
        found = {key: value for key, value in vars(prices).items() if value is not None}
        sizes = sorted({tier.start for value in found.values() for tier in getattr(value, "tiers", ())})
        for size in (None, *sizes):
            row = dict(given)
            if size is not None:
                # "More than 199,999" is how the data says "200,000 or more".
                row |= {"at_least": size + 1} if size % 1000 == 999 else {"over": size}
            for key, value in found.items():
                meter, factor = self._meter(key, model)
                if not meter:
                    if size is None:
                        self.cleaner.note(model, key, "unmapped", value)
                    continue
                text = self.cleaner.price(_at_size(value, size) * factor, model, meter)
                if text is not None:
                    row[meter] = text
            yield row

    def _meter(self, key: str, model: str) -> tuple[str, Decimal]:
        if key in WRITES:
            return write_meter(self.provider, model), Decimal(1)
        if key == "audio_hours" and any(word in model for word in _STREAMED):
            return "session_time", Decimal(1)
        return KEYS.get(key, ("", Decimal(1)))

    def _schedule(self, constraint: Any) -> str:
        """Return the id of a schedule for a time of the day."""
        start, end = (_clock(moment) for moment in (constraint.start_time, constraint.end_time))
        spans = [f"{start}-{end}"] if start < end else [f"{start}-24:00", f"00:00-{end}"]
        name = f"utc-{start}-{end}".replace(":", "")
        self.schedules[name] = {
            "id": name,
            "zone": "UTC",
            "spans": [span for span in spans if span != "00:00-00:00"],
            "source": "list",
        }
        return name


class _Always(msgspec.Struct):
    """A price without a constraint, in the shape of one that has it."""

    prices: Any
    constraint: Any = None


def is_free(model: str) -> bool:
    """Return whether an id says that the model is free of charge."""
    return model.endswith((":free", "-free"))


def condition_of(when: dict[str, str]) -> tuple[str, dict[str, str]] | None:
    """Return the tier and the facts of a variant, or None where a card has no word for it."""
    if set(when) == {"processing"} and when["processing"] == "batch":
        return "batch", {}
    if set(when) == {"speed"}:
        return when["speed"], {}
    if set(when) == {"service_tier"}:
        word = when["service_tier"]
        return {"default": "standard", "fast": "priority"}.get(word, word), {}
    if set(when) == {"search_type"}:
        return "standard", {"search_type": when["search_type"]}
    return None


def _merge_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows without those that say again what one before them says."""
    found: list[dict[str, Any]] = []
    for row in rows:
        keys = {key: value for key, value in row.items() if key not in METERS and key != "rest"}
        twin = next(
            (one for one in found if {k: v for k, v in one.items() if k not in METERS and k != "rest"} == keys), None
        )
        if twin is None:
            found.append(row)
        else:
            for key, value in row.items():
                twin.setdefault(key, value)
    return found


def _at_size(value: Any, size: int | None) -> Decimal:
    price: Decimal = getattr(value, "base", value)
    for tier in getattr(value, "tiers", ()):
        if size is not None and tier.start <= size:
            price = tier.price
    return price


def _start(constraint: Any) -> datetime | None:
    return None if constraint is None else midnight(constraint.start_date)


def _span(start: datetime | None, until: datetime | None) -> dict[str, Any]:
    return {key: value for key, value in (("from", start), ("until", until)) if value is not None}


def _clock(moment: time) -> str:
    return f"{moment.hour:02d}:{moment.minute:02d}"


def lend(offers: list[Offer], provider: str) -> list[Offer]:
    """Return a provider's offers as the list of another one that resells its models: they confirm and offer nothing."""
    return [
        msgspec.structs.replace(
            offer, provider=provider, rows=[row for row in offer.rows if "until" not in row], lends=True
        )
        for offer in offers
    ]
