"""Usage of OpenRouter: OpenAI's shapes, and beside them ``cost``, which is what OpenRouter bills, in USD.

With a provider key of one's own (``is_byok``) that is OpenRouter's fee alone; the provider's bill, estimated in
``cost_details.upstream_inference_cost``, comes from the provider. Rules: OpenRouter's page "Usage Accounting".
"""

from collections.abc import Callable, Mapping
from typing import Any

from farebox.normalise import openai_chat, openai_responses
from farebox.normalise.amounts import read_money
from farebox.normalise.server_tools import read_tools
from farebox.usage import Usage


def normalise_chat(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a chat completion's usage object and the cost that it reports.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    return _with_cost(raw, openai_chat.normalise)


def normalise_responses(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a response's usage object and the cost that it reports.

    Raises:
        UsageViolation: where a count is missing, is no count, or a sum rule does not hold.
    """
    return _with_cost(raw, openai_responses.normalise)


def _with_cost(raw: Mapping[str, Any], normalise: Callable[[Mapping[str, Any]], Usage]) -> Usage:
    usage = normalise(raw)
    usage.meters.update(read_tools(raw.get("server_tool_use"), "server_tool_use", "openrouter"))
    return Usage(usage.meters, usage.input_total, usage.prompts, usage.unsplit, {}, read_money(raw, "cost"))
