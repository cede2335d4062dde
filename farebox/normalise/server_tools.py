"""Counts of the tools that a provider runs on behalf of a request: one table from tool to meter.

Providers name the same tool in many ways: ``web_search``, ``SERVER_SIDE_TOOL_WEB_SEARCH``, ``num_web_searches``,
``web_search_calls``. What is left of a name without the words around it is looked up here. They are counted as a
list with one name per use, or as an object with a count per name.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from farebox.errors import UsageViolation
from farebox.normalise.amounts import exact, parts_of

# None: published as free of charge, beyond the tokens they use.
TOOLS: dict[str, str | None] = {
    "web_search": "web_search",
    "web_search_preview": "web_search",
    "search_web": "web_search",
    "google_search": "web_search",
    "search": "web_search",
    "grounding": "web_search",
    "grounding_search": "web_search",
    "grounded_prompt": "web_search",
    "grounding_prompt": "web_search",
    "grounded": "web_search",
    "google_maps": "maps_search",
    "maps": "maps_search",
    "maps_search": "maps_search",
    "maps_grounding": "maps_search",
    "grounding_maps": "maps_search",
    "x_search": "x_search",
    "x_keyword_search": "x_search",
    "x_semantic_search": "x_search",
    "file_search": "file_search",
    "collections_search": "collections_search",
    "collection_search": "collections_search",
    "documents_search": "collections_search",
    "document_search": "collections_search",
    "attachment_search": "attachment_search",
    "attachments_search": "attachment_search",
    "code_execution": "code_execution",
    "code_interpreter": "code_execution",
    "code_interpreter_session": "code_session",
    "code_session": "code_session",
    "container_session": "code_session",
    "code_container": "code_session",
    "container": "code_session",
    "web_fetch": None,
    "url_context": None,
    "view_image": None,
    "view_x_video": None,
    "mcp": None,
    "function": None,
}
# Where code runs in a container that is billed by the session, and not by the run.
_BY_SESSION = frozenset({"openai", "azure"})
_PREFIXES = ("server_side_tool_", "num_", "n_")
_SUFFIXES = ("_calls", "_call", "_requests", "_request", "_queries", "_query", "_count", "_uses", "_prompts")
_PLURALS = {"searches": "search", "executions": "execution", "sessions": "session", "containers": "container"}
_COUNTS = (
    *("count", "num_requests", "invocation", "requests", "calls", "num_calls", "num_sessions", "sessions"),
    *("webSearchQueries", "web_search_queries", "queries"),
)


@lru_cache(maxsize=4096)
def tool_of(name: str) -> str:
    """Return the tool that a name is about, without the words around it; it need not be in `TOOLS`."""
    tool = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in _snake(name)).strip("_")
    for prefix in _PREFIXES:
        tool = tool.removeprefix(prefix)
    for suffix in _SUFFIXES:
        tool = tool.removesuffix(suffix)
    head, _, last = tool.rpartition("_")
    return f"{head}_{_PLURALS.get(last, last)}".strip("_")


def meter_of(tool: str, provider: str) -> str | None:
    """Return the meter that counts a tool of `TOOLS` at a provider, or None where it is free of charge."""
    if tool == "code_interpreter" and provider in _BY_SESSION:
        return "code_session"
    return TOOLS[tool]


def read_tools(value: Any, name: str, provider: str) -> dict[str, int]:
    """Return how often the tools were used, by meter.

    Args:
        value: a list of names, or an object with a count (or an object or a list that has one) per name; or None.
        name: of the field, for the errors.
        provider: id in the price book: the same tool may be billed otherwise.

    Raises:
        UsageViolation: where it is neither, a count is none, or a tool that was used is not known.
    """
    counts: dict[str, int] = {}
    if isinstance(value, Mapping):
        uses = [(tool, _read_uses(tool, count, f"{name}.{tool}")) for tool, count in value.items()]
    elif isinstance(value, list):
        uses = [(_read_name(entry, name), 1) for entry in value]
    elif value is None:
        return counts
    else:
        raise UsageViolation(f"{name} is a list of tools or an object of counts", f"{value!r:.60}")
    for word, count in uses:
        tool = tool_of(word)
        if tool not in TOOLS:
            if count:
                raise UsageViolation(
                    f"{name} counts known tools", f"{word!r:.40} is none of {', '.join(sorted(TOOLS))}"
                )
            continue
        meter = meter_of(tool, provider)
        if meter is not None:
            counts[meter] = counts.get(meter, 0) + count
    return counts


def _snake(name: str) -> str:
    """Return a name in capitals or with dashes in small letters with underscores; camelCase stays."""
    name = name.replace("-", "_").replace(" ", "_")
    return name.lower() if name.isupper() else name


def _read_name(entry: Any, name: str) -> str:
    if isinstance(entry, Mapping):
        entry = entry.get("type", entry.get("name"))
    if not isinstance(entry, str):
        raise UsageViolation(f"{name} is a list of names", f"{entry!r:.60}")
    return entry


def _read_uses(tool: str, value: Any, name: str) -> int:
    """Return a count, and 0 for a tool nobody knows of which nothing is counted."""
    if isinstance(value, Mapping) and tool_of(tool) not in TOOLS:
        return int(any(isinstance(part, int | float) and part for part in value.values()))
    return _read_count(value, name)


def _read_count(value: Any, name: str) -> int:
    """Return a count that is given as a number, as the length of a list, or inside an object."""
    if value is None:
        return 0
    if isinstance(value, list):
        return len(value)
    if isinstance(value, Mapping):
        for key in _COUNTS:
            if key in value:
                return _read_count(value[key], f"{name}.{key}")
        raise UsageViolation(f"{name} has a count", f"none of {', '.join(_COUNTS)} is there")
    return parts_of("web_search", exact(value, name), name)
