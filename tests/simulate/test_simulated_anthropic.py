"""The official Anthropic SDK against the simulated provider."""

import json

import anthropic
import pydantic
import pytest

from farebox.simulate.text import IMAGE_TOKENS, count_tokens

SONNET, HAIKU = "claude-sonnet-4-6", "claude-haiku-4-5"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
WEATHER = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TIME = {"name": "get_time", "input_schema": {"type": "object", "properties": {}}}


def say(prompt, /, **wishes):
    directive = f"[[simulate {json.dumps(wishes)}]]" if wishes else ""
    return [{"role": "user", "content": prompt + directive}]


def ask(claude, messages, **more):
    return claude.messages.create(**{"model": SONNET, "max_tokens": 4000, "messages": messages, **more})


def test_an_answer_has_exactly_the_length_that_was_asked_for(claude, sim):
    answer = ask(claude, say("abcd" * 10, output_tokens=120), system="abcd")
    assert answer.model == SONNET
    assert answer.stop_reason == "end_turn"
    assert count_tokens(answer.content[0].text) == 120
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (11, 120)
    [row] = sim.rows()
    assert row.amount_usd == "0.001833"  # 11 x 3 + 120 x 15 millionths
    assert row.usage == answer.usage.model_dump(exclude_none=True)


def test_the_cap_and_stop_sequences_end_an_answer(claude):
    cut = ask(claude, say("x"), model=HAIKU, max_tokens=5)
    assert (cut.stop_reason, cut.usage.output_tokens, cut.model) == ("max_tokens", 5, "claude-haiku-4-5-20251001")
    stopped = ask(claude, say("x", text="one two STOP three"), stop_sequences=["STOP"])
    assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "STOP")
    assert stopped.content[0].text == "one two "


def test_a_stream_joins_to_the_answer_that_is_not_streamed(claude):
    messages = say("tell me", output_tokens=33)
    whole = ask(claude, messages)
    with claude.messages.stream(model=SONNET, max_tokens=4000, messages=messages) as stream:
        types = [e.type for e in stream]
        final = stream.get_final_message()
    assert final.content[0].text == whole.content[0].text
    assert final.usage == whole.usage
    assert types[0] == "message_start"
    assert types[-1] == "message_stop"


