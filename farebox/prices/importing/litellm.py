"""Reads the model map of the litellm package (MIT): current prices as floats, without dates.

Its field names say meter, cache time, context size and tier in one word, such as
``cache_creation_input_token_cost_above_1hr_above_200k_tokens_batches``. Fields without a meter are named.
"""

import re
from decimal import Context, Decimal
from typing import Any

from farebox.prices.importing.genai import is_free
from farebox.prices.importing.offers import Cleaner, Finding, Offer, Package
from farebox.prices.importing.providers import provider_of, write_meter
from farebox.usage import METERS

_FIELD = re.compile(
    r"^(?P<base>.+?)(?P<ttl>_above_(?:1|12)hr)?(?:_above_(?P<size>\d+)k_tokens)?"
    r"(?:_(?P<tier>batches|flex|priority|ultrafast|balanced))?$"
)
_MILLION = 1_000_000
_HOUR = 3600
_FEW_DIGITS = 4
# Databricks publishes in units of its own; what their conversion rounds away is at most this part.
_CONVERSION = Decimal("0.00005")
_TOKENS = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "input_cost_per_token_cache_hit": "cache_read",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "cache_read_input_audio_token_cost": "cache_read_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
    "cache_read_input_image_token_cost": "cache_read_image",
    "input_cost_per_video_token": "input_video",
    "output_cost_per_video_token": "output_video",
    "output_cost_per_reasoning_token": "reasoning",
    "citation_cost_per_token": "citation",
    "input_cost_per_character": "character",
    "output_cost_per_character": "output_character",
}
_WRITE = "cache_creation_input_token_cost"
_LONGER = {"_above_1hr": "cache_write_1h", "_above_12hr": "cache_write_12h"}
# Fields whose meter depends on what the model does: (mode or "", field) -> meter and factor to the card's unit.
_OTHERS: dict[tuple[str, str], tuple[str, int]] = {
    ("audio_transcription", "input_cost_per_second"): ("audio_time", 3600),
    ("audio_transcription", "output_cost_per_second"): ("audio_time", 3600),
    ("audio_speech", "output_cost_per_second"): ("speech_time", 3600),
    ("video_generation", "output_cost_per_second"): ("video_time", 1),
    ("video_generation", "output_cost_per_video_per_second"): ("video_time", 1),
    ("image_generation", "output_cost_per_image"): ("image_made", 1),
    ("image_generation", "input_cost_per_image"): ("image_made", 1),
    ("image_edit", "output_cost_per_image"): ("image_made", 1),
    ("embedding", "input_cost_per_image"): ("image_read", 1),
    ("rerank", "input_cost_per_query"): ("search_unit", 1),
    ("", "input_cost_per_request"): ("request", 1),
    ("", "ocr_cost_per_page"): ("page", 1000),
    ("", "google_maps_grounding_cost_per_query"): ("maps_search", 1),
    ("", "code_interpreter_cost_per_session"): ("code_session", 1),
}
_TIERS = {"batches": "batch"}
# Numbers that are no price in USD, or repeat one.
_NO_PRICE = re.compile(
    r"dbu_cost|uplift|free_requests|billing_unit|tiered_pricing|off_peak|search_context_cost|computer_use|_decisions$|"
    r"cost_per_(?:pixel|video_per_second|audio_per_second)|explicit_cache|above_\d+s_interval|128k_tokens$"
)
_PREFIXES = (
    "azure_ai/", "azure/", "bedrock/", "bedrock_converse/", "bedrock_mantle/", "vertex_ai/", "gemini/", "xai/",
    "together_ai/", "fireworks_ai/", "cohere/", "mistral/", "codestral/", "text-completion-codestral/", "groq/",
    "deepseek/", "perplexity/", "cerebras/", "openrouter/", "novita/", "minimax/", "moonshot/", "zai/", "bigmodel/",
    "dashscope/", "databricks/", "baseten/", "cloudflare/", "ovhcloud/", "voyage/", "meta_llama/", "meta/",
    "elevenlabs/", "github_copilot/", "typesafe/", "cognition/", "deepinfra/", "vercel_ai_gateway/", "nebius/", "oci/",
    "snowflake/", "watsonx/", "ai21/", "sambanova/", "hyperbolic/", "lambda_ai/", "nscale/", "scaleway/", "wandb/",
    "deepgram/", "assemblyai/", "gmi/", "friendliai/", "crusoe/", "inception/", "text-completion-inception/",
    "xiaomi_mimo/", "tencent/", "nvidia_nim/", "morph/", "v0/", "publicai/", "gradient_ai/", "sarvam/", "openai/",
    "anthropic/", "amazon_nova/", "text-completion-openai/",
)  # fmt: skip
_SUPPORTS = {
    "supports_function_calling": "tools",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_prompt_caching": "prompt_cache",
    "supports_vision": "vision",
    "supports_web_search": "web_search",
    "supports_computer_use": "computer_use",
    "supports_url_context": "url_context",
}
_READS = {
    "supports_vision": "image",
    "supports_audio_input": "audio",
    "supports_video_input": "video",
    "supports_pdf_input": "document",
}
_KINDS = {
    "responses": "chat",
    "completion": "chat",
    "image_generation": "image",
    "image_edit": "image",
    "audio_transcription": "transcription",
    "audio_speech": "speech",
    "video_generation": "video",
}
_SPELLED = re.compile(r"^\d{4}-\d\d-\d\d$")


