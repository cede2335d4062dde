"""The authority on SQLite under any order of holds, reports, crashes, resets, clocks, late messages and old copies.

Workers are the real purses; only their threads are left out.
"""

import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
)

from farebox.budgets.account import Account, Payer
from farebox.budgets.authority import Granted, Refused, Total, WriterClosed
from farebox.budgets.plan import Budget, Plan
from farebox.budgets.window import counted_from, read_window
from farebox.spend import Amounts, need_of, read_claim
from farebox.state.ledger_authority import LEDGER, LedgerAuthority
from farebox.state.ledger_sqlite import SqliteStore
from farebox.state.ledger_values import BalanceRow
from farebox.treasury.purses import Exhausted, Hold, Purses
from tests.state.asking import HOUR_NS, ORG, TEAM
from tests.state.conftest import StandingClock

WRITERS = 3
PAYER = Payer("search", "", "", "", {}, "m")
MEMORY = Path("/dev/shm")  # what is tested is not the disk
MINUTE_NS = HOUR_NS // 60
BUDGETS = [
    Budget("a", ORG, "usd", read_window("day"), 10_000, alerts=(50, 100)),
    Budget("b", TEAM, "usd", read_window("rolling:1h"), 4_000, alerts=(80,)),
    Budget("c", ORG, "output_tokens", read_window("hour"), 6_000),
    Budget("d", Account("model", "m"), "usd", read_window("lifetime"), 2_000, hard=False, alerts=(100,)),
    Budget("e", TEAM, "concurrency", read_window("lifetime"), 12),
]


