"""A worker's side of the budgets: reserves in memory, asks the authority where its purses are short.

Reserving is a few look-ups while the purses last. Only a purse that is short waits for the authority, in a thread.
What was used is told as running totals, often enough that what somebody else waits for is not kept from them. Soft
budgets refuse nothing, so they are never asked for: what is spent under them is told.

Where the authority cannot be reached, what it granted may still be spent; beyond that nothing is admitted under a hard
budget, until it can be reached again.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from farebox.alarm import Alarm
from farebox.budgets.account import Account
from farebox.budgets.authority import Authority, Refused, Reported, Share, StoreUnavailable, Total, Want, WriterClosed
from farebox.budgets.ledger import Purse, reserve
from farebox.budgets.plan import Budget, Plan, span_now
from farebox.budgets.window import Span
from farebox.clock import Clock
from farebox.spend import NOTHING, Amounts, Claim, write_claim

Answer = TypeVar("Answer")
_TICK_S = 0.2
_IDLE_NS = 5_000_000_000  # a purse that nobody used for so long is given back
_PATIENCE_S = 0.5  # how long a call waits for what other workers do not use
_SILENCE_NS = 500_000_000  # how long an authority that did not answer is left alone
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


class _Seat:
    """The purse of one budget in one window."""

    def __init__(self, budget: Budget, span: Span, now_ns: int) -> None:
        self.budget: Budget = budget
        self.span: Span = span
        self.purse: Purse = Purse()
        self.claim: str = write_claim(Claim(budget.id, span.id, budget.unit))
        self.used_ns: int = now_ns
        self.until_ns: int = max(span.end_ns, now_ns + _SKEW_NS)
        self.dirty: bool = False
        self.open: int = 0  # holds that have not ended
        # The smallest need that was refused, and until when that holds.
        self.refused: tuple[int, int] = (0, 0)

    @property
    def total(self) -> Total:
        purse = self.purse
        return Total(self.budget.id, self.span.id, purse.spent, purse.released, purse.granted)


class Hold:
    """What one attempt has reserved; it ends exactly once.

    Attributes:
        charged: what it is charged to, as it stands in `Sent.charged`.
    """

    def __init__(self, treasury: "Treasury", taken: Sequence[tuple[_Seat, int]]) -> None:
        self._treasury = treasury
        self._taken: Sequence[tuple[_Seat, int]] = taken
        self.charged: tuple[str, ...] = tuple(seat.claim for seat, _ in taken)

    def end(self, used: Amounts = NOTHING) -> None:
        """Settle the hold with what was used; nothing, where it is void."""
        taken, self._taken = self._taken, ()
        for seat, amount in taken:
            seat.purse.end(amount, used.of(seat.budget.unit))
            seat.open -= 1
            seat.dirty = True
            if seat.budget.hard and seat.purse.free < 0:
                self._treasury.hurry()


class Treasury:
    """All purses of one worker.

    Args:
        authority: grants, and keeps the books of the budgets.
        writer: the name of this worker's journal.
        clock: for the ends of windows.
        alarm: rings where an account is overdrawn or the authority lost.
        on_fenced: called when the authority has closed this writer: nothing it says is taken any more.
    """

    def __init__(
        self, authority: Authority, writer: str, clock: Clock, alarm: Alarm, on_fenced: Callable[[], None]
    ) -> None:
        self._authority = authority
        self._writer = writer
        self._clock = clock
        self._alarm = alarm
        self._on_fenced = on_fenced
        self._seats: dict[str, _Seat] = {}
        self._past: dict[tuple[str, str], _Seat] = {}
        self._asking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._version: int | None = None
        self._silent_until_ns: int = 0
        self._lost: bool = False
        self.plan: Plan | None = None

    def matching(self, path: Iterable[Account]) -> tuple[Budget, ...]:
        """Return the budgets that a path of accounts is under.

        Raises:
            StoreUnavailable: where it is not known yet which budgets there are.
        """
        if self.plan is None:
            raise StoreUnavailable("the budgets have not been read yet")
        return self.plan.matching(path) if self.plan else ()

    async def take(self, budgets: Sequence[Budget], need: Amounts) -> Hold:
        """Reserve from all budgets or from none.

        Raises:
            Exhausted: where a hard budget has no room.
            StoreUnavailable: where the authority cannot be asked and a hard budget's purse is short.
        """
        taken = self._try(budgets, need)
        if taken is None:
            taken = await self._ask(budgets, need)
        return Hold(self, taken)

    def hurry(self) -> None:
        """Tell the authority soon: an account is overdrawn."""
        self._wake.set()

    async def run(self) -> None:
        """Keep plan and authority up to date until cancelled."""
        while True:
            await self.refresh()
            await self.sync()
            self._wake.clear()
            try:
                await asyncio.wait_for(self._wake.wait(), _TICK_S)
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        """Look whether budgets changed, and whether somebody waits for what is not in use here."""
        try:
            pulse = await asyncio.to_thread(self._authority.pulse)
            if pulse.version != self._version:
                budgets = await asyncio.to_thread(self._authority.budgets)
                self._adopt_plan(Plan(budgets))
                self._version = pulse.version
        except StoreUnavailable as error:
            self._tell_lost(error)
            return
        self._tell_found()
        for name in pulse.wanted:
            self._give_back(name)

    async def sync(self, *, everything: bool = False) -> None:
        """Tell the authority what was used and what is given back.

        Args:
            everything: give back all that is not in use, as before stopping.
        """
        now_ns = self._clock.now_ns()
        for seat in self._seats.values():
            if (everything or now_ns - seat.used_ns > _IDLE_NS) and seat.purse.give_back():
                seat.dirty = True
        for seat in self._past.values():
            if seat.purse.give_back():
                seat.dirty = True
        told = [seat for seat in (*self._seats.values(), *self._past.values()) if seat.dirty]
        if told:
            await self._report(told)
        for pair, seat in list(self._past.items()):
            if not seat.open and not seat.dirty:
                del self._past[pair]

    async def _report(self, told: Sequence[_Seat]) -> None:
        for seat in told:
            seat.dirty = False
        try:
            answer = await asyncio.to_thread(self._authority.report, self._writer, [seat.total for seat in told])
        except StoreUnavailable as error:
            for seat in told:
                seat.dirty = True
            self._tell_lost(error)
            return
        except WriterClosed as error:
            self._fence(error)
            return
        for share in answer.shares:
            self._adopt(share)
        for name in answer.wanted:
            self._give_back(name)
        self._ring(answer)

    def _ring(self, answer: Reported) -> None:
        """Tell the operator of overruns and of thresholds that were reached."""
        for over in answer.overruns:
            self._alarm.ring(
                f"overrun {over.budget} {over.span.id}",
                f"budget {self._name(over.budget)} is overdrawn: a provider billed more than its cap allowed; "
                "see `farebox budgets show`",
            )
        for alert in answer.alerts:
            self._alarm.ring(
                f"alert {alert.budget} {alert.span.id} {alert.percent}",
                f"budget {self._name(alert.budget)} has reached {alert.percent} % of its limit in {alert.span.id}",
            )

    def _name(self, budget_id: str) -> str:
        budget = self.plan.by_id.get(budget_id) if self.plan else None
        return f"{budget.account} ({budget.unit}, {budget.window})" if budget else budget_id

    def _try(self, budgets: Sequence[Budget], need: Amounts) -> list[tuple[_Seat, int]] | None:
        """Reserve in memory; None where a purse is missing, past its window or short.

        Raises:
            Exhausted: where the same was refused a moment ago.
        """
        now_ns = self._clock.now_ns()
        taken: list[tuple[_Seat, int]] = []
        wanted: list[tuple[Purse, int]] = []
        for budget in budgets:
            amount = need.of(budget.unit)
            seat = self._seats.get(budget.id)
            if seat is None or now_ns >= seat.until_ns:
                if budget.hard:
                    return None
                seat = self._sit(budget, span_now(budget, now_ns), now_ns)
            taken.append((seat, amount))
            if budget.hard:
                wanted.append((seat.purse, amount))
        if reserve(wanted):
            for seat, amount in taken:
                least, until_ns = seat.refused
                if now_ns < until_ns and amount >= least and seat.purse.free < amount:
                    raise Exhausted(seat.budget, seat.span, max(0, seat.purse.free))
            return None
        for seat, amount in taken:
            if not seat.budget.hard:
                seat.purse.held += amount
            seat.used_ns = now_ns
            seat.open += 1
        return taken

    async def _ask(self, budgets: Sequence[Budget], need: Amounts) -> list[tuple[_Seat, int]]:
        """Ask the authority for what is short, and once more where others may give back what they do not use."""
        is_patient = True
        while True:
            async with self._asking:
                taken = self._try(budgets, need)
                if taken is not None:
                    return taken
                answer = await self._grant(self._wants(budgets, need))
                if answer is None:
                    continue
                refusal = self._exhausted(answer, budgets, need)
            if not (answer.idle_elsewhere and is_patient):
                self._remember(answer, refusal, need)
                raise refusal
            is_patient = False
            await asyncio.sleep(_PATIENCE_S)

    async def _grant(self, wants: list[Want]) -> Refused | None:
        """Ask for slices; return the refusal, or None where they were granted."""
        if self._clock.monotonic_ns() < self._silent_until_ns:
            raise StoreUnavailable("it did not answer a moment ago")
        try:
            answer = await asyncio.to_thread(self._authority.grant, self._writer, wants)
        except StoreUnavailable as error:
            self._tell_lost(error)
            raise
        except WriterClosed as error:
            self._fence(error)
            raise StoreUnavailable(str(error)) from error
        self._tell_found()
        if isinstance(answer, Refused):
            return answer
        for share in answer.shares:
            self._adopt(share)
        return None

    def _wants(self, budgets: Sequence[Budget], need: Amounts) -> list[Want]:
        """Return what the purses lack."""
        now_ns = self._clock.now_ns()
        wants = []
        for budget in budgets:
            if budget.hard:
                seat = self._seats.get(budget.id)
                is_present = seat is not None and now_ns < seat.until_ns
                free = seat.purse.free if seat is not None and is_present else 0
                if not is_present or free < need.of(budget.unit):
                    wants.append(Want(budget.id, max(0, need.of(budget.unit) - free)))
        return wants

    def _exhausted(self, answer: Refused, budgets: Sequence[Budget], need: Amounts) -> Exhausted:
        budget = next(one for one in budgets if one.id == answer.budget)
        seat = self._seats.get(budget.id)
        own = max(0, seat.purse.free) if seat is not None and seat.span.id == answer.span.id else 0
        remaining = max(0, min(answer.remaining + own, need.of(budget.unit) - 1))
        return Exhausted(budget, answer.span, remaining, closed=answer.closed)

    def _remember(self, answer: Refused, refusal: Exhausted, need: Amounts) -> None:
        """Let a refusal answer for the calls of the next moment: a storm of them must not reach the ledger."""
        seat = self._seats.get(answer.budget)
        if seat is not None and seat.span.id == answer.span.id:
            seat.refused = (need.of(refusal.budget.unit), self._clock.now_ns() + _STALE_NS)

    def _adopt_plan(self, plan: Plan) -> None:
        """Take over changed budgets. What is free is given back first, so that a lower limit is in force at once."""
        self.plan = plan
        now_ns = self._clock.now_ns()
        for name, seat in list(self._seats.items()):
            seat.purse.give_back()
            seat.dirty = True
            seat.refused = (0, 0)
            budget = plan.by_id.get(name)
            if budget is None or span_now(budget, now_ns).id != span_now(seat.budget, now_ns).id:
                self._past[name, seat.span.id] = self._seats.pop(name)
            else:
                seat.budget = budget

    def _adopt(self, share: Share) -> None:
        """Take over what the authority says was granted: its word goes before our memory of it."""
        pair = (share.budget, share.span.id)
        seat = self._seats.get(share.budget)
        if seat is None or seat.span.id != share.span.id:
            old = self._past.get(pair)
            if old is not None and (seat is None or seat.span.start_ns < share.span.start_ns):
                seat = self._seats[share.budget] = self._past.pop(pair)
            elif old is not None:
                old.purse.granted = max(old.purse.granted, share.granted)
                return
            else:
                budget = self.plan.by_id.get(share.budget) if self.plan else None
                if budget is None:
                    return
                seat = self._sit(budget, share.span, self._clock.now_ns())
                seat.purse.released, seat.purse.spent = share.released, share.spent
        seat.until_ns = max(seat.span.end_ns, self._clock.now_ns() + _SKEW_NS)
        seat.purse.granted = max(seat.purse.granted, share.granted)

    def _sit(self, budget: Budget, span: Span, now_ns: int) -> _Seat:
        """Begin a budget's purse in a window; the one of the window before is kept until all is told."""
        before = self._seats.get(budget.id)
        if before is not None:
            if before.span.id == span.id:
                before.until_ns = max(span.end_ns, now_ns + _SKEW_NS)
                return before
            before.dirty = True
            self._past[budget.id, before.span.id] = before
        back = self._past.pop((budget.id, span.id), None)
        seat = self._seats[budget.id] = back or _Seat(budget, span, now_ns)
        return seat

    def _give_back(self, name: str) -> None:
        seat = self._seats.get(name)
        if seat is not None and seat.purse.give_back():
            seat.dirty = True

    def _fence(self, error: WriterClosed) -> None:
        self._alarm.ring("fenced", f"{error}; this worker stops")
        self._on_fenced()

    def _tell_lost(self, error: StoreUnavailable) -> None:
        self._silent_until_ns = self._clock.monotonic_ns() + _SILENCE_NS
        if not self._lost:
            self._lost = True
            self._alarm.note(f"the ledger of budgets cannot be reached: {error.detail}")

    def _tell_found(self) -> None:
        self._silent_until_ns = 0
        if self._lost:
            self._lost = False
            self._alarm.note("the ledger of budgets can be reached again")
