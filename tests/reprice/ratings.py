"""Ratings as traffic: written for DuckDB to read, priced one by one, and compared with what SQL makes of them."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec

from farebox.charge import Charge
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.reprice.lay import lay_prices
from farebox.reprice.prepare import Prepared, prepare
from farebox.reprice.run import Repriced, select_amounts, sum_up
from farebox.reprice.scheme import Scheme
from farebox.reprice.traffic import DuckEngine, Source, table_source

KINDS = {
    "at_ns": "BIGINT",
    "provider": "VARCHAR",
    "asked": "VARCHAR",
    "answered": "VARCHAR",
    "service_tier": "VARCHAR",
    "processing": "VARCHAR",
    "speed": "VARCHAR",
    "region": "VARCHAR",
    "facts": "VARCHAR",
    "unsplit": "VARCHAR",
    "meters": "MAP(VARCHAR, BIGINT)",
    "input_total": "BIGINT",
    "prompts": "BIGINT[]",
    "reported_femto": "HUGEINT",
    "team": "VARCHAR",
}


def row_of(rating: Rating, team: str = "") -> dict[str, object]:
    facts = {**rating.facts, **rating.usage.facts}
    return {
        "at_ns": rating.at_ns,
        "provider": rating.provider,
        "asked": rating.asked,
        "answered": rating.answered,
        "service_tier": rating.service_tier,
        "processing": rating.processing,
        "speed": rating.speed,
        "region": rating.region,
        "facts": msgspec.json.encode(facts).decode() if facts else None,
        "unsplit": ",".join(rating.usage.unsplit),
        "meters": rating.usage.meters,
        "input_total": rating.usage.input_total,
        "prompts": rating.usage.prompts,
        "reported_femto": rating.usage.reported_femto,
        "team": team,
    }


def load(engine: DuckEngine, ratings: Sequence[Rating], folder: Path, piece_rows: int = 1_000_000) -> Source:
    """Put ratings into a table; their team is the remainder of their number by 3."""
    path = folder / "ratings.json"
    rows = [row_of(rating, f"team-{number % 3}") for number, rating in enumerate(ratings)]
    path.write_bytes(msgspec.json.Encoder().encode_lines(rows))
    kinds = ", ".join(f"{name}: '{kind}'" for name, kind in KINDS.items())
    empty = ", ".join(f"NULL::{kind} AS {name}" for name, kind in KINDS.items())
    read = f"SELECT * FROM read_json('{path}', format = 'newline_delimited', columns = {{{kinds}}})"
    engine.rows(f"CREATE OR REPLACE TABLE ratings AS {read if rows else f'SELECT {empty} WHERE false'}")
    return table_source(engine, "ratings", piece_rows=piece_rows)


def scalar(
    book: PriceBook, ratings: Sequence[Rating]
) -> tuple[list[int | None], Counter[str], dict[tuple[str, str], tuple[int, int]]]:
    """Price one by one: the totals, the reasons without their numbers, and the lines by rate and meter."""
    totals: list[int | None] = []
    reasons: Counter[str] = Counter()
    lines: dict[tuple[str, str], tuple[int, int]] = {}
    for rating in ratings:
        result = charge(book, rating)
        if isinstance(result, Charge):
            totals.append(result.total_femto)
            for line in result.lines:
                old = lines.get((line.rate, line.meter), (0, 0))
                lines[line.rate, line.meter] = old[0] + line.quantity, old[1] + line.amount_femto
        else:
            totals.append(None)
            reasons[numberless(result.reason)] += 1
    return totals, reasons, lines


def numberless(reason: str) -> str:
    """A reason without the sizes of inputs: a cell's reason names those of one of its requests."""
    return re.sub(r"(inputs? of) [\d, ]+ tokens", r"\1 # tokens", reason)


def vectorised(prepared: Prepared, scheme: Scheme, by: Sequence[str] = ()) -> tuple[list[int | None], Repriced]:
    laid = lay_prices(prepared, scheme)
    try:
        result = sum_up(laid, by)
        rows = prepared.engine.rows(select_amounts(laid))
    finally:
        laid.drop()
    assert [row[0] for row in rows] == list(range(prepared.rows))
    return [None if row[-1] is None else int(row[-1]) for row in rows], result


def assert_same(
    books: PriceBook | Sequence[PriceBook], ratings: Sequence[Rating], folder: Path, piece_rows: int = 1_000_000
) -> Repriced:
    """Hold both ways of pricing equal under each book: every amount, every line, every reason; return the first."""
    books = [books] if isinstance(books, PriceBook) else books
    schemes = [Scheme(f"scheme {number}", book) for number, book in enumerate(books)]
    engine = DuckEngine()
    try:
        prepared = prepare(engine, load(engine, ratings, folder, piece_rows), schemes)
        found = [vectorised(prepared, scheme, by=("provider", "team")) for scheme in schemes]
    finally:
        engine.close()
    for book, (amounts, result) in zip(books, found, strict=True):
        compare(book, ratings, amounts, result)
    return found[0][1]


def compare(book: PriceBook, ratings: Sequence[Rating], amounts: Sequence[int | None], result: Repriced) -> None:
    totals, reasons, lines = scalar(book, ratings)
    wrong = [(rating, one, two) for rating, one, two in zip(ratings, totals, amounts, strict=True) if one != two]
    assert not wrong, f"{len(wrong)} differ, first: {wrong[0]}"
    assert result.requests == len(ratings)
    assert result.total_femto == sum(total for total in totals if total is not None)
    assert result.unpriced == totals.count(None) == sum(reasons.values())
    found: Counter[str] = Counter()
    for reason, count in result.reasons.items():
        found[numberless(reason)] += count
    assert found == reasons
    assert {(line.rate, line.meter): (line.quantity, line.amount_femto) for line in result.lines} == lines
    assert sum(group.total_femto for group in result.groups) == result.total_femto
    assert sum(group.unpriced for group in result.groups) == result.unpriced
    assert sum(group.requests for group in result.groups) == result.requests
