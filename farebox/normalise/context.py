"""What is known of an attempt beside its usage: tier, channel, speed, region, time, and facts that prices depend on.

Logs name these things in many ways; one table says which key means what. A key that is not in it and has a plain
value becomes a fact of its own, in small letters: it matters where a rate card has a condition of that name.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

import msgspec

from farebox.errors import FareboxError
from farebox.normalise.allowances import is_allowance
from farebox.normalise.quantities import words_of

_NS = 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The key without underscores -> what it is. Of several that name the region, the first in `_REGIONS` holds.
_REGIONS = (
    *("dataresidency", "inferencegeo", "endpointregion", "processingregion", "regionalprocessing", "pinnedregion"),
    *("region", "awsregion", "azureregion", "location", "endpoint", "endpointtype", "regional", "regionalendpoint"),
)
_MEANINGS = {
    **dict.fromkeys(("servicetier", "tier", "responseservicetier", "traffictype", "actualservicetier"), "tier"),
    **dict.fromkeys(("requestedservicetier", "requestservicetier", "requestedtier"), "asked_tier"),
    **dict.fromkeys(("processing", "channel", "mode", "processingmode"), "processing"),
    **dict.fromkeys(("batch", "isbatch"), "batch"),
    "speed": "speed",
    **dict.fromkeys(("time", "at", "timestamp", "startedat", "requesttime", "createdat", "created"), "time"),
    **dict.fromkeys(_REGIONS, "region"),
    **dict.fromkeys(("deployment", "deploymenttype", "deploymentkind", "deploymentsku"), "deployment"),
    **dict.fromkeys(("api", "apitype", "apiflavor", "operation"), "api"),
    **dict.fromkeys(("kind", "type", "chargetype", "chargekind", "category"), "kind"),
    **dict.fromkeys(("cachettl", "cacheretention", "promptcacheretention", "retention"), "cache_ttl"),
    **dict.fromkeys(("thinking", "enablethinking", "thinkingmode", "reasoningmode"), "thinking"),
    **dict.fromkeys(("cache", "cachemode", "cachetype", "caching"), "cache"),
    **dict.fromkeys(("searchcontextsize", "searchcontext", "websearchcontextsize"), "search_context_size"),
    **dict.fromkeys(("annotated", "annotations", "documentannotation", "withannotations"), "annotated"),
    **dict.fromkeys(("payment", "paymentmethod", "paidwith", "method"), "payment"),
    **dict.fromkeys(("responsemodel", "resolvedmodel", "modelversion", "answeredmodel"), "answered"),
    "crypto": "crypto",
    **dict.fromkeys(("grounded", "grounding", "groundedprompt"), "grounded"),
}
_FACTS = frozenset(("cache", "search_context_size", "annotated", "payment"))
_FACT_MEANINGS = _FACTS | {"deployment", "thinking"}
# Other words for the values of those facts.
_WORDS = {
    "cache": {
        **dict.fromkeys(("ephemeral", "manual", "context_cache"), "explicit"),
        **dict.fromkeys(("auto", "automatic"), "implicit"),
    },
    "annotated": {**dict.fromkeys(("true", "on"), "yes"), **dict.fromkeys(("false", "off", "none", "plain"), "no")},
    "payment": {
        **dict.fromkeys(("credit_card", "debit_card", "stripe"), "card"),
        **dict.fromkeys(("cryptocurrency", "usdc", "bitcoin", "coinbase"), "crypto"),
    },
}
_STANDARD_WORDS = frozenset(("standard", "on_demand", "ondemand", "auto", "normal", "regular", "standard_only"))
_TRAFFIC = {"on_demand_priority": "priority", "on_demand_flex": "flex", "provisioned_throughput": "provisioned"}
_NO_REGION = frozenset(("", "none", "default", "global", "any", "worldwide", "not_available", "no"))
_LIVE = frozenset(
    ("", "standard", "sync", "synchronous", "online", "live", "interactive", "default", "none", "realtime")
)
_BATCH = frozenset(("batch", "batched", "batch_api", "async_batch", "batches"))
_MAX_FACT = 64


class BadContext(FareboxError):
    """A value of the context cannot be used; the message names the key and says what can."""


class Context(msgspec.Struct):
    """What a context says; None and "" where it says nothing."""

    service_tier: str | None = None
    asked_tier: str | None = None
    processing: str | None = None
    speed: str | None = None
    region: str | None = None
    at_ns: int | None = None
    api: str = ""
    kind: str = ""
    cache_ttl: str = ""
    answered: str = ""
    grounded: bool = False
    facts: dict[str, str] = {}
    rank: int = len(_REGIONS)


def read_context(raw: Mapping[str, Any]) -> Context:
    """Return what a context says in the words of the price book.

    Raises:
        BadContext: where a value cannot be used.
    """
    context = Context(facts={})
    for key, value in raw.items():
        if value is None:
            continue
        meaning = _meaning_of(key)
        if meaning:
            _READERS[meaning](context, key, value)
        elif isinstance(value, str | bool | int | Decimal | float) and not is_allowance(key):
            _add_fact(context, "_".join(words_of(key)), value)
    return context


def read_facts(raw: Mapping[str, Any]) -> dict[str, str]:
    """Return the facts among the words of a usage object, such as the size and the quality of images.

    Raises:
        BadContext: where a value cannot be used.
    """
    context = Context(facts={})
    for key, value in raw.items():
        meaning = _meaning_of(key)
        if isinstance(value, str) and meaning in _FACT_MEANINGS:
            _READERS[meaning](context, key, value)
        elif isinstance(value, str) and not meaning and key != "object":
            _add_fact(context, "_".join(words_of(key)), value)
    return context.facts


@lru_cache(maxsize=1024)
def read_tier(word: str) -> str:
    """Return a service tier in small letters, with one word for each of those that mean the same everywhere."""
    word = word.strip().lower().replace("-", "_").replace(" ", "_").removeprefix("service_tier_")
    return "standard" if word in _STANDARD_WORDS else _TRAFFIC.get(word, word)


@lru_cache(maxsize=4096)
def read_instant(text: str) -> int:
    """Return an ISO 8601 time as nanoseconds since the epoch; one without a zone is UTC.

    Raises:
        BadContext: where it is none.
    """
    try:
        instant = datetime.fromisoformat(text.strip())
    except ValueError:
        raise BadContext(f"time {text!r:.60} is not an ISO 8601 time such as 2026-07-30T00:00:00Z") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    past = instant - _EPOCH
    return (past.days * 86_400 + past.seconds) * _NS + past.microseconds * 1000


@lru_cache(maxsize=1024)
def read_deployment(word: str) -> tuple[str, bool]:
    """Return the kind of a deployment, and whether it is one for batches.

    ``GlobalStandard``, ``data-zone``, ``DataZoneBatch`` and ``ProvisionedManaged`` become ``global``,
    ``data_zone``, ``data_zone`` in batch and ``regional``.
    """
    spread = "_".join(words_of(word))
    squeezed = spread.replace("_", "")
    batch = "batch" in squeezed
    if "datazone" in squeezed:
        return "data_zone", batch
    if "global" in squeezed:
        return "global", batch
    if "developer" in squeezed:
        return "developer", batch
    if squeezed in {"standard", "regional", "provisioned", "provisionedmanaged", "regionalstandard", "region"}:
        return "regional", batch
    return ("regional" if "regional" in squeezed else spread), batch


@lru_cache(maxsize=4096)
def _meaning_of(key: str) -> str:
    return _MEANINGS.get("".join(words_of(key)), "")


def _read_word(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise BadContext(f"{key} {value!r:.60} is not text")
    return value.strip().lower().replace("-", "_").replace(" ", "_")


def _set_tier(context: Context, key: str, value: Any) -> None:
    if not isinstance(value, str):
        value = _read_word(key, value["type"] if isinstance(value, Mapping) and "type" in value else value)
    word = read_tier(value)
    if word == "batch":
        context.processing = "batch"
    elif word:
        context.service_tier = word


def _set_asked_tier(context: Context, key: str, value: Any) -> None:
    context.asked_tier = read_tier(_read_word(key, value)) or None


def _set_processing(context: Context, key: str, value: Any) -> None:
    word = _read_word(key, value)
    if word in _BATCH:
        context.processing = "batch"
    elif word in {"flex", "priority", "fast"}:
        context.asked_tier = word
    elif word in {"thinking", "non_thinking"}:
        context.facts["thinking"] = "off" if word == "non_thinking" else "on"
    elif word not in _LIVE:
        if key == "processing":
            raise BadContext(f'{key} {value!r:.60}: say "batch" for a batch channel, or leave it out')
        _add_fact(context, key, value)


def _set_batch(context: Context, key: str, value: Any) -> None:
    if value in (True, "true", "yes"):
        context.processing = "batch"
    elif value not in (False, "false", "no"):
        raise BadContext(f"{key} {value!r:.60} is neither true nor false")


def _set_speed(context: Context, key: str, value: Any) -> None:
    word = _read_word(key, value)
    context.speed = None if word in {"", "standard", "normal", "default", "none"} else word


def _set_time(context: Context, key: str, value: Any) -> None:
    if isinstance(value, int) and not isinstance(value, bool):
        context.at_ns = value * _NS  # the seconds since the epoch of OpenAI's `created`
    elif isinstance(value, str):
        context.at_ns = read_instant(value)
    else:
        raise BadContext(f"{key} {value!r:.60} is not an ISO 8601 time such as 2026-07-30T00:00:00Z")


def _set_region(context: Context, key: str, value: Any) -> None:
    if isinstance(value, bool):  # that an endpoint is regional
        value = "regional" if value else "global"
    region = value.strip().lower() if isinstance(value, str) else _read_word(key, value)
    if "/" in region:  # the path of an endpoint
        context.api = context.api or region.rpartition("/")[2]
        return
    rank = _REGIONS.index("".join(words_of(key)))
    if region.replace("-", "_") in _NO_REGION or rank > context.rank:
        return
    context.region, context.rank = region, rank


def _set_deployment(context: Context, key: str, value: Any) -> None:
    kind, batch = read_deployment(_read_word(key, value))
    if batch:
        context.processing = "batch"
    context.facts["deployment"] = kind


def _set_thinking(context: Context, key: str, value: Any) -> None:
    if isinstance(value, Mapping):
        value = value.get("type", True)
    off = value in (False, 0) or (isinstance(value, str) and _read_word(key, value) in _OFF)
    context.facts["thinking"] = "off" if off else "on"


def _set_word(context: Context, key: str, value: Any) -> None:
    """Set a fact whose values are known, under the name and in the words of the rate cards."""
    name = _meaning_of(key)
    if isinstance(value, bool):
        value = "yes" if value else "no"
    word = _read_word(key, value)
    word = _WORDS.get(name, {}).get(word, word)
    if name != "cache" or word not in {"yes", "no"}:  # that there is a cache does not say which
        context.facts[name] = word


def _set_text(context: Context, key: str, value: Any) -> None:
    if isinstance(value, str) and value.lower() in _BATCH:  # the batch API is a channel
        context.processing = "batch"
        return
    setattr(context, _meaning_of(key), value.strip() if isinstance(value, str) else _read_word(key, value))


def _set_crypto(context: Context, _key: str, value: Any) -> None:
    context.facts["payment"] = "card" if value in (False, 0, "false", "no") else "crypto"


def _set_grounded(context: Context, _key: str, value: Any) -> None:
    context.grounded = value not in (False, 0) and str(value).lower() not in _OFF


def _add_fact(context: Context, name: str, value: Any) -> None:
    """Add a fact, unless it is the identity of something, which no price depends on."""
    if isinstance(value, bool):
        value = "yes" if value else "no"
    text = str(value).strip().lower()
    if len(text) <= _MAX_FACT and not name.endswith("id"):
        context.facts[name] = text


_OFF = frozenset(("off", "false", "no", "disabled", "none", "0"))
_READERS = {
    "tier": _set_tier,
    "asked_tier": _set_asked_tier,
    "processing": _set_processing,
    "batch": _set_batch,
    "speed": _set_speed,
    "time": _set_time,
    "region": _set_region,
    "deployment": _set_deployment,
    "thinking": _set_thinking,
    "grounded": _set_grounded,
    "crypto": _set_crypto,
    **dict.fromkeys(("api", "kind", "cache_ttl", "answered"), _set_text),
    **dict.fromkeys(_FACTS, _set_word),
}
