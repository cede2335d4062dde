"""Looks over a whole book for what a compiler cannot refuse: gaps, rows nobody can reach, float noise."""

import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook
from farebox.prices.explain import instant_text
from farebox.prices.rates import ANY_TIER, STANDARD, Card, Model
from farebox.prices.schedule import Schedule

# Digits that binary floats leave behind, as in 1.0399999999999998.
_NOISE = re.compile(r"\.\d*?(0{5,}|9{5,})\d")


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong with a book: where, and what."""

    where: str
    what: str


class Checked(msgspec.Struct, frozen=True):
    """What was looked over."""

    providers: int
    models: int
    rows: int
    rates: int
    findings: tuple[Finding, ...]


def check_book(book: PriceBook) -> Checked:
    """Compile every card, model, tier and region, and return what is wrong."""
    findings: list[Finding] = []
    models = rows = rates = 0
    for provider in book.providers():
        try:
            card = book.card(provider)
        except ConfigError as error:
            findings.append(Finding(provider, str(error)))
            continue
        assert card is not None
        models += len(card.models)
        rows += sum(len(model.rows) for model in card.models)
        rates += sum(len(row.prices) for model in card.models for row in model.rows)
        findings += _check_card(card)
        for model in card.models:
            findings += _check_model(book, card, model)
    return Checked(len(book.providers()), models, rows, rates, tuple(findings))


def _check_card(card: Card) -> Iterator[Finding]:
    known = {model.id for model in card.models}
    for uplift in card.uplifts:
        for model in uplift.models:
            if model not in known:
                yield Finding(f"{card.provider}/{model}", "an uplift names it, but the card does not have it")
    regions = [region for uplift in card.uplifts for region in uplift.regions]
    for region in {region for region in regions if regions.count(region) > 1}:
        yield Finding(card.provider, f"two uplifts name the region {region}; the first is taken")


def _check_model(book: PriceBook, card: Card, model: Model) -> Iterator[Finding]:
    tiers = sorted({row.tier for row in model.rows})
    yield from _check_rows(card, model, set(tiers))
    used: set[str] = set()
    for tier in tiers:
        for region in ("", *(name for uplift in card.uplifts for name in uplift.regions)):
            try:
                schedule = book.schedule(card, model, tier, region)
            except ConfigError as error:
                yield Finding(f"{card.provider}/{model.id}", str(error))
                continue
            used |= {rate.row.id for rate in schedule.rates()}
            if not region:
                yield from _check_gaps(f"{card.provider}/{model.id}", tier, schedule)
    for row in model.rows:
        if row.id not in used and row.prices:
            yield Finding(row.id, "no charge can ever use it")


def _check_rows(card: Card, model: Model, tiers: set[str]) -> Iterator[Finding]:
    # Batch comes from the channel and fast from the speed, not from the provider's word for a tier.
    reachable = {*card.tiers.values(), STANDARD, ANY_TIER, "batch", "fast"}
    for tier in sorted(tiers - reachable):
        if card.shipped and not model.own:
            yield Finding(f"{card.provider}/{model.id}", f"no word of the provider leads to the tier {tier}")
    for row in model.rows:
        if row.rest and row.rest not in tiers:
            yield Finding(row.id, f"the rest is to come from the tier {row.rest}, which has no rows")
        for meter, price in row.prices.items():
            if _NOISE.search(price):
                yield Finding(f"{row.id}#{meter}", f"{price} looks like what a binary float leaves behind")


def _check_gaps(where: str, tier: str, schedule: Schedule) -> Iterator[Finding]:
    for before, after in pairwise(schedule.segments):
        if before.until_ns < after.from_ns:
            gap = f"{instant_text(before.until_ns)} to {instant_text(after.from_ns)}"
            yield Finding(where, f"no price at tier {tier} from {gap}")
