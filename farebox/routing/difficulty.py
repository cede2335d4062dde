"""How hard a prompt is, 0 to 1, for the strategy `auto`. The rules are deterministic: the same prompt, the same score.

What adds to it, each at most once but for the size:

    size           0.30 for 8,000 tokens of input and more, less in proportion
    answer         0.10 where the client allows 4,000 tokens of output and more, less in proportion
    code           0.20 where the last turn holds code or asks for a program
    mathematics    0.20 where it holds formulas or asks for a proof
    reasoning      0.20 where it asks for reasons, plans, comparisons, step by step
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
_CODE = re.compile(
    r"```|\b(?:def|class|function|import|SELECT|struct|void|const|async)\s+\w+"
    r"|\b(?:refactor|debug|implement|compile|stack trace|unit tests?|regex|algorithm)\b",
    re.IGNORECASE,
)
_MATHEMATICS = re.compile(
    r"\\(?:frac|sum|int|sqrt)|[=<>]\s*-?\d+\s*[-+*/^]|\d\s*[-+*/^]\s*\(?\d+\s*[-+*/^]"
    r"|\b(?:prove|proof|theorem|integral|derivative|equation|probability|matrix)\b",
    re.IGNORECASE,
)
_REASONING = re.compile(
    r"\b(?:step by step|why|explain how|compare|trade-?offs?|analy[sz]e|design|plan|evaluate|critique|root cause)\b",
    re.IGNORECASE,
)
_TASK = re.compile(r"^\s*(?:\d+[.)]|[-*])\s+\S", re.MULTILINE)
_HIGH = frozenset({"high", "xhigh", "max"})


def by_rules(asked: Asked, request: Request) -> float:
    """Return how hard a prompt is; see the head of this file."""
    body = asked.body
    text = _last_turn(body)
    score = 0.30 * min(1.0, request.input_tokens / 8000)
    score += 0.10 * min(1.0, (request.output_cap or 0) / 4000)
    score += 0.20 * bool(_CODE.search(text))
    score += 0.20 * bool(_MATHEMATICS.search(text))
    score += 0.20 * bool(_REASONING.search(text))
    score += 0.10 * (len(_TASK.findall(text)) >= 3)
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
