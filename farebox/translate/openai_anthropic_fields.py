"""OpenAI's chat request towards Anthropic's messages: what becomes of each field.

The names are those of OpenAI's published CreateChatCompletionRequest; a test holds the table against it.
"""

from farebox.translate.fields import Fields, moot, never, only, to

REQUEST: Fields = {
    "model": to("model"),
    "messages": to("messages, and system for the leading system and developer messages"),
    "max_completion_tokens": to("max_tokens; 4096 if the client gave neither"),
    "max_tokens": to("max_tokens"),
    "temperature": to("temperature, 0 to 1; above 1 is refused"),
    "top_p": to("top_p"),
    "stop": to("stop_sequences"),
    "stream": to("stream"),
    "stream_options": to("include_usage: the usage chunk; include_obfuscation: no effect, it only pads"),
    "tools": to("tools; function tools only"),
    "tool_choice": to("tool_choice: auto, none, required as any, a named function as tool"),
    "parallel_tool_calls": to("tool_choice.disable_parallel_tool_use"),
    "reasoning_effort": to("thinking and output_config.effort, or thinking.budget_tokens before Claude 4.6"),
    "response_format": to("json_schema: output_config.format; text: nothing; json_object is refused"),
    "safety_identifier": to("metadata.user_id"),
    "user": to("metadata.user_id, unless safety_identifier is given"),
    "service_tier": to("default: standard_only; auto: nothing; other tiers are refused"),
    "cache_control": to("cache_control (Anthropic's field; see prompt caching)"),
    "metadata": moot("labels for the caller's own records"),
    "prompt_cache_key": moot("routes to a cache; Anthropic finds prefixes by content"),
    "prompt_cache_retention": moot("how long a cache lives; the answer is the same"),
    "prompt_cache_options": moot("how caches are written; the answer is the same"),
    "prediction": moot("only makes a predictable answer arrive sooner"),
    "store": only((False,), "Anthropic stores no completions; leave it out or send false"),
    "n": only((1,), "Anthropic gives one answer per request; send n requests"),
    "frequency_penalty": only((0,), "Anthropic has no such penalty; leave it out or send 0"),
    "presence_penalty": only((0,), "Anthropic has no such penalty; leave it out or send 0"),
    "logit_bias": only(({},), "Anthropic has no token biases; leave it out"),
    "logprobs": only((False,), "Anthropic gives no log probabilities; leave it out or send false"),
    "top_logprobs": only((0,), "Anthropic gives no log probabilities; leave it out or send 0"),
    "modalities": only((["text"],), 'Anthropic answers in text; leave it out or send ["text"]'),
    "verbosity": only(("medium",), "Anthropic has no verbosity; ask for a length in the system message"),
    "functions": only(([],), "deprecated; describe the functions in tools"),
    "function_call": never("deprecated; use tool_choice"),
    "seed": never("Anthropic has no seed; leave it out"),
    "audio": never("Anthropic does not speak; leave it out"),
    "moderation": never("Anthropic gives no moderation results; leave it out"),
    "web_search_options": never("search is a priced tool of its own at Anthropic; leave it out"),
}
STREAM_OPTIONS: Fields = {
    "include_usage": to("the usage chunk"),
    "include_obfuscation": moot("only pads the chunks"),
}
_ROLE = to("role")
_CACHE = to("cache_control of the last block (Anthropic's field)")
_NAME = never("Anthropic knows no participant names; put the name into the text")
SYSTEM: Fields = {
    "role": to("system when leading; a message of role system later on (Claude 4.8 and newer)"),
    "content": to("text"),
    "name": _NAME,
    "cache_control": _CACHE,
}
USER: Fields = {"role": _ROLE, "content": to("text, image and document blocks"), "name": _NAME, "cache_control": _CACHE}
ASSISTANT: Fields = {
    "role": _ROLE,
    "content": to("text blocks; empty text is left out"),
    "refusal": to("a text block"),
    "tool_calls": to("tool_use blocks"),
    "thinking_blocks": to("thinking and redacted_thinking blocks, if signed (an extension, see thinking)"),
    "reasoning_content": moot("thinking without a signature cannot be handed back; thinking_blocks can"),
    "annotations": moot("notes on an earlier answer"),
    "cache_control": _CACHE,
    "name": _NAME,
    "audio": never("Anthropic does not take audio; send the transcript as content"),
    "function_call": never("deprecated; use tool_calls"),
}
TOOL: Fields = {
    "role": to("user; consecutive tool messages become one turn"),
    "content": to("tool_result.content: text and images"),
    "tool_call_id": to("tool_result.tool_use_id"),
    "name": moot("the tool is known by tool_call_id"),
    "cache_control": to("cache_control of the tool_result (Anthropic's field)"),
}
_TYPE = to("type")
_BREAKPOINT = to('cache_control {"type": "ephemeral"}')
_MARKS: Fields = {"type": _TYPE, "cache_control": to("cache_control (Anthropic's field)")}
PARTS: dict[str, Fields] = {
    "text": {**_MARKS, "text": to("text"), "prompt_cache_breakpoint": _BREAKPOINT},
    "refusal": {**_MARKS, "refusal": to("a text block")},
    "image_url": {
        **_MARKS,
        "image_url": to("image: a data URL as base64 source, an http URL as url source"),
        "prompt_cache_breakpoint": _BREAKPOINT,
    },
    "file": {
        **_MARKS,
        "file": to("document: a PDF or plain text as data URL, or an http URL of a PDF"),
        "prompt_cache_breakpoint": _BREAKPOINT,
    },
}
IMAGE_URL: Fields = {
    "url": to("source"),
    "detail": only(("auto", "high"), 'Anthropic sees images in full; leave it out or send "auto"'),
}
FILE: Fields = {
    "file_data": to("source"),
    "filename": to("title"),
    "file_id": never("the file is stored at OpenAI; send it as file_data"),
}
TOOL_CALL: Fields = {
    "id": to("id"),
    "type": only(("function",), "custom tools are refused"),
    "function": to("tool_use"),
}
CALLED: Fields = {"name": to("name"), "arguments": to("input, as an object")}
TOOL_DEFINITION: Fields = {
    "type": only(("function",), "Anthropic takes JSON arguments only; describe a function tool"),
    "function": to("name, description, input_schema, strict"),
    "cache_control": to("cache_control (Anthropic's field)"),
}
FUNCTION: Fields = {
    "name": to("name"),
    "description": to("description"),
    "parameters": to("input_schema; an empty object schema if absent"),
    "strict": to("strict, when true"),
    "cache_control": to("cache_control (Anthropic's field)"),
}
JSON_SCHEMA: Fields = {
    "schema": to("output_config.format.schema, objects closed with additionalProperties: false"),
    "description": to("description of the schema"),
    "name": moot("a label"),
    "strict": moot("Anthropic always keeps to the schema"),
}
TABLES: dict[str, Fields] = {
    "request": REQUEST,
    "stream_options": STREAM_OPTIONS,
    "system and developer message": SYSTEM,
    "user message": USER,
    "assistant message": ASSISTANT,
    "tool message": TOOL,
    "text part": PARTS["text"],
    "refusal part": PARTS["refusal"],
    "image_url part": PARTS["image_url"],
    "image_url": IMAGE_URL,
    "file part": PARTS["file"],
    "file": FILE,
    "tool call": TOOL_CALL,
    "tool call function": CALLED,
    "tool": TOOL_DEFINITION,
    "function": FUNCTION,
    "response_format.json_schema": JSON_SCHEMA,
}
