"""The charges of the shipped book against those of another engine over the data that most of it was written from.

They are compared wherever every rate of a charge came through that data: to the last digit. What was written by hand
from the vendors' pages goes before it, and what it does not know it guesses; neither is compared.
"""

import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from timeit import repeat
from typing import Any

import pytest
from genai_prices import Usage as OtherUsage
from genai_prices import calc_price
from genai_prices.data import providers

from farebox.charge import Charge, Unpriced
from farebox.money import usd_text
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.explain import Origin, find_origin
from farebox.prices.rates import Model
from farebox.state.pricebook import load_book
from farebox.usage import METERS, Usage

BOOK = load_book()
OTHER = {provider.id: provider for provider in providers if BOOK.card(provider.id) is not None}
VIA = "genai-prices"
ORIGINS: dict[str, Origin | None] = {}
# Why a usage may have no price here: each is a price that the other engine takes from somewhere else.
REFUSED = (
    "for the meter",  # the price of a plain token for a cached, audio or image one without a price
    "at tier",  # the standard price for a tier that has none
    "at that time",  # the standard price before the first date of a tier's prices
    "service tier",  # likewise, for a tier that the provider does not have at all
)
TIERS: tuple[tuple[dict[str, Any], dict[str, str]], ...] = (
    ({}, {}),
    ({"processing": "batch"}, {"processing": "batch"}),
    ({"service_tier": "flex"}, {"service_tier": "flex"}),
    ({"service_tier": "priority"}, {"service_tier": "priority"}),
)
TIMES = ("2026-02-01T12:00:00", "2026-07-30T00:00:00", "2026-10-14T00:00:00", "2026-11-20T12:00:00")
INPUTS = (0, 1, 31_999, 99_999, 100_000, 199_998, 199_999, 200_000, 271_999, 300_000, 600_000)
COUNTED = {
    "input_tokens": "input",
    "cache_read_tokens": "cache_read",
    "cache_write_1h_tokens": "cache_write_1h",
    "input_audio_tokens": "input_audio",
    "input_image_tokens": "input_image",
    "output_audio_tokens": "output_audio",
    "output_image_tokens": "output_image",
    "web_searches": "web_search",
    "storage_searches": "file_search",
}


def ids_of(model: Model) -> list[str]:
    """Return ids that our card gives the model; digits stand for a date."""
    return [*model.names, *(pattern.replace("#", "2").replace("*", "") for pattern in model.patterns)]


def model_of(provider: str, info: Any) -> Model | None:
    found = BOOK.find_model(provider, info.id)
    return found[0] if found and found[0].id == info.id else None


def draw_usage(dice: random.Random, model: Model) -> Usage:
    """Return a usage whose size lies on either side of every threshold, of meters that have a price."""
    priced = {meter for row in model.rows for meter in row.prices}
    writes = [name for name in ("cache_write_5m", "cache_write_30m") if name in priced][:1]
    optional = [name for name in ("cache_read", *writes, *list(COUNTED.values())[2:]) if name in priced]
    meters = {"input": dice.choice(INPUTS) + dice.randrange(2)}
    for name in dice.sample(optional, dice.randrange(min(4, len(optional) + 1))):
        meters[name] = dice.randrange(1, 9) if METERS[name].family == "fee" else dice.randrange(1, 90_000)
    if "output" in priced:
        meters["output"] = dice.randrange(0, 30_000)
    return Usage(meters, sum(count for name, count in meters.items() if METERS[name].family == "input"))


def as_other(usage: Usage) -> Any:
    meters = usage.meters
    counts: dict[str, int | None] = {theirs: meters.get(ours) for theirs, ours in COUNTED.items()}
    counts["input_tokens"] = usage.input_total
    counts["output_tokens"] = sum(count for name, count in meters.items() if METERS[name].family == "output")
    counts["cache_write_tokens"] = sum(meters[name] for name in meters if name.startswith("cache_write")) or None
    for modality in ("audio", "image"):
        if f"input_{modality}" in meters:
            counts[f"cache_{modality}_read_tokens"] = counts[f"cache_{modality}_write_tokens"] = 0
    return OtherUsage(**{name: count for name, count in counts.items() if count is not None})


