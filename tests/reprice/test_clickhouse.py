"""The same statements run on ClickHouse, embedded, and come to the same femtodollar; where chdb is installed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farebox.prices.choose import Rating
from farebox.reprice.prepare import prepare
from farebox.reprice.scheme import Scheme
from farebox.reprice.sql import CLICKHOUSE, Dialect
from farebox.reprice.traffic import Source
from tests.reprice.ratings import compare, row_of, vectorised
from tests.reprice.test_mechanisms_in_sql import CONTRACTS, MECHANISMS, NOW, book_of, meters_of, quantities, rating
from tests.reprice.test_whole_book import BOOK, draw

chdb_session = pytest.importorskip("chdb.session", reason="chdb, the embedded ClickHouse, is not installed")

KINDS = {
    "at_ns": "Int64",
    **dict.fromkeys(("provider", "asked", "answered", "service_tier", "processing", "speed"), "Nullable(String)"),
    **dict.fromkeys(("region", "facts", "unsplit", "team"), "Nullable(String)"),
    "meters": "Map(String, Int64)",
    "input_total": "Int64",
    "prompts": "Array(Int64)",
    "reported_femto": "Nullable(Int128)",
}


class ClickHouse:
    """An engine of re-pricing within this process."""

    dialect: Dialect = CLICKHOUSE

    def __init__(self, session: Any) -> None:
        self.session = session

    def rows(self, statement: str) -> list[tuple[Any, ...]]:
        text = str(self.session.query(statement, "JSONCompactEachRow"))
        return [tuple(json.loads(line)) for line in text.splitlines()]


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[ClickHouse]:
    session = chdb_session.Session(str(tmp_path / "clickhouse"))
    # Whole numbers stay whole in JSON.
    session.query("SET output_format_json_quote_64bit_integers = 0")
    yield ClickHouse(session)
    session.close()


def assert_same_there(engine: ClickHouse, books: list[Any], ratings: list[Rating], folder: Path) -> None:
    path = folder / "ratings.json"
    rows = [row_of(rating, f"team-{number % 3}") for number, rating in enumerate(ratings)]
    path.write_text("\n".join(map(json.dumps, rows)))
    kinds = ", ".join(f"{name} {kind}" for name, kind in KINDS.items())
    engine.rows(f"CREATE TABLE ratings ENGINE = Memory AS SELECT * FROM file('{path}', 'JSONEachRow', '{kinds}')")
    schemes = [Scheme(f"scheme {number}", book) for number, book in enumerate(books)]
    prepared = prepare(engine, Source(("SELECT * FROM ratings",)), schemes)
    for scheme in schemes:
        compare(scheme.book, ratings, *vectorised(prepared, scheme, by=("provider", "team")))


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_a_mechanism_on_clickhouse(mechanism: str, engine: ClickHouse, tmp_path: Path) -> None:
    rows, more, parts = MECHANISMS[mechanism]
    books = [book_of(rows, more, own=own, **parts) for own in CONTRACTS.values()]
    used = [{meter: quantity} for meter in meters_of(rows) for quantity in quantities(meter)]
    ratings = [rating(meters, at_ns) for meters in used for at_ns in (NOW - 1, NOW)]
    assert_same_there(engine, books, ratings, tmp_path)


def test_the_whole_book_on_clickhouse(engine: ClickHouse, tmp_path: Path) -> None:
    assert_same_there(engine, [BOOK], list(draw(5_000, seed=5)), tmp_path)
