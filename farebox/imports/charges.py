"""Prices what was imported, each row line by line, without looking at a row in Python where that can be avoided.

Rows are sorted into cells that share all their rates (`reprice.prepare`); the rates of a cell become a template of
lines, and SQL multiplies. Where lines are more than products, such as least amounts and marginal prices, the scalar
engine makes them row by row. Both give what `prices.engine.charge` gives.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from farebox.books.schema import LINE_KIND
from farebox.charge import Charge, Unpriced
from farebox.imports.intake import Intake
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.reprice.lay import CellPrice, Laid, lay_prices
from farebox.reprice.prepare import Prepared, prepare
from farebox.reprice.scheme import Scheme
from farebox.reprice.sql import quoted
from farebox.reprice.traffic import DuckEngine, Source
from farebox.usage import Usage

_TABLES = ("traffic", "shapes", "shape_kinds", "cells", "names", "templates", "special")
_FETCHED = 10_000


class _Special(msgspec.Struct, frozen=True):
    """The charge of a row that the scalar engine made; amounts are texts, as JSON has no integers of that size."""

    ix: int
    total_femto: str | None
    unpriced: str
    lines: list[dict[str, Any]] | None


class _Work(msgspec.Struct, frozen=True):
    prepared: Prepared
    book: PriceBook
    select: str


def add_charges(engine: DuckEngine, intake: Intake, book: PriceBook, where: str, scratch: Path) -> None:
    """Make the table ``charges``: ``ix``, ``lines``, ``total_femto`` and ``unpriced`` of some rows of ``intake``.

    Args:
        engine: holds the rows.
        intake: what they are.
        book: to price them with.
        where: which rows.
        scratch: a file that may be written.
    """
    for table in (*_TABLES, "charges"):
        engine.rows(f"DROP TABLE IF EXISTS {table}")
    scheme = Scheme("import", book)
    select = intake.traffic(where)
    prepared = prepare(engine, Source((select,)), [scheme])
    laid = lay_prices(prepared, scheme)
    try:
        special = [number for number, price in enumerate(laid.prices) if _is_special(price)]
        _make_templates(engine, prepared, laid)
        _make_special(engine, _Work(prepared, book, select), special, scratch)
        engine.rows(_join(prepared, special))
    finally:
        laid.drop()


def _is_special(price: CellPrice) -> bool:
    """Whether the lines of a cell's rows are more than products of 64 bits."""
    return bool(price.parts) or price.limited


def _make_templates(engine: DuckEngine, prepared: Prepared, laid: Laid) -> None:
    """Make the table ``templates``: by cell, why it has no price, and its lines without quantities and amounts."""
    kinds = "STRUCT(place INTEGER, meter VARCHAR, femto BIGINT, rate VARCHAR)[]"
    engine.rows(f"CREATE TABLE templates (cell INTEGER, reason VARCHAR, template {kinds})")
    rows = [
        [
            number,
            price.reason,
            [
                {"place": place + 1, "meter": prepared.layout.meters[place], "femto": femto, "rate": rate}
                for place, rate, femto in price.plain
            ],
        ]
        for number, price in enumerate(laid.prices)
        if not _is_special(price)
    ]
    for start in range(0, len(rows), _FETCHED):
        engine.connection.executemany("INSERT INTO templates VALUES (?, ?, ?)", rows[start : start + _FETCHED])


