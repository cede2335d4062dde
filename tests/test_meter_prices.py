"""A cost is the provider's own: its way of counting, its region, hour and tier, its figure beside ours."""

from typing import Any

import msgspec
import pytest

from farebox.call import Answered
from farebox.journal.record import Sent
from farebox.meter import (
    UNSEEN_INPUT_TOKENS,
    Ended,
    Priced,
    assume,
    end,
    estimate,
    lost,
    price_answer,
    price_meters,
)
from farebox.normalise.evidence import read_evidence
from farebox.prices.book import compile_book
from farebox.quote import read_rating
from tests.test_meter import BOOK, sent

CARD = b"""
format = 2
provider = "acme"
no_region = ["global"]
reported = "check"
tiers = { default = "standard", standard = "standard" }
facts = { deployment = ["shared", "own"], search_context_size = ["low", "high"] }
[sources.page]
url = "https://acme.example/prices"
[[schedules]]
id = "night"
zone = "UTC"
weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
spans = ["00:00-06:00"]
source = "page"
[[uplifts]]
id = "north"
regions = ["north"]
times = "1.1"
models = ["*"]
source = "page"
[[uplifts]]
id = "own"
when = { deployment = "own" }
times = "2"
models = ["*"]
source = "page"
[[models]]
id = "m"
names = ["m"]
source = "page"
inherit = { reasoning = "output" }
prices = [
  { input = "1", cache_read = "0.1", output = "4", audio_time = "0.006/min" },
  { schedule = "night", input = "0.5", cache_read = "0.05", output = "2" },
]
[[models]]
id = "s"
names = ["s"]
source = "page"
prices = [
  { input = "1", output = "4", request = "0.005" },
  { when = { search_context_size = "high" }, request = "0.012" },
]
"""
AGREED = b"""
[[contracts]]
id = "acme-2026"
provider = "acme"
percent = "12.5"
source = "contract 7"
"""
ACME = compile_book({"acme": CARD})
DAY_NS = 86_400_000_000_000
MIDNIGHT_NS = 20_000 * DAY_NS
NOON_NS = MIDNIGHT_NS + DAY_NS // 2
PLAIN = {"prompt_tokens": 10, "completion_tokens": 5}
MESSAGE = {"input_tokens": 10, "cache_read_input_tokens": 4, "output_tokens": 5}
MICRO = 10**9  # femtodollars: a dollar per million tokens


def acme(**changes: Any) -> Sent:
    return sent(model="m", rate_provider="acme", **{"at_ns": NOON_NS, **changes})


def answer(model: str = "m", **usage: Any) -> Answered:
    return Answered(model=model, usage={"prompt_tokens": 100, "completion_tokens": 20, **usage}, complete=True)


