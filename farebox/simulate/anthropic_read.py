"""Reads the body of a message: Anthropic's rules, Anthropic's words when they are broken."""

from typing import Any

import msgspec

from farebox.simulate import anthropic_messages as turns
from farebox.simulate.anthropic_fields import integer, invalid, known_only, number, required
from farebox.simulate.asked import Asked, Problem, Tool
from farebox.simulate.cache import Segment
from farebox.simulate.control import read_user
from farebox.simulate.models import ANTHROPIC, SERVED, Served
from farebox.simulate.text import count_tokens

_FIELDS = frozenset(
    [
        "model",
        "messages",
        "max_tokens",
        "cache_control",
        "container",
        "context_management",
        "diagnostics",
        "inference_geo",
        "mcp_servers",
        "metadata",
        "output_config",
        "output_format",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "system",
        "temperature",
        "thinking",
        "tool_choice",
        "tools",
        "top_k",
        "top_p",
        "user_profile_id",
        "workspace_id",
    ]
)
_COUNTED = _FIELDS - {"max_tokens", "stream", "stop_sequences", "temperature", "top_k", "top_p", "metadata"}
_ADAPTIVE_TOKENS = {"low": 0, "medium": 64, "high": 128, "xhigh": 256, "max": 512}
_DEFAULT_THINKING = 64
_MAX_BREAKPOINTS = 4


def find_model(body: dict[str, Any]) -> Served:
    """The model that a body names.

    Raises:
        Problem: none is named, or there is no such model.
    """
    name = required(body, "model")
    if not isinstance(name, str):
        raise invalid("model: Input should be a valid string")
    served = SERVED[ANTHROPIC].get(name)
    if served is None:
        raise Problem(404, f"model: {name}")
    return served


def read_count(body: dict[str, Any]) -> Asked:
    """A checked request to count tokens: a message without its cap and its sampling.

    Raises:
        Problem: what Anthropic would refuse.
        BadControl: a directive in a message cannot be used.
    """
    known_only(body, _COUNTED)
    return _read_prompt(body, find_model(body))


def read_chat(body: dict[str, Any]) -> Asked:
    """A checked request for a message.

    Raises:
        Problem: what Anthropic would refuse.
        BadControl: a directive in a message cannot be used.
    """
    model = find_model(body)
    known_only(body, _FIELDS)
    required(body, "max_tokens")
    cap = integer(body, "max_tokens", 1)
    if cap > model.max_output_tokens:
        message = (
            f"max_tokens: {cap} > {model.max_output_tokens}, "
            f"which is the maximum allowed number of output tokens for {model.resolved}"
        )
        raise invalid(message)
    _check_sampling(body)
    asked = _read_prompt(body, model)
    asked.max_output_tokens = cap
    asked.stops = _read_stops(body)
    asked.reasoning_tokens = _read_thinking(body, cap)
    asked.shows_reasoning = True
    asked.stream = bool(body.get("stream"))
    metadata = body.get("metadata") or {}
    asked.wishes = {**read_user(metadata.get("user_id")), **asked.wishes}
    if asked.input_tokens > model.context_tokens:
        raise invalid(f"prompt is too long: {asked.input_tokens} tokens > {model.context_tokens} maximum")
    return asked


def _read_prompt(body: dict[str, Any], model: Served) -> Asked:
    tools, segments = _read_tools(body)
    segments += turns.read_system(body.get("system"))
    messages = turns.read_messages(required(body, "messages"))
    segments += messages.segments
    schema, format_segments = _read_format(body)
    # The format stands before everything that can be cached, as a part of the system prompt would.
    segments = format_segments + segments
    if body.get("cache_control") is not None and segments:
        last = segments[-1]
        segments[-1] = msgspec.structs.replace(last, keep=turns.read_keep(body, "cache_control") or last.keep)
    _check_breakpoints(segments)
    return Asked(
        model=model,
        segments=segments,
        wishes=messages.wishes,
        tools=tools,
        must_call=_read_choice(body, tools),
        schema=schema,
        answers_tools=messages.answers_tools,
    )


def _check_breakpoints(segments: list[Segment]) -> None:
    keeps = [s.keep for s in segments if s.keep]
    if len(keeps) > _MAX_BREAKPOINTS:
        raise invalid(f"A maximum of 4 blocks with cache_control may be provided. Found {len(keeps)}.")
    if "5m" in keeps and "1h" in keeps[keeps.index("5m") :]:
        message = (
            "a ttl='1h' cache_control block must not come after a ttl='5m' cache_control block. "
            "Note that blocks are processed in the following order: `tools`, `system`, `messages`."
        )
        raise invalid(message)


