"""Writes the answers to a request: which pieces, how long, and why they end.

Everything follows from the request: equal requests get equal answers. Lengths are exact in the tokens of text.py.
"""

import json

from farebox.simulate.asked import Answer, Asked, Piece, Tool
from farebox.simulate.control import Controls
from farebox.simulate.schema import write_instance
from farebox.simulate.text import count_tokens, cut_to_tokens, seed_of, write_text

_SHORTEST, _SPREAD = 16, 64


def write_answers(asked: Asked, controls: Controls) -> list[Answer]:
    """All answers that a request gets."""
    seed = seed_of(asked.model.resolved, *(s.text for s in asked.segments))
    return [_write_answer(asked, controls, seed + index) for index in range(asked.answers)]


def _write_answer(asked: Asked, controls: Controls, seed: int) -> Answer:
    limit = asked.model.max_output_tokens
    if asked.max_output_tokens is not None and not controls.ignore_max_tokens:
        limit = asked.max_output_tokens
    called = _choose_tools(asked, controls)
    wanted = _wanted_tokens(controls, seed, limit)
    reasoning = asked.reasoning_tokens if controls.reasoning_tokens is None else controls.reasoning_tokens
    if controls.output_tokens is not None:
        reasoning = min(reasoning, wanted)
    pieces = [_reason(asked, seed, reasoning)] if reasoning else []
    if called:
        pieces += [_call(tool, seed) for tool in called]
    else:
        room = wanted - reasoning if controls.output_tokens is not None else wanted
        pieces.append(_say(asked, controls, seed, room))
    return _end(pieces, asked, limit)


def _wanted_tokens(controls: Controls, seed: int, limit: int) -> int:
    if controls.output_tokens == "max":
        return limit + 1  # one more than fits, so that the answer ends for its length
    if controls.output_tokens is not None:
        return controls.output_tokens
    return _SHORTEST + seed % _SPREAD


def _choose_tools(asked: Asked, controls: Controls) -> list[Tool]:
    by_name = {t.name: t for t in asked.tools}
    wish = None if asked.answers_tools else controls.tool_calls
    if isinstance(wish, list):
        return [by_name[name] for name in wish if name in by_name]
    if wish and asked.tools:
        return [asked.tools[i % len(asked.tools)] for i in range(wish)]
    if asked.must_call and wish != 0:
        return [by_name[asked.must_call[0]]]
    return []


def _reason(asked: Asked, seed: int, tokens: int) -> Piece:
    if asked.shows_reasoning:
        return Piece("thinking", tokens, write_text(seed + 7, tokens))
    return Piece("hidden", tokens)


def _call(tool: Tool, seed: int) -> Piece:
    arguments = json.dumps(write_instance(tool.schema, seed), separators=(",", ":"), ensure_ascii=False)
    return Piece("tool", count_tokens(tool.name + arguments), arguments, tool.name)


def _say(asked: Asked, controls: Controls, seed: int, tokens: int) -> Piece:
    if controls.text is not None:
        text = controls.text
    elif asked.schema is None:
        text = write_text(seed, tokens)
    elif asked.schema:
        text = json.dumps(write_instance(asked.schema, seed), separators=(",", ":"), ensure_ascii=False)
    else:
        text = json.dumps({"answer": write_text(seed, max(1, tokens - 4))}, separators=(",", ":"))
    return Piece("text", count_tokens(text), text)


def _end(pieces: list[Piece], asked: Asked, limit: int) -> Answer:
    """Cuts the pieces at the token limit and at the first stop sequence."""
    kept: list[Piece] = []
    room = limit
    for piece in pieces:
        cut = _cut(piece, room)
        if cut.tokens:
            kept.append(cut)
        room -= cut.tokens
        stopped = _stop(cut, asked.stops)
        if stopped is not None:
            kept[-1] = stopped[0]
            return Answer([p for p in kept if p.tokens], "sequence", stopped[1])
        if cut is not piece:
            return Answer(kept, "length")
    return Answer(kept, "tool" if any(p.kind == "tool" for p in kept) else "stop")


def _cut(piece: Piece, room: int) -> Piece:
    if piece.tokens <= room:
        return piece
    if piece.kind == "hidden":
        return Piece("hidden", room)
    if piece.kind == "tool":
        text = cut_to_tokens(piece.name + piece.text, room)[len(piece.name) :]
        fits = room >= count_tokens(piece.name)
        return Piece("tool", room if fits else 0, text, piece.name)
    text = cut_to_tokens(piece.text, room)
    return Piece(piece.kind, count_tokens(text), text)


def _stop(piece: Piece, stops: list[str]) -> tuple[Piece, str] | None:
    """The piece up to the first stop sequence in it, and that sequence."""
    if piece.kind != "text" or not stops:
        return None
    found = [(piece.text.index(s), s) for s in stops if s in piece.text]
    if not found:
        return None
    at, sequence = min(found)
    text = piece.text[:at]
    return Piece("text", count_tokens(text), text), sequence
