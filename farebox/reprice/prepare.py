"""Sorts traffic into cells, once for a set of schemes; within a cell every request has the same rates.

A cell is a shape of request (provider, models, tier, region, facts, and which meters were used), a size of input
between two sizes at which a price can change, and a time between two instants at which one can. There are few of
them, so their rates are asked of the scalar engine, and no row of the traffic is ever looked at in Python.
"""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from farebox.errors import ConfigError, FareboxError
from farebox.prices import marks
from farebox.prices.choose import Rating
from farebox.reprice import sql
from farebox.reprice.scheme import Scheme, Shape
from farebox.reprice.sql import Layout, Marks
from farebox.reprice.traffic import Engine, Source
from farebox.usage import METERS, Usage

# What is being done, how many rows of it are done, and how many there are.
Progress = Callable[[str, int, int], None]
_KNOWN = (*sql.SHAPE, "at_ns", "unsplit", "input_total", "prompts", "reported_femto", "meters")
# What only a single attempt has, whose amount has a limit; as in `prices.engine`.
_ATTEMPT = frozenset(name for name, meter in METERS.items() if meter.family in {"input", "output"})


class TrafficFault(FareboxError):
    """The traffic cannot be priced as it is; the message says what is wrong with it."""


class Cell(msgspec.Struct):
    """What is known of the requests that share all their rates.

    Attributes:
        shape: of the requests.
        unsplit: see `usage.Usage`.
        mask: which meters were used, and more; see `sql`.
        at_ns: the instant of one of them.
        input_total: the size of one of them.
        prompts: those of one of them.
        requests: how many there are.
        sums: of the quantities, by the place of the meter in the layout.
        largest: the largest of each.
    """

    shape: Shape
    unsplit: tuple[str, ...]
    mask: int
    at_ns: int
    input_total: int
    prompts: tuple[int, ...]
    requests: int
    sums: list[int]
    largest: list[int]

    def used(self, layout: Layout) -> list[int]:
        """Return the places of the meters that every one of the requests used."""
        return [number for number in range(len(layout.meters)) if self.mask >> number & 1]

    def rating(self, shape: Shape, layout: Layout) -> Rating:
        """Return a rating of the smallest request of this kind, as if it had had another shape.

        What a provider reported about its own cost says nothing about another provider or model.
        """
        reported = 1 if self.mask & sql.REPORTED and shape == self.shape else None
        meters = {layout.meters[number]: 1 for number in self.used(layout)}
        if not meters and not self.mask & sql.NO_METERS:
            meters = dict.fromkeys(layout.meters[:1], 0)
        return Rating(
            provider=shape.provider,
            answered=shape.answered,
            asked=shape.asked,
            usage=Usage(meters, self.input_total, self.prompts, self.unsplit, reported_femto=reported),
            at_ns=self.at_ns,
            service_tier=shape.service_tier or None,
            processing=shape.processing or None,
            speed=shape.speed or None,
            region=shape.region or None,
            facts=dict(shape.facts),
        )


class Prepared(msgspec.Struct):
    """Traffic in cells, ready to be priced under each of the schemes.

    Attributes:
        engine: holds the rows, in the table ``traffic``.
        layout: the columns.
        schemes: those it was prepared for.
        cells: by number.
        rows: how many requests there are.
    """

    engine: Engine
    layout: Layout
    schemes: tuple[Scheme, ...]
    cells: list[Cell]
    rows: int


def prepare(engine: Engine, source: Source, schemes: Sequence[Scheme], progress: Progress | None = None) -> Prepared:
    """Return traffic in cells.

    Args:
        engine: an empty one; it holds the rows from then on.
        source: the traffic.
        schemes: all that it is to be priced under; at least one.
        progress: is told of every piece.

    Raises:
        TrafficFault: where a column is missing or a quantity is below 0.
    """
    tell = progress or (lambda _what, _done, _all: None)
    layout = _read_layout(engine, source)
    spans = [engine.rows(sql.span(piece))[0] for piece in source.pieces]
    first_ns = min((first for count, first, _ in spans if count), default=0)
    last_ns = max((last for count, _, last in spans if count), default=0)
    total = sum(count for count, _, _ in spans)
    for statement in sql.create_tables(engine.dialect):
        engine.rows(statement)
    work = _Preparation(engine, layout, schemes, (first_ns, last_ns + 1))
    done = 0
    for number, (piece, (count, _, _)) in enumerate(zip(source.pieces, spans, strict=True)):
        work.take(piece, done, first=number == 0)
        done += count
        tell("prepare", done, total)
    placed = sum(cell.requests for cell in work.cells)
    if placed != total:
        raise TrafficFault(f"{placed} of {total} requests found their cell; did the traffic change meanwhile?")
    engine.rows(sql.name_cells(engine.dialect))
    return Prepared(engine, layout, tuple(schemes), work.cells, total)


