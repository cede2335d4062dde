import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.replay import Plan, TraceError, TraceRow
from farebox.replay.request import build_request
from farebox.replay.rows import Block, Section
from farebox.replay.text import write_block

RAG = TraceRow(
    at_s=0,
    input_tokens=400,
    output_tokens=50,
    sections=(
        Section("system", (Block(1, 20), Block(2, 20))),
        Section("history", (Block(5, 40),)),
        Section("passages", (Block(7, 30), Block(8, 30))),
        Section("web", (Block(3, 10),)),
        Section("user", (Block(9, 12),)),
    ),
    user="user-1",
    tags=(("app", "search"), ("env", "test")),
)
CHAT = TraceRow(
    at_s=0,
    input_tokens=30,
    output_tokens=5,
    sections=(
        Section("user", (Block(1, 10),)),
        Section("answer", (Block(2, 10),)),
        Section("user", (Block(3, 10),)),
    ),
)


def plan(**options):
    return Plan(rows=(), **options)


def body_of(row, index=0, **options):
    request = build_request(plan(**options), row, index)
    return request, json.loads(request.body)


@given(
    st.integers(), st.sampled_from(["user", "system"]), st.integers(0, 10**9), st.integers(1, 800), st.integers(1, 800)
)
def test_text_is_4_bytes_a_token_and_prefix_stable(seed, part, block, some, more):
    short, long = (write_block(seed, part, block, tokens) for tokens in sorted((some, more)))
    assert len(long.encode()) == 4 * max(some, more)
    assert long.startswith(short)


def test_text_differs_by_seed_part_and_id():
    texts = {write_block(*key, 50) for key in ((0, "user", 1), (1, "user", 1), (0, "system", 1), (0, "user", 2))}
    assert len(texts) == 4


def test_openai_prompt_has_its_parts():
    request, body = body_of(RAG, url="http://gateway:4000/v1/", key="sk-1", stream_share=0, seed=3)
    system, asked, answered, last = body["messages"]
    assert request.url == "http://gateway:4000/v1/chat/completions"
    assert request.headers["authorization"] == "Bearer sk-1"
    assert request.headers["x-farebox-tags"] == "app=search,env=test"
    assert (body["model"], body["max_completion_tokens"], body["user"]) == ("gpt-4o-mini", 50, "user-1")
    assert "stream" not in body
    assert system == {
        "role": "system",
        "content": write_block(3, "system", 1, 20) + write_block(3, "system", 2, 20),
    }
    assert (asked["role"], answered["role"]) == ("user", "assistant")
    assert asked["content"] + answered["content"] == write_block(3, "history", 5, 40)
    assert last["content"].startswith('<context>\n<document index="1">\n' + write_block(3, "passages", 7, 30))
    assert '<document index="3">\n' + write_block(3, "web", 3, 10) in last["content"]
    assert last["content"].endswith("</context>\n\n" + write_block(3, "user", 9, 12))


def test_anthropic_prompt_has_its_parts():
    request, body = body_of(RAG, key="sk-1", dialect="anthropic", stream_share=1, max_output=9)
    assert request.url.endswith(":4000/v1/messages")
    assert request.headers["x-api-key"] == "sk-1"
    assert "authorization" not in request.headers
    assert (body["max_tokens"], body["stream"], body["metadata"]) == (9, True, {"user_id": "user-1"})
    assert "stream_options" not in body
    assert body["system"] == write_block(0, "system", 1, 20) + write_block(0, "system", 2, 20)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


def test_cache_breakpoints_go_after_the_system_text_and_before_the_newest_piece():
    _, body = body_of(RAG, dialect="anthropic", cache_control=True)
    _, plain = body_of(RAG, dialect="anthropic")
    mark = {"type": "ephemeral"}
    assert body["system"] == [{"type": "text", "text": plain["system"], "cache_control": mark}]
    context, question = body["messages"][-1]["content"]
    assert context["cache_control"] == mark
    assert "cache_control" not in question
    assert context["text"] + question["text"] == plain["messages"][-1]["content"]


def test_turns_are_sent_as_they_were_written_before():
    _, first = body_of(TraceRow(at_s=0, input_tokens=10, output_tokens=10, sections=CHAT.sections[:1]))
    _, second = body_of(CHAT)
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "user"]
    assert second["messages"][0] == first["messages"][0]


def test_simulated_providers_are_told_the_length():
    _, body = body_of(CHAT, simulated=True, max_output=4)
    assert body["messages"][-1]["content"].endswith('[[simulate {"output_tokens": 4}]]')
    assert "simulate" not in body["messages"][0]["content"]


def test_literal_prompt():
    row = TraceRow(at_s=0, input_tokens=1, output_tokens=1, prompt="What is the fare?")
    _, body = body_of(row)
    assert body["messages"] == [{"role": "user", "content": "What is the fare?"}]


@pytest.mark.parametrize(
    ("named", "models", "served_as", "asked"),
    [
        (None, (), {}, "gpt-4o-mini"),
        ("own", (), {}, "own"),
        ("own", ("m",), {}, "m"),
        ("GPT-4", ("m",), {"GPT-4": "big"}, "big"),
    ],
)
def test_model(named, models, served_as, asked):
    row = TraceRow(at_s=0, input_tokens=1, output_tokens=1, prompt="x", model=named)
    assert body_of(row, models=models, served_as=served_as)[1]["model"] == asked


def test_choices_are_drawn_evenly_and_the_same_every_time():
    options = {"dialect": "both", "models": ("a", "b"), "stream_share": 0.25, "seed": 8}
    built = [build_request(plan(**options), CHAT, index) for index in range(400)]
    assert built == [build_request(plan(**options), CHAT, index) for index in range(400)]
    assert sum(request.dialect == "openai" for request in built) == pytest.approx(200, abs=40)
    assert sum(request.stream for request in built) == pytest.approx(100, abs=30)
    assert sum(json.loads(request.body)["model"] == "a" for request in built) == pytest.approx(200, abs=40)
    assert {request.stream for request in built if request.dialect == "anthropic"} == {True, False}


def test_a_row_that_says_so_streams_whatever_the_share():
    row = TraceRow(at_s=0, input_tokens=1, output_tokens=1, prompt="x", stream=True)
    assert body_of(row, stream_share=0)[0].stream


@pytest.mark.parametrize(
    ("options", "names"),
    [
        ({"speed": 0}, "speed"),
        ({"stream_share": 1.5}, "stream-share"),
        ({"limit": 0}, "limit"),
        ({"concurrency_max": 0}, "concurrency-max"),
        ({"max_output": 0}, "max-output"),
        ({"retries": -1}, "retry"),
        ({"timeout_s": 0}, "timeout"),
        ({"url": "localhost:4000"}, "url"),
    ],
)
def test_a_plan_that_cannot_be_run_names_its_fault(options, names):
    with pytest.raises(TraceError, match=names):
        plan(**options)


@pytest.mark.parametrize("sections", [(), CHAT.sections[:2], (Section("system", (Block(1, 1),)),)])
def test_a_row_ends_with_the_user(sections):
    with pytest.raises(TraceError, match="last turn"):
        TraceRow(at_s=0, input_tokens=1, output_tokens=1, sections=sections)
