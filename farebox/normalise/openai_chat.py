"""Usage of OpenAI chat completions, and of the servers that speak it (vLLM, llama.cpp, Groq, Together, ...).

The shape: ``prompt_tokens`` includes cached, written, audio and image tokens; ``completion_tokens`` includes
reasoning, audio and both kinds of prediction tokens. Here they are taken apart into disjoint meters, and every
sum rule between them is checked. The rules are those of OpenAI's API description (``CompletionUsage``) and its
prompt caching guide. A server that counts otherwise, such as one that leaves reasoning out of
``completion_tokens``, breaks ``total_tokens == prompt_tokens + completion_tokens`` and is refused, not guessed.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.usage import Usage


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a chat completion's usage object.

    Args:
        raw: the member ``usage`` of the answer, or of a stream's last chunk.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    prompt = need_count(raw, "prompt_tokens")
    completion = need_count(raw, "completion_tokens")
    total = read_count(raw, "total_tokens")
    if total is not None and total != prompt + completion:
        raise UsageViolation("total_tokens == prompt_tokens + completion_tokens", f"{total} != {prompt} + {completion}")
    meters, unsplit = read_prompt(raw, prompt)
    _read_completion(raw, completion, meters)
    return Usage(meters, prompt, (), unsplit)


def read_prompt(raw: Mapping[str, Any], prompt: int) -> tuple[dict[str, int], tuple[str, ...]]:
    """Return the input meters, and the names of those that could not be told apart from the cached tokens.

    Raises:
        UsageViolation: where a count is no count, or a sum rule does not hold.
    """
    details = read_details(raw, "prompt_tokens_details")
    if details is None:
        cached = _read_cache_hits(raw, prompt, None)
        if cached is None:
            return {"input": prompt}, ()
        return {"input": prompt - cached, "cache_read": cached}, ()
    cached = _read_cache_hits(raw, prompt, read_count(details, "cached_tokens"))
    writes = _read_writes(details)
    covered = (cached or 0) + (sum(writes.values()) if writes else 0)
    if covered > prompt:
        raise UsageViolation("cached_tokens + cache_write_tokens <= prompt_tokens", f"{covered} > {prompt}")
    meters = {"input": prompt - covered}
    if cached is not None:
        meters["cache_read"] = cached
    meters.update(writes)
    return meters, _split_modalities(details, prompt, covered, meters)


def _read_cache_hits(raw: Mapping[str, Any], prompt: int, cached: int | None) -> int | None:
    """Return the cached tokens; DeepSeek's way of naming them is read too, if it does not contradict."""
    hit = read_count(raw, "prompt_cache_hit_tokens")
    if hit is None:
        return cached
    if cached is not None and cached != hit:
        raise UsageViolation("prompt_cache_hit_tokens == cached_tokens", f"{hit} != {cached}")
    if hit > prompt:
        raise UsageViolation("prompt_cache_hit_tokens <= prompt_tokens", f"{hit} > {prompt}")
    miss = read_count(raw, "prompt_cache_miss_tokens")
    if miss is not None and hit + miss != prompt:
        raise UsageViolation(
            "prompt_cache_hit_tokens + prompt_cache_miss_tokens == prompt_tokens", f"{hit} + {miss} != {prompt}"
        )
    return hit


def _read_writes(details: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens written to the cache by the time they are kept: 30 minutes unless the answer says."""
    written = read_count(details, "cache_write_tokens")
    by_ttl = read_details(details, "cache_write_tokens_details")
    if by_ttl is None:
        return {} if written is None else {"cache_write_30m": written}
    short = read_count(by_ttl, "ttl_30m_tokens") or 0
    long = read_count(by_ttl, "ttl_12h_tokens") or 0
    if written is not None and short + long != written:
        raise UsageViolation("ttl_30m_tokens + ttl_12h_tokens == cache_write_tokens", f"{short} + {long} != {written}")
    return {"cache_write_30m": short, "cache_write_12h": long}


def _split_modalities(details: Mapping[str, Any], prompt: int, covered: int, meters: dict[str, int]) -> tuple[str, ...]:
    """Move audio and image tokens out of the text meters, as far as the answer tells them apart."""
    audio = read_count(details, "audio_tokens")
    image = read_count(details, "image_tokens")
    if audio is None and image is None:
        return ()
    other = (audio or 0) + (image or 0)
    if not other:
        if audio is not None:
            meters["input_audio"] = 0
        if image is not None:
            meters["input_image"] = 0
        return ()
    text = read_count(details, "text_tokens") or 0
    if text + other > prompt:
        raise UsageViolation("text + audio + image tokens <= prompt_tokens", f"{text} + {other} > {prompt}")
    modalities = {"audio": audio, "image": image}
    if not covered:
        for name, count in modalities.items():
            if count is not None:
                meters[f"input_{name}"] = count
        meters["input"] -= other
        return ()
    cached_by = read_details(details, "cached_tokens_details")
    if cached_by is None or covered != meters.get("cache_read"):
        # Some of these tokens were read from or written to the cache, and the answer does not say how many.
        # They stay inside the text meters; the price engine takes that only where the prices are the same.
        return tuple(f"input_{name}" for name, count in modalities.items() if count)
    _split_cached(cached_by, modalities, covered, meters)
    return ()


def _split_cached(
    cached_by: Mapping[str, Any], modalities: dict[str, int | None], cached: int, meters: dict[str, int]
) -> None:
    """Split the cached tokens by modality as ``cached_tokens_details`` says."""
    rest = cached
    for name, count in modalities.items():
        part = read_count(cached_by, f"{name}_tokens") or 0
        if part > (count or 0):
            raise UsageViolation(f"cached {name}_tokens <= {name}_tokens", f"{part} > {count}")
        if count is not None:
            meters[f"input_{name}"] = count - part
            meters[f"cache_read_{name}"] = part
            meters["input"] -= count - part
            rest -= part
    text = read_count(cached_by, "text_tokens")
    if rest < 0 or meters["input"] < 0 or (text is not None and text != rest):
        raise UsageViolation("cached_tokens_details add up to cached_tokens", f"{dict(cached_by)!r:.120}")
    meters["cache_read"] = rest


def _read_completion(raw: Mapping[str, Any], completion: int, meters: dict[str, int]) -> None:
    """Add the output meters."""
    details = read_details(raw, "completion_tokens_details")
    if details is None:
        meters["output"] = completion
        return
    reasoning = read_count(details, "reasoning_tokens")
    audio = read_count(details, "audio_tokens")
    image = read_count(details, "image_tokens")
    accepted = read_count(details, "accepted_prediction_tokens") or 0
    rejected = read_count(details, "rejected_prediction_tokens") or 0
    if accepted + rejected > completion:
        raise UsageViolation(
            "accepted + rejected prediction tokens <= completion_tokens", f"{accepted} + {rejected} > {completion}"
        )
    rest = completion - (reasoning or 0) - (audio or 0) - (image or 0)
    if rest < 0:
        raise UsageViolation(
            "reasoning + audio + image tokens <= completion_tokens",
            f"{reasoning or 0} + {audio or 0} + {image or 0} > {completion}",
        )
    meters["output"] = rest
    if reasoning is not None:
        meters["reasoning"] = reasoning
    if audio is not None:
        meters["output_audio"] = audio
    if image is not None:
        meters["output_image"] = image
