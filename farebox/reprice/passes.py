"""The ordered pass over millions of items, in SQL: what `prices.settle.settler` does, to the last femtodollar.

Items are a table or view with the columns of `prices.settle.nouns.Item`, in any order; ``(at_ns, id, meter)`` is
unique. They are settled month by month, because no running sum is longer than a month but for prepaid credits, so
memory depends on the largest month. An item's own amount is below 2^63 femtodollars (9,223 USD); larger ones are for
`prices.settle.settler.settle`.
"""

from collections.abc import Callable, Iterable
from typing import Any

from farebox.prices.settle.lines import conclude
from farebox.prices.settle.nouns import Entry, Settlement, Tally, Terms
from farebox.prices.settle.periods import NS_PER_DAY, months
from farebox.prices.settle.rules import Capacity, Cover, Credit, Ladder, Rules, make_rules
from farebox.prices.settle.settler import is_shared_by_organisation, sharer
from farebox.prices.settle.split import share
from farebox.reprice.pass_sql import ACCOUNTS, BANDS, KINDS, Span, Texts
from farebox.reprice.sql import DUCKDB, Dialect

# Runs a statement and returns its rows, such as ``lambda text: connection.execute(text).fetchall()``.
Run = Callable[[str], list[tuple[Any, ...]]]
Progress = Callable[[int, int], None]
_NO_END = 2**62
_ROWS_PER_INSERT = 500
_MAX_AMOUNT = 2**63 - 1


def settle_in_sql(
    run: Run,
    items: str,
    terms: Terms,
    *,
    keep: str = "",
    progress: Progress | None = None,
    dialect: Dialect = DUCKDB,
) -> Settlement:
    """Return what is owed for the items of a table.

    Tables named ``settle_...`` are made on the way and dropped.

    Args:
        run: runs a statement and returns its rows.
        items: name of the table or view, or a query in parentheses.
        terms: what is settled; only items within its time are read.
        keep: name of a table that is made of ``id``, ``meter``, ``at_ns`` and ``owed_femto`` for every item; "": none.
        progress: is told how many of how many months are done.
        dialect: of the engine behind ``run``.

    Raises:
        ConfigError: where the terms cannot be used, or a rate is not in the book.
        ValueError: where an item lacks a value, is negative or too large.
    """
    rules = make_rules(terms)
    settling = _Pass(run, items, rules, Texts(dialect, ("id",) if keep else ()))
    try:
        totals = settling.prepare(keep)
        spans = [Span(start, min(end, terms.until_ns)) for start, end in months(terms.from_ns, terms.until_ns)]
        for number, span in enumerate(spans):
            if totals[0]:
                settling.settle_month(span, keep)
            if progress is not None:
                progress(number + 1, len(spans))
        return conclude(rules, settling.tally, totals)
    finally:
        settling.clean()


