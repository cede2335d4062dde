"""Usage of Gemini, on its own API and on Vertex AI: ``usageMetadata``.

The shape: ``promptTokenCount`` includes what was read from a cache; tokens that tools gave back to the model are
counted apart (``toolUsePromptTokenCount``); ``candidatesTokenCount`` leaves out thoughts, which are billed as
output. ``*TokensDetails`` break a count down by modality, documents counting as images. JSON leaves out a count
of 0. The rules are those of the API reference (``UsageMetadata``); names in snake_case, as the SDKs print them,
are read too.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import need_count, read_count
from farebox.usage import Usage

_TEXT = "text"
_MODALITIES = {
    "TEXT": _TEXT,
    "AUDIO": "audio",
    "IMAGE": "image",
    "VIDEO": "video",
    "DOCUMENT": "image",
    "MODALITY_UNSPECIFIED": _TEXT,
}
_CAMEL = {
    "prompt_token_count": "promptTokenCount",
    "cached_content_token_count": "cachedContentTokenCount",
    "tool_use_prompt_token_count": "toolUsePromptTokenCount",
    "candidates_token_count": "candidatesTokenCount",
    "response_token_count": "responseTokenCount",
    "thoughts_token_count": "thoughtsTokenCount",
    "total_token_count": "totalTokenCount",
    "prompt_tokens_details": "promptTokensDetails",
    "cache_tokens_details": "cacheTokensDetails",
    "tool_use_prompt_tokens_details": "toolUsePromptTokensDetails",
    "candidates_tokens_details": "candidatesTokensDetails",
    "response_tokens_details": "responseTokensDetails",
}


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a ``usageMetadata`` object; of a stream, that of the last chunk.

    Raises:
        UsageViolation: where the prompt's count is missing, a count is no count, or a sum rule does not hold.
    """
    if "promptTokenCount" not in raw:
        raw = {_CAMEL.get(key, key): value for key, value in raw.items()}
    prompt = need_count(raw, "promptTokenCount")
    cached = read_count(raw, "cachedContentTokenCount")
    tools = read_count(raw, "toolUsePromptTokenCount") or 0
    answer = "responseTokenCount" if "responseTokenCount" in raw else "candidatesTokenCount"
    result = read_count(raw, answer) or 0
    thoughts = read_count(raw, "thoughtsTokenCount")
    total = read_count(raw, "totalTokenCount")
    added = prompt + tools + result + (thoughts or 0)
    if total is not None and total != added:
        raise UsageViolation(
            "totalTokenCount == prompt + toolUsePrompt + candidates + thoughts",
            f"{total} != {prompt} + {tools} + {result} + {thoughts or 0}",
        )
    meters, unsplit = _split_prompt(raw, prompt, cached)
    if tools:
        for modality, count in _split(raw, "toolUsePromptTokensDetails", tools, "toolUsePromptTokenCount").items():
            _add(meters, "input", modality, count)
    for modality, count in _split(raw, answer.replace("TokenCount", "TokensDetails"), result, answer).items():
        _add(meters, "output", modality, count)
    if thoughts is not None:
        meters["reasoning"] = thoughts
    return Usage(meters, prompt + tools, (), unsplit)


def _split_prompt(raw: Mapping[str, Any], prompt: int, cached: int | None) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the meters of the prompt, and the names of those that could not be told apart from cached tokens."""
    if (cached or 0) > prompt:
        raise UsageViolation("cachedContentTokenCount <= promptTokenCount", f"{cached} > {prompt}")
    parts = _split(raw, "promptTokensDetails", prompt, "promptTokenCount")
    meters: dict[str, int] = {}
    if not cached:
        for modality, count in parts.items():
            _add(meters, "input", modality, count)
        if cached is not None:
            meters["cache_read"] = 0
        return meters, ()
    present = [modality for modality, count in parts.items() if count]
    if "cacheTokensDetails" in raw:
        read = _split(raw, "cacheTokensDetails", cached, "cachedContentTokenCount")
    elif len(present) == 1:
        read = {present[0]: cached}
    else:
        return {"input": prompt - cached, "cache_read": cached}, tuple(
            f"input_{modality}" for modality in present if modality != _TEXT
        )
    for modality in parts | read:
        count, part = parts.get(modality, 0), read.get(modality, 0)
        if part > count:
            raise UsageViolation(f"cached {modality} tokens <= {modality} tokens", f"{part} > {count}")
        _add(meters, "input", modality, count - part)
        _add(meters, "cache_read", modality, part)
    return meters, ()


def _split(raw: Mapping[str, Any], key: str, total: int, name: str) -> dict[str, int]:
    """Return a count by modality; what the details leave out is text."""
    entries = raw.get(key)
    if not entries:
        return {_TEXT: total}
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise UsageViolation(f"{key} is a list of objects", f"{entries!r:.60}")
    parts = {_TEXT: 0}
    for entry in entries:
        modality = _MODALITIES.get(str(entry.get("modality", "MODALITY_UNSPECIFIED")).upper())
        if modality is None:
            raise UsageViolation(f"{key} names known modalities", f"{entry.get('modality')!r:.40}")
        count = read_count(entry, "tokenCount" if "tokenCount" in entry else "token_count") or 0
        parts[modality] = parts.get(modality, 0) + count
    named = sum(parts.values())
    if named > total:
        raise UsageViolation(f"{key} add up to {name}", f"{named} > {total}")
    parts[_TEXT] += total - named
    return parts


def _add(meters: dict[str, int], kind: str, modality: str, count: int) -> None:
    name = kind if modality == _TEXT else f"{kind}_{modality}"
    meters[name] = meters.get(name, 0) + count
