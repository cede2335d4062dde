"""Anthropic's system prompt and turns as OpenAI's messages.

A user turn becomes one tool message per tool_result, in order, followed by one user message with the rest.
Within a turn of the assistant OpenAI keeps no order between text and tool calls; the text comes first.
"""

from collections.abc import Callable
from typing import Any

from farebox.errors import BadRequest
from farebox.translate.anthropic_openai_fields import BLOCKS, MESSAGE, TEXT
from farebox.translate.fields import check, list_of, object_of, refuse, text_of
from farebox.translate.tool_input import write_arguments

Part = dict[str, Any]
_TEXT = frozenset(("text",))
_USER = frozenset(("text", "image", "document", "tool_result"))
_ASSISTANT = frozenset(("text", "tool_use", "thinking", "redacted_thinking"))


def translate_messages(turns: list[Any], system: Any) -> list[dict[str, Any]]:
    """Return OpenAI's messages.

    Raises:
        BadRequest: a turn is malformed.
        Untranslatable: a turn cannot be expressed.
    """
    out: list[dict[str, Any]] = []
    if system:
        out.append({"role": "system", "content": _texts(system, "system")})
    role = ""
    for index, turn in enumerate(turns):
        where = f"messages.{index}"
        check(object_of(turn, where), MESSAGE, where)
        role, content = turn.get("role"), turn.get("content")
        if role == "user":
            out += _user(content, f"{where}.content")
        elif role == "assistant":
            out += _assistant(content, f"{where}.content")
        elif role == "system":
            out.append({"role": "system", "content": _texts(content, f"{where}.content")})
        else:
            raise BadRequest(f'{where}.role: must be "user", "assistant" or "system"', param=f"{where}.role")
    if not turns:
        raise BadRequest("messages: at least one message is needed", param="messages")
    if role == "assistant":
        refuse(
            f"messages.{len(turns) - 1}",
            "OpenAI cannot continue a last message of the assistant (prefill); end with a user message",
        )
    return out


def _texts(content: Any, where: str) -> str | list[Part]:
    if isinstance(content, str):
        return content
    parts = [_text(block, path) for block, path in _walk(content, where, _TEXT)]
    return _plain(parts)


def _walk(content: Any, where: str, kinds: frozenset[str]) -> list[tuple[Part, str]]:
    """Return the blocks of a content with their paths, each of them known and checked."""
    blocks = []
    for index, block in enumerate(list_of(content, where)):
        path = f"{where}.{index}"
        kind = text_of(object_of(block, path).get("type"), f"{path}.type")
        if kind not in kinds:
            refuse(path, f"a block of type {kind!r} cannot be expressed here; send {', '.join(sorted(kinds))} blocks")
        check(block, BLOCKS[kind], path)
        blocks.append((block, path))
    return blocks


def _plain(parts: list[Part]) -> str | list[Part]:
    """Return a lone text as a string, which every server of OpenAI's API takes."""
    if len(parts) == 1 and parts[0]["type"] == "text":
        return str(parts[0]["text"])
    return parts


def _user(content: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    out: list[dict[str, Any]] = []
    parts: list[Part] = []
    for block, path in _walk(content, where, _USER):
        kind = block["type"]
        if kind != "tool_result":
            parts.append(_PART[kind](block, path))
        elif parts:
            raise BadRequest(f"{path}: tool_result blocks must come first in a user message", param=path)
        else:
            out.append(_tool_message(block, path))
    if parts:
        out.append({"role": "user", "content": _plain(parts)})
    return out


def _assistant(content: Any, where: str) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"role": "assistant", "content": content}]
    parts, calls = [], []
    for block, path in _walk(content, where, _ASSISTANT):
        if block["type"] == "text":
            parts.append(_text(block, path))
        elif block["type"] == "tool_use":
            calls.append(_tool_call(block, path))
    if not parts and not calls:
        return []  # thinking only
    message: dict[str, Any] = {"role": "assistant", "content": _plain(parts) if parts else None}
    if calls:
        message["tool_calls"] = calls
    return [message]


def _tool_call(block: Part, where: str) -> Part:
    function = {
        "name": text_of(block.get("name"), f"{where}.name"),
        "arguments": write_arguments(object_of(block.get("input"), f"{where}.input")),
    }
    return {"id": text_of(block.get("id"), f"{where}.id"), "type": "function", "function": function}


def _tool_message(block: Part, where: str) -> dict[str, Any]:
    given = block.get("content")
    content: str | list[Part] = ""
    if isinstance(given, str):
        content = given
    elif given:
        parts = []
        for index, inner in enumerate(list_of(given, f"{where}.content")):
            path = f"{where}.content.{index}"
            kind = object_of(inner, path).get("type")
            if kind != "text":
                refuse(path, f"OpenAI's tool messages hold text only, not {kind!r}; send it in a user message")
            check(inner, TEXT, path)
            parts.append(_text(inner, path))
        content = _plain(parts)
    if block.get("is_error"):
        content = f"Error: {content}" if isinstance(content, str) else [{"type": "text", "text": "Error: "}, *content]
    return {
        "role": "tool",
        "tool_call_id": text_of(block.get("tool_use_id"), f"{where}.tool_use_id"),
        "content": content,
    }


def _text(block: Part, where: str) -> Part:
    return {"type": "text", "text": text_of(block.get("text"), f"{where}.text")}


def _image(block: Part, where: str) -> Part:
    source = object_of(block.get("source"), f"{where}.source")
    kind = source.get("type")
    if kind == "url":
        url = text_of(source.get("url"), f"{where}.source.url")
    elif kind == "base64":
        url = _data_url(source, f"{where}.source")
    else:
        refuse(f"{where}.source.type", f"a source of type {kind!r} lives at Anthropic; send base64 or url")
    return {"type": "image_url", "image_url": {"url": url}}


def _document(block: Part, where: str) -> Part:
    source = object_of(block.get("source"), f"{where}.source")
    kind, title = source.get("type"), block.get("title")
    if kind == "text":
        if title:
            refuse(f"{where}.title", "a text document has no title at OpenAI; put it into the text")
        return {"type": "text", "text": text_of(source.get("data"), f"{where}.source.data")}
    if kind != "base64":
        refuse(f"{where}.source.type", f"OpenAI takes no document of source {kind!r}; send base64 or text")
    file = {"filename": title or "document.pdf", "file_data": _data_url(source, f"{where}.source")}
    return {"type": "file", "file": file}


def _data_url(source: dict[str, Any], where: str) -> str:
    media_type = text_of(source.get("media_type"), f"{where}.media_type")
    return f"data:{media_type};base64,{text_of(source.get('data'), f'{where}.data')}"


_PART: dict[str, Callable[[Part, str], Part]] = {"text": _text, "image": _image, "document": _document}
