"""How much is reserved before an attempt is sent, and what the provider is told about it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.call import Asked, Inbound
from farebox.charge import Charge
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.dispatch import prepare
from farebox.hold import DEFAULT_OUTPUT_TOKENS, IMAGE_TOKENS, affordable_output, demand_of, output_limit
from farebox.meter import UNSEEN_INPUT_TOKENS
from farebox.money import femto_from_usd, usd_text
from farebox.prices.book import compile_book
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.route import Routes, Target
from farebox.usage import Usage
from farebox.wire.operations import READINGS

CARD = b"""
format = 2
provider = "openai"
[sources.l]
url = "https://p.example"
[[models]]
id = "m"
names = ["m"]
about = { context = 200000, output = 8000 }
prices = [
  { input = "1", cache_read = "0.1", cache_write_1h = "2", output = "10", reasoning = "12" },
  { over = 100000, input = "2", cache_read = "0.2", cache_write_1h = "4", output = "15", reasoning = "18" },
  { tier = "any", web_search = "10/1k" },
]
[[models]]
id = "fee"
names = ["fee"]
prices = [{ input = "1", output = "1", request = "5/1k" }]
"""
BOOK = compile_book({"openai": CARD})
ROUTES = Routes(
    Config(providers=(Provider(name="openai", kind="openai"), Provider(name="anthropic", kind="anthropic")))
)
INBOUND = Inbound("c", "", "", 0, {})


def target(model: str = "m") -> Target:
    (found,) = ROUTES.resolve(f"openai/{model}")
    return found


def ask(operation: str = "chat", **fields: Any) -> Asked:
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}], **fields}
    return READINGS[operation].request(body)


def demand(asked: Asked, *, model: str = "m", body_bytes: int = 1000, cap: int | None = 100) -> Any:
    return demand_of(BOOK, asked, target(model), body_bytes=body_bytes, output_cap=cap, at_ns=0)


def usd(femto: int) -> str:
    return usd_text(femto)


def test_text_is_bounded_by_its_bytes_at_the_dearest_rates() -> None:
    found = demand(ask())
    tokens = 1000 + UNSEEN_INPUT_TOKENS
    assert (found.input_tokens, found.output_tokens) == (tokens, 100)
    assert found.femto == tokens * femto_from_usd("0.000002") + 100 * femto_from_usd("0.000012")


def test_a_dearer_size_that_may_be_reached_counts() -> None:
    found = demand(ask(), body_bytes=150_000)
    assert found.femto == found.input_tokens * femto_from_usd("0.000004") + 100 * femto_from_usd("0.000018")


def test_no_more_is_read_than_the_context_window() -> None:
    assert demand(ask(), body_bytes=5_000_000).input_tokens == 200_000


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "u"}}]}]}, IMAGE_TOKENS),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, 200_000),
        ({"web_search_options": {}}, 200_000),
    ],
)
def test_what_is_not_text_has_a_bound_of_its_own(fields: dict[str, Any], tokens: int) -> None:
    assert demand(ask(**fields)).input_tokens >= min(200_000, tokens)


def test_fees_are_held_too() -> None:
    searching = demand(ask(web_search_options={}))
    plain = msgspec.structs.replace(searching.bound, calls={})
    assert searching.bound.calls == {"web_search": 1}
    assert usd(searching.femto) == "0.8118"
    assert plain.input_tokens == 200_000
    assert usd(demand(ask(), model="fee").femto) == usd(
        femto_from_usd("0.005") + (2024 + 100) * femto_from_usd("0.000001")
    )


def test_an_unknown_price_is_no_zero() -> None:
    found = demand(ask(), model="nobody-knows")
    assert (found.femto, "no rate for openai/nobody-knows" in found.unpriced) == (0, True)


def test_without_a_cap_the_longest_answer_is_held() -> None:
    assert demand(ask(), cap=None).output_tokens == 8000 == output_limit(BOOK, target())
    assert output_limit(BOOK, target("fee")) == DEFAULT_OUTPUT_TOKENS


@pytest.mark.parametrize(
    ("fields", "field", "cap"),
    [
        ({}, 500, 500),
        ({"n": 3}, 500, 1500),
        ({"max_tokens": 7}, None, 7),
        ({"max_completion_tokens": 7, "n": 2}, 7, 14),
    ],
)
def test_the_provider_is_told_the_bound(fields: dict[str, Any], field: int | None, cap: int) -> None:
    outgoing = prepare(ask(**fields), target(), "c.1", INBOUND, output_limit=500)
    assert msgspec.json.decode(outgoing.body).get("max_completion_tokens") == field
    assert outgoing.output_cap == cap


def test_without_a_budget_nothing_is_injected() -> None:
    outgoing = prepare(ask(), target(), "c.1", INBOUND)
    assert (outgoing.output_cap, "max" in outgoing.body.decode()) == (None, False)


@given(room=st.integers(0, 10**12), body_bytes=st.integers(0, 300_000), cap=st.integers(1, 8000))
def test_the_affordable_output_is_the_largest_that_fits(room: int, body_bytes: int, cap: int) -> None:
    found = demand(ask(), body_bytes=body_bytes, cap=cap)
    most = affordable_output(BOOK, found, room)
    assert 0 <= most <= cap
    if most:
        assert demand(ask(), body_bytes=body_bytes, cap=most).femto <= room
    if most < cap:
        assert demand(ask(), body_bytes=body_bytes, cap=most + 1).femto > room


@given(data=st.data(), body_bytes=st.integers(100, 150_000), cap=st.integers(0, 8000))
def test_no_honest_answer_costs_more_than_its_hold(data: st.DataObject, body_bytes: int, cap: int) -> None:
    found = demand(ask(), body_bytes=body_bytes, cap=cap)
    tokens = data.draw(st.integers(0, found.input_tokens))
    read = data.draw(st.integers(0, tokens))
    write = data.draw(st.integers(0, tokens - read))
    thought = data.draw(st.integers(0, cap))
    meters = {"input": tokens - read - write, "cache_read": read, "cache_write_1h": write}
    usage = Usage({**meters, "output": cap - thought, "reasoning": thought}, tokens)
    actual = charge(BOOK, Rating("openai", "m", "m", usage, 0))
    assert isinstance(actual, Charge)
    assert actual.total_femto <= found.femto


@pytest.mark.parametrize("content", ["x" * 70, [{"type": "text", "text": "x" * 70}]])
def test_a_prediction_is_output_that_may_be_rejected_and_billed(content: Any) -> None:
    plain = demand(ask())
    predicted = demand(ask(prediction={"type": "content", "content": content}))
    assert predicted.output_tokens == plain.output_tokens + 70
    assert predicted.femto > plain.femto
