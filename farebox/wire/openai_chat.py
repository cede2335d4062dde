"""OpenAI's chat completions: what Farebox needs to know of a request, an answer and a stream.

Source: OpenAI's API reference, "Chat Completions". Compatible servers send explicit nulls, integer codes and
usage on odd events, so reading is lenient and only the gateway's own needs are checked.
"""

from typing import Any

import msgspec

from farebox.call import Answered, Asked
from farebox.errors import BadRequest
from farebox.wire.parts import measure, text_bytes

DONE = b"[DONE]"
_MAX_COUNT = 2**31 - 1  # what a limit may be: no answer is longer, and records hold 64 bits


def read_request(body: dict[str, Any]) -> Asked:
    """Return what a chat completion request asks for.

    Raises:
        BadRequest: where a field that Farebox itself depends on is missing or of the wrong type.
    """
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("'messages' must be a non-empty array of messages.", param="messages")
    options = body.get("stream_options")
    cap = read_int(body, "max_completion_tokens")
    if cap is None:
        cap = read_int(body, "max_tokens")
    choices = read_int(body, "n") or 1
    return Asked(
        dialect="openai",
        operation="chat",
        model=read_model(body),
        body=body,
        stream=read_stream(body),
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        user=read_text(body, "safety_identifier") or read_text(body, "user"),
        tags=read_tags(body),
        parts=measure(messages, None, body.get("tools") or body.get("functions")),
        output_cap=cap * choices if cap is not None else None,
    )


def read_model(body: dict[str, Any]) -> str:
    """Return the ``model`` of a request or refuse it."""
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest("'model' is missing. Name one of the models that GET /v1/models lists.", param="model")
    if not model.isprintable():  # it goes into a header of the answer, where a line end would start another
        raise BadRequest(
            "'model' has characters that cannot be printed. Name it as GET /v1/models does.", param="model"
        )
    return model


def read_stream(body: dict[str, Any]) -> bool:
    """Return whether a stream is wanted."""
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise BadRequest("'stream' must be true or false.", param="stream")
    return stream is True


def read_int(body: dict[str, Any], field: str) -> int | None:
    """Return a non-negative integer field, or None where it is absent or null."""
    value = body.get(field)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_COUNT:
        raise BadRequest(f"'{field}' must be an integer from 0 to {_MAX_COUNT}.", param=field)
    return value


def read_text(body: dict[str, Any], field: str) -> str:
    """Return a text field, or "" where it is absent or of another type; the provider judges its type."""
    value = body.get(field)
    return value if isinstance(value, str) else ""


def read_tags(body: dict[str, Any]) -> dict[str, str]:
    """Return the entries of ``metadata`` that are text."""
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return {}
    return {key: value for key, value in metadata.items() if isinstance(value, str)}


class _Function(msgspec.Struct):
    arguments: str | None = None
    name: str | None = None


class _ToolCall(msgspec.Struct):
    function: _Function | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None  # the same under the name that OpenRouter, Groq and vLLM have for it
    tool_calls: list[_ToolCall] | None = None
    function_call: _Function | None = None
    audio: Any = None
    reasoning_details: Any = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] = []
    model: str | None = None
    service_tier: str | None = None
    usage: dict[str, Any] | None = None
    error: Any = None


class _Finish(msgspec.Struct):
    finish_reason: str | None = None


class _Answer(msgspec.Struct):
    choices: list[_Finish]
    model: str | None = None
    service_tier: str | None = None
    usage: dict[str, Any] | None = None


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_chunk = msgspec.json.Decoder(_Chunk).decode


def read_answer(data: bytes) -> Answered:
    """Return what a whole answer says of itself.

    Raises:
        msgspec.DecodeError: where it is not a chat completion.
    """
    answer = _decode_answer(data)
    return Answered(
        model=answer.model or "",
        service_tier=answer.service_tier or "",
        finish=(answer.choices[0].finish_reason or "") if answer.choices else "",
        usage=answer.usage,
        complete=True,
    )


def read_event(data: bytes, answered: Answered) -> bool:
    """Take one stream event into ``answered``; return whether it is a usage event without choices.

    An event that cannot be read is counted.
    """
    if data == DONE:
        answered.complete = True
        return False
    try:
        chunk = _decode_chunk(data)
    except msgspec.DecodeError:
        answered.damaged_events += 1
        return False
    if chunk.model:
        answered.model = chunk.model
    if chunk.service_tier:
        answered.service_tier = chunk.service_tier
    if chunk.error is not None:
        answered.error = error_text(chunk.error)
    for choice in chunk.choices:
        if choice.finish_reason:
            answered.finish = choice.finish_reason
        if choice.delta is not None:
            _take_delta(choice.delta, answered)
    if chunk.usage is None:
        return False
    answered.usage = chunk.usage
    return not chunk.choices


def _take_delta(delta: _Delta, answered: Answered) -> None:
    size = text_bytes(delta.content) if delta.content else 0
    if delta.reasoning_content:
        size += text_bytes(delta.reasoning_content)
    elif type(delta.reasoning) is str:
        size += text_bytes(delta.reasoning)
    if delta.refusal:
        size += text_bytes(delta.refusal)
    for call in delta.tool_calls or ():
        if call.function is not None:
            size += _function_bytes(call.function)
    if delta.function_call is not None:
        size += _function_bytes(delta.function_call)
    if size or delta.audio or delta.reasoning_details:  # of sound and ciphers the bytes say nothing
        answered.content_bytes += size
        answered.content_events += 1


def _function_bytes(function: _Function) -> int:
    return text_bytes(function.arguments or "") + text_bytes(function.name or "")


def error_text(error: Any) -> str:
    """Return the message of an error object in any of the forms that servers use."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or error.get("type") or error
    return (error if isinstance(error, str) else str(error))[:500] or "unnamed error"
