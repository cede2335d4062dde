"""The ordered pass: items in the order of time, one by one, each after what came before it.

To an item apply, in this order:

1. capacity: what provisioned units serve is not charged by use, so nothing below sees it;
2. pools: the first units of a period are free;
3. marginal prices: by what was used, and not free, in the calendar month so far;
4. volume contracts: percent off by what was spent at list price in the calendar month so far;
5. percentages of commitments;
6. prepaid credits, those that expire first.

What is owed at the end of a month whatever was used (shortfalls, capacity) is in `lines`. Periods are UTC. The pass
keeps sums, never items, so that its memory does not grow with the number of items.
"""

from collections.abc import Iterable

from farebox.prices.rates import Pool
from farebox.prices.settle.lines import conclude
from farebox.prices.settle.nouns import Entry, Item, Settlement, Tally, Terms
from farebox.prices.settle.periods import day_start, month_start
from farebox.prices.settle.rules import Cover, Ladder, make_rules
from farebox.prices.settle.split import cut, share

# What is smaller than an organisation: the words that pools are shared by.
_NARROWER = frozenset({"project", "resource", "workspace"})


def settle(items: Iterable[Item], terms: Terms) -> Settlement:
    """Return what is owed for items in the order of time.

    Raises:
        ConfigError: where the terms cannot be used, or a rate is not in the book.
        ValueError: where an item is out of order, outside of the time that is settled, or negative.
    """
    settler = Settler(terms)
    for item in items:
        settler.take(item)
    return settler.close()


class _Left:
    """What is left of an item between two steps."""

    __slots__ = ("amount_femto", "list_femto", "quantity")

    def __init__(self, item: Item) -> None:
        self.quantity = item.quantity
        self.list_femto = item.list_femto
        self.amount_femto = item.amount_femto

    def free(self, units: int) -> int:
        """Take units off, and return what they cost."""
        taken = share(self.amount_femto, units, self.quantity)
        self.list_femto -= share(self.list_femto, units, self.quantity)
        self.amount_femto -= taken
        self.quantity -= units
        return taken


