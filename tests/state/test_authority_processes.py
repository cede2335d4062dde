"""The authority under many processes at once, some of them killed. On SQLite and on Postgres."""

import multiprocessing
import random
from collections import Counter

import pytest

from farebox.budgets.account import Account
from farebox.budgets.authority import Authority, Granted, Total, Want
from farebox.state.ledger_authority import open_authority
from tests.state.asking import ORG, TEAM, figures, grant_one, put
from tests.state.crowd import die_inside, spend_some

ACCOUNTS = [
    ORG,
    TEAM,
    *(Account(kind, "x") for kind in ("project", "key", "user", "model", "provider")),
    Account("tag", "a=b"),
]
CROWD = multiprocessing.get_context("forkserver")
CROWD.set_forkserver_preload(["tests.state.crowd", "farebox.state.ledger_postgres"])


@pytest.fixture
def crowded(tmp_path, store_url):
    """An authority with the real clock, and eight budgets of which some run out."""
    authority = open_authority(tmp_path, store_url)
    for number, account in enumerate(ACCOUNTS):
        put(authority, account, limit=1_500 if number % 2 else 10**9, window="lifetime")
    yield authority
    authority.close()


def start(tmp_path, store_url, name, seed, rounds):
    told, tell = CROWD.Pipe(duplex=False)
    process = CROWD.Process(target=spend_some, args=(tmp_path, store_url, name, seed, rounds, tell))
    process.start()
    tell.close()
    return process, told


def listen(told, count=None) -> tuple[dict[tuple[str, str], int], int | None]:
    """Return the last totals of a process, and its refusals where it came to its end."""
    totals: dict[tuple[str, str], int] = {}
    while count is None or count > 0:
        try:
            said = told.recv()
        except EOFError:
            return totals, None
        if isinstance(said, int):
            return totals, said
        totals.update({(budget, span): total for budget, span, total in said})
        count = None if count is None else count - 1
    return totals, None


def assert_within(authority: Authority) -> None:
    """Look at all budgets at one instant."""
    assert authority.check() == []
    assert [one for one in authority.status() if one.posted + one.held > one.limit] == []


def deadlocks_at(url: str | None) -> int:
    """Return how often the server had to end a transaction because of others."""
    if url is None:
        return 0
    import psycopg  # noqa: PLC0415 -- an extra

    with psycopg.connect(url) as connection:
        found = connection.execute(
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        ).fetchone()
    assert found is not None
    count: int = found[0]
    return count


def posted(authority: Authority) -> dict[str, int]:
    return {one.budget.id: one.posted for one in authority.status()}


def test_six_processes_in_any_order_never_go_beyond_a_limit_and_lose_nothing(crowded, tmp_path, store_url) -> None:
    before = deadlocks_at(store_url)
    running = [start(tmp_path, store_url, f"w{seed}", seed, rounds=40) for seed in range(6)]
    spent: Counter[str] = Counter()
    refused = 0
    for process, told in running:
        assert_within(crowded)
        totals, refusals = listen(told)
        process.join()
        assert process.exitcode == 0
        assert refusals is not None
        refused += refusals
        spent.update({budget: total for (budget, _), total in totals.items()})
    assert refused > 0
    assert posted(crowded) == {budget.id: spent[budget.id] for budget in crowded.budgets()}
    assert [one for one in crowded.status() if one.held] == []
    assert_within(crowded)
    assert deadlocks_at(store_url) == before


def test_processes_killed_at_any_moment_leave_nothing_behind(crowded, tmp_path, store_url) -> None:
    chance = random.Random(7)
    spent: Counter[str] = Counter()
    running = {name: start(tmp_path, store_url, name, seed, 0) for seed, name in enumerate(("w0", "w1", "w2"))}
    for seed in range(3, 12):
        name = chance.choice(sorted(running))
        process, told = running.pop(name)
        before, _ = listen(told, count=chance.randint(1, 8))
        process.kill()
        process.join()
        totals = before | listen(told)[0]  # its journal, to the end
        if seed < 9:
            running[f"w{seed}"] = start(tmp_path, store_url, f"w{seed}", seed, 0)
        for _ in range(2):
            crowded.close_writer(name, [Total(*pair, total) for pair, total in totals.items()])
        spent.update({budget: total for (budget, _), total in totals.items()})
        assert_within(crowded)
    assert running == {}
    assert posted(crowded) == {budget.id: spent[budget.id] for budget in crowded.budgets()}
    assert [one for one in crowded.status() if one.held] == []
    assert crowded.writers() == []


@pytest.mark.parametrize("what", ["grant", "report", "close"])
def test_a_transaction_that_is_killed_before_its_commit_never_was(authority, tmp_path, store_url, what) -> None:
    org, team = put(authority), put(authority, TEAM)
    grant_one(authority, "w1", org, 300)
    before = figures(authority), figures(authority, TEAM), authority.movements()
    process = CROWD.Process(target=die_inside, args=(tmp_path, store_url, what, [Want(org.id, 10), Want(team.id, 10)]))
    process.start()
    process.join()
    assert process.exitcode == -9
    assert (figures(authority), figures(authority, TEAM), authority.movements()) == before
    assert isinstance(authority.grant("w2", [Want(org.id, 700), Want(team.id, 1_000)]), Granted)


@pytest.mark.parametrize("full", [ORG, TEAM, Account("key", "k"), Account("model", "m")], ids=str)
def test_case_09_where_one_level_is_full_nothing_is_taken_at_any(authority, full) -> None:
    """Case 9 of the reference on budgets: organisation, team, key and model, one of them full."""
    path = [ORG, TEAM, Account("key", "k"), Account("model", "m")]
    budgets = {account: put(authority, account, limit=100 if account == full else 1_000) for account in path}
    grant_one(authority, "w1", budgets[full], 95)
    before = authority.status()
    chance = random.Random(9)
    for _ in range(10):
        order = chance.sample(path, len(path))
        refused = authority.grant("w2", [Want(budgets[account].id, 10) for account in order])
        assert (refused.budget, refused.remaining) == (budgets[full].id, 5)
        assert authority.status() == before
