"""The official Anthropic SDK against the gateway; every call costs what the provider bills."""

import asyncio
import json
from typing import Any

import anthropic
import pytest

from farebox.money import usd_text

ASK: Any = [{"role": "user", "content": "What is a fare box?"}]
WEATHER: Any = {
    "name": "get_weather",
    "description": "Weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
    },
}
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
MODELS = ["claude-sonnet-4-6", "gpt-4o"]


def user(text, **wishes):
    return [{"role": "user", "content": f"{text} [[simulate {json.dumps(wishes)}]]" if wishes else text}]


def error_of(caught):
    body = caught.value.body
    assert body["type"] == "error"
    return body["error"]


def test_messages(claude, books):
    answer = claude.messages.with_raw_response.create(
        model="claude-haiku-4-5", max_tokens=200, system="Be brief.", messages=ASK, metadata={"user_id": "ada"}
    )
    message = answer.parse()
    assert message.content[0].text
    assert message.stop_reason == "end_turn"
    (attempt,) = books.exact()
    sent, done = attempt.sent, attempt.done
    assert (sent.dialect, sent.operation, sent.provider, sent.user) == ("anthropic", "messages", "anthropic", "ada")
    assert sent.parts == {"system": len("Be brief."), "user": len("What is a fare box?")}
    assert sent.output_cap == 200
    assert (done.outcome, done.finish, done.answered_model) == ("ok", "end_turn", "claude-haiku-4-5-20251001")
    assert json.loads(done.usage_raw) == message.usage.to_dict()
    headers = answer.headers
    assert headers["request-id"] == done.provider_request == attempt.row.id == message._request_id
    assert headers["x-farebox-call"] == sent.call
    assert headers["x-farebox-cost-usd"] == usd_text(attempt.billed_femto)
    assert headers["anthropic-ratelimit-requests-limit"] == "10000"


@pytest.mark.parametrize("model", MODELS)
def test_stream(claude, books, model):
    with claude.messages.stream(model=model, max_tokens=300, messages=ASK) as stream:
        events = list(stream)
        message = stream.get_final_message()
    (ending,) = [event for event in events if event.type == "message_delta"]
    assert "".join(event.text for event in events if event.type == "text") == message.content[0].text
    assert message.stop_reason == "end_turn"
    (attempt,) = books.exact()
    assert attempt.done.outcome == "ok"
    assert message.usage.output_tokens == attempt.done.meters["output"] + attempt.done.meters.get("reasoning", 0)
    assert ending.usage.cost == usd_text(attempt.billed_femto)
    assert 0 < attempt.done.first_token_ns <= attempt.done.total_ns


@pytest.mark.parametrize("model", MODELS)
def test_streamed_parallel_tools(claude, books, model):
    asked = user("Weather in Paris and Rome?", tool_calls=2)
    with claude.messages.stream(model=model, max_tokens=300, messages=asked, tools=[WEATHER]) as stream:
        pieces = [event.partial_json for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    calls = [block for block in message.content if block.type == "tool_use"]
    assert len(calls) == 2
    assert len({call.id for call in calls}) == 2
    assert all(call.input.keys() == {"city", "days"} for call in calls)
    assert len([piece for piece in pieces if piece]) > 2, "arguments arrive in pieces"
    assert message.stop_reason == "tool_use"
    books.exact()


@pytest.mark.parametrize("model", MODELS)
def test_tool_results(claude, books, model):
    asked = user("Weather in Paris?", tool_calls=1)
    first = claude.messages.create(model=model, max_tokens=300, messages=asked, tools=[WEATHER])
    (call,) = [block for block in first.content if block.type == "tool_use"]
    result = {"type": "tool_result", "tool_use_id": call.id, "content": "Sunny."}
    turns = [
        *asked,
        {"role": "assistant", "content": [block.to_dict() for block in first.content]},
        {"role": "user", "content": [result, {"type": "text", "text": "And?"}]},
    ]
    second = claude.messages.create(model=model, max_tokens=300, messages=turns, tools=[WEATHER])
    assert second.content[0].text
    _, attempt = books.exact(2)
    assert attempt.sent.parts["context"] == len("Sunny.")
    assert attempt.sent.parts["user"] == len("And?")
    assert attempt.sent.parts["history"] > 0


@pytest.mark.parametrize("stream", [False, True])
def test_thinking(claude, books, stream):
    wish = {"model": "claude-sonnet-4-6", "max_tokens": 3000, "messages": ASK}
    thinking = {"type": "enabled", "budget_tokens": 1024}
    if stream:
        with claude.messages.stream(**wish, thinking=thinking) as running:
            message = running.get_final_message()
    else:
        message = claude.messages.create(**wish, thinking=thinking)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature
    (attempt,) = books.exact()
    assert attempt.done.meters["reasoning"] == 64


@pytest.mark.parametrize("model", MODELS)
def test_vision(claude, books, model):
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    answer = claude.messages.create(model=model, max_tokens=99, messages=[{"role": "user", "content": content}])
    assert answer.content[0].text
    (attempt,) = books.exact()
    assert attempt.sent.parts == {"user": len("What is this?")}
    assert attempt.done.meters["input"] > 700, "the picture is billed"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("ttl", "meter"), [("5m", "cache_write_5m"), ("1h", "cache_write_1h")])
