"""What the simulated providers serve and what they charge for it.

The table is this simulator's own: it was typed from the vendors' public pages and is deliberately not read
from the gateway's price books, because it has to be able to contradict them.

Sources, as listed in October 2026, US dollars per million tokens, standard tier:
https://developers.openai.com/api/docs/pricing and https://platform.claude.com/docs/en/about-claude/pricing.
Anthropic: a cache write costs 1.25 times the input price for 5 minutes and 2 times for 1 hour, a read 0.1 times;
the long-context premium ended on 2026-03-13, so no model here has context tiers.
Minimum cacheable prefixes: https://platform.claude.com/docs/en/build-with-claude/prompt-caching.
"""

from decimal import Decimal

import msgspec

OPENAI = "openai"
ANTHROPIC = "anthropic"

METERS = ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output")


class Served(msgspec.Struct, frozen=True):
    """One model.

    Attributes:
        name: what a request asks for.
        resolved: the dated id which answers report; a request may also ask for it directly.
        api: ``openai`` or ``anthropic``.
        usd_per_mtok: price per million tokens of each meter; a meter that is absent cannot be billed.
        context_tokens: largest prompt plus answer.
        max_output_tokens: largest answer; 0 for embeddings.
        min_cache_tokens: shortest prefix that the prompt cache keeps.
        reasons: bills hidden reasoning tokens inside the output and takes no sampling parameters.
        dimensions: length of an embedding; 0 for a chat model.
        created_s: release time shown in the model list, seconds since 1970.
        title: the display name in the model list of Anthropic.
        flex: offers the tier of that name, at half the price.
        tier: what answers say that they were served at.
    """

    name: str
    resolved: str
    api: str
    usd_per_mtok: dict[str, Decimal]
    context_tokens: int
    max_output_tokens: int = 0
    min_cache_tokens: int = 1024
    reasons: bool = False
    dimensions: int = 0
    created_s: int = 0
    title: str = ""
    flex: bool = False
    tier: str = "default"


def at_tier(model: Served, asked: str | None) -> Served:
    """The model as it is served and billed at the tier that a request asks for."""
    if asked != "flex" or not model.flex:
        return model
    prices = {meter: price / 2 for meter, price in model.usd_per_mtok.items()}
    return msgspec.structs.replace(model, tier="flex", usd_per_mtok=prices)


def amount_usd(model: Served, quantities: dict[str, int]) -> Decimal:
    """What the provider bills for these quantities (tokens per meter), in exact US dollars.

    Raises:
        KeyError: a meter with a quantity has no price, which is a mistake of this simulator.
    """
    total = Decimal(0)
    for meter, tokens in quantities.items():
        if tokens:
            total += (model.usd_per_mtok[meter] * tokens).scaleb(-6)
    return total


def _openai(uncached: str, cached: str, output: str) -> dict[str, Decimal]:
    return {"input": Decimal(uncached), "cache_read": Decimal(cached), "output": Decimal(output)}


def _anthropic(uncached: str, output: str) -> dict[str, Decimal]:
    base = Decimal(uncached)
    return {
        "input": base,
        "cache_read": base * Decimal("0.1"),
        "cache_write_5m": base * Decimal("1.25"),
        "cache_write_1h": base * 2,
        "output": Decimal(output),
    }


_SERVED = (
    Served(
        "gpt-4o-mini",
        "gpt-4o-mini-2024-07-18",
        OPENAI,
        _openai("0.15", "0.075", "0.60"),
        context_tokens=128_000,
        max_output_tokens=16_384,
        created_s=1721172741,
    ),
    Served(
        "gpt-4o",
        "gpt-4o-2024-08-06",
        OPENAI,
        _openai("2.50", "1.25", "10.00"),
        context_tokens=128_000,
        max_output_tokens=16_384,
        created_s=1715367049,
    ),
    Served(
        "gpt-4.1",
        "gpt-4.1-2025-04-14",
        OPENAI,
        _openai("2.00", "0.50", "8.00"),
        context_tokens=1_047_576,
        max_output_tokens=32_768,
        created_s=1744316542,
    ),
    Served(
        "gpt-4.1-mini",
        "gpt-4.1-mini-2025-04-14",
        OPENAI,
        _openai("0.40", "0.10", "1.60"),
        context_tokens=1_047_576,
        max_output_tokens=32_768,
        created_s=1744318173,
    ),
    Served(
        "gpt-5",
        "gpt-5-2025-08-07",
        OPENAI,
        _openai("1.25", "0.125", "10.00"),
        context_tokens=400_000,
        max_output_tokens=128_000,
        reasons=True,
        flex=True,
        created_s=1754425777,
    ),
    Served(
        "gpt-5-mini",
        "gpt-5-mini-2025-08-07",
        OPENAI,
        _openai("0.25", "0.025", "2.00"),
        context_tokens=400_000,
        max_output_tokens=128_000,
        reasons=True,
        flex=True,
        created_s=1754425928,
    ),
    Served(
        "text-embedding-3-small",
        "text-embedding-3-small",
        OPENAI,
        {"input": Decimal("0.02")},
        context_tokens=8_192,
        dimensions=1_536,
        created_s=1705948997,
    ),
    Served(
        "text-embedding-3-large",
        "text-embedding-3-large",
        OPENAI,
        {"input": Decimal("0.13")},
        context_tokens=8_192,
        dimensions=3_072,
        created_s=1705953180,
    ),
    Served(
        "claude-opus-4-6",
        "claude-opus-4-6",
        ANTHROPIC,
        _anthropic("5.00", "25.00"),
        context_tokens=1_000_000,
        max_output_tokens=128_000,
        min_cache_tokens=4_096,
        created_s=1770163200,
        title="Claude Opus 4.6",
    ),
    Served(
        "claude-sonnet-4-6",
        "claude-sonnet-4-6",
        ANTHROPIC,
        _anthropic("3.00", "15.00"),
        context_tokens=1_000_000,
        max_output_tokens=64_000,
        created_s=1771286400,
        title="Claude Sonnet 4.6",
    ),
    Served(
        "claude-haiku-4-5",
        "claude-haiku-4-5-20251001",
        ANTHROPIC,
        _anthropic("1.00", "5.00"),
        context_tokens=200_000,
        max_output_tokens=64_000,
        min_cache_tokens=4_096,
        created_s=1760486400,
        title="Claude Haiku 4.5",
    ),
)

SERVED: dict[str, dict[str, Served]] = {
    api: {name: m for m in _SERVED if m.api == api for name in (m.name, m.resolved)} for api in (OPENAI, ANTHROPIC)
}
"""By API, then by each name under which a model can be asked for."""


def models_of(api: str) -> list[Served]:
    """The models of one API, in the order in which its list shows them."""
    return [m for m in _SERVED if m.api == api]
