"""Prices recorded traffic under schemes, and says what differs, line by line, and how sure that is.

The baseline is what the books say the traffic cost. Schemes that change prices only are priced together, from one
preparation; those that change quantities (a cache, another tokenizer) are prepared for themselves.
"""

from collections.abc import Mapping, Sequence
from contextlib import closing
from fractions import Fraction

import msgspec

from farebox.books.query import Books
from farebox.books.rows import BooksTotal, MeterRow
from farebox.errors import FareboxError
from farebox.money import femto_from_usd
from farebox.prices.book import PriceBook
from farebox.reprice.prepare import Prepared, Progress, prepare
from farebox.reprice.run import Repriced, reprice
from farebox.reprice.scheme import Scheme
from farebox.reprice.traffic import Drawer, DuckEngine, table_source
from farebox.usage import METERS
from farebox.whatif import traffic
from farebox.whatif.schemes import Assumption, WhatIf

# What units count as where the rates of another model do not know their meter.
FOLDS: Mapping[str, tuple[str, ...]] = {
    "cache_read": ("input",),
    "cache_write_5m": ("cache_write_30m", "input"),
    "cache_write_30m": ("cache_write_5m", "input"),
    "cache_write_1h": ("cache_write_30m", "cache_write_5m", "input"),
    "cache_write_12h": ("cache_write_1h", "cache_write_30m", "cache_write_5m", "input"),
    "cache_read_audio": ("input_audio",),
    "cache_read_image": ("input_image", "input"),
    "cache_read_video": ("input_video", "input"),
    "input_image": ("input",),
}


class MeterLine(msgspec.Struct, frozen=True):
    """What one meter costs under a scheme and cost in fact; amounts in femtodollars.

    Attributes:
        meter: as it is recorded.
        quantity: under the scheme.
        cost_femto: under the scheme.
        baseline_quantity: as recorded.
        baseline_femto: as recorded.
    """

    meter: str
    quantity: int
    cost_femto: int
    baseline_quantity: int
    baseline_femto: int


class SchemeResult(msgspec.Struct, frozen=True):
    """What the traffic costs under a scheme; amounts in femtodollars.

    Attributes:
        name: of the scheme.
        book: hash of the price book.
        cost_femto: of all that has a price.
        difference_femto: to the baseline; below 0 is a saving.
        unpriced: requests without a price, which are in no amount.
        reasons: why, with how many requests each concerns.
        lines: by meter; they add up to the cost.
        assumptions: what it rests on.
        throttled: how many of how many minutes would have been over the scheme's limits, or None without limits.
        monthly_femto: what the scheme costs a month beside the calls.
        break_even_calls: calls a month from which on it saves what it costs a month, or None where it never does.
    """

    name: str
    book: str
    cost_femto: int
    difference_femto: int
    unpriced: int
    reasons: dict[str, int]
    lines: tuple[MeterLine, ...]
    assumptions: tuple[Assumption, ...]
    throttled: tuple[int, int] | None
    monthly_femto: int
    break_even_calls: int | None


class WhatIfResult(msgspec.Struct, frozen=True):
    """The baseline and what became of it.

    Attributes:
        baseline: as recorded.
        lines: of the baseline, by meter.
        schemes: in the order in which they were asked for.
    """

    baseline: BooksTotal
    lines: tuple[MeterLine, ...]
    schemes: tuple[SchemeResult, ...]


class EmptyBooks(FareboxError):
    """There is no traffic to price."""


def run(
    books: Books,
    asked: Sequence[tuple[WhatIf, PriceBook]],
    *,
    adjust_tokens: bool = False,
    shift_ns: int = 0,
    progress: Progress | None = None,
) -> WhatIfResult:
    """Return what the traffic of the books costs under schemes.

    Args:
        books: opened for a window.
        asked: schemes, each with its price book.
        adjust_tokens: whether counts are those of the other model's tokenizer, as far as the ratio is known.
        shift_ns: how much later the traffic is taken to have been sent, for prices of another time.
        progress: is told how far it is.

    Raises:
        EmptyBooks: where there is no traffic.
        TrafficFault: where it cannot be priced.
    """
    baseline = books.total()
    if not baseline.attempts:
        raise EmptyBooks("The books are empty in this time: import a log, or send calls through the gateway.")
    recorded = tuple(_recorded(row) for row in books.meters())
    with closing(DuckEngine()) as engine:
        work = _Work(engine, books, asked, adjust_tokens=adjust_tokens, shift_ns=shift_ns, progress=progress)
        schemes = [_compare(work.price(number), baseline, recorded) for number in range(len(asked))]
    return WhatIfResult(baseline, recorded, tuple(schemes))


