"""DashScope, Mistral, Cohere, Perplexity, OpenRouter: what is different about each."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.errors import UsageViolation
from farebox.normalise.mistral import annotate
from farebox.normalise.table import normaliser
from farebox.usage import METERS

dashscope = normaliser("dashscope")
mistral = normaliser("mistral")
ocr = normaliser("mistral-ocr")
cohere = normaliser("cohere")
perplexity = normaliser("perplexity")
openrouter = normaliser("openrouter-chat")
counts = st.integers(0, 2000)


def test_an_explicit_cache_is_written_for_five_minutes_and_is_a_fact() -> None:
    usage = dashscope(
        {
            "prompt_tokens": 10000,
            "completion_tokens": 500,
            "prompt_tokens_details": {"cached_tokens": 5000, "cache_creation_input_tokens": 4000},
        }
    )
    assert usage.meters == {"input": 1000, "cache_read": 5000, "cache_write_5m": 4000, "output": 500}
    assert usage.facts == {"cache": "explicit"}
    implicit = {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 5}}
    assert dashscope(implicit).facts == {}
    hit = {"cached_tokens": 5, "cache_type": "ephemeral", "cache_creation_input_tokens": 0}
    assert dashscope({**implicit, "prompt_tokens_details": hit}).facts == {"cache": "explicit"}


def test_native_names_mean_the_same() -> None:
    usage = dashscope(
        {
            "input_tokens": 20,
            "output_tokens": 12,
            "total_tokens": 32,
            "input_tokens_details": {"text_tokens": 5, "image_tokens": 15},
            "prompt_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 10},
            "plugins": {"search": {"count": 1}},
        }
    )
    assert usage.meters == {
        "input": 5,
        "cache_read": 0,
        "input_image": 15,
        "output": 2,
        "reasoning": 10,
        "web_search": 1,
    }
    assert usage.facts == {"thinking": "on"}
    assert dashscope({"total_tokens": 9}).meters == {"input": 9}


@pytest.mark.parametrize(
    ("details", "rule"),
    [
        (
            {"cached_tokens": 6, "cache_creation_input_tokens": 5},
            "cached_tokens + cache_creation_input_tokens <= prompt_tokens",
        ),
        (
            {"cache_creation_input_tokens": 5, "cache_creation": {"ephemeral_5m_input_tokens": 4}},
            "ephemeral_5m_input_tokens == cache_creation_input_tokens",
        ),
    ],
)
def test_a_cache_larger_than_the_prompt_is_refused(details: dict[str, Any], rule: str) -> None:
    with pytest.raises(UsageViolation) as refused:
        dashscope({"prompt_tokens": 10, "completion_tokens": 1, "prompt_tokens_details": details})
    assert refused.value.rule == rule


def test_audio_that_mistral_heard_is_counted_in_seconds() -> None:
    usage = mistral({"prompt_audio_seconds": 203, "prompt_tokens": 4, "total_tokens": 3264, "completion_tokens": 635})
    assert usage.meters == {"input": 4, "output": 635, "audio_time": 203_000}
    with pytest.raises(UsageViolation, match="total_tokens =="):
        mistral({"prompt_tokens": 4, "total_tokens": 3264, "completion_tokens": 635})
    assert mistral({"prompt_tokens": 4, "total_tokens": 4}).meters == {"input": 4}


def test_an_annotated_page_is_not_a_plain_page_too() -> None:
    assert ocr({"pages_processed": 137, "doc_size_bytes": 12345}).meters == {"page": 137}
    assert annotate(ocr({"pages_processed": 137})).meters == {"annotated_page": 137}
    some = ocr({"pages_processed": 10, "annotated_pages": 3})
    assert some.meters == {"page": 7, "annotated_page": 3}
    assert annotate(some).meters == {"annotated_page": 10}
    with pytest.raises(UsageViolation, match="annotated_pages <= pages_processed"):
        ocr({"pages_processed": 10, "annotated_pages": 11})


def test_cohere_bills_the_billed_units() -> None:
    units = {"input_tokens": 11.0, "output_tokens": Decimal("22.0")}
    seen = {"billed_units": units, "tokens": {"input_tokens": 77, "output_tokens": 23}}
    assert cohere(seen).meters == {"input": 11, "output": 22}
    assert cohere({"meta": {"billed_units": {"search_units": 2, "classifications": 3}}}).meters == {
        "search_unit": 2,
        "classification": 3,
    }
    with pytest.raises(UsageViolation, match="not whole"):
        cohere({"billed_units": {"input_tokens": 1.5}})
    with pytest.raises(UsageViolation, match="billed_units say what is billed"):
        cohere({"tokens": {"input_tokens": 77}})


@given(documents=st.integers(1, 5000), queries=st.integers(1, 50))
def test_a_search_unit_is_a_query_over_up_to_a_hundred_documents(documents: int, queries: int) -> None:
    units = cohere({"documents": documents, "queries": queries}).meters["search_unit"]
    assert units % queries == 0
    assert 100 * (units // queries - 1) < documents <= 100 * (units // queries)


def test_deep_research_bills_reasoning_citations_and_searches_beside_the_answer() -> None:
    usage = perplexity(
        {
            "prompt_tokens": 33,
            "completion_tokens": 7163,
            "total_tokens": 7196,
            "citation_tokens": 19612,
            "num_search_queries": 21,
            "reasoning_tokens": 78000,
            "search_context_size": "High",
            "cost": {"total_cost": 0.4217},
        }
    )
    assert usage.meters == {
        "input": 33,
        "output": 7163,
        "reasoning": 78000,
        "citation": 19612,
        "web_search": 21,
        "request": 1,
    }
    assert usage.facts == {"search_context_size": "high"}
    assert usage.reported_femto == 421_700_000_000_000
    with pytest.raises(UsageViolation, match="total_tokens"):
        perplexity({"prompt_tokens": 33, "completion_tokens": 1, "total_tokens": 35})


def test_an_agent_counts_its_searches_by_tool() -> None:
    usage = normaliser("perplexity-responses")(
        {
            "input_tokens": 10,
            "output_tokens": 5,
            "tool_calls_details": {"search_web": {"invocation": 4}},
            "cost": {"total_cost": "0.02"},
        }
    )
    assert usage.meters == {"input": 10, "output": 5, "web_search": 4}
    assert usage.reported_femto == 20_000_000_000_000


@pytest.mark.parametrize(
    ("cost", "femto"),
    [
        (0.00012345, 123_450_000_000),
        (Decimal("0.00012345"), 123_450_000_000),
        ("0.00012345", 123_450_000_000),
        (0.1, 100_000_000_000_000),  # and not the binary fraction next to it
        (1, 10**15),
        (0, 0),
        (None, None),
        (1.5e-16, 0),
    ],
)
def test_a_reported_cost_is_the_decimal_number_that_was_written(cost: Any, femto: int | None) -> None:
    assert openrouter({"prompt_tokens": 1, "completion_tokens": 1, "cost": cost}).reported_femto == femto


@pytest.mark.parametrize("cost", [True, -0.1, "much", float("nan"), float("inf"), [], "1e999999999"])
def test_a_cost_that_is_no_amount_is_refused(cost: Any) -> None:
    with pytest.raises(UsageViolation, match="cost is an amount"):
        openrouter({"prompt_tokens": 1, "completion_tokens": 1, "cost": cost})


@given(
    prompt=counts, cached=st.none() | counts, written=st.none() | counts, result=counts, reasoning=st.none() | counts
)
def test_dashscope_adds_up_or_is_refused(
    *, prompt: int, cached: int | None, written: int | None, result: int, reasoning: int | None
) -> None:
    raw = {
        "prompt_tokens": prompt,
        "completion_tokens": result,
        "total_tokens": prompt + result,
        "prompt_tokens_details": {"cached_tokens": cached, "cache_creation_input_tokens": written},
        "completion_tokens_details": {"reasoning_tokens": reasoning},
    }
    if (cached or 0) + (written or 0) > prompt or (reasoning or 0) > result:
        with pytest.raises(UsageViolation):
            dashscope(raw)
        return
    usage = dashscope(raw)
    inputs = sum(count for meter, count in usage.meters.items() if METERS[meter].family == "input")
    assert inputs == usage.input_total == prompt
    assert sum(usage.meters.values()) - inputs == result
    assert usage.facts.get("cache") == ("explicit" if written else None)
    assert usage.facts.get("thinking") == ("on" if reasoning else None)
