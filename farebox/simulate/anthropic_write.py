"""Spells a plan out as a message: one body, or the events of a stream."""

import base64
import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from farebox.simulate.asked import Frame, Piece, Plan
from farebox.simulate.text import count_tokens, pace_text

_FINISH = {"stop": "end_turn", "length": "max_tokens", "tool": "tool_use", "sequence": "stop_sequence"}
# How a block looks before its first delta.
_EMPTY: dict[str, dict[str, Any]] = {
    "thinking": {"thinking": "", "signature": ""},
    "text": {"text": ""},
    "tool": {"input": {}},
}
_encode = msgspec.json.encode


def usage_of(plan: Plan) -> dict[str, Any]:
    """The true usage object of a plan that was generated to its end."""
    hit = plan.hit
    usage: dict[str, Any] = {
        "input_tokens": plan.asked.input_tokens - hit.read - hit.write_5m - hit.write_1h,
        "cache_creation_input_tokens": hit.write_5m + hit.write_1h,
        "cache_read_input_tokens": hit.read,
        "cache_creation": {
            "ephemeral_5m_input_tokens": hit.write_5m,
            "ephemeral_1h_input_tokens": hit.write_1h,
        },
        "output_tokens": plan.output_tokens,
        "service_tier": "standard",
        "inference_geo": "global",
    }
    if plan.reasoning_tokens:
        usage["output_tokens_details"] = {"thinking_tokens": plan.reasoning_tokens}
    return usage


def reported_usage(plan: Plan) -> dict[str, Any] | None:
    """Usage as the answer reports it, which a fault may falsify; None for ``missing`` and ``null``."""
    if plan.usage_form == "true":
        return usage_of(plan)
    if plan.usage_form == "zero":
        return {"input_tokens": 0, "output_tokens": 0}
    return None


def write_body(plan: Plan) -> dict[str, Any]:
    """The answer as one object."""
    answer = plan.answers[0]
    body = _message(plan)
    body["content"] = [_block(plan, i, piece) for i, piece in enumerate(answer.pieces)]
    body["stop_reason"] = _FINISH[answer.finish]
    body["stop_sequence"] = answer.sequence
    if plan.usage_form != "missing":
        body["usage"] = reported_usage(plan)
    return body


def _message(plan: Plan) -> dict[str, Any]:
    return {
        "id": f"msg_{plan.serial}",
        "type": "message",
        "role": "assistant",
        "model": plan.asked.model.resolved,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
    }


def _signature(piece: Piece) -> str:
    return base64.b64encode(hashlib.sha256(piece.text.encode()).digest() * 3).decode()


def _block(plan: Plan, index: int, piece: Piece) -> dict[str, Any]:
    if piece.kind == "thinking":
        return {"type": "thinking", "thinking": piece.text, "signature": _signature(piece)}
    if piece.kind == "tool":
        return {
            "type": "tool_use",
            "id": f"toolu_{plan.serial}{index}",
            "name": piece.name,
            "input": _read_input(piece.text),
        }
    return {"type": "text", "text": piece.text}


def _read_input(text: str) -> Any:
    """A tool's arguments; a call that was cut for its length has none that can be read."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {}


def _frame(kind: str, fields: dict[str, Any], made: int, *, content: bool = False) -> Frame:
    return Frame(_encode({"type": kind, **fields}), kind, made, content)


def write_frames(plan: Plan) -> Iterator[Frame]:
    """The events of a stream, from ``message_start`` to ``message_stop``."""
    answer = plan.answers[0]
    # The first event already reports an output token, as the live service does; so it is made by then.
    made = min(1, plan.output_tokens)
    yield _frame("message_start", {"message": _message(plan) | _start_usage(plan, made)}, made)
    done = 0
    for index, piece in enumerate(answer.pieces):
        block = _block(plan, index, piece)
        start = block | _EMPTY[piece.kind]
        name_tokens = count_tokens(piece.name)
        made = max(made, done + name_tokens)
        yield _frame("content_block_start", {"index": index, "content_block": start}, made)
        if index == 0:
            yield _frame("ping", {}, made)
        for delta, tokens in _deltas(piece, plan.chunk_tokens):
            made = max(made, done + tokens)
            yield _frame("content_block_delta", {"index": index, "delta": delta}, made, content=True)
        done += piece.tokens
        made = max(made, done)
        if piece.kind == "thinking":
            delta = {"type": "signature_delta", "signature": _signature(piece)}
            yield _frame("content_block_delta", {"index": index, "delta": delta}, made)
        yield _frame("content_block_stop", {"index": index}, made)
    stop = {"stop_reason": _FINISH[answer.finish], "stop_sequence": answer.sequence}
    yield _frame("message_delta", {"delta": stop} | _end_usage(plan), made)
    yield _frame("message_stop", {}, made)


def _start_usage(plan: Plan, made: int) -> dict[str, Any]:
    if plan.usage_form == "missing":
        return {}
    usage = reported_usage(plan)
    if usage is None or plan.usage_form == "zero":
        return {"usage": usage}
    usage.pop("output_tokens_details", None)
    return {"usage": {**usage, "output_tokens": made}}


def _end_usage(plan: Plan) -> dict[str, Any]:
    """Cumulative usage; it repeats the input counts but not their split by time to live."""
    if plan.usage_form == "missing":
        return {}
    usage = reported_usage(plan)
    if usage is None:
        return {"usage": None}
    names = (
        "input_tokens",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "output_tokens",
        "output_tokens_details",
    )
    return {"usage": {name: usage[name] for name in names if name in usage}}


def _deltas(piece: Piece, tokens: int) -> Iterator[tuple[dict[str, Any], int]]:
    """The deltas of one block and the block's tokens made when each is out."""
    if piece.kind == "tool":
        yield {"type": "input_json_delta", "partial_json": ""}, count_tokens(piece.name)
    for part, made in pace_text(piece.text, len(piece.name), tokens):
        if piece.kind == "tool":
            yield {"type": "input_json_delta", "partial_json": part}, made
        elif piece.kind == "thinking":
            yield {"type": "thinking_delta", "thinking": part}, made
        else:
            yield {"type": "text_delta", "text": part}, made
