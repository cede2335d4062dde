"""Reads the messages of a chat completion into counted segments, and checks their order."""

from typing import Any

import msgspec

from farebox.simulate.cache import Segment
from farebox.simulate.control import take_directive
from farebox.simulate.openai_fields import invalid, missing, one_of, text, wrong_type
from farebox.simulate.text import IMAGE_TOKENS, count_tokens

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_PARTS = ("text", "image_url", "input_audio", "refusal", "audio", "file")


class Messages(msgspec.Struct):
    """What the messages hold: segments to count, directives, and whether the last one is a tool's result."""

    segments: list[Segment]
    wishes: dict[str, Any]
    answers_tools: bool


def compact(value: Any) -> str:
    """JSON without blanks, as it is counted."""
    return msgspec.json.encode(value).decode()


def read_messages(messages: Any) -> Messages:
    """Checked messages.

    Raises:
        Problem: what OpenAI would refuse.
        BadControl: a directive cannot be used.
    """
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        message = (
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise invalid(message, "messages", "empty_array")
    roles = [_read_role(message, i) for i, message in enumerate(messages)]
    _check_tool_order(messages, roles)
    asking = max((i for i, role in enumerate(roles) if role == "user"), default=-1)
    segments: list[Segment] = []
    wishes: dict[str, Any] = {}
    for i, message in enumerate(messages):
        for segment in _read_message(message, roles[i], i):
            plain = segment
            if i == asking and "[[simulate " in segment.text:
                shown, found = take_directive(segment.text)
                wishes |= found
                plain = Segment(segment.label, shown, count_tokens(shown))
            segments.append(plain)
    return Messages(segments, wishes, roles[-1] in ("tool", "function"))


def _read_role(message: Any, i: int) -> str:
    if not isinstance(message, dict):
        raise wrong_type(f"messages[{i}]", "an object", message)
    if "role" not in message:
        raise missing(f"messages[{i}].role")
    return one_of(f"messages[{i}].role", message["role"], _ROLES)


def _read_message(message: dict[str, Any], role: str, i: int) -> list[Segment]:
    calls = message.get("tool_calls")
    content = message.get("content")
    segments: list[Segment] = []
    if content is None:
        if role != "assistant" or not (calls or message.get("function_call") or message.get("refusal")):
            expected = "one of a string or array of objects"
            raise wrong_type(f"messages[{i}].content", expected, content)
    elif isinstance(content, str):
        segments.append(Segment(role, content, count_tokens(content)))
    elif isinstance(content, list):
        segments += [_read_part(part, role, f"messages[{i}].content[{k}]") for k, part in enumerate(content)]
    else:
        raise wrong_type(f"messages[{i}].content", "one of a string or array of objects", content)
    for call in calls or []:
        function = call.get("function") or call.get("custom") or {}
        told = str(function.get("name", "")) + str(function.get("arguments", function.get("input", "")))
        segments.append(Segment("call", told, count_tokens(told)))
    return segments


def _read_part(part: Any, role: str, at: str) -> Segment:
    if not isinstance(part, dict):
        raise wrong_type(at, "an object", part)
    kind = one_of(f"{at}.type", part.get("type"), _PARTS)
    if kind in ("text", "refusal"):
        if kind not in part:
            raise missing(f"{at}.{kind}")
        told = text(part[kind], f"{at}.{kind}")
        return Segment(role, told, count_tokens(told))
    if kind == "image_url":
        image = part.get("image_url")
        if not isinstance(image, dict) or not isinstance(image.get("url"), str):
            raise missing(f"{at}.image_url.url")
        if not image["url"].startswith(("http://", "https://", "data:image/")):
            message = f"Invalid '{at}.image_url.url'. Expected a valid URL, but got a value with an invalid format."
            raise invalid(message, f"{at}.image_url.url", "invalid_value")
    return Segment(f"{role}:{kind}", compact(part), IMAGE_TOKENS)


def _check_tool_order(messages: list[dict[str, Any]], roles: list[str]) -> None:
    """Every tool call is answered right behind it, and nothing else is answered."""
    open_ids: list[str] = []
    for i, (message, role) in enumerate(zip(messages, roles, strict=True)):
        if role == "tool":
            if message.get("tool_call_id") not in open_ids:
                # The spelling is the live service's own.
                text_ = (
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceeding message with 'tool_calls'."
                )
                raise invalid(text_, f"messages.[{i}].role")
            open_ids.remove(message["tool_call_id"])
            continue
        _check_answered(open_ids, i)
        if role == "assistant" and message.get("tool_calls") is not None:
            open_ids = _call_ids(message["tool_calls"], i)
    _check_answered(open_ids, len(messages))


def _check_answered(open_ids: list[str], i: int) -> None:
    if open_ids:
        text_ = (
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            f"'tool_call_id'. The following tool_call_ids did not have response messages: {', '.join(open_ids)}"
        )
        raise invalid(text_, f"messages.[{i}].role")


def _call_ids(calls: Any, i: int) -> list[str]:
    if not isinstance(calls, list):
        raise wrong_type(f"messages[{i}].tool_calls", "an array of objects", calls)
    if not calls:
        message = (
            f"Invalid 'messages[{i}].tool_calls': empty array. Expected an array with minimum length 1, "
            "but got an empty array instead."
        )
        raise invalid(message, f"messages[{i}].tool_calls", "empty_array")
    ids = []
    for k, call in enumerate(calls):
        if not isinstance(call, dict) or "id" not in call:
            raise missing(f"messages[{i}].tool_calls[{k}].id")
        ids.append(text(call["id"], f"messages[{i}].tool_calls[{k}].id"))
    return ids