def _check_sampling(body: dict[str, Any]) -> None:
    number(body, "temperature", 0, 1)
    number(body, "top_p", 0, 1)
    if body.get("temperature") is not None and body.get("top_p") is not None:
        raise invalid("`temperature` and `top_p` cannot both be specified for this model. Please use only one.")
    if body.get("top_k") is not None:
        integer(body, "top_k", 0)


def _read_stops(body: dict[str, Any]) -> list[str]:
    stops = body.get("stop_sequences") or []
    if not isinstance(stops, list) or not all(isinstance(s, str) for s in stops):
        raise invalid("stop_sequences: Input should be a valid list")
    for i, stop in enumerate(stops):
        if not stop.strip():
            raise invalid(f"stop_sequences.{i}: each stop sequence must contain non-whitespace")
    return stops


def _read_thinking(body: dict[str, Any], cap: int) -> int:
    """How many tokens of thinking a request gets."""
    given = body.get("thinking")
    if given is None:
        return 0
    kind = given.get("type") if isinstance(given, dict) else None
    if kind in ("disabled", "between_tools"):
        return 0
    if kind == "adaptive":
        effort = (body.get("output_config") or {}).get("effort") or "medium"
        return _ADAPTIVE_TOKENS.get(effort, _DEFAULT_THINKING)
    if kind != "enabled":
        tags = "'adaptive', 'between_tools', 'disabled', 'enabled'"
        raise invalid(
            f"thinking: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        )
    if "budget_tokens" not in given:
        raise invalid("thinking.enabled.budget_tokens: Field required")
    budget = integer(given, "budget_tokens", 1024, at="thinking.enabled.budget_tokens")
    if budget >= cap:
        message = (
            "`max_tokens` must be greater than `thinking.budget_tokens`. Please consult our documentation at "
            "https://docs.claude.com/en/docs/build-with-claude/extended-thinking#max-tokens-and-context-window-size"
        )
        raise invalid(message)
    if body.get("temperature") not in (None, 1):
        raise invalid("`temperature` may only be set to 1 when thinking is enabled.")
    if (body.get("tool_choice") or {}).get("type") in ("any", "tool"):
        raise invalid("Thinking may not be enabled when tool_choice forces tool use.")
    return _DEFAULT_THINKING


def _read_tools(body: dict[str, Any]) -> tuple[list[Tool], list[Segment]]:
    given = body.get("tools")
    if given is None:
        return [], []
    if not isinstance(given, list):
        raise invalid("tools: Input should be a valid list")
    tools, segments = [], []
    for i, tool in enumerate(given):
        if not isinstance(tool, dict):
            raise invalid(f"tools.{i}: Input should be a valid dictionary")
        at = f"tools.{i}.custom" if tool.get("type", "custom") == "custom" else f"tools.{i}"
        name = required(tool, "name", at=f"{at}.name")
        if at.endswith("custom"):
            schema = required(tool, "input_schema", at=f"{at}.input_schema")
            tools.append(Tool(name, schema))
        told = {k: v for k, v in tool.items() if k != "cache_control"}
        compact = turns.compact(told)
        segments.append(Segment("tool", compact, count_tokens(compact), turns.read_keep(tool, f"{at}.cache_control")))
    names = [t.name for t in tools]
    if len(set(names)) < len(names):
        raise invalid("tools: Tool names must be unique.")
    return tools, segments


def _read_choice(body: dict[str, Any], tools: list[Tool]) -> list[str]:
    choice = body.get("tool_choice")
    if choice is None:
        return []
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in ("auto", "any", "tool", "none"):
        expected = "'any', 'auto', 'none', 'tool'"
        raise invalid(
            f"tool_choice: Input tag '{kind}' found using 'type' does not match any of the expected tags: {expected}"
        )
    if not tools:
        raise invalid("tool_choice: may only be specified while providing tools")
    names = [t.name for t in tools]
    if kind == "tool":
        if choice.get("name") not in names:
            raise invalid(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
        return [choice["name"]]
    return names if kind == "any" else []


def _read_format(body: dict[str, Any]) -> tuple[Any, list[Segment]]:
    given = (body.get("output_config") or {}).get("format") or body.get("output_format")
    if given is None:
        return None, []
    if not isinstance(given, dict) or given.get("type") != "json_schema":
        raise invalid("output_config.format.type: Input should be 'json_schema'")
    schema = required(given, "schema", at="output_config.format.schema")
    compact = turns.compact(given)
    return schema, [Segment("format", compact, count_tokens(compact))]
