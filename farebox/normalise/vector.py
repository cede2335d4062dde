"""The whole vector of a usage: its tokens by the rules of its API, and what is counted beside them.

Some of what an attempt is billed for is not in the usage object of its API: searches, runs of code, the storage
of a cache. Logs put such counts beside the tokens under names that say what they are, and they are added here.
What is no attempt at all (training, hosting, capacity, ...) is read by `normalise.billed`.
"""

from collections.abc import Mapping
from fractions import Fraction
from functools import lru_cache
from typing import Any

import msgspec

from farebox.errors import UsageViolation
from farebox.normalise.allowances import is_allowance
from farebox.normalise.amounts import exact, parts_of
from farebox.normalise.answers import count_queries
from farebox.normalise.billed import KINDS, parse_number, read_billed
from farebox.normalise.context import Context, read_facts
from farebox.normalise.detect import detect_api, read_hint
from farebox.normalise.mistral import annotate
from farebox.normalise.quantities import TIMED, Named, read_name, words_of
from farebox.normalise.server_tools import TOOLS, meter_of, read_tools, tool_of
from farebox.normalise.table import NORMALISERS, normaliser
from farebox.usage import METERS, Usage

_TTLS = {
    **dict.fromkeys(("5m", "5min", "300", "300s", "5_minutes"), "cache_write_5m"),
    **dict.fromkeys(("30m", "30min", "1800", "1800s", "30_minutes"), "cache_write_30m"),
    **dict.fromkeys(("1h", "60m", "60min", "3600", "3600s", "1_hour"), "cache_write_1h"),
    **dict.fromkeys(("12h", "720m", "43200", "43200s", "12_hours"), "cache_write_12h"),
}
# Of what a time is for which tokens are kept in a cache.
_KEPT = frozenset(("cache", "cache_storage", "storage", "cached_content", "cache_ttl", "ttl", "stored", "cached"))
# Of what tokens are that a cache holds, in a usage object, where `cachedContentTokenCount` were read from it.
_HELD = frozenset(("cache_storage", "storage", "stored", "cache"))
# Grounding is billed by the prompt on these and by the query on later models (ai.google.dev, "Pricing").
_BY_PROMPT = ("gemini-1", "gemini-2")
# Words in the names of models whose audio is the length of a session that streams both ways, ...
_LIVE_MODELS = ("live", "realtime", "voice")
# ... and of those whose seconds are of video and of speech.
_KIND_OF_MODEL = {"sora": "video", "veo": "video", "video": "video", "tts": "speech", "speech": "speech"}
# Pieces that are billed beside tokens; images and pages that were read or made are in the tokens.
_EXTRA_PIECES = frozenset(("code_session",))
# Objects that tell how much is kept in a cache, and for how long.
_STORED = frozenset(("cache_storage", "cached_content", "storage"))
_TOOL_LISTS = frozenset(("server_side_tools_used", "server_tool_use", "tool_calls", "tools", "tool_uses"))
# How uses are called where the model is the tool itself, such as `web_search`.
_USES = frozenset(("calls", "requests", "queries", "searches", "uses", "runs", "sessions", "count", "prompts"))
_HOUR_S = 3600


class Vector(msgspec.Struct, frozen=True):
    """A usage, and over how many seconds what is held is held, or None."""

    usage: Usage
    span_s: Fraction | None = None


def read_vector(
    provider: str, model: str, raw: Mapping[str, Any], context: Mapping[str, Any], known: Context
) -> Vector:
    """Return the disjoint meters of a usage object, or of quantities by name.

    Args:
        provider: id in the price book.
        model: as it was asked for or answered.
        raw: the usage object itself.
        context: what is known beside it, for counts that are there.
        known: what `context.read_context` made of it.

    Raises:
        UsageViolation: where the usage breaks a rule of its API, or a quantity is not known.
    """
    raw, context = _spread(raw), _spread(context)
    api = known.api
    if api not in NORMALISERS:
        hint = read_hint(api) or read_hint(known.kind) or ("images" if "image" in model else "")
        api = detect_api(provider, hint, raw)
        if not api and hint == "moderations":  # OpenAI's have no usage
            return Vector(Usage({"request": 1}, 0))
        if not api:
            return _read_billed(provider, model, raw, context, known)
    usage = normaliser(api)(raw)
    meters = usage.meters
    _add_extras(provider, raw, meters)
    span_s = None
    if context or "cache_read" in meters:
        _add_tools(provider, context, meters)
        span_s = _add_cache_storage(raw, context, known, meters)
        if known.cache_ttl:
            _keep_writes_for(known.cache_ttl, meters)
    if provider == "google":
        _count_grounding(model, {**raw, **context}, known, meters)
    if "page" in meters and known.facts.get("annotated") == "yes":
        usage = annotate(usage)
    return Vector(usage, span_s)


