"""Anthropic messages towards OpenAI: requests, answers and refusals, by example."""

import copy
import json
from typing import Any

import pytest

from farebox.errors import BadRequest, CallError, Untranslatable, UpstreamFailed
from farebox.translate.anthropic_openai import translate_request, translate_response

Json = dict[str, Any]
ASK: Json = {"role": "user", "content": "Hi"}
MARK = {"type": "ephemeral"}
TOOL: Json = {"name": "f", "description": "d", "input_schema": {"type": "object"}}


def translated(model: str = "gpt-5.2", **fields: Any) -> Json:
    body = {"model": "asked", "max_tokens": 100, "messages": [ASK], **fields}
    before = copy.deepcopy(body)
    out = translate_request(body, model)
    assert body == before, "the client's body was changed"
    json.dumps(out)
    return out


def messages(*turns: Json, **fields: Any) -> list[Json]:
    found = translated(messages=list(turns), **fields)["messages"]
    assert isinstance(found, list)
    return found


def refused(kind: type[CallError] = Untranslatable, model: str = "gpt-5.2", **fields: Any) -> CallError:
    with pytest.raises(kind) as caught:
        translated(model, **fields)
    assert caught.value.param is not None
    assert caught.value.param in caught.value.message
    return caught.value


def test_a_small_request() -> None:
    assert translated() == {"model": "gpt-5.2", "max_completion_tokens": 100, "messages": [ASK]}


def test_everything_that_is_translated_at_once() -> None:
    out = translated(
        system="Be brief.",
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["END"],
        stream=True,
        tools=[TOOL],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 4096},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
        metadata={"user_id": "u1"},
        service_tier="standard_only",
        cache_control=MARK,
        speed="standard",
        container=None,
    )
    assert out == {
        "model": "gpt-5.2",
        "max_completion_tokens": 100,
        "messages": [{"role": "system", "content": "Be brief."}, ASK],
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}
        ],
        "tool_choice": "required",
        "parallel_tool_calls": False,
        "reasoning_effort": "medium",
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True},
        },
        "user": "u1",
        "service_tier": "default",
    }


@pytest.mark.parametrize(
    ("field", "value", "param"),
    [
        ("top_k", 5, "top_k"),
        ("speed", "fast", "speed"),
        ("container", "c", "container"),
        ("inference_geo", "eu", "inference_geo"),
        ("diagnostics", {}, "diagnostics"),
        ("mcp_servers", [{}], "mcp_servers"),
        ("brand_new", 1, "brand_new"),
        ("stop_sequences", ["a", "b", "c", "d", "e"], "stop_sequences"),
        ("service_tier", "gold", "service_tier"),
        ("metadata", {"user_id": "a", "team": "b"}, "metadata.team"),
        ("thinking", {"type": "between_tools"}, "thinking.type"),
        ("output_config", {"format": {"type": "xml", "schema": {}}}, "output_config.format.type"),
        ("output_config", {"mood": "good"}, "output_config.mood"),
        ("tools", [{"type": "web_search_20250305", "name": "web_search"}], "tools.0"),
        ("tools", [{**TOOL, "defer_loading": True}], "tools.0.defer_loading"),
        ("tools", [{**TOOL, "input_examples": [{}]}], "tools.0.input_examples"),
        ("tools", [{**TOOL, "allowed_callers": ["code_execution_20260120"]}], "tools.0.allowed_callers"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(field: str, value: Any, param: str) -> None:
    assert refused(**{field: value}).param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages.0.content.0.text"),
        ({"tools": [{"name": "f"}]}, "tools.0.input_schema"),
        ({"tool_choice": {"type": "maybe"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
    ],
)
def test_what_is_malformed_is_the_clients_mistake(fields: Json, param: str) -> None:
    assert refused(BadRequest, **fields).param == param


def test_system_blocks_and_later_system_messages() -> None:
    block = {"type": "text", "text": "A", "cache_control": MARK, "citations": None}
    assert messages(ASK, system=[block])[0] == {"role": "system", "content": "A"}
    assert messages(ASK, system=[block, {"type": "text", "text": "B"}])[0]["content"] == [
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B"},
    ]
    assert messages(ASK, {"role": "system", "content": "Now."}, ASK)[1] == {"role": "system", "content": "Now."}


def test_parallel_tools_and_their_results() -> None:
    found = messages(
        ASK,
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "Looking."},
                {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}, "caller": {"type": "direct"}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {}, "cache_control": MARK},
                {"type": "tool_use", "id": "c", "name": "h", "input": {"INVALID_JSON": "{broken"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "b", "content": "B", "cache_control": MARK},
                {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "A"}]},
                {"type": "tool_result", "tool_use_id": "c", "content": "no such city", "is_error": True},
                {"type": "text", "text": "Well?"},
            ],
        },
    )
    assert found == [
        ASK,
        {
            "role": "assistant",
            "content": "Looking.",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                {"id": "c", "type": "function", "function": {"name": "h", "arguments": "{broken"}},
            ],
        },
        {"role": "tool", "tool_call_id": "b", "content": "B"},
        {"role": "tool", "tool_call_id": "a", "content": "A"},
        {"role": "tool", "tool_call_id": "c", "content": "Error: no such city"},
        {"role": "user", "content": "Well?"},
    ]


