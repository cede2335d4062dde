"""Hand-computed charges, from the raw usage object to the last digit."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from farebox.charge import Charge
from farebox.money import femto_from_usd, usd_text
from farebox.normalise.anthropic_messages import read_evidence
from farebox.normalise.table import normaliser
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.state.pricebook import load_book

GOLDEN = Path(__file__).parents[2].parent / "shared" / "data" / "golden_prices.jsonl"
BOOK = load_book()

# Mechanisms that this release does not price; each names what is missing.
NOT_YET = {
    "oai-19-sft-training": "training is not an attempt",
    "oai-25-file-search-storage": "storage by the day has no meter",
}


def read_cases() -> list[Any]:
    if not GOLDEN.exists():
        return []
    cases = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    return [pytest.param(case, id=case["id"]) for case in cases if case["provider"] in {"openai", "anthropic"}]


def as_chat(usage: dict[str, Any]) -> dict[str, Any]:
    """The responses, realtime and images APIs count as the chat API does, under other names."""
    names = {
        "input_tokens": "prompt_tokens",
        "output_tokens": "completion_tokens",
        "input_tokens_details": "prompt_tokens_details",
        "output_tokens_details": "completion_tokens_details",
        "input_token_details": "prompt_tokens_details",
        "output_token_details": "completion_tokens_details",
    }
    return {names.get(key, key): value for key, value in usage.items()}


def rate(case: dict[str, Any]) -> Rating:
    context = case["context"]
    at_ns = int(datetime.fromisoformat(context["time"]).timestamp()) * 10**9
    if case["provider"] == "anthropic":
        evidence = read_evidence(case["usage"])
        usage = normaliser("anthropic-messages")(case["usage"])
        return Rating(
            provider="anthropic",
            answered=case["model"],
            asked=case["model"],
            usage=usage,
            at_ns=at_ns,
            service_tier=evidence.service_tier,
            speed=evidence.speed,
            region=evidence.region,
        )
    return Rating(
        provider="openai",
        answered=case["model"],
        asked=case["model"],
        usage=normaliser("openai-chat")(as_chat(case["usage"])),
        at_ns=at_ns,
        service_tier=context.get("service_tier"),
        processing=context.get("processing"),
        region=context.get("data_residency"),
    )


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden cases are not beside this checkout")
@pytest.mark.parametrize("case", read_cases())
def test_a_golden_case_is_exact(case: dict[str, Any]) -> None:
    if case["id"] in NOT_YET:
        pytest.skip(NOT_YET[case["id"]])
    charged = charge(BOOK, rate(case))
    assert isinstance(charged, Charge), charged
    assert usd_text(charged.total_femto) == usd_text(femto_from_usd(case["expected_usd"]))


@pytest.mark.skipif(not GOLDEN.exists(), reason="the golden cases are not beside this checkout")
def test_every_exception_is_a_case() -> None:
    assert set(NOT_YET) <= {param.id for param in read_cases()}
