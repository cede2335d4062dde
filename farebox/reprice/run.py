"""Prices prepared traffic under a scheme: totals, totals by anything, lines by rate, and what has no price.

The total is found twice, from the rows and from the sums of the cells, and both must be the same.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from farebox.reprice import price_sql
from farebox.reprice.lay import Laid, lay_prices
from farebox.reprice.prepare import Prepared, Progress, TrafficFault
from farebox.reprice.price_sql import Query
from farebox.reprice.scheme import Scheme
from farebox.reprice.sql import SHAPE
from farebox.reprice.traffic import DuckEngine

_RANGE_ROWS = 4_000_000
_METER = "meter"
_TOO_LARGE = "the amount is larger than one attempt can have"


class LineTotal(msgspec.Struct, frozen=True):
    """What was charged at one rate.

    Attributes:
        rate: its id.
        meter: what was counted.
        quantity: of the meter's smallest part.
        amount_femto: femtodollars.
    """

    rate: str
    meter: str
    quantity: int
    amount_femto: int


class GroupTotal(msgspec.Struct, frozen=True):
    """What one group of the traffic costs.

    Attributes:
        key: a value for each thing grouped by.
        requests: how many; for a meter, those of the group it is in.
        unpriced: how many of them have no price.
        total_femto: femtodollars, of those that have one.
    """

    key: tuple[str | int | None, ...]
    requests: int
    unpriced: int
    total_femto: int


class Repriced(msgspec.Struct, frozen=True):
    """What traffic costs under a scheme.

    Attributes:
        scheme: its name.
        book: hash of its price book.
        requests: how many there are.
        unpriced: how many of them have no price; they are in no sum.
        total_femto: femtodollars, of those that have one.
        reasons: why there is no price, each with the requests it concerns, most first. Of requests that differ only
            in size, the reason names the size of one.
        lines: by rate and meter, the dearest first; they add up to the total.
        groups: the dearest first; they add up to the total.
    """

    scheme: str
    book: str
    requests: int
    unpriced: int
    total_femto: int
    reasons: dict[str, int]
    lines: tuple[LineTotal, ...]
    groups: tuple[GroupTotal, ...] = ()


def reprice(prepared: Prepared, scheme: Scheme, by: Sequence[str] = (), progress: Progress | None = None) -> Repriced:
    """Return what traffic costs under one of the schemes it was prepared for.

    Args:
        prepared: the traffic.
        scheme: the prices.
        by: what to group by: columns of the traffic, words of the shape (`sql.SHAPE`), ``model``, ``day`` and
            ``hour`` (UTC), ``meter``.
        progress: is told of every few million rows.

    Raises:
        TrafficFault: where it was not prepared for the scheme, or there is nothing of that name to group by.
    """
    laid = lay_prices(prepared, scheme)
    try:
        return sum_up(laid, by, progress)
    finally:
        laid.drop()


def sum_up(laid: Laid, by: Sequence[str] = (), progress: Progress | None = None) -> Repriced:
    """Return what traffic costs at prices that are laid out; see `reprice`."""
    prepared = laid.prepared
    tell = progress or (lambda _what, _done, _all: None)
    query = _grouped(laid, by)
    sums = _Sums(laid, query)
    for first in range(0, prepared.rows, _RANGE_ROWS):
        end = min(first + _RANGE_ROWS, prepared.rows)
        sums.add(first, end)
        tell(f"price {laid.scheme.name}", end, prepared.rows)
    lines = _line_totals(laid, sums.parts)
    total = sum(sums.amounts.values())
    if total != sum(line.amount_femto for line in lines):
        raise AssertionError(f"{laid.scheme.name}: rows come to {total} femtodollars, and lines do not")
    reasons = _reasons(laid)
    return Repriced(
        scheme=laid.scheme.name,
        book=laid.scheme.book.hash,
        requests=prepared.rows,
        unpriced=sum(reasons.values()),
        total_femto=total,
        reasons=reasons,
        lines=lines,
        groups=_groups(sums, by) if by else (),
    )


def select_amounts(laid: Laid) -> str:
    """Return a SELECT of every request's row number, own columns and ``amount_femto``, NULL where unpriced."""
    return price_sql.amount_of_each(laid.query)


