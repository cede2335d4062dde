"""The SQL of pricing: one join of the traffic with a scheme's prices by cell, and integers multiplied and added.

A scheme has two tables. ``price`` gives every cell what one unit of each meter costs, where that is all there is
to it: whole femtodollars, and every amount of the cell within 64 bits. ``part`` gives the cells where there is more
to it one row for every line that a request can have: fractions that are rounded line by line, least quantities and
amounts, rounding up, marginal prices, steps of contracts on top of those, and amounts beyond 64 bits.
"""

from collections.abc import Sequence

import msgspec

from farebox.reprice.sql import SHAPE, Dialect, Layout

NS_PER_DAY = 86_400_000_000_000
NS_PER_HOUR = 3_600_000_000_000
# Amounts that are not whole are rounded to 1e-12 USD, as in `prices.arithmetic`.
_ROUNDED_TO_FEMTO = 1000
# What a part can be: a price for the units of a band, or what is missing to a least amount.
PRICED, MISSING = 0, 1
_PART_COLUMNS = ("least_units", "step_units", "low", "high", "femto", "per", "floor_femto")


class Query(msgspec.Struct, frozen=True):
    """What the statements about one scheme have in common.

    Attributes:
        dialect: the engine's.
        layout: of the traffic.
        price: the name of the scheme's table of prices.
        part: the name of its table of parts.
        over: the name of its table of rows whose amount is larger than one attempt can have, or "" for none.
        keys: expressions to group by.
        by_meter: whether amounts are wanted meter by meter.
    """

    dialect: Dialect
    layout: Layout
    price: str
    part: str
    over: str = ""
    keys: tuple[str, ...] = ()
    by_meter: bool = False

    @property
    def names(self) -> str:
        """The join that the keys need."""
        needed = any(key.startswith("n.") for key in self.keys)
        return " JOIN names AS n ON n.cell = t.cell" if needed else ""

    @property
    def grouping(self) -> str:
        """The end of a statement that groups by the keys."""
        return f" GROUP BY {', '.join(self.keys)}" if self.keys else ""

    @property
    def selected(self) -> str:
        """The keys as first columns."""
        return "".join(f"{key}, " for key in self.keys)


def key_of(dialect: Dialect, layout: Layout, name: str) -> str | None:
    """Return the expression of something to group by, or None where there is no such thing."""
    if name in layout.groups:
        return f"t.d{layout.groups.index(name)}"
    if name in (*SHAPE, "model"):
        return f"n.{name}"
    spans = {"day": NS_PER_DAY, "hour": NS_PER_HOUR}
    return dialect.quotient("t.at_ns", str(spans[name])) if name in spans else None


def create_scheme(query: Query) -> list[str]:
    """Return the statements that make a scheme's empty tables."""
    prices = "".join(f", f{number} BIGINT" for number in range(len(query.layout.meters)))
    terms = "".join(f", {name} {query.dialect.wide_kind}" for name in _PART_COLUMNS)
    parts = f"cell INTEGER, part INTEGER, quantity_ix INTEGER, kind INTEGER, limited INTEGER{terms}"
    return [
        f"CREATE TABLE {query.price} (cell INTEGER, priced INTEGER{prices}){query.dialect.memory}",
        f"CREATE TABLE {query.part} ({parts}){query.dialect.memory}",
    ]


def sum_plain(query: Query, first: int, end: int) -> str:
    """Return, by key: requests, priced requests, and the femtodollars of what is a plain product."""
    products = [f"t.q{number} * p.f{number}" for number in range(len(query.layout.meters))]
    sums = products if query.by_meter else [" + ".join(products) or "0"]
    totals = ", ".join(f"coalesce({query.dialect.total.format(one)}, 0)" for one in sums)
    return (
        f"SELECT {query.selected}count(*), coalesce(sum(p.priced), 0), {totals} FROM traffic AS t "  # noqa: S608 - names are ours
        f"JOIN {query.price} AS p ON p.cell = t.cell{query.names} "
        f"WHERE t.row_ix >= {first} AND t.row_ix < {end}{query.grouping}"
    )


def sum_parts(query: Query, first: int, end: int) -> str:
    """Return, by key and part: units and femtodollars of what is more than a plain product."""
    where = f"t.row_ix >= {first} AND t.row_ix < {end}"
    keys = [f"k{number}" for number in range(len(query.keys))]
    dialect = query.dialect
    return (
        f"SELECT {''.join(f'{key}, ' for key in keys)}part, {_total(dialect, 'units')}, {_total(dialect, 'amount')} "  # noqa: S608 - as above
        f"FROM ({_amounts(query, where)}) AS a{_without_over(query)} GROUP BY {', '.join([*keys, 'part'])}"
    )


def find_over(query: Query, limit_femto: int) -> str:
    """Return the statement that keeps the rows, in limited cells, whose amount is beyond a limit."""
    return (
        f"CREATE TABLE {query.over}{query.dialect.memory} AS SELECT row_ix FROM "  # noqa: S608 - as above
        f"({_amounts(msgspec.structs.replace(query, keys=()), 'o.limited = 1')}) AS a "
        f"GROUP BY row_ix HAVING sum(amount) > {limit_femto}"
    )


def count_over(query: Query, first: int, end: int) -> str:
    """Return, by key, how many rows are beyond the limit."""
    return (
        f"SELECT {query.selected}count(*) FROM traffic AS t JOIN {query.over} AS v ON v.row_ix = t.row_ix{query.names} "  # noqa: S608 - as above
        f"WHERE t.row_ix >= {first} AND t.row_ix < {end}{query.grouping}"
    )