def test_cache_control(claude, books, ttl, meter, stream):
    rules: dict[str, Any] = {"type": "text", "text": f"Rules of the house {ttl} {stream}. " * 400}
    rules["cache_control"] = {"type": "ephemeral", "ttl": ttl}
    for _ in range(2):
        wish = {"model": "claude-sonnet-4-6", "max_tokens": 200, "system": [rules], "messages": ASK}
        if stream:
            with claude.messages.stream(**wish) as running:
                running.get_final_message()
        else:
            claude.messages.create(**wish)
    first, second = books.exact(2)
    assert first.done.meters[meter] > 1024
    assert first.done.meters["cache_read"] == 0
    assert second.done.meters["cache_read"] == first.done.meters[meter]
    assert second.done.meters.get(meter, 0) == 0
    assert {line.meter for line in first.done.lines} == {"input", meter, "output"}
    assert {line.meter for line in second.done.lines} == {"input", "cache_read", "output"}


def test_cached_tokens_of_an_openai_model(claude, books):
    wish = {"model": "gpt-4o", "max_tokens": 200, "system": "Rules of this house. " * 400, "messages": ASK}
    claude.messages.create(**wish)
    message = claude.messages.create(**wish)
    _, attempt = books.exact(2)
    assert message.usage.cache_read_input_tokens == attempt.done.meters["cache_read"] >= 1024


def test_count_tokens(claude, books):
    counted = claude.messages.count_tokens(model="claude-haiku-4-5", messages=ASK)
    assert counted.input_tokens == 5
    (attempt,) = books.attempts(1)
    assert (attempt.sent.operation, attempt.row) == ("count_tokens", None)
    assert (attempt.done.total_femto, attempt.done.flags, attempt.done.unpriced) == (0, (), "")


def test_count_tokens_is_not_offered_by_openai(claude, books):
    with pytest.raises(anthropic.BadRequestError, match="does not offer count tokens"):
        claude.messages.count_tokens(model="gpt-4o", messages=ASK)
    books.nothing()


def test_models(claude, books):
    names = [model.id for model in claude.models.list()]
    assert {"gpt-4o-mini", "claude-haiku-4-5"} <= set(names)
    assert claude.models.retrieve("claude-haiku-4-5").type == "model"
    books.nothing()


def test_headers_that_ask_for_a_feature_are_handed_on(claude, raw, books):
    raw.reply(b"")
    with pytest.raises(anthropic.APIStatusError):
        claude.messages.create(
            model="raw-claude/x",
            max_tokens=9,
            messages=ASK,
            extra_headers={"anthropic-beta": "context-1m", "x-own": "1"},
        )
    ((_, headers, _),) = raw.received
    assert headers["anthropic-beta"] == "context-1m"
    assert headers["x-api-key"] == "sk-ant-raw"
    assert "x-own" not in headers
    assert "fbx" not in str(headers)
    books.attempts(1)


@pytest.mark.parametrize(
    ("status", "error", "type_"),
    [
        (401, anthropic.AuthenticationError, "authentication_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (529, anthropic.OverloadedError, "overloaded_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_provider_errors(claude, books, status, error, type_, stream):
    with pytest.raises(error) as caught:
        claude.messages.create(
            model="claude-haiku-4-5",
            max_tokens=9,
            messages=user("Hi", status=status, retry_after_s=0.3),
            stream=stream,
        )
    assert error_of(caught)["type"] == type_
    assert caught.value.response.headers["retry-after"] == "0.3"
    (attempt,) = books.exact()
    assert caught.value.request_id == attempt.row.id
    assert (attempt.done.outcome, attempt.done.status) == ("error", status)


def test_an_error_of_an_openai_model_in_anthropics_words(claude, books):
    with pytest.raises(anthropic.RateLimitError) as caught:
        claude.messages.create(model="gpt-4o", max_tokens=9, messages=user("Hi", status=429, retry_after_s=0.3))
    assert error_of(caught)["type"] == "rate_limit_error"
    assert caught.value.response.headers["retry-after"] == "0.3"
    books.exact()


def test_wrong_key_and_unknown_model(gateway, claude, books):
    with (
        anthropic.Anthropic(base_url=gateway.url, api_key="wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as caught,
    ):
        client.messages.create(model="claude-haiku-4-5", max_tokens=9, messages=ASK)
    assert error_of(caught)["type"] == "authentication_error"
    assert str(caught.value.request_id).startswith("call_")
    with pytest.raises(anthropic.NotFoundError) as missing:
        claude.messages.create(model="claude-none", max_tokens=9, messages=ASK)
    assert error_of(missing)["type"] == "not_found_error"
    books.nothing()


def test_what_the_other_dialect_cannot_express_is_refused_by_name(claude, books):
    with pytest.raises(anthropic.BadRequestError, match="top_k"):
        claude.messages.create(model="gpt-4o", max_tokens=9, messages=ASK, extra_body={"top_k": 5})
    books.nothing()


def test_async(gateway, claude, books):
    async def run():
        async with anthropic.AsyncAnthropic(base_url=gateway.url, api_key=claude.api_key) as client:

            async def stream(model):
                async with client.messages.stream(model=model, max_tokens=300, messages=ASK) as running:
                    return await running.get_final_text()

            return await asyncio.gather(*map(stream, ["gpt-4o", "claude-haiku-4-5"] * 3))

    assert len(set(asyncio.run(run()))) == 2
    books.exact(6)