class Settler:
    """A settlement under way."""

    def __init__(self, terms: Terms) -> None:
        """Start with nothing used.

        Raises:
            ConfigError: where the terms cannot be used.
        """
        self._rules = make_rules(terms)
        self._find_cover = self._rules.cover_finder()
        self._tally: Tally = {}
        self._sums: dict[tuple[object, ...], int] = {}
        self._slots: dict[int, tuple[int, int]] = {}
        self._credits = [credit.bought_femto - credit.drawn_femto for credit in self._rules.credits]
        self._items = self._list_femto = self._charged_femto = 0
        self._last: tuple[int, str, str] = (terms.from_ns, "", "")

    def take(self, item: Item) -> int:
        """Settle the next item and return what is left to pay for it, femtodollars.

        Raises:
            ConfigError: where its rate is not in the book.
            ValueError: where it is out of order, outside of the time that is settled, or negative.
        """
        self._check(item)
        self._items += 1
        self._list_femto += item.list_femto
        self._charged_femto += item.amount_femto
        cover = self._find_cover(item)
        if cover.is_idle:
            return item.amount_femto
        left = _Left(item)
        month = month_start(item.at_ns)
        self._use_capacity(item, cover, left, month)
        self._use_pool(item, cover, left, month)
        self._use_bands(item, cover, left, month)
        for at in cover.ladders:
            self._climb("volume", self._rules.ladders[at], item.at_ns, left, month)
        for at in cover.percents:
            self._climb("percent", self._rules.percents[at], item.at_ns, left, month)
        self._count_spend(item, cover, left, month)
        self._draw(item, cover, left, month)
        return left.amount_femto

    def close(self) -> Settlement:
        """Return what is owed for all that was taken."""
        return conclude(self._rules, self._tally, (self._items, self._list_femto, self._charged_femto))

    @property
    def tally(self) -> Tally:
        """The sums so far."""
        return dict(self._tally)

    def _check(self, item: Item) -> None:
        place = (item.at_ns, item.id, item.meter)
        if place <= self._last and self._items:
            raise ValueError(f"item {item.id} {item.meter}: items come in the order of time, id and meter, each once")
        terms = self._rules.terms
        if not terms.from_ns <= item.at_ns < terms.until_ns:
            raise ValueError(f"item {item.id} {item.meter}: outside of the time that is settled")
        if min(item.quantity, item.list_femto, item.amount_femto) < 0:
            raise ValueError(f"item {item.id} {item.meter}: quantity and amounts are 0 or more")
        self._last = place

    def _add(self, entry: Entry, quantity: int, amount_femto: int) -> None:
        before = self._tally.get(entry, (0, 0))
        self._tally[entry] = (before[0] + quantity, before[1] + amount_femto)

    def _advance(self, key: tuple[object, ...], by: int) -> int:
        """Add to a sum and return what it was before."""
        before = self._sums.get(key, 0)
        self._sums[key] = before + by
        return before

    def _use_capacity(self, item: Item, cover: Cover, left: _Left, month: int) -> None:
        for at, weight in cover.capacities:
            capacity = self._rules.capacities[at]
            if not capacity.from_ns <= item.at_ns < capacity.until_ns:
                continue
            slot = item.at_ns - item.at_ns % capacity.slot_ns
            last_slot, used = self._slots.get(at, (slot, 0))
            if last_slot != slot:
                used = 0
            self._slots[at] = (slot, used + left.quantity * weight)
            room = max(0, capacity.room(slot) - used)
            units = min(left.quantity, room // weight) if weight else left.quantity * (room > 0)
            if units:
                taken = left.free(units)
                self._add(Entry("capacity", capacity.id, "", month, item.rate), units, -taken)
                self._add(Entry("served", capacity.id, "", month), units * weight, 0)

    def _use_pool(self, item: Item, cover: Cover, left: _Left, month: int) -> None:
        if cover.pool is None or not left.quantity:
            return
        period = day_start(item.at_ns) if cover.pool.period == "day" else month
        who = sharer(item.account, by_organisation=is_shared_by_organisation(cover.pool))
        used = self._advance(("pool", cover.pool_id, who, period), left.quantity)
        units = min(left.quantity, max(0, cover.pool.free - used))
        if units:
            taken = left.free(units)
            self._add(Entry("pool", cover.pool_id, who, period, item.rate), units, -taken)

    def _use_bands(self, item: Item, cover: Cover, left: _Left, month: int) -> None:
        if not cover.bands or not left.quantity or self._is_fixed(item, cover):
            return
        who = sharer(item.account, by_organisation=True)
        position = self._advance(("scope", cover.scope, who, month), left.quantity)
        quantity, listed, charged = left.quantity, left.list_femto, left.amount_femto
        left.amount_femto = left.list_femto = 0
        for band, from_, until in cut([start for start, _, _ in cover.bands], position, quantity):
            _, femto, per = cover.bands[band]
            start = self._advance(("band", cover.scope, who, month, item.rate, band), until - from_)
            new_list = (start + until - from_) * femto // per - start * femto // per
            # A contract by percent takes the same part off, whatever the price.
            new = new_list * charged // listed if listed else new_list
            left.list_femto += new_list
            left.amount_femto += new
            old = share(charged, until, quantity) - share(charged, from_, quantity)
            self._add(Entry("marginal", cover.scope, who, month, item.rate, band), until - from_, new - old)

    def _is_fixed(self, item: Item, cover: Cover) -> bool:
        fixed = [self._rules.fixed[at] for at in cover.fixed]
        return any(contract.from_ns <= item.at_ns < contract.until_ns for contract in fixed)

    def _climb(self, step: str, ladder: Ladder, at_ns: int, left: _Left, month: int) -> None:
        if not ladder.from_ns <= at_ns < ladder.until_ns:
            return
        before_femto, whole = left.amount_femto, left.list_femto
        position = self._advance((step, ladder.id, month), whole)
        for rung, from_, until in cut(ladder.starts, position, whole):
            base = share(before_femto, until, whole) - share(before_femto, from_, whole) if whole else before_femto
            _, numerator, denominator = ladder.rungs[rung]
            sum_ = self._advance((step, ladder.id, month, rung), base)
            off = (sum_ + base) * numerator // denominator - sum_ * numerator // denominator
            left.amount_femto -= off
            self._add(Entry(step, ladder.id, "", month, "", rung), base, -off)

    def _count_spend(self, item: Item, cover: Cover, left: _Left, month: int) -> None:
        for at in cover.spends:
            spend = self._rules.spends[at]
            if spend.from_ns <= item.at_ns < spend.until_ns:
                self._add(Entry("spend", spend.id, "", month), left.amount_femto, 0)

    def _draw(self, item: Item, cover: Cover, left: _Left, month: int) -> None:
        for at in cover.credits:
            credit = self._rules.credits[at]
            units = min(left.amount_femto, self._credits[at])
            if units and credit.from_ns <= item.at_ns < credit.until_ns:
                self._credits[at] -= units
                left.amount_femto -= units
                self._add(Entry("draw", credit.id, "", month), units, -units)


def is_shared_by_organisation(pool: Pool) -> bool:
    """Return whether all accounts of an organisation share a pool; else every project has its own.

    Providers say it in words: "project, all Gemini 3 models", "resource", "organization", "billing account".
    """
    return pool.shared_by.partition(",")[0] not in _NARROWER


def sharer(account: str, *, by_organisation: bool) -> str:
    """Return whose use counts together: that of the organisation, or of the account as a whole."""
    return account.partition("/")[0] if by_organisation else account
