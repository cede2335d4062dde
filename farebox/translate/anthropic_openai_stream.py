"""OpenAI's stream of chunks as Anthropic's stream of events.

Anthropic's blocks come one after the other, so one block is open at a time. Tool calls of OpenAI may be
interleaved: a call whose turn has not come is held back until the arguments of the open one are whole.
OpenAI tells the usage last, so ``message_start`` counts nothing and ``message_delta`` carries every count.
"""

from typing import Any

import msgspec

from farebox.errors import UpstreamFailed
from farebox.translate.anthropic_openai_response import (
    citation_of,
    reasoning_of,
    refusal_details,
    stop_reason_of,
    usage_of,
)
from farebox.translate.failures import NONSENSE, Failure
from farebox.wire.errors_of import anthropic_event
from farebox.wire.sse import Event, encode

_decode = msgspec.json.decode
_encode = msgspec.json.encode
_EMPTY: dict[str, dict[str, Any]] = {
    "text": {"type": "text", "text": ""},
    "thinking": {"type": "thinking", "thinking": "", "signature": ""},
}
_DELTAS = {"text": ("text_delta", "text"), "thinking": ("thinking_delta", "thinking")}


class _Call:
    """One tool call: its head, and the arguments that came so far."""

    __slots__ = ("arguments", "id", "name", "unsent")

    def __init__(self, id_: str, name: str) -> None:
        self.id = id_
        self.name = name
        self.arguments = ""
        self.unsent = ""

    @property
    def whole(self) -> bool:
        try:
            return isinstance(_decode(self.arguments), dict)
        except msgspec.DecodeError:
            return False


