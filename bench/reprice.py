"""Measures pricing: one charge at a time, and ten million requests under one scheme and under ten.

Run: ``.venv/bin/python bench/reprice.py [--rows 10000000] [--schemes 10]``. Prints one line per figure. The traffic is
made by DuckDB: a month of requests to models of many providers, with tiers, caches, long inputs and peak hours.
"""

import argparse
import random
import resource
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path

import msgspec
from farebox.charge import Charge
from farebox.prices.book import PriceBook, compile_book
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.rates import STANDARD, Card, Model
from farebox.reprice.lay import lay_prices
from farebox.reprice.prepare import Prepared, prepare
from farebox.reprice.run import reprice, sum_up
from farebox.reprice.scheme import Rule, Scheme
from farebox.reprice.traffic import DuckEngine, table_source
from farebox.state.pricebook import load_book, read_shared, read_shipped
from farebox.usage import Usage

START_NS = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * 10**9
MONTH_NS = 30 * 86_400 * 10**9
MODELS = 60
PROVIDERS = ("anthropic", "aws", "dashscope", "deepseek", "google", "groq", "mistral", "openai", "together", "x-ai")
METERS = ("input", "cache_read", "cache_write_5m", "output", "reasoning")
TIERS = 4
HAIKU = {"provider": "anthropic", "model": "claude-haiku-4-5"}


class Mix(msgspec.Struct, frozen=True):
    """One model of the traffic, with the words that its provider has for tiers."""

    provider: str
    model: str
    tiers: tuple[str, ...]
    meters: tuple[str, ...]


def pick_models(book: PriceBook, chance: random.Random) -> list[Mix]:
    """Return models that are priced by the token throughout the month, evenly over the providers."""
    by_provider: dict[str, list[Mix]] = {}
    for provider in PROVIDERS:
        card = book.card(provider)
        if card is not None:
            found = [mix for model in card.models if (mix := mix_of(book, card, model)) is not None]
            if found:
                by_provider[provider] = chance.sample(found, min(len(found), 12))
    mixes: list[Mix] = []
    while len(mixes) < MODELS and any(by_provider.values()):
        for provider in sorted(by_provider):
            if by_provider[provider] and len(mixes) < MODELS:
                mixes.append(by_provider[provider].pop())
    return mixes


def mix_of(book: PriceBook, card: Card, model: Model) -> Mix | None:
    """Return a model as traffic, or None where it has no price of text."""

    def is_priced(word: str | None, *meters: str) -> bool:
        usage = Usage(dict.fromkeys(meters, 1), len(meters))
        at = (START_NS, START_NS + MONTH_NS - 1)
        name = model.names[0]
        ratings = [Rating(card.provider, name, name, usage, at_ns, service_tier=word) for at_ns in at]
        return all(isinstance(charge(book, rating), Charge) for rating in ratings)

    if not model.names or not is_priced(None, "input", "output"):
        return None
    meters = tuple(meter for meter in METERS if is_priced(None, meter))
    words = {tier: word for word, tier in card.tiers.items() if is_priced(word, *meters)}
    return Mix(card.provider, model.names[0], ("", *(words[tier] for tier in words if tier != STANDARD)), meters)


def drawn(salt: int, most: int) -> str:
    """Return an expression for a number below ``most`` that follows from the row's."""
    return f"(hash(n * 31 + {salt}) % {most})::BIGINT"


