"""Which rates an attempt falls under: model, tier and region, each with the reason for it.

The tier that is billed is the one in the provider's answer, since a provider may serve another than was asked
for. Batch comes from the channel, because answers of a batch name the default tier.
"""

import msgspec

from farebox.prices.book import PriceBook
from farebox.prices.rates import ANY_TIER, STANDARD, Card, Model
from farebox.prices.schedule import Schedule
from farebox.usage import Usage


class Rating(msgspec.Struct, frozen=True):
    """What there is to price.

    Attributes:
        provider: id in the price book.
        answered: the model that the provider says it used, or "".
        asked: the model that was asked of the provider.
        usage: the disjoint meters.
        at_ns: when the attempt was sent, nanoseconds since the epoch, UTC.
        service_tier: as the provider's answer says, or None.
        processing: ``batch`` where the attempt went through a batch channel, or None.
        speed: as the provider's answer says, or None.
        region: as the provider's answer says, or where the endpoint is bound to one; or None.
    """

    provider: str
    answered: str
    asked: str
    usage: Usage
    at_ns: int
    service_tier: str | None = None
    processing: str | None = None
    speed: str | None = None
    region: str | None = None


class Choice(msgspec.Struct, frozen=True):
    """The rates that were chosen, or why none were.

    Attributes:
        schedule: the rates, or None.
        reason: why there is no schedule, or "".
        label: what was chosen, for messages, such as ``openai/gpt-5 at tier flex``.
        model: the model in the book, or "".
        matched: the name or pattern that matched.
        tier: the tier of the rates, or "".
        tier_why: where the tier comes from, in words.
        region: the region that is billed, or "".
    """

    schedule: Schedule | None
    reason: str = ""
    label: str = ""
    model: str = ""
    matched: str = ""
    tier: str = ""
    tier_why: str = ""
    region: str = ""


def choose(book: PriceBook, rating: Rating) -> Choice:
    """Return the rates an attempt falls under, whatever its time and size.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    card = book.card(rating.provider)
    if card is None:
        return Choice(None, f"no rate card for the provider {rating.provider!r}; add [[prices]] for it")
    found = None
    for name in (rating.answered, rating.asked):
        found = book.find_model(rating.provider, name) if name else None
        if found is not None:
            break
    if found is None:
        names = " or ".join(dict.fromkeys(name for name in (rating.answered, rating.asked) if name))
        return Choice(None, f"no rate for {rating.provider}/{names}")
    model, matched = found
    tier, why = _pick_tier(card, model, rating)
    label = f"{rating.provider}/{model.id}"
    if not tier:
        return Choice(None, f"no rate for {label}: {why}", model=model.id, matched=matched)
    region = _pick_region(card, rating.region)
    if region is None:
        reason = f"no rate for {label} in the region {rating.region!r}"
        return Choice(None, reason, model=model.id, matched=matched, tier=tier)
    label += f" at tier {tier}" if tier != STANDARD else ""
    if not any(row.tier in {tier, ANY_TIER} for row in model.rows):
        return Choice(None, f"no rate for {label}", model=model.id, matched=matched, tier=tier)
    return Choice(
        book.schedule(card, model, tier, region),
        label=label,
        model=model.id,
        matched=matched,
        tier=tier,
        tier_why=why,
        region=region,
    )


def _pick_tier(card: Card, model: Model, rating: Rating) -> tuple[str, str]:
    """Return the tier and where it comes from; the tier is "" where it cannot be told."""
    word = rating.service_tier
    if word is None:
        tier, why = STANDARD, "the answer names no tier"
    else:
        tier, why = _read_tier(card, model, word), f"the answer says {word!r}"
        if not tier:
            return "", f"the service tier {word!r} has no published rates"
    special = [name for name in (rating.processing, _read_speed(rating.speed)) if name]
    if not special:
        return tier, why
    if len(special) > 1 or tier not in {STANDARD, special[0]}:
        parts = " with ".join(dict.fromkeys([*special, *([] if tier == STANDARD else [tier])]))
        return "", f"{parts} has no published rates"
    return special[0], "the batch channel" if rating.processing else f"the answer says speed {rating.speed!r}"


def _read_tier(card: Card, model: Model, word: str) -> str:
    if word in card.tiers:
        return card.tiers[word]
    if card.shipped and not model.own:
        return ""
    # The words of a server without a published card have no meaning beyond the rows that the user wrote.
    tiers = {row.tier for row in model.rows}
    return word if word in tiers else STANDARD


def _read_speed(speed: str | None) -> str:
    return "" if speed is None or speed == STANDARD else speed


def _pick_region(card: Card, region: str | None) -> str | None:
    """Return the region that is billed ("" for none), or None where the card does not know it."""
    if region is None or region in card.no_region:
        return ""
    if not card.shipped or any(region in uplift.regions for uplift in card.uplifts):
        return region
    return None
