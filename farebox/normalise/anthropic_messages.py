"""Usage of Anthropic messages.

The shape: ``input_tokens`` excludes what was read from and written to the cache; ``cache_creation`` splits the
writes by the time they are kept (5 minutes where it is absent); ``output_tokens`` includes thinking. Fees of
server tools are counted beside the tokens. ``iterations`` tells the inferences apart: a compaction among them
is billed on top of the top-level counts, which add up the ``message`` entries only. The rules are those of the
API reference (``Usage``, ``BetaUsage``) and of the pricing, prompt caching and compaction pages.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.amounts import parts_of, read_amount
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.normalise.quantities import TIMED, read_name
from farebox.usage import Usage

# Meters of the tools that Anthropic runs; None: published as free of charge.
_SERVER_TOOLS = {
    "web_search_requests": "web_search",
    "web_fetch_requests": None,
    "code_execution_requests": "code_execution",
}
_TOP_LEVEL = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a message's usage object.

    Args:
        raw: the member ``usage`` of the answer; for a stream that of `merge_stream`.

    Raises:
        UsageViolation: where a count is missing, is no count, a sum rule does not hold, or parts of it are
            billed at another model's rates.
    """
    meters = _read_tokens(raw)
    total = sum(meters.values()) - meters["output"]
    details = read_details(raw, "output_tokens_details")
    if details is not None:
        thinking = read_count(details, "thinking_tokens")
        if thinking is not None:
            if thinking > meters["output"]:
                raise UsageViolation("thinking_tokens <= output_tokens", f"{thinking} > {meters['output']}")
            meters["output"] -= thinking
            meters["reasoning"] = thinking
    tools = read_details(raw, "server_tool_use")
    if tools is not None:
        _read_tools(tools, meters)
    iterations = raw.get("iterations")
    if iterations:
        prompts = _add_iterations(raw, iterations, meters)
        return Usage(meters, sum(prompts), prompts if len(prompts) > 1 else ())
    return Usage(meters, total)


def merge_stream(start: Mapping[str, Any], delta: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage of a stream from ``message_start`` and the latest ``message_delta``.

    The counts of a delta are cumulative, so they replace earlier ones and are never added.
    """
    return {**start, **{key: value for key, value in delta.items() if value is not None}}


def _read_tokens(raw: Mapping[str, Any]) -> dict[str, int]:
    """Return the token meters of the top level or of one iteration, thinking still inside the output."""
    meters = {"input": need_count(raw, "input_tokens")}
    cached = read_count(raw, "cache_read_input_tokens")
    if cached is not None:
        meters["cache_read"] = cached
    created = read_count(raw, "cache_creation_input_tokens")
    split = read_details(raw, "cache_creation")
    if split is None:
        if created is not None:
            meters["cache_write_5m"] = created
    else:
        short = read_count(split, "ephemeral_5m_input_tokens") or 0
        long = read_count(split, "ephemeral_1h_input_tokens") or 0
        if created is not None and short + long != created:
            raise UsageViolation(
                "ephemeral_5m + ephemeral_1h == cache_creation_input_tokens", f"{short} + {long} != {created}"
            )
        meters["cache_write_5m"] = short
        meters["cache_write_1h"] = long
    meters["output"] = need_count(raw, "output_tokens")
    return meters


def _read_tools(tools: Mapping[str, Any], meters: dict[str, int]) -> None:
    for key in tools:
        named = None if key in _SERVER_TOOLS else read_name(key)
        if named is not None and named.role == "time" and TIMED.get(named.of) == "code_time":
            amount = read_amount(tools, key)
            if amount is not None:
                meters["code_time"] = parts_of("code_time", amount * named.factor, key)
            continue
        count = read_count(tools, key)
        if key not in _SERVER_TOOLS:
            if count:
                raise UsageViolation("server_tool_use counts tools with a known price", f"{key} = {count}")
            continue
        meter = _SERVER_TOOLS[key]
        if meter is not None and count is not None:
            meters[meter] = count


def _add_iterations(
    raw: Mapping[str, Any], iterations: Sequence[Mapping[str, Any]], meters: dict[str, int]
) -> tuple[int, ...]:
    """Add the compactions to the meters and return the input total of every inference."""
    if not isinstance(iterations, list) or not all(isinstance(entry, Mapping) for entry in iterations):
        raise UsageViolation("iterations is a list of objects", f"{iterations!r:.60}")
    prompts: list[int] = []
    messages = dict.fromkeys(_TOP_LEVEL, 0)
    for entry in iterations:
        kind = str(entry.get("type"))
        if kind not in {"message", "compaction"}:
            # An advisor or a fallback is another model, with rates of its own.
            raise UsageViolation("every iteration is billed at the answering model", f"type {kind!r:.40}")
        used = _read_tokens(entry)
        prompts.append(sum(used.values()) - used["output"])
        if kind == "compaction":
            for meter, count in used.items():
                meters[meter] = meters.get(meter, 0) + count
        else:
            for key in _TOP_LEVEL:
                messages[key] += read_count(entry, key) or 0
    models = {entry["model"] for entry in iterations if isinstance(entry.get("model"), str)}
    if len(models) > 1:
        raise UsageViolation("every iteration is billed at the answering model", ", ".join(sorted(models)))
    for key, count in messages.items():
        if count != (read_count(raw, key) or 0):
            raise UsageViolation(f"message iterations add up to {key}", f"{count} != {raw.get(key)!r:.20}")
    return tuple(prompts)
