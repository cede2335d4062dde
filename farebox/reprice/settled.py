"""Settles re-priced traffic: what a scheme's pools, marginal prices, contracts and commitments make of a period.

Every meter of every request is an item with what the scheme charges for it by itself; the items go through the
ordered pass as they are read, so that they are never held all at once. Requests without a price are no items.
"""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from farebox.prices.choose import choose
from farebox.prices.settle.items import terms_of
from farebox.prices.settle.nouns import Settlement
from farebox.reprice import price_sql
from farebox.reprice.lay import CellPrice, Laid
from farebox.reprice.passes import Progress, settle_in_sql
from farebox.reprice.prepare import TrafficFault
from farebox.reprice.price_sql import PRICED
from farebox.reprice.traffic import DuckEngine

_KINDS = "settled_kinds"
_PARTS = "settled_parts"
_KIND_COLUMNS = {
    "cell": "INTEGER", "place": "INTEGER", "provider": "VARCHAR", "model": "VARCHAR", "meter": "VARCHAR",
    "rate": "VARCHAR", "counted": "INTEGER", "list_femto": "HUGEINT", "net_femto": "HUGEINT",
}  # fmt: skip
_PART_COLUMNS = {"part": "INTEGER", "place": "INTEGER", "counted": "INTEGER", "listed": "INTEGER"}
_ROWS_AT_ONCE = 500
_NONE_DRAWN: Mapping[str, int] = {}


class Period(msgspec.Struct, frozen=True):
    """What is settled.

    Attributes:
        from_ns: the first instant of a calendar month, nanoseconds since the epoch, UTC.
        until_ns: the end.
        account: the column of the traffic that says whose a request is (``organisation/project``), or "": all are
            one organisation's.
        drawn: see `prices.settle.nouns.Terms`.
    """

    from_ns: int
    until_ns: int
    account: str = ""
    drawn: Mapping[str, int] = _NONE_DRAWN


def settle_scheme(laid: Laid, period: Period, *, keep: str = "", progress: Progress | None = None) -> Settlement:
    """Return what is owed for traffic under a scheme.

    Args:
        laid: the scheme's prices.
        period: what of the traffic is settled.
        keep: name of a table that is made of what is owed for each item, whose ``id`` is the row number, or "".
        progress: is told how many of how many months are done.

    Raises:
        TrafficFault: where the traffic is not held by DuckDB, or there is no column of that name for the account.
        ConfigError: see `passes.settle_in_sql`.
        ValueError: see `passes.settle_in_sql`.
    """
    engine = laid.prepared.engine
    if not isinstance(engine, DuckEngine):
        raise TrafficFault("Only traffic that DuckDB holds can be settled.")
    terms = terms_of(laid.scheme.book, period.from_ns, period.until_ns, period.drawn)
    tables: dict[str, tuple[dict[str, str], list[Sequence[int | str]]]] = {
        _KINDS: (_KIND_COLUMNS, list(_kind_rows(laid))),
        _PARTS: (_PART_COLUMNS, list(_part_rows(laid))),
    }
    try:
        for name, (columns, rows) in tables.items():
            engine.rows(f"CREATE TABLE {name} ({', '.join(map(' '.join, columns.items()))})")
            for start in range(0, len(rows), _ROWS_AT_ONCE):
                values = ", ".join(f"({', '.join(map(_literal, row))})" for row in rows[start : start + _ROWS_AT_ONCE])
                engine.rows(f"INSERT INTO {name} VALUES {values}")  # noqa: S608 - numbers and quoted words
        items = f"({_select_items(laid, period.account)})"
        return settle_in_sql(engine.rows, items, terms, keep=keep, progress=progress)
    finally:
        for name in tables:
            engine.rows(f"DROP TABLE IF EXISTS {name}")


def _literal(value: int | str) -> str:
    """Return a number, or a word in quotes: models are named by whoever asks for them."""
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def _kind_rows(laid: Laid) -> Iterator[list[int | str]]:
    """Yield for every cell and meter what it is called, and the femtodollars of one unit as far as they are plain."""
    for number, (cell, price) in enumerate(zip(laid.prepared.cells, laid.prices, strict=True)):
        if price.reason:
            continue
        shape = laid.scheme.map_shape(cell.shape)
        model = choose(laid.scheme.book, cell.rating(shape, laid.prepared.layout)).model
        for place, rate, counted, listed, net in _sums(price):
            yield [number, place, shape.provider, model or shape.model, _meter(laid, place), rate, counted, listed, net]