def _recorded(row: MeterRow) -> MeterLine:
    cost_femto = row.list_femto + row.contract_femto
    return MeterLine(row.meter, row.quantity, cost_femto, row.quantity, cost_femto)


class _Priced(msgspec.Struct):
    """What a scheme came to before it is compared."""

    asked: WhatIf
    book: PriceBook
    cost_femto: int
    unpriced: int
    reasons: dict[str, int]
    meters: dict[str, tuple[int, int]]
    assumptions: list[Assumption]
    throttled: tuple[int, int] | None


class _Work:
    """The traffic, prepared once for all schemes that leave quantities alone."""

    def __init__(
        self,
        engine: DuckEngine,
        books: Books,
        asked: Sequence[tuple[WhatIf, PriceBook]],
        *,
        adjust_tokens: bool,
        shift_ns: int,
        progress: Progress | None,
    ) -> None:
        self._engine = engine
        self._books = books
        self._asked = asked
        self._adjusts = adjust_tokens
        self._progress = progress
        self._buckets: bool = any(one.share < 1 for one, _ in asked)
        self._meters = traffic.make_base(
            engine,
            books,
            buckets=self._buckets,
            blocks=any(one.table.cache is not None for one, _ in asked),
            shift_ns=shift_ns,
        )
        self._schemes = [
            Scheme(f"{number}", book, one.rules, FOLDS, folds_all=one.table.cache is not None)
            for number, (one, book) in enumerate(asked)
        ]
        self._prepared: Prepared | None = None

    def price(self, number: int) -> _Priced:
        """Return what one of the schemes comes to."""
        one, book = self._asked[number]
        scheme = self._schemes[number]
        table, notes = self._change(number)
        unchanged = Scheme(f"{number} without its rules", book, (), FOLDS, folds_all=scheme.folds_all)
        is_base = table == traffic.BASE
        prepared = self._prepare_all() if is_base else self._prepare(table, [scheme, unchanged])
        if one.share == 1:
            found = reprice(prepared, scheme, ("meter",), self._progress)
            cost, unpriced, reasons = found.total_femto, found.unpriced, found.reasons
            meters = _by_meter(found)
        else:
            cost, unpriced, reasons, meters = self._mix(prepared, scheme, unchanged, one.share)
        if not is_base:
            Drawer(self._engine, f"prepared_{table}").empty()
            self._engine.rows(f"DROP TABLE {table}")
        assumptions = [*notes, *self._assume(one)]
        if unpriced:
            text = f"{unpriced:,} requests have no price under this scheme and are missing from its cost"
            assumptions.append(Assumption("low", text))
        throttled = traffic.count_throttled(self._books, one.table.limits)
        return _Priced(one, book, cost, unpriced, reasons, meters, assumptions, throttled)

    def _change(self, number: int) -> tuple[str, tuple[Assumption, ...]]:
        """Return the table that a scheme is priced on, and what is to be said about it."""
        one = self._asked[number][0]
        table = traffic.BASE
        notes: tuple[Assumption, ...] = ()
        if one.table.cache is not None:
            changed = traffic.apply_cache(self._engine, f"cached_{number}", self._meters, one.table.cache)
            if changed is None:
                text = "no prompt has recorded blocks, so no cache could be replayed: all is as recorded"
                notes = (Assumption("low", text),)
            else:
                table, notes = changed.table, changed.notes
        if self._adjusts and traffic.describes(one.rules):
            scheme = self._schemes[number]
            meters = self._meters_of(table)
            adjusted = traffic.adjust_tokens(self._engine, table, f"adjusted_{number}", meters, scheme.map_shape)
            if table != traffic.BASE:
                self._engine.rows(f"DROP TABLE {table}")
            table, notes = adjusted.table, (*notes, *adjusted.notes)
        return table, notes

    def _meters_of(self, table: str) -> list[str]:
        there = {row[0] for row in self._engine.rows(f"DESCRIBE {table}")}
        return [name for name in METERS if name in there]

    def _prepare_all(self) -> Prepared:
        """Return the base, prepared for all schemes."""
        if self._prepared is None:
            more = [
                Scheme(f"{number} without its rules", book, (), FOLDS, folds_all=one.table.cache is not None)
                for number, (one, book) in enumerate(self._asked)
            ]
            self._prepared = self._prepare(traffic.BASE, [*self._schemes, *more])
        return self._prepared

    def _prepare(self, table: str, schemes: Sequence[Scheme]) -> Prepared:
        """Return a table prepared for schemes."""
        drawer = Drawer(self._engine, f"prepared_{table}")
        columns = traffic.columns_of(self._meters_of(table), buckets=self._buckets)
        return prepare(drawer, table_source(drawer, table, columns), schemes, self._progress)

    def _mix(
        self, prepared: Prepared, scheme: Scheme, unchanged: Scheme, share: Fraction
    ) -> tuple[int, int, dict[str, int], dict[str, tuple[int, int]]]:
        """Return cost, unpriced requests, reasons and meters where the rules concern a share of the calls only."""
        limit = int(share * traffic.BUCKETS)
        cost = unpriced = 0
        reasons: dict[str, int] = {}
        meters: dict[str, tuple[int, int]] = {}
        for one, is_picked in ((scheme, True), (unchanged, False)):
            totals = reprice(prepared, one, ("bucket",), self._progress)
            for group in totals.groups:
                if (int(group.key[0] or 0) < limit) == is_picked:
                    cost += group.total_femto
                    unpriced += group.unpriced
            reasons |= totals.reasons
            for group in reprice(prepared, one, ("bucket", "meter"), self._progress).groups:
                if (int(group.key[0] or 0) < limit) == is_picked:
                    name = str(group.key[1])
                    meters[name] = (0, meters.get(name, (0, 0))[1] + group.total_femto)
        sums = ", ".join(f"coalesce(sum({name}), 0)" for name in self._meters)
        quantities = self._engine.rows(f"SELECT {sums} FROM {traffic.BASE}")[0] if self._meters else ()  # noqa: S608 - names are ours
        for name, quantity in zip(self._meters, quantities, strict=True):
            meters[name] = (int(quantity), meters.get(name, (0, 0))[1])
        return cost, unpriced, {why: min(count, unpriced) for why, count in reasons.items() if unpriced}, meters

    def _assume(self, one: WhatIf) -> list[Assumption]:
        """Return what a result rests on because of the scheme's rules."""
        found: list[Assumption] = []
        if one.share < 1:
            percent = float(one.share * 100)
            found.append(
                Assumption("high", f"{percent:g} % of the calls, drawn by their ids, are those the rules are for")
            )
        if not traffic.describes(one.rules):
            return found
        if not self._adjusts:
            found.append(
                Assumption("low", "token counts are those recorded; other models count the same text otherwise")
            )
        found.append(Assumption("low", "other models are taken to answer in as many tokens, as well"))
        cached = [name for name in self._meters if name.startswith("cache_")]
        if cached and one.table.cache is None:
            found.append(Assumption("low", "what was read from and written to caches is taken to be so there, too"))
        return found


