"""The official OpenAI SDK against the simulated provider."""

import base64
import json
import struct

import openai
import pydantic
import pytest

from farebox.simulate.text import IMAGE_TOKENS, count_tokens

MINI = "gpt-4o-mini"
PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADU"
    "lEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"enum": ["c", "f"]}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


def say(prompt, /, **wishes):
    directive = f"[[simulate {json.dumps(wishes)}]]" if wishes else ""
    return [{"role": "user", "content": prompt + directive}]


def test_an_answer_has_exactly_the_length_that_was_asked_for(gpt, sim):
    answer = gpt.chat.completions.create(model=MINI, messages=say("abcd" * 10, output_tokens=120))
    assert answer.model == "gpt-4o-mini-2024-07-18"
    assert answer.choices[0].finish_reason == "stop"
    assert count_tokens(answer.choices[0].message.content) == 120
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (10, 120, 130)
    [row] = sim.rows()
    assert row.amount_usd == "0.0000735"  # 10 x 0.15 + 120 x 0.60 millionths
    assert row.usage == answer.usage.model_dump(exclude_none=True)


def test_equal_requests_get_equal_answers_and_others_do_not(gpt):
    texts = [
        gpt.chat.completions.create(model=MINI, messages=say(text)).choices[0].message.content
        for text in ("one", "one", "two")
    ]
    assert texts[0] == texts[1] != texts[2]


def test_max_tokens_cuts_the_answer(gpt):
    answer = gpt.chat.completions.create(model=MINI, max_tokens=5, messages=say("hello"))
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == count_tokens(answer.choices[0].message.content) == 5
    filled = gpt.chat.completions.create(model=MINI, max_tokens=300, messages=say("x", output_tokens="max"))
    assert (filled.usage.completion_tokens, filled.choices[0].finish_reason) == (300, "length")


def test_a_stop_sequence_ends_the_answer_before_itself(gpt):
    messages = say("x", text="one two STOP three")
    answer = gpt.chat.completions.create(model=MINI, stop="STOP", messages=messages)
    assert answer.choices[0].message.content == "one two "
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.completion_tokens == 2