def make_traffic(engine: DuckEngine, mixes: list[Mix], rows: int) -> None:
    """Make the table ``requests``; all of it follows from the row's number."""
    listed = ", ".join(
        f"({number}, '{mix.provider}', '{mix.model}', "
        f"[{', '.join(repr(mix.tiers[tier % len(mix.tiers)]) for tier in range(TIERS))}], "
        f"{', '.join(str(int(meter in mix.meters)) for meter in METERS)})"
        for number, mix in enumerate(mixes)
    )
    engine.rows(
        f"CREATE TEMP TABLE mixes AS SELECT *, unnest(tiers) AS service_tier, unnest(range({TIERS})) AS tier_of FROM "  # noqa: S608 - numbers and the book's own names
        f"(VALUES {listed}) AS m(mix, provider, model, tiers, {', '.join(f'has_{meter}' for meter in METERS)})"
    )
    engine.rows(
        f"""
        CREATE TABLE requests AS SELECT at_ns, provider, model AS asked, model AS answered, service_tier,
            fresh AS input, nullif(cached * has_cache_read, 0) AS cache_read,
            nullif(written * has_cache_write_5m, 0) AS cache_write_5m, answer AS output,
            nullif(thought * has_reasoning, 0) AS reasoning,
            fresh + cached * has_cache_read + written * has_cache_write_5m AS input_total, team, key
        FROM (
            SELECT {START_NS} + n * ({MONTH_NS} // {rows}) AS at_ns,
                (pow({drawn(1, 1_000_000)} / 1e6, 2) * {len(mixes)})::INT % {len(mixes)} AS mix,
                CASE WHEN {drawn(2, 20)} = 0 THEN {drawn(3, TIERS)} ELSE 0 END AS tier_of,
                CASE WHEN {drawn(4, 50)} = 0 THEN 90000 + {drawn(5, 300_000)} ELSE 1 + {drawn(6, 8_000)} END AS fresh,
                CASE WHEN {drawn(7, 3)} = 0 THEN 128 * {drawn(8, 200)} ELSE 0 END AS cached,
                CASE WHEN {drawn(9, 10)} = 0 THEN {drawn(10, 20_000)} ELSE 0 END AS written,
                1 + {drawn(11, 1_500)} AS answer,
                CASE WHEN {drawn(12, 4)} = 0 THEN {drawn(13, 6_000)} ELSE 0 END AS thought,
                'team-' || {drawn(14, 12)} AS team, 'key-' || {drawn(15, 200)} AS key
            FROM (SELECT range AS n FROM range({rows}))
        ) AS drawn JOIN mixes USING (mix, tier_of)
        """  # noqa: S608 - as above
    )


def make_schemes(book: PriceBook, count: int) -> list[Scheme]:
    """Return schemes of every kind: as it was, all in batches, other tiers, other models, discounts."""
    contract = '[[contracts]]\nid = "c{n}"\nprovider = "openai"\npercent = "{n}.5"\nsource = "bench"\n'
    shipped, shared = read_shipped(), read_shared()
    schemes = [
        Scheme("as it was", book),
        Scheme("all in batches", book, (Rule(to={"processing": "batch", "service_tier": ""}),)),
        Scheme("no tiers", book, (Rule(to={"service_tier": ""}),)),
        Scheme("one model", book, (Rule(to={"provider": "openai", "model": "gpt-5-mini"}),)),
        Scheme("openai to anthropic", book, (Rule({"provider": "openai"}, HAIKU),)),
    ]
    while len(schemes) < count:
        number = len(schemes)
        own = compile_book(shipped, [("own.toml", contract.format(n=number).encode())], shared)
        schemes.append(Scheme(f"{number}.5% off", own))
    return schemes[:count]


def best_of(times: int, work: Callable[[], object]) -> float:
    """Return the least seconds of several runs."""
    taken: list[float] = []
    for _ in range(times):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return min(taken)


def bare_join(engine: DuckEngine, meters: int) -> Callable[[], object]:
    """Return a bare join and sum of the same columns: the quantities by cell times prices by cell."""
    sums = " + ".join(f"t.q{number} * p.f{number}" for number in range(meters))
    return lambda: engine.rows(f"SELECT sum({sums}) FROM traffic AS t JOIN bare AS p ON p.cell = t.cell")  # noqa: S608 - ours


def measure_one(prepared: Prepared, engine: DuckEngine, scheme: Scheme) -> None:
    """Print one scheme against the bare join."""
    laid = lay_prices(prepared, scheme)
    engine.rows(f"CREATE TABLE bare AS SELECT * EXCLUDE (priced) FROM {laid.query.price}")  # noqa: S608 - ours
    bare = best_of(5, bare_join(engine, len(prepared.layout.meters)))
    sums = best_of(5, lambda: sum_up(laid))
    laid.drop()
    whole = best_of(3, lambda: reprice(prepared, scheme))
    by_model = best_of(3, lambda: reprice(prepared, scheme, by=("model",)))
    by_all = best_of(3, lambda: reprice(prepared, scheme, by=("model", "team", "day")))
    print(f"bare join and sum: {bare:.3f} s")
    print(f"one scheme, prices laid out: {sums:.3f} s, {sums / bare:.2f} times the bare join")
    print(f"one scheme, everything: {whole:.3f} s, {whole / bare:.2f} times the bare join")
    print(f"by model: {by_model:.3f} s; by model, team and day: {by_all:.3f} s")