def test_stream_events_come_in_anthropics_order(hands):
    body = {"model": SONNET, "max_tokens": 100, "stream": True, "messages": say("x", output_tokens=9)}
    text = hands.anthropic("/v1/messages", body)[2].decode()
    events = [dict(line.split(": ", 1) for line in e.split("\n")) for e in text.strip().split("\n\n")]
    assert [e["event"] for e in events] == [
        "message_start",
        "content_block_start",
        "ping",
        *["content_block_delta"] * 3,
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert all(json.loads(e["data"])["type"] == e["event"] for e in events)
    usage = json.loads(events[-2]["data"])["usage"]
    assert (usage["input_tokens"], usage["output_tokens"]) == (1, 9)


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_comes_first_with_a_signature_and_is_billed_as_output(claude, stream):
    wanted = {
        "model": SONNET,
        "max_tokens": 4000,
        "messages": say("x", output_tokens=100, reasoning_tokens=70),
        "thinking": {"type": "enabled", "budget_tokens": 1024},
    }
    if stream:
        with claude.messages.stream(**wanted) as events:
            answer = events.get_final_message()
    else:
        answer = claude.messages.create(**wanted)
    assert [b.type for b in answer.content] == ["thinking", "text"]
    assert count_tokens(answer.content[0].thinking) == 70
    assert answer.content[0].signature
    assert answer.usage.output_tokens == 100
    assert answer.usage.output_tokens_details.thinking_tokens == 70


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tool_calls_and_the_turn_that_answers_them(claude, stream):
    messages = say("both", tool_calls=2)
    wanted = {"model": SONNET, "max_tokens": 4000, "messages": messages, "tools": [WEATHER, TIME]}
    if stream:
        with claude.messages.stream(**wanted) as events:
            answer = events.get_final_message()
    else:
        answer = claude.messages.create(**wanted)
    assert answer.stop_reason == "tool_use"
    assert [b.name for b in answer.content] == ["get_weather", "get_time"]
    assert isinstance(answer.content[0].input["city"], str)
    results = [{"type": "tool_result", "tool_use_id": b.id, "content": "fine"} for b in answer.content]
    turns = [
        *messages,
        {"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in answer.content]},
        {"role": "user", "content": results},
    ]
    after = ask(claude, turns, tools=[WEATHER, TIME])
    assert (after.stop_reason, after.content[0].type) == ("end_turn", "text")


def test_tool_choice_demands_a_tool(claude):
    answer = ask(claude, say("x"), tools=[WEATHER, TIME], tool_choice={"type": "tool", "name": "get_time"})
    assert [b.name for b in answer.content] == ["get_time"]
    answer = ask(claude, say("x"), tools=[WEATHER], tool_choice={"type": "any"})
    assert answer.stop_reason == "tool_use"


class City(pydantic.BaseModel):
    name: str
    people: int


def test_parse_returns_an_instance_of_the_schema(claude):
    parsed = claude.messages.parse(model=SONNET, max_tokens=4000, messages=say("x"), output_format=City)
    assert isinstance(parsed.parsed_output, City)


def test_an_image_costs_its_stated_tokens_and_counting_agrees(claude, sim):
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
    messages = [{"role": "user", "content": [image, {"type": "text", "text": "abcd"}]}]
    counted = claude.messages.count_tokens(model=SONNET, messages=messages, system="abcd", tools=[TIME])
    answer = ask(claude, messages, system="abcd", tools=[TIME])
    assert counted.input_tokens == answer.usage.input_tokens
    assert counted.input_tokens > IMAGE_TOKENS + 2
    assert len(sim.rows()) == 1, "counting is free"


def test_models_are_listed_in_pages(claude):
    ids = [m.id for m in claude.models.list(limit=1)]
    assert set(ids) == {"claude-sonnet-4-6", "claude-opus-4-6", "claude-haiku-4-5-20251001"}
    assert len(ids) == 3
    assert claude.models.retrieve("claude-haiku-4-5").display_name == "Claude Haiku 4.5"


def test_answers_carry_the_services_headers(claude):
    raw = claude.messages.with_raw_response.create(model=SONNET, max_tokens=5, messages=say("x"))
    assert raw.headers["request-id"].startswith("req_")
    assert raw.headers["anthropic-ratelimit-requests-remaining"] == "9999"
    assert raw.headers["anthropic-ratelimit-input-tokens-reset"].endswith("Z")


@pytest.mark.parametrize(
    ("status", "error", "kind", "again"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error", "false"),
        (401, anthropic.AuthenticationError, "authentication_error", "false"),
        (404, anthropic.NotFoundError, "not_found_error", "false"),
        (429, anthropic.RateLimitError, "rate_limit_error", "true"),
        (500, anthropic.InternalServerError, "api_error", "true"),
        (503, anthropic.InternalServerError, "api_error", "true"),
        (529, anthropic.InternalServerError, "overloaded_error", "true"),
    ],
)
def test_injected_errors_become_the_sdks_classes_and_cost_nothing(claude, sim, status, error, kind, again):
    with pytest.raises(error) as caught:
        ask(claude, say("x", status=status, retry_after_s=1.5))
    assert caught.value.status_code == status
    assert caught.value.body["error"]["type"] == kind
    assert caught.value.body["request_id"] == caught.value.request_id
    assert caught.value.response.headers["x-should-retry"] == again
    assert caught.value.response.headers["retry-after"] == "1.5"
    assert [(r.status, r.amount_usd) for r in sim.rows()] == [(status, "0")]


TEXT = {"role": "user", "content": "x"}
USE = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_9", "content": "y"}]}
KEEP = {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": None}, "model: Field required"),
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"max_tokens": 999_999}, "which is the maximum allowed number of output tokens"),
        ({"messages": None}, "messages: Field required"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "system", "content": "x"}]}, 'Unexpected role "system"'),
        ({"messages": [{"role": "assistant", "content": "x"}]}, 'first message must use the "user" role'),
        (
            {"messages": [{"role": "user", "content": [{"type": "text", "text": ""}]}]},
            "text content blocks must be non-empty",
        ),
        ({"messages": [{"role": "user", "content": [{"type": "smell"}]}]}, "Input tag 'smell'"),
        ({"messages": [TEXT, USE]}, "without `tool_result` blocks immediately after: toolu_1"),
        ({"messages": [TEXT, USE, TEXT]}, "without `tool_result` blocks immediately after: toolu_1"),
        ({"messages": [TEXT, USE, RESULT]}, "unexpected `tool_use_id` found in `tool_result` blocks: toolu_9"),
        ({"temperature": 1.5}, "temperature: range: 0..1"),
        ({"temperature": 1, "top_p": 0.5}, "cannot both be specified"),
        ({"bogus": 1}, "bogus: Extra inputs are not permitted"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5000}}, "must be greater than `thinking.budget_tokens`"),
        ({"system": [KEEP] * 5}, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (
            {"system": [KEEP, {**KEEP, "cache_control": {"type": "ephemeral", "ttl": "1h"}}]},
            "must not come after a ttl='5m'",
        ),
        ({"tool_choice": {"type": "any"}}, "may only be specified while providing tools"),
    ],
)
def test_bad_requests_name_what_is_wrong(hands, sim, change, words):
    body = {"model": SONNET, "max_tokens": 2000, "messages": [TEXT], **change}
    status, _, answer = hands.anthropic("/v1/messages", {k: v for k, v in body.items() if v is not None})
    error = json.loads(answer)
    assert status == 400
    assert error["error"]["type"] == "invalid_request_error"
    assert words in error["error"]["message"]
    assert [r.amount_usd for r in sim.rows()] == ["0"]


def test_key_version_model_and_path_are_checked(hands):
    body = {"model": SONNET, "max_tokens": 5, "messages": [TEXT]}
    assert hands.anthropic("/v1/messages", body, {"anthropic-version": ""})[0] == 400
    assert hands.anthropic("/v1/messages", body, {"x-api-key": "sk-invalid"})[0] == 401
    assert (
        hands.request("POST", "/v1/messages", body, {"authorization": "Bearer k", "anthropic-version": "1"})[0] == 200
    )
    assert hands.anthropic("/v1/messages", {**body, "model": "claude-nope"})[0] == 404
    assert hands.anthropic("/v1/messages/nowhere", body)[0] == 404


def test_an_error_inside_a_stream_raises(claude, sim):
    wanted = say("x", fault="error_event", after_chunks=2, error_type="overloaded_error", output_tokens=40)
    with (
        pytest.raises(anthropic.APIStatusError, match="overloaded_error"),
        claude.messages.stream(model=SONNET, max_tokens=100, messages=wanted) as stream,
    ):
        stream.get_final_message()
    [row] = sim.rows()
    assert (row.outcome, row.quantities["output"]) == ("cut", 8)