def amount_of_each(query: Query) -> str:
    """Return every row with the caller's columns and its amount, femtodollars, NULL where unpriced."""
    dialect, layout = query.dialect, query.layout
    plain = " + ".join(dialect.wide(f"t.q{number} * p.f{number}") for number in range(len(layout.meters))) or "0"
    columns = "".join(f", t.d{number} AS {_quoted(name)}" for number, name in enumerate(layout.groups))
    special = _amounts(msgspec.structs.replace(query, keys=()), "1 = 1")
    beyond = f"SELECT row_ix, 1 AS beyond FROM {query.over}"  # noqa: S608 - as above
    over = f" LEFT JOIN ({beyond}) AS v ON v.row_ix = t.row_ix" if query.over else ""
    fits = "p.priced = 1 AND coalesce(v.beyond, 0) = 0" if query.over else "p.priced = 1"
    return (
        f"SELECT t.row_ix AS row_ix{columns}, "  # noqa: S608 - as above
        f"CASE WHEN {fits} THEN {dialect.wide(plain)} + coalesce(s.amount, 0) ELSE NULL END AS amount_femto "
        f"FROM traffic AS t JOIN {query.price} AS p ON p.cell = t.cell LEFT JOIN "
        f"(SELECT row_ix, sum(amount) AS amount FROM ({special}) AS a GROUP BY row_ix) AS s "
        f"ON s.row_ix = t.row_ix{over} ORDER BY t.row_ix"
    )


def _total(dialect: Dialect, column: str) -> str:
    return f"sum({dialect.wide(column)})"


def _without_over(query: Query) -> str:
    return f" WHERE row_ix NOT IN (SELECT row_ix FROM {query.over})" if query.over else ""  # noqa: S608 - as above


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _amounts(query: Query, where: str) -> str:
    """Return every line that the parts make of the rows: keys, row, part, units and femtodollars."""
    wide = query.dialect.wide
    columns = [f"{key} AS k{number}" for number, key in enumerate(query.keys)]
    terms = ["o.part AS part", "o.kind AS kind", *(f"o.{name} AS {name}" for name in _PART_COLUMNS)]
    quantities = [f"WHEN {number} THEN {wide(f't.q{number}')}" for number in range(len(query.layout.meters))]
    if query.layout.reported:
        quantities.append(f"WHEN {len(query.layout.meters)} THEN t.reported")
    quantity = f"CASE o.quantity_ix {' '.join(quantities)} END" if quantities else wide("0")
    read = (
        f"SELECT {', '.join(['t.row_ix AS row_ix', *columns, *terms])}, {quantity} AS quantity FROM traffic AS t "  # noqa: S608 - as above
        f"JOIN {query.part} AS o ON o.cell = t.cell{query.names} WHERE {where}"
    )
    keys = ["row_ix", *(f"k{number}" for number in range(len(query.keys)))]
    return _rounded(query.dialect, keys, _portions(query.dialect, keys, read))


def _portions(dialect: Dialect, keys: Sequence[str], read: str) -> str:
    """Return the lines with how many units each is about: what is billed, as far as it falls into the band."""
    at_least = "CASE WHEN quantity < least_units THEN least_units ELSE quantity END"
    up = f"{dialect.quotient(f'({at_least} + step_units - 1)', 'step_units')} * step_units"
    billed = f"CASE WHEN step_units = 0 THEN {at_least} ELSE {up} END"
    inside = "CASE WHEN billed < high THEN billed ELSE high END - low"
    portion = (
        f"CASE WHEN billed <= low THEN low - low WHEN kind = {PRICED} THEN {inside} "
        "WHEN billed <= high THEN billed - low ELSE low - low END"
    )
    kept = ", ".join([*keys, "part", "kind", "femto", "per", "floor_femto"])
    return (
        f"SELECT {kept}, {portion} AS portion FROM "  # noqa: S608 - as above
        f"(SELECT {kept}, low, high, {billed} AS billed FROM ({read}) AS read) AS counted"
    )


def _rounded(dialect: Dialect, keys: Sequence[str], portions: str) -> str:
    """Return the lines with their amounts: whole, or rounded half to even once, as in `prices.arithmetic`."""
    size = "portion * CASE WHEN femto < 0 THEN -femto ELSE femto END"
    coarse = f"(per * {_ROUNDED_TO_FEMTO})"
    below, rest = dialect.quotient("size", coarse), f"(2 * (size % {coarse}))"
    up = f"CASE WHEN {rest} > {coarse} OR ({rest} = {coarse} AND {below} % 2 = 1) THEN 1 ELSE 0 END"
    unsigned = (
        f"CASE WHEN per = 1 THEN size WHEN size % per = 0 THEN {dialect.quotient('size', 'per')} "
        f"ELSE ({below} + {up}) * {_ROUNDED_TO_FEMTO} END"
    )
    signed = f"CASE WHEN femto < 0 THEN -({unsigned}) ELSE {unsigned} END"
    kept = ", ".join([*keys, "part"])
    missing = f"kind = {MISSING} AND portion > 0 AND signed < floor_femto"
    units = f"CASE WHEN kind = {PRICED} THEN portion WHEN {missing} THEN per - per + 1 ELSE per - per END"
    amount = f"CASE WHEN kind = {PRICED} THEN signed WHEN {missing} THEN floor_femto - signed ELSE per - per END"
    return (
        f"SELECT {kept}, {units} AS units, {amount} AS amount FROM "  # noqa: S608 - as above
        f"(SELECT {kept}, kind, portion, per, floor_femto, {signed} AS signed FROM "
        f"(SELECT {kept}, kind, portion, femto, per, floor_femto, {size} AS size FROM ({portions}) AS p) AS q) AS r"
    )