@pytest.mark.parametrize(
    ("rates", "operation", "usage", "meters"),
    [
        # xAI leaves reasoning out of its completion tokens; whoever counts it in says so by the sum.
        (
            "x-ai",
            "chat",
            {
                **PLAIN,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            {"input": 10, "output": 5, "reasoning": 7},
        ),
        (
            "openai",
            "chat",
            {
                "prompt_tokens": 10,
                "completion_tokens": 12,
                "total_tokens": 22,
                "completion_tokens_details": {"reasoning_tokens": 7},
            },
            {"input": 10, "output": 5, "reasoning": 7},
        ),
        (
            "deepseek",
            "chat",
            {
                **PLAIN,
                "prompt_cache_hit_tokens": 4,
                "prompt_cache_miss_tokens": 6,
            },
            {"input": 6, "cache_read": 4, "output": 5},
        ),
        (
            "dashscope",
            "chat",
            {
                **PLAIN,
                "total_tokens": 15,
                "prompt_tokens_details": {"cached_tokens": 4, "cache_creation_input_tokens": 3},
            },
            {"input": 3, "cache_read": 4, "cache_write_5m": 3, "output": 5},
        ),
        (
            "mistral",
            "chat",
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 390, "prompt_audio_seconds": 30},
            {"input": 10, "output": 5, "audio_time": 30_000},
        ),
        (
            "perplexity",
            "chat",
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "search_context_size": "low"},
            {"input": 10, "output": 5, "request": 1},
        ),
        ("groq", "chat", {**PLAIN, "queue_time": 0.1}, {"input": 10, "output": 5}),
        ("together", "chat", {**PLAIN, "cached_tokens": 4}, {"input": 6, "cache_read": 4, "output": 5}),
        ("fireworks", "chat", PLAIN, {"input": 10, "output": 5}),
        ("openrouter", "chat", {**PLAIN, "cost": 0.000015}, {"input": 10, "output": 5}),
        ("house", "chat", PLAIN, {"input": 10, "output": 5}),
        ("mistral", "embeddings", {"prompt_tokens": 10, "completion_tokens": 0, "total_tokens": 10}, {"input": 10}),
        ("openai", "embeddings", {"prompt_tokens": 10, "total_tokens": 10}, {"input": 10}),
        # Whoever speaks Anthropic's dialect counts its way, whatever its own dialects count.
        ("x-ai", "messages", MESSAGE, {"input": 10, "cache_read": 4, "output": 5}),
        ("dashscope", "messages", MESSAGE, {"input": 10, "cache_read": 4, "output": 5}),
    ],
)  # fmt: skip
def test_usage_is_read_as_its_provider_counts_it(rates, operation, usage, meters) -> None:
    priced = price_answer(BOOK, sent(operation, "m", rates), Answered(usage=usage, complete=True))
    assert "quarantined" not in priced.flags, priced.unpriced
    assert {name: count for name, count in priced.meters.items() if count} == meters


def test_reasoning_beside_the_answer_is_a_violation_where_it_should_be_inside() -> None:
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 22,
        "completion_tokens_details": {"reasoning_tokens": 7},
    }
    assert price_answer(BOOK, sent(), Answered(usage=usage)).flags == ("unpriced", "quarantined")


def test_region_and_deployment_of_the_endpoint_are_part_of_the_price() -> None:
    plain = 100 * MICRO + 20 * 4 * MICRO
    for changes, factor in (
        ({}, 10),
        ({"region": "global"}, 10),
        ({"region": "north"}, 11),
        ({"deployment": "own"}, 20),
        ({"region": "north", "deployment": "own"}, 22),
    ):
        priced = price_answer(ACME, acme(**changes), answer())
        assert priced.total_femto == plain * factor // 10, changes
        worst = assume(ACME, acme(**changes))
        usual = assume(ACME, acme()).total_femto
        assert usual is not None
        assert worst.total_femto == usual * factor // 10, changes
        assert lost(ACME, acme(**changes), 7).total_femto == worst.total_femto
        floor = estimate(ACME, acme(**changes), Answered(content_bytes=80))
        assert floor.total_femto == (11 + 20 * 4) * MICRO * factor // 10, changes
    assert price_answer(ACME, acme(region="west"), answer()).total_femto is None
    assert price_answer(ACME, acme(deployment="x"), answer()).total_femto is None


def test_what_the_answer_says_of_its_region_goes_before_the_configuration() -> None:
    usage = {"input_tokens": 100, "output_tokens": 20, "inference_geo": "global"}
    message = sent("messages", "m", "acme", at_ns=NOON_NS, region="north")
    assert price_answer(ACME, message, Answered(usage=usage)).total_femto == 180 * MICRO
    usage["inference_geo"] = "north"
    abroad = msgspec.structs.replace(message, region="")
    assert price_answer(ACME, abroad, Answered(usage=usage)).total_femto == 198 * MICRO


