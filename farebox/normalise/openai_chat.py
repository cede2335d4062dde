"""Usage of OpenAI chat completions, and of the servers that speak it (vLLM, llama.cpp, Groq, Together, ...).

The shape: ``prompt_tokens`` includes cached, written, audio and image tokens; ``completion_tokens`` includes
reasoning, audio and both kinds of prediction tokens. Here they are taken apart into disjoint meters, and every
sum rule between them is checked (see `normalise.inclusive`). A server that counts otherwise, such as one that
leaves reasoning out of ``completion_tokens``, breaks ``total_tokens == prompt_tokens + completion_tokens`` and is
refused, not guessed.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.normalise.inclusive import split_input, split_output
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
    read_completion(raw, completion, meters)
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
    return split_input(details, prompt, cached, "prompt_tokens")


def read_completion(raw: Mapping[str, Any], completion: int, meters: dict[str, int]) -> None:
    """Add the output meters.

    Raises:
        UsageViolation: where a count is no count, or a sum rule does not hold.
    """
    details = read_details(raw, "completion_tokens_details")
    if details is None:
        meters["output"] = completion
    else:
        split_output(details, completion, "completion_tokens", meters)


def _read_cache_hits(raw: Mapping[str, Any], prompt: int, cached: int | None) -> int | None:
    """Return the cached tokens; other servers' ways of naming them are read too, if they do not contradict."""
    name = "prompt_cache_hit_tokens"  # DeepSeek
    hit = read_count(raw, name)
    if hit is None:
        name = "cached_tokens"  # Moonshot AI and Together, beside the total
        hit = read_count(raw, name)
        if hit is None:
            return cached
    if cached is not None and cached != hit:
        raise UsageViolation(f"{name} == cached_tokens", f"{hit} != {cached}")
    if hit > prompt:
        raise UsageViolation(f"{name} <= prompt_tokens", f"{hit} > {prompt}")
    miss = read_count(raw, "prompt_cache_miss_tokens")
    if miss is not None and hit + miss != prompt:
        raise UsageViolation(
            "prompt_cache_hit_tokens + prompt_cache_miss_tokens == prompt_tokens", f"{hit} + {miss} != {prompt}"
        )
    return hit
