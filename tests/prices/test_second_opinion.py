"""The charges of every imported model against those of another engine over the same data.

The two differ on purpose where the other falls back to a price that nobody published. Each such case is refused
here, for a reason in `REFUSED`; everything that is charged must be equal to the last digit.
"""

import random
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
from farebox.prices.rates import Model
from farebox.state.pricebook import load_book
from farebox.usage import METERS, Usage

BOOK = load_book()
OTHER = {provider.id: provider for provider in providers if provider.id in {"openai", "anthropic"}}

# What the other engine prices, and why it is not priced here.
REFUSED = {
    "for the meter": "it takes the price of a plain token for a cached, audio or image one without a price",
    "at tier": "it takes the standard price for a tier that has none",
    "at that time": "it takes the standard price before the first date of a tier's prices",
}
# Models without a price by the token: sessions, characters, hours of audio; one is free and has no price at all.
NOT_BY_TOKEN = {
    "gpt-live-1",
    "gpt-live-transcribe",
    "gpt-realtime-translate",
    "gpt-realtime-whisper",
    "gpt-transcribe",
    "moderation",
    "tts-1",
    "tts-1-hd",
    "whisper-1",
}
# Published rules that the other data does not have.
AHEAD = {("anthropic", "claude-opus-4-6", "fast"), ("anthropic", "claude-opus-4-7", "fast")}
TIERS: dict[str, list[tuple[dict[str, str], dict[str, str]]]] = {
    "openai": [
        ({}, {}),
        ({"service_tier": "default"}, {"service_tier": "default"}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"service_tier": "priority"}, {"service_tier": "priority"}),
        ({"service_tier": "fast"}, {"service_tier": "fast"}),
        ({"processing": "batch"}, {"processing": "batch"}),
    ],
    "anthropic": [
        ({}, {}),
        ({"processing": "batch"}, {"processing": "batch"}),
        ({"speed": "fast"}, {"speed": "fast"}),
    ],
}
TIMES = ("2026-02-01T00:00:00", "2026-07-30T00:00:00", "2026-10-14T00:00:00", "2026-11-20T12:00:00")


def model_of(provider: str, info: Any) -> Model:
    card = BOOK.card(provider)
    assert card is not None
    return next(model for model in card.models if model.id == info.id)


def ids_of(model: Model) -> list[str]:
    """Return ids that our card gives the model; digits stand for a date."""
    return [*model.names, *(pattern.replace("#", "2").replace("*", "") for pattern in model.patterns)]


def draw_usage(dice: random.Random, provider: str, model: Model) -> Usage:
    """Return a usage whose size lies on either side of every threshold, mostly of meters that have a price."""
    priced = {meter for row in model.rows for meter in row.prices} | set(model.inherit)
    write = {"openai": ["cache_write_30m"], "anthropic": ["cache_write_5m", "cache_write_1h"]}[provider]
    optional = ["cache_read", *write, "web_search"]
    if provider == "openai":
        optional += ["input_audio", "output_audio", "input_image", "output_image", "file_search"]
    if dice.randrange(10):
        optional = [name for name in optional if name in priced]
    meters = {"input": dice.choice([0, 1, 99_999, 100_000, 200_001, 271_999, 300_000]) + dice.randrange(2)}
    for name in dice.sample(optional, dice.randrange(min(4, len(optional) + 1))):
        meters[name] = dice.randrange(1, 9) if METERS[name].family == "fee" else dice.randrange(1, 90_000)
    if "output" in priced:
        meters["output"] = dice.randrange(0, 30_000)
        meters["reasoning"] = dice.randrange(0, 3000)
    return Usage(meters, sum(count for name, count in meters.items() if METERS[name].family == "input"))


def as_other(usage: Usage) -> Any:
    meters = usage.meters
    counts = {
        "input_tokens": usage.input_total,
        "output_tokens": sum(count for name, count in meters.items() if METERS[name].family == "output"),
        "cache_read_tokens": meters.get("cache_read"),
        "cache_write_tokens": sum(count for name, count in meters.items() if name.startswith("cache_write")) or None,
        "cache_write_1h_tokens": meters.get("cache_write_1h"),
        "input_audio_tokens": meters.get("input_audio"),
        "output_audio_tokens": meters.get("output_audio"),
        "input_image_tokens": meters.get("input_image"),
        "output_image_tokens": meters.get("output_image"),
        "web_searches": meters.get("web_search"),
        "storage_searches": meters.get("file_search"),
    }
    for modality in ("audio", "image"):
        if f"input_{modality}" in meters:
            counts[f"cache_{modality}_read_tokens"] = counts[f"cache_{modality}_write_tokens"] = 0
    return OtherUsage(**{name: count for name, count in counts.items() if count is not None})


@pytest.mark.parametrize("provider", list(OTHER))
def test_every_charge_equals_the_other_engines(provider: str) -> None:
    dice = random.Random(20261123)
    charged = refused = 0
    for info in OTHER[provider].models:
        if info.id in NOT_BY_TOKEN:
            continue
        model = model_of(provider, info)
        name = ids_of(model)[0]
        for at in TIMES:
            when = datetime.fromisoformat(at).replace(tzinfo=UTC)
            for ours, theirs in TIERS[provider]:
                if (provider, info.id, ours.get("speed")) in AHEAD:
                    continue
                usage = draw_usage(dice, provider, model)
                rating = Rating(
                    provider=provider,
                    answered="",
                    asked=name,
                    usage=usage,
                    at_ns=int(when.timestamp()) * 10**9,
                    service_tier=ours.get("service_tier"),
                    processing=ours.get("processing"),
                    speed=ours.get("speed"),
                )
                result = charge(BOOK, rating)
                if isinstance(result, Unpriced):
                    assert any(words in result.reason for words in REFUSED), result.reason
                    refused += 1
                    continue
                other = calc_price(
                    as_other(usage),
                    name,
                    provider_id=provider,
                    genai_request_timestamp=when,
                    price_context=theirs,
                )
                assert Decimal(usd_text(result.total_femto)) == other.total_price, (info.id, at, ours, usage)
                assert other.model.id == info.id
                charged += 1
    assert charged > {"openai": 1000, "anthropic": 150}[provider]
    assert refused


@pytest.mark.parametrize(("provider", "count"), [("openai", 104), ("anthropic", 27)])
def test_every_model_with_a_price_by_the_token_is_priced(provider: str, count: int) -> None:
    at_ns = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * 10**9
    priced = 0
    for info in OTHER[provider].models:
        if info.id in NOT_BY_TOKEN:
            continue
        for name in ids_of(model_of(provider, info)):
            usage = Usage({"input": 7}, 7)
            result = charge(BOOK, Rating(provider=provider, answered=name, asked="", usage=usage, at_ns=at_ns))
            assert isinstance(result, Charge), result
            assert result.total_femto > 0
            found = OTHER[provider].find_model(name)
            assert found is not None
            assert found.id == info.id
        priced += 1
    assert priced == count


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
