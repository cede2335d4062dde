"""Uses of the provider's tools that an answer shows beside its usage object.

OpenAI's responses list every call among their ``output``; opening a page and finding in it are part of a search
and not billed, and code is billed by the container. Gemini lists the queries of a grounded candidate.
"""

from collections.abc import Mapping
from typing import Any

_CALLS = {"web_search_call": "web_search_calls", "file_search_call": "file_search_calls"}
_BESIDE = ("tool_usage", "server_side_tool_usage", "server_side_tools_used")


def read_uses(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return counts of tools under names that a usage object may have.

    Args:
        answer: the whole answer, of any API.
    """
    uses: dict[str, Any] = {key: answer[key] for key in _BESIDE if answer.get(key)}
    output = answer.get("output")
    if isinstance(output, list) and "tool_usage" not in uses:
        uses |= _read_calls([item for item in output if isinstance(item, Mapping)])
    candidates = answer.get("candidates")
    if isinstance(candidates, list):
        queries = sum(count_queries(item) for item in candidates if isinstance(item, Mapping))
        if queries:
            uses["web_search_queries"] = queries
    return uses


def _read_calls(items: list[Mapping[str, Any]]) -> dict[str, int]:
    counts: dict[str, int] = {}
    containers = set()
    for item in items:
        kind, action = str(item.get("type")), item.get("action")
        if kind == "code_interpreter_call":
            containers.add(str(item.get("container_id")))
        elif kind in _CALLS and (not isinstance(action, Mapping) or action.get("type", "search") == "search"):
            counts[_CALLS[kind]] = counts.get(_CALLS[kind], 0) + 1
    if containers:
        counts["code_interpreter_sessions"] = len(containers)
    return counts


def count_queries(candidate: Mapping[str, Any]) -> int:
    """Return how many queries a grounded candidate, or an object that has its grounding beside it, lists."""
    grounding = candidate.get("groundingMetadata")
    queries = grounding.get("webSearchQueries") if isinstance(grounding, Mapping) else None
    return len(queries) if isinstance(queries, list) else 0
