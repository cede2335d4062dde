"""How much a model shall think: OpenAI's effort words, Anthropic's effort words and Anthropic's token budgets.

Anthropic's models before 4.6 take a budget of tokens; from 4.6 on they think as they see fit ("adaptive") and
take an effort word. So this file reads the version off a Claude model's name; a name without one counts as new.
"""

import re

OLDEST = (0, 0)
NEWEST = (99, 0)
ADAPTIVE_SINCE = (4, 6)
INSIDE_SYSTEM_SINCE = (4, 8)  # messages of role "system" after the first turn
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")

# OpenAI's word -> Anthropic's word (models from 4.6 on). "none" switches thinking off instead.
EFFORT_WORDS: dict[str, str] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
# OpenAI's word -> Anthropic's budget_tokens (models before 4.6), at most four fifths of max_tokens.
EFFORT_BUDGETS: dict[str, int] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 24576,
    "max": 32768,
}
LEAST_BUDGET = 1024
# Models of OpenAI that do not reason: thinking that is switched off needs no word there, and none is accepted.
NOT_REASONING = ("gpt-3.5", "gpt-4", "chatgpt-4o")


def claude_version(model: str) -> tuple[int, int]:
    """Return the version in a Claude model's name, such as (4, 5); NEWEST if the name has none."""
    match = _VERSION.search(model)
    if match is None:
        return NEWEST
    return int(match[1]), int(match[2] or 0)


def budget_of(effort: str, max_tokens: int) -> int:
    """Return the thinking budget in tokens of an effort word, leaving a fifth of max_tokens for the answer."""
    return min(EFFORT_BUDGETS[effort], max_tokens * 4 // 5)


def effort_of(budget_tokens: int) -> str:
    """Return the effort word whose budget is nearest from above, at most ``high``, which every model knows."""
    if budget_tokens <= EFFORT_BUDGETS["low"]:
        return "low"
    return "medium" if budget_tokens <= EFFORT_BUDGETS["medium"] else "high"
