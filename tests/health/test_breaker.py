"""Breakers, windows and retry budgets, with a clock of their own."""

from hypothesis import given
from hypothesis import strategies as st

from farebox.config.policies import Breaker as Settings
from farebox.config.policies import Retries
from farebox.health.breaker import Breaker
from farebox.health.retries import RetryBudget, backoff_s
from farebox.health.window import Window

S = 1_000_000_000
START = 1_000 * S


def fail(breaker: Breaker, now_ns: int) -> None:
    breaker.bad(now_ns, probe=breaker.begin(now_ns))


def succeed(breaker: Breaker, now_ns: int) -> None:
    breaker.good(now_ns, probe=breaker.begin(now_ns))


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(Settings(failures=3, open_s=2.0))
    for _ in range(2):
        fail(breaker, START)
    succeed(breaker, START)
    for _ in range(2):
        fail(breaker, START)
    assert breaker.blocked_until(START) == 0
    fail(breaker, START)
    assert breaker.blocked_until(START + 1) == START + 2 * S


def test_a_share_of_failures_opens_it() -> None:
    breaker = Breaker(Settings(failures=5, failure_percent=30.0, least_attempts=20))
    for number in range(19):
        (fail if number % 3 == 0 else succeed)(breaker, START + number)
    assert breaker.blocked_until(START) == 0
    fail(breaker, START + 20)
    assert breaker.blocked_until(START + 20)


def test_old_failures_do_not_count() -> None:
    breaker = Breaker(Settings(failures=100, least_attempts=20, window_s=10.0))
    for number in range(19):
        fail(breaker, START + number)
    succeed(breaker, START + 30 * S)
    fail(breaker, START + 30 * S)
    assert breaker.is_closed


def test_one_call_at_a_time_finds_out() -> None:
    breaker = Breaker(Settings(failures=1, open_s=2.0, probes=2))
    fail(breaker, START)
    later = START + 2 * S
    assert breaker.blocked_until(later) == 0
    assert breaker.begin(later)
    assert breaker.blocked_until(later) > later
    assert not breaker.begin(later)
    breaker.good(later, probe=True)
    assert breaker.begin(later)
    breaker.good(later, probe=True)
    assert breaker.is_closed
    assert breaker.blocked_until(later) == 0


def test_a_probe_that_fails_opens_it_twice_as_long() -> None:
    breaker = Breaker(Settings(failures=1, open_s=2.0, most_open_s=6.0))
    fail(breaker, START)
    at = START
    for open_s in (4, 6, 6):
        at = breaker.blocked_until(at)
        fail(breaker, at)
        assert breaker.blocked_until(at) == at + open_s * S


def test_a_probe_that_says_nothing_makes_room_for_the_next() -> None:
    breaker = Breaker(Settings(failures=1))
    fail(breaker, START)
    at = breaker.blocked_until(START)
    assert breaker.begin(at)
    breaker.neutral(probe=True)
    assert breaker.begin(at)


@given(st.lists(st.tuples(st.integers(0, 3 * S), st.booleans()), max_size=200))
def test_a_window_counts_what_lies_in_it(steps: list[tuple[int, bool]]) -> None:
    window = Window(10 * S)
    now, seen = START, []
    for step, bad in steps:
        now += step
        window.add(now, bad=bad)
        seen.append((now, bad))
    good, bad_count = window.totals(now)
    certain = [bad for at, bad in seen if at > now - 9 * S]
    possible = [bad for at, bad in seen if at > now - 10 * S]
    assert certain.count(False) <= good <= possible.count(False)
    assert certain.count(True) <= bad_count <= possible.count(True)


def test_retries_are_a_share_of_the_calls() -> None:
    budget = RetryBudget(Retries(budget_percent=20.0, budget_least=3))
    taken = 0
    while budget.take(1000 + taken, START):
        taken += 1
    assert taken == 200


def test_with_little_traffic_a_few_at_once_may_be_made() -> None:
    budget = RetryBudget(Retries(budget_least=3))
    assert [budget.take(1, START) for _ in range(5)] == [True, True, True, False, False]
    budget.give_back()
    assert budget.take(1, START)


@given(st.integers(0, 100), st.floats(0, 1))
def test_waits_grow_and_are_bounded(repeats: int, draw: float) -> None:
    settings = Retries(backoff_ms=200, most_backoff_ms=5000)
    wait = backoff_s(settings, repeats, draw)
    whole = min(5.0, 0.2 * 2 ** min(repeats, 20))
    assert whole / 2 <= wait <= whole
