"""How a worker deals with the authority: asks where its purses are short, and tells what was used.

Only a purse that is short waits for the authority, in a thread. What was used is told as running totals, often enough
that what somebody else waits for is not kept from them. Soft budgets refuse nothing, so they are never asked for: what
is spent under them is told.

Where the authority cannot be reached, what it granted may still be spent; beyond that nothing is admitted under a hard
budget, until it can be reached again.
"""

import asyncio
from collections.abc import Callable, Sequence

from farebox.alarm import Alarm
from farebox.budgets.account import Payer
from farebox.budgets.authority import Authority, Refused, Reported, StoreUnavailable, Want, WriterClosed
from farebox.budgets.plan import Budget, Plan
from farebox.clock import Clock
from farebox.spend import Amounts
from farebox.treasury.purses import Hold, Purses, Seat

_TICK_S = 0.2
_LOOK_NS = 400_000_000  # how often it is asked how much of the budgets is used, where policies go by that
_PATIENCE_S = 0.5  # how long a call waits for what other workers do not use
_SILENCE_NS = 500_000_000  # how long an authority that did not answer is left alone


class Treasury:
    """All purses of one worker.

    Args:
        authority: grants, and keeps the books of the budgets.
        writer: the name of this worker's journal.
        clock: for the ends of windows.
        alarm: rings where an account is overdrawn or the authority lost.
        on_fenced: called when the authority has closed this writer: nothing it says is taken any more.

    Attributes:
        watches_use: whether it keeps track of how much all workers have used of budgets.
    """

    def __init__(
        self, authority: Authority, writer: str, clock: Clock, alarm: Alarm, on_fenced: Callable[[], None]
    ) -> None:
        self._authority = authority
        self._writer = writer
        self._clock = clock
        self._alarm = alarm
        self._on_fenced = on_fenced
        self._purses = Purses()
        self._asking = asyncio.Lock()
        self._wake = asyncio.Event()
        self._version: int | None = None
        self._silent_until_ns: int = 0
        self._lost: bool = False
        self.watches_use: bool = False
        self._percents: dict[str, int] = {}
        self._looked_ns: int = 0

    @property
    def has_budgets(self) -> bool:
        """Whether there is any budget.

        Raises:
            StoreUnavailable: where that is not known yet.
        """
        if self._purses.plan is None:
            raise StoreUnavailable("the budgets have not been read yet")
        return bool(self._purses.plan)

    def matching(self, payer: Payer, provider: str, model: str) -> tuple[Budget, ...]:
        """Return the budgets that an attempt is under; see `Plan.matching`."""
        plan = self._purses.plan
        return plan.matching(payer, provider, model) if plan else ()

    def most_used(self, payer: Payer, provider: str, model: str) -> tuple[int, str]:
        """Return how much of its limit the money budget has used that has used most of those an attempt is under.

        It is what all workers have settled, as of half a second ago at most, in whole percent, and whose budget it is;
        0 where there is none.
        """
        found = [
            (self._percents.get(budget.id, 0), str(budget.account))
            for budget in self.matching(payer, provider, model)
            if budget.unit == "usd"
        ]
        return max(found, default=(0, ""))

    async def take(self, budgets: Sequence[Budget], need: Amounts) -> Hold:
        """Reserve from all budgets or from none.

        Raises:
            Exhausted: where a hard budget has no room.
            StoreUnavailable: where the authority cannot be asked and a hard budget's purse is short.
        """
        taken = self._purses.reserve(budgets, need, self._clock.now_ns())
        if taken is None:
            taken = await self._ask(budgets, need)
        return Hold(taken, self._wake.set)

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
                self._purses.adopt_plan(Plan(budgets), self._clock.now_ns())
                self._version = pulse.version
        except StoreUnavailable as error:
            self._tell_lost(error)
            return
        self._tell_found()
        for name in pulse.wanted:
            self._purses.give_back(name)
        if self.watches_use:
            await self._look_at_use()

    async def _look_at_use(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._looked_ns < _LOOK_NS:
            return
        self._looked_ns = now_ns
        try:
            found = await asyncio.to_thread(self._authority.status)
        except StoreUnavailable as error:
            self._tell_lost(error)
            return
        self._percents = {one.budget.id: one.posted * 100 // max(1, one.limit) for one in found}

    async def sync(self, *, everything: bool = False) -> None:
        """Tell the authority what was used and what is given back.

        Args:
            everything: give back all that is not in use, as before stopping.
        """
        self._purses.give_back_idle(self._clock.now_ns(), everything=everything)
        told = self._purses.list_untold()
        if told:
            await self._report(told)
        self._purses.forget_past()

    async def _report(self, told: Sequence[Seat]) -> None:
        for seat in told:
            seat.is_dirty = False
        try:
            answer = await asyncio.to_thread(self._authority.report, self._writer, [seat.total for seat in told])
        except StoreUnavailable as error:
            for seat in told:
                seat.is_dirty = True
            self._tell_lost(error)
            return
        except WriterClosed as error:
            self._fence(error)
            return
        now_ns = self._clock.now_ns()
        for share in answer.shares:
            self._purses.adopt(share, now_ns)
        for name in answer.wanted:
            self._purses.give_back(name)
        self._ring(answer)

    def _ring(self, answer: Reported) -> None:
        """Tell the operator of overruns and of thresholds that were reached."""
        for over in answer.overruns:
            self._alarm.ring(
                f"overrun {over.budget} {over.span.id}",
                f"budget {self._name(over.budget)} is closed: a provider billed more than its cap allowed; "
                "see `farebox budgets show`",
            )
        for alert in answer.alerts:
            self._alarm.ring(
                f"alert {alert.budget} {alert.span.id} {alert.percent}",
                f"budget {self._name(alert.budget)} has reached {alert.percent} % of its limit in {alert.span.id}",
            )

    def _name(self, budget_id: str) -> str:
        plan = self._purses.plan
        budget = plan.by_id.get(budget_id) if plan else None
        return f"{budget.account} ({budget.unit}, {budget.window})" if budget else budget_id

    async def _ask(self, budgets: Sequence[Budget], need: Amounts) -> list[tuple[Seat, int]]:
        """Ask the authority for what is short, and once more where others may give back what they do not use."""
        is_patient = True
        while True:
            async with self._asking:
                now_ns = self._clock.now_ns()
                taken = self._purses.reserve(budgets, need, now_ns)
                if taken is not None:
                    return taken
                refused = await self._grant(self._purses.list_wants(budgets, need, now_ns))
                if refused is None:
                    continue
            if not (refused.idle_elsewhere and is_patient):
                raise self._purses.exhausted(refused, need, self._clock.now_ns())
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
        now_ns = self._clock.now_ns()
        for share in answer.shares:
            self._purses.adopt(share, now_ns)
        return None

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
