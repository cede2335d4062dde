"""What happens to the authority where its store is lost, exchanged, locked, full of faults or silent."""

import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farebox.budgets.authority import Refused, StoreUnavailable, Total, Want
from farebox.budgets.window import read_window
from farebox.errors import ConfigError
from farebox.state import ledger_postgres
from farebox.state.ledger_authority import LedgerAuthority, open_authority
from farebox.state.ledger_report import take_totals
from farebox.state.ledger_schema import sqlite_tables
from farebox.state.ledger_spans import count
from farebox.state.ledger_sqlite import SqliteStore
from tests.state.asking import DAY_NS, HOUR_NS, TODAY, figures, grant_one, put, spend

# A file that is lost, exchanged or locked


def put_in_place(tmp_path, copy) -> None:
    """Do what the manual says: without the old journal of SQLite, and in one step."""
    for name in ("ledger.db-wal", "ledger.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    copy.rename(tmp_path / "ledger.db")


def make_copy(tmp_path):
    with (
        closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger,
        closing(sqlite3.connect(tmp_path / "copy.db")) as copy,
    ):
        ledger.backup(copy)
    return tmp_path / "copy.db"


def test_a_ledger_that_is_gone_is_not_begun_anew(tmp_path, clock) -> None:
    authority = open_authority(tmp_path, None, clock)
    budget = put(authority)
    copy = make_copy(tmp_path)
    (tmp_path / "ledger.db").unlink()
    for asked in (authority, open_authority(tmp_path, None, clock)):
        with pytest.raises(StoreUnavailable) as failed:
            asked.grant("w1", [Want(budget.id, 1)])
        assert "ledger.db is gone" in failed.value.detail
        assert f"remove {tmp_path / 'ledger.mark'}" in failed.value.detail
        assert not (tmp_path / "ledger.db").exists()
    put_in_place(tmp_path, copy)
    assert grant_one(authority, "w1", budget, 1)
    (tmp_path / "ledger.db").unlink()
    (tmp_path / "ledger.mark").unlink()
    assert authority.budgets() == []
    authority.close()


def test_another_ledger_in_its_place_is_refused(tmp_path, clock) -> None:
    authority = open_authority(tmp_path, None, clock)
    budget = put(authority)
    other = tmp_path / "other"
    other.mkdir()
    stranger = open_authority(other, None, clock)
    stranger.budgets()
    stranger.close()
    put_in_place(tmp_path, other / "ledger.db")
    with pytest.raises(StoreUnavailable) as failed:
        authority.report("w1", [Total(budget.id, TODAY, 1)])
    assert "another ledger is in its place" in failed.value.detail
    (tmp_path / "ledger.mark").unlink()
    assert authority.budgets() == []
    authority.close()


def test_an_old_copy_put_in_place_while_workers_run_is_healed_by_them(tmp_path, clock) -> None:
    authority, other = (open_authority(tmp_path, None, clock) for _ in range(2))
    budget = put(authority)
    spend(authority, "w1", budget, 100)
    spend(other, "w2", budget, 50)
    copy = make_copy(tmp_path)
    after = spend(authority, "w1", budget, 300, hold=400)
    grant_one(other, "w2", budget, 350)  # still under way
    put_in_place(tmp_path, copy)
    assert figures(authority) == (150, 0, 0, False)
    authority.report("w1", [Total(budget.id, TODAY, after.spent, after.released, after.granted)])
    other.report("w2", [Total(budget.id, TODAY, 50, 0, 400)])
    assert figures(other) == (450, 350, 0, False)
    assert isinstance(authority.grant("w3", [Want(budget.id, 201)]), Refused)
    assert grant_one(authority, "w3", budget, 200).granted == 200
    assert authority.check() == []
    for one in (authority, other):
        one.close()


def test_what_a_dead_worker_spent_since_an_old_copy_is_no_overrun(tmp_path, clock) -> None:
    authority = open_authority(tmp_path, None, clock)
    budget = put(authority)
    grant_one(authority, "w1", budget, 100)
    reported = authority.close_writer("w1", [Total(budget.id, TODAY, 600)])  # of which the copy granted 100
    assert reported.overruns == ()
    assert figures(authority) == (600, 0, 0, False)
    assert authority.check() == []
    authority.close()


@pytest.mark.parametrize("statement", ["DELETE FROM meta", "DELETE FROM meta WHERE name = 'version'"])
def test_a_ledger_without_its_head_is_refused(tmp_path, clock, statement) -> None:
    authority = open_authority(tmp_path, None, clock)
    put(authority)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        ledger.execute(statement)
        ledger.commit()
    with pytest.raises(StoreUnavailable):
        authority.pulse()
    authority.close()


def test_what_is_no_database_is_refused_and_healed(tmp_path, clock) -> None:
    authority = open_authority(tmp_path, None, clock)
    put(authority)
    copy = make_copy(tmp_path)
    authority.close()
    (tmp_path / "ledger.db").write_bytes(b"no ledger " * 500)
    with pytest.raises(StoreUnavailable) as failed:
        authority.status()
    assert "not a database" in failed.value.detail
    put_in_place(tmp_path, copy)
    assert len(authority.status()) == 1
    authority.close()


def test_a_newer_ledger_says_so(tmp_path, clock) -> None:
    authority = open_authority(tmp_path, None, clock)
    authority.budgets()
    authority.close()
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as ledger:
        ledger.execute("UPDATE meta SET value = 2 WHERE name = 'schema'")
        ledger.commit()
    with pytest.raises(ConfigError, match="made by a newer Farebox"):
        authority.budgets()


def test_a_ledger_that_others_keep_fails_in_time_for_all_that_wait(tmp_path, clock) -> None:
    store = SqliteStore(tmp_path / "ledger.db", clock, wait_s=0.3)
    authority = LedgerAuthority(store)
    budget = put(authority)
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        begun_s = time.monotonic()
        with ThreadPoolExecutor(12) as threads:
            asked = [threads.submit(authority.grant, "w1", [Want(budget.id, 1)]) for _ in range(12)]
        assert all(isinstance(one.exception(), StoreUnavailable) for one in asked)
        assert time.monotonic() - begun_s < 12 * 0.3 / 2  # and not 12 times as long
        other.execute("ROLLBACK")
    assert grant_one(authority, "w1", budget, 1)
    authority.close()


# The constraint in the tables


AMOUNTS = st.integers(0, 10**32 - 1)


@given(AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, AMOUNTS, st.booleans())
@example(10**31, 10**31 + 1, 0, 0, 0, False)
@example(10**15, 10**15 - 1, 2, 0, 0, False)
@example(0, 10**15, 10**15 - 1, 2 * 10**15 - 1, 0, False)
def test_the_constraint_adds_amounts_exactly(cap, posted, held, overdraft, carried, is_close) -> None:
    if is_close:  # at the limit, or one beyond
        held = max(0, cap + overdraft + carried - posted) + (posted & 1)
    with closing(sqlite3.connect(":memory:")) as ledger:
        for statement in sqlite_tables():
            ledger.execute(statement)
        values = [str(amount) for amount in (cap, posted, held, overdraft, carried)]
        insert = "INSERT INTO balances VALUES ('b', 's', 0, 0, 0, ?, ?, ?, ?, ?, 0, 0)"
        if posted + held <= cap + overdraft + carried:
            ledger.execute(insert, values)
        else:
            with pytest.raises(sqlite3.IntegrityError, match="within_the_limit"):
                ledger.execute(insert, values)


def test_a_balance_that_breaks_its_rule_cannot_be_written(authority) -> None:
    budget = put(authority)
    grant_one(authority, "w1", budget, 900)
    before = figures(authority)

    def overbook(rows) -> None:
        (balance,) = rows.all_balances()
        balance.held += 101
        rows.save_balances([balance])

    with pytest.raises(StoreUnavailable) as failed:
        authority._store.write(overbook)
    assert "within_the_limit" in failed.value.detail
    assert figures(authority) == before


# Clocks: case 8 of the reference on budgets


def test_case_08_a_day_of_25_hours_is_one_window_and_an_hour_that_comes_twice_is_two(authority, clock) -> None:
    day, hour = (put(authority, window=window, zone="Europe/Berlin") for window in ("day", "hour"))
    clock.at_ns = 1_792_879_200_000_000_000  # 2026-10-25T00:00 in Berlin; the clocks go back at 03:00
    first = grant_one(authority, "w1", day, 10)
    assert first.span.end_ns - first.span.start_ns == 25 * HOUR_NS
    hours = set()
    for _ in range(25):
        assert grant_one(authority, "w1", day, 1).span.id == "2026-10-25"
        hours.add(grant_one(authority, "w1", hour, 900).span.id)  # each has its own 1,000
        clock.at_ns += HOUR_NS
    assert len(hours) == 25
    assert grant_one(authority, "w1", day, 1).span.id == "2026-10-26"


@pytest.mark.parametrize("step_ns", [-HOUR_NS, HOUR_NS])
def test_case_08_a_clock_that_jumps_gives_nothing_away(authority, clock, step_ns) -> None:
    budget = put(authority, window="hour")
    first = grant_one(authority, "w1", budget, 1_000)
    clock.at_ns += step_ns
    if step_ns < 0:
        assert isinstance(authority.grant("w1", [Want(budget.id, 1)]), Refused)
    else:
        assert grant_one(authority, "w1", budget, 1_000).span.id != first.span.id
        clock.at_ns -= step_ns  # and is set right again
        assert isinstance(authority.grant("w2", [Want(budget.id, 1)]), Refused)
    authority.report("w1", [Total(budget.id, first.span.id, 700, 300)])  # late, and in the window of its hold
    held = 1_000 if step_ns > 0 else 0
    assert figures(authority)[:2] == ((0, held) if step_ns > 0 else (700, 0))


# Units whose holds are estimates, and what else came with them


@pytest.mark.parametrize("unit", ["tokens", "input_tokens", "output_tokens", "requests"])
def test_a_limit_whose_estimate_was_too_low_neither_closes_nor_is_overdrawn(authority, clock, unit) -> None:
    budget = put(authority, unit=unit, window="minute", limit=100)
    share = grant_one(authority, "w1", budget, 60)
    reported = authority.report("w1", [Total(budget.id, share.span.id, 130, over=70)])
    assert reported.overruns == ()
    assert [line.kind for line in authority.movements()] == ["limit"]
    assert authority.check() == []
    refused = authority.grant("w2", [Want(budget.id, 1)])
    assert (refused.remaining, refused.closed) == (0, False)
    clock.at_ns += 60 * 10**9
    assert grant_one(authority, "w2", budget, 100).granted == 100


def test_a_ceiling_per_call_and_a_stated_amount_are_kept_and_changed(authority) -> None:
    budget = put(authority, call_limit=0, stated="900 EUR at 1.1 USD of 2026-11-24")
    assert authority.budgets() == [budget]
    assert (budget.call_limit, budget.stated) == (0, "900 EUR at 1.1 USD of 2026-11-24")
    version = authority.version()
    changed = put(authority, call_limit=10**31)
    assert (changed.id, changed.call_limit, changed.stated) == (budget.id, 10**31, "")
    assert authority.version() != version
    assert put(authority).call_limit is None
    with pytest.raises(ConfigError, match="limit per call"):
        put(authority, call_limit=-1)


def test_an_overrun_that_was_told_of_too_low_is_an_overdraft_all_the_same(authority) -> None:
    budget = put(authority, limit=100)
    grant_one(authority, "w1", budget, 100)
    authority.report("w1", [Total(budget.id, TODAY, 130, over=30)])
    authority.put(budget)
    authority.report("w1", [Total(budget.id, TODAY, 145, over=30)])
    assert figures(authority) == (145, 0, 45, True)


def test_a_correction_can_fill_a_window_that_rolls(authority, clock) -> None:
    budget = put(authority, window="rolling:1h", limit=100)
    first = spend(authority, "w1", budget, 50).span.id
    clock.at_ns += HOUR_NS // 2
    spend(authority, "w1", budget, 50)
    authority.correct(budget.id, first, 20, "the invoice says so")
    assert figures(authority)[0] == 120
    assert authority.check() == []
    assert isinstance(authority.grant("w2", [Want(budget.id, 1)]), Refused)


def test_more_spans_than_one_transaction_takes_are_forgotten(authority, clock) -> None:
    budget = put(authority, unit="requests", window="minute")

    def fill(rows) -> None:
        (row,) = rows.lock([budget.id]).values()
        for _ in range(520):
            rows.now_ns += 60 * 10**9
            rows.save_balances([count(rows, [row])[budget.id].current])

    authority._store.write(fill)
    clock.at_ns += DAY_NS
    assert authority.forget(money_before_ns=0, limits_before_ns=clock.at_ns) == 520


# Postgres that is absent, restarted, silent, or lost


@pytest.fixture
def url(postgres) -> str:
    import psycopg  # noqa: PLC0415 -- an extra

    with psycopg.connect(postgres.url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA IF EXISTS farebox CASCADE")
    address: str = postgres.url
    return address


@pytest.fixture
def reached(url, tmp_path) -> Iterator[Callable[..., Any]]:
    """Opens the ledger in Postgres, by the server's clock; all are closed in the end."""
    authorities = []

    def open_one(address: str = url) -> Any:
        authorities.append(open_authority(tmp_path, address))
        return authorities[-1]

    yield open_one
    for authority in authorities:
        authority.close()


def test_a_server_that_is_not_there_is_asked_again(tmp_path) -> None:
    authority = open_authority(tmp_path, f"postgresql://postgres@/postgres?host={tmp_path}")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            authority.pulse()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_comes_back_is_used_again(postgres, reached, how) -> None:
    authority = reached()
    budget = put(authority, window="lifetime")
    held = grant_one(authority, "w1", budget, 300).granted
    postgres.stop(how)
    try:
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                authority.grant("w1", [Want(budget.id, 1)])
    finally:
        postgres.start()
    assert figures(authority)[2:] == (0, False)
    postgres.stop(how)
    postgres.start()
    assert grant_one(authority, "w1", budget, 1).granted > held  # the broken connection is not even noticed


def test_a_server_that_is_silent_is_not_waited_for(reached, monkeypatch) -> None:
    monkeypatch.setattr(ledger_postgres, "_ANSWER_S", 0.3)
    authority = reached()
    budget = put(authority)
    session = authority._store._connection.info.backend_pid
    os.kill(session, signal.SIGSTOP)
    try:
        begun_s = time.monotonic()
        with ThreadPoolExecutor(6) as threads:
            asked = [threads.submit(authority.pulse) for _ in range(6)]
        assert all(isinstance(one.exception(), StoreUnavailable) for one in asked)
        assert time.monotonic() - begun_s < 2.0
        assert grant_one(authority, "w1", budget, 1)  # over a new connection
    finally:
        os.kill(session, signal.SIGCONT)


def test_a_connection_lost_before_the_commit_has_done_nothing_and_is_told_again(reached, url, tmp_path) -> None:
    import psycopg  # noqa: PLC0415 -- an extra

    authority = reached()
    budget = put(authority, window="lifetime")
    grant_one(authority, "w1", budget, 500)
    store = authority._store

    def lose(rows) -> None:
        take_totals(rows, "w1", [Total(budget.id, "lifetime", 200)])
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 1000)", (store._connection.info.backend_pid,))

    with pytest.raises(StoreUnavailable):
        store.write(lose)
    assert figures(authority) == (0, 500, 0, False)
    for _ in range(2):  # as after a commit of which nobody heard
        authority.report("w1", [Total(budget.id, "lifetime", 200)])
    assert figures(authority) == (200, 300, 0, False)


def test_transactions_that_collide_are_done_again(reached) -> None:
    import psycopg  # noqa: PLC0415 -- an extra

    authority = reached()
    put(authority)
    collisions = [psycopg.errors.DeadlockDetected(), psycopg.errors.SerializationFailure()]

    def collide(rows) -> int:
        if collisions:
            raise collisions.pop()
        found: int = rows.version()
        return found

    assert authority._store.write(collide) == authority.version()


def test_a_schema_that_was_dropped_is_lost_and_not_begun_anew(reached, url, tmp_path) -> None:
    import psycopg  # noqa: PLC0415 -- an extra

    authority = reached()
    put(authority)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        connection.execute("DROP SCHEMA farebox CASCADE")
    for _ in range(2):
        with pytest.raises(StoreUnavailable):
            authority.budgets()
    with pytest.raises(StoreUnavailable) as failed:
        reached().budgets()
    assert "has no tables" in failed.value.detail
    (mark,) = tmp_path.glob("ledger-*.mark")
    mark.unlink()
    assert authority.budgets() == []


def test_a_role_that_may_not_make_tables_uses_those_that_are_there(reached, url, tmp_path) -> None:
    import psycopg  # noqa: PLC0415 -- an extra

    reached().budgets()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS clerk")
        connection.execute("CREATE ROLE clerk LOGIN")
        connection.execute("GRANT USAGE ON SCHEMA farebox TO clerk")
        connection.execute("GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA farebox TO clerk")
    authority = reached(url.replace("postgres@", "clerk@"))
    assert spend(authority, "w1", put(authority, window="lifetime"), 7).spent == 7
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP OWNED BY clerk")
        connection.execute("DROP ROLE clerk")


def test_a_url_that_is_none_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="no URL of a Postgres database"):
        open_authority(tmp_path, "postgresql://host/db?no_such_option=1")


def test_windows_are_those_of_the_server(reached) -> None:
    authority = reached()
    share = grant_one(authority, "w1", put(authority, window="minute"), 1)
    assert abs(share.span.start_ns - time.time_ns()) < 2 * 60 * 10**9
    assert read_window("minute") == authority.budgets()[0].window
