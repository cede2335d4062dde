"""What routing knows of a call: who asks, how much, what the answer needs, and how urgent it is."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from farebox.call import Asked, Inbound
from farebox.config.models import Criticality
from farebox.errors import BadRequest
from farebox.meter import tokens_of
from farebox.wire.unseen import IMAGES

CRITICALITIES: tuple[Criticality, ...] = ("critical", "normal", "sheddable")
# What an image is taken to be for the choice of a target; what is reserved for it is its bound.
_TOKENS_OF_IMAGE = 1000
_SECONDS = re.compile(r"\d{1,9}(\.\d{1,3})?")
_YES = frozenset({"1", "true", "yes", "on"})
_NO_NEEDS: frozenset[str] = frozenset()
_NEEDY = frozenset({"tools", "functions", "response_format", "output_format"})
_CHATS = frozenset({"chat", "messages"})


class Request(msgspec.Struct, frozen=True, gc=False):
    """A call, as far as its target depends on it.

    Attributes:
        operation: ``chat``, ``embeddings``, ``messages`` or ``count_tokens``.
        model: what was asked for.
        key: name of the virtual key, or "".
        team: of the key, or "".
        user: the end user, or "".
        tags: of the call.
        input_tokens: about how many it has.
        output_cap: its limit on output tokens over all choices, or None.
        needs: capabilities without which a model cannot answer it: tools, json_schema, vision, ...
        region: where it has to be answered, or "".
        zero_retention: whether the provider must keep nothing of it.
        criticality: how much it matters.
        service_tier: asked for, or None.
        project: of the key, or "".
        deadline_s: how long the answer may take, as the client says, or None.
    """

    operation: str
    model: str
    key: str
    team: str
    user: str
    tags: Mapping[str, str]
    input_tokens: int
    output_cap: int | None
    needs: frozenset[str] = _NO_NEEDS
    region: str = ""
    zero_retention: bool = False
    criticality: Criticality = "normal"
    service_tier: str | None = None
    deadline_s: float | None = None
    project: str = ""


def read_request(asked: Asked, inbound: Inbound) -> Request:
    """Return what routing knows of a call.

    Raises:
        BadRequest: where a header that routing reads is none.
    """
    body = asked.body
    images = _count_images(body) if asked.operation in _CHATS else 0
    headers = inbound.headers
    tier = body.get("service_tier")
    region = headers.get("x-farebox-region")
    retention = headers.get("x-farebox-zero-retention")
    return Request(
        asked.operation,
        asked.model,
        inbound.key_name,
        inbound.team,
        asked.user,
        asked.tags,
        tokens_of(sum(asked.parts.values())) + images * _TOKENS_OF_IMAGE,
        asked.output_cap,
        _read_needs(body, images),
        "" if region is None else region.strip().lower(),
        retention is not None and retention.strip().lower() in _YES,
        read_criticality(headers),
        tier if isinstance(tier, str) else None,
        _read_deadline(headers),
        inbound.project,
    )


def _count_images(body: Mapping[str, Any]) -> int:
    count = 0
    for message in body.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        if isinstance(content, list):
            count += sum([isinstance(part, dict) and part.get("type") in IMAGES for part in content])
    return count


def _read_deadline(headers: Mapping[str, str]) -> float | None:
    text = headers.get("x-farebox-deadline")
    if text is None:
        return None
    if _SECONDS.fullmatch(text.strip()) is None:
        raise BadRequest("'x-farebox-deadline' must be a number of seconds such as 30.", param="x-farebox-deadline")
    return float(text)


def read_criticality(headers: Mapping[str, str]) -> Criticality:
    """Return how much a call matters by its header.

    Raises:
        BadRequest: where the header says none of the words there are.
    """
    text = headers.get("x-farebox-criticality")
    if text is None:
        return "normal"
    word = text.strip().lower()
    for known in CRITICALITIES:
        if word == known:
            return known
    raise BadRequest(
        f"'x-farebox-criticality' must be one of {', '.join(CRITICALITIES)}.", param="x-farebox-criticality"
    )


def _read_needs(body: Mapping[str, Any], images: int) -> frozenset[str]:
    if not images and _NEEDY.isdisjoint(body):
        return _NO_NEEDS
    needs = set()
    if body.get("tools") or body.get("functions"):
        needs.add("tools")
    if _asks_for_schema(body):
        needs.add("json_schema")
    if images:
        needs.add("vision")
    return frozenset(needs)


def _asks_for_schema(body: Mapping[str, Any]) -> bool:
    for field in ("response_format", "output_format"):
        shape = body.get(field)
        if isinstance(shape, dict) and shape.get("type") == "json_schema":
            return True
    return False
