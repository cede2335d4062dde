"""Anthropic's messages request towards OpenAI's chat: what becomes of each field.

The names are those of the official SDK's MessageCreateParams and of the sampling parameters that older models
take; a test holds the table against it.
"""

from farebox.translate.fields import Fields, moot, never, only, to

_AUTOMATIC = moot("OpenAI caches prefixes by itself; the answer is the same")
REQUEST: Fields = {
    "model": to("model"),
    "max_tokens": to("max_completion_tokens"),
    "messages": to("messages"),
    "system": to("a leading message of role system"),
    "temperature": to("temperature"),
    "top_p": to("top_p"),
    "stop_sequences": to("stop, at most 4"),
    "stream": to("stream, with stream_options.include_usage, because Anthropic's streams end with the usage"),
    "tools": to("tools; client tools only"),
    "tool_choice": to("tool_choice: auto, none, any as required, tool as a named function; parallel_tool_calls"),
    "thinking": to("reasoning_effort by budget_tokens; disabled: none; adaptive: output_config.effort"),
    "output_config": to("effort: reasoning_effort; format: response_format with strict"),
    "metadata": to("user_id: user"),
    "service_tier": to("standard_only: default; auto: nothing"),
    "cache_control": _AUTOMATIC,
    "speed": only(("standard",), "OpenAI has no fast mode; leave it out"),
    "top_k": never("OpenAI has no top_k; leave it out"),
    "output_format": never("superseded; use output_config.format"),
    "container": never("containers live at Anthropic; leave it out"),
    "diagnostics": never("cache diagnostics come from Anthropic only; leave it out"),
    "inference_geo": never("OpenAI takes no region per request; leave it out"),
    "user_profile_id": never("user profiles live at Anthropic; leave it out"),
    "workspace_id": never("workspaces live at Anthropic; leave it out"),
    "mcp_servers": never("MCP servers are called by Anthropic; leave it out"),
    "context_management": never("contexts are edited by Anthropic; leave it out"),
}
METADATA: Fields = {"user_id": to("user")}
OUTPUT_CONFIG: Fields = {"effort": to("reasoning_effort"), "format": to("response_format")}
OUTPUT_FORMAT: Fields = {
    "type": only(("json_schema",), "json_schema is the only format"),
    "schema": to("response_format.json_schema.schema, strict"),
}
THINKING: Fields = {
    "type": to("disabled, enabled or adaptive; between_tools is refused"),
    "budget_tokens": to("reasoning_effort: up to 2048 low, up to 8192 medium, above high"),
    "display": moot("OpenAI shows no thinking"),
}
TOOL_CHOICE: Fields = {
    "type": to("auto, none, required or a named function"),
    "name": to("function.name"),
    "disable_parallel_tool_use": to("parallel_tool_calls: false"),
}
TOOL: Fields = {
    "type": only(("custom",), "this tool is run or described by Anthropic; describe a tool of your own"),
    "name": to("function.name"),
    "description": to("function.description"),
    "input_schema": to("function.parameters"),
    "strict": to("function.strict"),
    "cache_control": _AUTOMATIC,
    "eager_input_streaming": moot("only how the arguments are cut into pieces"),
    "allowed_callers": only((["direct"],), 'OpenAI\'s tools are called by the model only; send ["direct"]'),
    "defer_loading": only((False,), "OpenAI has no tool search; leave it out"),
    "input_examples": only(([],), "OpenAI takes no examples; put them into the description"),
}
MESSAGE: Fields = {"role": to("role"), "content": to("content, tool_calls and tool messages")}
_TYPE = to("type")
TEXT: Fields = {
    "type": _TYPE,
    "text": to("text"),
    "cache_control": _AUTOMATIC,
    "citations": moot("notes on an earlier answer"),
}
BLOCKS: dict[str, Fields] = {
    "text": TEXT,
    "image": {
        "type": _TYPE,
        "source": to("image_url: base64 as data URL, url as it is; file is refused"),
        "cache_control": _AUTOMATIC,
        "transformations": only(({},), "OpenAI takes no transformations; leave it out"),
    },
    "document": {
        "type": _TYPE,
        "source": to("base64 PDF: file part; text: text part; url, content and file are refused"),
        "cache_control": _AUTOMATIC,
        "title": to("filename of a PDF; refused for text"),
        "citations": only(({}, {"enabled": False}), "OpenAI does not cite documents; leave it out"),
        "context": only(("",), "OpenAI has no context of a document; put it into a text block"),
    },
    "tool_use": {
        "type": _TYPE,
        "id": to("id"),
        "name": to("function.name"),
        "input": to("function.arguments, as JSON text"),
        "cache_control": _AUTOMATIC,
        "caller": only(({"type": "direct"},), "OpenAI's tools are called by the model only"),
        "toolset_name": never("toolsets live at Anthropic"),
    },
    "tool_result": {
        "type": _TYPE,
        "tool_use_id": to("tool_call_id"),
        "content": to("content of a tool message; text only"),
        "is_error": to('the text is led by "Error: "'),
        "cache_control": _AUTOMATIC,
        "toolset_name": never("toolsets live at Anthropic"),
    },
    "thinking": {
        "type": _TYPE,
        "thinking": moot("advice that only its own model can verify and use"),
        "signature": moot("as thinking"),
    },
    "redacted_thinking": {"type": _TYPE, "data": moot("encrypted for Anthropic")},
}
TABLES: dict[str, Fields] = {
    "request": REQUEST,
    "metadata": METADATA,
    "output_config": OUTPUT_CONFIG,
    "output_config.format": OUTPUT_FORMAT,
    "thinking": THINKING,
    "tool_choice": TOOL_CHOICE,
    "tool": TOOL,
    "message": MESSAGE,
    **{f"{kind} block": fields for kind, fields in BLOCKS.items()},
}
