"""The bound that budgets reserve is one: no honest answer within it costs more, whatever model and whatever split."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.charge import Charge
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.worst import Bound, most_of, worst_case_of
from farebox.state.pricebook import load_book
from farebox.usage import METERS, Usage

NOW = 1_795_478_400_000_000_000  # 2026-11-24
INPUTS = [name for name, meter in METERS.items() if meter.family == "input"]
OUTPUTS = [name for name, meter in METERS.items() if meter.family == "output"]


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_book()


def models_of(book: PriceBook) -> list[tuple[str, str]]:
    found = []
    for provider in sorted(book.providers()):
        card = book.card(provider)
        assert card is not None
        found += [(provider, model.names[0]) for model in card.models if model.names]
    return found


@st.composite
def splits(draw: st.DrawFn, meters: list[str], total: int) -> dict[str, int]:
    chosen = draw(st.lists(st.sampled_from(meters), max_size=3, unique=True))
    left = draw(st.integers(0, total))
    parts = {}
    for meter in chosen:
        parts[meter] = draw(st.integers(0, left))
        left -= parts[meter]
    return parts


@settings(max_examples=600, deadline=None)
@given(data=st.data())
def test_no_answer_within_the_bound_costs_more(book: PriceBook, data: st.DataObject) -> None:
    provider, model = data.draw(st.sampled_from(models_of(book)))
    most_input = data.draw(st.sampled_from([0, 1, 900, 50_000, 130_000, 210_000, 1_100_000]))
    most_output = data.draw(st.sampled_from([0, 1, 500, 40_000]))
    at_ns = NOW + data.draw(st.integers(0, 7 * 24)) * 3_600_000_000_000
    asked_tier = data.draw(st.sampled_from([None, "auto", "default", "priority", "flex"]))
    bound = Bound(provider, model, most_input, most_output, at_ns, asked_tier)
    most = most_of(book, bound)
    if isinstance(most, str):
        return
    inputs = data.draw(splits(INPUTS, most_input))
    usage = Usage({**inputs, **data.draw(splits(OUTPUTS, most_output))}, sum(inputs.values()))
    card = book.card(provider)
    assert card is not None
    facts = {name: data.draw(st.sampled_from(values)) for name, values in card.facts.items() if name != "deployment"}
    # A project may say priority where a request says nothing; priority may be served as default, flex may not.
    left_open = [None, "default", "priority"]
    if asked_tier in {None, "auto"}:
        answered = data.draw(st.sampled_from(left_open))
    else:
        answered = data.draw(st.sampled_from(["priority", "default"])) if asked_tier == "priority" else asked_tier
    result = charge(book, Rating(provider, model, model, usage, at_ns, answered, facts=facts))
    if isinstance(result, Charge):
        assert result.total_femto <= most, (provider, model, usage, result)


def test_the_lines_of_the_worst_case_add_up_to_the_bound(book: PriceBook) -> None:
    for provider, model in models_of(book)[::37]:
        bound = Bound(provider, model, 300_000, 10_000, NOW, calls={})
        worst, most = worst_case_of(book, bound), most_of(book, bound)
        if isinstance(worst, Charge):
            assert worst.total_femto == most == sum(line.amount_femto for line in worst.lines)


def test_a_tier_that_is_left_open_may_be_priority(book: PriceBook) -> None:
    def most(tier: str | None) -> int:
        found = most_of(book, Bound("openai", "gpt-5", 1000, 100, NOW, tier))
        assert isinstance(found, int)
        return found

    assert most(None) == most("auto") == most("priority") > most("default") > most("flex") > 0


def test_a_fact_that_only_the_answer_tells_is_taken_at_its_dearest(book: PriceBook) -> None:
    usage = Usage({"input": 100, "output": 10, "request": 1}, 100)
    dearest = charge(book, Rating("perplexity", "sonar", "sonar", usage, NOW, facts={"search_context_size": "high"}))
    plain = charge(book, Rating("perplexity", "sonar", "sonar", usage, NOW))
    assert isinstance(dearest, Charge)
    assert isinstance(plain, Charge)
    assert plain.total_femto < dearest.total_femto == most_of(book, Bound("perplexity", "sonar", 100, 10, NOW))