def _sums(price: CellPrice) -> Iterator[tuple[int, str, int, int, int]]:
    """Yield by place: its rate, whether that is plain, and the sums of plain prices at list and as charged."""
    lines = [(place, rate, femto, 1) for place, rate, femto in price.plain]
    lines += [(part.quantity_ix, part.rate, 0, 0) for part in price.parts if part.kind == PRICED]
    for place in dict.fromkeys(line[0] for line in lines):
        mine = [line for line in lines if line[0] == place]
        own = [line for line in mine if not _is_step(line[1])]
        yield place, own[0][1], own[0][3], sum(line[2] for line in own), sum(line[2] for line in mine)


def _part_rows(laid: Laid) -> Iterator[list[int]]:
    for number, part in enumerate(laid.parts):
        listed = not _is_step(part.rate)
        yield [number, part.quantity_ix, int(listed and part.kind == PRICED), int(listed)]


def _is_step(rate: str) -> bool:
    """Return whether a rate is the step of a contract."""
    return rate.startswith("contract/")


def _meter(laid: Laid, place: int) -> str:
    meters = laid.prepared.layout.meters
    return meters[place] if place < len(meters) else "reported_cost"


def _select_items(laid: Laid, account: str) -> str:
    """Return the SELECT of all items, columns as in `prices.settle.nouns.Item`."""
    layout, query = laid.prepared.layout, laid.query
    wide = query.dialect.wide
    if account and account not in layout.groups:
        there = ", ".join(layout.groups) or "none"
        raise TrafficFault(f"There is no column {account!r} that could say whose a request is; there are {there}.")
    who = f"coalesce(CAST(t.d{layout.groups.index(account)} AS VARCHAR), '')" if account else "''"
    places = [f"WHEN {place} THEN {wide(f't.q{place}')}" for place in range(len(layout.meters))]
    places += [f"WHEN {len(layout.meters)} THEN t.reported"] if layout.reported else []
    quantity = f"CASE k.place {' '.join(places)} END"
    names = "k.provider AS provider, k.model AS model, k.meter AS meter, k.rate AS rate"
    beyond = f" AND t.row_ix NOT IN (SELECT row_ix FROM {query.over})" if query.over else ""  # noqa: S608 - ours
    parts = f" LEFT JOIN ({_select_parts(laid)}) AS p ON p.row_ix = t.row_ix AND p.place = k.place"
    units = f"CAST(CASE WHEN k.counted = 1 THEN {quantity} ELSE coalesce(p.units, 0) END AS BIGINT)"
    return (
        f"SELECT t.row_ix AS id, t.at_ns AS at_ns, {who} AS account, {names}, {units} AS quantity, "  # noqa: S608 - ours
        f"{quantity} * k.list_femto + coalesce(p.list_femto, 0) AS list_femto, "
        f"{quantity} * k.net_femto + coalesce(p.amount_femto, 0) AS amount_femto "
        f"FROM traffic AS t JOIN {_KINDS} AS k ON k.cell = t.cell{parts} WHERE {quantity} > 0{beyond}"
    )


def _select_parts(laid: Laid) -> str:
    """Return the SELECT of what the parts of prices come to, by row and meter."""
    by_row = msgspec.structs.replace(laid.query, keys=("t.row_ix",), by_meter=False)
    lines = price_sql.sum_parts(by_row, 0, laid.prepared.rows)
    return (
        "SELECT a.row_ix AS row_ix, o.place AS place, sum(a.units * o.counted) AS units, "  # noqa: S608 - ours
        "sum(a.amount * o.listed) AS list_femto, sum(a.amount) AS amount_femto "
        f"FROM ({lines}) AS a(row_ix, part, units, amount) JOIN {_PARTS} AS o ON o.part = a.part "
        "GROUP BY a.row_ix, o.place"
    )
