"""The SQL of pricing: one join of the traffic with a scheme's prices by cell, and integers multiplied and added.

A scheme has two tables. ``price`` gives every cell what one unit of each meter costs, where that is all there is
to it: whole femtodollars, and every amount of the cell within 64 bits. ``part`` gives the cells where there is more
to it one row for every line that a request can have: fractions that are rounded line by line, least quantities and
amounts, rounding up, marginal prices, steps of contracts on top of those, and amounts beyond 64 bits.
"""

import msgspec

from farebox.reprice.sql import SHAPE, Dialect, Layout

NS_PER_DAY = 86_400_000_000_000
NS_PER_HOUR = 3_600_000_000_000
# Amounts that are not whole are rounded to 1e-12 USD, as in `prices.arithmetic`.
_ROUNDED_TO_FEMTO = 1000
# What a part can be: a price for the units of a band, or what is missing to a least amount.
PRICED, MISSING = 0, 1
_PART_KEYS = ("cell", "part", "quantity_ix", "kind", "limited")
_PART_TERMS = ("least_units", "step_units", "low", "high", "femto", "sign", "per", "floor_femto")


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


def price_kinds(layout: Layout) -> tuple[str, ...]:
    """Return the types of the columns of a table of prices."""
    return ("INTEGER", "INTEGER", *("BIGINT" for _ in layout.meters))


def part_kinds(dialect: Dialect) -> tuple[str, ...]:
    """Return the types of the columns of a table of parts."""
    return (*("INTEGER" for _ in _PART_KEYS), *(dialect.wide_kind for _ in _PART_TERMS))


def create_scheme(query: Query) -> list[str]:
    """Return the statements that make a scheme's empty tables."""
    units = [f"f{number}" for number in range(len(query.layout.meters))]
    tables = (
        (query.price, ("cell", "priced", *units), price_kinds(query.layout)),
        (query.part, (*_PART_KEYS, *_PART_TERMS), part_kinds(query.dialect)),
    )
    return [
        f"CREATE TABLE {table} ({', '.join(map(' '.join, zip(names, kinds, strict=True)))}){query.dialect.memory}"
        for table, names, kinds in tables
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
    plain = " + ".join(f"t.q{number} * p.f{number}" for number in range(len(layout.meters))) or "0"
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
    terms = ["o.part AS part", "o.kind AS kind", *(f"o.{name} AS {name}" for name in _PART_TERMS)]
    quantities = [f"WHEN {number} THEN {wide(f't.q{number}')}" for number in range(len(query.layout.meters))]
    if query.layout.reported:
        quantities.append(f"WHEN {len(query.layout.meters)} THEN t.reported")
    quantity = f"CASE o.quantity_ix {' '.join(quantities)} END" if quantities else wide("0")
    read = (
        f"SELECT {', '.join(['t.row_ix AS row_ix', *columns, *terms])}, {quantity} AS quantity FROM traffic AS t "  # noqa: S608 - as above
        f"JOIN {query.part} AS o ON o.cell = t.cell{query.names} WHERE {where}"
    )
    keys = ["row_ix", *(f"k{number}" for number in range(len(query.keys))), "part"]
    layers = _layers(query.dialect)
    for number, (kept, expressions) in enumerate(layers):
        columns = [*keys, *kept, *(f"{expression} AS {name}" for name, expression in expressions.items())]
        read = f"SELECT {', '.join(columns)} FROM ({read}) AS l{number}"  # noqa: S608 - as above
    return read


def _layers(dialect: Dialect) -> list[tuple[tuple[str, ...], dict[str, str]]]:
    """Return the steps from a quantity to an amount: which columns each step keeps, and what it works out.

    What is billed, as far as it falls into the band; its price, in thousands of femtodollars and a rest; then whole,
    or rounded half to even once, as in `prices.arithmetic`; then what it is the line's.
    """
    at_least = "greatest(quantity, least_units)"
    up = f"{dialect.quotient(f'({at_least} + step_units - 1)', 'step_units')} * step_units"
    rounded = "CASE WHEN 2 * rest > coarse OR (2 * rest = coarse AND thousands % 2 = 1) THEN 1 ELSE 0 END"
    whole = f"thousands * {_ROUNDED_TO_FEMTO} + {dialect.quotient('rest', 'per')}"
    cost = f"CASE WHEN rest % per = 0 THEN {whole} ELSE (thousands + {rounded}) * {_ROUNDED_TO_FEMTO} END"
    missing = "inside = 1 AND portion > 0 AND cost < floor_femto"
    terms = ("kind", "sign", "per", "floor_femto")
    return [
        ((*terms, "low", "high", "femto"), {"billed": f"CASE WHEN step_units = 0 THEN {at_least} ELSE {up} END"}),
        (
            (*terms, "femto"),
            {
                "inside": "CASE WHEN billed <= high THEN 1 ELSE 0 END",
                "portion": "greatest(least(billed, high) - low, low - low)",
            },
        ),
        ((*terms, "inside", "portion"), {"size": "portion * femto", "coarse": f"per * {_ROUNDED_TO_FEMTO}"}),
        (
            (*terms, "inside", "portion", "size", "coarse"),
            {"thousands": f"CASE WHEN per = 1 THEN per - per ELSE {dialect.quotient('size', 'coarse')} END"},
        ),
        ((*terms, "inside", "portion", "coarse", "thousands"), {"rest": "size - thousands * coarse"}),
        ((*terms, "inside", "portion"), {"cost": f"CASE WHEN per = 1 THEN rest ELSE {cost} END"}),
        (
            (),
            {
                "units": f"CASE WHEN kind = {PRICED} THEN portion WHEN {missing} THEN per - per + 1 ELSE per - per END",
                "amount": f"CASE WHEN kind = {PRICED} THEN sign * cost WHEN {missing} "
                "THEN floor_femto - cost ELSE per - per END",
            },
        ),
    ]
