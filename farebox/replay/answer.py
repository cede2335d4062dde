"""Reads answers, streamed or not, as far as a client that measures needs: tokens, errors, the proper end.

This reader is deliberately not the gateway's own decoder: a measuring instrument that shares its parts
with what it measures cannot see their faults.
"""

from typing import Final

import msgspec


class Unreadable(Exception):
    """The answer is not what its dialect promises; the message says where."""


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    """Both dialects' usage: the names do not overlap."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _Details | None = None
    input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    output_tokens: int | None = None


class _Fault(msgspec.Struct):
    message: str = ""
    type: str | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    tool_calls: msgspec.Raw | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None


class _Message(msgspec.Struct):
    usage: _Usage | None = None


class _Event(msgspec.Struct):
    """A body or an event of either dialect."""

    type: str | None = None
    error: _Fault | str | None = None
    usage: _Usage | None = None
    choices: list[_Choice] = []
    message: _Message | str | None = None


_DECODER: Final = msgspec.json.Decoder(_Event)


class Answer:
    """What one answer says.

    Attributes:
        input_tokens: every token of the prompt, cached or not, or None if the answer has no usage.
        cached_tokens: those read from a cache.
        output_tokens: or None.
        events: server-sent events with data.
        started: whether some content has come.
        ended: whether the dialect's own end of stream has come.
        fault: the message of an error inside the answer, or None.
    """

    def __init__(self, dialect: str) -> None:
        self.input_tokens: int | None = None
        self.cached_tokens: int = 0
        self.output_tokens: int | None = None
        self.events: int = 0
        self.started: bool = False
        self.ended: bool = False
        self.fault: str | None = None
        self._openai: bool = dialect == "openai"
        self._rest: bytes = b""
        self._data: list[bytes] = []

    def read_body(self, body: bytes) -> None:
        """Read an answer that came in one piece.

        Raises:
            Unreadable: it is not JSON of the dialect.
        """
        self._read(body)
        self.ended = True

    def feed(self, chunk: bytes) -> None:
        """Read a piece of a stream, cut anywhere.

        Raises:
            Unreadable: an event is not JSON of the dialect.
        """
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            text = line.removesuffix(b"\r")
            if text.startswith(b"data:"):
                self._data.append(text[5:].removeprefix(b" "))
            elif not text and self._data:
                data = b"\n".join(self._data)
                self._data.clear()
                self._take(data)

    def _take(self, data: bytes) -> None:
        self.events += 1
        if self._openai and data == b"[DONE]":
            self.ended = True
            return
        self._read(data)

    def _read(self, data: bytes) -> None:
        try:
            event = _DECODER.decode(data)
        except msgspec.DecodeError as error:
            raise Unreadable(f"{error} in {data[:120].decode(errors='replace')!r}") from None
        if event.error is not None:
            self.fault = event.error if isinstance(event.error, str) else event.error.message
        if event.usage is not None:
            self._count(event.usage)
        if isinstance(event.message, _Message) and event.message.usage is not None:
            self._count(event.message.usage)
        if self._openai:
            self.started = self.started or any(_has_content(choice) for choice in event.choices)
        elif event.type == "content_block_delta":
            self.started = True
        elif event.type == "message_stop":
            self.ended = True

    def _count(self, usage: _Usage) -> None:
        """Take over what a usage object states; a later one of a stream is cumulative and replaces it."""
        if usage.prompt_tokens is not None:
            self.input_tokens = usage.prompt_tokens
            details = usage.prompt_tokens_details
            self.cached_tokens = (details.cached_tokens or 0) if details is not None else 0
        if usage.input_tokens is not None:
            read = usage.cache_read_input_tokens or 0
            self.input_tokens = usage.input_tokens + read + (usage.cache_creation_input_tokens or 0)
            self.cached_tokens = read
        if usage.completion_tokens is not None:
            self.output_tokens = usage.completion_tokens
        if usage.output_tokens is not None:
            self.output_tokens = usage.output_tokens


def _has_content(choice: _Choice) -> bool:
    return choice.delta is not None and bool(choice.delta.content or choice.delta.tool_calls)


def read_fault(body: bytes) -> str:
    """Return the message of an error answer, or the beginning of a body that is none."""
    try:
        event = _DECODER.decode(body)
    except msgspec.DecodeError:
        event = _Event()
    if isinstance(event.error, _Fault) and event.error.message:
        return event.error.message
    if isinstance(event.error, str):
        return event.error
    return body[:200].decode(errors="replace").strip() or "an empty body"
