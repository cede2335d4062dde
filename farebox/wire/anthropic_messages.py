"""Anthropic's messages: what Farebox needs to know of a request, an answer and a stream.

Source: Anthropic's API reference, "Messages" and "Streaming Messages". Counts in ``message_delta`` are
cumulative: they overwrite those of ``message_start`` and are never added.
"""

from typing import Any

import msgspec

from farebox.call import Answered, Asked
from farebox.errors import BadRequest
from farebox.wire.openai_chat import error_text, read_int, read_model, read_stream
from farebox.wire.parts import measure, text_bytes


def read_request(body: dict[str, Any]) -> Asked:
    """Return what a messages request asks for.

    Raises:
        BadRequest: where a field that Farebox itself depends on is missing or of the wrong type.
    """
    cap = read_int(body, "max_tokens")
    if cap is None:
        raise BadRequest("'max_tokens' is missing. Give the largest number of tokens to generate.", param="max_tokens")
    return _read(body, "messages", cap)


def read_count_request(body: dict[str, Any]) -> Asked:
    """Return what a count_tokens request asks for; it generates nothing.

    Raises:
        BadRequest: as `read_request`.
    """
    return _read(body, "count_tokens", 0)


def _read(body: dict[str, Any], operation: str, cap: int) -> Asked:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a non-empty array of messages.", param="messages")
    metadata = body.get("metadata")
    user = metadata.get("user_id") if isinstance(metadata, dict) else None
    return Asked(
        dialect="anthropic",
        operation=operation,
        model=read_model(body),
        body=body,
        stream=operation == "messages" and read_stream(body),
        include_usage=True,
        user=user if isinstance(user, str) else "",
        tags={},
        parts=measure(messages, body.get("system"), body.get("tools")),
        output_cap=cap,
    )


class _Answer(msgspec.Struct):
    type: str
    model: str | None = None
    stop_reason: str | None = None
    usage: dict[str, Any] | None = None


class _Delta(msgspec.Struct):
    text: str | None = None
    thinking: str | None = None
    partial_json: str | None = None
    stop_reason: str | None = None


class _Block(msgspec.Struct):
    type: str = ""
    name: str | None = None  # of a tool that is called: the model wrote it
    text: str | None = None
    thinking: str | None = None


class _Event(msgspec.Struct):
    type: str
    message: _Answer | None = None
    delta: _Delta | None = None
    content_block: _Block | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Count(msgspec.Struct):
    input_tokens: int


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_event = msgspec.json.Decoder(_Event).decode
_decode_count = msgspec.json.Decoder(_Count).decode


def read_answer(data: bytes) -> Answered:
    """Return what a whole answer says of itself.

    Raises:
        msgspec.DecodeError: where it is not a message.
    """
    answer = _decode_answer(data)
    if answer.type != "message":
        raise msgspec.ValidationError(f"a message was expected, not {answer.type!r}")
    return _taken(Answered(complete=True), answer)


def read_count(data: bytes) -> Answered:
    """Return that a token count came back; counting is free, so it has no usage.

    Raises:
        msgspec.DecodeError: where it is not a token count.
    """
    _decode_count(data)
    return Answered(complete=True)


def read_event(data: bytes, answered: Answered) -> bool:
    """Take one stream event into ``answered``; return whether it carries the final usage.

    The type inside the data is what counts; an event's name says the same.
    """
    try:
        event = _decode_event(data)
    except msgspec.DecodeError:
        if data:
            answered.damaged_events += 1
        return False
    if event.type == "content_block_delta" and event.delta is not None:
        delta = event.delta
        size = text_bytes(delta.text or delta.partial_json or delta.thinking or "")
        if size:
            answered.content_bytes += size
            answered.content_events += 1
        return False
    if event.type == "content_block_start" and event.content_block is not None:
        _take_block(event.content_block, answered)
    elif event.type == "message_start" and event.message is not None:
        _taken(answered, event.message)
    elif event.type == "message_delta":
        return _take_ending(event, answered)
    elif event.type == "message_stop":
        answered.complete = True
    elif event.type == "error":
        answered.error = error_text(event.error)
    return False


def _take_ending(event: _Event, answered: Answered) -> bool:
    if event.delta is not None and event.delta.stop_reason:
        answered.finish = event.delta.stop_reason
    _merge_usage(answered, event.usage)
    return event.usage is not None


def _take_block(block: _Block, answered: Answered) -> None:
    size = text_bytes(block.name or block.text or block.thinking or "")
    if size or block.type == "redacted_thinking":  # of a cipher the bytes say nothing
        answered.content_bytes += size
        answered.content_events += 1


def _taken(answered: Answered, answer: _Answer) -> Answered:
    answered.model = answer.model or ""
    answered.finish = answer.stop_reason or ""
    _merge_usage(answered, answer.usage)
    tier = (answered.usage or {}).get("service_tier")
    answered.service_tier = tier if isinstance(tier, str) else ""
    return answered


def _merge_usage(answered: Answered, usage: dict[str, Any] | None) -> None:
    """Overwrite the counts so far by those that are given; null says nothing."""
    if usage is not None:
        answered.usage = (answered.usage or {}) | {key: value for key, value in usage.items() if value is not None}
