import itertools
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.replay import TraceError, TraceRow
from farebox.replay.generate import (
    CODE_INPUT,
    CONVERSATION_INPUT,
    CONVERSATION_OUTPUT,
    SHARES,
    Traffic,
    draw_quantile,
    generate,
)

TRACE = generate(Traffic(calls=3000, seed=5))


def of_app(name):
    return [row for row in TRACE if ("app", name) in row.tags]


def test_the_same_seed_makes_the_same_trace():
    assert generate(Traffic(calls=50, seed=1)) == generate(Traffic(calls=50, seed=1))
    assert generate(Traffic(calls=50, seed=1)) != generate(Traffic(calls=50, seed=2))


@pytest.mark.parametrize("calls", [1, 2, 77])
def test_as_many_calls_as_asked_for_in_order(calls):
    rows = generate(Traffic(calls=calls, seed=3))
    assert len(rows) == calls
    assert rows[0].at_s == 0
    assert [row.at_s for row in rows] == sorted(row.at_s for row in rows)


def test_rate():
    assert TRACE[-1].at_s == pytest.approx(3000 / 5.5, rel=0.1)


@given(st.floats(0, 1))
def test_quantiles_are_met_at_their_points_and_grow_between(share):
    value = draw_quantile(CONVERSATION_INPUT, share)
    below = max(index for index, point in enumerate(SHARES) if point <= share)
    assert CONVERSATION_INPUT[below] <= value * 1.000001
    assert value <= CONVERSATION_INPUT[min(below + 1, len(SHARES) - 1)] * 1.000001
    assert draw_quantile(CONVERSATION_INPUT, SHARES[below]) == pytest.approx(CONVERSATION_INPUT[below])


def test_lengths_follow_the_published_ones():
    code = sorted(row.input_tokens for row in of_app("code"))
    assert code[len(code) // 2] == pytest.approx(CODE_INPUT[5], rel=0.15)
    answers = sorted(row.output_tokens for row in of_app("assistant"))
    assert answers[len(answers) // 2] == pytest.approx(CONVERSATION_OUTPUT[5], rel=0.15)
    assert statistics.mean(answers) == pytest.approx(211, rel=0.1)


def test_input_tokens_are_the_sum_of_the_blocks():
    for row in TRACE:
        assert row.input_tokens == sum(block.tokens for section in row.sections for block in section.blocks)


def test_a_conversation_repeats_what_was_said():
    sessions: dict[str | None, list[TraceRow]] = {}
    for row in of_app("assistant"):
        sessions.setdefault(row.session, []).append(row)
    longer = [rows for rows in sessions.values() if len(rows) > 1]
    assert len(longer) > 50
    for rows in longer:
        for earlier, later in itertools.pairwise(rows):
            assert later.sections[: len(earlier.sections)] == earlier.sections
            assert later.model == earlier.model
            answered = later.sections[len(earlier.sections)]
            assert (answered.part, answered.blocks[0].tokens) == ("answer", earlier.output_tokens)


def test_searches_share_system_text_and_passages():
    systems = [row.sections[0].blocks for row in of_app("search")]
    assert {blocks[0] for blocks in systems} == {systems[0][0]}
    assert len({blocks[1] for blocks in systems}) == 20
    passages = [
        block
        for row in of_app("search")
        for section in row.sections
        if section.part == "passages"
        for block in section.blocks
    ]
    assert len(set(passages)) < len(passages) / 2


def test_models_streams_users_and_tags():
    assert len({row.model for row in TRACE}) == 4
    assert 0.4 < sum(bool(row.stream) for row in TRACE) / len(TRACE) < 0.8
    assert {name for row in TRACE for name, _ in row.tags} == {"app", "team", "env"}
    busiest = statistics.mode(row.user for row in TRACE)
    assert busiest == "user-001"
    rows = generate(Traffic(calls=40, stream_share=1, max_output=20, models=("m",)))
    assert all(row.stream and row.output_tokens <= 20 and row.model == "m" for row in rows)


@pytest.mark.parametrize("fields", [{"calls": 0}, {"calls": 1, "models": ()}, {"calls": 1, "calls_per_s": 0.0}])
def test_what_cannot_be_made_is_refused(fields):
    with pytest.raises(TraceError, match="must be"):
        Traffic(**fields)
