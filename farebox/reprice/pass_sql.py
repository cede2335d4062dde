"""The SQL of the ordered pass: one statement per rule and month, over tables that are named settle_....

A month's items are in a table with one row each, in the order of ``seq``. Each rule makes the next such table from the
last: rows of kinds that it does not concern are copied. What a rule does to a row follows from running sums, so that
no row has to wait for another. It is the arithmetic of `prices.settle.settler`, step by step; all divisions are of
numbers that are not negative.
"""
# ruff: noqa: S608 - names and numbers within the statements are made here, and names of items' tables by the caller

from collections.abc import Mapping, Sequence
from typing import ClassVar

import msgspec

from farebox.prices.settle.nouns import Item
from farebox.prices.settle.rules import Rules
from farebox.reprice.sql import Dialect, quoted

KINDS = "settle_kinds"
ACCOUNTS = "settle_accounts"
BANDS = "settle_bands"
COLUMNS = ("seq", "at_ns", "kind", "who", "org", "quantity", "list_femto", "amount_femto")
# Over all rows before and this one, in order.
_ROWS = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"


class Span(msgspec.Struct, frozen=True):
    """A half-open stretch of time, nanoseconds since the epoch."""

    from_ns: int
    until_ns: int

    @property
    def is_empty(self) -> bool:
        """Whether nothing is within it."""
        return self.from_ns >= self.until_ns

    def holds(self, alias: str = "s") -> str:
        """Return the condition that a row is within it."""
        return f"{alias}.at_ns >= {self.from_ns} AND {alias}.at_ns < {self.until_ns}"