def comes_from_there(result: Charge) -> bool:
    """Return whether every rate of a charge came through the other engine's data."""
    for line in result.lines:
        if line.rate not in ORIGINS:
            ORIGINS[line.rate] = find_origin(BOOK, line.rate, 0)
        origin = ORIGINS[line.rate]
        if origin is None or origin.kind != "row" or origin.uplifts or VIA not in origin.source.via:
            return False
    return True


def is_known_there(usage: Usage, other: Any, result: Charge) -> bool:
    """Return whether the other engine has a price of its own for every meter: a single one of ours may be another's."""
    prices = {key for key, value in vars(other.model_price).items() if value is not None}
    lines = {line.meter for line in result.lines}
    needed = {"web_search": "web_searches_kcount", "file_search": "storage_searches_kcount"}
    needed |= {"cache_read": "cache_read_mtok", "cache_write_1h": "cache_write_1h_mtok"}
    needed |= {"cache_write_5m": "cache_write_mtok", "cache_write_30m": "cache_write_mtok"}
    needed |= {"input_audio": "input_audio_mtok", "input_image": "input_image_mtok", "input": "input_mtok"}
    needed |= {"output": "output_mtok", "output_audio": "output_audio_mtok", "output_image": "output_image_mtok"}
    return all(key in prices for meter, key in needed.items() if meter in lines and usage.meters.get(meter))


def test_every_charge_equals_the_other_engines() -> None:
    dice = random.Random(20261123)
    charged: Counter[str] = Counter()
    for provider, other_provider in OTHER.items():
        for info in other_provider.models:
            model = model_of(provider, info)
            if model is None:
                continue
            name = next((one for one in ids_of(model) if info.match.is_match(one.lower())), "")
            if not name or other_provider.find_model(name) is not info:
                continue
            for at in dice.sample(TIMES, 2):
                when = datetime.fromisoformat(at).replace(tzinfo=UTC)
                for ours, theirs in TIERS if info.price_variants else TIERS[:1]:
                    usage = draw_usage(dice, model)
                    at_ns = int(when.timestamp()) * 10**9
                    result = charge(
                        BOOK, Rating(provider=provider, answered="", asked=name, usage=usage, at_ns=at_ns, **ours)
                    )
                    if isinstance(result, Unpriced):
                        assert any(words in result.reason for words in REFUSED), result.reason
                        continue
                    if not result.lines or not comes_from_there(result):
                        continue
                    other = calc_price(
                        as_other(usage), name, provider_id=provider, genai_request_timestamp=when, price_context=theirs
                    )
                    if is_known_there(usage, other, result):
                        # Its data has prices such as 0.18000000000000002; ours were cleaned of that.
                        theirs_usd = round(other.total_price, 15)
                        assert Decimal(usd_text(result.total_femto)) == theirs_usd, (provider, info.id, at, ours)
                        charged[provider] += 1
    assert charged.total() > 2500
    assert len(charged) >= 35


def test_a_charge_is_at_least_twenty_times_as_fast() -> None:
    usage = Usage({"input": 86, "cache_read": 1920, "output": 300}, 2006)
    at = datetime(2026, 11, 20, tzinfo=UTC)
    at_ns = int(at.timestamp()) * 10**9
    rating = Rating(provider="openai", answered="gpt-4o", asked="gpt-4o", usage=usage, at_ns=at_ns)
    other = as_other(usage)
    ours = min(repeat(lambda: charge(BOOK, rating), number=2000, repeat=5)) / 2000
    theirs = min(
        repeat(
            lambda: calc_price(other, "gpt-4o", provider_id="openai", genai_request_timestamp=at),
            number=50,
            repeat=5,
        )
    )
    assert ours * 20 < theirs / 50


@pytest.mark.parametrize("provider", ["openai", "anthropic", "google", "openrouter", "together", "groq", "mistral"])
def test_most_models_of_the_other_data_have_a_price(provider: str) -> None:
    missing = [info.id for info in OTHER[provider].models if BOOK.find_model(provider, info.id) is None]
    assert len(missing) * 10 <= len(OTHER[provider].models), missing
