"""There and back again: what a generated conversation means survives both translations, in either order."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.translate import anthropic_openai, openai_anthropic

Json = dict[str, Any]
MODEL = "claude-opus-5"

words = st.text(min_size=1, max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=5,
)
arguments = st.dictionaries(words, values, max_size=3)
names = st.sampled_from(["weather", "clock", "search"])
images = st.sampled_from(["https://example.com/a.png", "data:image/png;base64,QUJD", "data:image/webp;base64,RA=="])


def text_part(text: str) -> Json:
    return {"type": "text", "text": text}


parts = st.one_of(
    words.map(text_part),
    images.map(lambda url: {"type": "image_url", "image_url": {"url": url}}),
    words.map(
        lambda name: {"type": "file", "file": {"filename": name, "file_data": "data:application/pdf;base64,JVBERg=="}}
    ),
)
users = st.one_of(words, st.lists(parts, min_size=1, max_size=3)).map(
    lambda content: {"role": "user", "content": content}
)


@st.composite
def rounds(draw: st.DrawFn) -> list[Json]:
    """One answer of the assistant, with the results of all its tool calls in any order."""
    calls = [
        {
            "id": f"call_{n}",
            "type": "function",
            "function": {"name": draw(names), "arguments": json.dumps(draw(arguments))},
        }
        for n in range(draw(st.integers(0, 3)))
    ]
    content = draw(words if not calls else st.none() | words)
    message: Json = {"role": "assistant", "content": content}
    if not calls:
        return [message]
    message["tool_calls"] = calls
    results = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": draw(words | st.lists(words.map(text_part), min_size=1)),
        }
        for call in draw(st.permutations(calls))
    ]
    return [message, *results]


systems = st.lists(words, max_size=2).map(lambda texts: [{"role": "system", "content": text} for text in texts])
conversations = st.builds(
    lambda system, talk, last: [*system, *(message for user, turn in talk for message in [user, *turn]), last],
    systems,
    st.lists(st.tuples(users, rounds()), max_size=3),
    users,
)
tools = st.lists(
    st.fixed_dictionaries(
        {"name": names, "parameters": st.just({"type": "object", "properties": {"a": {"type": "string"}}})},
        optional={"description": words, "strict": st.just(True)},
    ).map(lambda function: {"type": "function", "function": function}),
    min_size=1,
    max_size=3,
)
bodies = st.fixed_dictionaries(
    {"messages": conversations, "max_completion_tokens": st.integers(1, 10_000)},
    optional={
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "stop": st.lists(words, min_size=1, max_size=4),
        "tools": tools,
        "tool_choice": st.sampled_from(["auto", "none", "required"])
        | names.map(lambda name: {"type": "function", "function": {"name": name}}),
        "parallel_tool_calls": st.just(False),
        "reasoning_effort": st.sampled_from(["none", "low", "medium", "high", "xhigh", "max"]),
        "user": words,
        "stream": st.booleans(),
        "service_tier": st.sampled_from(["auto", "default"]),
    },
)


def blocks(content: Any) -> list[Any]:
    return [text_part(content)] if isinstance(content, str) else content or []


def meaning(body: Json) -> Json:
    """The request with one spelling for what can be spelled in several ways."""
    out = {key: item for key, item in body.items() if key not in {"model", "stream_options"}}
    messages: list[Json] = []
    for message in body["messages"]:
        spelled = {**message, "content": blocks(message.get("content"))}
        for call in spelled.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
        if message["role"] == "system" and messages:  # several leading ones are one
            messages[0]["content"] += spelled["content"]
        else:
            messages.append(spelled)
    if out.get("service_tier") == "auto":
        del out["service_tier"]
    if out.get("tool_choice") == "none" or "tool_choice" not in out:  # then parallel calls say little
        out.pop("tool_choice", None)
        out.pop("parallel_tool_calls", None)
    return {**out, "messages": messages}


@settings(max_examples=100, deadline=None)
@given(bodies)
def test_an_openai_request_survives(body: Json) -> None:
    asked = {"model": "asked", **body}
    there = openai_anthropic.translate_request(asked, MODEL)
    back = anthropic_openai.translate_request(json.loads(json.dumps(there)), "asked")
    if body.get("parallel_tool_calls") is False and body.get("tool_choice") is None:
        assert back.pop("tool_choice") == "auto"
    assert meaning(back) == meaning(json.loads(json.dumps(asked)))


@settings(max_examples=100, deadline=None)
@given(bodies)
def test_an_anthropic_request_survives(body: Json) -> None:
    first = openai_anthropic.translate_request({"model": "asked", **body}, MODEL)
    there = anthropic_openai.translate_request(first, "asked")
    again = openai_anthropic.translate_request(json.loads(json.dumps(there)), MODEL)
    assert spelled(again) == spelled(json.loads(json.dumps(first)))


def spelled(body: Json) -> Json:
    """An Anthropic request whose contents are all block lists."""
    turns = [
        {
            "role": turn["role"],
            "content": [
                {**block, "content": blocks(block["content"])} if block["type"] == "tool_result" else block
                for block in blocks(turn["content"])
            ],
        }
        for turn in body["messages"]
    ]
    return {**body, "messages": turns, "system": blocks(body.get("system"))}


answers = st.builds(
    lambda text, inputs, usage: {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 7,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text if text or not inputs else None,
                    "refusal": None,
                    **({"tool_calls": [called(n, item) for n, item in enumerate(inputs)]} if inputs else {}),
                },
                "logprobs": None,
                "finish_reason": "tool_calls" if inputs else "stop",
            }
        ],
        "usage": {
            "prompt_tokens": sum(usage[:3]),
            "completion_tokens": usage[3],
            "total_tokens": sum(usage),
            "prompt_tokens_details": {"cached_tokens": usage[1], "cache_write_tokens": usage[2]},
        },
    },
    st.text(max_size=12),
    st.lists(arguments, max_size=3),
    st.tuples(*[st.integers(0, 10**6)] * 4),
)


def called(number: int, given_input: Json) -> Json:
    text = json.dumps(given_input, separators=(",", ":"), ensure_ascii=False)
    return {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": text}}


@settings(max_examples=100, deadline=None)
@given(answers)
def test_an_openai_answer_survives_exactly(answer: Json) -> None:
    there = anthropic_openai.translate_response(answer, "asked")
    back = openai_anthropic.translate_response(json.loads(json.dumps(there)), "asked", now_s=7)
    for choice in [*back["choices"], *answer["choices"]]:
        for call in choice["message"].get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    assert back == answer
