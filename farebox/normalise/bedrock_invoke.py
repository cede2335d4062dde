"""Usage of models on Amazon Bedrock that are called by InvokeModel and do not count in Anthropic's words.

Three shapes, by the keys that are there: ``inputTokenCount`` and ``outputTokenCount`` of the invocation metrics at
the end of a stream, beside cached ones; ``prompt_token_count`` and ``generation_token_count`` of Llama;
``inputTextTokenCount`` of Titan, whose results are counted one by one. Rules: the pages on inference parameters of
each model in Bedrock's user guide.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise import bedrock_converse
from farebox.normalise.counts import need_count
from farebox.usage import Usage

_METRICS = {
    "inputTokens": "inputTokenCount",
    "outputTokens": "outputTokenCount",
    "cacheReadInputTokens": "cacheReadInputTokenCount",
    "cacheWriteInputTokens": "cacheWriteInputTokenCount",
}


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of an answer's counts.

    Raises:
        UsageViolation: where a count is missing or is no count.
    """
    if "inputTokenCount" in raw:
        return bedrock_converse.normalise({name: raw.get(key) for name, key in _METRICS.items()})
    if "prompt_token_count" in raw:
        prompt = need_count(raw, "prompt_token_count")
        return Usage({"input": prompt, "output": need_count(raw, "generation_token_count")}, prompt)
    prompt = need_count(raw, "inputTextTokenCount")
    results = raw.get("results")
    if results is None:  # an embedding
        return Usage({"input": prompt}, prompt)
    if not isinstance(results, list) or not all(isinstance(result, Mapping) for result in results):
        raise UsageViolation("results is a list of objects", f"{results!r:.60}")
    return Usage({"input": prompt, "output": sum(need_count(result, "tokenCount") for result in results)}, prompt)
