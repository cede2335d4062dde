"""Dead workers' slices come back: exactly what their journals say was spent, whatever is killed on the way."""

import os
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.books.ingest import IngestPlan, ingest_once
from farebox.books.sweep import DeathWatch, sweep, sweep_again
from farebox.budgets.account import Account
from farebox.budgets.authority import Granted, StoreUnavailable, Total, Want, WriterClosed
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.journal.writer import JournalWriter
from farebox.spend import Claim, spent_of, write_claim
from farebox.state.ledger_authority import open_authority
from tests.books.traffic import FakeClock, append, assumed, done, line, sent, unpriced

AT_ONCE = IngestPlan(keep_journal_days=0, keep_replaced_s=0)
HOLD = 10**12
STEPS = ("recover", "draft", "write", "publish", "commit", "committed", "remove-writer", "forget-writer")


class Killed(BaseException):
    """What a test kills a pass with."""


class Worker:
    """A writer with a slice of a budget, its journal, and what it should have spent."""

    def __init__(self, data_dir, authority, budget, name="w"):
        self.authority = authority
        self.journal = JournalWriter(data_dir / "journal", name, FakeClock(), 4096)
        self.name = self.journal.directory.name
        self.budget = budget
        granted = authority.grant(self.name, [Want(budget.id, HOLD * 50)])
        assert isinstance(granted, Granted)
        self.claim = write_claim(Claim(budget.id, granted.shares[0].span.id, budget.unit))
        self.spent = 0
        self.count = 0

    def begin(self):
        self.count += 1
        charges = {"hold_femto": HOLD, "hold_input": 10, "hold_output": 10, "charged": (self.claim,)}
        begun = sent(f"call_{self.name}_{self.count}", **charges)
        append(self.journal, begun)
        return begun

    def end(self, begun, ended):
        append(self.journal, ended)
        self.note(begun, ended)

    def note(self, begun, ended):
        self.spent += sum(amount for _, amount, _ in spent_of(begun, ended))

    def die(self):
        os.close(self.journal._lock)  # what the kernel does to a killed process


@pytest.fixture
def authority(tmp_path):
    opened = open_authority(tmp_path)
    yield opened
    assert opened.check() == []
    opened.close()


@pytest.fixture
def budget(authority):
    return authority.put(Budget("", Account("org"), "usd", read_window("lifetime"), HOLD * 1000))


@pytest.fixture
def worker(tmp_path, authority, budget):
    return Worker(tmp_path, authority, budget)


