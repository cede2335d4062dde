"""The same usage at several models and tiers, the cheapest first."""

from collections.abc import Iterable, Mapping

import msgspec

from farebox.charge import Charge, Unpriced
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.rates import STANDARD, Card
from farebox.usage import Usage

# Tiers that an answer names by another word than its service tier.
_BATCH, _FAST = "batch", "fast"


class Compared(msgspec.Struct, frozen=True):
    """What the usage costs at one model and tier.

    Attributes:
        provider: id in the book.
        model: its id there.
        tier: the tier that was asked for.
        result: the charge, or why there is none.
    """

    provider: str
    model: str
    tier: str
    result: Charge | Unpriced


class Terms(msgspec.Struct, frozen=True):
    """What the models are compared under; see `prices.choose.Rating`."""

    usage: Usage
    at_ns: int
    tiers: tuple[str, ...] = (STANDARD,)
    region: str | None = None
    facts: Mapping[str, str] = {}


def compare_models(book: PriceBook, models: Iterable[tuple[str, str]], terms: Terms) -> list[Compared]:
    """Return what the usage costs at each model and tier: the cheapest first, what is unpriced last.

    Args:
        book: the price book.
        models: provider and model, each as in the book.
        terms: usage, tiers and the rest.
    """
    found = [
        Compared(provider, model, tier, charge(book, _rating(book, (provider, model), tier, terms)))
        for provider, model in dict.fromkeys(models)
        for tier in terms.tiers
    ]
    return sorted(found, key=_order)


def percent_above(total_femto: int, first_femto: int) -> str:
    """Return by how many percent an amount is above the first one, with one decimal, or "" where that is 0."""
    if not first_femto:
        return "" if total_femto else "+0.0%"
    tenths = (2000 * (total_femto - first_femto) + first_femto) // (2 * first_femto)
    return f"+{tenths // 10:,}.{tenths % 10}%"


def word_for(card: Card | None, tier: str) -> str:
    """Return the provider's word for a tier; the tier itself where the provider has none."""
    words = [word for word, meant in (card.tiers if card else {}).items() if meant == tier]
    return tier if tier in words or not words else words[0]


def _rating(book: PriceBook, model: tuple[str, str], tier: str, terms: Terms) -> Rating:
    provider, name = model
    rating = Rating(
        provider=provider,
        answered="",
        asked=name,
        usage=terms.usage,
        at_ns=terms.at_ns,
        region=terms.region,
        facts=terms.facts,
    )
    if tier == STANDARD:
        return rating
    if tier == _BATCH:
        return msgspec.structs.replace(rating, processing=_BATCH)
    card = book.card(provider)
    word = word_for(card, tier)
    if tier == _FAST and (card is None or word not in card.tiers):
        return msgspec.structs.replace(rating, speed=_FAST)
    return msgspec.structs.replace(rating, service_tier=word)


def _order(each: Compared) -> tuple[bool, int, str, str, str]:
    total = each.result.total_femto if isinstance(each.result, Charge) else None
    return (total is None, total or 0, each.model, each.provider, each.tier)
