"""Turns what a client asked into what one target is sent. Pure.

When client and provider speak the same dialect the body is passed on as it was read, but for the model's name
and, in OpenAI's streams, the request for usage, without which the stream could not be metered.
"""

from typing import Any, NamedTuple

import msgspec

from farebox.call import Asked, Inbound
from farebox.errors import BadRequest
from farebox.journal.record import Role, Sent
from farebox.providers.profile import CONVERSATION, Operation
from farebox.route import Target
from farebox.translate.table import Translation, find
from farebox.wire.json_body import encode
from farebox.wire.openai_chat import read_text
from farebox.wire.operations import READINGS, Reading

_CAP_FIELDS = frozenset({"max_tokens", "max_completion_tokens"})


class Held(NamedTuple):
    """What is reserved for an attempt, as it stands in `Sent`."""

    femto: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    charged: tuple[str, ...] = ()


NOT_HELD = Held()


class Made(NamedTuple):
    """How an attempt came about.

    Attributes:
        number: of the attempt within its call, from 1.
        role: what it is made for.
        why: why it is sent to its target, in words, or "".
    """

    number: int
    role: Role = "first"
    why: str = ""


class Outgoing(msgspec.Struct, frozen=True):
    """One request to one target.

    Attributes:
        operation: what is asked of the provider, in its dialect.
        head: request line and headers, the provider's key included, each line ended.
        body: the bytes that are sent.
        reading: how the answer is read.
        translation: between the client's dialect and the provider's, or None where they are the same.
        output_cap: the limit on output tokens that the provider is told, or None.
        held: what is reserved for it.
    """

    operation: Operation
    head: bytes
    body: bytes
    reading: Reading
    translation: Translation | None
    output_cap: int | None
    held: Held = NOT_HELD


def prepare(
    asked: Asked,
    target: Target,
    attempt_id: str,
    inbound: Inbound,
    *,
    output_limit: int | None = None,
    clamp: bool = False,
) -> Outgoing:
    """Return the request that asks ``target`` for what was asked.

    Args:
        asked: the client's request.
        target: where it goes.
        attempt_id: the attempt's id, told to the provider so that both sides can name the request.
        inbound: the call; of its headers only those the profile names are handed on.
        output_limit: the most output tokens of one choice where the client sets no limit; None: the provider's own.
            A cap on spending is a bound only if the provider is told the bound.
        clamp: whether ``output_limit`` holds where the client allows more, too.

    Raises:
        Untranslatable: where the target's dialect cannot express a field.
        BadRequest: where the target does not offer the operation.
    """
    profile = target.profile
    translation = find(asked.dialect, profile.dialect)
    operation: Operation = asked.operation  # type: ignore[assignment]  # an Asked has an operation of the table
    body: dict[str, Any] = asked.body
    if translation is not None and operation in CONVERSATION.values():
        operation = CONVERSATION[profile.dialect]
        body = translation.translate_request(body, target.model)
    elif body.get("model") != target.model:
        body = {**body, "model": target.model}
    head = target.heads.get(operation)
    if head is None or (translation is not None and operation == asked.operation):
        raise BadRequest(
            f"The model {asked.model!r} goes to {target.provider.name!r}, which does not offer "
            f"{asked.operation.replace('_', ' ')}. Ask for a model of a provider that does.",
            code="unsupported_operation",
            param="model",
        )
    if (target.service_tier or asked.stream) and operation in CONVERSATION.values():
        body = _with_tier_and_usage(body, target, wants_usage=operation == "chat" and asked.stream)
    head += f"x-client-request-id: {attempt_id}\r\n".encode()
    for name in profile.asks_headers:
        value = inbound.headers.get(name) if translation is None else None
        value = value or target.defaults.get(name)
        if value:
            head += f"{name}: {value}\r\n".encode("latin-1")
    cap = asked.output_cap
    if cap is None and isinstance(body.get("max_tokens"), int):
        cap = body["max_tokens"]
    if output_limit is not None and (cap is None or clamp) and operation in CONVERSATION.values():
        body = {name: value for name, value in body.items() if name not in _CAP_FIELDS}
        body[profile.cap_field] = output_limit
        cap = output_limit * choices_of(body)
    return Outgoing(operation, head, encode(body), READINGS[operation], translation, cap)


def _with_tier_and_usage(body: dict[str, Any], target: Target, *, wants_usage: bool) -> dict[str, Any]:
    """Return a body with what Farebox asks beside the client: the target's tier, and a stream's usage."""
    if target.service_tier and body.get("service_tier") is None:
        body = {**body, "service_tier": target.service_tier}
    if wants_usage:
        options = body.get("stream_options")
        if not (isinstance(options, dict) and options.get("include_usage") is True):
            body = {**body, "stream_options": {**(options or {}), "include_usage": True}}
    return body


def choices_of(body: dict[str, Any]) -> int:
    """Return how many answers a request asks for."""
    choices = body.get("n")
    return choices if type(choices) is int and choices > 0 else 1


def record_sent(inbound: Inbound, asked: Asked, target: Target, outgoing: Outgoing, made: Made, at_ns: int) -> Sent:
    """Return the record that an attempt of a call is about to be sent."""
    return Sent(
        f"{inbound.id}.{made.number}",
        inbound.id,
        made.number,
        at_ns,
        inbound.key,
        inbound.key_name,
        asked.user,
        asked.tags,
        asked.dialect,
        asked.operation,
        asked.model,
        target.provider.name,
        target.rate_provider,
        target.model,
        asked.stream,
        len(outgoing.body),
        asked.parts,
        outgoing.output_cap,
        outgoing.operation,
        read_text(asked.body, "service_tier") or target.service_tier,
        target.provider.region,
        target.provider.deployment,
        inbound.team,
        inbound.project,
        *outgoing.held,
        made.why,
        target.key,
        made.role,
    )
