"""Reads the system prompt and the messages of Anthropic's format into counted segments, and checks their order."""

from typing import Any

import msgspec

from farebox.simulate.anthropic_fields import invalid, required
from farebox.simulate.cache import Segment
from farebox.simulate.control import take_directive
from farebox.simulate.text import IMAGE_TOKENS, count_tokens

_BLOCKS = [
    "bash_code_execution_tool_result",
    "code_execution_tool_result",
    "container_upload",
    "document",
    "image",
    "redacted_thinking",
    "search_result",
    "server_tool_use",
    "text",
    "thinking",
    "tool_result",
    "tool_use",
    "web_fetch_tool_result",
    "web_search_tool_result",
]


class Messages(msgspec.Struct):
    """What the messages hold: segments to count, directives, and whether the last one has tool results."""

    segments: list[Segment]
    wishes: dict[str, Any]
    answers_tools: bool


def compact(value: Any) -> str:
    """JSON without blanks, as it is counted."""
    return msgspec.json.encode(value).decode()


def read_keep(block: dict[str, Any], at: str) -> str:
    """How long the prefix up to this block is to be kept: ``5m``, ``1h``, or empty for not at all."""
    control = block.get("cache_control")
    if control is None:
        return ""
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise invalid(f"{at}.type: Input should be 'ephemeral'")
    ttl = control.get("ttl") or "5m"
    if ttl not in ("5m", "1h"):
        raise invalid(f"{at}.ephemeral.ttl: Input should be '5m' or '1h'")
    return str(ttl)


def read_system(system: Any) -> list[Segment]:
    """Segments of the system prompt."""
    if system is None:
        return []
    if isinstance(system, str):
        return [Segment("system", system, count_tokens(system))]
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid list")
    return [_read_text(block, "system", f"system.{i}") for i, block in enumerate(system)]


def read_messages(messages: Any) -> Messages:
    """Checked messages.

    Raises:
        Problem: what Anthropic would refuse.
        BadControl: a directive cannot be used.
    """
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    contents = [_read_turn(message, i) for i, message in enumerate(messages)]
    roles = [m["role"] for m in messages]
    if roles[0] != "user":
        raise invalid('messages: first message must use the "user" role')
    _check_tool_order(contents, roles)
    segments: list[Segment] = []
    wishes: dict[str, Any] = {}
    asking = _last_with_text(contents, roles)
    for i, blocks in enumerate(contents):
        for k, block in enumerate(blocks):
            segment = _read_block(block, roles[i], f"messages.{i}.content.{k}")
            if i == asking and "[[simulate " in segment.text:
                shown, found = take_directive(segment.text)
                wishes |= found
                segment = Segment(segment.label, shown, count_tokens(shown), segment.keep)
            segments.append(segment)
    answers = any(b.get("type") == "tool_result" for b in contents[-1])
    return Messages(segments, wishes, answers)


def _last_with_text(contents: list[list[dict[str, Any]]], roles: list[str]) -> int:
    for i in reversed(range(len(roles))):
        if roles[i] == "user" and any(b.get("type") == "text" for b in contents[i]):
            return i
    return -1


def _read_turn(message: Any, i: int) -> list[dict[str, Any]]:
    """The content of one message as a list of blocks."""
    at = f"messages.{i}"
    if not isinstance(message, dict):
        raise invalid(f"{at}: Input should be a valid dictionary")
    role = required(message, "role", at=f"{at}.role")
    if role == "system":
        text = (
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
            'not "system" as an input message role.'
        )
        raise invalid(text)
    if role not in ("user", "assistant"):
        raise invalid(f"{at}.role: Input should be 'user' or 'assistant'")
    content = required(message, "content", at=f"{at}.content")
    if isinstance(content, str):
        if not content and not (role == "assistant" and i > 0):
            raise invalid(f"{at}: user messages must have non-empty content")
        return [{"type": "text", "text": content}] if content else []
    if not isinstance(content, list):
        raise invalid(f"{at}.content: Input should be a valid list")
    for k, block in enumerate(content):
        kind = block.get("type") if isinstance(block, dict) else None
        if kind not in _BLOCKS:
            expected = ", ".join(f"'{name}'" for name in _BLOCKS)
            found = f"Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
            raise invalid(f"{at}.content.{k}: {found}")
    return content


