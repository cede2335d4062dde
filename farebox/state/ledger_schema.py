"""The tables of the ledger, for SQLite and for Postgres.

I2 (posted + held <= limit + overdraft, and what was permitted beyond it) is a constraint of the table, so that no fault
of the program can write a balance that breaks it. Postgres counts exactly. SQLite has no integers beyond 64 bits,
which hold 9,223 USD in femtodollars, so there amounts are texts, and the constraint adds them in two parts.
"""

import secrets
from collections.abc import Callable
from typing import Any

from farebox.budgets.authority import StoreUnavailable
from farebox.errors import ConfigError

VERSION = 1
# Amounts have at most so many digits: far more than any budget, and the sums of the constraint stay exact.
MAX_DIGITS = 32
_SPLIT = 15  # digits of the lower part
_AMOUNTS = ("cap", "posted", "held", "overdraft", "carried")

_TABLES = """
CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value {big} NOT NULL){strict};
CREATE TABLE IF NOT EXISTS budgets (
    id TEXT PRIMARY KEY, rank {big} NOT NULL, kind TEXT NOT NULL, name TEXT NOT NULL, unit TEXT NOT NULL,
    period TEXT NOT NULL, zone TEXT NOT NULL, cap {amount} NOT NULL, hard {big} NOT NULL, alerts TEXT NOT NULL,
    created_ns {big} NOT NULL, generation {big} NOT NULL, wallet {big} NOT NULL, source TEXT NOT NULL,
    call_cap {amount}, stated TEXT NOT NULL,
    removed_ns {big}, used_ns {big} NOT NULL DEFAULT 0, wanted_ns {big} NOT NULL DEFAULT 0,
    forgotten_ns {big} NOT NULL DEFAULT 0
){strict};
CREATE UNIQUE INDEX IF NOT EXISTS budgets_in_force
    ON budgets (kind, name, unit, period, zone, wallet, source) WHERE removed_ns IS NULL;
CREATE INDEX IF NOT EXISTS budgets_wanted ON budgets (wanted_ns);
CREATE TABLE IF NOT EXISTS writers (
    id TEXT PRIMARY KEY, opened_ns {big} NOT NULL, closed_ns {big}
){strict};
CREATE TABLE IF NOT EXISTS balances (
    budget TEXT NOT NULL REFERENCES budgets (id), span TEXT NOT NULL, generation {big} NOT NULL,
    start_ns {big} NOT NULL, end_ns {big} NOT NULL, cap {amount} NOT NULL, posted {amount} NOT NULL,
    held {amount} NOT NULL, overdraft {amount} NOT NULL, carried {amount} NOT NULL, closed {big} NOT NULL,
    alerted {big} NOT NULL,
    PRIMARY KEY (budget, span),
    CONSTRAINT amounts_are_not_negative CHECK ({not_negative}),
    CONSTRAINT within_the_limit CHECK ({within})
){strict};
CREATE INDEX IF NOT EXISTS balances_by_time ON balances (budget, generation, start_ns);
CREATE TABLE IF NOT EXISTS slices (
    budget TEXT NOT NULL, span TEXT NOT NULL, writer TEXT NOT NULL REFERENCES writers (id), granted {amount} NOT NULL,
    released {amount} NOT NULL, spent {amount} NOT NULL, over {amount} NOT NULL, line {big} NOT NULL,
    line_ns {big} NOT NULL, line_from {amount} NOT NULL,
    PRIMARY KEY (budget, span, writer)
){strict};
CREATE INDEX IF NOT EXISTS slices_by_writer ON slices (writer);
CREATE TABLE IF NOT EXISTS movements (
    id {number}, budget TEXT NOT NULL, span TEXT NOT NULL, writer TEXT NOT NULL, kind TEXT NOT NULL,
    amount {amount} NOT NULL, at_ns {big} NOT NULL, note TEXT NOT NULL
){strict};
CREATE INDEX IF NOT EXISTS movements_by_span ON movements (budget, span);
INSERT INTO meta (name, value) VALUES ('schema', {version}) ON CONFLICT DO NOTHING;
INSERT INTO meta (name, value) VALUES ('version', 1) ON CONFLICT DO NOTHING;
INSERT INTO meta (name, value) VALUES ('mark', {mark}) ON CONFLICT DO NOTHING
"""
_META = "SELECT name, value FROM meta"


def sqlite_tables() -> list[str]:
    """Return the statements that make the tables in SQLite where they are missing."""
    upper, lower = (" + ".join(part(column) for column in ("cap", "overdraft", "carried")) for part in (_upper, _lower))
    upper += "".join(f" - {_upper(column)}" for column in ("posted", "held"))
    lower += "".join(f" - {_lower(column)}" for column in ("posted", "held"))
    # The lower parts together are above -2 units of the upper one: lifted by 2, they are divided rounding down.
    within = f"{upper} + ({lower} + 2{'0' * _SPLIT}) / 1{'0' * _SPLIT} - 2 >= 0"
    digits = " AND ".join(f"{name} <> '' AND {name} NOT GLOB '*[^0-9]*'" for name in _AMOUNTS)
    return _fill(
        amount="TEXT",
        big="INTEGER",
        number="INTEGER PRIMARY KEY AUTOINCREMENT",
        strict=" STRICT",
        not_negative=digits,
        within=within,
    )


def postgres_tables() -> list[str]:
    """Return the statements that make the tables in Postgres where they are missing."""
    return _fill(
        amount="NUMERIC(39, 0)",
        big="BIGINT",
        number="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
        strict="",
        not_negative=" AND ".join(f"{name} >= 0" for name in _AMOUNTS),
        within="posted + held <= cap + overdraft + carried",
    )


def read_mark(run: Callable[[str], list[tuple[Any, ...]]]) -> int:
    """Return the number that this ledger and its copies have, and no other.

    Raises:
        ConfigError: where a newer version made the ledger.
        StoreUnavailable: where its head was lost.
    """
    meta: dict[str, int] = dict(run(_META))
    if not {"schema", "mark", "version"} <= meta.keys():
        raise StoreUnavailable("the ledger has lost its head, the table meta; put a copy of the ledger in its place")
    if meta["schema"] > VERSION:
        raise ConfigError(
            f"the ledger of budgets has format {meta['schema']}, made by a newer Farebox; this one reads {VERSION}"
        )
    return meta["mark"]


def _fill(**words: str) -> list[str]:
    return _TABLES.format(version=VERSION, mark=secrets.randbits(62), **words).split(";\n")


def _upper(column: str) -> str:
    return f"CAST(substr({column}, 1, max(length({column}) - {_SPLIT}, 0)) AS INTEGER)"


def _lower(column: str) -> str:
    return f"CAST(substr('{'0' * _SPLIT}' || {column}, -{_SPLIT}) AS INTEGER)"