def _spread(given: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return an object with the storage of a cache beside the rest: ``{"cache_storage": {"hours": 2}}``."""
    if _STORED.isdisjoint(given):
        return given
    spread = {key: value for key, value in given.items() if key not in _STORED}
    for key in sorted(_STORED & given.keys()):
        inside = given[key] if isinstance(given[key], Mapping) else {"": given[key]}
        spread |= {f"{key}_{name}".rstrip("_"): value for name, value in inside.items()}
    return spread


def _read_billed(
    provider: str, model: str, raw: Mapping[str, Any], context: Mapping[str, Any], known: Context
) -> Vector:
    """Read what is billed without being an attempt, or an attempt that is not billed in tokens."""
    kind = next((word for word in (known.kind, known.api, model) if _is_kind(word)), "")
    if not kind:
        kind = next((kind for word, kind in _KIND_OF_MODEL.items() if word in model), "transcription")
    tools, rest = _split_tools(model if tool_of(model) in TOOLS else known.kind, raw)
    meters = read_tools(tools, "usage", provider)
    for key in _TOOL_LISTS & raw.keys():
        meters.update(read_tools(raw[key], key, provider))
    span_s = None
    if not meters or any(parse_number(value) for value in rest.values()):
        billed = read_billed({**_beside(context, rest), **rest}, kind)
        span_s = billed.span_s
        meters.update(billed.usage.meters)
    if "audio_time" in meters and any(word in model for word in _LIVE_MODELS):
        meters["session_time"] = meters.pop("audio_time")
    words = {key: value for key, value in raw.items() if not parse_number(value)}
    total = sum(count for meter, count in meters.items() if METERS[meter].family == "input")
    usage = Usage(meters, total, (), (), read_facts(words))
    annotated = "page" in meters and known.facts.get("annotated") == "yes"
    return Vector(annotate(usage) if annotated else usage, span_s)


def _split_tools(subject: str, raw: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the uses of tools, and the other quantities: without what is free and what was used before.

    Args:
        subject: what is billed; where that is a tool, a bare number of calls is of it.
        raw: the quantities by name.
    """
    by_session = "billable_audio_seconds" in raw  # xAI's voice counts tokens and does not bill them
    tools, rest = {}, {}
    for key, value in raw.items():
        if not _counts(value) or is_allowance(key, in_usage=True):
            continue
        if tool_of(key) in TOOLS:
            tools[key] = value
        elif tool_of(subject) in TOOLS and key in _USES:
            tools[subject] = value
        elif not (by_session and key.endswith("_tokens")):
            rest[key] = value
    return tools, rest


def _beside(context: Mapping[str, Any], rest: Mapping[str, Any]) -> dict[str, Any]:
    """Return quantities that a log keeps beside the usage, such as the units that are reserved."""
    there = {read_name(key) for key in rest}
    return {
        key: value
        for key, value in context.items()
        if parse_number(value) and not is_allowance(key) and read_name(key) not in {None, *there}
    }


@lru_cache(maxsize=1024)
def _is_kind(word: str) -> bool:
    return "_".join(words_of(word)) in KINDS


def _counts(value: Any) -> bool:
    """Return whether a value can be a count of uses."""
    return isinstance(value, list | Mapping) or parse_number(value)


@lru_cache(maxsize=4096)
def _extra_of(key: str, provider: str) -> str:
    """Return the meter of a count that stands beside tokens, or "" where the key is none."""
    tool = tool_of(key)
    if tool in TOOLS:
        return meter_of(tool, provider) or ""
    named = read_name(key)
    if named is None:
        return ""
    if named.role == "piece":
        return named.of if named.of in _EXTRA_PIECES else ""
    # Of times only that of code: the length of what was heard or said is in the tokens already.
    return "code_time" if named.role == "time" and TIMED.get(named.of) == "code_time" else ""


def _add_extras(provider: str, raw: Mapping[str, Any], meters: dict[str, int]) -> None:
    """Add what is counted beside the tokens, unless the API's own rules counted it already."""
    for key, value in raw.items():
        meter = _extra_of(key, provider)
        if not meter or meter in meters or not _counts(value):
            if key in _TOOL_LISTS:
                meters.update({**read_tools(value, key, provider), **meters})
            continue
        if tool_of(key) in TOOLS:
            meters.update(read_tools({key: value}, "usage", provider))
            continue
        named = read_name(key)
        if named is not None:
            meters[meter] = parts_of(meter, exact(value, key) * named.factor, key)


def _add_tools(provider: str, context: Mapping[str, Any], meters: dict[str, int]) -> None:
    """Add counts of tools that a log keeps beside the usage object."""
    for key, value in context.items():
        tool = tool_of(key)
        if tool in TOOLS and _counts(value) and meter_of(tool, provider) not in meters:
            meters.update(read_tools({key: value}, "context", provider))
        elif key in _TOOL_LISTS and isinstance(value, Mapping) and all(map(parse_number, value.values())):
            meters.update({**read_tools(value, key, provider), **meters})


def _add_cache_storage(
    raw: Mapping[str, Any], context: Mapping[str, Any], known: Context, meters: dict[str, int]
) -> Fraction | None:
    """Add the storage of an explicit cache where the time is given for which its tokens are kept."""
    explicit = KINDS.get(known.kind) == "cache_storage" or known.facts.get("cache") == "explicit"
    for source in (raw, context):
        for key, value in source.items():
            named = _time_of(key)
            if named is None or not parse_number(value):
                continue
            if named.role == "token_time":
                meters["cache_storage"] = parts_of("cache_storage", exact(value, key) * named.factor, key)
                return None
            if named.of in _KEPT or (explicit and not named.of):
                seconds = exact(value, key) * named.factor
                tokens = _stored_tokens(raw, context, meters)
                if not tokens:
                    raise UsageViolation("what is kept in a cache is counted", f"{key} needs cached tokens")
                meters["cache_storage"] = parts_of("cache_storage", tokens * seconds / _HOUR_S, key)
                return seconds
    return None


@lru_cache(maxsize=4096)
def _time_of(key: str) -> Named | None:
    """Return what a name says where it is a time, alone or with tokens."""
    named = read_name(key)
    return named if named is not None and named.role in {"time", "token_time"} else None


def _stored_tokens(raw: Mapping[str, Any], context: Mapping[str, Any], meters: Mapping[str, int]) -> Fraction:
    """Return how many tokens a cache holds: as it is said, else those that were read from it."""
    for source, words in ((context, _KEPT), (raw, _HELD)):
        for key, value in source.items():
            named = read_name(key)
            if named is not None and named.role == "tokens" and named.of in words and parse_number(value):
                return exact(value, key) * named.factor
    return Fraction(sum(count for meter, count in meters.items() if meter.startswith("cache_read")))


def _keep_writes_for(ttl: str, meters: dict[str, int]) -> None:
    """Count cache writes as kept for the time that the context says, where the usage does not break them down."""
    meter = _TTLS.get(ttl.lower().replace(" ", "_"))
    written = [name for name in meters if name.startswith("cache_write_")]
    if meter is not None and len(written) == 1 and written[0] != meter:
        meters[meter] = meters.pop(written[0])


def _count_grounding(model: str, beside: Mapping[str, Any], known: Context, meters: dict[str, int]) -> None:
    """Count grounding by the prompt where the model bills it so, whatever number of queries the prompt led to."""
    by_prompt = model.rpartition("/")[2].startswith(_BY_PROMPT)
    queries = count_queries(beside)
    if queries:
        meters.setdefault("web_search", queries)
    if known.grounded and "web_search" not in meters:
        if not by_prompt:
            raise UsageViolation("grounding is billed by the query", f"{model}: say how many web_search_queries")
        meters["web_search"] = 1
    if by_prompt and not any("prompts" in words_of(key) for key in beside):
        for meter in ("web_search", "maps_search"):
            if meters.get(meter, 0) > 1:
                meters[meter] = 1
