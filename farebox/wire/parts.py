"""Measures which part of a conversation makes up its input, in UTF-8 bytes of text.

The parts: ``system`` (instructions), ``tools`` (definitions), ``user`` (new text of the user),
``context`` (retrieved material: tool results, documents and ``<context>`` or ``<documents>`` sections of the
newest turn) and ``history`` (every turn before the newest). Images and audio are not text and not counted.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_SECTIONS = (("<context>", "</context>"), ("<documents>", "</documents>"))
_INSTRUCTIONS = frozenset({"system", "developer"})
_NOT_TEXT = frozenset({"image_url", "image", "input_audio"})
_RETRIEVED_TYPES = frozenset({"tool_result", "document", "file", "search_result", "input_file"})


def text_bytes(text: str) -> int:
    """Return the length of a text in UTF-8 bytes."""
    return len(text) if text.isascii() else len(text.encode())


def measure(messages: Sequence[Any], system: Any, tools: Any) -> dict[str, int]:
    """Return bytes by part for messages in the OpenAI or the Anthropic form; parts of size 0 are left out."""
    newest = _newest_turn(messages)
    instructions = content_bytes(system)
    history = user = context = 0
    for index, message in enumerate(messages):
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        content = message.get("content")
        size = text_bytes(content) if type(content) is str else content_bytes(content)
        if role in _INSTRUCTIONS:
            instructions += size
        elif index < newest:
            history += size
            if calls := message.get("tool_calls"):
                history += len(_encode(calls))
        elif role == "tool":
            context += size
        else:
            retrieved = _retrieved_bytes(content)
            context += retrieved
            user += size - retrieved
    sizes = (
        ("system", instructions),
        ("tools", len(_encode(tools)) if tools else 0),
        ("history", history),
        ("context", context),
        ("user", user),
    )
    return {part: size for part, size in sizes if size}


def _newest_turn(messages: Sequence[Any]) -> int:
    """Return the index after the last message of the assistant."""
    for index in range(len(messages), 0, -1):
        message = messages[index - 1]
        if isinstance(message, dict) and message.get("role") == "assistant":
            return index
    return 0


def content_bytes(content: Any) -> int:
    """Return the bytes of text in a message's content, whatever its form."""
    if isinstance(content, str):
        return text_bytes(content)
    if isinstance(content, dict):
        if (kind := content.get("type")) in _NOT_TEXT:
            return 0
        if kind == "tool_use":
            return len(_encode(content.get("input")))
        return sum(
            content_bytes(content.get(field)) for field in ("text", "content", "refusal", "thinking", "source", "data")
        )
    if isinstance(content, list):
        return sum(map(content_bytes, content))
    return 0


def _retrieved_bytes(content: Any) -> int:
    if isinstance(content, str):
        if "</" not in content:
            return 0
        return _sections_bytes(content)
    if isinstance(content, list):
        return sum(map(_retrieved_bytes, content))
    if isinstance(content, dict):
        if (kind := content.get("type")) in _RETRIEVED_TYPES:
            return content_bytes(content)
        if kind in _NOT_TEXT or kind == "tool_use":
            return 0
        return _retrieved_bytes(content.get("text"))
    return 0


def _sections_bytes(text: str) -> int:
    """Return the bytes of all marked sections; where one lies inside another, they count once."""
    size = reached = 0
    spans = [(text.find(start), text.rfind(end) + len(end)) for start, end in _SECTIONS if end in text]
    for first, after in sorted(spans):
        if 0 <= first < after and after > reached:
            size += text_bytes(text[max(first, reached) : after])
            reached = after
    return size