def _read_text(block: Any, label: str, at: str) -> Segment:
    if not isinstance(block, dict):
        raise invalid(f"{at}: Input should be a valid dictionary")
    text = required(block, "text", at=f"{at}.text")
    if not isinstance(text, str):
        raise invalid(f"{at}.text: Input should be a valid string")
    if not text:
        raise invalid("messages: text content blocks must be non-empty")
    return Segment(label, text, count_tokens(text), read_keep(block, f"{at}.cache_control"))


def _read_block(block: dict[str, Any], role: str, at: str) -> Segment:
    kind = block["type"]
    if kind == "text":
        return _read_text(block, role, at)
    keep = read_keep(block, f"{at}.{kind}.cache_control")
    if kind in ("image", "document"):
        if not isinstance(block.get("source"), dict):
            raise invalid(f"{at}.{kind}.source: Field required")
        told = compact({k: v for k, v in block.items() if k != "cache_control"})
        return Segment(f"{role}:{kind}", told, IMAGE_TOKENS, keep)
    if kind == "tool_use":
        told = str(required(block, "name", at=f"{at}.tool_use.name")) + compact(block.get("input") or {})
    elif kind == "tool_result":
        return _read_result(block, at, keep)
    elif kind == "thinking":
        required(block, "signature", at=f"{at}.thinking.signature")
        told = str(block.get("thinking") or "")
    else:
        told = compact({k: v for k, v in block.items() if k != "cache_control"})
    return Segment(f"{role}:{kind}", told, count_tokens(told), keep)


def _read_result(block: dict[str, Any], at: str, keep: str) -> Segment:
    """A tool's result is one segment; each image in it adds its fixed tokens."""
    content = block.get("content") or ""
    if isinstance(content, str):
        return Segment("user:tool_result", content, count_tokens(content), keep)
    tokens, told = 0, []
    for k, part in enumerate(content):
        inner = _read_block(part, "user", f"{at}.tool_result.content.{k}")
        tokens += inner.tokens
        told.append(inner.text)
    return Segment("user:tool_result", "".join(told), tokens, keep)


def _check_tool_order(contents: list[list[dict[str, Any]]], roles: list[str]) -> None:
    """Every tool use is answered in the very next message, and nothing else is answered."""
    open_ids: list[str] = []
    for i, blocks in enumerate(contents):
        given = [b for b in blocks if b["type"] == "tool_result"]
        for k, block in enumerate(blocks):
            if block["type"] == "tool_result" and block.get("tool_use_id") not in open_ids:
                raise invalid(
                    f"messages.{i}.content.{k}: unexpected `tool_use_id` found in `tool_result` blocks: "
                    f"{block.get('tool_use_id')}. Each `tool_result` block must have a corresponding `tool_use` "
                    "block in the previous message."
                )
        answered = {b.get("tool_use_id") for b in given}
        left = [one for one in open_ids if one not in answered]
        if left:
            raise invalid(
                f"messages.{i - 1}: `tool_use` ids were found without `tool_result` blocks immediately after: "
                f"{', '.join(left)}. Each `tool_use` block must have a corresponding `tool_result` block in the "
                "next message."
            )
        open_ids = [str(b.get("id")) for b in blocks if b["type"] == "tool_use" and roles[i] == "assistant"]
    if open_ids:
        raise invalid(
            f"messages.{len(contents) - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
            f"after: {', '.join(open_ids)}. Each `tool_use` block must have a corresponding `tool_result` block in "
            "the next message."
        )
