"""OpenAI chat towards Anthropic: requests, answers and refusals, by example."""

import copy
import json
from typing import Any

import pytest

from farebox.errors import BadRequest, CallError, Untranslatable, UpstreamFailed
from farebox.translate.openai_anthropic import translate_request, translate_response
from farebox.translate.openai_anthropic_request import close_objects

Json = dict[str, Any]
ASK: Json = {"role": "user", "content": "Hi"}
NEW, OLD = "claude-opus-5", "claude-haiku-4-5-20251001"
MARK = {"type": "ephemeral", "ttl": "1h"}


def translated(model: str = NEW, **fields: Any) -> Json:
    body = {"model": "asked", "messages": [ASK], **fields}
    before = copy.deepcopy(body)
    out = translate_request(body, model)
    assert body == before, "the client's body was changed"
    json.dumps(out)
    return out


def turns(*messages: Json, model: str = NEW) -> list[Json]:
    found = translated(model, messages=list(messages))["messages"]
    assert isinstance(found, list)
    return found


def refused(kind: type[CallError] = Untranslatable, model: str = NEW, **fields: Any) -> CallError:
    with pytest.raises(kind) as caught:
        translated(model, **fields)
    assert caught.value.param is not None
    assert caught.value.param in caught.value.message
    assert caught.value.status == 400
    return caught.value


def test_a_small_request() -> None:
    assert translated() == {"model": NEW, "max_tokens": 4096, "messages": [ASK]}
    assert translate_request({"messages": [ASK]}, NEW, default_max_tokens=100)["max_tokens"] == 100


def test_everything_that_is_translated_at_once() -> None:
    out = translated(
        max_completion_tokens=50,
        temperature=0.5,
        top_p=0.9,
        stop=["END"],
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        user="u1",
        service_tier="default",
        cache_control={"type": "ephemeral"},
        metadata={"team": "a"},
        prompt_cache_key="k",
        store=False,
        n=1,
        logprobs=False,
        frequency_penalty=0,
        presence_penalty=0.0,
        logit_bias={},
        modalities=["text"],
        seed=None,
    )
    assert out == {
        "model": NEW,
        "max_tokens": 50,
        "messages": [ASK],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["END"],
        "stream": True,
        "metadata": {"user_id": "u1"},
        "service_tier": "standard_only",
        "cache_control": {"type": "ephemeral"},
    }


def test_the_safety_identifier_goes_before_the_user() -> None:
    assert translated(user="a", safety_identifier="b")["metadata"] == {"user_id": "b"}


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("n", 2, "send n requests"),
        ("seed", 1, "leave it out"),
        ("frequency_penalty", 0.1, "send 0"),
        ("presence_penalty", -1, "send 0"),
        ("logit_bias", {"1": 5}, "leave it out"),
        ("logprobs", True, "send false"),
        ("top_logprobs", 3, "send 0"),
        ("temperature", 1.2, "at most 1"),
        ("audio", {"voice": "alloy"}, "leave it out"),
        ("modalities", ["text", "audio"], '["text"]'),
        ("verbosity", "low", "system message"),
        ("store", True, "send false"),
        ("functions", [{"name": "f"}], "tools"),
        ("function_call", "auto", "tool_choice"),
        ("web_search_options", {}, "leave it out"),
        ("service_tier", "flex", '"auto" or "default"'),
        ("top_k", 5, "unknown"),
        ("messages", [{"role": "system", "content": "x"}], "add one"),
        ("brand_new", {"x": 1}, "leave it out"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(field: str, value: Any, remedy: str) -> None:
    error = refused(**{field: value})
    assert error.param == field
    assert remedy in error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "5"}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_tokens": 5, "max_completion_tokens": 6}, "max_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"tool_choice": "sometimes"}, "tool_choice"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
    ],
)
def test_what_is_malformed_is_the_clients_mistake(fields: Json, param: str) -> None:
    assert refused(BadRequest, **fields).param == param


def test_leading_system_and_developer_messages_are_the_system_prompt() -> None:
    assert translated(messages=[{"role": "system", "content": "A"}, ASK])["system"] == "A"
    out = translated(messages=[{"role": "system", "content": "A"}, {"role": "developer", "content": "B"}, ASK])
    assert out["system"] == [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    out = translated(messages=[{"role": "system", "content": "A", "cache_control": MARK}, ASK])
    assert out["system"] == [{"type": "text", "text": "A", "cache_control": MARK}]


def test_a_later_system_message_stays_in_place_where_the_model_takes_it() -> None:
    messages = [ASK, {"role": "developer", "content": "Now in French."}, ASK]
    assert turns(*messages, model=NEW) == [ASK, {"role": "system", "content": "Now in French."}, ASK]
    assert refused(model=OLD, messages=messages).param == "messages.1.role"


def test_tool_results_in_a_row_are_one_turn() -> None:
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": ""}},
        {"id": "c", "type": "function", "function": {"name": "h", "arguments": "{broken"}},
    ]
    found = turns(
        ASK,
        {"role": "assistant", "content": "", "tool_calls": calls},
        {"role": "tool", "tool_call_id": "b", "content": "B"},
        {"role": "tool", "tool_call_id": "a", "content": [{"type": "text", "text": "A"}], "cache_control": MARK},
        ASK,
    )
    assert found == [
        ASK,
        {
            "role": "assistant",
            "content": [
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}},
                {"type": "tool_use", "id": "c", "name": "h", "input": {"INVALID_JSON": "{broken"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "B"},
                {
                    "type": "tool_result",
                    "tool_use_id": "a",
                    "content": [{"type": "text", "text": "A"}],
                    "cache_control": MARK,
                },
            ],
        },
        ASK,
    ]


