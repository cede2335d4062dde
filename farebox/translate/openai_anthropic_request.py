"""An OpenAI chat request as an Anthropic messages request."""

from typing import Any

from farebox.errors import BadRequest
from farebox.translate.fields import check, count_of, list_of, number_of, object_of, refuse, text_of
from farebox.translate.openai_anthropic_fields import FUNCTION, JSON_SCHEMA, REQUEST, STREAM_OPTIONS, TOOL_DEFINITION
from farebox.translate.openai_anthropic_messages import translate_messages
from farebox.translate.reasoning import ADAPTIVE_SINCE, EFFORT_WORDS, LEAST_BUDGET, budget_of, claude_version

DEFAULT_MAX_TOKENS = 4096
_TOOL_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def translate_request(
    body: dict[str, Any], model: str, *, default_max_tokens: int = DEFAULT_MAX_TOKENS
) -> dict[str, Any]:
    """Return the body for Anthropic's ``/v1/messages``.

    Args:
        body: the client's body, which is not changed; parts of it may be shared with the result.
        model: the provider's model id.
        default_max_tokens: the cap on the output, thinking included, when the client gave none.

    Raises:
        BadRequest: a field is malformed.
        Untranslatable: a field cannot be expressed; the error names it and the remedy.
    """
    check(body, REQUEST)
    system, turns = translate_messages(list_of(body.get("messages"), "messages"), model)
    out: dict[str, Any] = {"model": model, "max_tokens": _max_tokens(body, default_max_tokens), "messages": turns}
    if system:
        lone = len(system) == 1 and len(system[0]) == 2
        out["system"] = system[0]["text"] if lone else system
    _copy_sampling(body, out)
    if body.get("tools"):
        out["tools"] = [_tool(tool, f"tools.{at}") for at, tool in enumerate(list_of(body["tools"], "tools"))]
    choice = _tool_choice(body)
    if choice is not None:
        out["tool_choice"] = choice
    if body.get("reasoning_effort") is not None:
        _copy_effort(body["reasoning_effort"], model, out)
    if body.get("response_format") is not None:
        _copy_format(object_of(body["response_format"], "response_format"), out)
    _copy_service(body, out)
    return out


def _max_tokens(body: dict[str, Any], default: int) -> int:
    given = {
        name: count_of(body[name], name)
        for name in ("max_completion_tokens", "max_tokens")
        if body.get(name) is not None
    }
    if not given:
        return default
    if len(set(given.values())) > 1:
        raise BadRequest("max_tokens: differs from max_completion_tokens; send one of them", param="max_tokens")
    return next(iter(given.values()))


def _copy_sampling(body: dict[str, Any], out: dict[str, Any]) -> None:
    temperature = body.get("temperature")
    if temperature is not None:
        if number_of(temperature, "temperature") > 1:
            refuse("temperature", "Anthropic takes 0 to 1; send at most 1")
        out["temperature"] = temperature
    if body.get("top_p") is not None:
        out["top_p"] = number_of(body["top_p"], "top_p")
    stop = body.get("stop")
    if stop is not None:
        stops = [stop] if isinstance(stop, str) else list_of(stop, "stop")
        if stops:
            out["stop_sequences"] = stops
    if body.get("stream") is not None:
        out["stream"] = body["stream"]
    if body.get("stream_options") is not None:
        check(object_of(body["stream_options"], "stream_options"), STREAM_OPTIONS, "stream_options")


def _copy_service(body: dict[str, Any], out: dict[str, Any]) -> None:
    """Copy what names the end user, the service tier and the cache."""
    user = body.get("safety_identifier") or body.get("user")
    if user:
        out["metadata"] = {"user_id": user}
    tier = body.get("service_tier")
    if tier == "default":
        out["service_tier"] = "standard_only"
    elif tier not in (None, "auto"):
        refuse("service_tier", f'Anthropic has no tier {tier!r}; leave it out or send "auto" or "default"')
    if body.get("cache_control") is not None:
        out["cache_control"] = body["cache_control"]


