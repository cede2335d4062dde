"""OpenAI's published OpenAPI document accepts what the simulated provider sends."""

import json
from typing import Any

import pytest

CHAT: dict[str, Any] = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}]}
TOOL = {
    "type": "function",
    "function": {"name": "f", "parameters": {"type": "object", "properties": {"a": {"type": "string"}}}},
}
SCHEMA = {"name": "s", "schema": {"type": "object", "properties": {"x": {"type": "number"}}}}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "several": {"n": 3},
    "cut": {"max_tokens": 3},
    "logprobs": {"logprobs": True, "top_logprobs": 3},
    "tool": {"tools": [TOOL], "tool_choice": "required"},
    "two tools": {
        "tools": [TOOL],
        "messages": [{"role": "user", "content": '[[simulate {"tool_calls": 2}]]hello'}],
    },
    "cut tool": {"tools": [TOOL], "tool_choice": "required", "max_tokens": 2},
    "schema": {"response_format": {"type": "json_schema", "json_schema": SCHEMA}},
    "reasoning": {"model": "gpt-5"},
    "unicode": {"messages": [{"role": "user", "content": '[[simulate {"text": "a\\u2028b \\u00e9\\ud83d\\ude00"}]]'}]},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_bodies_fit_the_document(hands, validator, variant):
    request = {**CHAT, **VARIANTS[variant]}
    assert validator.body("chat", request, request=True) == []
    status, _, body = hands.openai("/v1/chat/completions", request)
    assert status == 200
    assert validator.body("chat", json.loads(body), extra=True) == []


@pytest.mark.parametrize("usage", ["yes", "no"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_streams_fit_the_document(hands, validator, variant, usage):
    request = {**CHAT, **VARIANTS[variant], "stream": True, "stream_options": {"include_usage": usage == "yes"}}
    status, headers, body = hands.openai("/v1/chat/completions", request)
    assert status == 200
    assert headers["content-type"].startswith("text/event-stream")
    findings = validator.sse("chat", body.decode(), extra=True, include_usage=usage)
    if variant == "cut tool":
        findings = [f for f in findings if "joined arguments are not JSON" not in f["message"]]
    # That the document knows no null usage is one of its own slips: the live service sends it.
    assert [f for f in findings if f["kind"] != "published"] == []


@pytest.mark.parametrize(
    "form",
    [
        {"crlf": True},
        {"comments": True},
        {"multi_line_data": True},
        {"no_space": True},
        {"split_bytes": 1},
        {"crlf": True, "comments": True, "multi_line_data": True, "split_bytes": 3},
    ],
)
def test_odd_but_valid_streams_mean_the_same(hands, validator, form):
    header = {"x-simulate": json.dumps({**form, "output_tokens": 12})}
    body = hands.openai("/v1/chat/completions", {**CHAT, "stream": True}, header)[2]
    assert [f for f in validator.sse("chat", body.decode()) if f["kind"] != "published"] == []
    if "crlf" in form:
        assert body.count(b"\r\n") == body.count(b"\n")


def test_embeddings_and_models_fit_the_document(hands, validator):
    for form in ("float", "base64"):
        request = {"model": "text-embedding-3-small", "input": ["a", "b"], "encoding_format": form, "dimensions": 8}
        body = json.loads(hands.openai("/v1/embeddings", request)[2])
        assert [f for f in validator.body("embeddings", body, extra=True) if f["kind"] != "published"] == []
    key = {"authorization": "Bearer k"}
    assert validator.body("models", json.loads(hands.request("GET", "/v1/models", None, key)[2])) == []
    assert validator.body("model", json.loads(hands.request("GET", "/v1/models/gpt-4o", None, key)[2])) == []


@pytest.mark.parametrize("change", [{"messages": []}, {"model": "gpt-nope"}, {"bogus": 1}])
def test_errors_fit_the_document(hands, validator, change):
    status, _, body = hands.openai("/v1/chat/completions", {**CHAT, **change})
    assert status in (400, 404)
    assert validator.body("error", json.loads(body)) == []
