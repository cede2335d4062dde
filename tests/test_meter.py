"""From what was seen of an attempt to a cost: exact, a floor or the worst case, and never silently zero."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.call import Answered
from farebox.journal.record import Sent
from farebox.meter import (
    ASSUMED_OUTPUT_TOKENS,
    MAX_INPUT_TOKENS,
    UNBILLED,
    UNSEEN_INPUT_TOKENS,
    assume,
    estimate,
    lost,
    price_answer,
    tokens_of,
)
from farebox.state.pricebook import load_book

BOOK = load_book()
AT_NS = 1_792_000_000_000_000_000
INPUT, CACHED, OUTPUT = 2_500_000_000, 1_250_000_000, 10_000_000_000  # gpt-4o: $2.50, $1.25, $10 per million
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "prompt_tokens_details": {"cached_tokens": 40}}


def sent(
    operation: str = "chat",
    model: str = "gpt-4o",
    rate_provider: str = "openai",
    cap: int | None = 50,
    body_bytes: int = 300,
    **changes: Any,
) -> Sent:
    record = Sent(
        attempt="c.1",
        call="c",
        number=1,
        at_ns=AT_NS,
        key="",
        key_name="",
        user="",
        tags={},
        dialect="openai",
        operation=operation,
        asked_model=model,
        provider="p",
        rate_provider=rate_provider,
        model=model,
        stream=False,
        body_bytes=body_bytes,
        parts={"system": 30, "user": 11},
        output_cap=cap,
        provider_operation=operation,
    )
    return msgspec.structs.replace(record, **changes)


def test_an_answer_is_priced_by_its_usage() -> None:
    priced = price_answer(BOOK, sent(), Answered(model="gpt-4o-2024-08-06", usage=USAGE, complete=True))
    assert priced.meters == {"input": 60, "cache_read": 40, "output": 20}
    assert priced.total_femto == 60 * INPUT + 40 * CACHED + 20 * OUTPUT == sum(x.amount_femto for x in priced.lines)
    assert (priced.flags, priced.unpriced) == ((), "")


def test_zero_is_not_absent() -> None:
    zero = price_answer(BOOK, sent(), Answered(usage={"prompt_tokens": 0, "completion_tokens": 0}, complete=True))
    assert (zero.total_femto, zero.flags) == (0, ())
    absent = price_answer(BOOK, sent(), Answered(complete=True, content_bytes=40, content_events=3))
    assert absent.flags == ("estimated", "no_usage")
    assert absent.total_femto == 11 * INPUT + 10 * OUTPUT


@pytest.mark.parametrize(
    "usage", [{}, {"prompt_tokens": 1}, {**USAGE, "total_tokens": 3}, {**USAGE, "prompt_tokens": True}]
)
def test_a_broken_usage_is_quarantined(usage) -> None:
    priced = price_answer(BOOK, sent(), Answered(usage=usage, complete=True))
    assert (priced.total_femto, priced.lines, priced.flags) == (None, (), ("unpriced", "quarantined"))
    assert priced.unpriced.startswith("usage: ")


def test_an_unknown_model_is_unpriced_however_it_ended() -> None:
    unknown = sent(model="house-model")
    for priced in (
        price_answer(BOOK, unknown, Answered(usage=USAGE)),
        price_answer(BOOK, unknown, Answered()),
        estimate(BOOK, unknown, Answered(content_bytes=9, content_events=1)),
        assume(BOOK, unknown),
        assume(BOOK, sent(rate_provider="nobody")),
    ):
        assert priced.total_femto is None
        assert "unpriced" in priced.flags
        assert priced.unpriced.startswith(("no rate for openai/house-model", "no rate card"))
        assert priced.meters


def test_counting_tokens_is_free() -> None:
    count = sent("count_tokens")
    assert price_answer(BOOK, count, Answered()) == estimate(BOOK, count, Answered()) == assume(BOOK, count) == UNBILLED


@pytest.mark.parametrize(
    ("answered", "meters"),
    [
        (Answered(), {"input": 11}),
        (Answered(content_bytes=41, content_events=2), {"input": 11, "output": 11}),
        (Answered(content_bytes=3, content_events=3), {"input": 11, "output": 3}),
        (Answered(content_bytes=40, usage=USAGE), {"input": 60, "cache_read": 40, "output": 20}),
        (Answered(content_bytes=400, usage=USAGE), {"input": 60, "cache_read": 40, "output": 100}),
        (Answered(content_bytes=40, usage={"total_tokens": 9}), {"input": 11, "output": 10}),
    ],
)
def test_estimate_is_a_floor_of_what_was_seen(answered, meters) -> None:
    priced = estimate(BOOK, sent(), answered)
    assert {name: count for name, count in priced.meters.items() if count} == meters
    assert priced.flags == ("estimated",)
    assert priced.total_femto is not None
    assert priced.total_femto > 0


def test_estimate_of_a_message_knows_its_cached_input() -> None:
    usage = {"input_tokens": 10, "cache_read_input_tokens": 900, "output_tokens": 1}
    message = sent("messages", "claude-haiku-4-5", "anthropic")
    priced = estimate(BOOK, message, Answered(model="claude-haiku-4-5", usage=usage, content_bytes=80))
    assert priced.meters == {"input": 10, "cache_read": 900, "output": 20}
    assert priced.total_femto == 10 * 10**9 + 900 * 10**8 + 20 * 5 * 10**9


def test_assume_takes_every_byte_and_what_surrounds_it_and_the_whole_cap() -> None:
    bound = 300 + UNSEEN_INPUT_TOKENS
    priced = assume(BOOK, sent())
    assert (priced.flags, sum(priced.meters.values())) == (("assumed",), bound + 50)
    assert priced.total_femto is not None
    assert priced.total_femto >= bound * INPUT + 50 * OUTPUT
    uncapped = assume(BOOK, sent(cap=None))
    assert uncapped.meters["output"] == ASSUMED_OUTPUT_TOKENS
    embedding = assume(BOOK, sent("embeddings", "text-embedding-3-small", cap=0))
    assert (embedding.meters, embedding.total_femto) == ({"input": bound}, bound * 20_000_000)
    huge = assume(BOOK, sent(body_bytes=2 * MAX_INPUT_TOKENS, cap=0))
    assert sum(huge.meters.values()) == MAX_INPUT_TOKENS


def test_lost_is_the_end_of_an_attempt_nobody_saw() -> None:
    done = lost(BOOK, sent(), 7)
    assert (done.attempt, done.outcome, done.flags, done.at_ns, done.status) == ("c.1", "lost", ("assumed",), 7, 0)
    assert done.total_femto == assume(BOOK, sent()).total_femto
    assert done.book == BOOK.hash


COUNTS: Any = st.integers(0, 10_000)


@given(COUNTS, COUNTS, COUNTS, COUNTS, COUNTS, st.booleans())
def test_whatever_was_seen_costs_something_and_at_most_the_worst_case(
    prompt, cached, output, size, events, told
) -> None:
    usage: Any = {"prompt_tokens": prompt + cached, "completion_tokens": output}
    usage["prompt_tokens_details"] = {"cached_tokens": cached}
    usage = usage if told else None
    answered = Answered(usage=usage, content_bytes=size, content_events=min(events, size))
    seen = sent(cap=10_000, body_bytes=20_001)
    floor, worst = estimate(BOOK, seen, answered), assume(BOOK, seen)
    assert floor.total_femto is not None
    assert worst.total_femto is not None
    assert 0 < floor.total_femto <= worst.total_femto
    assert floor.meters.get("output", 0) >= tokens_of(size)
