"""An OpenAI chat completion as an Anthropic message."""

from typing import Any

from farebox.errors import UpstreamFailed
from farebox.translate.failures import NONSENSE
from farebox.translate.tool_input import read_arguments

# A reason that is not here, or none, ended the answer: end_turn.
STOP_REASONS: dict[str, str] = {
    "stop": "end_turn",  # OpenAI does not tell a natural end from a stop sequence
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
SERVICE_TIERS: dict[str, str] = {"default": "standard", "priority": "priority"}


def translate_response(body: dict[str, Any], asked_model: str, *, now_s: int = 0) -> dict[str, Any]:
    """Return the Anthropic message of a chat completion.

    Args:
        body: the provider's answer.
        asked_model: the model's name if the answer has none.
        now_s: not needed, because Anthropic's messages have no date.

    Raises:
        UpstreamFailed: it is not a chat completion.
    """
    del now_s
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
        raise UpstreamFailed("The provider's answer is not a chat completion: it has no message in choices.")
    try:
        return _answer(body, choice, asked_model)
    except NONSENSE:
        raise UpstreamFailed("The provider's answer is not a chat completion: a field has a wrong type.") from None


def _answer(body: dict[str, Any], choice: dict[str, Any], asked_model: str) -> dict[str, Any]:
    message = choice["message"]
    out: dict[str, Any] = {
        "id": body.get("id") or "",
        "type": "message",
        "role": "assistant",
        "model": body.get("model") or asked_model,
        "content": _blocks(message),
        "stop_reason": stop_reason_of(choice.get("finish_reason"), called=bool(message.get("tool_calls"))),
        "stop_sequence": None,
        "usage": usage_of(body.get("usage"), body.get("service_tier")),
    }
    if message.get("refusal"):
        out["stop_reason"] = "refusal"
        out["stop_details"] = refusal_details(message["refusal"])
    return out


def _blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    thinking = reasoning_of(message)
    if thinking:
        blocks.append({"type": "thinking", "thinking": thinking, "signature": ""})
    text = message.get("content")
    if text:
        block: dict[str, Any] = {"type": "text", "text": text}
        citations = [citation for note in message.get("annotations") or () if (citation := citation_of(note, text))]
        if citations:
            block["citations"] = citations
        blocks.append(block)
    if message.get("refusal"):
        blocks.append({"type": "text", "text": message["refusal"]})
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {}
        blocks.append(
            {
                "type": "tool_use",
                "id": call.get("id") or "",
                "name": function.get("name") or "",
                "input": read_arguments(function.get("arguments") or ""),
            }
        )
    return blocks


def reasoning_of(message: dict[str, Any]) -> str:
    """Return the thinking in a message or delta; servers of OpenAI's API use one of two field names."""
    given = message.get("reasoning_content") or message.get("reasoning")
    return given if isinstance(given, str) else ""


def citation_of(note: dict[str, Any], text: str) -> dict[str, Any] | None:
    """Return the web citation of a URL annotation on ``text``, or None if it is another kind of annotation."""
    cited = note.get("url_citation")
    if not isinstance(cited, dict):
        return None
    return {
        "type": "web_search_result_location",
        "url": cited.get("url") or "",
        "title": cited.get("title"),
        "cited_text": text[cited.get("start_index") or 0 : cited.get("end_index") or 0],
        "encrypted_index": "",
    }


def stop_reason_of(finish_reason: str | None, *, called: bool) -> str:
    """Return Anthropic's stop reason. A forced tool call ends with ``stop`` at OpenAI, with tool_use at Anthropic."""
    reason = STOP_REASONS.get(finish_reason or "", "end_turn")
    return "tool_use" if called and reason == "end_turn" else reason


def refusal_details(text: str) -> dict[str, Any]:
    """Return Anthropic's stop_details of a refusal."""
    return {"type": "refusal", "category": None, "explanation": text}


def usage_of(usage: Any, service_tier: Any = None) -> dict[str, Any]:
    """Return Anthropic's usage, whose input_tokens leave out what was read from and written to a cache.

    Anthropic's format demands input and output counts, so they are 0 here when the provider gave none; what is
    metered is read from the provider's own usage, not from this.
    """
    if not isinstance(usage, dict):
        return {"input_tokens": 0, "output_tokens": 0}
    details = usage.get("prompt_tokens_details") or {}
    read, written = details.get("cached_tokens"), details.get("cache_write_tokens")
    uncached = (usage.get("prompt_tokens") or 0) - (read or 0) - (written or 0)
    out: dict[str, Any] = {"input_tokens": max(uncached, 0), "output_tokens": usage.get("completion_tokens") or 0}
    if read is not None:
        out["cache_read_input_tokens"] = read
    if written is not None:
        out["cache_creation_input_tokens"] = written
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens")
    if reasoning is not None:
        out["output_tokens_details"] = {"thinking_tokens": reasoning}
    if service_tier in SERVICE_TIERS:
        out["service_tier"] = SERVICE_TIERS[service_tier]
    return out
