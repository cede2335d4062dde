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

# Names beside the totals that mean the same as OpenAI's: of DeepSeek; of Moonshot AI and Together; of gateways that
# answer for Anthropic's models in OpenAI's shape, where both are inside `prompt_tokens`.
_HITS = ("prompt_cache_hit_tokens", "cached_tokens", "cache_read_input_tokens")
_WRITES = "cache_creation_input_tokens"
_OTHER_NAMES = frozenset((*_HITS, _WRITES))


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
    if _OTHER_NAMES.isdisjoint(raw):
        if details is None:
            return {"input": prompt}, ()
        return split_input(details, prompt, read_count(details, "cached_tokens"), "prompt_tokens")
    if details is None:
        details = {}
    cached = _read_cache_hits(raw, prompt, read_count(details, "cached_tokens"))
    meters, unsplit = split_input(details, prompt, cached, "prompt_tokens")
    _move_writes(raw, meters)
    return meters, unsplit


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
    found = [(name, count) for name in _HITS if (count := read_count(raw, name)) is not None]
    if not found:
        return cached
    name, hit = found[0]
    if any(count != hit for _, count in found):
        raise UsageViolation("all counts of cached tokens agree", ", ".join(f"{one} {count}" for one, count in found))
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


def _move_writes(raw: Mapping[str, Any], meters: dict[str, int]) -> None:
    """Move tokens written to Anthropic's cache out of the plain ones, unless the details count them already."""
    written = read_count(raw, _WRITES)
    if written is None:
        return
    counted = [count for name, count in meters.items() if name.startswith("cache_write_")]
    if counted:
        if sum(counted) != written:
            raise UsageViolation(f"{_WRITES} == cache_write_tokens", f"{written} != {sum(counted)}")
        return
    if written > meters["input"]:
        raise UsageViolation(f"cached_tokens + {_WRITES} <= prompt_tokens", f"{written} > {meters['input']} uncached")
    meters["input"] -= written
    meters["cache_write_5m"] = written