@pytest.mark.parametrize("n", [1, 3])
def test_a_stream_joins_to_the_answer_that_is_not_streamed(gpt, n):
    messages = say("tell me", output_tokens=33)
    whole = gpt.chat.completions.create(model=MINI, n=n, messages=messages)
    chunks = list(
        gpt.chat.completions.create(
            model=MINI, n=n, messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [""] * n
    for chunk in chunks:
        for choice in chunk.choices:
            texts[choice.index] += choice.delta.content or ""
    assert texts == [c.message.content for c in whole.choices]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert chunks[-1].usage.completion_tokens == 33 * n


def test_usage_is_streamed_only_to_those_who_ask(gpt, hands):
    chunks = list(gpt.chat.completions.create(model=MINI, messages=say("x"), stream=True))
    assert all(c.usage is None and c.choices for c in chunks)
    body = {"model": MINI, "messages": say("x"), "stream": True}
    assert b'"usage"' not in hands.openai("/v1/chat/completions", body)[2]
    body["stream_options"] = {"include_usage": True}
    events = hands.openai("/v1/chat/completions", body)[2].split(b"\n\n")
    assert events[0].count(b'"usage":null') == 1


def test_a_required_tool_is_called_with_arguments_that_fit_its_schema(gpt):
    answer = gpt.chat.completions.create(model=MINI, messages=say("x"), tools=[WEATHER], tool_choice="required")
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    [call] = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert isinstance(arguments["city"], str)
    assert arguments["unit"] in ("c", "f")
    assert answer.usage.completion_tokens == count_tokens("get_weather" + call.function.arguments)


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tool_calls_and_the_turn_that_answers_them(gpt, stream):
    messages = say("weather and time", tool_calls=["get_weather", "get_time"])
    tools = [WEATHER, TIME]
    if stream:
        with gpt.chat.completions.stream(model=MINI, messages=messages, tools=tools) as events:
            message = events.get_final_completion().choices[0].message
    else:
        message = gpt.chat.completions.create(model=MINI, messages=messages, tools=tools).choices[0].message
    assert [c.function.name for c in message.tool_calls] == ["get_weather", "get_time"]
    assert len({c.id for c in message.tool_calls}) == 2
    turn = {
        "role": "assistant",
        "tool_calls": [
            {"id": c.id, "type": "function", "function": {"name": c.function.name, "arguments": c.function.arguments}}
            for c in message.tool_calls
        ],
    }
    results = [{"role": "tool", "tool_call_id": c.id, "content": "{}"} for c in message.tool_calls]
    answer = gpt.chat.completions.create(model=MINI, messages=[*messages, turn, *results], tools=tools)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


class Step(pydantic.BaseModel):
    title: str
    minutes: int
    kind: str | None


class Recipe(pydantic.BaseModel):
    name: str
    steps: list[Step]
    vegan: bool


def test_parse_returns_an_instance_of_the_schema(gpt):
    parsed = gpt.chat.completions.parse(model="gpt-4o", messages=say("a recipe"), response_format=Recipe)
    recipe = parsed.choices[0].message.parsed
    assert isinstance(recipe, Recipe)
    assert recipe.steps


def test_a_json_object_is_one_and_wants_the_word(gpt):
    form = {"type": "json_object"}
    answer = gpt.chat.completions.create(model=MINI, messages=say("as JSON"), response_format=form)
    assert isinstance(json.loads(answer.choices[0].message.content), dict)
    with pytest.raises(openai.BadRequestError, match="must contain the word 'json'"):
        gpt.chat.completions.create(model=MINI, messages=say("hello"), response_format=form)


def test_an_image_costs_its_stated_tokens(gpt):
    parts = [{"type": "text", "text": "abcd"}, {"type": "image_url", "image_url": {"url": PIXEL}}]
    answer = gpt.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": parts}])
    assert answer.usage.prompt_tokens == 1 + IMAGE_TOKENS


def test_logprobs_spell_the_answer(gpt):
    answer = gpt.chat.completions.create(model=MINI, messages=say("x", output_tokens=9), logprobs=True, top_logprobs=2)
    tokens = answer.choices[0].logprobs.content
    assert "".join(t.token for t in tokens) == answer.choices[0].message.content
    assert len(tokens) == 9
    assert all(len(t.top_logprobs) == 2 and t.logprob < 0 for t in tokens)


def test_reasoning_is_counted_inside_the_output(gpt):
    answer = gpt.chat.completions.create(
        model="gpt-5-mini", messages=say("x", output_tokens=100, reasoning_tokens=60), reasoning_effort="low"
    )
    assert answer.usage.completion_tokens == 100
    assert answer.usage.completion_tokens_details.reasoning_tokens == 60
    assert count_tokens(answer.choices[0].message.content) == 40
    spent = gpt.chat.completions.create(model="gpt-5", messages=say("x"), max_completion_tokens=50)
    assert (spent.choices[0].message.content, spent.choices[0].finish_reason) == ("", "length")
    assert spent.usage.completion_tokens_details.reasoning_tokens == 50


def test_embeddings_as_floats_and_base64_are_the_same_unit_vectors(gpt, sim):
    floats = gpt.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"], encoding_format="float")
    coded = gpt.embeddings.create(model="text-embedding-3-small", input=["a", "b", "a"])
    vectors = [d.embedding for d in floats.data]
    assert [d.embedding for d in coded.data] == vectors
    assert vectors[0] == vectors[2] != vectors[1]
    assert len(vectors[0]) == 1536
    assert sum(x * x for x in vectors[0]) == pytest.approx(1, abs=1e-5)
    assert floats.usage.prompt_tokens == 3
    assert [r.amount_usd for r in sim.rows()] == ["0.00000006", "0.00000006"]


def test_embeddings_take_dimensions_and_token_arrays(gpt, hands):
    cut = gpt.embeddings.create(model="text-embedding-3-large", input=[[1, 2, 3], [4]], dimensions=256)
    assert [len(d.embedding) for d in cut.data] == [256, 256]
    assert cut.usage.total_tokens == 4
    body = {"model": "text-embedding-3-small", "input": "x", "encoding_format": "base64", "dimensions": 4}
    raw = json.loads(hands.openai("/v1/embeddings", body)[2])["data"][0]["embedding"]
    assert len(struct.unpack("<4f", base64.b64decode(raw))) == 4


def test_models_are_listed_and_shown(gpt):
    ids = {m.id for m in gpt.models.list()}
    assert {"gpt-4o-mini", "gpt-4o", "gpt-4.1", "gpt-5", "text-embedding-3-small"} <= ids
    assert gpt.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        gpt.models.retrieve("gpt-nope")


def test_answers_carry_the_services_headers(gpt):
    raw = gpt.chat.completions.with_raw_response.create(model=MINI, messages=say("x"))
    assert raw.headers["x-request-id"].startswith("req_")
    assert raw.headers["openai-processing-ms"].isdigit()
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"
    assert raw.headers["x-ratelimit-remaining-requests"] == "9999"
    assert raw.parse().choices


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, openai.BadRequestError),
        (401, openai.AuthenticationError),
        (404, openai.NotFoundError),
        (429, openai.RateLimitError),
        (500, openai.InternalServerError),
        (503, openai.InternalServerError),
    ],
)
def test_injected_errors_become_the_sdks_classes_and_cost_nothing(gpt, sim, status, error):
    with pytest.raises(error) as caught:
        gpt.chat.completions.create(model=MINI, messages=say("x", status=status, retry_after_s=7))
    assert caught.value.response.headers["retry-after"] == "7"
    assert caught.value.request_id.startswith("req_")
    [row] = sim.rows()
    assert (row.status, row.outcome, row.amount_usd) == (status, "refused", "0")


