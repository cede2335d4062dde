"""Lays a scheme's prices out as tables: what each cell's requests cost, asked of the scalar engine cell by cell.

Whether a cell has a price at all is the engine's own answer about one of its requests with one unit of every meter
that it used; the rates are those the engine would use. So both ways of pricing agree by construction, and what is
left to SQL is arithmetic.
"""

from collections.abc import Iterator, Sequence

import msgspec

from farebox.charge import Unpriced
from farebox.prices.arithmetic import amount_of
from farebox.prices.choose import Rating
from farebox.prices.engine import MAX_FEMTO, charge, find_table
from farebox.prices.rates import Rate
from farebox.reprice import price_sql, sql
from farebox.reprice.prepare import Cell, Prepared, TrafficFault
from farebox.reprice.price_sql import MISSING, PRICED, Query
from farebox.reprice.scheme import Scheme
from farebox.reprice.sql import Layout

# The last band of a price has no end.
_NO_END = 1 << 100
# What a product of 128 bits may come to, with room to be doubled.
_WIDE_LIMIT = 1 << 125
_REPORTED = "reported_cost"


class Part(msgspec.Struct, frozen=True):
    """A line that requests of a cell can have, where it is more than a product; see `price_sql`.

    Attributes:
        meter: of the line.
        rate: id of the line's rate.
        quantity_ix: the place of the quantity.
        kind: `PRICED` or `MISSING`.
        low: the band's begin, of the meter's smallest part.
        high: the band's end.
        femto: femtodollars for ``per``.
        per: see ``femto``.
        least_units: how many are billed at least.
        step_units: multiples of how many are billed, or 0.
        floor_femto: of `MISSING`, what the band must come to.
    """

    meter: str
    rate: str
    quantity_ix: int
    kind: int
    low: int
    high: int
    femto: int
    per: int
    least_units: int = 0
    step_units: int = 0
    floor_femto: int = 0

    def billed(self, quantity: int) -> int:
        """Return how many units of a quantity are billed."""
        units = max(quantity, self.least_units)
        return -(-units // self.step_units) * self.step_units if self.step_units else units

    def bound(self, largest: int) -> int:
        """Return a femtodollar amount that no line is beyond, whatever its sign, given the largest quantity.

        Raises:
            OverflowError: where the arithmetic would need more than 128 bits.
        """
        portion = max(0, min(self.billed(largest), self.high) - self.low)
        if portion * abs(self.femto) > _WIDE_LIMIT or self.per > _WIDE_LIMIT // 1000:
            raise OverflowError(f"{portion} units at the rate {self.rate} need more than 128 bits")
        return portion * abs(self.femto) // self.per + 1000 + self.floor_femto


class CellPrice(msgspec.Struct, frozen=True):
    """What the requests of a cell cost.

    Attributes:
        reason: why they have no price, or "".
        plain: lines that are products: place of the quantity, rate id, femtodollars of one unit.
        parts: lines that are more.
        limited: whether an amount may be more than one attempt can have, so that every row is looked at.
    """

    reason: str = ""
    plain: tuple[tuple[int, str, int], ...] = ()
    parts: tuple[Part, ...] = ()
    limited: bool = False


class Laid(msgspec.Struct):
    """A scheme's prices as tables of the engine.

    Attributes:
        prepared: the traffic.
        scheme: whose prices they are.
        prices: by cell.
        parts: by number, as in the table of parts.
        query: names the tables.
        over: how many requests cost more than one attempt can.
    """

    prepared: Prepared
    scheme: Scheme
    prices: list[CellPrice]
    parts: list[Part]
    query: Query
    over: int = 0

    def drop(self) -> None:
        """Remove the tables."""
        for table in (self.query.price, self.query.part, self.query.over):
            if table:
                self.prepared.engine.rows(f"DROP TABLE IF EXISTS {table}")


def lay_prices(prepared: Prepared, scheme: Scheme) -> Laid:
    """Return the prices of one of the schemes that the traffic was prepared for.

    Raises:
        TrafficFault: where it was not prepared for the scheme.
    """
    if scheme not in prepared.schemes:
        raise TrafficFault(
            f"The traffic was not prepared for the scheme {scheme.name!r}; prepare it with that one too."
        )
    number = prepared.schemes.index(scheme)
    engine, layout = prepared.engine, prepared.layout
    pricer = _Pricer(scheme, layout)
    prices = [pricer.price(cell) for cell in prepared.cells]
    query = Query(engine.dialect, layout, f"price_{number}", f"part_{number}")
    laid = Laid(prepared, scheme, prices, [], query)
    laid.drop()
    for statement in price_sql.create_scheme(query):
        engine.rows(statement)
    numbers: dict[Part, int] = {}
    rows = list(_price_rows(prices, len(layout.meters)))
    for statement in sql.insert(engine.dialect, query.price, price_sql.price_kinds(layout), rows):
        engine.rows(statement)
    rows = list(_part_rows(prices, numbers))
    for statement in sql.insert(engine.dialect, query.part, price_sql.part_kinds(engine.dialect), rows):
        engine.rows(statement)
    laid.parts = list(numbers)
    if any(price.limited for price in prices):
        laid.query = msgspec.structs.replace(query, over=f"over_{number}")
        engine.rows(f"DROP TABLE IF EXISTS {laid.query.over}")
        engine.rows(price_sql.find_over(laid.query, MAX_FEMTO))
        laid.over = engine.rows(f"SELECT count(*) FROM {laid.query.over}")[0][0]  # noqa: S608 - the name is ours
    return laid


class _Pricer:
    """Prices cells under one scheme."""

    def __init__(self, scheme: Scheme, layout: Layout) -> None:
        self._scheme = scheme
        self._layout = layout
        # By the rate's identity, which its book keeps, and the place of the quantity it is used for.
        self._lines: dict[tuple[int, int], tuple[list[tuple[int, str, int]], list[Part]]] = {}

    def price(self, cell: Cell) -> CellPrice:
        """Return what the requests of a cell cost."""
        book, layout = self._scheme.book, self._layout
        shape = self._scheme.map_shape(cell.shape)
        rating = cell.rating(shape, layout)
        folds = self._scheme.folds and (self._scheme.folds_all or shape != cell.shape)
        names = self._fold(cell, rating) if folds else {}
        if names:
            meters = {names.get(meter, meter): 1 for meter in rating.usage.meters}
            rating = msgspec.structs.replace(rating, usage=msgspec.structs.replace(rating.usage, meters=meters))
        charged = charge(book, rating)
        if isinstance(charged, Unpriced):
            return CellPrice(charged.reason)
        card = book.card(rating.provider)
        if rating.usage.reported_femto is not None and card is not None and card.reported == "bill":
            (line,) = charged.lines
            return CellPrice(parts=(Part(_REPORTED, line.rate, len(layout.meters), PRICED, 0, _NO_END, 1, 1),))
        table = find_table(book, rating)
        assert not isinstance(table, str), "what was charged has rates"
        plain: list[tuple[int, str, int]] = []
        parts: list[Part] = []
        for place in cell.used(layout):
            meter = layout.meters[place]
            products, more = self._lines_of(table[names.get(meter, meter)], place)
            plain += products
            parts += more
        try:
            return self._within(cell, plain, parts)
        except OverflowError as error:
            return CellPrice(str(error))

    def _fold(self, cell: Cell, rating: Rating) -> dict[str, str]:
        """Return what meters of a cell count as, where its rates do not know them."""
        table = find_table(self._scheme.book, rating)
        if isinstance(table, str):
            return {}
        names: dict[str, str] = {}
        for place in cell.used(self._layout):
            meter = self._layout.meters[place]
            if meter not in table:
                known = [other for other in self._scheme.folds.get(meter, ()) if other in table]
                if known:
                    names[meter] = known[0]
        return names

    def _lines_of(self, rate: Rate, place: int) -> tuple[list[tuple[int, str, int]], list[Part]]:
        found = self._lines.get((id(rate), place))
        if found is None:
            found = self._lines[id(rate), place] = lines_of(rate, self._layout.meters[place], place)
        return found

    def _within(self, cell: Cell, plain: list[tuple[int, str, int]], parts: list[Part]) -> CellPrice:
        """Return the price of a cell; where amounts may be beyond 64 bits, all its lines are parts."""
        bound = sum(abs(femto) * cell.largest[place] for place, _, femto in plain)
        bound += sum(part.bound(_largest(cell, part)) for part in parts)
        if bound <= MAX_FEMTO:
            return CellPrice("", tuple(plain), tuple(parts))
        wide = [
            Part(self._layout.meters[place], rate, place, PRICED, 0, _NO_END, femto, 1) for place, rate, femto in plain
        ]
        for part in wide:
            part.bound(_largest(cell, part))
        return CellPrice("", (), (*wide, *parts), bool(cell.mask & sql.ATTEMPT))


def lines_of(rate: Rate, meter: str, place: int) -> tuple[list[tuple[int, str, int]], list[Part]]:
    """Return the lines that a rate makes, as `prices.engine.lines_of` does without a position.

    Returns:
        Those that are products (place, rate id, femtodollars of one unit), and those that are more.
    """
    plain: list[tuple[int, str, int]] = []
    parts: list[Part] = []
    units = {"least_units": rate.least_units, "step_units": rate.step_units}
    rounded_up = rate.least_units or rate.step_units
    for one in (rate, *rate.steps):
        floor_femto = rate.least_femto if one is rate else 0
        if one.per == 1 and not (rounded_up or one.bands or floor_femto):
            plain.append((place, one.id, one.femto))
            continue
        before = 0
        for low, high, femto, per in _bands(one):
            part = Part(meter, one.id, place, PRICED, low, high, femto, per, **units)
            parts.append(part)
            if floor_femto and floor_femto > before:
                missing = {"rate": f"{one.id}!least", "kind": MISSING, "floor_femto": floor_femto - before}
                parts.append(msgspec.structs.replace(part, **missing))
            before += amount_of(high - low, femto, per)
    return plain, parts


def _bands(rate: Rate) -> Iterator[tuple[int, int, int, int]]:
    """Yield where each price of a rate begins and ends, and the price."""
    bands = rate.bands or ((0, rate.femto, rate.per),)
    ends = [*(start for start, _, _ in bands[1:]), _NO_END]
    for (start, femto, per), end in zip(bands, ends, strict=True):
        yield start, end, femto, per


def _largest(cell: Cell, part: Part) -> int:
    return cell.largest[part.quantity_ix]


def _price_rows(prices: Sequence[CellPrice], meters: int) -> Iterator[list[int]]:
    for number, price in enumerate(prices):
        units = [0] * meters
        for place, _, femto in price.plain:
            units[place] += femto
        yield [number, 0 if price.reason else 1, *units]


def _part_rows(prices: Sequence[CellPrice], numbers: dict[Part, int]) -> Iterator[list[int]]:
    """Yield the rows of the table of parts, and number the parts."""
    for cell, price in enumerate(prices):
        for part in price.parts:
            number = numbers.setdefault(part, len(numbers))
            sign = -1 if part.femto < 0 else 1
            units = [part.least_units, part.step_units, part.low, part.high]
            money = [abs(part.femto), sign, part.per, part.floor_femto]
            yield [cell, number, part.quantity_ix, part.kind, int(price.limited), *units, *money]
