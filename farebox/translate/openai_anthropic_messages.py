"""OpenAI's messages as Anthropic's system prompt and turns.

Turns keep their order and their number, except that consecutive ``tool`` messages become one user turn, as
Anthropic demands. Consecutive turns of one role stay apart: Anthropic joins them itself.
"""

import base64
import binascii
from collections.abc import Callable
from typing import Any

from farebox.errors import BadRequest
from farebox.translate.fields import check, list_of, object_of, refuse, text_of
from farebox.translate.openai_anthropic_fields import (
    ASSISTANT,
    CALLED,
    FILE,
    IMAGE_URL,
    PARTS,
    SYSTEM,
    TOOL,
    TOOL_CALL,
    USER,
)
from farebox.translate.reasoning import INSIDE_SYSTEM_SINCE, claude_version
from farebox.translate.tool_input import read_arguments

Block = dict[str, Any]
_IMAGES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
_SPOKEN = frozenset(("text", "refusal"))
_SEEN = frozenset(("text", "image_url"))
_ANY = frozenset(("text", "image_url", "file"))


def translate_messages(messages: list[Any], model: str) -> tuple[list[Block], list[dict[str, Any]]]:
    """Return the blocks of the system prompt and the turns.

    Raises:
        BadRequest: a message is malformed.
        Untranslatable: a message cannot be expressed.
    """
    system: list[Block] = []
    turns: list[dict[str, Any]] = []
    results: list[Block] | None = None  # of the turn that gathers tool messages
    role = ""
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        message = object_of(message, where)  # noqa: PLW2901 - the same message, now known to be an object
        role = text_of(message.get("role"), f"{where}.role")
        if role == "tool":
            result = _tool_result(message, where)
            if results is None:
                results = [result]
                turns.append({"role": "user", "content": results})
            else:
                results.append(result)
            continue
        results = None
        if role in {"system", "developer"}:
            content = _system(message, where)
            if turns:
                turns.append(_inside(content, where, model))
            else:
                system.extend(content)
        elif (turn := _turn(role, message, where)) is not None:
            turns.append(turn)
    if not messages:
        raise BadRequest("messages: at least one message is needed", param="messages")
    if not turns:
        refuse("messages", "Anthropic needs a user message beside the system prompt; add one")
    if role == "assistant":
        refuse(
            f"messages.{len(messages) - 1}",
            "Anthropic would continue a last message of the assistant instead of answering it; end with a user message",
        )
    return system, turns


def _turn(role: str, message: dict[str, Any], where: str) -> dict[str, Any] | None:
    if role == "user":
        check(message, USER, where)
        content = message.get("content")
        if isinstance(content, str) and message.get("cache_control") is None:
            return {"role": "user", "content": content}
        blocks = _blocks(content, f"{where}.content", _ANY)
        return {"role": "user", "content": _marked(blocks, message)}
    if role != "assistant":
        refuse(
            f"{where}.role",
            f'"{role}" has no counterpart at Anthropic; use system, developer, user, assistant or tool',
        )
    return _assistant(message, where)


def _system(message: dict[str, Any], where: str) -> list[Block]:
    check(message, SYSTEM, where)
    return _marked(_blocks(message.get("content"), f"{where}.content", frozenset(("text",))), message)


def _inside(blocks: list[Block], where: str, model: str) -> dict[str, Any]:
    if claude_version(model) < INSIDE_SYSTEM_SINCE:
        refuse(
            f"{where}.role",
            f"{model} takes system messages at the start only; move it there or send it as a user message",
        )
    return {"role": "system", "content": _plain(blocks)}


def _assistant(message: dict[str, Any], where: str) -> dict[str, Any] | None:
    check(message, ASSISTANT, where)
    blocks = _thinking(message.get("thinking_blocks"), where)
    content = message.get("content")
    if content is not None:
        blocks += _blocks(content, f"{where}.content", _SPOKEN)
    if message.get("refusal"):
        blocks.append({"type": "text", "text": text_of(message["refusal"], f"{where}.refusal")})
    calls = message.get("tool_calls")
    if calls is not None:
        for index, call in enumerate(list_of(calls, f"{where}.tool_calls")):
            blocks.append(_tool_use(call, f"{where}.tool_calls.{index}"))
    if not blocks:
        return None  # it said nothing
    return {"role": "assistant", "content": _plain(_marked(blocks, message))}


def _thinking(given: Any, where: str) -> list[Block]:
    """Return the blocks that Anthropic signed; it refuses others, and unsigned thinking is only advice."""
    if given is None:
        return []
    blocks = []
    for index, block in enumerate(list_of(given, f"{where}.thinking_blocks")):
        kind = object_of(block, f"{where}.thinking_blocks.{index}").get("type")
        if kind == "thinking":
            if block.get("signature"):
                blocks.append({key: block.get(key) for key in ("type", "thinking", "signature")})
        elif kind == "redacted_thinking":
            blocks.append({"type": kind, "data": block.get("data")})
        else:
            refuse(f"{where}.thinking_blocks.{index}.type", 'must be "thinking" or "redacted_thinking"')
    return blocks


