"""A real engine's habits survive the gateway, in both dialects and across them; its cached tokens are in the books.

The habits of this one: it answers with a file's path for a model, adds `timings`, sends nulls and no request id,
and caches every prompt.
"""

import random
from typing import Literal

import openai
import pytest
from pydantic import BaseModel

from farebox.replay.text import WORDS
from tests.engine.conftest import MODEL

pytestmark = pytest.mark.engine

OPENAI_SIDE = f"llama/{MODEL}"
ANTHROPIC_SIDE = f"llama-messages/{MODEL}"
CAP = 6


def prefix(seed):
    """A long beginning of a prompt, another one for each test, so that none finds another's in the cache."""
    draw = random.Random(f"{seed}:prefix")
    return " ".join(draw.choices(WORDS, k=100))


def check_openai_usage(attempt, usage):
    cached = usage.prompt_tokens_details.cached_tokens
    counted = {"input": usage.prompt_tokens - cached, "cache_read": cached, "output": usage.completion_tokens}
    assert {meter: count for meter, count in attempt.meters.items() if count} == {k: v for k, v in counted.items() if v}


def check_anthropic_usage(attempt, usage):
    counted = {
        "input": usage.input_tokens,
        "cache_read": usage.cache_read_input_tokens,
        "output": usage.output_tokens,
    }
    assert {meter: count for meter, count in attempt.meters.items() if count} == {k: v for k, v in counted.items() if v}


def ask_openai(engine, model, text, *, stream):
    """Return the text, the usage and the attempt in the books of a call with the OpenAI SDK."""
    create = engine.gpt.chat.completions.with_raw_response.create
    messages = [{"role": "user", "content": text}]
    if not stream:
        raw = create(model=model, messages=messages, max_tokens=CAP)
        answer = raw.parse()
        return answer.choices[0].message.content, answer.usage, engine.attempt_of(raw.headers)
    options = {"include_usage": True}
    raw = create(model=model, messages=messages, max_tokens=CAP, stream=True, stream_options=options)
    chunks = list(raw.parse())
    written = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    (usage,) = [chunk.usage for chunk in chunks if chunk.usage]
    return written, usage, engine.attempt_of(raw.headers)


def ask_anthropic(engine, model, text, *, stream):
    """Return the text, the usage and the attempt in the books of a call with the Anthropic SDK."""
    messages = [{"role": "user", "content": text}]
    if not stream:
        raw = engine.claude.messages.with_raw_response.create(model=model, messages=messages, max_tokens=CAP)
        answer = raw.parse()
        return answer.content[0].text, answer.usage, engine.attempt_of(raw.headers)
    with engine.claude.messages.stream(model=model, messages=messages, max_tokens=CAP) as events:
        answer = events.get_final_message()
        return answer.content[0].text, answer.usage, engine.attempt_of(events.response.headers)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("ask", "model", "check"),
    [
        (ask_openai, OPENAI_SIDE, check_openai_usage),
        (ask_anthropic, ANTHROPIC_SIDE, check_anthropic_usage),
        (ask_anthropic, OPENAI_SIDE, check_anthropic_usage),
        (ask_openai, ANTHROPIC_SIDE, check_openai_usage),
    ],
    ids=["openai", "anthropic", "anthropic-to-openai", "openai-to-anthropic"],
)
def test_cached_tokens_are_in_the_books(engine, request, ask, model, check, stream):
    shared = prefix(request.node.name)
    for number, question in enumerate(("What is a fare?", "Who pays for the journey?")):
        text, usage, attempt = ask(engine, model, f"{shared}\n{question}", stream=stream)
        assert text
        assert attempt.outcome == "ok"
        assert attempt.stream == stream
        assert attempt.answered_model.endswith(".gguf")
        check(attempt, usage)
        assert 0 < attempt.meters["output"] <= CAP
        if number:
            assert attempt.meters["cache_read"] > 80
        else:
            assert attempt.meters["input"] > 80, "nobody has asked this before"


def test_error_of_the_engine(engine):
    with pytest.raises(openai.BadRequestError) as refused:
        ask_openai(engine, OPENAI_SIDE, "word " * 6000, stream=False)
    attempt = engine.attempt_of(refused.value.response.headers)
    assert (attempt.outcome, attempt.status, attempt.total_femto) == ("error", 400, 0)
    assert "context" in attempt.error


def test_client_hangs_up(engine):
    """An engine that goes on without its client is read to the end, for its usage."""
    create = engine.gpt.chat.completions.with_raw_response.create
    messages = [{"role": "user", "content": "Tell me a long story about a train."}]
    raw = create(model=OPENAI_SIDE, messages=messages, max_tokens=40, stream=True)
    with raw.parse() as stream:
        next(iter(stream))
    attempt = engine.attempt_of(raw.headers)
    assert attempt.outcome == "client_gone"
    assert attempt.meters["output"] > 5


def test_count_tokens(engine):
    raw = engine.claude.messages.with_raw_response.count_tokens(
        model=ANTHROPIC_SIDE, messages=[{"role": "user", "content": "What is a fare?"}]
    )
    assert raw.parse().input_tokens > 4
    assert engine.attempt_of(raw.headers).total_femto == 0


def test_structured_output(engine):
    class Fare(BaseModel):
        zone: Literal["A", "B"]

    answer = engine.gpt.chat.completions.parse(
        model=OPENAI_SIDE,
        messages=[{"role": "user", "content": "Which zone?"}],
        response_format=Fare,
        max_tokens=60,
    )
    assert answer.choices[0].message.parsed.zone in {"A", "B"}
