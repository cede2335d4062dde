"""What is written by hand about prices: every rule says where it is from, and what is not published is not priced."""

import tomllib
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from farebox.charge import Charge, Unpriced
from farebox.prices.book import PriceBook
from farebox.prices.engine import charge
from farebox.prices.rates import ANY_TIER, STANDARD
from farebox.quote import read_instant, read_rating
from farebox.state.pricebook import load_book

_DATA = Path(__file__).parents[2] / "farebox" / "prices" / "data"
_PUBLISHED = sorted((_DATA / "published").glob("*.toml"))
_AT = "2026-11-20T12:00:00Z"
_NOW_NS = read_instant(_AT)
_CHAT = {"prompt_tokens": 1000, "completion_tokens": 100}
_GEMINI = {"promptTokenCount": 1000, "candidatesTokenCount": 100}
_CLAUDE = {"input_tokens": 1000, "output_tokens": 100}
_BEDROCK = {"inputTokens": 1000, "outputTokens": 100}


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return load_book()


def _read(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text())


@pytest.mark.parametrize("path", _PUBLISHED, ids=[path.stem for path in _PUBLISHED])
def test_every_rule_says_where_it_is_from(path: Path) -> None:
    rules = _read(path)
    sources = rules["sources"]
    assert rules["provider"] == path.stem
    for key, source in sources.items():
        assert source["url"].startswith("https://"), key
        assert "retrieved" in source or key == "list", f"{key} does not say when it was read"
    for kind in ("models", "uplifts", "schedules", "pools", "tier_multiples", "adds"):
        for entry in rules.get(kind, []):
            assert entry["source"] in sources, f"{kind}: {entry}"


@pytest.mark.parametrize(
    ("provider", "model", "usage", "context"),
    [
        ("anthropic", "claude-opus-5", _CLAUDE, {"service_tier": "priority"}),
        ("anthropic", "claude-opus-5", _CLAUDE, {"speed": "fast", "processing": "batch"}),
        ("anthropic", "claude-opus-5", _CLAUDE, {"inference_geo": "mars"}),
        ("anthropic", "claude-opus-4-8", _CLAUDE, {"speed": "fast", "time": "2026-11-30T00:00:00Z"}),
        ("openai", "gpt-4o", _CHAT, {"service_tier": "flex"}),
        ("openai", "gpt-6-sol", _CHAT, {"service_tier": "ultrafast"}),
        ("openai", "gpt-4o", _CHAT, {"data_residency": "mars"}),
        ("openai", "gpt-99", _CHAT, {}),
        ("google", "gemini-2.5-pro", {**_GEMINI, "trafficType": "OFFPEAK"}, {}),
        ("google", "gemini-2.5-pro", {**_GEMINI, "trafficType": "PROVISIONED_THROUGHPUT"}, {}),
        ("google", "gemini-4-argon", {"cached_tokens": 1000, "hours": 1}, {"kind": "cache_storage"}),
        ("dashscope", "qwen-plus", _CHAT, {"region": "cn-beijing"}),
        ("x-ai", "grok-4.3", _CHAT, {"region": "eu-west-1"}),
        ("x-ai", "grok-3", _CHAT, {"processing": "batch"}),
        ("aws", "amazon.nova-lite-v1:0", _BEDROCK, {"service_tier": "flex"}),
        ("azure", "gpt-5.1", _CHAT, {"deployment": "moon_base"}),
        ("azure", "gpt-5.1", _CHAT, {"region": "moonwest", "deployment": "data_zone"}),
        ("perplexity", "sonar-pro", {**_CHAT, "search_context_size": "enormous"}, {}),
        ("groq", "openai/gpt-oss-120b", _CHAT, {"service_tier": "performance"}),
    ],
)
def test_what_is_not_published_is_not_priced(
    book: PriceBook, provider: str, model: str, usage: dict[str, Any], context: dict[str, Any]
) -> None:
    found = charge(book, read_rating(provider, model, usage, {"time": _AT, **context}, _NOW_NS))
    assert isinstance(found, Unpriced), found
    assert model in found.reason


def test_a_free_price_is_written_as_zero(book: PriceBook) -> None:
    found = charge(book, read_rating("google", "gemma-4-31b-it", _GEMINI, {"time": _AT}, _NOW_NS))
    assert isinstance(found, Charge)
    assert (found.total_femto, len(found.lines)) == (0, 2)


def test_holidays_are_days_of_known_years(book: PriceBook) -> None:
    calendar = book.calendars["cn-public-holidays"]
    days = sorted(date.fromisoformat(day) for day in calendar.days)
    assert days[-1] <= date.fromisoformat(calendar.known_until)
    for year in {day.year for day in days}:
        national = {date(year, 10, 1) + timedelta(days=count) for count in range(7)}
        assert {date(year, 1, 1), date(year, 5, 1), *national} <= set(days)


def test_exchange_rates_change_with_every_month_and_not_by_much(book: PriceBook) -> None:
    by_currency: dict[str, list[tuple[int, Decimal]]] = {}
    for rate in book.exchange:
        by_currency.setdefault(rate.currency, []).append((rate.from_ns, Decimal(rate.usd)))
    assert {"EUR", "GBP", "CNY", "JPY"} <= set(by_currency)
    for rates in by_currency.values():
        assert [start for start, _ in rates] == sorted({start for start, _ in rates})
        for (_, before), (_, after) in pairwise(rates):
            assert abs(after / before - 1) < Decimal("0.15")


def test_no_tier_forgets_that_long_prompts_cost_more(book: PriceBook) -> None:
    forgetful = set()
    for provider in book.providers():
        card = book.card(provider)
        assert card is not None
        for model in card.models:
            rows = [row for row in model.rows if row.from_ns <= _NOW_NS < row.until_ns and not row.when]
            sizes = {row.above for row in rows if row.tier == STANDARD and row.above > 0}
            for tier in {row.tier for row in rows if "input" in row.prices} - {STANDARD, ANY_TIER}:
                if not sizes <= {row.above for row in rows if row.tier == tier}:
                    forgetful.add(f"{provider}/{model.id} {tier}")
    # Priority of these does not serve long prompts; such a request is served, and billed, as standard.
    served_as_standard = {f"{provider}/gpt-5.{minor} priority" for provider in ("openai", "azure") for minor in (4, 5)}
    assert forgetful == served_as_standard
