"""The official OpenAI SDK against the gateway; every call costs what the provider bills."""

import asyncio
import base64
import json
from decimal import Decimal
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from farebox.money import usd_text

ASK: Any = [{"role": "system", "content": "Answer briefly."}, {"role": "user", "content": "What is a fare box?"}]
WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    },
}
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def user(text, **wishes):
    return [{"role": "user", "content": f"{text} [[simulate {json.dumps(wishes)}]]" if wishes else text}]


def test_chat(gpt, books):
    answer = gpt.chat.completions.create(model="gpt-4o-mini", messages=ASK, user="ada", metadata={"team": "search"})
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content
    assert answer.model == "gpt-4o-mini-2024-07-18"
    (attempt,) = books.exact()
    sent, done = attempt.sent, attempt.done
    assert (sent.key_name, sent.user, sent.tags) == ("tests", "ada", {"team": "search"})
    assert (sent.provider, sent.rate_provider, sent.model, sent.stream) == ("openai", "openai", "gpt-4o-mini", False)
    assert sent.parts == {"system": len("Answer briefly."), "user": len("What is a fare box?")}
    assert (done.outcome, done.status, done.finish, done.final) == ("ok", 200, "stop", True)
    assert (done.answered_model, done.service_tier) == ("gpt-4o-mini-2024-07-18", "default")
    assert done.provider_request == attempt.row.id
    assert json.loads(done.usage_raw) == answer.usage.to_dict()
    assert 0 < done.first_token_ns <= done.total_ns
    assert done.gateway_ns > 0


@pytest.mark.parametrize(
    "model", ["gpt-4o", "openai/gpt-4.1", "gpt-5-mini", "claude-sonnet-4-6", "anthropic/claude-opus-4-6"]
)
def test_every_kind_of_model_costs_what_is_billed(gpt, books, model):
    answer = gpt.chat.completions.create(model=model, messages=ASK, max_completion_tokens=2000)
    assert answer.choices[0].message.content
    books.exact()


def test_headers(gpt, books):
    answer = gpt.chat.completions.with_raw_response.create(model="gpt-4o", messages=ASK)
    (attempt,) = books.exact()
    headers = answer.headers
    assert headers["x-farebox-call"] == attempt.sent.call
    assert headers["x-farebox-provider"] == "openai"
    assert headers["x-farebox-model"] == "gpt-4o"
    assert headers["x-farebox-attempts"] == "1"
    assert headers["x-farebox-cost-usd"] == usd_text(attempt.billed_femto)
    assert headers["x-request-id"] == attempt.row.id == answer.parse()._request_id
    assert headers["x-ratelimit-limit-requests"] == "10000"
    assert int(headers["x-ratelimit-remaining-tokens"]) > 0
    assert headers["openai-processing-ms"].isdigit()
    assert "openai-organization" not in headers  # whose account it is, is the operator's business


def test_tags_from_the_header_join_those_of_the_body(gpt, books):
    tags = {"x-farebox-tags": "env=prod, team=ranking"}
    gpt.chat.completions.create(model="gpt-4o", messages=ASK, metadata={"team": "search", "a": "b"}, extra_headers=tags)
    (attempt,) = books.exact()
    assert attempt.sent.tags == {"a": "b", "team": "ranking", "env": "prod"}