class Worker:
    """One process: its purses, its journal, and the attempts that have not ended."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.purses = Purses()
        self.spent: Counter[tuple[str, str]] = Counter()
        self.over: Counter[tuple[str, str]] = Counter()
        self.open: dict[int, tuple[Hold, Amounts]] = {}
        self.is_dead = False

    def write(self, hold: Hold, need: Amounts, used: Amounts) -> None:
        for text in hold.charged:
            claim = read_claim(text)
            pair = claim.budget, claim.span_id
            self.spent[pair] += used.of(claim.unit)
            if claim.unit == "usd":
                self.over[pair] += max(0, used.usd - need.usd)

    @property
    def totals(self) -> list[Total]:
        return [Total(*pair, amount, over=self.over[pair]) for pair, amount in self.spent.items()]


class AuthorityMachine(RuleBasedStateMachine):
    """Three workers charge five budgets; a provider bills what it likes; messages are lost, repeated and late."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = StandingClock()
        self.store = SqliteStore(self.folder / LEDGER, self.clock)
        self.authority = LedgerAuthority(self.store)
        self.authority.align(BUDGETS)
        self.limits = {budget.id: budget.limit for budget in self.authority.budgets()}
        self.workers = [Worker(f"w{number}") for number in range(WRITERS)]
        self.dead: list[Worker] = []
        self.old: list[tuple[str, list[Total]]] = []  # reports that may arrive again
        self.corrected: Counter[tuple[str, str]] = Counter()
        self.copied: Counter[tuple[str, str]] | None = None
        self.is_honest = True
        self.count = 0

    @initialize(is_honest=st.booleans())
    def begin(self, *, is_honest: bool) -> None:
        """Half of the time providers and operators do nothing that lets an account go beyond its limit."""
        self.is_honest = is_honest
        for number in range(WRITERS):
            self.refresh(number)

    @rule(number=st.integers(0, WRITERS - 1))
    def refresh(self, number: int) -> None:
        """A worker reads the plan."""
        self.workers[number].purses.adopt_plan(Plan(self.authority.budgets()), self.clock.at_ns)

    @rule(
        target=holds,
        number=st.integers(0, WRITERS - 1),
        needs=st.lists(st.tuples(st.integers(0, 3_000), st.integers(0, 300)), min_size=1, max_size=5),
        lost=st.integers(0, 9),
    )
    def hold(self, number: int, needs: list[tuple[int, int]], lost: int) -> object:
        """Some attempts begin; an answer of the authority may be lost on the way."""
        worker = self.workers[number]
        return multiple(
            *(
                (worker, self.count)
                for index, (femto, tokens) in enumerate(needs)
                if self._hold(worker, need_of(femto, 0, tokens), is_lost=index == lost)
            )
        )

    def _hold(self, worker: Worker, need: Amounts, *, is_lost: bool) -> bool:
        """Reserve, asking the authority where a purse is short; return whether that is done."""
        assert worker.purses.plan is not None
        budgets = worker.purses.plan.matching(PAYER, model="m")
        for _ in range(4):
            try:
                taken = worker.purses.reserve(budgets, need, self.clock.at_ns)
            except Exhausted:
                return False
            if taken is not None:
                self.count += 1
                worker.open[self.count] = Hold(taken, lambda: None), need
                return True
            before = self._balances()
            answer = self.authority.grant(worker.name, worker.purses.list_wants(budgets, need, self.clock.at_ns))
            if isinstance(answer, Refused):
                assert self._balances() == before  # all or none
                return False
            if is_lost:
                return False
            assert isinstance(answer, Granted)
            for share in answer.shares:
                worker.purses.adopt(share, self.clock.at_ns)
        return False

    def _balances(self) -> list[BalanceRow]:
        return self.store.read(lambda rows: rows.all_balances())

    @rule(hold=consumes(holds), part=st.integers(0, 100))
    def settle(self, hold: tuple[Worker, int], part: int) -> None:
        """End an attempt with at most what was held."""
        self._end(hold, lambda held: held * part // 100)

    @precondition(lambda self: not self.is_honest)
    @rule(hold=consumes(holds), more=st.integers(1, 5_000))
    def overrun(self, hold: tuple[Worker, int], more: int) -> None:
        """End an attempt with more than what was held: the provider ignored its cap."""
        self._end(hold, lambda held: held + more)

    def _end(self, at: tuple[Worker, int], actual) -> None:
        worker, number = at
        if worker.is_dead:
            return  # recovered already, as assumed
        hold, need = worker.open.pop(number)
        used = _used(actual(need.usd), actual(need.output_tokens))
        worker.write(hold, need, used)
        hold.end(used)

    @rule(
        numbers=st.lists(st.integers(0, WRITERS - 1), min_size=1, max_size=6),
        femto=st.integers(1, 1_500),
        part=st.integers(1, 100),
        minutes=st.integers(-40, 40),
    )
    def call(self, numbers: list[int], femto: int, part: int, minutes: int) -> None:
        """Attempts begin and end, one after the other, told as they end; then time passes, or the clock is set."""
        for number in numbers:
            if self._hold(self.workers[number], need_of(femto, 0, femto), is_lost=False):
                self._end((self.workers[number], self.count), lambda held: held * part // 100)
                self.sync(number, everything=True, lost=False, deaf=False)
        self.clock.at_ns += minutes * MINUTE_NS

    @rule(number=st.integers(0, WRITERS - 1), everything=st.booleans(), lost=st.booleans(), deaf=st.booleans())
    def sync(self, number: int, *, everything: bool, lost: bool, deaf: bool) -> None:
        """Tell the running totals; the message or its answer may be lost, and the message may arrive again later."""
        worker = self.workers[number]
        worker.purses.give_back_idle(self.clock.at_ns, everything=everything)
        told = worker.purses.list_untold()
        totals = [seat.total for seat in told]
        self.old.append((worker.name, totals))
        if lost:
            return
        answer = self.authority.report(worker.name, totals)
        if deaf:
            return
        for seat in told:
            seat.is_dirty = False
        for share in answer.shares:
            worker.purses.adopt(share, self.clock.at_ns)
        worker.purses.forget_past()

    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        """An old message arrives again; one of the dead is refused."""
        if self.old:
            name, totals = data.draw(st.sampled_from(self.old))
            if name in {worker.name for worker in self.dead}:
                with pytest.raises(WriterClosed):
                    self.authority.report(name, totals)
            else:
                self.authority.report(name, totals)

    @rule(number=st.integers(0, WRITERS - 1))
    def crash(self, number: int) -> None:
        """A worker dies: its open attempts are assumed, its journal is read, and another worker takes its place."""
        worker = self.workers[number]
        worker.is_dead = True
        for hold, need in worker.open.values():
            worker.write(hold, need, _used(need.usd, need.output_tokens))
        worker.open.clear()
        self.dead.append(worker)
        for _ in range(2):  # whoever closes it is killed and does it again
            self.authority.close_writer(worker.name, worker.totals)
        self.workers[number] = Worker(f"w{WRITERS + len(self.dead)}")
        self.refresh(number)

    @precondition(lambda self: not self.is_honest)
    @rule(data=st.data(), limit=st.integers(0, 20_000))
    def change_limit(self, data: st.DataObject, limit: int) -> None:
        """An operator changes a limit; what is under way may complete."""
        budget = data.draw(st.sampled_from(sorted(self.authority.budgets(), key=lambda one: one.id)))
        changed = [one if one.id != budget.id else _with_limit(one, limit) for one in self.authority.budgets()]
        self.authority.align(changed)
        self.limits[budget.id] = limit

    @rule(account=st.sampled_from([ORG, TEAM]))
    def reset(self, account: Account) -> None:
        """An operator begins new windows."""
        self.authority.reset(account)

    @rule(data=st.data(), amount=st.integers(-500, 500))
    def correct(self, data: st.DataObject, amount: int) -> None:
        """What was assumed turns out to be another amount."""
        balances = self._balances()
        balances = [one for one in balances if one.posted]
        if not balances:
            return
        one = data.draw(st.sampled_from(sorted(balances, key=lambda each: (each.budget, each.span.id))))
        amount = max(-abs(amount) if self.is_honest else amount, -one.posted)
        self.authority.correct(one.budget, one.span.id, amount, "known better")
        self.corrected[one.budget, one.span.id] += amount

    @rule(minutes=st.integers(-70, 200))
    def clock_moves(self, minutes: int) -> None:
        """Time passes, or the authority's clock is set."""
        self.clock.at_ns += minutes * MINUTE_NS

    @precondition(lambda self: not self.is_honest)
    @rule()
    def copy(self) -> None:
        """Somebody makes a copy of the ledger."""
        self.authority.close()
        shutil.copy(self.folder / "ledger.db", self.folder / "copy")
        self.copied = self.corrected.copy()

    @precondition(lambda self: self.copied is not None)
    @rule()
    def restore(self) -> None:
        """The copy is put in place while everybody runs; the dead are told of anew."""
        assert self.copied is not None
        self.authority.close()
        (self.folder / "ledger.db").unlink()
        shutil.copy(self.folder / "copy", self.folder / "ledger.db")
        self.corrected = self.copied.copy()
        for worker in self.dead:
            self.authority.close_writer(worker.name, worker.totals)
        self.authority.align(BUDGETS)
        self.limits = {budget.id: budget.limit for budget in self.authority.budgets()}
        for worker in self.workers:
            worker.purses.adopt_plan(Plan(self.authority.budgets()), self.clock.at_ns)

    @invariant()
    def holds_its_rules(self) -> None:
        """I2 and I3, of every budget in every window."""
        assert self.authority.check() == []

    @invariant()
    def never_beyond(self) -> None:
        """The promise: with honest providers and no lower limit, nothing is used beyond a hard cap, seen or unseen."""
        if not self.is_honest:
            return
        budgets = {budget.id: budget for budget in self.authority.budgets() if budget.hard}
        used = self._used()
        balances = self._balances()
        for one in balances:
            if one.budget in budgets:
                window = budgets[one.budget].window
                first_ns = counted_from(window, one.span.start_ns) if window.kind == "rolling" else one.span.start_ns
                counted = sum(
                    used[each.budget, each.span.id]
                    for each in balances
                    if (each.budget, each.generation) == (one.budget, one.generation)
                    and first_ns <= each.span.start_ns <= one.span.start_ns
                )
                assert counted <= self.limits[one.budget]

    def _used(self) -> Counter[tuple[str, str]]:
        """Return what was used of every span, with what is under way and corrections."""
        used = Counter(self.corrected)
        for worker in (*self.workers, *self.dead):
            used.update(worker.spent)
            for hold, need in worker.open.values():
                for claim in map(read_claim, hold.charged):
                    used[claim.budget, claim.span_id] += need.of(claim.unit)
        return used

    def teardown(self) -> None:
        """Everybody ends in order: what is posted is what the journals say, and nothing is held."""
        for worker in self.workers:
            for number in list(worker.open):
                self._end((worker, number), lambda held: held)
            worker.purses.give_back_idle(self.clock.at_ns, everything=True)
            told = [Total(*pair, amount, over=worker.over[pair]) for pair, amount in worker.spent.items()]
            self.authority.report(worker.name, [*told, *(seat.total for seat in worker.purses.list_untold())])
            self.authority.close_writer(worker.name, worker.totals)
        expected: Counter[tuple[str, str]] = Counter(self.corrected)
        for worker in (*self.workers, *self.dead):
            expected.update(worker.spent)
        balances = self._balances()
        posted = {(one.budget, one.span.id): one.posted for one in balances if one.posted}
        assert posted == {pair: amount for pair, amount in expected.items() if amount}
        assert [one for one in balances if one.held] == []
        assert self.authority.check() == []
        self.authority.close()
        shutil.rmtree(self.folder)


def _used(femto: int, tokens: int) -> Amounts:
    return need_of(femto, 0, tokens)._replace(concurrency=0)


def _with_limit(budget: Budget, limit: int) -> Budget:
    return Budget("", budget.account, budget.unit, budget.window, limit, hard=budget.hard, alerts=budget.alerts)


AuthorityMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestAuthority = AuthorityMachine.TestCase
