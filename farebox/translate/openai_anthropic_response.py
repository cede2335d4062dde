"""An Anthropic message as an OpenAI chat completion.

What OpenAI's format has no place for goes into extension fields that its SDKs keep: ``reasoning_content`` (the
thinking as text), ``thinking_blocks`` (the blocks with their signatures, to be sent back as they are) and
``citations`` (citations other than of web pages).
"""

from typing import Any

from farebox.errors import UpstreamFailed
from farebox.translate.failures import NONSENSE
from farebox.translate.tool_input import write_arguments

# A reason that is not here ended the answer in a way that nobody knew when this was written: stop.
FINISH_REASONS: dict[str, str] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",  # the turn is not finished
    "refusal": "content_filter",
}
SERVICE_TIERS: dict[str, str] = {"standard": "default", "priority": "priority"}


def translate_response(body: dict[str, Any], asked_model: str, *, now_s: int = 0) -> dict[str, Any]:
    """Return the chat completion of an Anthropic message.

    Args:
        body: the provider's answer.
        asked_model: the model's name if the answer has none.
        now_s: seconds since the epoch, for ``created``, which Anthropic does not give.

    Raises:
        UpstreamFailed: it is not a message.
    """
    if not isinstance(body.get("content"), list):
        raise UpstreamFailed("The provider's answer is not an Anthropic message: it has no content array.")
    try:
        return _completion(body, asked_model, now_s)
    except NONSENSE:
        raise UpstreamFailed("The provider's answer is not an Anthropic message: a field has a wrong type.") from None


def _completion(body: dict[str, Any], asked_model: str, now_s: int) -> dict[str, Any]:
    message = _message(body["content"])
    if body.get("stop_reason") == "refusal":
        message["refusal"] = refusal_of(body)
    usage = body.get("usage")
    out: dict[str, Any] = {
        "id": body.get("id") or "",
        "object": "chat.completion",
        "created": now_s,
        "model": body.get("model") or asked_model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": None,
                "finish_reason": FINISH_REASONS.get(body.get("stop_reason") or "", "stop"),
            }
        ],
    }
    if isinstance(usage, dict):
        out["usage"] = usage_of(usage)
        if usage.get("service_tier") in SERVICE_TIERS:
            out["service_tier"] = SERVICE_TIERS[usage["service_tier"]]
    return out


def _message(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    text = ""
    calls, thinking, annotations, citations = [], [], [], []
    for block in blocks:
        kind = block.get("type")
        if kind == "text":
            start = len(text)
            text += block.get("text") or ""
            for citation in block.get("citations") or ():
                annotation = annotation_of(citation, start, len(text))
                if annotation is None:
                    citations.append(citation)
                else:
                    annotations.append(annotation)
        elif kind == "tool_use":
            function = {"name": block.get("name"), "arguments": write_arguments(block.get("input") or {})}
            calls.append({"id": block.get("id"), "type": "function", "function": function})
        elif kind in {"thinking", "redacted_thinking"}:
            thinking.append(block)
    message: dict[str, Any] = {"role": "assistant", "content": text if text or not calls else None, "refusal": None}
    if thinking:
        message["reasoning_content"] = "".join(block.get("thinking") or "" for block in thinking)
        message["thinking_blocks"] = thinking
    lists = {"annotations": annotations, "citations": citations, "tool_calls": calls}
    message.update({name: found for name, found in lists.items() if found})
    return message


def annotation_of(citation: dict[str, Any], start: int, end: int) -> dict[str, Any] | None:
    """Return the URL annotation of a web citation of text[start:end], or None if it cites no web page."""
    if citation.get("type") != "web_search_result_location":
        return None
    url = citation.get("url") or ""
    cited = {"start_index": start, "end_index": end, "url": url, "title": citation.get("title") or url}
    return {"type": "url_citation", "url_citation": cited}


def refusal_of(message: dict[str, Any]) -> str | None:
    """Return the explanation of a refusal, if the provider gave one."""
    details = message.get("stop_details")
    return details.get("explanation") if isinstance(details, dict) else None


def usage_of(usage: dict[str, Any]) -> dict[str, Any]:
    """Return OpenAI's usage, whose prompt_tokens include what was read from and written to a cache.

    A count that Anthropic did not report is left out of the details: 0 is not absent.
    """
    read, written = usage.get("cache_read_input_tokens"), usage.get("cache_creation_input_tokens")
    prompt = (usage.get("input_tokens") or 0) + (read or 0) + (written or 0)
    completion = usage.get("output_tokens") or 0
    out: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    cached = {
        name: count for name, count in (("cached_tokens", read), ("cache_write_tokens", written)) if count is not None
    }
    if cached:
        out["prompt_tokens_details"] = cached
    details = usage.get("output_tokens_details")
    if isinstance(details, dict) and details.get("thinking_tokens") is not None:
        out["completion_tokens_details"] = {"reasoning_tokens": details["thinking_tokens"]}
    return out
