"""Usage of Alibaba's Model Studio (DashScope), in its own words and in OpenAI's.

The shape: input tokens include what was read from and written to a cache; ``cache_creation_input_tokens`` are
kept for 5 minutes, and occur with an explicit cache only, whose hits have another price than those of the
implicit one. Output tokens include reasoning, and an answer with reasoning may have a price of its own. Rules:
the pages "Context cache" and "Models" of Model Studio's documentation.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.normalise.inclusive import split_input, split_output
from farebox.normalise.server_tools import read_tools
from farebox.usage import Usage


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters and the facts that decide about the price.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    native = "input_tokens" in raw
    name, answer = ("input_tokens", "output_tokens") if native else ("prompt_tokens", "completion_tokens")
    if answer not in raw and name not in raw:  # an embedding
        return Usage({"input": need_count(raw, "total_tokens")}, need_count(raw, "total_tokens"))
    prompt = need_count(raw, name)
    result = read_count(raw, answer) or 0
    total = read_count(raw, "total_tokens")
    if total is not None and total != prompt + result:
        raise UsageViolation(f"total_tokens == {name} + {answer}", f"{total} != {prompt} + {result}")
    details = {**(read_details(raw, f"{name}_details") or {}), **(read_details(raw, "prompt_tokens_details") or {})}
    cached = read_count(details, "cached_tokens")
    if cached is None:
        cached = read_count(raw, "cached_tokens")
    meters, unsplit = split_input(details, prompt, cached, name)
    facts = _move_writes(details, cached, meters, name)
    reasoning = _split_answer(raw, answer, result, meters)
    if reasoning:
        facts["thinking"] = "on"
    plugins = read_details(raw, "plugins")
    meters.update(read_tools(plugins, "plugins", "dashscope"))
    return Usage(meters, prompt, (), unsplit, facts)


def _move_writes(details: Mapping[str, Any], cached: int | None, meters: dict[str, int], name: str) -> dict[str, str]:
    """Move tokens written to an explicit cache out of the plain ones, and return what they say about the cache."""
    written = read_count(details, "cache_creation_input_tokens")
    by_ttl = read_details(details, "cache_creation")
    if by_ttl is not None:
        short = read_count(by_ttl, "ephemeral_5m_input_tokens") or 0
        if written is not None and short != written:
            raise UsageViolation("ephemeral_5m_input_tokens == cache_creation_input_tokens", f"{short} != {written}")
        written = short
    explicit = bool(written) or details.get("cache_type") == "ephemeral"
    if written is not None:
        if written + (cached or 0) > meters["input"] + (cached or 0):
            raise UsageViolation(f"cached_tokens + cache_creation_input_tokens <= {name}", f"{cached or 0} + {written}")
        meters["input"] -= written
        meters["cache_write_5m"] = written
    return {"cache": "explicit"} if explicit else {}


def _split_answer(raw: Mapping[str, Any], answer: str, result: int, meters: dict[str, int]) -> int:
    """Add the output meters and return how much of them is reasoning."""
    details = read_details(raw, f"{answer}_details")
    if details is None:
        meters["output"] = result
        return 0
    split_output(details, result, answer, meters)
    return meters.get("reasoning", 0)
