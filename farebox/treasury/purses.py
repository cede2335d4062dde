"""The purses of a worker: what it may reserve without asking, by budget and window. In memory, without waiting.

A purse belongs to one budget in one window. What the authority says was granted goes before our memory of it; what was
spent and given back is ours to say, as totals that never fall.
"""

from collections.abc import Callable, Sequence

from farebox.budgets.authority import Refused, Share, Total, Want
from farebox.budgets.ledger import Purse
from farebox.budgets.plan import Budget, Plan, span_now
from farebox.budgets.window import Span
from farebox.spend import NOTHING, SLOT_OF, Amounts, Claim, write_claim

_IDLE_NS = 5_000_000_000  # a purse that nobody used for so long is given back
_STALE_NS = 100_000_000  # how long a refusal answers for the calls that follow it
_SKEW_NS = 1_000_000_000  # how far a worker's clock may run ahead of the authority's without asking at every call


class Exhausted(Exception):
    """A hard budget has no room.

    Attributes:
        budget: the one that has none.
        span: its window.
        remaining: what is left of it.
        closed: whether an overrun closed it.
    """

    def __init__(self, budget: Budget, span: Span, remaining: int, *, closed: bool = False) -> None:
        super().__init__(f"{budget.account} has {remaining} left")
        self.budget: Budget = budget
        self.span: Span = span
        self.remaining: int = remaining
        self.closed: bool = closed


class Seat(Purse):
    """The purse of one budget in one window.

    Attributes:
        budget: as in the plan.
        is_hard: whether it refuses anything.
        span: the window.
        slot: where in `Amounts` the amounts of its unit stand.
        claim: the budget and the window as they stand in `Sent.charged`.
        used_ns: when it was last reserved from.
        until_ns: when the authority has to be asked which window it is now.
        is_dirty: whether the authority has not been told all.
        open: holds that have not ended.
        is_closed: whether an overrun closed it.
        refused: the smallest need that was refused, and until when that holds.
    """

    __slots__ = (
        "budget",
        "claim",
        "is_closed",
        "is_dirty",
        "is_hard",
        "open",
        "refused",
        "slot",
        "span",
        "until_ns",
        "used_ns",
    )

    def __init__(self, budget: Budget, span: Span, now_ns: int, share: Share | None = None) -> None:
        if share is None:
            super().__init__()
        else:
            super().__init__(share.granted, share.released, share.spent)
        self.budget: Budget = budget
        self.is_hard: bool = budget.hard
        self.span: Span = span
        self.slot: int = SLOT_OF[budget.unit]
        self.claim: str = write_claim(Claim(budget.id, span.id, budget.unit))
        self.used_ns: int = now_ns
        self.until_ns: int = max(span.end_ns, now_ns + _SKEW_NS)
        self.is_dirty: bool = False
        self.open: int = 0
        self.is_closed: bool = False
        self.refused: tuple[int, int] = (0, 0)

    @property
    def total(self) -> Total:
        """What the authority is told."""
        return Total(self.budget.id, self.span.id, self.spent, self.released, self.granted, self.over)

    def change(self, budget: Budget) -> None:
        """Take over a changed budget, whose window is the same."""
        self.budget = budget
        self.is_hard = budget.hard
        self.is_closed = False
        self.refused = (0, 0)

    def offer(self) -> None:
        """Give back what is free, and see to it that the authority is told."""
        if self.give_back():
            self.is_dirty = True

    def close(self) -> bool:
        """Close it after an overrun; return whether it is one that overruns close: a hard cap on money."""
        if not self.is_hard or self.budget.unit != "usd":
            return False
        self.is_closed = True
        self.offer()
        return True


class Hold:
    """What one attempt has reserved; it ends exactly once.

    Attributes:
        charged: what it is charged to, as it stands in `Sent.charged`.
    """

    def __init__(self, taken: Sequence[tuple[Seat, int]], on_overrun: Callable[[], None]) -> None:
        self._taken: Sequence[tuple[Seat, int]] = taken
        self._on_overrun = on_overrun
        self.charged: tuple[str, ...] = tuple([seat.claim for seat, _ in taken])

    def end(self, used: Amounts = NOTHING) -> None:
        """Settle the hold with what was used; nothing, where it is void."""
        taken, self._taken = self._taken, ()
        for seat, amount in taken:
            actual = used[seat.slot]
            seat.end(amount, actual)
            seat.open -= 1
            seat.is_dirty = True
            if actual > amount and seat.close():
                self._on_overrun()