class Texts:
    """The statements, for one engine.

    Attributes:
        dialect: of the engine.
        extra: columns beside `COLUMNS` that are carried along.
    """

    def __init__(self, dialect: Dialect, extra: Sequence[str] = ()) -> None:
        self.dialect: Dialect = dialect
        self.extra: tuple[str, ...] = tuple(extra)

    # What a table of a month's items is joined with, and the kinds of its columns.
    ACCOUNT_COLUMNS: ClassVar[dict[str, str]] = {"account": "VARCHAR", "who": "BIGINT", "org": "BIGINT"}
    BAND_COLUMNS: ClassVar[dict[str, str]] = dict.fromkeys(
        ("kind", "band", "from_units", "until_units", "femto", "per"), "BIGINT"
    )

    def kind_columns(self, rules: Rules) -> dict[str, str]:
        """Return the columns of the table of kinds: what each is, and which of the rules concern it."""
        numbered = {
            "weight": rules.capacities,
            "fixed": rules.fixed,
            "ladder": rules.ladders,
            "percent": rules.percents,
            "spend": rules.spends,
            "credit": rules.credits,
        }
        fixed = ("idle", "pool", "free", "daily", "by_org", "scope")
        return (
            {"kind": "BIGINT", **dict.fromkeys(("provider", "model", "meter", "rate"), "VARCHAR")}
            | dict.fromkeys(fixed, "BIGINT")
            | {f"{word}_{number}": "BIGINT" for word, rules_ in numbered.items() for number in range(len(rules_))}
        )

    def make(self, name: str, columns: Mapping[str, str]) -> str:
        """Return the statement that makes an empty table of texts and integers of 64 bits."""
        return f"CREATE TEMPORARY TABLE {name} ({_listed(columns)}){self.dialect.memory}"

    def insert(self, name: str, rows: Sequence[Sequence[int | str]]) -> str:
        """Return the statement that adds rows to a table."""
        written = [", ".join(str(one) if isinstance(one, int) else quoted(one) for one in row) for row in rows]
        return f"INSERT INTO {name} VALUES {', '.join(f'({row})' for row in written)}"

    def make_kept(self, name: str) -> str:
        """Return the statement that makes the table of what is owed for each item."""
        columns = {"id": "VARCHAR", "meter": "VARCHAR", "at_ns": "BIGINT", "owed_femto": "BIGINT"}
        return f"CREATE TABLE {name} ({_listed(columns)}){self.dialect.memory}"

    def create(self, name: str, query: str) -> str:
        """Return the statement that makes a table of a query."""
        return f"CREATE TEMPORARY TABLE {name}{self.dialect.memory} AS {query}"

    def facts(self, items: str, span: Span) -> str:
        """Return the query for the number of items, their sums, and what would be wrong with them."""
        wide = self.dialect.wide
        missing = " OR ".join(f"s.{column} IS NULL" for column in Item.__struct_fields__)
        return (
            f"SELECT count(*), sum({wide('s.list_femto')}), sum({wide('s.amount_femto')}), "
            "min(s.quantity), min(s.list_femto), min(s.amount_femto), "
            f"max(s.quantity), max(s.list_femto), max(s.amount_femto), sum(CASE WHEN {missing} THEN 1 ELSE 0 END) "
            f"FROM {items} AS s WHERE {span.holds()}"
        )

    def kinds(self, items: str, span: Span) -> str:
        """Return the query for the kinds of items there are."""
        columns = "s.provider, s.model, s.meter, s.rate"
        return f"SELECT DISTINCT {columns} FROM {items} AS s WHERE {span.holds()} ORDER BY {columns}"

    def accounts(self, items: str, span: Span) -> str:
        """Return the query for the accounts there are."""
        return f"SELECT DISTINCT s.account FROM {items} AS s WHERE {span.holds()} ORDER BY s.account"

    def load(self, name: str, items: str, span: Span) -> str:
        """Return the statement that lays out a month's items that any rule concerns, in order."""
        extra = "".join(f", s.{column} AS {column}" for column in self.extra)
        return self.create(
            name,
            "SELECT row_number() OVER (ORDER BY s.at_ns, s.id, s.meter) AS seq, s.at_ns AS at_ns, k.kind AS kind, "
            "a.who AS who, a.org AS org, s.quantity AS quantity, s.list_femto AS list_femto, "
            f"s.amount_femto AS amount_femto{extra} FROM {items} AS s "
            f"JOIN {KINDS} AS k ON s.provider = k.provider AND s.model = k.model AND s.meter = k.meter "
            f"AND s.rate = k.rate JOIN {ACCOUNTS} AS a ON s.account = a.account WHERE {span.holds()} AND k.idle = 0",
        )

    def free(self, name: str, last: str, running: str) -> str:
        """Return the statement that takes units off the rows of a query, and copies the other rows.

        Args:
            name: of the new table.
            last: the table before it.
            running: a query of ``seq``, of how many ``units`` to take off, and of the ``period`` and ``sharer``
                that these are counted for.
        """
        cut = {column: self._share(f"s.{column}", "coalesce(r.units, 0)") for column in ("list_femto", "amount_femto")}
        state = self._state(
            quantity="s.quantity - coalesce(r.units, 0)",
            list_femto=f"s.list_femto - {cut['list_femto']}",
            amount_femto=f"s.amount_femto - {cut['amount_femto']}",
        )
        taken = (
            f"coalesce(r.units, 0) AS units, {cut['amount_femto']} AS taken_femto, "
            "r.period AS period, r.sharer AS sharer"
        )
        return self.create(
            name, f"SELECT {state}, {taken} FROM {last} AS s LEFT JOIN ({running}) AS r ON s.seq = r.seq"
        )

    def capacity(self, last: str, number: int, slots: tuple[int, int], spans: tuple[Span, Span]) -> str:
        """Return the query for what a capacity serves: units of the rows, slot by slot, while there is room.

        Args:
            last: the table before it.
            number: of the capacity.
            slots: how long a slot is in nanoseconds, and what a whole one has room for.
            spans: the month, and when in it the capacity is valid.
        """
        wide, quotient = self.dialect.wide, self.dialect.quotient
        slot_ns, per_slot = slots
        month, span = spans
        slot = quotient("s.at_ns", str(slot_ns))
        room = wide(str(per_slot))
        if span != month:
            overlap = (
                f"(least(({slot} + 1) * {slot_ns}, {span.until_ns}) - greatest({slot} * {slot_ns}, {span.from_ns}))"
            )
            room = quotient(f"({room} * {overlap})", str(slot_ns))
        load = f"{wide('s.quantity')} * k.weight_{number}"
        before = f"sum({load}) OVER (PARTITION BY {slot} ORDER BY s.seq {_ROWS}) - {load}"
        running = (
            f"SELECT s.seq AS seq, s.quantity AS quantity, k.weight_{number} AS weight, {room} AS room, "
            f"{before} AS used FROM {last} AS s JOIN {KINDS} AS k ON s.kind = k.kind "
            f"WHERE k.weight_{number} >= 0 AND {span.holds()}"
        )
        fitting = quotient("(c.room - c.used)", "greatest(c.weight, 1)")
        units = (
            "CASE WHEN c.used >= c.room THEN 0 WHEN c.weight = 0 THEN c.quantity "
            f"ELSE CAST(least({wide('c.quantity')}, {fitting}) AS BIGINT) END"
        )
        return f"SELECT c.seq AS seq, {units} AS units, 0 AS period, 0 AS sharer FROM ({running}) AS c"

    def pools(self, last: str, day_ns: int) -> str:
        """Return the query for the free units of all pools."""
        wide = self.dialect.wide
        period = f"CASE WHEN k.daily = 1 THEN {self.dialect.quotient('s.at_ns', str(day_ns))} ELSE 0 END"
        sharer = "CASE WHEN k.by_org = 1 THEN s.org ELSE s.who END"
        before = (
            f"sum({wide('s.quantity')}) OVER (PARTITION BY k.pool, {sharer}, {period} ORDER BY s.seq {_ROWS}) "
            f"- {wide('s.quantity')}"
        )
        running = (
            f"SELECT s.seq AS seq, s.quantity AS quantity, k.free AS free, {period} AS period, {sharer} AS sharer, "
            f"{before} AS used FROM {last} AS s JOIN {KINDS} AS k ON s.kind = k.kind WHERE k.pool >= 0"
        )
        left = f"least({wide('c.quantity')}, greatest({wide('0')}, c.free - c.used))"
        units = f"CAST({left} AS BIGINT) AS units"
        return f"SELECT c.seq AS seq, {units}, c.period AS period, c.sharer AS sharer FROM ({running}) AS c"

    def freed(self, table: str) -> str:
        """Return the query for what was taken off, by kind, period and sharer."""
        wide = self.dialect.wide
        return (
            f"SELECT t.kind, t.period, t.sharer, sum({wide('t.units')}), sum({wide('t.taken_femto')}) "
            f"FROM {table} AS t WHERE t.units > 0 GROUP BY t.kind, t.period, t.sharer"
        )

    def parts(self, name: str, last: str, fixed: Mapping[str, Span]) -> str:
        """Return the statement that cuts the rows with marginal prices at the thresholds, priced part by part.

        Args:
            name: of the new table.
            last: the table before it.
            fixed: by column of the kinds, when a contract fixes their price.
        """
        wide, quotient = self.dialect.wide, self.dialect.quotient
        quantity = wide("s.quantity")
        before = f"sum({quantity}) OVER (PARTITION BY k.scope, s.org ORDER BY s.seq {_ROWS}) - {quantity}"
        free = "".join(f" AND NOT (k.{flag} = 1 AND {span.holds()})" for flag, span in fixed.items())
        placed = (
            "SELECT s.seq AS seq, s.kind AS kind, s.org AS org, s.quantity AS quantity, "
            f"s.list_femto AS listed, s.amount_femto AS charged, {before} AS place "
            f"FROM {last} AS s JOIN {KINDS} AS k ON s.kind = k.kind WHERE k.scope >= 0 AND s.quantity > 0{free}"
        )
        low, high = "greatest(b.from_units, p.place)", "least(b.until_units, p.place + p.quantity)"
        share = [quotient(f"({wide('p.charged')} * ({end} - p.place))", "p.quantity") for end in (low, high)]
        cut = (
            "SELECT p.seq AS seq, p.kind AS kind, p.org AS org, p.listed AS listed, p.charged AS charged, "
            f"b.band AS band, {high} - {low} AS units, {share[1]} - {share[0]} AS old_femto, "
            f"b.femto AS femto, b.per AS per FROM ({placed}) AS p JOIN {BANDS} AS b ON p.kind = b.kind "
            "WHERE b.from_units < p.place + p.quantity AND b.until_units > p.place"
        )
        ends = (
            "SELECT c.*, sum(c.units) OVER (PARTITION BY c.kind, c.org, c.band "
            f"ORDER BY c.seq {_ROWS}) AS stop FROM ({cut}) AS c"
        )
        below = [quotient(f"({stop} * e.femto)", "e.per") for stop in ("(e.stop - e.units)", "e.stop")]
        listed = f"SELECT e.*, {below[1]} - {below[0]} AS list_femto FROM ({ends}) AS e"
        charged = quotient("(f.list_femto * f.charged)", "greatest(f.listed, 1)")
        return self.create(
            name,
            "SELECT f.seq AS seq, f.kind AS kind, f.org AS org, f.band AS band, f.units AS units, "
            "f.old_femto AS old_femto, f.list_femto AS list_femto, "
            f"CASE WHEN f.listed = 0 OR f.listed = f.charged THEN f.list_femto ELSE {charged} END AS amount_femto "
            f"FROM ({listed}) AS f",
        )

    def banded(self, parts: str) -> str:
        """Return the query for units and changes by kind, organisation and band."""
        return (
            "SELECT p.kind, p.org, p.band, sum(p.units), sum(p.amount_femto - p.old_femto) "
            f"FROM {parts} AS p GROUP BY p.kind, p.org, p.band"
        )

    def reprice(self, name: str, last: str, parts: str) -> str:
        """Return the statement that gives rows with marginal prices the sum of their parts."""
        summed = (
            f"SELECT p.seq AS seq, sum(p.list_femto) AS list_femto, sum(p.amount_femto) AS amount_femto, 1 AS there "
            f"FROM {parts} AS p GROUP BY p.seq"
        )
        chosen = {
            column: f"CASE WHEN r.there = 1 THEN r.{column} ELSE s.{column} END"
            for column in ("list_femto", "amount_femto")
        }
        return self.create(
            name, f"SELECT {self._state(**chosen)} FROM {last} AS s LEFT JOIN ({summed}) AS r ON s.seq = r.seq"
        )

    def climb(self, name: str, last: str, flag: str, span: Span) -> str:
        """Return the statement that makes a table of the rows that a ladder concerns, and of where each stands.

        Its place is what was charged for these rows so far, at list price and as it is, itself included.
        """
        sums = ", ".join(
            f"sum({self.dialect.wide(f's.{column}')}) OVER (ORDER BY s.seq {_ROWS}) AS {place}"
            for column, place in (("list_femto", "list_place"), ("amount_femto", "place"))
        )
        return self.create(
            name,
            f"SELECT s.seq AS seq, s.list_femto AS list_femto, s.amount_femto AS amount_femto, {sums} "
            f"FROM {last} AS s JOIN {KINDS} AS k ON s.kind = k.kind WHERE k.{flag} = 1 AND {span.holds()}",
        )

    def crossing(self, table: str, start_femto: int) -> str:
        """Return the query for the row within which a ladder reaches an amount at list price."""
        start = self.dialect.wide(str(start_femto))
        return (
            "SELECT s.list_place - s.list_femto, s.list_femto, s.place - s.amount_femto, s.amount_femto "
            f"FROM {table} AS s WHERE s.list_femto > 0 AND s.list_place >= {start} "
            f"AND s.list_place - s.list_femto < {start}"
        )

    def last_place(self, table: str) -> str:
        """Return the query for the amount that a ladder climbed to in the month."""
        return f"SELECT coalesce(max(s.place), 0) FROM {table} AS s"

    def discount(self, name: str, last: str, table: str, rungs: Sequence[tuple[int, int, int]]) -> str:
        """Return the statement that takes a ladder's percentages off.

        Args:
            name: of the new table.
            last: the table before it.
            table: that of `climb`.
            rungs: the amount charged at which each rung starts, and its numerator and denominator.
        """
        off = f"({self._off('r.place', rungs)}) - ({self._off('(r.place - r.amount_femto)', rungs)})"
        return self._take_off(name, last, table, off)

    def spent(self, table: str, flag: str, span: Span) -> str:
        """Return the query for what counts towards a commitment."""
        return (
            f"SELECT coalesce(sum({self.dialect.wide('s.amount_femto')}), 0), count(*) FROM {table} AS s "
            f"JOIN {KINDS} AS k ON s.kind = k.kind WHERE k.{flag} = 1 AND {span.holds()}"
        )

    def draw(self, name: str, last: str, table: str, left_femto: int) -> str:
        """Return the statement that pays the rows of `climb` with credits, in order, while there are any."""
        left = self.dialect.wide(str(left_femto))
        off = f"least(r.place, {left}) - least(r.place - r.amount_femto, {left})"
        return self._take_off(name, last, table, off)

    def keep(self, name: str, table: str) -> str:
        """Return the statement that keeps what is owed for each item that a rule concerned."""
        return (
            f"INSERT INTO {name} SELECT s.id, k.meter, s.at_ns, s.amount_femto "
            f"FROM {table} AS s JOIN {KINDS} AS k ON s.kind = k.kind"
        )

    def keep_idle(self, name: str, items: str, span: Span) -> str:
        """Return the statement that keeps what is owed for each item that no rule concerned."""
        return (
            f"INSERT INTO {name} SELECT s.id, s.meter, s.at_ns, s.amount_femto FROM {items} AS s "
            f"JOIN {KINDS} AS k ON s.provider = k.provider AND s.model = k.model AND s.meter = k.meter "
            f"AND s.rate = k.rate WHERE {span.holds()} AND k.idle = 1"
        )

    def _take_off(self, name: str, last: str, table: str, off: str) -> str:
        taken = f"CASE WHEN r.place IS NULL THEN 0 ELSE {off} END"
        state = self._state(amount_femto=f"s.amount_femto - ({taken})")
        return self.create(name, f"SELECT {state} FROM {last} AS s LEFT JOIN {table} AS r ON s.seq = r.seq")

    def _state(self, **changed: str) -> str:
        cast = {name: f"CAST({text} AS BIGINT)" for name, text in changed.items()}
        return ", ".join(f"{cast.get(name, f's.{name}')} AS {name}" for name in (*COLUMNS, *self.extra))

    def _share(self, amount: str, units: str) -> str:
        share = self.dialect.quotient(f"({self.dialect.wide(amount)} * {units})", "greatest(s.quantity, 1)")
        return f"CASE WHEN {units} = 0 THEN 0 ELSE {share} END"

    def _off(self, place: str, rungs: Sequence[tuple[int, int, int]]) -> str:
        """Return what a ladder has taken off when it has climbed to a place."""
        wide, quotient = self.dialect.wide, self.dialect.quotient
        terms: list[str] = []
        ends: list[int | None] = [rung[0] for rung in rungs[1:]]
        for (start, numerator, denominator), end in zip(rungs, [*ends, None], strict=True):
            top = place if end is None else f"least({place}, {wide(str(end))})"
            height = f"greatest({wide('0')}, {top} - {wide(str(start))})"
            if numerator:
                terms.append(quotient(f"({height} * {wide(str(numerator))})", wide(str(denominator))))
        return " + ".join(terms) or wide("0")


def _listed(columns: Mapping[str, str]) -> str:
    return ", ".join(f"{column} {kind}" for column, kind in columns.items())
