"""The support matrix as Markdown, printed from the tables that the translation itself obeys."""

import json
from collections.abc import Iterable, Mapping

from farebox.translate import (
    anthropic_openai_fields,
    anthropic_openai_response,
    openai_anthropic_fields,
    openai_anthropic_response,
)
from farebox.translate.failures import ANTHROPIC_STATUSES, OPENAI_CODES, OPENAI_STATUSES
from farebox.translate.fields import Field, Fields
from farebox.translate.reasoning import EFFORT_BUDGETS, EFFORT_WORDS
from farebox.wire.errors_of import anthropic_type, openai_type


def markdown() -> dict[str, str]:
    """Return the Markdown of every table, by its name in docs/translation.md."""
    return {
        "openai-to-anthropic": _requests(openai_anthropic_fields.TABLES),
        "anthropic-to-openai": _requests(anthropic_openai_fields.TABLES),
        "stop-reasons": _table(
            ("Anthropic `stop_reason`", "OpenAI `finish_reason`"),
            openai_anthropic_response.FINISH_REASONS.items(),
        ),
        "finish-reasons": _table(
            ("OpenAI `finish_reason`", "Anthropic `stop_reason`"),
            anthropic_openai_response.STOP_REASONS.items(),
        ),
        "effort": _table(
            ("`reasoning_effort`", "`output_config.effort`, Claude 4.6 and newer", "`thinking.budget_tokens`, older"),
            ((word, EFFORT_WORDS[word], str(EFFORT_BUDGETS[word])) for word in EFFORT_WORDS),
        ),
        "errors": _table(
            ("Anthropic type", "Anthropic status", "OpenAI type", "OpenAI status", "OpenAI code, if none was given"),
            (_error(kind, status) for kind, status in ANTHROPIC_STATUSES.items()),
        ),
    }


def _requests(tables: Mapping[str, Fields]) -> str:
    rows = ((f"{name}: {key}", *_fate(field)) for name, fields in tables.items() for key, field in fields.items())
    return _table(("field", "fate", "into, reason or remedy"), rows)


def _fate(field: Field) -> tuple[str, str]:
    if field.fate == "only":
        return f"only {' or '.join(json.dumps(value) for value in field.accepts)}", field.note
    return field.fate, field.note


def _error(kind: str, status: int) -> tuple[str, ...]:
    assert anthropic_type(status) == kind
    there = OPENAI_STATUSES.get(status, status)
    return kind, str(status), openai_type(there), str(there), OPENAI_CODES.get(kind, "none")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"
