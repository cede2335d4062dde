"""Usage of OpenAI embeddings: ``prompt_tokens`` is the whole of it.

Compatible servers add ``completion_tokens: 0`` and details of the prompt; a completion of an embedding is refused.
Voyage AI and Jina say ``total_tokens`` only.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.counts import need_count, read_count
from farebox.normalise.openai_chat import read_prompt
from farebox.usage import Usage


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of an embedding's usage object.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    total = read_count(raw, "total_tokens")
    prompt = read_count(raw, "prompt_tokens")
    if prompt is None:
        prompt = need_count(raw, "prompt_tokens" if total is None else "total_tokens")
    if total is not None and total != prompt:
        raise UsageViolation("total_tokens == prompt_tokens", f"{total} != {prompt}")
    completion = read_count(raw, "completion_tokens")
    if completion:
        raise UsageViolation("an embedding has no completion_tokens", str(completion))
    meters, unsplit = read_prompt(raw, prompt)
    return Usage(meters, prompt, (), unsplit)
