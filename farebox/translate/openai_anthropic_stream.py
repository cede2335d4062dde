"""Anthropic's stream of events as OpenAI's stream of chunks.

Each event of Anthropic's becomes zero or more chunks at once; only thinking blocks are also gathered, because
their signature comes last and must go with the whole block. Nothing is invented: a stream that is cut before
its stop reason gets no ``[DONE]``.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from farebox.errors import UpstreamFailed
from farebox.translate.failures import NONSENSE, Failure
from farebox.translate.openai_anthropic_response import (
    FINISH_REASONS,
    annotation_of,
    refusal_of,
    usage_of,
)
from farebox.translate.tool_input import write_arguments
from farebox.wire.errors_of import openai_event
from farebox.wire.sse import Event, encode, encode_comment

_decode = msgspec.json.decode
_encode = msgspec.json.encode


class StreamTranslator:
    """Translates one answer. Made for one stream, fed in order, thrown away with it.

    Attributes:
        complete: whether the provider ended the stream in its own way (a stop reason or ``message_stop``).
    """

    def __init__(self, asked_model: str, *, include_usage: bool = False, now_s: int = 0) -> None:
        self.complete: bool = False
        self._include_usage = include_usage
        self._head: dict[str, Any] = {
            "id": "",
            "object": "chat.completion.chunk",
            "created": now_s,
            "model": asked_model,
        }
        self._started = False
        self._over = False  # ended, or failed
        self._usage: dict[str, Any] = {}
        self._block: dict[str, Any] = {}  # the open block, deltas of thinking gathered in it
        self._calls = 0
        self._arguments_seen = False
        self._thoughts = 0
        self._text_length = 0
        self._block_start = 0
        self._notes: dict[str, list[Any]] = {"annotations": [], "citations": []}

    def feed(self, event: Event) -> list[bytes]:
        """Return the events for the client that follow from one event of the provider.

        Raises:
            UpstreamFailed: the event cannot be read.
        """
        if self._over:
            return []
        if not event.data:
            return [encode_comment(b"ping")] if event.raw.startswith(b":") else []
        try:
            payload = _decode(event.data)
            handle = _HANDLERS.get(payload["type"])
            return handle(self, payload) if handle is not None else []
        except NONSENSE:
            raise UpstreamFailed("The provider's stream has an event that is not one of Anthropic's.") from None

    def finish(self) -> list[bytes]:
        """Return what is still owed at the end of the provider's stream.

        That is ``[DONE]`` if a stop reason came without a ``message_stop``; nothing if it was cut.
        """
        return self._stop({}) if self.complete and not self._over else []

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        chunk = {**self._head, "choices": [choice]}
        if self._include_usage:
            chunk["usage"] = None
        return encode(_encode(chunk))

    def _start(self, event: dict[str, Any]) -> list[bytes]:
        message = event.get("message") or {}
        self._head["id"] = message.get("id") or ""
        self._head["model"] = message.get("model") or self._head["model"]
        self._usage.update(message.get("usage") or {})
        self._started = True
        return [self._chunk({"role": "assistant", "content": None, "refusal": None})]

    def _open_block(self, event: dict[str, Any]) -> list[bytes]:
        block = self._block = dict(event.get("content_block") or {})
        kind = block.get("type")
        if kind == "text":
            self._block_start = self._text_length
            return self._text(block.get("text") or "")
        if kind == "thinking" and block.get("thinking"):
            return [self._chunk({"reasoning_content": block["thinking"]})]
        if kind == "tool_use":
            given = block.get("input")
            self._arguments_seen = bool(given)
            function = {"name": block.get("name"), "arguments": write_arguments(given) if given else ""}
            self._calls += 1
            call = {"index": self._calls - 1, "id": block.get("id"), "type": "function", "function": function}
            return [self._chunk({"tool_calls": [call]})]
        return []

    def _add(self, event: dict[str, Any]) -> list[bytes]:
        delta = event.get("delta") or {}
        kind = delta.get("type")
        if kind == "text_delta":
            return self._text(delta.get("text") or "")
        if kind == "input_json_delta":
            return self._arguments(delta.get("partial_json") or "")
        if kind == "thinking_delta" and delta.get("thinking"):
            self._block["thinking"] = (self._block.get("thinking") or "") + delta["thinking"]
            return [self._chunk({"reasoning_content": delta["thinking"]})]
        if kind == "signature_delta":
            self._block["signature"] = (self._block.get("signature") or "") + (delta.get("signature") or "")
        elif kind == "citations_delta":
            citation = delta.get("citation") or {}
            annotation = annotation_of(citation, self._block_start, self._text_length)
            self._notes["citations" if annotation is None else "annotations"].append(annotation or citation)
        return []

    def _text(self, text: str) -> list[bytes]:
        self._text_length += len(text)
        return [self._chunk({"content": text})] if text else []

    def _arguments(self, fragment: str) -> list[bytes]:
        if not fragment or self._block.get("type") != "tool_use":  # a provider's own tool, not the client's
            return []
        self._arguments_seen = True
        call = {"index": self._calls - 1, "function": {"arguments": fragment}}
        return [self._chunk({"tool_calls": [call]})]

    def _close_block(self, _event: dict[str, Any]) -> list[bytes]:
        block, self._block = self._block, {}
        kind = block.get("type")
        if kind == "tool_use" and not self._arguments_seen:
            call = {"index": self._calls - 1, "function": {"arguments": "{}"}}
            return [self._chunk({"tool_calls": [call]})]
        if kind in {"thinking", "redacted_thinking"}:
            self._thoughts += 1
            return [self._chunk({"thinking_blocks": [{"index": self._thoughts - 1, **block}]})]
        return []

    def _end(self, event: dict[str, Any]) -> list[bytes]:
        """Give the finish reason; the usage of this event is final and cumulative."""
        self._usage.update({key: value for key, value in (event.get("usage") or {}).items() if value is not None})
        delta = event.get("delta") or {}
        reason = delta.get("stop_reason")
        if reason is None:
            return []
        self.complete = True
        last: dict[str, Any] = {name: found for name, found in self._notes.items() if found}
        if reason == "refusal" and refusal_of(delta):
            last["refusal"] = refusal_of(delta)
        return [self._chunk(last, FINISH_REASONS.get(reason, "stop"))]

    def _stop(self, _event: dict[str, Any]) -> list[bytes]:
        self.complete = self._over = True
        done = [encode(b"[DONE]")]
        if self._include_usage:
            chunk = {**self._head, "choices": [], "usage": usage_of(self._usage)}
            return [encode(_encode(chunk)), *done]
        return done

    def _ping(self, _event: dict[str, Any]) -> list[bytes]:
        return [encode_comment(b"ping")]

    def _fail(self, event: dict[str, Any]) -> list[bytes]:
        self._over = True
        return [openai_event(Failure.of(event).openai())]


_HANDLERS: dict[str, Callable[[StreamTranslator, dict[str, Any]], list[bytes]]] = {
    "message_start": StreamTranslator._start,  # noqa: SLF001 - the table of this class's own events
    "content_block_start": StreamTranslator._open_block,  # noqa: SLF001 - as above
    "content_block_delta": StreamTranslator._add,  # noqa: SLF001 - as above
    "content_block_stop": StreamTranslator._close_block,  # noqa: SLF001 - as above
    "message_delta": StreamTranslator._end,  # noqa: SLF001 - as above
    "message_stop": StreamTranslator._stop,  # noqa: SLF001 - as above
    "ping": StreamTranslator._ping,  # noqa: SLF001 - as above
    "error": StreamTranslator._fail,  # noqa: SLF001 - as above
}