def test_tool_results_of_many_blocks_or_none() -> None:
    two = [{"type": "text", "text": "A"}, {"type": "text", "text": "B"}]
    results = [
        {"type": "tool_result", "tool_use_id": "a", "content": two, "is_error": True},
        {"type": "tool_result", "tool_use_id": "b"},
    ]
    found = messages({"role": "user", "content": results})
    assert [message["content"] for message in found] == [[{"type": "text", "text": "Error: "}, *two], ""]


def test_images_and_documents() -> None:
    blocks = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "QUJD"}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
        {
            "type": "document",
            "title": "a.pdf",
            "source": {"type": "base64", "media_type": "application/pdf", "data": "J"},
        },
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Plain"}},
        {"type": "text", "text": "Compare."},
    ]
    ((found),) = messages({"role": "user", "content": blocks})
    assert found["content"] == [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,J"}},
        {"type": "text", "text": "Plain"},
        {"type": "text", "text": "Compare."},
    ]


@pytest.mark.parametrize(
    ("block", "param"),
    [
        ({"type": "image", "source": {"type": "file", "file_id": "f"}}, ".source.type"),
        ({"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}, ".source.type"),
        ({"type": "document", "source": {"type": "text", "data": "x"}, "title": "T"}, ".title"),
        ({"type": "document", "source": {"type": "text", "data": "x"}, "context": "C"}, ".context"),
        ({"type": "document", "source": {}, "citations": {"enabled": True}}, ".citations"),
        ({"type": "search_result", "source": "x", "title": "y", "content": []}, ""),
        ({"type": "container_upload", "file_id": "f"}, ""),
        ({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "image", "source": {}}]}, ".content.0"),
    ],
)
def test_blocks_that_cannot_be_expressed(block: Json, param: str) -> None:
    assert refused(messages=[{"role": "user", "content": [block]}]).param == f"messages.0.content.0{param}"


def test_a_providers_own_tool_in_the_history_is_refused() -> None:
    used = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    assert refused(messages=[ASK, {"role": "assistant", "content": [used]}, ASK]).param == "messages.1.content.0"


def test_tool_results_come_first() -> None:
    blocks = [{"type": "text", "text": "x"}, {"type": "tool_result", "tool_use_id": "a", "content": "A"}]
    assert refused(BadRequest, messages=[{"role": "user", "content": blocks}]).param == "messages.0.content.1"


def test_prefill_is_refused() -> None:
    assert "prefill" in refused(messages=[ASK, {"role": "assistant", "content": "The answer is"}]).message