def test_stream_without_usage(gpt, books):
    stream = gpt.chat.completions.create(model="gpt-4o-mini", messages=ASK, stream=True)
    chunks = list(stream)
    assert stream.response.headers["x-farebox-attempts"] == "1"
    assert "x-farebox-cost-usd" not in stream.response.headers
    assert all(chunk.choices for chunk in chunks), "a usage chunk that was not asked for"
    assert all(chunk.usage is None for chunk in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    (attempt,) = books.exact()
    assert attempt.sent.stream
    assert (attempt.done.outcome, attempt.done.finish) == ("ok", "stop")
    assert 0 < attempt.done.first_token_ns <= attempt.done.total_ns


def test_stream_with_usage_tells_the_cost(gpt, books):
    stream = gpt.chat.completions.create(
        model="gpt-4o-mini", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    *chunks, last = list(stream)
    assert all(chunk.choices for chunk in chunks)
    assert last.choices == []
    (attempt,) = books.exact()
    assert last.usage.cost == usd_text(attempt.billed_femto)
    assert Decimal(last.usage.cost) == Decimal(attempt.row.amount_usd)
    assert last.usage.total_tokens == last.usage.prompt_tokens + last.usage.completion_tokens
    assert "cost" not in json.loads(attempt.done.usage_raw), "on record is what the provider said"


def test_tools_and_their_results(gpt, books):
    asked = user("Weather in Paris?", tool_calls=2)
    answer = gpt.chat.completions.create(model="gpt-4o", messages=asked, tools=[WEATHER])
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in message.tool_calls] == ["get_weather"] * 2
    results = [{"role": "tool", "tool_call_id": call.id, "content": "Sunny."} for call in message.tool_calls]
    turns = [*asked, message.to_dict(), *results]
    told = gpt.chat.completions.create(model="gpt-4o", messages=turns, tools=[WEATHER])
    assert told.choices[0].message.content
    first, second = books.exact(2)
    assert first.done.finish == "tool_calls"
    assert first.sent.parts["tools"] > 0
    assert second.sent.parts["context"] == 2 * len("Sunny.")


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-6"])
def test_streamed_parallel_tools(gpt, books, model):
    asked = user("Weather in Paris and Rome?", tool_calls=2)
    with gpt.chat.completions.stream(model=model, messages=asked, tools=[WEATHER], max_completion_tokens=500) as stream:
        deltas = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
        answer = stream.get_final_completion()
    calls = answer.choices[0].message.tool_calls
    assert len(calls) == 2
    assert len({call.id for call in calls}) == 2
    assert all(json.loads(call.function.arguments).keys() == {"city", "days"} for call in calls)
    assert len(deltas) > 2, "arguments arrive in pieces"
    assert answer.choices[0].finish_reason == "tool_calls"
    (attempt,) = books.exact()
    assert attempt.done.finish == ("tool_calls" if model == "gpt-4o" else "tool_use")


class Step(BaseModel):
    title: str
    minutes: int


class Recipe(BaseModel):
    name: str
    steps: list[Step]


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-6"])
def test_parse(gpt, books, model):
    answer = gpt.chat.completions.parse(model=model, messages=ASK, response_format=Recipe, max_completion_tokens=500)
    recipe = answer.choices[0].message.parsed
    assert isinstance(recipe, Recipe)
    assert recipe.steps
    books.exact()


@pytest.mark.parametrize("model", ["gpt-4o", "claude-sonnet-4-6"])
def test_vision(gpt, books, model):
    content = [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = gpt.chat.completions.create(model=model, messages=[{"role": "user", "content": content}])
    assert answer.choices[0].message.content
    (attempt,) = books.exact()
    assert attempt.sent.parts == {"user": len("What is this?")}
    assert attempt.done.meters["input"] > 700, "the picture is billed"


def test_choices_and_logprobs(gpt, books):
    answer = gpt.chat.completions.create(
        model="gpt-4o", messages=ASK, n=2, logprobs=True, top_logprobs=2, max_completion_tokens=20
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert len(answer.choices[1].logprobs.content[0].top_logprobs) == 2
    (attempt,) = books.exact()
    assert attempt.sent.output_cap == 40


def test_streamed_choices(gpt, books):
    chunks = gpt.chat.completions.create(model="gpt-4o", messages=ASK, n=3, stream=True, logprobs=True)
    assert {chunk.choices[0].index for chunk in chunks} == {0, 1, 2}
    books.exact()


@pytest.mark.parametrize("stream", [False, True])
def test_cached_tokens_are_metered_apart(gpt, books, stream):
    long = [{"role": "system", "content": f"Rules of the house {stream}. " * 400}, *ASK[1:]]
    for _ in range(2):
        answer = gpt.chat.completions.create(model="gpt-4o", messages=long, stream=stream)
        if stream:
            list(answer)
    first, second = books.exact(2)
    assert first.done.meters["cache_read"] == 0
    assert second.done.meters["cache_read"] >= 1024
    assert {line.meter for line in second.done.lines} == {"input", "cache_read", "output"}
    assert second.done.total_femto < first.done.total_femto


def test_reasoning_is_metered_apart(gpt, books):
    gpt.chat.completions.create(model="gpt-5-mini", messages=ASK, reasoning_effort="high")
    (attempt,) = books.exact()
    assert attempt.done.meters["reasoning"] == 256
    assert attempt.done.meters["output"] > 0


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_embeddings(gpt, books, encoding):
    wish = {} if encoding is None else {"encoding_format": encoding}
    answer = gpt.embeddings.create(model="text-embedding-3-small", input=["one text", "another"], dimensions=8, **wish)
    assert len(answer.data) == 2
    vector = answer.data[0].embedding
    if isinstance(vector, str):
        assert len(base64.b64decode(vector)) == 32
    else:
        assert len(vector) == 8
    (attempt,) = books.exact()
    assert attempt.sent.operation == "embeddings"
    assert attempt.done.meters == {"input": 4}


def test_models(gpt, books):
    names = [model.id for model in gpt.models.list()]
    assert {"gpt-4o-mini", "claude-haiku-4-5", "dead-first"} <= set(names)
    assert gpt.models.retrieve("gpt-4o-mini").owned_by == "openai"
    assert gpt.models.retrieve("anthropic/claude-opus-4-6").owned_by == "anthropic"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("no-such-model")
    books.nothing()


def test_authentication_error(gateway, books):
    with (
        openai.OpenAI(base_url=gateway.openai_url, api_key="wrong", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError) as caught,
    ):
        client.chat.completions.create(model="gpt-4o", messages=ASK)
    assert caught.value.code == "invalid_api_key"
    assert caught.value.type == "invalid_request_error"
    assert str(caught.value.request_id).startswith("call_")
    books.nothing()


def test_unknown_model(gpt, books):
    with pytest.raises(openai.NotFoundError, match="'gpt-none' does not exist") as caught:
        gpt.chat.completions.create(model="gpt-none", messages=ASK)
    assert (caught.value.code, caught.value.param) == ("model_not_found", "model")
    books.nothing()


def test_model_that_the_provider_does_not_know(gpt, books):
    with pytest.raises(openai.NotFoundError, match="`gpt-none` does not exist") as caught:
        gpt.chat.completions.create(model="openai/gpt-none", messages=ASK)
    assert caught.value.code == "model_not_found"
    (attempt,) = books.exact()
    assert (attempt.done.outcome, attempt.done.status, attempt.done.total_femto) == ("error", 404, 0)
    assert caught.value.request_id == attempt.row.id


def test_bad_request_of_the_provider(gpt, books):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(model="gpt-4o", messages=ASK, temperature=9)
    assert (caught.value.code, caught.value.param) == ("decimal_above_max_value", "temperature")
    (attempt,) = books.exact()
    assert (attempt.done.outcome, attempt.done.status, attempt.done.total_femto) == ("error", 400, 0)
    assert "temperature" in attempt.done.error


@pytest.mark.parametrize(
    ("status", "error"),
    [(429, openai.RateLimitError), (500, openai.InternalServerError), (503, openai.InternalServerError)],
)
@pytest.mark.parametrize("stream", [False, True])
def test_provider_errors(gpt, books, status, error, stream):
    with pytest.raises(error) as caught:
        gpt.chat.completions.create(
            model="gpt-4o", messages=user("Hi", status=status, retry_after_s=0.3), stream=stream
        )
    assert caught.value.status_code == status
    assert caught.value.response.headers["retry-after"] == "0.3"
    assert caught.value.response.headers["x-farebox-attempts"] == "1"
    (attempt,) = books.exact()
    assert (attempt.done.outcome, attempt.done.status, attempt.done.final) == ("error", status, True)


def test_the_sdk_itself_retries_after_a_rate_limit(gateway, gpt, simulated, books):
    simulated.configure(rules=[{"first": 1, "status": 429, "retry_after_s": 0.1}])
    try:
        with openai.OpenAI(base_url=gateway.openai_url, api_key=gpt.api_key, max_retries=1) as client:
            answer = client.chat.completions.create(model="gpt-4o", messages=ASK)
    finally:
        simulated.configure()
    assert answer.choices[0].message.content
    first, second = books.exact(2)
    assert (first.done.status, second.done.status) == (429, 200)
    assert first.sent.call != second.sent.call


def test_an_unknown_field_reaches_the_provider(gpt, books):
    with pytest.raises(openai.BadRequestError, match="Unrecognized request argument supplied: flavour"):
        gpt.chat.completions.create(model="gpt-4o", messages=ASK, extra_body={"flavour": "lemon"})
    books.exact()


def test_what_the_other_dialect_cannot_express_is_refused_by_name(gpt, books):
    with pytest.raises(openai.BadRequestError) as caught:
        gpt.chat.completions.create(model="claude-haiku-4-5", messages=ASK, logit_bias={"50256": -100})
    assert caught.value.param == "logit_bias"
    books.nothing()


def test_async_calls_side_by_side(gateway, gpt, books):
    async def run():
        async with openai.AsyncOpenAI(base_url=gateway.openai_url, api_key=gpt.api_key) as client:

            async def stream(model):
                chunks = await client.chat.completions.create(model=model, messages=ASK, stream=True)
                return "".join([chunk.choices[0].delta.content or "" async for chunk in chunks])

            async def call(model):
                answer = await client.chat.completions.create(model=model, messages=ASK)
                return answer.choices[0].message.content

            models = ["gpt-4o", "claude-haiku-4-5"] * 5
            return await asyncio.gather(*map(stream, models), *map(call, models))

    texts = asyncio.run(run())
    assert len(set(texts)) == 2, "a model answers the same question with the same words, streamed or not"
    books.exact(20)
