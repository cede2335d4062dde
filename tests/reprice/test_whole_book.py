"""Scalar and vectorised pricing agree to the last femtodollar over the whole book, on 100,000 random charges."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from farebox.prices import marks
from farebox.prices.choose import Rating
from farebox.prices.rates import Card, Model, Row
from farebox.state.pricebook import load_book
from farebox.usage import METERS, Usage
from tests.reprice.ratings import assert_same

CHARGES = 100_000
SHAPES = 1_500
NS_PER_DAY = 86_400_000_000_000
FROM_NS = int(datetime(2026, 7, 1, tzinfo=UTC).timestamp()) * 10**9
UNTIL_NS = int(datetime(2027, 2, 1, tzinfo=UTC).timestamp()) * 10**9
BOOK = load_book()


def name_of(model: Model, chance: random.Random) -> str:
    """An id that the model goes by, or, now and then, one that nobody goes by."""
    if chance.random() < 0.02:
        return "nobody-knows-this"
    pattern = chance.choice([*model.names, *model.patterns])
    if pattern in model.names:
        return pattern
    digits = "".join(chance.choice("0123456789") if letter == "#" else letter for letter in pattern)
    return digits.replace("*", chance.choice(["", "-x1"]))


def one_of(values: list[str], chance: random.Random, share: float) -> str | None:
    return chance.choice(values) if values and chance.random() < share else None


def draw_shape(card: Card, model: Model, row: Row, chance: random.Random) -> Rating:
    """What one of a model's rows asks for, and now and then something that has no price."""
    regions = [*card.no_region, *card.regions, *(name for uplift in card.uplifts for name in uplift.regions), "mars"]
    facts = {**row.when}
    if chance.random() < 0.1:
        facts |= {fact: chance.choice([*values, "odd"]) for fact, values in card.facts.items()}
    words = [word for word, tier in card.tiers.items() if tier == row.tier]
    batch = row.tier == "batch" or chance.random() < 0.03
    return Rating(
        provider=card.provider,
        answered=name_of(model, chance) if chance.random() < 0.7 else "",
        asked=name_of(model, chance),
        usage=Usage({}, 0),
        at_ns=0,
        service_tier=one_of([*card.tiers, "unheard-of"], chance, 0.1) or one_of(words, chance, 0.8),
        processing="batch" if batch else None,
        speed=one_of(["standard", "fast"], chance, 0.05),
        region=one_of(regions, chance, 0.2),
        facts=facts,
    )


def draw_meters(model: Model, row: Row, chance: random.Random) -> list[str]:
    priced = sorted({*row.prices, *model.inherit} if row.prices else {"input", "output"})
    meters = set(chance.sample(priced, chance.randrange(1, min(len(priced), 5) + 1)))
    if chance.random() < 0.03:
        meters.add(chance.choice(list(METERS)))
    return [meter for meter in METERS if meter in meters]


def draw_times(model: Model, provider: str, chance: random.Random) -> list[int]:
    times = [chance.randrange(FROM_NS, UNTIL_NS) for _ in range(2)]
    near = marks.instants(BOOK, provider, FROM_NS, UNTIL_NS, [*model.names, model.id])
    if near:
        times += [chance.choice(near) + chance.choice([-1, 0, 1]) for _ in range(3)]
    return times


def draw_quantity(chance: random.Random, most: int) -> int:
    return min(most, chance.choice((0, 1, chance.randrange(2000), chance.randrange(10**6), chance.randrange(10**9))))


def draw(count: int, seed: int) -> Iterator[Rating]:
    chance = random.Random(seed)
    cards = [BOOK.card(provider) for provider in BOOK.providers()]
    models = [(card, model) for card in cards if card is not None for model in card.models]
    models = chance.sample(models, min(len(models), SHAPES)) + chance.choices(models, k=max(0, SHAPES - len(models)))
    each = -(-count // len(models))
    for card, model in models:
        row = chance.choice(model.rows)
        shape = draw_shape(card, model, row, chance)
        meters = draw_meters(model, row, chance)
        times = draw_times(model, card.provider, chance)
        sizes = marks.sizes(BOOK, card.provider, [*model.names, *model.patterns])
        sizes = [size + step for size in sizes for step in (-1, 0)] or [1000]
        unsplit = tuple(meter for meter in ("input_audio", "input_image") if meter in meters and chance.random() < 0.2)
        reported = chance.random() < 0.2
        for _ in range(each):
            # Too large and not told apart are two reasons, of which each way of pricing may give another.
            used = {meter: draw_quantity(chance, 1000 if unsplit else 10**9) for meter in meters}
            prompts = tuple(chance.choices(sizes, k=2)) if chance.random() < 0.01 else ()
            usage = Usage(
                used, chance.choice(sizes), prompts, unsplit, {}, chance.randrange(10**16) if reported else None
            )
            yield Rating(
                shape.provider, shape.answered, shape.asked, usage, chance.choice(times), shape.service_tier,
                shape.processing, shape.speed, shape.region, shape.facts,
            )  # fmt: skip


def test_every_amount_is_the_same(tmp_path: Path) -> None:
    ratings = list(draw(CHARGES, seed=3))[:CHARGES]
    result = assert_same(BOOK, ratings, tmp_path, piece_rows=60_000)
    assert result.requests == CHARGES
    assert result.unpriced < CHARGES // 2, "most must have a price, or nothing was shown"
    assert len(result.lines) > 100
