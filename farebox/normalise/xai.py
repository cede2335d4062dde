"""Usage of xAI's chat completions and responses.

The shape is OpenAI's, with one difference: ``completion_tokens`` of chat completions leaves out reasoning, which
is billed as output all the same, while ``output_tokens`` of responses includes it. Searches and runs of code that
xAI does for the request are counted in ``server_side_tools_used``. ``cost_in_usd_ticks`` is what is billed, in
1e-10 USD. Rules: docs.x.ai, "Pricing" and "Cost Tracking". ``num_sources_used`` says how many pages were read;
it is not billed since searches are billed by the call.
"""

from collections.abc import Mapping
from typing import Any

from farebox.errors import UsageViolation
from farebox.money import FEMTO_PER_USD
from farebox.normalise import openai_responses
from farebox.normalise.amounts import read_amount
from farebox.normalise.counts import need_count, read_count, read_details
from farebox.normalise.openai_chat import read_prompt
from farebox.normalise.server_tools import read_tools
from farebox.usage import Usage

_TICKS_PER_USD = 10**10
_TOOLS = ("server_side_tools_used", "server_side_tool_usage", "server_side_tool_usage_details")


def normalise_chat(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a chat completion's usage object.

    Raises:
        UsageViolation: where a count is missing, is no count, a sum rule does not hold, or a tool is not known.
    """
    prompt = need_count(raw, "prompt_tokens")
    completion = need_count(raw, "completion_tokens")
    details = read_details(raw, "completion_tokens_details") or {}
    reasoning = read_count(details, "reasoning_tokens")
    if reasoning is None:
        reasoning = read_count(raw, "reasoning_tokens")
    total = read_count(raw, "total_tokens")
    if total is not None and total != prompt + completion + (reasoning or 0):
        raise UsageViolation(
            "total_tokens == prompt_tokens + completion_tokens + reasoning_tokens",
            f"{total} != {prompt} + {completion} + {reasoning or 0}",
        )
    meters, unsplit = read_prompt(raw, prompt)
    audio = read_count(details, "audio_tokens")
    if audio is not None:
        if audio > completion:
            raise UsageViolation("audio_tokens <= completion_tokens", f"{audio} > {completion}")
        completion -= audio
        meters["output_audio"] = audio
    meters["output"] = completion
    if reasoning is not None:
        meters["reasoning"] = reasoning
    return _finish(raw, Usage(meters, prompt, (), unsplit))


def normalise_responses(raw: Mapping[str, Any]) -> Usage:
    """Return the disjoint meters of a response's usage object.

    Raises:
        UsageViolation: where a count is missing, is no count, a sum rule does not hold, or a tool is not known.
    """
    return _finish(raw, openai_responses.normalise(raw))


def read_ticks(raw: Mapping[str, Any]) -> int | None:
    """Return what the request cost, femtodollars, or None where the usage does not say."""
    ticks = read_amount(raw, "cost_in_usd_ticks")
    return None if ticks is None else round(ticks * FEMTO_PER_USD / _TICKS_PER_USD)


def _finish(raw: Mapping[str, Any], usage: Usage) -> Usage:
    """Add the tools, which may be counted under several names that mean the same, and the reported cost."""
    for key in _TOOLS:
        for meter, count in read_tools(raw.get(key), key, "x-ai").items():
            if usage.meters.setdefault(meter, count) != count:
                raise UsageViolation(f"{key} agrees with the other counts of tools", f"{meter}: {count}")
    return Usage(usage.meters, usage.input_total, (), usage.unsplit, {}, read_ticks(raw))
