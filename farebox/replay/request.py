"""Turns a row into the HTTP request of a call: dialect, model, stream or not, and the body.

Every choice is drawn from the seed and the row's place in the trace, so two replays of one trace send the
same bytes whatever their speed.
"""

import random
from typing import Any, Final

import msgspec

from farebox.replay.plan import DEFAULT_MODEL, Plan
from farebox.replay.rows import Block, TraceRow
from farebox.replay.text import write_block

PATHS: Final = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}

QUESTION_SHARE_OF_EXCHANGE: Final = 4
"""A quarter of an exchange is the question, the rest is its answer: a convention, traces do not say."""


class Request(msgspec.Struct, frozen=True):
    """A call, ready to send.

    Attributes:
        dialect: ``openai`` or ``anthropic``.
        url: in full.
        headers: in full.
        body: JSON.
        stream: whether the answer comes as server-sent events.
        output_tokens: what the body asks for at most.
    """

    dialect: str
    url: str
    headers: dict[str, str]
    body: bytes
    stream: bool
    output_tokens: int


class _Turn(msgspec.Struct):
    role: str
    parts: list[str]


def build_request(plan: Plan, row: TraceRow, index: int) -> Request:
    """Return the call for the row at `index` of the trace."""
    draw = random.Random(f"{plan.seed}:call:{index}")  # noqa: S311 - traffic, not a secret
    # Each value is drawn whether it is used or not, so that one option does not shift the others.
    drawn_dialect, drawn_model, drawn_stream = draw.random(), draw.random(), draw.random()
    dialect = ("openai" if drawn_dialect < 0.5 else "anthropic") if plan.dialect == "both" else plan.dialect
    stream = drawn_stream < plan.stream_share if row.stream is None else row.stream
    model = _pick_model(plan, row, drawn_model)
    output = row.output_tokens if plan.max_output is None else min(row.output_tokens, plan.max_output)
    system, turns = _write_turns(plan, row)
    if plan.simulated:
        # Without a blank before it: the provider takes the note out, and what is left is as long as the trace says.
        turns[-1].parts.append(f'[[simulate {{"output_tokens": {output}}}]]')
    build = _openai_body if dialect == "openai" else _anthropic_body
    body = build(plan, row, system, turns)
    body |= {"model": model}
    body["max_completion_tokens" if dialect == "openai" else "max_tokens"] = output
    if stream:
        body["stream"] = True
        if dialect == "openai":
            body["stream_options"] = {"include_usage": True}
    url = plan.base_url + PATHS[dialect]
    headers = _headers(plan, row, dialect)
    return Request(dialect, url, headers, msgspec.json.encode(body), stream, output)


def _pick_model(plan: Plan, row: TraceRow, drawn: float) -> str:
    if row.model is not None and row.model in plan.served_as:
        return plan.served_as[row.model]
    if plan.models:
        return plan.models[int(drawn * len(plan.models))]
    return row.model or DEFAULT_MODEL


def _headers(plan: Plan, row: TraceRow, dialect: str) -> dict[str, str]:
    headers = {"content-type": "application/json"}
    if dialect == "anthropic":
        headers["anthropic-version"] = "2023-06-01"
    if plan.key is not None:
        if dialect == "anthropic":
            headers["x-api-key"] = plan.key
        else:
            headers["authorization"] = f"Bearer {plan.key}"
    if row.tags:
        headers["x-farebox-tags"] = ",".join(f"{name}={value}" for name, value in row.tags)
    return headers


def _write_turns(plan: Plan, row: TraceRow) -> tuple[str, list[_Turn]]:
    """Return the system text, perhaps empty, and the turns; the last one is the user's."""
    if row.prompt is not None:
        return "", [_Turn("user", [row.prompt])]
    system, context = "", []
    turns: list[_Turn] = []
    for section in row.sections:
        texts = [write_block(plan.seed, section.part, block.id, block.tokens) for block in section.blocks]
        match section.part:
            case "system":
                system += "".join(texts)
            case "passages" | "web":
                context += texts
            case "history":
                turns += _split_exchanges(section.blocks, texts)
            case "user":
                turns.append(_Turn("user", texts))
            case "answer":
                turns.append(_Turn("assistant", texts))
    if context:
        documents = "\n".join(
            f'<document index="{number}">\n{text}\n</document>' for number, text in enumerate(context, 1)
        )
        turns[-1].parts.insert(0, f"<context>\n{documents}\n</context>\n\n")
    return system, turns


def _split_exchanges(blocks: tuple[Block, ...], texts: list[str]) -> list[_Turn]:
    turns = []
    for block, text in zip(blocks, texts, strict=True):
        cut = max(1, block.tokens) * 4 // QUESTION_SHARE_OF_EXCHANGE
        turns += [_Turn("user", [text[:cut]]), _Turn("assistant", [text[cut:]])]
    return turns


def _openai_body(_plan: Plan, row: TraceRow, system: str, turns: list[_Turn]) -> dict[str, Any]:
    messages = [{"role": "system", "content": system}] if system else []
    messages += [{"role": turn.role, "content": "".join(turn.parts)} for turn in turns]
    body: dict[str, Any] = {"messages": messages}
    if row.user is not None:
        body["user"] = row.user
    return body


def _anthropic_body(plan: Plan, row: TraceRow, system: str, turns: list[_Turn]) -> dict[str, Any]:
    messages: list[dict[str, Any]] = [
        {
            "role": turn.role,
            "content": "".join(turn.parts).rstrip() if turn.role == "assistant" else "".join(turn.parts),
        }
        for turn in turns
    ]
    body: dict[str, Any] = {"messages": messages}
    if system:
        body["system"] = system
    if row.user is not None:
        body["metadata"] = {"user_id": row.user}
    if plan.cache_control:
        _mark_cache(body, system, turns[-1])
    return body


def _mark_cache(body: dict[str, Any], system: str, last: _Turn) -> None:
    """Set a breakpoint after the system text and one before the newest piece of the prompt.

    The pieces of the last message become blocks of their own, because a provider looks for cached
    prefixes at the ends of blocks.
    """
    mark = {"cache_control": {"type": "ephemeral"}}
    if system:
        body["system"] = [{"type": "text", "text": system, **mark}]
    blocks: list[dict[str, Any]] = [{"type": "text", "text": text} for text in last.parts]
    if len(blocks) > 1:
        blocks[-2] |= mark
    body["messages"][-1]["content"] = blocks
