"""Usage of Perplexity's Sonar.

The shape: ``completion_tokens`` leaves out ``reasoning_tokens`` and ``citation_tokens``, which deep research bills
beside the answer, as it does ``num_search_queries``. Every answer is one request, whose fee depends on
``search_context_size``; which of the fees a model has is for the rate card to say. ``cost`` is what the provider
computed. Rules: Perplexity's pages "Pricing" and "Chat Completions".
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise import openai_responses
from farebox.normalise.amounts import read_money
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.normalise.server_tools import read_tools
from farebox.usage import Usage


def normalise(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a chat completion's usage object, one request among them.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    prompt = need_count(raw, "prompt_tokens")
    completion = need_count(raw, "completion_tokens")
    citations = read_count(raw, "citation_tokens")
    reasoning = read_count(raw, "reasoning_tokens")
    beside = (citations or 0) + (reasoning or 0)
    total = read_count(raw, "total_tokens")
    if total is not None and total not in {prompt + completion, prompt + completion + beside}:
        raise UsageViolation(
            "total_tokens == prompt_tokens + completion_tokens, with or without citation and reasoning tokens",
            f"{total} is neither {prompt + completion} nor {prompt + completion + beside}",
        )
    beside_text = {
        "reasoning": reasoning,
        "citation": citations,
        "web_search": read_count(raw, "num_search_queries"),
    }
    meters = {"input": prompt, "output": completion}
    meters.update({meter: count for meter, count in beside_text.items() if count is not None})
    meters["request"] = 1
    return Usage(meters, prompt, (), (), _read_facts(raw), read_cost(raw))


def normalise_responses(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of an agent's response: tokens as OpenAI counts them, and the tools it called.

    Raises:
        UsageViolation: where a count is missing, is no count, a sum rule does not hold, or a tool is not known.
    """
    usage = openai_responses.normalise(raw)
    usage.meters.update(read_tools(raw.get("tool_calls_details"), "tool_calls_details", "perplexity"))
    return Usage(usage.meters, usage.input_total, (), usage.unsplit, _read_facts(raw), read_cost(raw))


def read_cost(raw: Mapping[str, Any]) -> int | None:
    """Return the total of the ``cost`` object, femtodollars, or None where there is none."""
    cost = read_details(raw, "cost")
    return None if cost is None else read_money(cost, "total_cost")


def _read_facts(raw: Mapping[str, Any]) -> dict[str, str]:
    size = raw.get("search_context_size")
    return {"search_context_size": size.lower()} if isinstance(size, str) else {}
