"""The ledger: what an authority grants, what a writer reserves, and how both are put together again. Pure.

A **writer** (a worker) does not ask before every call: the **authority** grants it a slice of a budget, which counts
as held from then on, and the writer reserves from its slice in memory. Everything a writer says is a running total
(granted, released, spent), so saying it twice changes nothing, and what a dead writer did not say is read out of its
journal as the same totals.

Of every budget in every window, with L its limit, P posted, H held, O overdraft:

- I1: a hold is taken only if it fits, on every account of the path or on none.
- I2: P + H <= L + O at every instant; O grows only where a provider bills more than its hold.
- I3: H is the sum of what slices have left, P the sum of what writers spent and of corrections.

Amounts are whole numbers: femtodollars, or counts for limits on requests and tokens.
"""

from collections.abc import Iterable

import msgspec

# Below this many holds of the size that is asked for, a slice is one hold: nothing is stranded near a limit.
_NEAR_HOLDS = 64
# A slice is at most this part of what is left, divided among the writers there are.
_SHARE = 4


class Balance(msgspec.Struct):
    """One budget in one window, as the authority keeps it."""

    limit: int
    posted: int = 0
    held: int = 0
    overdraft: int = 0
    closed: bool = False

    @property
    def room(self) -> int:
        """What can still be granted; negative where a limit was lowered."""
        return self.limit - self.posted - self.held


class Slice(msgspec.Struct):
    """What one writer was granted of one balance: running totals, none of which ever falls.

    Attributes:
        granted: by the authority.
        released: given back.
        spent: settled.
        over: by how much attempts cost more than their holds.
    """

    granted: int = 0
    released: int = 0
    spent: int = 0
    over: int = 0

    @property
    def left(self) -> int:
        """What of the slice is neither spent nor given back; negative where more was spent than granted."""
        return self.granted - self.released - self.spent


def grant(balance: Balance, share: Slice, need: int, *, writers: int, elsewhere: int = 0) -> int:
    """Grant a writer at least what it needs, or nothing; return how much.

    Args:
        balance: of the window.
        share: the writer's slice of it.
        need: for the hold that does not fit the slice.
        writers: how many share the budget; each gets a part of what is left.
        elsewhere: posted and held in other spans that count, for rolling windows.
    """
    room = balance.room - elsewhere
    if balance.closed or need > room or need < 0:
        return 0
    size = max(need, room // (_SHARE * max(writers, 1))) if room >= need * _NEAR_HOLDS else need
    share.granted += size
    balance.held += size
    return size


def report(balance: Balance, share: Slice, totals: Slice, *, closes: bool = True) -> int:
    """Take a writer's running totals in; return by how much its attempts cost more than their holds, since.

    A total that is lower than the one before is an old message and changes nothing. What was spent beyond what was
    granted is an overrun even where no attempt is known to have made it.

    Args:
        balance: of the window.
        share: the writer's slice of it.
        totals: what the writer says; its ``granted`` is not looked at.
        closes: whether an overrun closes the balance: hard caps on money, not soft ones or limits on tokens,
            whose holds are estimates. It is an overdraft only then.
    """
    before, over_before = share.left, max(share.over, -share.left)
    added = max(0, totals.spent - share.spent)
    share.spent += added
    share.released = max(share.released, min(totals.released, share.granted))
    share.over = max(share.over, totals.over)
    after = share.left
    balance.posted += added
    balance.held += max(0, after) - max(0, before)
    beyond = max(0, -after) - max(0, -before)  # what nobody holds for: P + H grows by no more than this, so I2 holds
    over = max(max(share.over, -after, over_before) - max(over_before, 0), beyond)
    balance.overdraft += over if closes else beyond
    if over > 0 and closes:
        balance.closed = True
    return over


def correct(balance: Balance, amount: int) -> None:
    """Post a correction, as when an assumed cost turns out to be another; what was paid too much is free again."""
    balance.posted += amount
    balance.overdraft = max(0, balance.overdraft + min(amount, 0))
    if amount > 0 and balance.room < 0:
        balance.overdraft += min(amount, -balance.room)


class Purse:
    """A writer's own side of a slice.

    Attributes:
        granted: as the authority said last.
        released: given back so far.
        spent: settled so far.
        held: of attempts under way.
        over: by how much attempts cost more than their holds.
        free: what can be reserved without asking: granted and neither released, spent nor held. It is kept and not
            computed, because every call looks at it.
    """

    __slots__ = ("free", "granted", "held", "over", "released", "spent")

    def __init__(self, granted: int = 0, released: int = 0, spent: int = 0) -> None:
        self.granted: int = granted
        self.released: int = released
        self.spent: int = spent
        self.held: int = 0
        self.over: int = 0
        self.free: int = granted - released - spent

    def adopt(self, granted: int) -> None:
        """Take over what was granted in all; less than before is an old message."""
        more = granted - self.granted
        if more > 0:
            self.granted = granted
            self.free += more

    def give_back(self) -> int:
        """Release what is free; return how much."""
        amount = max(0, self.free)
        self.released += amount
        self.free -= amount
        return amount

    def take(self, amount: int) -> None:
        """Hold an amount, whether it is free or not."""
        self.held += amount
        self.free -= amount

    def end(self, hold: int, actual: int) -> None:
        """End one hold with what it cost; 0 where it was void."""
        self.held -= hold
        self.spent += actual
        self.free += hold - actual
        if actual > hold:
            self.over += actual - hold


def reserve(purses: Iterable[tuple[Purse, int]]) -> list[int]:
    """Take a hold from every purse or from none.

    Returns:
        the indices of the purses that have not enough; nothing was taken then.
    """
    wanted = list(purses)
    short = [index for index, (purse, amount) in enumerate(wanted) if purse.free < amount]
    if not short:
        for purse, amount in wanted:
            purse.take(amount)
    return short