def test_tool_results_of_two_rounds_stay_apart() -> None:
    call = {"role": "assistant", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]}
    result = {"role": "tool", "tool_call_id": "a", "content": "x"}
    found = turns(ASK, call, result, call, result)
    assert [len(turn["content"]) for turn in found[1:]] == [1, 1, 1, 1]


def test_parts_become_blocks() -> None:
    parts = [
        {"type": "text", "text": "Look", "cache_control": MARK},
        {"type": "text", "text": ""},
        {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,QUJD", "detail": "high"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}, "prompt_cache_breakpoint": {}},
        {"type": "file", "file": {"filename": "n.txt", "file_data": "data:text/plain;base64,R3LDvMOfZQ=="}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}},
    ]
    ((turn),) = turns({"role": "user", "content": parts})
    assert turn["content"] == [
        {"type": "text", "text": "Look", "cache_control": MARK},
        {"type": "image", "source": {"type": "base64", "media_type": "image/jpeg", "data": "QUJD"}},
        {
            "type": "image",
            "source": {"type": "url", "url": "https://example.com/a.png"},
            "cache_control": {"type": "ephemeral"},
        },
        {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "Grüße"},
            "title": "n.txt",
        },
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERg=="}},
    ]


@pytest.mark.parametrize(
    ("part", "param"),
    [
        ({"type": "input_audio", "input_audio": {}}, ""),
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}}, ".image_url.url"),
        ({"type": "image_url", "image_url": {"url": "data:image/png,AA"}}, ".image_url.url"),
        ({"type": "image_url", "image_url": {"url": "ftp://x"}}, ".image_url.url"),
        ({"type": "image_url", "image_url": {"url": "https://x", "detail": "low"}}, ".image_url.detail"),
        ({"type": "file", "file": {"file_id": "file-1"}}, ".file.file_id"),
        ({"type": "file", "file": {"file_data": "data:text/csv;base64,AA=="}}, ".file.file_data"),
        ({"type": "text", "text": "x", "language": "fr"}, ".language"),
    ],
)
def test_parts_that_cannot_be_expressed(part: Json, param: str) -> None:
    error = refused(messages=[{"role": "user", "content": [{"type": "text", "text": "x"}, part]}])
    assert error.param == f"messages.0.content.1{param}"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user", "content": "x", "name": "Ann"}, "name"),
        ({"role": "user", "content": "x", "tool_calls": []}, "tool_calls"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "audio"),
        ({"role": "assistant", "function_call": {"name": "f"}}, "function_call"),
        ({"role": "function", "content": "x", "name": "f"}, "role"),
        (
            {"role": "assistant", "tool_calls": [{"id": "a", "type": "custom", "custom": {"name": "x", "input": "y"}}]},
            "tool_calls.0.type",
        ),
    ],
)
def test_messages_that_cannot_be_expressed(message: Json, param: str) -> None:
    assert refused(messages=[message, ASK]).param == f"messages.0.{param}"


def test_a_last_message_of_the_assistant_is_refused() -> None:
    assert refused(messages=[ASK, {"role": "assistant", "content": "The answer is"}]).param == "messages.1"


def test_thinking_is_handed_back_if_it_is_signed() -> None:
    signed = {"index": 0, "type": "thinking", "thinking": "Hm.", "signature": "s"}
    hidden = {"index": 1, "type": "redacted_thinking", "data": "d"}
    unsigned = {"type": "thinking", "thinking": "?", "signature": ""}
    message = {
        "role": "assistant",
        "content": "Yes",
        "reasoning_content": "Hm.",
        "thinking_blocks": [signed, hidden, unsigned],
        "refusal": None,
        "annotations": [],
    }
    assert turns(ASK, message, ASK)[1]["content"] == [
        {"type": "thinking", "thinking": "Hm.", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "Yes"},
    ]


def test_an_assistant_that_said_nothing_is_left_out_and_its_refusal_is_text() -> None:
    assert turns(ASK, {"role": "assistant", "content": ""}, ASK) == [ASK, ASK]
    found = turns(ASK, {"role": "assistant", "content": None, "refusal": "No."}, ASK)
    assert found[1] == {"role": "assistant", "content": "No."}


