"""Measures settling: millions of items through every rule that depends on the order of a period's usage.

Run: ``.venv/bin/python bench/settle.py [--items 10000000] [--sample 200000] [--memory 2GB]``. Items of 60 models at 10
providers over two months are made inside DuckDB; three in a hundred draw on pools or have marginal prices. Two volume
contracts, a commitment to spend, prepaid credits and provisioned capacity cover most of them. The pass in Python
settles a sample of the same items; both must owe the same femtodollars.
"""

import argparse
import resource
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import duckdb
from farebox.money import usd_text
from farebox.prices.rates import Commitment, Contract, Pool, Rate, Row, Source
from farebox.prices.settle.nouns import Item, Terms
from farebox.prices.settle.periods import NS_PER_DAY
from farebox.prices.settle.settler import settle
from farebox.reprice.passes import settle_in_sql

NOVEMBER = 1_793_491_200 * 10**9  # 2026-11-01T00:00:00Z
JANUARY = NOVEMBER + 61 * NS_PER_DAY
SOURCE = Source("made up for the benchmark")
METERS = {"input": (900, 12_000), "cache_read": (90, 30_000), "output": (5000, 1200)}
SEARCH = Pool("search", "web_search", 500_000, "month", "organisation", SOURCE)
EGRESS = ((0, 90_000_000, 1), (10**10, 85_000_000, 1), (5 * 10**10, 70_000_000, 1))


def make_rates() -> list[Rate]:
    """Return the rates of 60 models of 10 providers, and of two things that are settled over the month."""
    rates: list[Rate] = []
    for model in range(60):
        for meter, (femto, _) in METERS.items():
            row = Row(f"p{model % 10}/m{model}/standard", "standard", -1, 0, 1, {}, "", SOURCE)
            rates.append(Rate(f"{row.id}#{meter}", femto * 10**6 * (1 + model % 7), meter, row))
    for name, femto, more in (
        ("p1/grounded/standard#web_search", 14 * 10**12, {"pool": SEARCH}),
        ("p2/internet/standard#egress", 90_000_000, {"bands": EGRESS}),
    ):
        row = Row(name.partition("#")[0], "standard", -1, 0, 1, {}, "", SOURCE)
        rates.append(Rate(name, femto, name.partition("#")[2], row, plain=False, **more))
    return rates


def make_terms(rates: list[Rate]) -> Terms:
    """Return contracts and commitments that cover most of the usage."""
    ladder = (("0", "0"), ("1000", "5"), ("5000", "10"))
    contracts = tuple(Contract(f"volume-{n}", f"p{n}", ("*",), SOURCE, volume=ladder) for n in (0, 1))
    commitments = (
        Commitment("units", "p3", "capacity", ("*",), SOURCE, units=20, unit_price_usd="1.00",
                   unit_tokens_per_minute=4750, burn={"output": "8", "cache_read": "0"}),
        Commitment("edp", "p2", "spend", ("*",), SOURCE, amount_usd="8000", percent="5"),
        Commitment("prepaid", "p4", "credits", ("*",), SOURCE, amount_usd="5000"),
    )  # fmt: skip
    return Terms({rate.id: rate for rate in rates}.get, contracts, commitments, NOVEMBER, JANUARY)