def _by_meter(found: Repriced) -> dict[str, tuple[int, int]]:
    meters: dict[str, tuple[int, int]] = {}
    for line in found.lines:
        quantity, amount = meters.get(line.meter, (0, 0))
        is_own = not (line.rate.startswith("contract/") or line.rate.endswith("!least"))
        meters[line.meter] = quantity + (line.quantity if is_own else 0), amount + line.amount_femto
    return meters


def _compare(priced: _Priced, baseline: BooksTotal, recorded: Sequence[MeterLine]) -> SchemeResult:
    before = {line.meter: line for line in recorded}
    names = [*before, *(name for name in priced.meters if name not in before)]
    lines = []
    for name in names:
        quantity, cost_femto = priced.meters.get(name, (0, 0))
        old = before.get(name)
        lines.append(
            MeterLine(name, quantity, cost_femto, old.baseline_quantity if old else 0, old.baseline_femto if old else 0)
        )
    difference = priced.cost_femto - baseline.total_femto
    monthly_femto = femto_from_usd(priced.asked.table.monthly_usd)
    return SchemeResult(
        name=priced.asked.name,
        book=priced.book.hash,
        cost_femto=priced.cost_femto,
        difference_femto=difference,
        unpriced=priced.unpriced,
        reasons=priced.reasons,
        lines=tuple(sorted(lines, key=lambda line: -max(line.cost_femto, line.baseline_femto))),
        assumptions=tuple(priced.assumptions),
        throttled=priced.throttled,
        monthly_femto=monthly_femto,
        break_even_calls=_break_even(monthly_femto, difference, baseline.attempts),
    )


def _break_even(monthly_femto: int, difference_femto: int, attempts: int) -> int | None:
    """Return from how many calls a month on a scheme saves what it costs a month."""
    if difference_femto >= 0:
        return None
    return -(-monthly_femto * attempts // -difference_femto)
