"""The ledger under any order of grants, holds, reports, crashes and late messages."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from farebox.budgets.ledger import Balance, Purse, Slice, correct, grant, report, reserve

WRITERS = 3
BUDGETS = 2  # on every path


class LedgerMachine(RuleBasedStateMachine):
    """Three writers charge two budgets; a provider bills what it likes; messages are lost, repeated and late."""

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.balances = [Balance(limit) for limit in (10_000, 4_000)]
        self.slices = {(w, b): Slice() for w in range(WRITERS) for b in range(BUDGETS)}
        self.purses = {(w, b): Purse() for w in range(WRITERS) for b in range(BUDGETS)}
        self.old: list[tuple[int, int, int, int]] = []  # reports that may arrive again
        self.billed = [0] * BUDGETS
        self.corrections = [0] * BUDGETS
        self.honest = True
        self.epoch = [0] * WRITERS

    @rule(target=holds, writer=st.integers(0, WRITERS - 1), amount=st.integers(0, 3_000), lost=st.booleans())
    def hold(self, writer: int, amount: int, *, lost: bool) -> object:
        """Reserve, asking the authority where the purse is short; its answer may be lost on the way."""
        purses = [self.purses[writer, b] for b in range(BUDGETS)]
        short = reserve([(purse, amount) for purse in purses])
        for b in short:
            need = amount - purses[b].free
            size = grant(self.balances[b], self.slices[writer, b], need, writers=WRITERS)
            assert size == 0 or size >= need
            if not lost:
                purses[b].granted = self.slices[writer, b].granted
        if short and (lost or reserve([(purse, amount) for purse in purses])):
            return multiple()
        return writer, self.epoch[writer], amount

    @rule(hold=consumes(holds), part=st.integers(0, 100))
    def settle(self, hold: tuple[int, int, int], part: int) -> None:
        """End a hold with at most what was held."""
        self._end(hold, hold[2] * part // 100)

    @rule(hold=consumes(holds), more=st.integers(1, 5_000))
    def overrun(self, hold: tuple[int, int, int], more: int) -> None:
        """End a hold with more than what was held: the provider ignored its cap."""
        self.honest = False
        self._end(hold, hold[2] + more)

    def _end(self, hold: tuple[int, int, int], actual: int) -> None:
        writer, epoch, amount = hold
        if epoch != self.epoch[writer]:
            return  # recovered already, as assumed
        for b in range(BUDGETS):
            self.purses[writer, b].end(amount, actual)
            self.billed[b] += actual

    @rule(writer=st.integers(0, WRITERS - 1), keeps=st.booleans(), lost=st.booleans())
    def sync(self, writer: int, *, keeps: bool, lost: bool) -> None:
        """Report the running totals; the message may be lost, and may arrive again later."""
        for b in range(BUDGETS):
            purse = self.purses[writer, b]
            if not keeps:
                purse.give_back()
            message = (writer, b, purse.spent, purse.released)
            self.old.append(message)
            if not lost:
                self._deliver(*message)
                purse.adopt(self.slices[writer, b].granted)

    @rule(data=st.data())
    def late(self, data: st.DataObject) -> None:
        """An old message arrives again."""
        if self.old:
            self._deliver(*data.draw(st.sampled_from(self.old)))

    def _deliver(self, writer: int, b: int, spent: int, released: int) -> None:
        report(self.balances[b], self.slices[writer, b], Slice(spent=spent, released=released))

    @rule(writer=st.integers(0, WRITERS - 1))
    def crash(self, writer: int) -> None:
        """A writer dies: its journal says what it spent, its open holds are assumed, the rest is given back."""
        self.epoch[writer] += 1
        for b in range(BUDGETS):
            purse, share = self.purses[writer, b], self.slices[writer, b]
            self.billed[b] += purse.held
            purse.end(purse.held, purse.held)
            for _ in range(2):  # recovery is killed and done again
                share.granted = max(share.granted, purse.granted)
                released = share.granted - purse.spent
                report(self.balances[b], share, Slice(spent=purse.spent, released=released, over=purse.over))
            self.purses[writer, b] = Purse(share.granted, share.released, share.spent)

    @rule(b=st.integers(0, BUDGETS - 1), limit=st.integers(0, 20_000))
    def change_limit(self, b: int, limit: int) -> None:
        """An operator changes a limit; what is under way may complete."""
        self.balances[b].limit = limit
        self.honest = False

    @rule(b=st.integers(0, BUDGETS - 1), amount=st.integers(-500, -1))
    def refund(self, b: int, amount: int) -> None:
        """An assumed cost turns out lower."""
        amount = max(amount, -self.balances[b].posted)
        correct(self.balances[b], amount)
        self.corrections[b] += amount

    @invariant()
    def conserved(self) -> None:
        """I3: held is what slices have left; posted is what writers spent, and corrections."""
        for b, balance in enumerate(self.balances):
            slices = [self.slices[w, b] for w in range(WRITERS)]
            assert balance.held == sum(max(0, share.left) for share in slices)
            assert balance.posted == sum(share.spent for share in slices) + self.corrections[b]

    @invariant()
    def within(self) -> None:
        """I2, and the promise: with honest providers nothing is ever spent beyond the limit, seen or unseen."""
        for b, balance in enumerate(self.balances):
            under_way = sum(self.purses[w, b].held for w in range(WRITERS))
            if self.honest:
                assert balance.overdraft == 0
                assert balance.posted + balance.held <= balance.limit
                assert self.billed[b] + self.corrections[b] + under_way <= balance.limit
            assert balance.posted - self.corrections[b] <= self.billed[b]

    @invariant()
    def purses_are_covered(self) -> None:
        """A writer never holds more than the authority counts for it."""
        for key, purse in self.purses.items():
            assert purse.held >= 0
            assert purse.granted <= self.slices[key].granted
            if self.honest:
                assert purse.free >= 0


LedgerMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLedger = LedgerMachine.TestCase


def test_near_the_limit_a_slice_is_one_hold() -> None:
    balance, share = Balance(1_000), Slice()
    assert [grant(balance, share, 100, writers=2) for _ in range(11)] == [100] * 10 + [0]


def test_far_from_the_limit_a_slice_is_a_part_of_what_is_left() -> None:
    balance, share = Balance(1_000_000), Slice()
    assert grant(balance, share, 10, writers=5) == 50_000


def test_a_rolling_window_counts_what_lies_elsewhere() -> None:
    balance, share = Balance(1_000), Slice()
    assert grant(balance, share, 100, writers=1, elsewhere=901) == 0
    assert grant(balance, share, 99, writers=1, elsewhere=901) == 99


def test_an_overrun_is_an_overdraft_and_closes_the_account() -> None:
    balance, share = Balance(1_000), Slice()
    grant(balance, share, 100, writers=1)
    assert report(balance, share, Slice(spent=350)) == 250
    assert (balance.posted, balance.held, balance.overdraft, balance.closed) == (350, 0, 250, True)
    assert grant(balance, share, 1, writers=1) == 0


def test_holds_are_taken_from_every_purse_or_from_none() -> None:
    purses = [Purse(granted=100), Purse(granted=50), Purse(granted=100)]
    assert reserve((purse, 60) for purse in purses) == [1]
    assert [purse.held for purse in purses] == [0, 0, 0]
    assert reserve((purse, 50) for purse in purses) == []
    assert [purse.free for purse in purses] == [50, 0, 50]