def test_tools() -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": True},
            "cache_control": MARK,
        },
        {"type": "function", "function": {"name": "g", "strict": False}},
    ]
    assert translated(tools=tools)["tools"] == [
        {
            "name": "f",
            "description": "d",
            "input_schema": {"type": "object"},
            "strict": True,
            "cache_control": MARK,
        },
        {"name": "g", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert refused(tools=[{"type": "custom", "custom": {"name": "x"}}]).param == "tools.0.type"
    assert refused(tool_choice={"type": "allowed_tools", "allowed_tools": {}}).param == "tool_choice.type"


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        (
            {"type": "function", "function": {"name": "f"}},
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, expected: Json | None) -> None:
    assert translated(tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == expected


@pytest.mark.parametrize(
    ("model", "effort", "max_tokens", "thinking", "word"),
    [
        (NEW, "none", 100, {"type": "disabled"}, None),
        (NEW, "minimal", 100, {"type": "adaptive"}, "low"),
        ("claude-sonnet-4-6", "xhigh", 100, {"type": "adaptive"}, "xhigh"),
        ("some-alias", "high", 100, {"type": "adaptive"}, "high"),
        (OLD, "none", 100, {"type": "disabled"}, None),
        (OLD, "low", 10000, {"type": "enabled", "budget_tokens": 2048}, None),
        (OLD, "high", 10000, {"type": "enabled", "budget_tokens": 8000}, None),
        ("claude-3-7-sonnet-20250219", "medium", 64000, {"type": "enabled", "budget_tokens": 8192}, None),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "max", 64000, {"type": "enabled", "budget_tokens": 32768}, None),
    ],
)
def test_effort(model: str, effort: str, max_tokens: int, thinking: Json, word: str | None) -> None:
    out = translated(model, reasoning_effort=effort, max_tokens=max_tokens)
    assert out["thinking"] == thinking
    assert out.get("output_config", {}).get("effort") == word


def test_no_room_to_think() -> None:
    error = refused(model=OLD, reasoning_effort="low", max_tokens=1000)
    assert "max_completion_tokens of at least 1280" in error.message
    assert translated(OLD, reasoning_effort="low", max_tokens=1280)["thinking"]["budget_tokens"] == 1024


def test_structured_output() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "object", "properties": {}}}}
    named = {"name": "x", "schema": schema, "strict": True, "description": "An a."}
    out = translated(response_format={"type": "json_schema", "json_schema": named})
    inner = {"type": "object", "properties": {}, "additionalProperties": False}
    assert out["output_config"]["format"] == {
        "type": "json_schema",
        "schema": {
            "type": "object",
            "properties": {"a": inner},
            "additionalProperties": False,
            "description": "An a.",
        },
    }
    assert "output_config" not in translated(response_format={"type": "text"})
    assert refused(response_format={"type": "json_object"}).param == "response_format.type"
    named["schema"] = {**schema, "description": "Another."}
    described = refused(response_format={"type": "json_schema", "json_schema": named})
    assert described.param == "response_format.json_schema.description"


def test_closing_a_schema_leaves_names_and_values_alone() -> None:
    schema = {
        "properties": {"properties": {"type": "string"}, "enum": {"type": "object"}},
        "enum": [{"type": "object"}],
        "items": [{"type": "object", "additionalProperties": True}],
    }
    assert close_objects(schema) == {
        "properties": {"properties": {"type": "string"}, "enum": {"type": "object", "additionalProperties": False}},
        "enum": [{"type": "object"}],
        "items": [{"type": "object", "additionalProperties": True}],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("pause_turn", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("unheard_of", "stop"),
        (None, "stop"),
    ],
)
def test_stop_reasons(reason: str | None, expected: str) -> None:
    out = translate_response({"content": [], "stop_reason": reason}, "asked")
    assert out["choices"][0]["finish_reason"] == expected
    assert "usage" not in out, "no usage is not a usage of 0"


def test_usage_counts_cached_tokens_into_the_prompt() -> None:
    usage = {
        "input_tokens": 3,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 40,
        "output_tokens": 5,
        "output_tokens_details": {"thinking_tokens": 2},
        "service_tier": "priority",
    }
    out = translate_response({"content": [], "usage": usage}, "asked")
    assert out["usage"] == {
        "prompt_tokens": 43,
        "completion_tokens": 5,
        "total_tokens": 48,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 40},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    assert out["service_tier"] == "priority"


def test_citations_that_are_no_web_pages_are_kept_as_an_extension() -> None:
    cited = {"type": "char_location", "cited_text": "x", "document_index": 0}
    out = translate_response({"content": [{"type": "text", "text": "x", "citations": [cited]}]}, "asked")
    assert out["choices"][0]["message"]["citations"] == [cited]


@pytest.mark.parametrize("body", [{}, {"content": "x"}, {"error": "no"}])
def test_an_answer_that_is_no_message_is_the_providers_failure(body: Json) -> None:
    with pytest.raises(UpstreamFailed, match="not an Anthropic message"):
        translate_response(body, "asked")
