"""A worker that was taken for dead and was not: what it still says is corrected in the ledger, exactly once."""

import contextlib
import sqlite3

import pytest

from farebox.books.ingest import ingest_once
from farebox.books.sweep import sweep
from farebox.budgets.account import Account
from farebox.budgets.authority import Granted, Want
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.journal.writer import JournalWriter
from farebox.spend import Claim, used_by, write_claim
from farebox.state.ledger_authority import open_authority
from tests.books.traffic import FakeClock, append, assumed, done, sent

HOLD = 10**12


@pytest.fixture
def authority(tmp_path):
    opened = open_authority(tmp_path)
    yield opened
    assert opened.check() == []
    opened.close()


@pytest.fixture
def zombie(tmp_path, authority):
    """A worker whose lock was lost, with an attempt that is under way, and what the attempt is charged to."""
    budget = authority.put(Budget("", Account("org"), "usd", read_window("lifetime"), HOLD * 100))
    writer = JournalWriter(tmp_path / "journal", "zombie", FakeClock())
    granted = authority.grant(writer.directory.name, [Want(budget.id, HOLD * 4)])
    assert isinstance(granted, Granted)
    charged = (write_claim(Claim(budget.id, granted.shares[0].span.id, "usd")),)
    begun = sent("call_1", hold_femto=HOLD, charged=charged)
    append(writer, begun)
    lock = writer.directory / "lock"
    lock.unlink()
    lock.touch()
    look(tmp_path, authority)
    yield writer, begun
    writer.close()


def look(data_dir, authority):
    ingest_once(data_dir, assumed)
    sweep(data_dir, authority)
    (status,) = authority.status()
    assert status.held == 0
    return status.posted


def corrections(authority):
    return [line.amount for line in authority.movements() if line.kind == "correction"]


def test_a_late_end_is_corrected_once(tmp_path, authority, zombie):
    writer, begun = zombie
    assert look(tmp_path, authority) == HOLD
    ended = done(begun)
    cost = used_by(begun, ended).of("usd")
    assert 0 < cost < HOLD
    append(writer, ended)
    for _ in range(3):
        assert look(tmp_path, authority) == cost
    assert corrections(authority) == [cost - HOLD]


def test_killed_between_the_ledger_and_the_manifest(tmp_path, authority, zombie):
    writer, begun = zombie
    append(writer, done(begun))
    posted = look(tmp_path, authority)
    with contextlib.closing(sqlite3.connect(tmp_path / "books" / "manifest.db", isolation_level=None)) as manifest:
        manifest.execute("DELETE FROM corrected")
    assert look(tmp_path, authority) == posted
    assert len(corrections(authority)) == 1


def test_what_it_sent_afterwards_is_posted(tmp_path, authority, zombie):
    writer, begun = zombie
    more = sent("call_2", hold_femto=HOLD, charged=begun.charged)
    append(writer, more)
    append(writer, done(more))
    cost = used_by(more, done(more)).of("usd")
    for _ in range(3):
        assert look(tmp_path, authority) == HOLD + cost
    assert corrections(authority) == []
