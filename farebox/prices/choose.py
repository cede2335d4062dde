"""Which rates an attempt falls under: model, tier, region and facts, each with the reason for it.

The tier that is billed is the one in the provider's answer, since a provider may serve another than was asked
for. Batch comes from the channel, because answers of a batch name the default tier.
"""

from collections.abc import Mapping

import msgspec

from farebox.prices.book import PriceBook
from farebox.prices.rates import ANY_TIER, STANDARD, Card, Model
from farebox.prices.tariff import Circumstances, Tariff
from farebox.usage import Usage

_NOTHING: Mapping[str, str] = {}


class Position(msgspec.Struct, frozen=True):
    """Where in its period an attempt stands, for prices that depend on that.

    Attributes:
        used: by meter, how many of its smallest part the period had before, for pools and marginal prices.
        free: by meter, how many are free of charge, instead of what the book's pool says.
        periods: how many periods of a pool the usage spans, such as days of storage.
    """

    used: dict[str, int] = {}
    free: dict[str, int] = {}
    periods: int = 1


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
        facts: what else is known, such as ``{"deployment": "data_zone"}``; those of the usage go before them.
        position: where in its period it stands, or None: free units are left to the end of the period.
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
    facts: Mapping[str, str] = _NOTHING
    position: Position | None = None


class Choice(msgspec.Struct, frozen=True):
    """The rates that were chosen, or why none were.

    Attributes:
        tariff: the rates, or None.
        reason: why there is no tariff, or "".
        label: what was chosen, for messages, such as ``openai/gpt-5 at tier flex``.
        model: the model in the book, or "".
        matched: the name or pattern that matched.
        tier: the tier of the rates, or "".
        tier_why: where the tier comes from, in words.
        region: the region that is billed, or "".
        facts: the facts that the rates depend on.
        reported: whether the cost that the provider reports is what it bills.
    """

    tariff: Tariff | None
    reason: str = ""
    label: str = ""
    model: str = ""
    matched: str = ""
    tier: str = ""
    tier_why: str = ""
    region: str = ""
    facts: tuple[tuple[str, str], ...] = ()
    reported: bool = False


def choose(book: PriceBook, rating: Rating) -> Choice:
    """Return the rates an attempt falls under, whatever its time and size.

    Raises:
        ConfigError: where the provider's card has a fault.
    """
    card = book.card(rating.provider)
    if card is None:
        return Choice(None, f"no rate card for the provider {rating.provider!r}; add [[prices]] for it")
    choice = _choose(book, card, rating)
    return msgspec.structs.replace(choice, reported=True) if card.reported == "bill" else choice


def _choose(book: PriceBook, card: Card, rating: Rating) -> Choice:
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
    facts = _pick_facts(card, model, rating)
    if isinstance(facts, str):
        return Choice(None, f"no rate for {label}: {facts}", model=model.id, matched=matched, tier=tier)
    label += f" at tier {tier}" if tier != STANDARD else ""
    if not any(row.tier in {tier, ANY_TIER} for row in model.rows):
        return Choice(None, f"no rate for {label}", model=model.id, matched=matched, tier=tier)
    return Choice(
        book.tariff(rating.provider, model, Circumstances(tier, region, facts)),
        label=label,
        model=model.id,
        matched=matched,
        tier=tier,
        tier_why=why,
        region=region,
        facts=facts,
    )


def facts_of(card: Card, model: Model) -> set[str]:
    """Return the facts that the rates of a model depend on, beside those that the card knows the values of."""
    named = {fact for row in model.rows for fact in row.when}
    return named | {fact for uplift in card.uplifts for fact in uplift.when}


def _pick_facts(card: Card, model: Model, rating: Rating) -> tuple[tuple[str, str], ...] | str:
    """Return the facts that matter, sorted, or what is wrong with one of them."""
    said = {**rating.facts, **rating.usage.facts}
    found: dict[str, str] = {}
    for fact in facts_of(card, model):
        if fact in said:
            found[fact] = said[fact]
    for fact, values in card.facts.items():
        value = found[fact] = said.get(fact, values[0])
        if value not in values:
            return f"{fact} {value!r} has no published rates; there are {', '.join(values)}"
    return tuple(sorted(found.items()))


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
    if not card.shipped or region in card.regions or any(region in uplift.regions for uplift in card.uplifts):
        return region
    return None