class StreamTranslator:
    """Translates one answer. Made for one stream, fed in order, thrown away with it.

    Attributes:
        complete: whether the provider ended the answer in its own way (a finish reason or ``[DONE]``).
    """

    def __init__(self, asked_model: str, *, include_usage: bool = True, now_s: int = 0) -> None:
        del include_usage, now_s  # Anthropic's streams always end with the usage, and have no date
        self.complete: bool = False
        self._model = asked_model
        self._started = False
        self._over = False  # ended, or failed
        self._index = -1  # of the last block that was opened
        self._open = ""  # kind of the open block: text, thinking, tool_use or none
        self._call: _Call | None = None  # the open one
        self._waiting: list[_Call] = []  # in the order in which they came
        self._calls: dict[int, _Call] = {}  # by OpenAI's index, the latest
        self._called = False
        self._finish_reason: str | None = None
        self._refusal = ""
        self._usage = msgspec.Raw(_encode(usage_of(None)))  # encoded, so that what is left to say cannot fail
        self._tier: Any = None

    def feed(self, event: Event) -> list[bytes]:
        """Return the events for the client that follow from one chunk of the provider.

        Raises:
            UpstreamFailed: the chunk cannot be read.
        """
        if self._over:
            return []
        if not event.data:
            return [_event("ping", {})] if event.raw.startswith(b":") else []
        if event.data == b"[DONE]":
            return self._end()
        try:
            return self._chunk(_decode(event.data), event.name)
        except NONSENSE:
            raise UpstreamFailed("The provider's stream has a chunk that is not one of OpenAI's.") from None

    def finish(self) -> list[bytes]:
        """Return what is still owed at the end of the provider's stream.

        That is the end of the message if a finish reason came without a ``[DONE]``; nothing if it was cut.
        """
        return self._end() if self.complete and not self._over else []

    def _chunk(self, chunk: dict[str, Any], name: bytes) -> list[bytes]:
        if chunk.get("error") or name == b"error":
            self._over = True
            return [anthropic_event(Failure.of(chunk).anthropic())]
        out = [] if self._started else self._start(chunk)
        self._tier = chunk.get("service_tier") or self._tier
        if chunk.get("usage"):
            self._usage = msgspec.Raw(_encode(usage_of(chunk["usage"], self._tier)))
        for choice in chunk.get("choices") or ():
            out += self._choice(choice)
        return out

    def _start(self, chunk: dict[str, Any]) -> list[bytes]:
        self._started = True
        message: dict[str, Any] = {
            "id": chunk.get("id") or "",
            "type": "message",
            "role": "assistant",
            "model": chunk.get("model") or self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return [_event("message_start", {"message": message})]

    def _choice(self, choice: dict[str, Any]) -> list[bytes]:
        delta = choice.get("delta") or {}
        out: list[bytes] = []
        thinking = reasoning_of(delta)
        if thinking:
            out += self._say("thinking", thinking)
        if delta.get("content"):
            out += self._say("text", delta["content"])
        if delta.get("refusal"):
            self._refusal += delta["refusal"]
            out += self._say("text", delta["refusal"])
        for fragment in delta.get("tool_calls") or ():
            out += self._take_call(fragment)
        for note in delta.get("annotations") or ():
            citation = citation_of(note, "")
            if citation is not None and self._open == "text":
                out.append(self._delta({"type": "citations_delta", "citation": citation}))
        if choice.get("finish_reason"):
            self._finish_reason = str(choice["finish_reason"])
            self.complete = True
            out += self._close()
        return out

    def _say(self, kind: str, text: str) -> list[bytes]:
        out = [] if self._open == kind else [*self._close(), self._start_block(kind, _EMPTY[kind])]
        delta, field = _DELTAS[kind]
        out.append(self._delta({"type": delta, field: text}))
        return out

    def _take_call(self, fragment: dict[str, Any]) -> list[bytes]:
        """Add a fragment of a tool call; another id at the same index is another call."""
        function = fragment.get("function") or {}
        id_, index = fragment.get("id"), fragment.get("index")
        if index is None:  # some servers number nothing: an id starts a call, the rest belongs to the last one
            index = len(self._calls) if id_ else max(len(self._calls) - 1, 0)
        call = self._calls.get(index)
        out: list[bytes] = []
        if call is None or (id_ and id_ != call.id):
            call = _Call(str(id_ or f"call_{len(self._calls)}"), str(function.get("name") or ""))
            self._calls[index] = call
            self._waiting.append(call)
            self._called = True
        arguments = function.get("arguments") or ""
        if call is not self._call and call not in self._waiting:
            if arguments:
                raise UpstreamFailed(f"The provider's stream goes on with the tool call {call.id} after ending it.")
            return []
        call.arguments += arguments
        call.unsent += arguments
        if self._call is None or (self._call is not call and self._call.whole):
            out += self._next_call()
        if self._call is call and call.unsent:
            out += self._flush(call)
        return out

    def _next_call(self) -> list[bytes]:
        """Close the open block and open the call whose turn it is, with what it has been holding back."""
        out = self._close_open()
        if not self._waiting:
            return out
        call = self._call = self._waiting.pop(0)
        block = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        out.append(self._start_block("tool_use", block))
        return out + self._flush(call)

    def _flush(self, call: _Call) -> list[bytes]:
        unsent, call.unsent = call.unsent, ""
        return [self._delta({"type": "input_json_delta", "partial_json": unsent})] if unsent else []

    def _close(self) -> list[bytes]:
        """Close every block, the calls that wait included."""
        out = self._close_open()
        while self._waiting:
            out += self._next_call()
        return out + self._close_open()

    def _close_open(self) -> list[bytes]:
        self._call = None
        if not self._open:
            return []
        self._open = ""
        return [_event("content_block_stop", {"index": self._index})]

    def _start_block(self, kind: str, block: dict[str, Any]) -> bytes:
        self._open = kind
        self._index += 1
        return _event("content_block_start", {"index": self._index, "content_block": block})

    def _delta(self, delta: dict[str, Any]) -> bytes:
        return _event("content_block_delta", {"index": self._index, "delta": delta})

    def _end(self) -> list[bytes]:
        """Say how the answer ended and what it used."""
        self.complete = self._over = True
        out = [] if self._started else self._start({})
        delta: dict[str, Any] = {
            "stop_reason": stop_reason_of(self._finish_reason, called=self._called),
            "stop_sequence": None,
        }
        if self._refusal:
            delta.update(stop_reason="refusal", stop_details=refusal_details(self._refusal))
        out += self._close()
        out.append(_event("message_delta", {"delta": delta, "usage": self._usage}))
        out.append(_event("message_stop", {}))
        return out


def _event(name: str, fields: dict[str, Any]) -> bytes:
    return encode(_encode({"type": name, **fields}), name.encode())