def spend(worker):
    """Every way an attempt can end; one is left open."""
    for ending in (done, unpriced, lambda begun: done(begun, line("output", 7, 1_000), charged_femto=HOLD // 2)):
        begun = worker.begin()
        worker.end(begun, ending(begun))
    never_sent = worker.begin()
    worker.end(never_sent, done(never_sent, outcome="unreachable", lines=(), meters={}, total_femto=0))
    open_one = worker.begin()
    worker.note(open_one, assumed(open_one))
    return open_one


def stands(authority):
    (status,) = authority.status()
    return status.posted, status.held


def test_what_a_dead_worker_spent_is_posted_and_the_rest_is_free(tmp_path, authority, worker):
    spend(worker)
    ingest_once(tmp_path, assumed)
    assert sweep(tmp_path, authority) == [], "a living worker keeps its slices"
    assert stands(authority)[1] >= HOLD * 50
    worker.die()
    ingest_once(tmp_path, assumed)
    (answer,) = sweep(tmp_path, authority)
    assert answer.shares[0].spent == worker.spent > 2 * HOLD
    assert stands(authority) == (worker.spent, 0)
    assert sweep(tmp_path, authority) == []


def test_an_old_copy_of_the_ledger_is_told_of_the_dead_again(tmp_path, authority, budget):
    known = Worker(tmp_path, authority, budget, "known")
    with (
        closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger,
        closing(sqlite3.connect(tmp_path / "copy")) as copy,
    ):
        ledger.backup(copy)
    workers = [known, Worker(tmp_path, authority, budget, "later")]
    for worker in workers:
        spend(worker)
        worker.die()
    ingest_once(tmp_path, assumed)
    sweep(tmp_path, authority)
    before = stands(authority)
    assert sweep_again(tmp_path, authority) == []
    authority.close()
    (tmp_path / "copy").rename(tmp_path / "ledger.db")
    assert stands(authority) != before
    sweep_again(tmp_path, authority)
    assert stands(authority) == before == (sum(worker.spent for worker in workers), 0)
    assert authority.writers() == []


def test_the_dead_do_not_speak_again(tmp_path, authority, worker):
    spend(worker)
    worker.die()
    ingest_once(tmp_path, assumed)
    sweep(tmp_path, authority)
    span_id = worker.claim.split("|")[1]
    with pytest.raises(WriterClosed):
        authority.report(worker.name, [Total(worker.budget.id, span_id, HOLD * 40)])
    with pytest.raises(WriterClosed):
        authority.grant(worker.name, [Want(worker.budget.id, 1)])
    assert stands(authority) == (worker.spent, 0)


def test_a_worker_that_told_part_of_it_is_not_charged_twice(tmp_path, authority, worker):
    begun = worker.begin()
    worker.end(begun, done(begun))
    authority.report(worker.name, [Total(worker.budget.id, worker.claim.split("|")[1], worker.spent, HOLD)])
    spend(worker)
    worker.die()
    ingest_once(tmp_path, assumed)
    sweep(tmp_path, authority)
    assert stands(authority) == (worker.spent, 0)


def test_a_worker_that_never_sent_anything_gives_its_slice_back(tmp_path, authority, worker):
    worker.die()
    ingest_once(tmp_path, assumed)
    sweep(tmp_path, authority)
    assert stands(authority) == (0, 0)


def test_an_overrun_in_a_dead_workers_journal_closes_the_account(tmp_path, authority, worker):
    begun = worker.begin()
    worker.end(begun, done(begun, line("output", 3 * HOLD, 1)))
    worker.die()
    ingest_once(tmp_path, assumed)
    (answer,) = sweep(tmp_path, authority)
    (status,) = authority.status()
    assert (status.posted, status.overdraft, status.closed) == (3 * HOLD, 2 * HOLD, True)
    assert [over.amount for over in answer.overruns] == [2 * HOLD]


def test_a_ledger_that_cannot_be_reached_is_told_later(tmp_path, authority, worker, monkeypatch):
    spend(worker)
    worker.die()
    ingest_once(tmp_path, assumed, AT_ONCE)
    ingest_once(tmp_path, assumed, AT_ONCE)
    assert not worker.journal.directory.exists(), "the journal is in the books and gone"
    with monkeypatch.context() as down:

        def refuse(*_):
            raise StoreUnavailable("down")

        down.setattr(authority, "close_writer", refuse)
        with pytest.raises(StoreUnavailable):
            sweep(tmp_path, authority)
    sweep(tmp_path, authority)
    assert stands(authority) == (worker.spent, 0)


def test_a_sweep_that_is_killed_after_telling_is_repeated(tmp_path, authority, worker, monkeypatch):
    spend(worker)
    worker.die()
    ingest_once(tmp_path, assumed)
    close_writer = authority.close_writer

    def tell_and_die(*arguments):
        close_writer(*arguments)
        raise Killed

    with monkeypatch.context() as killed:
        killed.setattr(authority, "close_writer", tell_and_die)
        with pytest.raises(Killed):
            sweep(tmp_path, authority)
    sweep(tmp_path, authority)
    assert stands(authority) == (worker.spent, 0)


@pytest.mark.parametrize(
    ("first", "second"), [*zip(STEPS, STEPS, strict=True), *zip(STEPS, STEPS[3:] + STEPS[:3], strict=True)]
)
def test_case_13_recovery_killed_twice_comes_to_the_same_state(tmp_path, authority, worker, first, second):
    spend(worker)
    worker.die()
    for step in (first, second):

        def kill(at, step=step):
            if at == step:
                raise Killed

        for _ in range(2):  # some steps are taken by the pass after the one that closes the writer
            try:
                ingest_once(tmp_path, assumed, AT_ONCE, fault=kill)
            except Killed:
                break
        sweep(tmp_path, authority)
    ingest_once(tmp_path, assumed, AT_ONCE)
    sweep(tmp_path, authority)
    assert stands(authority) == (worker.spent, 0)


@settings(max_examples=25, deadline=None)
@given(
    ends=st.lists(st.sampled_from(["ok", "over", "unpriced", "open", "void"]), max_size=40),
    told=st.integers(0, 40),
)
def test_any_traffic_comes_to_the_sum_of_what_was_used(tmp_path_factory, ends, told):
    folder = tmp_path_factory.mktemp("sweep")
    authority = open_authority(folder)
    budget = authority.put(Budget("", Account("org"), "usd", read_window("lifetime"), HOLD * 1000))
    worker = Worker(folder, authority, budget)
    for number, end in enumerate(ends):
        begun = worker.begin()
        if end == "open":
            worker.note(begun, assumed(begun))
        elif end == "void":
            worker.end(begun, done(begun, outcome="unreachable", lines=(), meters={}, total_femto=0))
        else:
            ended = {"ok": done, "unpriced": unpriced, "over": lambda of: done(of, line("output", HOLD + 5, 1))}[end]
            worker.end(begun, ended(begun))
        if number == told:
            ingest_once(folder, assumed)
            sweep(folder, authority)
    worker.die()
    ingest_once(folder, assumed)
    sweep(folder, authority)
    assert stands(authority) == (worker.spent, 0)
    assert authority.check() == []
    authority.close()


def test_a_death_is_noticed_once(tmp_path, authority, worker):
    watch = DeathWatch(tmp_path)
    assert not watch.has_new_dead()
    worker.die()
    assert watch.has_new_dead()
    assert not watch.has_new_dead()