class LitellmReader:
    """Reads the map."""

    def __init__(self, package: Package) -> None:
        self.package: Package = package
        self.cleaners: dict[str, Cleaner] = {}
        self.skipped: dict[str, int] = {}

    @property
    def findings(self) -> list[Finding]:
        """What was not taken over."""
        return [finding for cleaner in self.cleaners.values() for finding in cleaner.findings]

    def read(self, table: dict[str, dict[str, Any]]) -> list[Offer]:
        """Return the offers of the map, its numbers read as `Decimal`."""
        offers: list[Offer] = []
        for key, entry in table.items():
            theirs = entry.get("litellm_provider") or ""
            provider = provider_of(theirs, "litellm")
            if not provider:
                self.skipped[theirs] = self.skipped.get(theirs, 0) + 1
                continue
            name = bare_id(key, provider)
            if name:
                offer = self._read_entry(name, entry, provider)
                if offer.rows:
                    offers.append(offer)
        return offers

    def _read_entry(self, name: str, entry: dict[str, Any], provider: str) -> Offer:
        cleaner = self.cleaners.setdefault(provider, Cleaner(self.package, provider))
        mode = entry.get("mode") or ""
        rows: dict[tuple[str, int], dict[str, Any]] = {}
        free = is_free(name)
        for field, value in entry.items():
            if "cost" not in field or _NO_PRICE.search(field) or isinstance(value, dict | list) or value is None:
                continue
            found = _FIELD.match(field)
            assert found is not None
            meter, factor = _meter(found["base"], found["ttl"] or "", mode, write_meter(provider, name))
            if not meter:
                if value:
                    cleaner.note(name, field, "unmapped", value)
                continue
            if not value and not free:
                if meter in ("input", "output") and mode in ("chat", "") and not found["tier"]:
                    cleaner.note(name, meter, "zero", value)
                continue
            if factor == _HOUR:
                value, factor = hourly(value), 1  # noqa: PLW2901 - the same price, by the hour
            elif provider == "databricks" and value:
                value = unrounded(value * factor) / factor  # noqa: PLW2901 - the same price, as published
            text = "0" if not value else cleaner.price(value, name, meter, factor)
            if text is not None:
                _row(rows, found["tier"] or "", int(found["size"] or 0) * 1000).setdefault(meter, text)
        self._add_tiered(rows, entry, cleaner, name)
        _add_searches(rows, entry, cleaner, name)
        return Offer(self.package, provider, name, [name], [], _finish(rows), read_about(entry))

    def _add_tiered(
        self, rows: dict[tuple[str, int], dict[str, Any]], entry: dict[str, Any], cleaner: Cleaner, name: str
    ) -> None:
        """Add the rows of ``tiered_pricing``, whose ranges run from more than one bound up to the next, included."""
        for band in entry.get("tiered_pricing") or ():
            size = int((band.get("range") or [0])[0])
            for field, value in band.items():
                meter = write_meter("", name) if field == _WRITE else _TOKENS.get(field, "")
                if meter and value and (text := cleaner.price(value, name, meter, _MILLION)):
                    _row(rows, "", size).setdefault(meter, text)