def test_a_turn_of_thinking_only_is_left_out() -> None:
    thought = {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "d"}]}
    assert messages(ASK, thought, ASK) == [ASK, ASK]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, {"tool_choice": "auto"}),
        ({"type": "none"}, {"tool_choice": "none"}),
        (
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
            {"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False},
        ),
    ],
)
def test_tool_choice(choice: Json, expected: Json) -> None:
    out = translated(tool_choice=choice)
    assert {key: out[key] for key in out if "tool" in key} == expected


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({}, None),
        ({"thinking": {"type": "disabled"}}, "none"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 31999, "display": "omitted"}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}}, "xhigh"),
        ({"output_config": {"effort": "max"}}, "max"),
    ],
)
def test_effort(fields: Json, effort: str | None) -> None:
    assert translated(**fields).get("reasoning_effort") == effort


def test_thinking_that_is_off() -> None:
    off = {"type": "disabled"}
    assert "reasoning_effort" not in translated("gpt-4o-mini", thinking=off), "it would refuse the word"
    assert refused(thinking=off, output_config={"effort": "low"}).param == "output_config.effort"


@pytest.mark.parametrize(
    ("reason", "calls", "expected"),
    [
        ("stop", [], "end_turn"),
        ("length", [], "max_tokens"),
        ("tool_calls", [{"id": "a", "function": {"name": "f", "arguments": "{}"}}], "tool_use"),
        ("stop", [{"id": "a", "function": {"name": "f", "arguments": "{}"}}], "tool_use"),
        ("length", [{"id": "a", "function": {"name": "f", "arguments": "{"}}], "max_tokens"),
        ("content_filter", [], "refusal"),
        ("function_call", [], "tool_use"),
        ("unheard_of", [], "end_turn"),
        (None, [], "end_turn"),
    ],
)
def test_finish_reasons(reason: str | None, calls: list[Json], expected: str) -> None:
    choice = {"message": {"content": None, "tool_calls": calls}, "finish_reason": reason}
    assert translate_response({"choices": [choice]}, "asked")["stop_reason"] == expected


def test_usage_takes_cached_tokens_out_of_the_input() -> None:
    usage = {
        "prompt_tokens": 130,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    body = {"choices": [{"message": {"content": "x"}}], "usage": usage, "service_tier": "default"}
    assert translate_response(body, "asked")["usage"] == {
        "input_tokens": 100,
        "output_tokens": 9,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 30,
        "output_tokens_details": {"thinking_tokens": 4},
        "service_tier": "standard",
    }


def test_explicit_nulls_of_other_servers_are_absent() -> None:
    message = {
        "content": "x",
        "refusal": None,
        "annotations": None,
        "tool_calls": None,
        "reasoning": None,
        "reasoning_content": None,
    }
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "prompt_tokens_details": None}
    body = {"id": None, "choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}
    out = translate_response(body, "asked")
    assert out["content"] == [{"type": "text", "text": "x"}]
    assert out["model"] == "asked"
    assert out["usage"] == {"input_tokens": 5, "output_tokens": 1}


def test_web_citations_are_kept() -> None:
    cited = {"url": "https://example.com/", "title": "Example", "start_index": 3, "end_index": 5}
    message = {"content": "It is so.", "annotations": [{"type": "url_citation", "url_citation": cited}]}
    (block,) = translate_response({"choices": [{"message": message}]}, "asked")["content"]
    assert block["citations"] == [
        {
            "type": "web_search_result_location",
            "url": "https://example.com/",
            "title": "Example",
            "cited_text": "is",
            "encrypted_index": "",
        }
    ]


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": [{}]}, {"choices": "x"}])
def test_an_answer_that_is_no_completion_is_the_providers_failure(body: Json) -> None:
    with pytest.raises(UpstreamFailed, match="not a chat completion"):
        translate_response(body, "asked")