def _tool(tool: Any, where: str) -> dict[str, Any]:
    tool = object_of(tool, where)
    if tool.get("type") == "custom":
        refuse(f"{where}.type", "Anthropic's tools take JSON arguments only; describe it as a function")
    check(tool, TOOL_DEFINITION, where)
    function = object_of(tool.get("function"), f"{where}.function")
    check(function, FUNCTION, f"{where}.function")
    out: dict[str, Any] = {
        "name": text_of(function.get("name"), f"{where}.function.name"),
        "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
    }
    if function.get("description"):
        out["description"] = function["description"]
    if function.get("strict"):
        out["strict"] = True
    mark = tool.get("cache_control") or function.get("cache_control")
    if mark is not None:
        out["cache_control"] = mark
    return out


def _tool_choice(body: dict[str, Any]) -> dict[str, Any] | None:
    choice, parallel = body.get("tool_choice"), body.get("parallel_tool_calls")
    if choice is None:
        return {"type": "auto", "disable_parallel_tool_use": True} if parallel is False else None
    out: dict[str, Any]
    if isinstance(choice, str):
        if choice not in _TOOL_CHOICES:
            raise BadRequest('tool_choice: must be "auto", "none", "required" or a named function', param="tool_choice")
        out = {"type": _TOOL_CHOICES[choice]}
    else:
        if object_of(choice, "tool_choice").get("type") != "function":
            refuse("tool_choice.type", 'Anthropic can be told to use one function; send "function" or list fewer tools')
        named = object_of(choice.get("function"), "tool_choice.function")
        out = {"type": "tool", "name": text_of(named.get("name"), "tool_choice.function.name")}
    if parallel is False and out["type"] != "none":
        out["disable_parallel_tool_use"] = True
    return out


def _copy_effort(effort: Any, model: str, out: dict[str, Any]) -> None:
    if effort == "none":
        out["thinking"] = {"type": "disabled"}
        return
    if not isinstance(effort, str) or effort not in EFFORT_WORDS:
        words = ", ".join(("none", *EFFORT_WORDS))
        raise BadRequest(f"reasoning_effort: must be one of {words}", param="reasoning_effort")
    if claude_version(model) >= ADAPTIVE_SINCE:
        out["thinking"] = {"type": "adaptive"}
        out.setdefault("output_config", {})["effort"] = EFFORT_WORDS[effort]
        return
    budget = budget_of(effort, out["max_tokens"])
    if budget < LEAST_BUDGET:
        refuse(
            "reasoning_effort",
            f"{model} thinks with at least {LEAST_BUDGET} tokens, which count as output; "
            f"send max_completion_tokens of at least {LEAST_BUDGET * 5 // 4} or reasoning_effort none",
        )
    out["thinking"] = {"type": "enabled", "budget_tokens": budget}


def _copy_format(given: dict[str, Any], out: dict[str, Any]) -> None:
    kind = given.get("type")
    if kind == "text":
        return
    if kind != "json_schema":
        refuse(
            "response_format.type", "Anthropic keeps to a schema or none; send json_schema, or ask for JSON in words"
        )
    where = "response_format.json_schema"
    named = object_of(given.get("json_schema"), where)
    check(named, JSON_SCHEMA, where)
    schema = close_objects(object_of(named.get("schema"), f"{where}.schema"))
    description = named.get("description")
    if description and schema.setdefault("description", description) != description:
        refuse(f"{where}.description", "the schema has a description of its own; join them there")
    out.setdefault("output_config", {})["format"] = {"type": "json_schema", "schema": schema}


def close_objects(schema: Any) -> Any:
    """Return a copy of a JSON schema whose objects allow no further properties unless they say so.

    Anthropic demands it. An answer that keeps to the closed schema keeps to the open one too.
    """
    if isinstance(schema, list):
        return [close_objects(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    closed: dict[str, Any] = {}
    for key, value in schema.items():
        if key in {"properties", "$defs", "definitions"} and isinstance(value, dict):  # names, not keywords
            closed[key] = {name: close_objects(item) for name, item in value.items()}
        elif key in {"const", "default", "enum", "examples"}:
            closed[key] = value
        else:
            closed[key] = close_objects(value)
    if schema.get("type") == "object" or "properties" in schema:
        closed.setdefault("additionalProperties", False)
    return closed