class Purses:
    """All purses of one worker. Instants are nanoseconds since the epoch."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self._seats: dict[str, Seat] = {}
        self._past: dict[tuple[str, str], Seat] = {}

    def reserve(self, budgets: Sequence[Budget], need: Amounts, now_ns: int) -> list[tuple[Seat, int]] | None:
        """Reserve from all budgets or from none; None where a purse is missing, past its window or short.

        Raises:
            Exhausted: where the same was refused a moment ago, or an overrun closed a purse.
        """
        taken: list[tuple[Seat, int]] = []
        is_short = False
        for budget in budgets:
            seat = self._seats.get(budget.id)
            if seat is None or now_ns >= seat.until_ns:
                if budget.hard:
                    return None
                seat = self._sit(budget, span_now(budget, now_ns), now_ns)
            amount = need[seat.slot]
            taken.append((seat, amount))
            if seat.free < amount and seat.is_hard:
                is_short = True
        if is_short:
            _recall_refusal(taken, now_ns)
            return None
        for seat, amount in taken:
            seat.held += amount
            seat.free -= amount
            seat.used_ns = now_ns
            seat.open += 1
        return taken

    def list_wants(self, budgets: Sequence[Budget], need: Amounts, now_ns: int) -> list[Want]:
        """Return what the purses of hard budgets lack."""
        wants = []
        for budget in budgets:
            if budget.hard:
                amount = need.of(budget.unit)
                seat = self._seats.get(budget.id)
                if seat is None or now_ns >= seat.until_ns:
                    wants.append(Want(budget.id, amount))
                elif seat.free < amount:
                    wants.append(Want(budget.id, amount - max(0, seat.free)))
        return wants

    def exhausted(self, answer: Refused, need: Amounts, now_ns: int) -> Exhausted:
        """Return a refusal with what is left for this worker.

        It answers for the calls of the next moment, too: a storm of them must not reach the ledger. What an overrun
        closed stays closed until the plan changes, as by a reset, or the window.
        """
        assert self.plan is not None, "what was refused is in the plan"
        budget = self.plan.by_id[answer.budget]
        amount = need.of(budget.unit)
        seat = self._seats.get(budget.id)
        own = 0
        if seat is not None and seat.span.id == answer.span.id:
            own = max(0, seat.free)
            seat.refused = (amount, now_ns + _STALE_NS)
            seat.is_closed = seat.is_closed or answer.closed
        return Exhausted(budget, answer.span, max(0, min(answer.remaining + own, amount - 1)), closed=answer.closed)

    def adopt_plan(self, plan: Plan, now_ns: int) -> None:
        """Take over changed budgets. What is free is given back first, so that a lower limit is in force at once."""
        self.plan = plan
        for name, seat in list(self._seats.items()):
            seat.give_back()
            seat.is_dirty = True
            budget = plan.by_id.get(name)
            if budget is None or span_now(budget, now_ns).id != span_now(seat.budget, now_ns).id:
                self._past[name, seat.span.id] = self._seats.pop(name)
            else:
                seat.change(budget)

    def adopt(self, share: Share, now_ns: int) -> None:
        """Take over what was granted."""
        seat = self._seats.get(share.budget)
        if seat is None or seat.span.id != share.span.id:
            old = self._past.get((share.budget, share.span.id))
            budget = self.plan.by_id.get(share.budget) if self.plan else None
            is_past = seat is not None and seat.span.start_ns >= share.span.start_ns
            if budget is None or (old is not None and is_past):
                if old is not None:
                    old.adopt(share.granted)
                return
            seat = self._sit(budget, share.span, now_ns, share)
        seat.until_ns = max(seat.span.end_ns, now_ns + _SKEW_NS)
        seat.adopt(share.granted)

    def give_back(self, name: str) -> None:
        """Release what is free in the purse of a budget."""
        seat = self._seats.get(name)
        if seat is not None:
            seat.offer()

    def give_back_idle(self, now_ns: int, *, everything: bool) -> None:
        """Release what nobody used for a while, or everything that is free."""
        for seat in self._seats.values():
            if everything or seat.is_closed or now_ns - seat.used_ns > _IDLE_NS:
                seat.offer()
        for seat in self._past.values():
            seat.offer()

    def list_untold(self) -> list[Seat]:
        """Return the purses of which the authority has not been told all."""
        return [seat for seat in (*self._seats.values(), *self._past.values()) if seat.is_dirty]

    def forget_past(self) -> None:
        """Drop the purses of past windows of which nothing is left to be told."""
        for pair, seat in list(self._past.items()):
            if not seat.open and not seat.is_dirty:
                del self._past[pair]

    def _sit(self, budget: Budget, span: Span, now_ns: int, share: Share | None = None) -> Seat:
        """Begin a budget's purse in a window; the one of the window before is kept until all is told."""
        before = self._seats.get(budget.id)
        if before is not None:
            if before.span.id == span.id:
                before.until_ns = max(span.end_ns, now_ns + _SKEW_NS)
                return before
            before.is_dirty = True
            self._past[budget.id, before.span.id] = before
        seat = self._past.pop((budget.id, span.id), None)
        if seat is None:
            seat = Seat(budget, span, now_ns, share)
        else:
            seat.change(budget)
        self._seats[budget.id] = seat
        return seat


def _recall_refusal(wanted: Sequence[tuple[Seat, int]], now_ns: int) -> None:
    """Raise Exhausted where the same was refused a moment ago, or an overrun closed the purse."""
    for seat, amount in wanted:
        if seat.is_closed and seat.is_hard:
            raise Exhausted(seat.budget, seat.span, 0, closed=True)
        least, until_ns = seat.refused
        if seat.is_hard and now_ns < until_ns and amount >= least and seat.free < amount:
            raise Exhausted(seat.budget, seat.span, max(0, seat.free))
