"""What is known about a call after each step: frozen values, so that every step has a type."""

from collections.abc import Mapping
from typing import Any

import msgspec


class Asked(msgspec.Struct, frozen=True):
    """A request that has been read.

    Attributes:
        dialect: ``openai`` or ``anthropic``: how the client speaks.
        operation: ``chat``, ``embeddings``, ``messages`` or ``count_tokens``.
        model: what the client asks for.
        body: the request object, duplicate keys and deep nesting ruled out. Never mutated.
        stream: whether the client wants a stream.
        include_usage: whether the client asked for usage in the stream.
        user: the end user the client named, or "".
        tags: from ``metadata``; the listener adds those of ``x-farebox-tags``.
        parts: UTF-8 bytes of text by part of the input: system, tools, history, context, user.
        output_cap: limit on output tokens over all choices, or None.
    """

    dialect: str
    operation: str
    model: str
    body: dict[str, Any]
    stream: bool
    include_usage: bool
    user: str
    tags: dict[str, str]
    parts: dict[str, int]
    output_cap: int | None


class Answered(msgspec.Struct):
    """What a provider's answer says of itself, filled in as the answer is read.

    Attributes:
        model: the model it says it used, or "".
        service_tier: the tier it says it used, or "".
        finish: its finish reason, or "".
        usage: its usage object, or None where it has sent none.
        error: the message of an error event, or "".
        content_bytes: UTF-8 bytes of text, reasoning and tool arguments seen so far.
        content_events: stream events that carried content.
        complete: whether the protocol's own end has been seen.
        damaged_events: events that could not be read.
    """

    model: str = ""
    service_tier: str = ""
    finish: str = ""
    usage: dict[str, Any] | None = None
    error: str = ""
    content_bytes: int = 0
    content_events: int = 0
    complete: bool = False
    damaged_events: int = 0


class Inbound(msgspec.Struct, frozen=True):
    """A call that has arrived and whose caller is known.

    Attributes:
        id: of the call.
        key: id of the virtual key, or "".
        key_name: the key's name, or "".
        received_ns: monotonic clock at arrival.
        headers: of the client.
        team: name of the key's team, or "".
        project: name of the key's project, or "".
    """

    id: str
    key: str
    key_name: str
    received_ns: int
    headers: Mapping[str, str]
    team: str = ""
    project: str = ""