class _Preparation:
    """Takes the pieces of the traffic in, one after the other."""

    def __init__(self, engine: Engine, layout: Layout, schemes: Sequence[Scheme], window: tuple[int, int]) -> None:
        self.cells: list[Cell] = []
        self._engine = engine
        self._layout = layout
        self._schemes = schemes
        self._window = window
        self._shapes: list[tuple[Shape, tuple[str, ...], int]] = []
        self._kinds: dict[Marks, int] = {}
        self._marks: dict[Shape, Marks] = {}

    def take(self, piece: str, first_row: int, *, first: bool) -> None:
        """Take a piece whose rows are numbered from ``first_row`` on."""
        engine, layout, dialect = self._engine, self._layout, self._engine.dialect
        engine.rows(sql.read_piece(dialect, layout, piece, first_row))
        engine.rows(sql.add_shapes(layout, len(self._shapes)))
        self._add_shapes()
        engine.rows(sql.key_chunk(dialect, layout, list(self._kinds)))
        known = len(self.cells)
        engine.rows(sql.add_cells(known))
        engine.rows(sql.place_rows(dialect, layout, first=first))
        for row in engine.rows(sql.examples(layout, first_row, known)):
            self._add_cell(row)
        for cell, requests, *figures in engine.rows(sql.summarise_cells(dialect, layout, first_row)):
            _count(self.cells[cell], requests, [int(figure) for figure in figures])
        engine.rows("DROP TABLE keyed")
        engine.rows("DROP TABLE chunk")

    def _add_shapes(self) -> None:
        rows = self._engine.rows(sql.new_shapes(len(self._shapes)))
        kinds: list[tuple[int, int]] = []
        for number, *words, facts, unsplit, mask in rows:
            shape = msgspec.structs.replace(Shape(*words), facts=_read_facts(facts))
            self._shapes.append((shape, tuple(filter(None, unsplit.split(","))), mask))
            found = self._marks_of(shape)
            kinds.append((number, self._kinds.setdefault(found, len(self._kinds))))
        for statement in sql.insert(self._engine.dialect, "shape_kinds", ("INTEGER", "INTEGER"), kinds):
            self._engine.rows(statement)

    def _add_cell(self, row: tuple[Any, ...]) -> None:
        cell, number, place, at_ns, size, prompts = row
        assert cell == len(self.cells), "cells are numbered in order"
        shape, unsplit, mask = self._shapes[number]
        if mask & sql.NEGATIVE:
            raise TrafficFault(f"Row {place + 1} of the traffic has a quantity below 0; a quantity is never negative.")
        meters = len(self._layout.meters)
        used = tuple(map(int, prompts or ()))
        self.cells.append(Cell(shape, unsplit, mask, at_ns, int(size), used, 0, [0] * meters, [0] * meters))

    def _marks_of(self, shape: Shape) -> Marks:
        """Return where prices of a shape can change under any of the schemes."""
        found = self._marks.get(shape)
        if found is None:
            sizes: set[int] = set()
            instants: set[int] = set()
            for scheme in self._schemes:
                mapped = scheme.map_shape(shape)
                names = (mapped.answered, mapped.asked)
                try:
                    sizes.update(marks.sizes(scheme.book, mapped.provider, names))
                    instants.update(marks.instants(scheme.book, mapped.provider, *self._window, names))
                except ConfigError:
                    continue  # the engine gives the fault of the card as the reason for having no price
            found = self._marks[shape] = Marks(tuple(sorted(sizes)), tuple(sorted(instants)))
        return found


def _count(cell: Cell, requests: int, figures: list[int]) -> None:
    """Add a piece's requests, and by meter their sum and their largest quantity, to a cell."""
    cell.requests += requests
    for number, (total, largest) in enumerate(zip(figures[0::2], figures[1::2], strict=True)):
        cell.sums[number] += total
        cell.largest[number] = max(cell.largest[number], largest)


def _read_layout(engine: Engine, source: Source) -> Layout:
    if not source.pieces:
        raise TrafficFault("There is no traffic: the source has no SELECT.")
    described = engine.rows(engine.dialect.describe.format(source.pieces[0]))
    columns = {row[0]: str(row[1]) for row in described}
    for name in ("at_ns", "provider"):
        if name not in columns:
            raise TrafficFault(f"The traffic has no column {name}; there are {', '.join(columns)}.")
    if "meters" in columns:
        found = {row[0] for piece in source.pieces for row in engine.rows(sql.map_keys(engine.dialect, piece))}
        meters = [*(name for name in METERS if name in found), *sorted(found - set(METERS))]
    else:
        meters = [name for name in METERS if name in columns]
    if len(meters) > sql.MAX_METERS:
        raise TrafficFault(f"The traffic has {len(meters)} meters, and no more than {sql.MAX_METERS} can be priced.")
    groups = [name for name in columns if name not in _KNOWN and name not in METERS]
    return Layout(columns, tuple(meters), _ATTEMPT, tuple(groups))


def _read_facts(text: str) -> tuple[tuple[str, str], ...]:
    if not text:
        return ()
    try:
        facts = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError:
        raise TrafficFault(f"The facts {text!r} of the traffic are no JSON object of texts.") from None
    return tuple(sorted(facts.items()))
