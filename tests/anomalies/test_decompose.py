"""The parts add up, and a change of one thing is put down to that thing."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.anomalies.decompose import CAUSES, decompose
from farebox.anomalies.tally import Tally


def used(calls=100, attempts=None, length=1, share=Fraction(1, 2), price=1):
    """A target's use: 1,000 tokens in and 200 out an attempt, cached input at a tenth of the price."""
    attempts = calls if attempts is None else attempts
    read = int(attempts * 1000 * length * share)
    fresh = attempts * 1000 * length - read
    out = attempts * 200 * length
    parts = (fresh * 1_000_000 * price, read * 100_000 * price, out * 4_000_000 * price)
    return Tally(
        calls=calls,
        attempts=attempts,
        input_tokens=read + fresh,
        cached_tokens=read,
        output_tokens=out,
        cost_femto=sum(parts),
        cached_femto=parts[1],
        output_femto=parts[2],
    )


@pytest.mark.parametrize(
    ("cause", "changed"),
    [
        ("volume", {"calls": 250}),
        ("retries", {"attempts": 170}),
        ("length", {"length": 3}),
        ("cache", {"share": Fraction(0)}),
        ("price", {"price": 2}),
    ],
)
def test_one_change_has_one_cause(cause, changed):
    now, before = used(**changed), used()
    parts = decompose({"a": now}, {"a": before})
    assert parts == {**dict.fromkeys(CAUSES, 0), cause: now.cost_femto - before.cost_femto}


def test_another_model_is_the_mix():
    before = {"small": used(calls=90), "large": used(calls=10, price=20)}
    now = {"small": used(calls=50), "large": used(calls=50, price=20)}
    parts = decompose(now, before)
    assert parts["mix"] == sum(parts.values()) > 0


def test_a_model_never_seen_before_is_the_mix():
    parts = decompose({"new": used(price=5)}, {"old": used()})
    assert parts["mix"] == sum(parts.values()) == used(price=5).cost_femto - used().cost_femto


def test_failover_to_another_target_is_retries_and_mix():
    failed_over = used(calls=0, attempts=50)
    parts = decompose({"a": used(), "b": failed_over}, {"a": used()})
    assert parts["retries"] + parts["mix"] == failed_over.cost_femto
    assert parts["volume"] == parts["price"] == 0 < parts["retries"]


def test_growth_is_expected():
    parts = decompose({"a": used(calls=110)}, {"a": used(calls=100)}, Fraction(11, 10))
    assert not any(parts.values())


def test_nothing_before_is_volume():
    parts = decompose({"a": used()}, {})
    assert parts["volume"] + parts["mix"] == used().cost_femto


counts = st.integers(0, 10**6)
amounts = st.integers(0, 10**21)


@st.composite
def tallies(draw):
    calls = draw(counts)
    attempts = calls + draw(st.integers(0, 50))
    if not attempts:
        return Tally()
    cached = draw(counts)
    tokens = cached + draw(counts)
    parts = [draw(amounts) for _ in range(4)]
    return Tally(
        calls=calls,
        attempts=attempts,
        input_tokens=tokens,
        cached_tokens=cached,
        output_tokens=draw(counts),
        cost_femto=sum(parts),
        cached_femto=parts[0],
        output_femto=parts[1],
        other_femto=parts[2],
    )


by_target = st.dictionaries(st.sampled_from(["a", "b", "c"]), tallies(), max_size=3)


@given(now=by_target, before=by_target, growth=st.fractions(Fraction(1, 10), 10, max_denominator=1000))
def test_the_parts_add_up(now, before, growth):
    parts = decompose(now, before, growth)
    expected = round(sum(each.cost_femto for each in before.values()) * growth)
    assert sum(parts.values()) == sum(each.cost_femto for each in now.values()) - expected