def make_items(connection: duckdb.DuckDBPyConnection, rates: list[Rate], count: int) -> None:
    """Make a table of items, the id and the time random, the amounts at list price."""
    rows = []
    for number, rate in enumerate(rates):
        provider, model = rate.id.split("/")[:2]
        size = {"web_search": 3, "egress": 9_000_000}.get(rate.meter) or METERS[rate.meter][1]
        rows.append((number, provider, model, rate.meter, rate.id, rate.femto, size))
    connection.execute(
        "CREATE TABLE r (n BIGINT, provider VARCHAR, model VARCHAR, meter VARCHAR, rate VARCHAR, f BIGINT, size BIGINT)"
    )
    connection.executemany("INSERT INTO r VALUES (?, ?, ?, ?, ?, ?, ?)", rows)
    connection.execute(
        f"""CREATE TABLE items AS SELECT 'call_' || lpad(i::VARCHAR, 9, '0') AS id, at_ns, account, provider, model,
            meter, quantity, rate, quantity * f AS list_femto, quantity * f AS amount_femto FROM (
            SELECT i, {NOVEMBER} + (hash(i) % {JANUARY - NOVEMBER})::BIGINT AS at_ns,
                'org/team-' || (hash(i, 1) % 20)::VARCHAR AS account, r.*,
                1 + (hash(i, 2) % r.size)::BIGINT AS quantity
            FROM (SELECT range AS i, CASE WHEN hash(range, 3) % 100 < 2 THEN {len(rates) - 2}
                WHEN hash(range, 3) % 100 < 3 THEN {len(rates) - 1} ELSE hash(range, 4) % {len(rates) - 2} END AS n
                FROM range({count})) JOIN r USING (n))"""  # noqa: S608 - numbers of ours
    )


def read_items(connection: duckdb.DuckDBPyConnection, table: str) -> Iterator[Item]:
    """Yield the items of a table in order."""
    columns = ", ".join(Item.__struct_fields__)
    cursor = connection.execute(f"SELECT {columns} FROM {table} ORDER BY at_ns, id, meter")  # noqa: S608 - names are ours
    while rows := cursor.fetchmany(50_000):
        for row in rows:
            yield Item(*row)


class Watch:
    """Watches this process's resident memory while something runs."""

    def __init__(self) -> None:
        self.most_bytes: int = 0
        self._done: threading.Event = threading.Event()
        self._thread: threading.Thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        page = resource.getpagesize()
        while not self._done.wait(0.05):
            resident = int(Path("/proc/self/statm").read_text().split()[1]) * page
            self.most_bytes = max(self.most_bytes, resident)


def main() -> None:
    """Make the items, settle them in SQL, and a sample both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=10_000_000)
    parser.add_argument("--sample", type=int, default=200_000, help="items that the pass in Python settles too")
    parser.add_argument("--memory", default="2GB", help="DuckDB's memory limit")
    given = parser.parse_args()
    rates = make_rates()
    terms = make_terms(rates)
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(str(Path(folder) / "items.duckdb"))
        connection.execute(f"SET memory_limit = '{given.memory}'")
        make_items(connection, rates, given.items)
        with Watch() as watch:
            start = time.perf_counter()
            settlement = settle_in_sql(
                lambda text: connection.execute(text).fetchall(), "items", terms, keep="owed",
                progress=lambda done, months: print(f"month {done} of {months}: {time.perf_counter() - start:.1f} s"),
            )  # fmt: skip
            took = time.perf_counter() - start
        print(f"SQL: {settlement.items:,} items in {took:.1f} s, {settlement.items / took / 1e6:.2f} M items/s")
        print(f"SQL: peak memory {watch.most_bytes / 2**30:.2f} GiB with memory_limit {given.memory}")
        print(
            f"charged one by one {usd_text(settlement.charged_femto)} USD, owed {usd_text(settlement.owed_femto)} USD"
        )
        print(f"{len(settlement.adjustments)} lines of {len({line.id for line in settlement.adjustments})} kinds")
        kept = connection.execute("SELECT count(*), sum(owed_femto) FROM owed").fetchone()
        print(f"per item: {kept[0]:,} items owe {usd_text(int(kept[1]))} USD; the rest are lines of their own")
        connection.execute(f"CREATE TABLE sampled AS SELECT * FROM items LIMIT {given.sample}")  # noqa: S608 - a number
        start = time.perf_counter()
        python = settle(read_items(connection, "sampled"), terms)
        took = time.perf_counter() - start
        sql = settle_in_sql(lambda text: connection.execute(text).fetchall(), "sampled", terms)
        print(f"Python: {python.items:,} items at {took / max(1, python.items) * 1e6:.1f} us each, reading included")
        print(f"Python and SQL agree to the femtodollar: {python == sql}")
        if python != sql:
            raise SystemExit(1)


if __name__ == "__main__":
    main()