def _tool_use(call: Any, where: str) -> Block:
    call = object_of(call, where)
    check(call, TOOL_CALL, where)
    called = object_of(call.get("function"), f"{where}.function")
    check(called, CALLED, f"{where}.function")
    return {
        "type": "tool_use",
        "id": text_of(call.get("id"), f"{where}.id"),
        "name": text_of(called.get("name"), f"{where}.function.name"),
        "input": read_arguments(text_of(called.get("arguments") or "", f"{where}.function.arguments")),
    }


def _tool_result(message: dict[str, Any], where: str) -> Block:
    check(message, TOOL, where)
    content = message.get("content")
    result: Block = {
        "type": "tool_result",
        "tool_use_id": text_of(message.get("tool_call_id"), f"{where}.tool_call_id"),
        "content": content if isinstance(content, str) else _blocks(content, f"{where}.content", _SEEN),
    }
    if message.get("cache_control") is not None:
        result["cache_control"] = message["cache_control"]
    return result


def _blocks(content: Any, where: str, kinds: frozenset[str]) -> list[Block]:
    """Return the blocks of a content: a text or a list of parts. Empty text carries nothing and is left out."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    blocks = []
    for index, part in enumerate(list_of(content, where)):
        path = f"{where}.{index}"
        kind = text_of(object_of(part, path).get("type"), f"{path}.type")
        if kind not in kinds:
            refuse(path, f"a part of type {kind!r} cannot be expressed here; send {', '.join(sorted(kinds))} parts")
        check(part, PARTS[kind], path)
        block = _PART[kind](part, path)
        if block.get("text") == "":
            continue
        if part.get("cache_control") is not None:
            block["cache_control"] = part["cache_control"]
        elif part.get("prompt_cache_breakpoint") is not None:
            block["cache_control"] = {"type": "ephemeral"}
        blocks.append(block)
    return blocks


def _marked(blocks: list[Block], message: dict[str, Any]) -> list[Block]:
    """Put the message's own cache mark on its last block."""
    if message.get("cache_control") is not None and blocks:
        blocks[-1]["cache_control"] = message["cache_control"]
    return blocks


def _plain(blocks: list[Block]) -> str | list[Block]:
    """Return a lone unmarked text as the string it was."""
    if len(blocks) == 1 and len(blocks[0]) == 2 and "text" in blocks[0]:
        return str(blocks[0]["text"])
    return blocks


def _text(part: Block, where: str) -> Block:
    return {"type": "text", "text": text_of(part.get("text"), f"{where}.text")}


def _refusal(part: Block, where: str) -> Block:
    return {"type": "text", "text": text_of(part.get("refusal"), f"{where}.refusal")}


def _image(part: Block, where: str) -> Block:
    image = object_of(part.get("image_url"), f"{where}.image_url")
    check(image, IMAGE_URL, f"{where}.image_url")
    where = f"{where}.image_url.url"
    url = text_of(image.get("url"), where)
    if url.startswith(("https://", "http://")):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media_type, data = _data_url(url, where)
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in _IMAGES:
        refuse(where, f"Anthropic takes {', '.join(sorted(_IMAGES))}, not {media_type}")
    return {"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}


def _file(part: Block, where: str) -> Block:
    where = f"{where}.file"
    file = object_of(part.get("file"), where)
    check(file, FILE, where)
    where += ".file_data"
    given = text_of(file.get("file_data"), where)
    source: Block
    if given.startswith(("https://", "http://")):
        source = {"type": "url", "url": given}
    else:
        media_type, data = _data_url(given, where)
        if media_type == "application/pdf":
            source = {"type": "base64", "media_type": media_type, "data": data}
        elif media_type == "text/plain":
            source = {"type": "text", "media_type": media_type, "data": _decoded(data, where)}
        else:
            refuse(where, f"Anthropic takes application/pdf and text/plain documents, not {media_type}")
    block = {"type": "document", "source": source}
    if file.get("filename"):
        block["title"] = file["filename"]
    return block


def _data_url(url: str, where: str) -> tuple[str, str]:
    """Return the media type and the base64 text of a data URL."""
    head, comma, data = url.partition(",")
    media_type, *parameters = head.removeprefix("data:").split(";")
    if not comma or not head.startswith("data:") or "base64" not in parameters:
        refuse(where, "must be an http URL or a data URL such as data:image/png;base64,...")
    return media_type.lower(), data


def _decoded(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise BadRequest(f"{where}: is not UTF-8 text in base64", param=where) from None


_PART: dict[str, Callable[[Block, str], Block]] = {
    "text": _text,
    "refusal": _refusal,
    "image_url": _image,
    "file": _file,
}
