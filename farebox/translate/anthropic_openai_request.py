"""An Anthropic messages request as an OpenAI chat request."""

from typing import Any

from farebox.errors import BadRequest
from farebox.translate.anthropic_openai_fields import (
    METADATA,
    OUTPUT_CONFIG,
    OUTPUT_FORMAT,
    REQUEST,
    THINKING,
    TOOL,
    TOOL_CHOICE,
)
from farebox.translate.anthropic_openai_messages import translate_messages
from farebox.translate.fields import check, count_of, list_of, number_of, object_of, refuse, text_of
from farebox.translate.reasoning import NOT_REASONING, effort_of

MOST_STOPS = 4
_TOOL_CHOICES = {"auto": "auto", "none": "none", "any": "required"}


def translate_request(body: dict[str, Any], model: str, *, default_max_tokens: int = 0) -> dict[str, Any]:
    """Return the body for OpenAI's ``/v1/chat/completions``.

    Args:
        body: the client's body, which is not changed; parts of it may be shared with the result.
        model: the provider's model id.
        default_max_tokens: not needed, because Anthropic's clients must give max_tokens.

    Raises:
        BadRequest: a field is malformed.
        Untranslatable: a field cannot be expressed; the error names it and the remedy.
    """
    del default_max_tokens
    check(body, REQUEST)
    out: dict[str, Any] = {
        "model": model,
        "max_completion_tokens": count_of(body.get("max_tokens"), "max_tokens"),
        "messages": translate_messages(list_of(body.get("messages"), "messages"), body.get("system")),
    }
    _copy_sampling(body, out)
    if body.get("tools"):
        out["tools"] = [_tool(tool, f"tools.{at}") for at, tool in enumerate(list_of(body["tools"], "tools"))]
    if body.get("tool_choice") is not None:
        _copy_tool_choice(object_of(body["tool_choice"], "tool_choice"), out)
    if body.get("output_config") is not None:
        _copy_output(object_of(body["output_config"], "output_config"), out)
    if body.get("thinking") is not None:
        _copy_thinking(object_of(body["thinking"], "thinking"), model, out)
    _copy_service(body, out)
    return out


def _copy_sampling(body: dict[str, Any], out: dict[str, Any]) -> None:
    for name in ("temperature", "top_p"):
        if body.get(name) is not None:
            out[name] = number_of(body[name], name)
    stops = body.get("stop_sequences")
    if stops:
        if len(list_of(stops, "stop_sequences")) > MOST_STOPS:
            refuse("stop_sequences", f"OpenAI takes at most {MOST_STOPS}; send fewer")
        out["stop"] = stops
    if body.get("stream") is not None:
        out["stream"] = body["stream"]
        if body["stream"]:
            out["stream_options"] = {"include_usage": True}


def _copy_service(body: dict[str, Any], out: dict[str, Any]) -> None:
    """Copy what names the end user and the service tier."""
    metadata = body.get("metadata")
    if metadata is not None:
        check(object_of(metadata, "metadata"), METADATA, "metadata")
        if metadata.get("user_id"):
            out["user"] = metadata["user_id"]
    tier = body.get("service_tier")
    if tier == "standard_only":
        out["service_tier"] = "default"
    elif tier not in (None, "auto"):
        refuse("service_tier", 'must be "auto" or "standard_only"')


def _tool(tool: Any, where: str) -> dict[str, Any]:
    tool = object_of(tool, where)
    kind = tool.get("type")
    if kind not in (None, "custom"):
        refuse(where, f"OpenAI does not know Anthropic's tool {kind!r}; describe a tool of your own with input_schema")
    check(tool, TOOL, where)
    function: dict[str, Any] = {
        "name": text_of(tool.get("name"), f"{where}.name"),
        "parameters": object_of(tool.get("input_schema"), f"{where}.input_schema"),
    }
    if tool.get("description"):
        function["description"] = tool["description"]
    if tool.get("strict"):
        function["strict"] = True
    return {"type": "function", "function": function}


def _copy_tool_choice(choice: dict[str, Any], out: dict[str, Any]) -> None:
    check(choice, TOOL_CHOICE, "tool_choice")
    kind = text_of(choice.get("type"), "tool_choice.type")
    if kind == "tool":
        name = text_of(choice.get("name"), "tool_choice.name")
        out["tool_choice"] = {"type": "function", "function": {"name": name}}
    elif kind in _TOOL_CHOICES:
        out["tool_choice"] = _TOOL_CHOICES[kind]
    else:
        raise BadRequest('tool_choice.type: must be "auto", "any", "tool" or "none"', param="tool_choice.type")
    if choice.get("disable_parallel_tool_use"):
        out["parallel_tool_calls"] = False


def _copy_output(config: dict[str, Any], out: dict[str, Any]) -> None:
    check(config, OUTPUT_CONFIG, "output_config")
    if config.get("effort") is not None:
        out["reasoning_effort"] = text_of(config["effort"], "output_config.effort")
    if config.get("format") is not None:
        where = "output_config.format"
        given = object_of(config["format"], where)
        check(given, OUTPUT_FORMAT, where)
        schema = object_of(given.get("schema"), f"{where}.schema")
        out["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": schema, "strict": True},
        }


def _copy_thinking(thinking: dict[str, Any], model: str, out: dict[str, Any]) -> None:
    check(thinking, THINKING, "thinking")
    kind = thinking.get("type")
    if kind == "disabled":
        if "reasoning_effort" in out:
            refuse("output_config.effort", "OpenAI cannot combine an effort with thinking disabled; send one of them")
        if not model.startswith(NOT_REASONING):
            out["reasoning_effort"] = "none"
    elif kind == "enabled":
        budget = count_of(thinking.get("budget_tokens"), "thinking.budget_tokens")
        out.setdefault("reasoning_effort", effort_of(budget))
    elif kind != "adaptive":
        refuse("thinking.type", f"OpenAI cannot think {kind!r}; send enabled, adaptive or disabled")