def measure_many(prepared: Prepared, schemes: list[Scheme]) -> None:
    """Print all schemes one after the other, with their totals."""
    began = time.perf_counter()
    told: list[tuple[str, int, int]] = []
    for scheme in schemes:
        result = reprice(prepared, scheme, progress=lambda *step: told.append(step))
        usd = Decimal(result.total_femto).scaleb(-15)
        print(f"  {scheme.name}: ${usd:,.2f}, {result.unpriced:,} of {result.requests:,} unpriced")
    taken = time.perf_counter() - began
    print(f"{len(schemes)} schemes: {taken:.2f} s, {len(told)} reports of progress")
    print(f"most memory used: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB")


def measure_scalar(book: PriceBook, mixes: list[Mix], chance: random.Random) -> None:
    """Print what one charge takes, and what genai-prices takes for the same usage in the same run."""
    ratings = [rating_of(chance.choice(mixes), chance) for _ in range(20_000)]
    print(f"scalar: {time_charges(book, ratings) * 1e6:.2f} us a charge")
    try:
        known = known_to_genai(ratings)
    except ImportError:
        print("genai-prices: not installed")
        return
    ours = time_charges(book, [rating for rating, _ in known])
    theirs = best_of(3, lambda: [price() for _, price in known]) / len(known)
    print(
        f"genai-prices calc_price: {theirs * 1e6:.1f} us a charge, {theirs / ours:.0f} times the {ours * 1e6:.2f} us "
        f"that the same {len(known):,} charges take here"
    )


def time_charges(book: PriceBook, ratings: list[Rating]) -> float:
    """Return the seconds that a charge takes."""
    for rating in ratings:
        charge(book, rating)
    return best_of(5, lambda: [charge(book, rating) for rating in ratings]) / len(ratings)


def rating_of(mix: Mix, chance: random.Random) -> Rating:
    """Return one request to a model."""
    meters = {meter: chance.randrange(1, 5000) for meter in mix.meters if meter != "cache_write_5m"}
    size = sum(count for meter, count in meters.items() if meter not in {"output", "reasoning"})
    at_ns = START_NS + chance.randrange(MONTH_NS)
    return Rating(mix.provider, mix.model, mix.model, Usage(meters, size), at_ns, chance.choice(mix.tiers) or None)


def known_to_genai(ratings: list[Rating]) -> list[tuple[Rating, Callable[[], object]]]:
    """Return up to 2,000 requests that `calc_price` has a price for, with what prices them there."""
    from genai_prices import Usage as Theirs  # noqa: PLC0415 - only where it is installed
    from genai_prices import calc_price  # noqa: PLC0415 - as above

    known: list[tuple[Rating, Callable[[], object]]] = []
    for rating in ratings:
        meters = rating.usage.meters
        usage = Theirs(
            input_tokens=rating.usage.input_total,
            cache_read_tokens=meters.get("cache_read"),
            output_tokens=meters.get("output", 0) + meters.get("reasoning", 0),
            output_reasoning_tokens=meters.get("reasoning"),
        )
        price = partial(
            calc_price,
            usage,
            rating.asked,
            provider_id=rating.provider,
            genai_request_timestamp=datetime.fromtimestamp(rating.at_ns // 10**9, UTC),
            price_context={"service_tier": rating.service_tier} if rating.service_tier else None,
        )
        try:
            price()
        except (LookupError, ValueError):
            continue
        known.append((rating, price))
        if len(known) == 2000:
            break
    return known


def main() -> None:
    """Make the traffic, prepare it, price it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--schemes", type=int, default=10)
    asked = parser.parse_args()
    chance = random.Random(1)  # noqa: S311 - the same traffic in every run
    book = load_book()
    mixes = pick_models(book, chance)
    providers = len({mix.provider for mix in mixes})
    print(f"{asked.rows:,} requests to {len(mixes)} models of {providers} providers, book {book.short}")
    measure_scalar(book, mixes, chance)
    with tempfile.TemporaryDirectory() as spill:
        engine = DuckEngine("2GB", Path(spill))
        make_traffic(engine, mixes, asked.rows)
        schemes = make_schemes(book, asked.schemes)
        began = time.perf_counter()
        one = prepare(engine, table_source(engine, "requests"), schemes[:1])
        print(f"preparing for one scheme: {time.perf_counter() - began:.2f} s, {len(one.cells):,} cells")
        measure_one(one, engine, schemes[0])
        for table in ("traffic", "cells", "shapes", "shape_kinds", "names", "bare"):
            engine.rows(f"DROP TABLE {table}")
        began = time.perf_counter()
        many = prepare(engine, table_source(engine, "requests"), schemes)
        print(f"preparing for {len(schemes)} schemes: {time.perf_counter() - began:.2f} s, {len(many.cells):,} cells")
        measure_many(many, schemes)
        engine.close()


if __name__ == "__main__":
    main()
