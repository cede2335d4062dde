"""Usage of Amazon Bedrock's Converse.

The shape: ``inputTokens`` leaves out what was read from and written to the cache; ``cacheDetails`` split the
writes by the time they are kept (5 minutes where they are absent); ``outputTokens`` includes reasoning. Models
differ in whether ``totalTokens`` counts cached tokens, so either sum is taken. The rules are those of the API
reference (``TokenUsage``, ``CacheDetail``). What InvokeModel returns is in the words of the model's maker.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import need_count, read_count
from farebox.usage import Usage

_WRITES = {"5m": "cache_write_5m", "1h": "cache_write_1h"}


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a ``usage`` object; of a stream, that of its ``metadata`` event.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    plain = need_count(raw, "inputTokens")
    result = need_count(raw, "outputTokens")
    cached = _read_either(raw, "cacheReadInputTokens", "cacheReadInputTokenCount")
    written = _read_either(raw, "cacheWriteInputTokens", "cacheWriteInputTokenCount")
    meters = {"input": plain}
    if cached is not None:
        meters["cache_read"] = cached
    meters.update(_read_writes(raw, written))
    total_input = sum(meters.values())
    total = read_count(raw, "totalTokens")
    if total is not None and total not in {plain + result, total_input + result}:
        raise UsageViolation(
            "totalTokens == inputTokens + outputTokens, with or without cached ones",
            f"{total} is neither {plain + result} nor {total_input + result}",
        )
    meters["output"] = result
    return Usage(meters, total_input)


def _read_either(raw: Mapping[str, Any], name: str, old_name: str) -> int | None:
    count = read_count(raw, name)
    old = read_count(raw, old_name)
    if count is not None and old is not None and count != old:
        raise UsageViolation(f"{name} == {old_name}", f"{count} != {old}")
    return old if count is None else count


def _read_writes(raw: Mapping[str, Any], written: int | None) -> dict[str, int]:
    details = raw.get("cacheDetails")
    if not details:
        return {} if written is None else {"cache_write_5m": written}
    if not isinstance(details, list) or not all(isinstance(entry, Mapping) for entry in details):
        raise UsageViolation("cacheDetails is a list of objects", f"{details!r:.60}")
    writes = dict.fromkeys(_WRITES.values(), 0)
    for entry in details:
        meter = _WRITES.get(str(entry.get("ttl")))
        if meter is None:
            raise UsageViolation(f"cacheDetails have a ttl of {' or '.join(_WRITES)}", f"{entry.get('ttl')!r:.40}")
        writes[meter] += need_count(entry, "inputTokens")
    if written is not None and sum(writes.values()) != written:
        raise UsageViolation("cacheDetails add up to cacheWriteInputTokens", f"{sum(writes.values())} != {written}")
    return writes
