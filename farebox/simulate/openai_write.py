"""Spells a plan out as a chat completion: one body, or the chunks of a stream."""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec

from farebox.simulate.asked import Answer, Frame, Piece, Plan
from farebox.simulate.text import count_tokens, pace_text, seed_of, split_text

DONE = Frame(b"[DONE]")
_FINISH = {"stop": "stop", "length": "length", "tool": "tool_calls", "sequence": "stop"}
_FINGERPRINT = "fp_5ea1ed0f4e"
_encode = msgspec.json.encode


def usage_of(plan: Plan) -> dict[str, Any]:
    """The true usage object of a plan that was generated to its end."""
    prompt, output = plan.asked.input_tokens, plan.output_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": output,
        "total_tokens": prompt + output,
        "prompt_tokens_details": {"cached_tokens": plan.hit.read, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": plan.reasoning_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def reported_usage(plan: Plan) -> dict[str, Any] | None:
    """Usage as the answer reports it, which a fault may falsify; None for ``missing`` and ``null``."""
    if plan.usage_form == "true":
        return usage_of(plan)
    if plan.usage_form == "zero":
        return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    return None


def write_body(plan: Plan) -> dict[str, Any]:
    """The answer as one object."""
    body = _frame_of(plan, "chat.completion")
    body["choices"] = [_write_choice(plan, i) for i in range(len(plan.answers))]
    if plan.usage_form != "missing":
        body["usage"] = reported_usage(plan)
    return body


def _frame_of(plan: Plan, kind: str) -> dict[str, Any]:
    return {
        "id": f"chatcmpl-{plan.serial}",
        "object": kind,
        "created": plan.created_s,
        "model": plan.asked.model.resolved,
        "choices": [],
        "service_tier": plan.asked.model.tier,
        "system_fingerprint": _FINGERPRINT,
    }


def _write_choice(plan: Plan, index: int) -> dict[str, Any]:
    answer = plan.answers[index]
    calls = [p for p in answer.pieces if p.kind == "tool"]
    said = "".join(p.text for p in answer.pieces if p.kind == "text")
    message: dict[str, Any] = {
        "role": "assistant",
        "content": None if calls and not said else said,
        "refusal": None,
        "annotations": [],
    }
    if calls:
        message["tool_calls"] = [
            {
                "id": _call_id(plan, index, k),
                "type": "function",
                "function": {"name": call.name, "arguments": call.text},
            }
            for k, call in enumerate(calls)
        ]
    return {
        "index": index,
        "message": message,
        "logprobs": _write_logprobs(plan, said),
        "finish_reason": _FINISH[answer.finish],
    }


def _call_id(plan: Plan, index: int, k: int) -> str:
    return f"call_{plan.serial}{index}{k}"


def _write_logprobs(plan: Plan, said: str) -> dict[str, Any] | None:
    count = plan.asked.logprobs
    if count is None:
        return None
    return {"content": [_write_logprob(t, count) for t in split_text(said, 1)], "refusal": None}


def _write_logprob(token: str, count: int) -> dict[str, Any]:
    seed = seed_of(token)
    tops = [
        {"token": word, "logprob": round(-0.05 - rank - seed % 90 / 100, 4), "bytes": list(word.encode())}
        for rank, word in enumerate([token, *(f"alt{n}" for n in range(1, count))][:count])
    ]
    logprob = round(-0.05 - seed % 90 / 100, 4)
    return {"token": token, "logprob": logprob, "bytes": list(token.encode()), "top_logprobs": tops}


def write_frames(plan: Plan) -> Iterator[Frame]:
    """The chunks of a stream, with the marker that ends it.

    Answers take turns, as they do when they are generated side by side.
    """
    chunks = _Chunks(plan)
    streams = [_deltas(plan, i, answer) for i, answer in enumerate(plan.answers)]
    made = [0] * len(streams)
    for turn in itertools.zip_longest(*streams):
        for index, step in enumerate(turn):
            if step is None:
                continue
            delta, finish, made[index], content = step
            yield chunks.write(index, delta, finish, sum(made), content=content)
    if plan.asked.wants_usage and plan.usage_form != "missing":
        yield chunks.write_usage(reported_usage(plan))
    yield DONE


class _Chunks:
    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.frame = _frame_of(plan, "chat.completion.chunk")
        if plan.asked.wants_usage:
            self.frame["usage"] = None

    def write(self, index: int, delta: dict[str, Any], finish: str | None, made: int, *, content: bool) -> Frame:
        logprobs = None
        if finish is None and delta.get("content"):
            logprobs = _write_logprobs(self.plan, delta["content"])
        choice = {"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        chunk = {**self.frame, "choices": [choice]}
        if self.plan.asked.extras.get("obfuscate"):
            # Pads chunks to like sizes, which is all that the field is for.
            chunk["obfuscation"] = "x" * (16 - len(delta.get("content") or "") % 16)
        return Frame(_encode(chunk), made=made, content=content)

    def write_usage(self, usage: dict[str, Any] | None) -> Frame:
        return Frame(_encode({**self.frame, "choices": [], "usage": usage}), made=self.plan.output_tokens)


_Step = tuple[dict[str, Any], str | None, int, bool]


def _deltas(plan: Plan, index: int, answer: Answer) -> Iterator[_Step]:
    """Each step of one answer: delta, finish reason, tokens made so far, and whether it carries content."""
    kinds = {p.kind for p in answer.pieces}
    said = "" if "text" in kinds or "tool" not in kinds else None
    done = called = 0
    yield {"role": "assistant", "content": said, "refusal": None}, None, 0, False
    for piece in answer.pieces:
        if piece.kind == "text":
            for part, made in pace_text(piece.text, 0, plan.chunk_tokens):
                yield {"content": part}, None, done + made, True
        elif piece.kind == "tool":
            yield from _call_deltas(plan, index, called, piece, done)
            called += 1
        done += piece.tokens
    yield {}, _FINISH[answer.finish], done, False


def _call_deltas(plan: Plan, index: int, k: int, call: Piece, done: int) -> Iterator[_Step]:
    start = {
        "index": k,
        "id": _call_id(plan, index, k),
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    yield {"tool_calls": [start]}, None, done + count_tokens(call.name), True
    for part, made in pace_text(call.text, len(call.name), plan.chunk_tokens):
        yield {"tool_calls": [{"index": k, "function": {"arguments": part}}]}, None, done + made, True
