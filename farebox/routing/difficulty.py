"""How hard a prompt is, 0 to 1, for the strategy `auto`. The rules are deterministic: the same prompt, the same score.

What adds to it, each at most once but for the size:

    size           0.30 for 8,000 tokens of input and more, less in proportion
    answer         0.10 where the client allows 4,000 tokens of output and more, less in proportion
    code           0.20 where the last turn has a block of code or one of `_CODE`'s words
    mathematics    0.20 where it has a formula or one of `_MATHEMATICS`'s words
    reasoning      0.20 where it has one of `_REASONING`'s words: why, plan, compare, step, ...
    several tasks  0.10 where it lists three or more
    form           0.10 where the answer has to fit a schema, or tools are offered
    depth          0.10 where the conversation has ten turns or more
    effort         0.30 where the client asks for high reasoning effort, or for thinking

A classifier of your own takes the same and returns the same: ``def classify(asked, request) -> float``.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from farebox.call import Asked
from farebox.routing.request import Request

Classifier = Callable[[Asked, Request], float]
_LOOKED_AT = 4000  # characters of the last turn
_CODE_WORDS = """
algorithm async bug class code compile const debug def function implement import javascript program python refactor
regex rust script select sql struct test tests traceback typescript void
"""
_MATHEMATICS_WORDS = """
calculate derivative equation formula integral lemma matrix polynomial probability proof prove solve theorem
"""
_REASONING_WORDS = """
analyse analysis analyze argue compare consequences critique design diagnose evaluate plan reason step trade-off
trade-offs tradeoff tradeoffs why
"""
_CODE = frozenset(_CODE_WORDS.split())
_MATHEMATICS = frozenset(_MATHEMATICS_WORDS.split())
_REASONING = frozenset(_REASONING_WORDS.split())
_FORMULA = re.compile(r"\\(?:frac|sum|int|sqrt)\b|\d ?[+*^] ?[\d(]|\w\^\w|\b[xyzn] ?= ?\S")
_EDGES = ".,;:!?()[]{}<>\"'`*#"
_TASK = re.compile(r"^[ \t]*(?:\d{1,3}[.)]|[-*])[ \t]+\S", re.MULTILINE)
_HIGH = frozenset({"high", "xhigh", "max"})


def by_rules(asked: Asked, request: Request) -> float:
    """Return how hard a prompt is; see the head of this file."""
    body = asked.body
    text = _last_turn(body)
    score = 0.30 * min(1.0, request.input_tokens / 8000)
    score += 0.10 * min(1.0, (request.output_cap or 0) / 4000)
    words = {word.strip(_EDGES) for word in set(text.lower().split())}
    score += 0.20 * ("```" in text or not _CODE.isdisjoint(words))
    score += 0.20 * (not _MATHEMATICS.isdisjoint(words) or bool(_FORMULA.search(text)))
    score += 0.20 * (not _REASONING.isdisjoint(words))
    score += 0.10 * (text.count("\n") >= 2 and len(_TASK.findall(text)) >= 3)
    score += 0.10 * bool(request.needs & {"tools", "json_schema"})
    score += 0.10 * (len(body.get("messages") or ()) >= 10)
    score += 0.30 * _asks_for_effort(body)
    return min(1.0, round(score, 6))


def _asks_for_effort(body: Mapping[str, Any]) -> bool:
    thinking = body.get("thinking")
    is_thinking = isinstance(thinking, Mapping) and thinking.get("type") not in {None, "disabled"}
    return is_thinking or body.get("reasoning_effort") in _HIGH


def _last_turn(body: Mapping[str, Any]) -> str:
    for message in reversed(body.get("messages") or ()):
        if not isinstance(message, Mapping) or message.get("role") != "user":
            continue
        content = message.get("content")
        if isinstance(content, str):
            return content[:_LOOKED_AT]
        if isinstance(content, list):
            texts = [part.get("text") for part in content if isinstance(part, Mapping)]
            return "\n".join(text for text in texts if isinstance(text, str))[:_LOOKED_AT]
    return ""