def bare_id(key: str, provider: str) -> str:
    """Return the id that the provider's API takes, or "" for a key that is none (regions, sizes, commitments)."""
    name = key
    prefix = next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")
    if not (provider == "openrouter" and not prefix.startswith("openrouter")):
        name = name.removeprefix(prefix)
    if provider == "fireworks":
        return name
    # Vertex calls open models by maker and name; elsewhere a slash sets apart a region, a size or a commitment.
    is_makers = prefix == "vertex_ai/"
    if provider in ("aws", "azure", "google", "openai", "anthropic") and "/" in name and not is_makers:
        return ""
    return "" if "*" in name or " " in name else name


def hourly(per_second: Decimal) -> Decimal:
    """Return a price per hour from one per second that was rounded from a price per minute or per hour.

    The shortest price per minute or per hour that gives the same digits per second is what was published.
    """
    exact = per_second * _HOUR
    if len(exact.normalize().as_tuple().digits) <= _FEW_DIGITS:
        return exact
    for digits in range(1, _FEW_DIGITS + 1):
        for seconds in (60, _HOUR):
            candidate = Context(prec=digits).plus(per_second * seconds)
            if round_like(candidate / seconds, per_second) == per_second:
                return candidate * (_HOUR // seconds)
    return exact


def unrounded(price: Decimal) -> Decimal:
    """Return a price with few digits in the place of one that differs from it by a conversion's rounding only."""
    short = Context(prec=_FEW_DIGITS).plus(price)
    return short if abs(short - price) <= price * _CONVERSION else price


def round_like(value: Decimal, model: Decimal) -> Decimal:
    """Return a value rounded to as many decimals as another has."""
    return value.quantize(Decimal(1).scaleb(int(model.as_tuple().exponent)))


def read_about(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what the map knows of a model beside its prices, as in a card."""
    about: dict[str, Any] = {}
    mode = entry.get("mode") or ""
    if mode:
        about["kind"] = _KINDS.get(mode, mode)
    for key, field in (("context", "max_input_tokens"), ("output", "max_output_tokens")):
        value = entry.get(field)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            about[key] = value
    reads = [modality for field, modality in _READS.items() if entry.get(field) is True]
    if reads:
        about["inputs"] = ["text", *reads]
    if entry.get("supports_audio_output") is True:
        about["outputs"] = ["text", "audio"]
    supports = [word for field, word in _SUPPORTS.items() if entry.get(field) is True]
    if supports:
        about["supports"] = supports
    day = entry.get("deprecation_date")
    if isinstance(day, str) and _SPELLED.match(day):
        about["retires"] = day
    return about


def _meter(base: str, ttl: str, mode: str, write: str) -> tuple[str, int]:
    if base == _WRITE:
        return (_LONGER[ttl] if ttl else write), _MILLION
    if ttl:
        return "", 1
    if base in _TOKENS:
        return _TOKENS[base], _MILLION
    return _OTHERS.get((mode, base)) or _OTHERS.get(("", base)) or ("", 1)


def _row(rows: dict[tuple[str, int], dict[str, Any]], tier: str, size: int) -> dict[str, Any]:
    row = rows.setdefault((tier, size), {})
    if tier:
        row["tier"] = _TIERS.get(tier, tier)
    if size:
        row["over"] = size
    return row


def _add_searches(
    rows: dict[tuple[str, int], dict[str, Any]], entry: dict[str, Any], cleaner: Cleaner, name: str
) -> None:
    """Add the fee of a web search where it is the same for every size of the context."""
    sizes = entry.get("search_context_cost_per_query") or {}
    prices = {str(value) for value in sizes.values()}
    if len(prices) > 1:
        cleaner.note(name, "search_context_cost_per_query", "unmapped", sizes)
    elif prices and not {"0", "0.0"} & prices and (text := cleaner.price(prices.pop(), name, "web_search")):
        _row(rows, "", 0).setdefault("web_search", text)


def _finish(rows: dict[tuple[str, int], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that price something; those of other tiers leave to the standard one what they do not say."""
    plain = rows.get(("", 0), {})
    found: list[dict[str, Any]] = []
    for key in sorted(rows):
        row = rows[key]
        if not set(row) & set(METERS):
            continue
        tier, size = key
        if size and (below := rows.get((tier, 0))):
            # A larger size replaces the smaller one as a whole: what it does not say costs the same.
            row |= {meter: price for meter, price in below.items() if meter in METERS and meter not in row}
        if tier and {meter for meter in plain if meter in METERS} - set(row):
            row["rest"] = "standard"
        found.append(row)
    return found
