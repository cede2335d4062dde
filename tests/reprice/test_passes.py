"""The ordered pass in SQL owes what the pass in Python owes, item by item, to the femtodollar."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import duckdb
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.errors import ConfigError
from farebox.prices.settle.nouns import Item, Settlement, Terms
from farebox.prices.settle.periods import NS_PER_DAY, NS_PER_MINUTE
from farebox.prices.settle.settler import Settler
from farebox.reprice.passes import settle_in_sql
from farebox.reprice.sql import CLICKHOUSE
from tests.prices.settle_cases import (
    DECEMBER,
    JANUARY,
    MANY_COMMITMENTS,
    MANY_TERMS,
    NOVEMBER,
    RATES,
    USD,
    make_item,
    make_terms,
    random_items,
)

ITEMS = 100_000
COLUMNS = {
    name: "BIGINT" if name in ("at_ns", "quantity", "list_femto", "amount_femto") else "VARCHAR"
    for name in Item.__struct_fields__
}


@pytest.fixture
def connection():
    with duckdb.connect() as opened:
        opened.execute(f"CREATE TABLE items ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        yield opened


def settle_here(connection: duckdb.DuckDBPyConnection, terms: Terms, **more) -> Settlement:
    return settle_in_sql(lambda text: connection.execute(text).fetchall(), "items", terms, **more)


def add_items(connection: duckdb.DuckDBPyConnection, items: Sequence[Item]) -> None:
    for item in items:
        connection.execute(f"INSERT INTO items VALUES ({', '.join('?' * len(COLUMNS))})", msgspec.structs.astuple(item))


def assert_same(connection: duckdb.DuckDBPyConnection, items: Sequence[Item], terms: Terms) -> None:
    settler = Settler(terms)
    owed = {(item.id, item.meter): settler.take(item) for item in items}
    assert settle_here(connection, terms, keep="owed") == settler.close()
    kept = connection.execute("SELECT id, meter, owed_femto FROM owed").fetchall()
    assert len(kept) == len(items)
    assert {(name, meter): femto for name, meter, femto in kept} == owed
    connection.execute("DROP TABLE owed")
    assert connection.execute("SHOW TABLES").fetchall() == [("items",)]


def test_a_hundred_thousand_items(connection, tmp_path: Path):
    items = list(random_items(ITEMS, seed=20261123))
    with (tmp_path / "items.csv").open("w") as file:
        csv.writer(file).writerows(msgspec.structs.astuple(item) for item in reversed(items))
    connection.execute(
        f"INSERT INTO items SELECT * FROM read_csv('{tmp_path}/items.csv', header=false, columns={COLUMNS})"
    )
    assert_same(connection, items, MANY_TERMS)


steps = st.sampled_from([0, 0, 1, NS_PER_MINUTE // 2, NS_PER_DAY, 7 * NS_PER_DAY])
units = st.one_of(st.integers(0, 100), st.sampled_from([30, 40, 5000, 100_000, 10_000_000_000, 40_000_000_001]))
drawn_items = st.tuples(steps, st.sampled_from(sorted(RATES)), units, st.sampled_from(["org/one", "org/two", "it's"]))


@settings(max_examples=20, deadline=None)
@given(
    st.lists(drawn_items, max_size=12),
    st.sampled_from([NOVEMBER, NOVEMBER + 7 * NS_PER_DAY + 12_345_678_900, DECEMBER - 1, DECEMBER - NS_PER_MINUTE]),
    st.sets(st.integers(0, len(MANY_COMMITMENTS) - 1)),
    st.sampled_from([DECEMBER, JANUARY]),
)
def test_small_hard_cases(drawn, start, commitments, end):
    items: list[Item] = []
    at_ns = start
    for number, (step, rate, quantity, account) in enumerate(drawn):
        at_ns = min(at_ns + step, end - 1)
        item = make_item(number, at_ns, rate, quantity, account)
        items.append(item if item.list_femto < 2**63 else make_item(number, at_ns, rate, 100_001, account))
    terms = msgspec.structs.replace(
        MANY_TERMS,
        commitments=tuple(MANY_COMMITMENTS[number] for number in sorted(commitments)),
        drawn={},
        until_ns=end,
    )
    with duckdb.connect() as opened:
        opened.execute(f"CREATE TABLE items ({', '.join(f'{name} {kind}' for name, kind in COLUMNS.items())})")
        add_items(opened, items)
        assert_same(opened, items, terms)


def test_no_items_owe_what_time_owes(connection):
    assert_same(connection, [], MANY_TERMS)
    assert settle_here(connection, MANY_TERMS).owed_femto > 0


def test_only_the_time_that_is_settled_is_read(connection):
    inside = make_item(1, NOVEMBER, "google/gemini/standard#input", 7)
    add_items(connection, [inside, make_item(2, DECEMBER, "google/gemini/standard#input", 7)])
    assert settle_here(connection, make_terms(until_ns=DECEMBER)).charged_femto == inside.amount_femto


def test_a_query_serves_as_a_table(connection):
    add_items(connection, [make_item(n, NOVEMBER, "google/gemini/standard#web_search", 3000) for n in range(3)])
    found = settle_in_sql(
        lambda text: connection.execute(text).fetchall(), "(SELECT * FROM items WHERE id <> 'r000000001')", make_terms()
    )
    assert found.owed_femto == 14 * USD


def test_progress_is_told_by_the_month(connection):
    add_items(connection, [make_item(1, NOVEMBER, "google/gemini/standard#input", 7)])
    told: list[tuple[int, int]] = []
    settle_here(connection, MANY_TERMS, progress=lambda done, months: told.append((done, months)))
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"amount_femto": -1}, "negative"),
        ({"list_femto": 2**63}, "9,223 USD or more"),
        ({"amount_femto": None}, "1 items lack a value: what is unpriced cannot be settled"),
        ({"account": None}, "1 items lack a value"),
    ],
)
def test_items_that_cannot_be_settled(connection, change, message):
    connection.execute("ALTER TABLE items ALTER list_femto TYPE HUGEINT")
    item = make_item(1, NOVEMBER, "google/gemini/standard#input", 7)
    add_items(connection, [msgspec.structs.replace(item, **change)])
    with pytest.raises(ValueError, match=message):
        settle_here(connection, MANY_TERMS)
    assert connection.execute("SHOW TABLES").fetchall() == [("items",)]


def test_a_rate_that_the_book_lacks(connection):
    item = make_item(1, NOVEMBER, "google/gemini/standard#input", 7)
    add_items(connection, [msgspec.structs.replace(item, rate="google/other#input")])
    with pytest.raises(ConfigError, match="google/other#input is not in the price book"):
        settle_here(connection, MANY_TERMS)


def test_a_month_beyond_64_bits_is_summed_exactly(connection):
    items = [make_item(n, NOVEMBER + n, "azure/units/standard#provisioned", 9000 * 3600) for n in range(5)]
    add_items(connection, items)
    terms = msgspec.structs.replace(MANY_TERMS, until_ns=DECEMBER)
    settlement = settle_here(connection, terms)
    assert settlement.charged_femto == 45_000 * USD > 2**63
    assert_same(connection, items, terms)


def test_clickhouse_runs_the_same_statements(tmp_path: Path):
    chdb = pytest.importorskip("chdb.session", reason="chdb, ClickHouse as a library, is not installed")
    session = chdb.Session(str(tmp_path))

    def run(text: str) -> list[tuple[object, ...]]:
        answer = session.query(text, "JSONCompactStrings").bytes().decode()
        found = json.loads(answer) if answer.strip() else {"meta": [], "data": []}
        wholes = ["Int" in column["type"] for column in found["meta"]]
        return [
            tuple(int(cell) if whole else cell for cell, whole in zip(row, wholes, strict=True))
            for row in found["data"]
        ]

    listed = ", ".join(f"{name} {'Int64' if kind == 'BIGINT' else 'String'}" for name, kind in COLUMNS.items())
    run("CREATE DATABASE settling")
    run("USE settling")
    run(f"CREATE TABLE items ({listed}) ENGINE = Memory")
    items = list(random_items(3000, seed=3))
    written = [
        ", ".join(str(one) if isinstance(one, int) else f"'{one}'" for one in msgspec.structs.astuple(item))
        for item in items
    ]
    run(f"INSERT INTO items VALUES {', '.join(f'({row})' for row in written)}")
    settler = Settler(MANY_TERMS)
    owed = {(item.id, item.meter): settler.take(item) for item in items}
    assert settle_in_sql(run, "items", MANY_TERMS, keep="owed", dialect=CLICKHOUSE) == settler.close()
    assert {(name, meter): femto for name, meter, femto in run("SELECT id, meter, owed_femto FROM owed")} == owed
