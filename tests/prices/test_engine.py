"""The price engine: which rates apply, exact sums, and everything else unpriced with its reason."""

from datetime import datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.charge import Charge, Unpriced
from farebox.errors import ConfigError
from farebox.money import usd_text
from farebox.prices.arithmetic import amount_of
from farebox.prices.book import PriceBook, compile_book
from farebox.prices.choose import Rating, choose
from farebox.prices.engine import charge
from farebox.prices.explain import explain, explain_lines, find_origin
from farebox.prices.worst import Bound, worst_case_of
from farebox.state.pricebook import load_book, read_shipped
from farebox.usage import METERS, Usage

BOOK = load_book()


def instant(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 10**9


NOW = instant("2026-11-20T12:00:00Z")


def used(**meters: int) -> Usage:
    return Usage(meters, sum(count for name, count in meters.items() if METERS[name].family == "input"))


def rating(model: str, usage: Usage, provider: str = "openai", **more: object) -> Rating:
    plain = Rating(provider=provider, answered=model, asked=model, usage=usage, at_ns=NOW)
    return msgspec.structs.replace(plain, **more)


def price(result: Charge | Unpriced) -> str:
    assert isinstance(result, Charge), result
    return usd_text(result.total_femto)


def reason(result: Charge | Unpriced) -> str:
    assert isinstance(result, Unpriced), result
    return result.reason


def test_lines_show_quantity_price_amount_and_rate() -> None:
    result = charge(BOOK, rating("gpt-4o-2024-08-06", used(input=86, cache_read=1920, output=300, reasoning=0)))
    assert isinstance(result, Charge)
    assert [(line.meter, line.quantity, line.rate) for line in result.lines] == [
        ("input", 86, "openai/gpt-4o/standard#input"),
        ("cache_read", 1920, "openai/gpt-4o/standard#cache_read"),
        ("output", 300, "openai/gpt-4o/standard#output"),
    ]
    assert price(result) == "0.005615"
    assert result.book == BOOK.hash


def test_reasoning_is_priced_as_output_and_says_so() -> None:
    result = charge(BOOK, rating("gpt-5", used(output=10, reasoning=90)))
    assert isinstance(result, Charge)
    assert [line.rate for line in result.lines] == ["openai/gpt-5/standard#output"] * 2
    assert [line.priced_as for line in explain_lines(BOOK, result.lines, NOW)] == ["", "output"]


def test_the_answering_model_goes_before_the_one_asked_for() -> None:
    usage = used(input=1_000_000)
    by_answer = rating("gpt-5-nano-2025-08-07", usage, asked="gpt-5")
    by_ask = rating("who-knows", usage, asked="gpt-5")
    assert (price(charge(BOOK, by_answer)), price(charge(BOOK, by_ask))) == ("0.05", "1.25")


@pytest.mark.parametrize(
    ("given", "tier"),
    [
        ({}, "standard"),
        ({"service_tier": "default"}, "standard"),
        ({"service_tier": "auto"}, "standard"),
        ({"service_tier": "flex"}, "flex"),
        ({"service_tier": "priority"}, "priority"),
        ({"service_tier": "fast"}, "priority"),
        ({"service_tier": "default", "processing": "batch"}, "batch"),
    ],
)
def test_the_tier_is_the_one_in_the_answer_and_batch_the_channel(given: dict[str, str], tier: str) -> None:
    assert choose(BOOK, rating("gpt-5", used(input=1), **given)).tier == tier


@pytest.mark.parametrize(
    ("model", "given", "words"),
    [
        ("gpt-5", {"service_tier": "scale"}, "the service tier 'scale' has no published rates"),
        ("gpt-4", {"service_tier": "flex"}, "no rate for openai/gpt-4 at tier flex"),
        ("gpt-5", {"service_tier": "flex", "processing": "batch"}, "batch with flex has no published rates"),
        ("gpt-5", {"region": "atlantis"}, "in the region 'atlantis'"),
        ("gpt-7", {}, "no rate for openai/gpt-7"),
        ("gpt-5", {"at_ns": instant("2026-01-01T00:00:00Z"), "service_tier": "flex"}, "at tier flex"),
        ("gpt-5", {"usage": Usage({}, 0)}, "the usage has no meters"),
        ("gpt-4", {"usage": used(cache_read=1)}, "for the meter cache_read"),
        ("gpt-4o", {"usage": used(input_audio=1)}, "for the meter input_audio"),
        ("text-embedding-3-small", {"usage": used(output=1)}, "for the meter output"),
        ("gpt-5", {"provider": "nobody"}, "no rate card for the provider 'nobody'"),
        ("o1-pro", {"usage": used(output=2**31 - 1)}, "larger than one attempt can have"),
    ],
)
def test_what_has_no_price_is_unpriced_with_the_reason(model: str, given: dict[str, object], words: str) -> None:
    asked = msgspec.structs.replace(rating(model, used(input=1, output=1)), **given)
    assert words in reason(charge(BOOK, asked))


def test_a_meter_with_quantity_zero_needs_no_price() -> None:
    assert price(charge(BOOK, rating("gpt-4", used(input=1000, cache_read=0)))) == "0.03"


@pytest.mark.parametrize(("tokens", "total"), [(100_000, "0.01"), (100_001, "0.0500005"), (99_999, "0.0099999")])
def test_a_context_tier_is_a_cliff_above_its_threshold(tokens: int, total: str) -> None:
    assert price(charge(BOOK, rating("claude-haiku-5-5", used(input=tokens), "anthropic"))) == total


def test_cached_tokens_count_towards_the_context_tier() -> None:
    usage = used(input=1, cache_read=60_000, cache_write_1h=40_000, output=0)
    assert price(charge(BOOK, rating("claude-haiku-5-5", usage, "anthropic"))) == "0.0430005"


def test_at_least_is_inclusive() -> None:
    card = (
        b'format = 2\nprovider = "p"\n[[models]]\nid = "m"\nnames = ["m"]\n'
        b'prices = [{ input = "2" }, { at_least = 200000, input = "4" }]'
    )
    book = compile_book({"p": card})
    totals = [price(charge(book, rating("m", used(input=count), "p"))) for count in (199_999, 200_000)]
    assert totals == ["0.399998", "0.8"]


def test_every_inference_has_a_context_tier_of_its_own() -> None:
    def with_prompts(*prompts: int) -> Rating:
        usage = Usage({"input": sum(prompts), "output": 0}, sum(prompts), prompts)
        return rating("claude-haiku-5-5", usage, "anthropic")

    assert price(charge(BOOK, with_prompts(80_000, 80_000))) == "0.016"
    assert price(charge(BOOK, with_prompts(180_000, 180_000))) == "0.18"
    assert "that fits inputs of 180000, 1000 tokens alike" in reason(charge(BOOK, with_prompts(180_000, 1000)))


@pytest.mark.parametrize(
    ("at", "total"),
    [
        ("2026-07-29T23:59:59Z", "1"),
        ("2026-07-30T00:00:00Z", "0.2"),
        ("2026-07-30T00:59:59+01:00", "1"),
    ],
)
def test_a_price_changes_at_an_instant(at: str, total: str) -> None:
    one = rating("gpt-5.6-luna", used(cache_read=0, output=0, input=100_000), at_ns=instant(at))
    ten = msgspec.structs.replace(one, usage=Usage({"input": 1_000_000}, 100_000))
    assert price(charge(BOOK, ten)) == total


@pytest.mark.parametrize(
    ("model", "region", "total"),
    [
        ("claude-opus-5", "us", "5.5"),
        ("claude-opus-5", "global", "5"),
        ("claude-opus-5", "not_available", "5"),
        ("claude-opus-4-5", "us", "5"),
    ],
)
def test_a_region_multiplies_token_prices_where_that_is_published(model: str, region: str, total: str) -> None:
    usage = Usage({"input": 1_000_000}, 1000)
    assert price(charge(BOOK, rating(model, usage, "anthropic", region=region))) == total


def test_a_region_does_not_multiply_fees() -> None:
    usage = Usage({"input": 1_000_000, "web_search": 1}, 1000)
    result = charge(BOOK, rating("claude-opus-5", usage, "anthropic", region="us"))
    assert price(result) == "5.51"
    assert isinstance(result, Charge)
    token, fee = [line.rate.rpartition("#")[2] for line in result.lines]
    assert (token.partition("+")[0], "+" in token, fee) == ("input", True, "web_search")


def test_fast_mode_is_a_tier_and_does_not_mix_with_batch() -> None:
    usage = used(input=1000)
    assert price(charge(BOOK, rating("claude-opus-5", usage, "anthropic", speed="fast"))) == "0.01"
    assert price(charge(BOOK, rating("claude-opus-5", usage, "anthropic", speed="standard"))) == "0.005"
    both = rating("claude-opus-5", usage, "anthropic", speed="fast", processing="batch")
    assert "batch with fast has no published rates" in reason(charge(BOOK, both))
    priority = rating("claude-opus-5", usage, "anthropic", service_tier="priority")
    assert "'priority' has no published rates" in reason(charge(BOOK, priority))


def test_batch_leaves_what_it_does_not_price_at_the_standard_rate() -> None:
    usage = used(input=10, cache_read=20, output=30)
    result = charge(BOOK, rating("gpt-4.1", usage, processing="batch"))
    assert isinstance(result, Charge)
    assert [line.rate for line in result.lines] == [
        "openai/gpt-4.1/batch/2024-04-15#input",
        "openai/gpt-4.1/standard#cache_read",
        "openai/gpt-4.1/batch/2024-04-15#output",
    ]


def test_cache_writes_cost_as_input_before_they_had_a_price() -> None:
    usage = used(input=10, cache_write_30m=20)
    assert price(charge(BOOK, rating("gpt-5", usage))) == price(charge(BOOK, rating("gpt-5", used(input=30))))
    assert price(charge(BOOK, rating("gpt-6.1-terra", used(cache_write_12h=1_000, cache_write_30m=100)))) == (
        "0.002625"
    )


def test_tokens_that_could_not_be_told_apart_need_equal_prices() -> None:
    usage = Usage({"input": 50, "cache_read": 50, "output": 1}, 100, (), ("input_image",))
    assert price(charge(BOOK, rating("gpt-5", usage)))
    assert "how much of input_image was cached" in reason(charge(BOOK, rating("gpt-realtime", usage)))
    audio = msgspec.structs.replace(usage, unsplit=("input_audio",))
    assert "how much of input_audio was cached" in reason(charge(BOOK, rating("gpt-5", audio)))


def own(text: str) -> PriceBook:
    return compile_book(read_shipped(), [("mine.toml", text.encode())])


def test_a_free_provider_is_an_explicit_zero_with_a_rate() -> None:
    book = own('[[prices]]\nprovider = "local"\nfree = true\nsource = "own hardware"')
    result = charge(book, rating("llama", used(input=10, output=20), "local", service_tier="whatever"))
    assert isinstance(result, Charge)
    assert (result.total_femto, [line.rate for line in result.lines]) == (
        0,
        ["local/*/any#input", "local/*/any#output"],
    )
    assert explain_lines(book, result.lines, NOW)[0].origin is not None


def test_a_users_price_replaces_a_shipped_one_under_all_its_ids() -> None:
    book = own('[[prices]]\nprovider = "openai"\nmodel = "gpt-4o"\ninput = "2"\noutput = "8"')
    usage = used(input=1_000_000)
    assert price(charge(book, rating("gpt-4o-2024-11-20", usage))) == "2"
    assert price(charge(book, rating("gpt-4o-mini", usage))) == "0.15"
    flex = charge(book, rating("gpt-4o", usage, service_tier="priority"))
    assert "at tier priority" in reason(flex)


def test_a_server_without_a_card_may_call_its_tiers_as_it_likes() -> None:
    book = own('[[prices]]\nprovider = "groq"\nmodel = "qwen/*"\ninput = "0.5"\noutput = "1"')
    result = charge(book, rating("qwen/qwen3-32b", used(input=1000), "groq", service_tier="on_demand"))
    assert price(result) == "0.0005"


def test_two_prices_for_one_model_are_refused_at_once() -> None:
    entry = '[[prices]]\nprovider = "p"\nmodel = "m"\ninput = "1"\n'
    with pytest.raises(ConfigError, match="m is there twice"):
        own(entry * 2)
    with pytest.raises(ConfigError, match="m and n both have the name 'm'"):
        own(entry + entry.replace('"m"', '"n"\nnames = ["m"]'))


def test_a_fault_in_a_shipped_card_does_not_stop_calls() -> None:
    book = compile_book({"p": b"format = 2"})
    assert reason(charge(book, rating("m", used(input=1), "p"))).startswith("price book: p.toml: `provider`")


def test_a_rate_is_found_again_by_its_id() -> None:
    usage = Usage({"input": 10, "cache_write_12h": 5, "web_search": 1, "reasoning": 2}, 300_000)
    result = charge(BOOK, rating("gpt-6-sol", usage, region="eu", service_tier="flex"))
    assert isinstance(result, Charge)
    for line in result.lines:
        origin = find_origin(BOOK, line.rate, NOW)
        assert origin is not None
        assert origin.row is not None
        assert line.rate.startswith(f"{origin.row.id}#{origin.meter}")
    assert find_origin(BOOK, "openai/gpt-6-sol/flex#nothing", NOW) is None
    assert find_origin(BOOK, "nobody/m/standard#input", NOW) is None


def test_an_explanation_names_model_tier_and_source() -> None:
    explained = explain(BOOK, rating("gpt-5-2025-08-07", used(input=5), service_tier="flex"))
    assert (explained.choice.model, explained.choice.tier) == ("gpt-5", "flex")
    assert explained.choice.tier_why == "the answer says 'flex'"
    origin = explained.lines[0].origin
    assert origin is not None
    assert origin.source.url == "https://developers.openai.com/api/docs/pricing"
    assert (explained.lines[0].unit_price_usd, explained.lines[0].per) == ("0.625", "1000000")


def test_the_worst_case_takes_the_dearest_meters_and_the_tier_that_is_reached() -> None:
    def worst(provider: str, model: str, input_tokens: int, output_tokens: int) -> Charge | Unpriced:
        return worst_case_of(BOOK, Bound(provider, model, input_tokens, output_tokens, NOW))

    result = worst("anthropic", "claude-haiku-5-5", 150_000, 4096)
    assert isinstance(result, Charge)
    assert [(line.meter, line.quantity) for line in result.lines] == [("cache_write_1h", 150_000), ("output", 4096)]
    assert price(result) == "0.16024"
    assert price(worst("anthropic", "claude-haiku-5-5", 100_000, 4096)) == "0.022048"
    assert price(worst("openai", "text-embedding-3-small", 1_000_000, 0)) == "0.02"
    assert "for any output meter" in reason(worst("openai", "text-embedding-3-small", 1, 1))
    assert "no rate for openai/gpt-7" in reason(worst("openai", "gpt-7", 1, 1))
    assert "larger than one attempt" in reason(worst("openai", "o1-pro", 1, 2**31 - 1))
    fast = Bound("openai", "gpt-5", 1000, 100, NOW, service_tier="priority")
    assert price(worst_case_of(BOOK, fast)) == "0.0045"


def test_the_memory_of_choices_is_bounded() -> None:
    book = load_book()
    for number in range(9000):
        charge(book, rating(f"gpt-5-nano-{number}", used(input=1)))
    assert len(book.memo) < 9000


MODELS = [
    (provider, model.id, model.names[0] if model.names else model.patterns[0].replace("#", "1").rstrip("*"))
    for provider in BOOK.providers()
    for model in (BOOK.card(provider) or pytest.fail("no card")).models
]
quantities = st.dictionaries(st.sampled_from(list(METERS)), st.integers(0, 400_000), min_size=1, max_size=6)


@given(
    which=st.sampled_from(MODELS),
    meters=quantities,
    tier=st.sampled_from([None, "default", "flex", "priority"]),
    processing=st.sampled_from([None, None, "batch"]),
    region=st.sampled_from([None, "us"]),
)
def test_lines_add_up_and_nothing_is_zero(
    *, which: tuple[str, str, str], meters: dict[str, int], tier: str | None, processing: str | None, region: str | None
) -> None:
    provider, _, name = which
    usage = used(**meters)
    result = charge(BOOK, rating(name, usage, provider, service_tier=tier, processing=processing, region=region))
    if isinstance(result, Unpriced):
        assert result.reason
        return
    assert result.total_femto == sum(line.amount_femto for line in result.lines)
    assert {line.meter for line in result.lines} == {meter for meter, quantity in meters.items() if quantity}
    for line in result.lines:
        assert type(line.amount_femto) is int
        assert line.amount_femto == amount_of(line.quantity, line.unit_price_femto, line.per)
        assert line.quantity >= meters[line.meter] or line.rate.endswith("!least") or "/marginal" in line.rate


@given(which=st.sampled_from(MODELS), meters=quantities, meter=st.sampled_from(list(METERS)), more=st.integers(1, 1000))
def test_more_of_a_meter_never_costs_less(
    which: tuple[str, str, str], meters: dict[str, int], meter: str, more: int
) -> None:
    provider, _, name = which
    size = sum(meters.values())
    before = charge(BOOK, rating(name, Usage(meters, size), provider))
    after = charge(BOOK, rating(name, Usage({**meters, meter: meters.get(meter, 0) + more}, size), provider))
    if isinstance(before, Charge) and isinstance(after, Charge):
        assert after.total_femto >= before.total_femto


@given(which=st.sampled_from(MODELS), bound=st.integers(0, 500_000), cap=st.integers(0, 50_000), data=st.data())
def test_no_use_of_tokens_costs_more_than_the_worst_case(
    which: tuple[str, str, str], bound: int, cap: int, data: st.DataObject
) -> None:
    provider, _, name = which
    worst = worst_case_of(BOOK, Bound(provider, name, bound, cap, NOW))
    if isinstance(worst, Unpriced):
        return
    read = data.draw(st.integers(0, bound))
    write = data.draw(st.integers(0, bound - read))
    writes = data.draw(st.sampled_from([name for name in METERS if name.startswith("cache_write")]))
    usage = used(input=bound - read - write, cache_read=read, output=cap, **{writes: write})
    actual = charge(BOOK, rating(name, usage, provider))
    if isinstance(actual, Charge):
        assert actual.total_femto <= worst.total_femto
