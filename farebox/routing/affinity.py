"""What providers have cached of conversations, as far as it was seen: where the next call of one is cheaper.

A conversation is what the client calls its session, else what begins the same way. A target is warm for it for some
minutes after it answered; what of the input is then read from the provider's cache is taken to be the share that was
reported in such cases before. Before anything was reported, nothing is expected.
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from farebox.call import Asked, Inbound

_WARM_NS = 300_000_000_000  # OpenAI: 5 to 10 minutes; Anthropic: 5 minutes, renewed by each use
LEAST_TOKENS = 1024  # shorter prompts are not cached, at OpenAI and mostly at Anthropic
_MOST_SESSIONS = 50_000
_BEGINNING = 2048
_WEIGHT = 0.2

Id = tuple[str, str, str]


class _Warm(msgspec.Struct):
    tokens: int
    until_ns: int


class Affinity:
    """The warm targets of conversations. Of one worker. Instants are monotonic nanoseconds."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[object, dict[Id, _Warm]] = OrderedDict()
        self._shares: dict[Id, float] = {}

    def cached_tokens(self, session: object, target: Id, input_tokens: int, now_ns: int) -> int:
        """Return how much of an input a target is expected to read from its cache."""
        known = self._sessions.get(session)
        warm = known.get(target) if known else None
        if warm is None or warm.until_ns < now_ns:
            return 0
        return int(min(warm.tokens, input_tokens) * self._shares.get(target, 0.0))

    def learn(self, session: object, target: Id, input_tokens: int, cached_tokens: int, now_ns: int) -> None:
        """Take in what an answer reported.

        Args:
            session: of the call.
            target: that answered.
            input_tokens: of the call, those from the cache included.
            cached_tokens: those.
            now_ns: the instant.
        """
        if input_tokens < LEAST_TOKENS:
            return
        known = self._sessions.get(session)
        if known is None:
            known = self._sessions[session] = {}
            if len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        else:
            self._sessions.move_to_end(session)
        warm = known.get(target)
        if warm is not None and warm.until_ns >= now_ns:
            share = min(1.0, cached_tokens / max(1, min(warm.tokens, input_tokens)))
            before = self._shares.get(target)
            self._shares[target] = share if before is None else before + (share - before) * _WEIGHT
        known[target] = _Warm(input_tokens, now_ns + _WARM_NS)


def session_of(asked: Asked, inbound: Inbound) -> str:
    """Return what the client calls the session of a call, or "": a header, a field of the body, its end user."""
    named = inbound.headers.get("x-farebox-session")
    if named:
        return named[:_BEGINNING]
    cache_key = asked.body.get("prompt_cache_key")
    if isinstance(cache_key, str) and cache_key:
        return cache_key[:_BEGINNING]
    return asked.user


def conversation_of(asked: Asked, session: str) -> object:
    """Return what the calls of one conversation have in common: its session, else how it begins."""
    if session:
        return session
    body = asked.body
    beginning: list[str] = [_text_of(body.get("system"))]
    for message in body.get("messages") or ():
        if isinstance(message, Mapping):
            beginning.append(_text_of(message.get("content")))
            if message.get("role") == "user":
                break
    return asked.model, tuple(beginning)


def _text_of(content: Any) -> str:
    if isinstance(content, str):
        return content[:_BEGINNING]
    if isinstance(content, list):
        for part in content:
            text = part.get("text") if isinstance(part, Mapping) else None
            if isinstance(text, str):
                return text[:_BEGINNING]
    return ""