def test_facts_of_the_usage_are_part_of_the_price() -> None:
    perplexity = CARD.replace(b'provider = "acme"', b'provider = "perplexity"')
    book = compile_book({"perplexity": perplexity})
    attempt = sent(model="s", rate_provider="perplexity", at_ns=NOON_NS)
    for size, fee in (("low", 5 * 10**12), ("high", 12 * 10**12)):
        asked = answer("s", search_context_size=size)
        assert price_answer(book, attempt, asked).total_femto == 180 * MICRO + fee
        cut = estimate(book, attempt, asked)
        assert (cut.total_femto, cut.flags) == (180 * MICRO + fee, ("estimated",))


def test_the_instant_it_was_sent_decides_about_a_schedule() -> None:
    for at_ns, femto in (
        (MIDNIGHT_NS - 1, 180),
        (MIDNIGHT_NS, 90),
        (MIDNIGHT_NS + DAY_NS // 4 - 1, 90),
        (MIDNIGHT_NS + DAY_NS // 4, 180),
    ):
        assert price_answer(ACME, acme(at_ns=at_ns), answer()).total_femto == femto * MICRO
        worst = assume(ACME, acme(at_ns=at_ns))
        assert worst.total_femto == (300 + UNSEEN_INPUT_TOKENS + 50 * 4) * femto * MICRO // 180
        assert lost(ACME, acme(at_ns=at_ns), NOON_NS).total_femto == worst.total_femto
        floor = estimate(ACME, acme(at_ns=at_ns), Answered(content_bytes=80))
        assert floor.total_femto == 91 * femto * MICRO // 180


def test_steps_of_a_contract_are_lines_of_their_own() -> None:
    book = compile_book({"acme": CARD}, [("own.toml", AGREED)])
    priced = price_answer(book, acme(), answer())
    assert [(line.rate.partition("#")[0], line.quantity, line.amount_femto) for line in priced.lines] == [
        ("acme/m/standard", 100, 100 * MICRO),
        ("contract/acme-2026", 100, -100 * MICRO // 8),
        ("acme/m/standard", 20, 80 * MICRO),
        ("contract/acme-2026", 20, -80 * MICRO // 8),
    ]
    assert priced.total_femto == 180 * MICRO * 7 // 8
    assert priced.meters == {"input": 100, "output": 20}
    # The worst case leaves out what a contract takes off, so it stays above every end that can come.
    assert assume(book, acme()).total_femto == assume(ACME, acme()).total_femto


def test_a_price_by_the_minute_is_rounded_once() -> None:
    mistral = CARD.replace(b'provider = "acme"', b'provider = "mistral"')
    book = compile_book({"mistral": mistral})
    attempt = sent(model="m", rate_provider="mistral", at_ns=NOON_NS)
    priced = price_answer(book, attempt, answer(total_tokens=500, prompt_audio_seconds="7.001"))
    assert [line.meter for line in priced.lines] == ["input", "output", "audio_time"]
    assert priced.meters["audio_time"] == 7_001
    # 7.001 s at 0.006 USD a minute
    assert priced.lines[2].amount_femto == 700_100_000_000
    assert priced.total_femto == 180 * MICRO + 700_100_000_000


def xai(ticks: int) -> tuple[Sent, Answered, Any]:
    book = compile_book({"x-ai": CARD.replace(b'provider = "acme"', b'provider = "x-ai"')})
    return sent(model="m", rate_provider="x-ai", at_ns=NOON_NS), answer(cost_in_usd_ticks=ticks), book


@pytest.mark.parametrize(
    ("ticks", "flags"),
    [
        (1_800_000, ()),
        (1_800_001, ()),  # the provider may have rounded up
        (1_799_999, ()),
        (1_800_002, ("reported_differs",)),
        (1_799_998, ("reported_differs",)),
        (0, ("reported_differs",)),
    ],
)
def test_a_reported_cost_that_differs_by_more_than_its_rounding_is_flagged(ticks, flags) -> None:
    attempt, answered, book = xai(ticks)
    priced = price_answer(book, attempt, answered)
    assert (priced.total_femto, priced.reported_femto, priced.flags) == (180 * MICRO, ticks * 10**5, flags)
    done = end(attempt, priced, answered, Ended(outcome="ok", at_ns=1, book=book.hash))
    assert (done.reported_femto, done.flags) == (ticks * 10**5, flags)


def test_others_report_to_a_billionth_of_a_dollar() -> None:
    book = compile_book({"perplexity": CARD.replace(b'provider = "acme"', b'provider = "perplexity"')})
    attempt = sent(model="s", rate_provider="perplexity", at_ns=NOON_NS)
    for cost, flags in (("0.005180001", ()), ("0.005180002", ("reported_differs",)), (0.00518, ())):
        priced = price_answer(book, attempt, answer("s", cost={"total_cost": cost}))
        assert (priced.total_femto, priced.flags) == (180 * MICRO + 5 * 10**12, flags), cost


def test_a_reported_cost_without_a_price_of_ours_is_kept() -> None:
    priced = price_answer(BOOK, sent(model="nobody", rate_provider="x-ai"), answer(cost_in_usd_ticks=7))
    assert (priced.total_femto, priced.reported_femto, priced.flags) == (None, 7 * 10**5, ("unpriced",))


def test_where_the_reported_cost_is_the_bill_it_is_the_charge() -> None:
    card = CARD.replace(b'provider = "acme"', b'provider = "openrouter"').replace(b'"check"', b'"bill"')
    book = compile_book({"openrouter": card})
    attempt = sent(model="m", rate_provider="openrouter", at_ns=NOON_NS)
    priced = price_answer(book, attempt, answer(cost=0.00002137))
    assert (priced.total_femto, priced.reported_femto, priced.flags) == (21_370_000_000, 21_370_000_000, ())
    assert [line.meter for line in priced.lines] == ["reported_cost"]
    assert priced.meters == {"input": 100, "output": 20}
    silent = price_answer(book, attempt, answer())
    assert (silent.total_femto, silent.reported_femto) == (180 * MICRO, None)
    assert assume(book, attempt).total_femto == assume(ACME, acme()).total_femto


def test_meters_of_an_estimate_on_record_are_priced_again_as_they_were() -> None:
    floor = estimate(ACME, acme(region="north"), Answered(content_bytes=80, usage={"prompt_tokens": 3}))
    again = price_meters(ACME, acme(region="north"), Answered(), floor.meters)
    assert again.lines == floor.lines
    assert again.total_femto == floor.total_femto


def test_the_providers_words_for_a_tier_are_those_of_the_price_command() -> None:
    for word in ("default", "on_demand", "standard"):
        asked = Answered(model="m", usage={"prompt_tokens": 100, "completion_tokens": 20}, service_tier=word)
        assert price_answer(ACME, acme(), asked).total_femto == 180 * MICRO, word
        rating = read_rating("acme", "m", asked.usage or {}, {"service_tier": word}, NOON_NS)
        assert rating.service_tier in {"default", "standard"}
    unknown = Answered(model="m", usage={"prompt_tokens": 100, "completion_tokens": 20}, service_tier="scale")
    assert "'scale'" in price_answer(ACME, acme(), unknown).unpriced


class Asking(dict[str, Any]):
    """A usage object that remembers which of its members were asked for."""

    def __init__(self, said: dict[str, Any]) -> None:
        super().__init__(said)
        self.asked: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.asked.add(key)
        return super().get(key, default)


def test_whatever_says_how_it_is_billed_is_read_although_most_say_nothing() -> None:
    raw = Asking({})
    read_evidence(raw)
    for key in raw.asked:
        # A word that the card does not know must be seen, whichever member of the usage says it.
        usage = {"input_tokens": 100, "output_tokens": 20, key: "unheard-of"}
        priced: Priced = price_answer(ACME, sent("messages", "m", "acme", at_ns=NOON_NS), Answered(usage=usage))
        assert priced.total_femto is None, key
        assert "unheard" in priced.unpriced, key