class _Pass:
    """A settlement under way."""

    def __init__(self, run: Run, items: str, rules: Rules, texts: Texts) -> None:
        self._run: Run = run
        self._items: str = items
        self._rules: Rules = rules
        self._texts: Texts = texts
        self._kinds: list[tuple[tuple[str, str, str, str], Cover]] = []
        self._accounts: list[str] = []
        self._orgs: list[str] = []
        self._left: list[int] = [credit.bought_femto - credit.drawn_femto for credit in rules.credits]
        self._tables: list[str] = []
        self._state: str = ""
        self.tally: Tally = {}

    def prepare(self, keep: str) -> tuple[int, int, int]:
        """Look at the items, lay out what concerns them, and return their number and sums."""
        span = Span(self._rules.terms.from_ns, self._rules.terms.until_ns)
        count, listed, charged, *found = self._run(self._texts.facts(self._items, span))[0]
        if keep:
            self._run(self._texts.make_kept(keep))
        if not count:
            return 0, 0, 0
        if found[6]:
            raise ValueError(f"{found[6]} items lack a value: what is unpriced cannot be settled")
        if min(found[:3]) < 0:
            raise ValueError("an item is negative: quantity and amounts are 0 or more")
        if max(found[3:6]) > _MAX_AMOUNT:
            raise ValueError("an item is 9,223 USD or more: settle it with prices.settle, or in parts")
        self._kinds = [(kind, self._rules.cover(*kind)) for kind in self._run(self._texts.kinds(self._items, span))]
        self._accounts = [account for (account,) in self._run(self._texts.accounts(self._items, span))]
        self._orgs = sorted({sharer(account, by_organisation=True) for account in self._accounts})
        places = {org: number for number, org in enumerate(self._orgs)}
        self._fill(KINDS, self._texts.kind_columns(self._rules), self._kind_rows())
        accounts = ((text, who, places[sharer(text, by_organisation=True)]) for who, text in enumerate(self._accounts))
        self._fill(ACCOUNTS, self._texts.ACCOUNT_COLUMNS, accounts)
        self._fill(BANDS, self._texts.BAND_COLUMNS, self._band_rows())
        return count, listed, charged

    def settle_month(self, span: Span, keep: str) -> None:
        """Apply all rules to the items of a month."""
        texts, rules = self._texts, self._rules
        self._advance(texts.load, self._items, span)
        for number, capacity in enumerate(rules.capacities):
            self._use_capacity(number, capacity, span)
        if any(cover.pool for _, cover in self._kinds):
            self._use_pools(span)
        if any(cover.bands for _, cover in self._kinds):
            self._use_bands(span)
        for number, ladder in enumerate(rules.ladders):
            self._climb("volume", f"ladder_{number}", ladder, span)
        for number, ladder in enumerate(rules.percents):
            self._climb("percent", f"percent_{number}", ladder, span)
        for number, spend in enumerate(rules.spends):
            valid = _within(span, spend.from_ns, spend.until_ns)
            spent, count = self._run(texts.spent(self._state, f"spend_{number}", valid))[0]
            if count:
                self._add(Entry("spend", spend.id, "", span.from_ns), spent, 0)
        for number, credit in enumerate(rules.credits):
            self._draw(number, credit, span)
        if keep:
            self._run(texts.keep(keep, self._state))
            self._run(texts.keep_idle(keep, self._items, span))
        self.clean(but=(KINDS, ACCOUNTS, BANDS))

    def clean(self, but: Iterable[str] = ()) -> None:
        """Drop the tables that were made on the way."""
        for name in [table for table in self._tables if table not in but]:
            self._drop(name)
        self._state = ""

    def _use_capacity(self, number: int, capacity: Capacity, span: Span) -> None:
        valid = _within(span, capacity.from_ns, capacity.until_ns)
        weights = {kind: dict(cover.capacities).get(number) for kind, (_, cover) in enumerate(self._kinds)}
        if valid.is_empty or all(weight is None for weight in weights.values()):
            return
        slot = (capacity.slot_ns, capacity.per_slot)
        self._advance(self._texts.free, self._state, self._texts.capacity(self._state, number, slot, (span, valid)))
        for kind, _, _, units, taken in self._run(self._texts.freed(self._state)):
            self._add(Entry("capacity", capacity.id, "", span.from_ns, self._rate(kind)), units, -taken)
            self._add(Entry("served", capacity.id, "", span.from_ns), units * (weights[kind] or 0), 0)

    def _use_pools(self, span: Span) -> None:
        self._advance(self._texts.free, self._state, self._texts.pools(self._state, NS_PER_DAY))
        for kind, period, place, units, taken in self._run(self._texts.freed(self._state)):
            cover = self._kinds[kind][1]
            assert cover.pool is not None, "only kinds with a pool have free units"
            start = period * NS_PER_DAY if cover.pool.period == "day" else span.from_ns
            who = (self._orgs if is_shared_by_organisation(cover.pool) else self._accounts)[place]
            self._add(Entry("pool", cover.pool_id, who, start, self._rate(kind)), units, -taken)

    def _use_bands(self, span: Span) -> None:
        fixed = {
            f"fixed_{number}": _within(span, contract.from_ns, contract.until_ns)
            for number, contract in enumerate(self._rules.fixed)
            if any(number in cover.fixed for _, cover in self._kinds)
        }
        parts = self._make("settle_parts", self._texts.parts, self._state, fixed)
        self._advance(self._texts.reprice, self._state, parts)
        for kind, org, band, units, change in self._run(self._texts.banded(parts)):
            entry = Entry("marginal", self._kinds[kind][1].scope, self._orgs[org], span.from_ns, self._rate(kind), band)
            self._add(entry, units, change)
        self._drop(parts)

    def _climb(self, step: str, flag: str, ladder: Ladder, span: Span) -> None:
        valid = _within(span, ladder.from_ns, ladder.until_ns)
        if valid.is_empty or not self._concerns(step, ladder):
            return
        climbed = self._make("settle_climb", self._texts.climb, self._state, flag, valid)
        rungs = [(0, *ladder.rungs[0][1:])]
        for start, numerator, denominator in ladder.rungs[1:]:
            crossing = self._run(self._texts.crossing(climbed, start))
            if not crossing:
                break
            listed_before, listed, before, amount = crossing[0]
            rungs.append((before + share(amount, start - listed_before, listed), numerator, denominator))
        top = self._run(self._texts.last_place(climbed))[0][0]
        ends = [rung[0] for rung in rungs[1:]] + [top]
        for rung, ((start, numerator, denominator), end) in enumerate(zip(rungs, ends, strict=True)):
            off = (end - start) * numerator // denominator
            self._add(Entry(step, ladder.id, "", span.from_ns, "", rung), end - start, -off)
        self._advance(self._texts.discount, self._state, climbed, rungs)
        self._drop(climbed)

    def _draw(self, number: int, credit: Credit, span: Span) -> None:
        valid = _within(span, credit.from_ns, credit.until_ns)
        if valid.is_empty or not self._left[number] or not any(number in cover.credits for _, cover in self._kinds):
            return
        climbed = self._make("settle_climb", self._texts.climb, self._state, f"credit_{number}", valid)
        drawn = min(self._left[number], self._run(self._texts.last_place(climbed))[0][0])
        self._advance(self._texts.draw, self._state, climbed, self._left[number])
        self._drop(climbed)
        self._left[number] -= drawn
        self._add(Entry("draw", credit.id, "", span.from_ns), drawn, -drawn)

    def _concerns(self, step: str, ladder: Ladder) -> bool:
        if step == "volume":
            return any(self._rules.ladders[at] is ladder for _, cover in self._kinds for at in cover.ladders)
        return any(self._rules.percents[at] is ladder for _, cover in self._kinds for at in cover.percents)

    def _advance(self, make: Callable[..., str], *given: object) -> None:
        """Make the next table of the month's items, and drop the one before it."""
        last = self._state
        self._state = self._make("settle_b" if last == "settle_a" else "settle_a", make, *given)
        if last:
            self._drop(last)

    def _make(self, name: str, make: Callable[..., str], *given: object) -> str:
        self._run(make(name, *given))
        self._tables.append(name)
        return name

    def _drop(self, name: str) -> None:
        self._run(f"DROP TABLE {name}")
        self._tables.remove(name)

    def _add(self, entry: Entry, quantity: int, amount_femto: int) -> None:
        if quantity or amount_femto:
            before = self.tally.get(entry, (0, 0))
            self.tally[entry] = (before[0] + quantity, before[1] + amount_femto)

    def _rate(self, kind: int) -> str:
        return self._kinds[kind][0][3]

    def _fill(self, name: str, columns: dict[str, str], rows: Iterable[tuple[int | str, ...]]) -> None:
        self._make(name, self._texts.make, columns)
        written = list(rows)
        for start in range(0, len(written), _ROWS_PER_INSERT):
            self._run(self._texts.insert(name, written[start : start + _ROWS_PER_INSERT]))

    def _kind_rows(self) -> Iterable[tuple[int | str, ...]]:
        pools = sorted({cover.pool_id for _, cover in self._kinds if cover.pool})
        scopes = sorted({cover.scope for _, cover in self._kinds if cover.bands})
        rules = self._rules
        for number, (kind, cover) in enumerate(self._kinds):
            weights = dict(cover.capacities)
            pool = cover.pool
            yield (
                number, *kind, int(cover.is_idle),
                pools.index(cover.pool_id) if pool else -1,
                pool.free if pool else 0,
                int(pool is not None and pool.period == "day"),
                int(pool is not None and is_shared_by_organisation(pool)),
                scopes.index(cover.scope) if cover.bands else -1,
                *(weights.get(at, -1) for at in range(len(rules.capacities))),
                *(int(at in cover.fixed) for at in range(len(rules.fixed))),
                *(int(at in cover.ladders) for at in range(len(rules.ladders))),
                *(int(at in cover.percents) for at in range(len(rules.percents))),
                *(int(at in cover.spends) for at in range(len(rules.spends))),
                *(int(at in cover.credits) for at in range(len(rules.credits))),
            )  # fmt: skip

    def _band_rows(self) -> Iterable[tuple[int, ...]]:
        for number, (_, cover) in enumerate(self._kinds):
            ends = [band[0] for band in cover.bands[1:]] + [_NO_END]
            for at, ((start, *prices), end) in enumerate(zip(cover.bands, ends[: len(cover.bands)], strict=True)):
                yield (number, at, start, end, *prices)


def _within(month: Span, from_ns: int, until_ns: int) -> Span:
    """Return when something is valid within a month."""
    return Span(max(month.from_ns, from_ns), min(month.until_ns, until_ns))
