"""Looks over a whole book for what a compiler cannot refuse: gaps, rows nobody can reach, float noise."""

import re
from collections.abc import Iterator
from itertools import pairwise, product

import msgspec

from farebox.errors import ConfigError
from farebox.prices.book import PriceBook
from farebox.prices.explain import instant_text
from farebox.prices.rates import ANY_TIER, STANDARD, Card, Model
from farebox.prices.tariff import Circumstances, Tariff, covers

# Digits that binary floats leave behind, as in 1.0399999999999998.
_NOISE = re.compile(r"\.\d*?(0{5,}|9{5,})\d")
# Circumstances looked at per model; a card with more of them is looked at in part.
_MOST_CIRCUMSTANCES = 512


class Finding(msgspec.Struct, frozen=True):
    """Something that is wrong with a book: where, what, and what to do about it."""

    where: str
    what: str
    remedy: str = ""


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
            findings.append(Finding(f"{provider}.toml", str(error), "correct the card"))
            continue
        assert card is not None
        models += len(card.models)
        rows += sum(len(model.rows) for model in card.models)
        rates += sum(len(row.prices) for model in card.models for row in model.rows)
        findings += _check_card(card)
        for model in card.models:
            findings += _check_model(book, card, model)
    agreed = [(one.id, one.provider) for one in book.contracts] + [(one.id, one.provider) for one in book.commitments]
    for name, provider in agreed:
        if provider not in book.providers():
            findings.append(Finding(name, f"there is no card of {provider!r}", "name a provider that has prices"))
    return Checked(len(book.providers()), models, rows, rates, tuple(findings))


def circumstances_of(card: Card, model: Model) -> Iterator[Circumstances]:
    """Yield circumstances that between them reach every row and every uplift of a model."""
    tiers = sorted({row.tier for row in model.rows} - {ANY_TIER} or {STANDARD})
    uplifts = [uplift for uplift in card.uplifts if covers(uplift.models, model)]
    regions = ["", *dict.fromkeys(uplift.regions[0] for uplift in uplifts if uplift.regions)]
    values: dict[str, dict[str, None]] = {fact: dict.fromkeys(known) for fact, known in card.facts.items()}
    for when in (*(row.when for row in model.rows), *(uplift.when for uplift in uplifts)):
        for fact, value in when.items():
            values.setdefault(fact, {"": None})[value] = None
    for number, (tier, region, *facts) in enumerate(product(tiers, regions, *values.values())):
        if number >= _MOST_CIRCUMSTANCES:
            return
        said = {fact: value for fact, value in zip(values, facts, strict=True) if value}
        yield Circumstances(tier, region, tuple(sorted(said.items())))


def _check_card(card: Card) -> Iterator[Finding]:
    for uplift in card.uplifts:
        if not any(covers(uplift.models, model) for model in card.models):
            yield Finding(f"{card.provider}: uplift {uplift.id}", "it names no model of the card", "correct `models`")
    used = {row.schedule for model in card.models for row in model.rows} | {one.schedule for one in card.uplifts}
    for schedule in card.schedules:
        if schedule not in used:
            yield Finding(f"{card.provider}: schedule {schedule}", "nothing names it", "take it out")
    pools = {pool for model in card.models for row in model.rows for pool in row.pool.values()}
    for pool in card.pools:
        if pool not in pools:
            yield Finding(f"{card.provider}: pool {pool}", "no row draws on it", "take it out")


def _check_model(book: PriceBook, card: Card, model: Model) -> Iterator[Finding]:
    yield from _check_rows(card, model)
    used: set[str] = set()
    gaps: set[str] = set()
    label = f"{card.provider}/{model.id}"
    for circumstances in circumstances_of(card, model):
        tariff = Tariff(book.terms(card.provider), model, circumstances)
        seen: list[tuple[int, int]] = []
        try:
            for from_ns, until_ns, bands in tariff.every():
                used |= {rate.row.id for _, table in bands for rate in table.values() if rate.row is not None}
                if bands and (not seen or seen[-1] != (from_ns, until_ns)):
                    seen.append((from_ns, until_ns))
        except ConfigError as error:
            yield Finding(label, str(error), "give one of the rows more conditions, or end it before the other")
            return
        for (_, end), (start, _) in pairwise(seen):
            gap = f"tier {circumstances.tier} has no price from {instant_text(end)} to {instant_text(start)}"
            if end != start and gap not in gaps:
                gaps.add(gap)
                yield Finding(label, gap, "add a row for that time, or say in a note why there is none")
    for row in model.rows:
        if row.id not in used and row.prices:
            yield Finding(row.id, "no charge can ever use it", "take it out, or correct its conditions")


def _check_rows(card: Card, model: Model) -> Iterator[Finding]:
    # Batch comes from the channel and fast from the speed, not from the provider's word for a tier.
    reachable = {*card.tiers.values(), STANDARD, ANY_TIER, "batch", "fast"}
    tiers = {row.tier for row in model.rows}
    for tier in sorted(tiers - reachable):
        if card.shipped and not model.own:
            remedy = "add the word to [tiers]"
            yield Finding(f"{card.provider}/{model.id}", f"no word of the provider leads to the tier {tier}", remedy)
    for row in model.rows:
        if row.rest and row.rest not in tiers:
            what = f"the rest is to come from the tier {row.rest}, which has no rows"
            yield Finding(row.id, what, "add the rows, or take `rest` out")
        for meter, price in row.prices.items():
            if _NOISE.search(price.amount):
                yield Finding(row.id, f"{meter} = {price.text} looks like float noise", "write the published price")
