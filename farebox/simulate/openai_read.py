"""Reads the body of a chat completion: OpenAI's rules, OpenAI's words when they are broken."""

import re
from typing import Any

from farebox.simulate import openai_messages
from farebox.simulate.asked import Asked, Problem, Tool
from farebox.simulate.cache import Segment
from farebox.simulate.control import read_user
from farebox.simulate.models import OPENAI, SERVED, Served, at_tier
from farebox.simulate.openai_fields import (
    flag,
    integer,
    invalid,
    known_only,
    missing,
    number,
    one_of,
    text,
    wrong_type,
)
from farebox.simulate.text import count_tokens

_FIELDS = frozenset(
    [
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
# What each effort costs here; the live service decides anew for every prompt.
_EFFORT_TOKENS = {"none": 0, "minimal": 0, "low": 64, "medium": 128, "high": 256, "xhigh": 512}


def find_model(body: dict[str, Any], *, embeds: bool) -> Served:
    """The model that a body names.

    Raises:
        Problem: none is named, there is no such model, or it does not serve this endpoint.
    """
    name = body.get("model")
    if name is None or name == "":
        raise invalid("you must provide a model parameter")
    served = SERVED[OPENAI].get(text(name, "model"))
    if served is None:
        message = f"The model `{name}` does not exist or you do not have access to it."
        raise Problem(404, message, code="model_not_found")
    if bool(served.dimensions) != embeds:
        if embeds:
            raise Problem(403, "You are not allowed to generate embeddings from this model")
        raise Problem(
            404,
            "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
            param="model",
        )
    return served


def read_chat(body: dict[str, Any]) -> Asked:
    """A checked request.

    Raises:
        Problem: what OpenAI would refuse.
        BadControl: a directive in a message cannot be used.
    """
    model = find_model(body, embeds=False)
    known_only(body, _FIELDS)
    if "messages" not in body:
        raise missing("messages")
    tools, tool_segments = _read_tools(body)
    messages = openai_messages.read_messages(body["messages"])
    _check_sampling(body, model)
    stream = flag(body, "stream")
    if body.get("stream_options") is not None and not stream:
        text_ = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise invalid(text_, "stream_options")
    options = body.get("stream_options") or {}
    schema, schema_segments = _read_format(body, messages)
    asked = Asked(
        model=at_tier(model, body.get("service_tier")),
        segments=[*tool_segments, *schema_segments, *messages.segments],
        wishes={**read_user(body.get("user")), **messages.wishes},
        answers=integer(body, "n", 1, 128) or 1,
        max_output_tokens=_read_cap(body, model),
        stops=_read_stops(body),
        tools=tools,
        must_call=_read_choice(body, tools),
        schema=schema,
        reasoning_tokens=_read_effort(body, model),
        answers_tools=messages.answers_tools,
        stream=stream,
        wants_usage=bool(options.get("include_usage")),
        logprobs=_read_logprobs(body),
        extras={"obfuscate": options.get("include_obfuscation", True)},
    )
    _check_context(asked)
    return asked


def _read_cap(body: dict[str, Any], model: Served) -> int | None:
    old, new = integer(body, "max_tokens", 1, None), integer(body, "max_completion_tokens", 1, None)
    if old is not None and model.reasons:
        message = (
            "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
        )
        raise invalid(message, "max_tokens", "unsupported_parameter")
    if old is not None and new is not None:
        raise invalid("Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.")
    name, cap = ("max_tokens", old) if old is not None else ("max_completion_tokens", new)
    if cap is not None and cap > model.max_output_tokens:
        message = (
            f"{name} is too large: {cap}. This model supports at most {model.max_output_tokens} "
            f"completion tokens, whereas you provided {cap}."
        )
        raise invalid(message, name, "invalid_value")
    return cap


def _check_sampling(body: dict[str, Any], model: Served) -> None:
    bounds = {"temperature": (0, 2), "top_p": (0, 1), "presence_penalty": (-2, 2), "frequency_penalty": (-2, 2)}
    for name, (low, high) in bounds.items():
        value = number(body, name, low, high)
        usual = 1 if name in ("temperature", "top_p") else 0
        if model.reasons and value is not None and value != usual:
            message = (
                f"Unsupported value: '{name}' does not support {value} with this model. "
                f"Only the default ({usual}) value is supported."
            )
            raise invalid(message, name, "unsupported_value")
    integer(body, "seed", None, None)
    if model.reasons:
        for name in ("logprobs", "top_logprobs", "logit_bias", "stop"):
            if body.get(name):
                message = f"Unsupported parameter: '{name}' is not supported with this model."
                raise invalid(message, name, "unsupported_parameter")


def _read_effort(body: dict[str, Any], model: Served) -> int:
    effort = body.get("reasoning_effort")
    if effort is None:
        return _EFFORT_TOKENS["medium"] if model.reasons else 0
    if not model.reasons:
        message = "Unrecognized request argument supplied: reasoning_effort"
        raise invalid(message)
    return _EFFORT_TOKENS[one_of("reasoning_effort", effort, tuple(_EFFORT_TOKENS))]


def _read_stops(body: dict[str, Any]) -> list[str]:
    stop = body.get("stop")
    if stop is None:
        return []
    if isinstance(stop, str):
        return [stop]
    if not isinstance(stop, list) or not all(isinstance(s, str) for s in stop):
        raise wrong_type("stop", "one of a string or array of strings", stop)
    if len(stop) > 4:
        message = (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, "
            f"but got an array with length {len(stop)} instead."
        )
        raise invalid(message, "stop", "array_above_max_length")
    return [s for s in stop if s]


def _read_logprobs(body: dict[str, Any]) -> int | None:
    wanted = flag(body, "logprobs")
    top = integer(body, "top_logprobs", 0, 20)
    if top is not None and not wanted:
        raise invalid("The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.", "top_logprobs")
    return (top or 0) if wanted else None


def _read_tools(body: dict[str, Any]) -> tuple[list[Tool], list[Segment]]:
    given = body.get("tools")
    if given is None:
        return [], []
    if not isinstance(given, list):
        raise wrong_type("tools", "an array of objects", given)
    if not given:
        message = (
            "Invalid 'tools': empty array. Expected an array with minimum length 1, but got an empty array instead."
        )
        raise invalid(message, "tools", "empty_array")
    tools, segments = [], []
    for i, tool in enumerate(given):
        at = f"tools[{i}]"
        if not isinstance(tool, dict):
            raise wrong_type(at, "an object", tool)
        one_of(f"{at}.type", tool.get("type"), ("function", "custom"))
        function = tool.get(tool["type"])
        if not isinstance(function, dict):
            raise missing(f"{at}.{tool['type']}")
        if "name" not in function:
            raise missing(f"{at}.function.name")
        name = text(function["name"], f"{at}.function.name")
        if not _TOOL_NAME.fullmatch(name):
            message = (
                f"Invalid '{at}.function.name': string does not match pattern. "
                "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            )
            raise invalid(message, f"{at}.function.name", "invalid_value")
        tools.append(Tool(name, function.get("parameters", {"type": "object", "properties": {}})))
        compact = openai_messages.compact(tool)
        segments.append(Segment("tool", compact, count_tokens(compact)))
    return tools, segments


def _read_choice(body: dict[str, Any], tools: list[Tool]) -> list[str]:
    """Names of the tools of which one has to be called; empty if text will do."""
    choice = body.get("tool_choice")
    if choice is None:
        return []
    if not tools:
        raise invalid("'tool_choice' is only allowed when 'tools' are specified.", "tool_choice")
    names = [t.name for t in tools]
    if isinstance(choice, str):
        return names if one_of("tool_choice", choice, ("none", "auto", "required")) == "required" else []
    if not isinstance(choice, dict):
        raise wrong_type("tool_choice", "one of a string or object", choice)
    if choice.get("type") == "allowed_tools":
        allowed = choice.get("allowed_tools") or {}
        named = [(t.get("function") or {}).get("name") for t in allowed.get("tools", [])]
        return [n for n in names if n in named] if allowed.get("mode") == "required" else []
    name = (choice.get("function") or choice.get("custom") or {}).get("name")
    if name not in names:
        message = f"Tool choice '{name}' not found in 'tools' parameter."
        raise invalid(message, "tool_choice")
    return [name]


def _read_format(body: dict[str, Any], messages: openai_messages.Messages) -> tuple[Any, list[Segment]]:
    """The schema of the answer, as in ``Asked``, and what it costs in input tokens."""
    given = body.get("response_format")
    if given is None:
        return None, []
    if not isinstance(given, dict):
        raise wrong_type("response_format", "an object", given)
    kind = one_of("response_format.type", given.get("type"), ("json_object", "json_schema", "text"))
    if kind == "text":
        return None, []
    if kind == "json_object":
        if not any("json" in s.text.lower() for s in messages.segments):
            message = (
                "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
            )
            raise invalid(message, "messages")
        return {}, []
    named = given.get("json_schema")
    if not isinstance(named, dict):
        raise missing("response_format.json_schema")
    if "name" not in named:
        raise missing("response_format.json_schema.name")
    schema = named.get("schema", {})
    if named.get("strict"):
        _check_strict(schema, named["name"])
    compact = openai_messages.compact(given)
    return schema, [Segment("format", compact, count_tokens(compact))]


def _check_strict(schema: Any, name: str, path: tuple[str, ...] = ()) -> None:
    if not isinstance(schema, dict):
        return
    if schema.get("type") == "object":
        start = f"Invalid schema for response_format '{name}': In context={path!r}, "
        if schema.get("additionalProperties") is not False:
            message = start + "'additionalProperties' is required to be supplied and to be false."
            raise invalid(message, "response_format")
        absent = [p for p in schema.get("properties", {}) if p not in schema.get("required", [])]
        if absent:
            message = (
                f"{start}'required' is required to be supplied and to be an array including every key in properties. "
                f"Missing '{absent[0]}'."
            )
            raise invalid(message, "response_format")
    for key in ("properties", "$defs", "definitions"):
        for part, inner in schema.get(key, {}).items():
            _check_strict(inner, name, (*path, key, part))
    if isinstance(schema.get("items"), dict):
        _check_strict(schema["items"], name, (*path, "items"))


def _check_context(asked: Asked) -> None:
    limit, prompt, cap = asked.model.context_tokens, asked.input_tokens, asked.max_output_tokens or 0
    if prompt + cap > limit:
        ask = (
            f"{prompt + cap} tokens ({prompt} in the messages, {cap} in the completion)" if cap else f"{prompt} tokens"
        )
        message = (
            f"This model's maximum context length is {limit} tokens. However, you requested {ask}. "
            "Please reduce the length of the messages or completion."
        )
        raise invalid(message, "messages", "context_length_exceeded")