def _join(prepared: Prepared, special: Sequence[int]) -> str:
    """Return the statement that makes ``charges``."""
    layout = prepared.layout
    place = layout.groups.index("ix")
    quantities = ", ".join(layout.quantities) or "0::BIGINT"
    amount = "x.femto * q[x.place]"
    line = (
        "{'meter': x.meter, 'quantity': q[x.place], 'unit_price_femto': x.femto::DECIMAL(38,0), "
        f"'amount_femto': ({amount})::DECIMAL(38,0), 'rate': x.rate, 'per': 1::BIGINT}}"
    )
    plain = (
        f"SELECT ix, reason AS unpriced, "  # noqa: S608 - names are ours
        f"CASE WHEN reason <> '' THEN NULL ELSE list_transform(template, lambda x: {line}) END AS lines, "
        f"CASE WHEN reason <> '' THEN NULL ELSE "
        f"coalesce(list_sum(list_transform(template, lambda x: ({amount})::HUGEINT)), 0) END AS total_femto "
        f"FROM (SELECT t.d{place} AS ix, c.reason, c.template, [{quantities}] AS q "
        "FROM traffic AS t JOIN templates AS c ON c.cell = t.cell)"
    )
    made = (
        f"SELECT ix, CAST(coalesce(lines, []) AS {LINE_KIND}) AS lines, "  # noqa: S608 - as above
        f"CAST(total_femto AS DECIMAL(38,0)) AS total_femto, unpriced FROM ({plain})"
    )
    if special:
        made += " UNION ALL SELECT ix, lines, total_femto, unpriced FROM special"
    return f"CREATE TABLE charges AS {made}"


def _make_special(engine: DuckEngine, work: _Work, cells: Sequence[int], scratch: Path) -> None:
    """Make the table ``special``: the charges of the rows in cells that need the scalar engine."""
    if not cells:
        return
    encode = msgspec.json.Encoder().encode
    try:
        with scratch.open("wb") as file:
            for one in _charge_rows(engine, work, cells):
                file.write(encode(one) + b"\n")
        kinds = f"{{ix: 'BIGINT', total_femto: 'DECIMAL(38,0)', unpriced: 'VARCHAR', lines: {quoted(LINE_KIND)}}}"
        read = f"read_json({quoted(str(scratch))}, format = 'newline_delimited', columns = {kinds})"
        columns = "ix, coalesce(lines, []) AS lines, total_femto, unpriced"
        engine.rows(f"CREATE TABLE special AS SELECT {columns} FROM {read}")  # noqa: S608 - as above
    finally:
        scratch.unlink(missing_ok=True)


def _charge_rows(engine: DuckEngine, work: _Work, cells: Sequence[int]) -> Iterator[_Special]:
    layout = work.prepared.layout
    place = layout.groups.index("ix")
    columns = ["t.cell", "r.ix", "r.at_ns", "r.input_total", *(f"r.{name}" for name in layout.meters)]
    if layout.reported:
        columns.append("r.reported_femto")
    cursor = engine.connection.cursor()
    cursor.execute(
        f"SELECT {', '.join(columns)} FROM traffic AS t JOIN ({work.select}) AS r ON r.ix = t.d{place} "  # noqa: S608 - as above
        f"WHERE t.cell IN ({', '.join(map(str, cells))})"
    )
    while rows := cursor.fetchmany(_FETCHED):
        for cell, ix, at_ns, total, *quantities in rows:
            reported = quantities.pop() if layout.reported else None
            shape = work.prepared.cells[cell].shape
            meters = {
                name: quantity for name, quantity in zip(layout.meters, quantities, strict=True) if quantity is not None
            }
            usage = Usage(meters, total or 0, reported_femto=None if reported is None else int(reported))
            rating = Rating(
                provider=shape.provider,
                answered=shape.answered,
                asked=shape.asked,
                usage=usage,
                at_ns=at_ns,
                service_tier=shape.service_tier or None,
                processing=shape.processing or None,
                speed=shape.speed or None,
                region=shape.region or None,
                facts=dict(shape.facts),
            )
            yield _made(ix, charge(work.book, rating))


def _made(ix: int, charged: Charge | Unpriced) -> _Special:
    if isinstance(charged, Unpriced):
        return _Special(ix, None, charged.reason, None)
    lines = [
        {
            "meter": line.meter,
            "quantity": line.quantity,
            "unit_price_femto": str(line.unit_price_femto),
            "amount_femto": str(line.amount_femto),
            "rate": line.rate,
            "per": line.per,
        }
        for line in charged.lines
    ]
    return _Special(ix, str(charged.total_femto), "", lines)