def write_amounts(prepared: Prepared, scheme: Scheme, path: Path) -> None:
    """Write every request's amount under a scheme to a Parquet file.

    Raises:
        TrafficFault: where the traffic is not held by DuckDB, or was not prepared for the scheme.
    """
    if not isinstance(prepared.engine, DuckEngine):
        raise TrafficFault("Only DuckDB writes Parquet files.")
    laid = lay_prices(prepared, scheme)
    try:
        target = str(path).replace("'", "''")
        exact = f"SELECT * REPLACE (amount_femto::DECIMAL(38,0) AS amount_femto) FROM ({select_amounts(laid)})"  # noqa: S608 - ours
        prepared.engine.rows(f"COPY ({exact}) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
    finally:
        laid.drop()


class _Sums:
    """Adds up what ranges of rows come to, by key; a key ends with the meter where meters are wanted."""

    def __init__(self, laid: Laid, query: Query) -> None:
        self.laid = laid
        self.query = query
        self.requests: dict[tuple[Any, ...], int] = {}
        self.priced: dict[tuple[Any, ...], int] = {}
        self.amounts: dict[tuple[Any, ...], int] = {}
        self.parts: dict[int, tuple[int, int]] = {}

    def add(self, first: int, end: int) -> None:
        """Add the rows of a range."""
        rows, keys = self.laid.prepared.engine.rows, len(self.query.keys)
        for row in rows(price_sql.sum_plain(self.query, first, end)):
            key, (requests, priced, *amounts) = row[:keys], row[keys:]
            _add(self.requests, key, requests)
            _add(self.priced, key, priced)
            for number, amount in enumerate(amounts):
                _add(self.amounts, (*key, number) if self.query.by_meter else key, amount)
        if self.laid.parts:
            for row in rows(price_sql.sum_parts(self.query, first, end)):
                key, (part, units, amount) = row[:keys], row[keys:]
                old = self.parts.get(part, (0, 0))
                self.parts[part] = old[0] + int(units), old[1] + int(amount)
                place = self.laid.parts[part].quantity_ix
                _add(self.amounts, (*key, place) if self.query.by_meter else key, amount)
        if self.query.over:
            for row in rows(price_sql.count_over(self.query, first, end)):
                _add(self.priced, row[:keys], -row[keys])


def _add(sums: dict[tuple[Any, ...], int], key: tuple[Any, ...], amount: Any) -> None:
    sums[key] = sums.get(key, 0) + int(amount)


def _grouped(laid: Laid, by: Sequence[str]) -> Query:
    layout = laid.prepared.layout
    keys: list[str] = []
    for name in by:
        key = price_sql.key_of(laid.query.dialect, layout, name)
        if key is None and name != _METER:
            there = ", ".join([*SHAPE, "model", "day", "hour", _METER, *layout.groups])
            raise TrafficFault(f"There is nothing called {name!r} to group by; there are {there}.")
        if key is not None:
            keys.append(key)
    return msgspec.structs.replace(laid.query, keys=tuple(keys), by_meter=_METER in by)


def _line_totals(laid: Laid, parts: dict[int, tuple[int, int]]) -> tuple[LineTotal, ...]:
    layout = laid.prepared.layout
    found: dict[tuple[str, str], tuple[int, int]] = {}

    def add(rate: str, meter: str, quantity: int, amount: int) -> None:
        old = found.get((rate, meter), (0, 0))
        found[rate, meter] = old[0] + quantity, old[1] + amount

    for cell, price in zip(laid.prepared.cells, laid.prices, strict=True):
        for place, rate, femto in price.plain:
            add(rate, layout.meters[place], cell.sums[place], cell.sums[place] * femto)
    for number, (quantity, amount) in parts.items():
        if quantity:
            add(laid.parts[number].rate, laid.parts[number].meter, quantity, amount)
    lines = [LineTotal(rate, meter, *figures) for (rate, meter), figures in found.items()]
    return tuple(sorted(lines, key=lambda line: (-line.amount_femto, line.rate, line.meter)))


def _reasons(laid: Laid) -> dict[str, int]:
    found: dict[str, int] = {}
    for cell, price in zip(laid.prepared.cells, laid.prices, strict=True):
        if price.reason:
            found[price.reason] = found.get(price.reason, 0) + cell.requests
    if laid.over:
        found[_TOO_LARGE] = laid.over
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def _groups(sums: _Sums, by: Sequence[str]) -> tuple[GroupTotal, ...]:
    """Return the groups; the words of a key are in the order that was asked for."""
    query, layout = sums.query, sums.laid.prepared.layout
    names = [*layout.meters, "reported_cost"]
    groups: list[GroupTotal] = []
    for key, amount in sums.amounts.items():
        words = list(key)
        where = key
        if query.by_meter:
            place, where = words.pop(), key[:-1]
            if not amount:
                continue
            words.insert(list(by).index(_METER), names[place])
        values = tuple(_word(name, value) for name, value in zip(by, words, strict=True))
        requests = sums.requests[where]
        groups.append(GroupTotal(values, requests, requests - sums.priced[where], amount))
    return tuple(sorted(groups, key=lambda group: (-group.total_femto, tuple(map(str, group.key)))))


def _word(name: str, value: Any) -> str | int | None:
    """Return a value as people read it."""
    if name == "day":
        return datetime.fromtimestamp(value * 86_400, UTC).date().isoformat()
    if name == "hour":
        return datetime.fromtimestamp(value * 3600, UTC).strftime("%Y-%m-%dT%H:00Z")
    return value if value is None or isinstance(value, int) else str(value)