def test_a_wrong_key_is_refused(sim):
    with openai.OpenAI(base_url=sim.openai_url, api_key="sk-invalid", max_retries=0) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model=MINI, messages=say("x"))
        assert caught.value.code == "invalid_api_key"
    sim.configure(keys=["sk-good"])
    with (
        openai.OpenAI(base_url=sim.openai_url, api_key="sk-other", max_retries=0) as client,
        pytest.raises(openai.AuthenticationError),
    ):
        client.models.list()


CHAT = {"model": MINI, "messages": [{"role": "user", "content": "x"}]}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("change", "status", "code", "param"),
    [
        ({"model": None}, 400, None, None),
        ({"model": "gpt-nope"}, 404, "model_not_found", None),
        ({"model": "text-embedding-3-small"}, 404, None, "model"),
        ({"messages": []}, 400, "empty_array", "messages"),
        ({"messages": "hi"}, 400, "invalid_type", "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, 400, "invalid_value", "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "invalid_type", "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": [{"type": "smell"}]}]},
            400,
            "invalid_value",
            "messages[0].content[0].type",
        ),
        ({"messages": [{"role": "tool", "tool_call_id": "a", "content": "x"}]}, 400, None, "messages.[0].role"),
        ({"messages": [{"role": "assistant", "tool_calls": [CALL]}]}, 400, None, "messages.[1].role"),
        ({"temperature": 3}, 400, "decimal_above_max_value", "temperature"),
        ({"max_tokens": 0}, 400, "integer_below_min_value", "max_tokens"),
        ({"max_tokens": 99999}, 400, "invalid_value", "max_tokens"),
        ({"n": 0}, 400, "integer_below_min_value", "n"),
        ({"stop": ["a"] * 5}, 400, "array_above_max_length", "stop"),
        ({"stream_options": {"include_usage": True}}, 400, None, "stream_options"),
        ({"tools": []}, 400, "empty_array", "tools"),
        ({"tool_choice": "auto"}, 400, None, "tool_choice"),
        ({"bogus": 1}, 400, None, None),
        ({"model": "gpt-5", "max_tokens": 9}, 400, "unsupported_parameter", "max_tokens"),
        ({"model": "gpt-5", "temperature": 0.5}, 400, "unsupported_value", "temperature"),
        ({"messages": [{"role": "user", "content": "abcd" * 128_001}]}, 400, "context_length_exceeded", "messages"),
    ],
)
def test_bad_requests_name_what_is_wrong(hands, sim, change, status, code, param):
    answer = hands.openai("/v1/chat/completions", {**CHAT, **change})
    error = json.loads(answer[2])["error"]
    assert answer[0] == status
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    assert [r.amount_usd for r in sim.rows()] == ["0"]


def test_a_body_that_is_no_json_is_refused(hands):
    assert b"could not parse the JSON body" in hands.openai("/v1/chat/completions", b"{nope")[2]
    assert hands.openai("/v1/nowhere", {})[0] == 404
    assert hands.request("POST", "/v1/chat/completions", CHAT)[0] == 401


def test_the_sdk_retries_a_rate_limit_that_passes(sim):
    sim.configure(rules=[{"first": 1, "status": 429, "retry_after_s": 0}])
    with openai.OpenAI(base_url=sim.openai_url, api_key="sk-test", max_retries=1) as client:
        assert client.chat.completions.create(model=MINI, messages=say("x")).choices
    assert [r.status for r in sim.rows()] == [429, 200]


def test_real_rate_limits_count_and_end_with_the_minute(gpt, sim, clock):
    sim.configure(requests_per_minute=2)
    for _ in range(2):
        gpt.chat.completions.create(model=MINI, messages=say("x"))
    with pytest.raises(openai.RateLimitError) as caught:
        gpt.chat.completions.create(model=MINI, messages=say("x"))
    assert 1 <= int(caught.value.response.headers["retry-after"]) <= 60
    clock.now_s += 60
    assert gpt.chat.completions.create(model=MINI, messages=say("x")).choices
