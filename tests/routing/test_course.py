"""What follows an attempt that failed: failover, repeat, last resort, nothing; budgets and waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farebox.config.policies import Breaker, Retries
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.errors import RateLimited
from farebox.health.vitals import Health
from farebox.route import Routes, Target
from farebox.routing.course import Course, Step

S = 1_000_000_000
NOW = 1_000 * S
NAMES = ("a", "b", "c")
ROUTES = Routes(Config(providers=tuple(Provider(name=name, kind="openai", api_key="sk-1") for name in NAMES)))


def targets(names: str = "abc") -> list[Target]:
    return [ROUTES.resolve(f"{name}/m")[0] for name in names]


def make_health(**settings: int) -> Health:
    return Health(Breaker(failures=2), Retries(**settings))


def make_course(health: Health, names: str = "abc", call: str = "call_1", **settings: int) -> Course:
    return Course(targets(names), health, Retries(**settings), call)


def fail(course: Course, health: Health, step: Step, now_ns: int = NOW, *, repeatable: bool = True) -> Step | None:
    vitals = health.of(step.target)
    probe = vitals.begin(now_ns)
    course.sent(step.target)
    vitals.end("bad", now_ns, probe=probe)
    return course.next(step.target, now_ns, repeatable=repeatable)


def names_of(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.target.provider.name, step.role) for step in steps]


def run(course: Course, health: Health, now_ns: int = NOW, *, repeatable: bool = True) -> list[Step]:
    steps = [course.first(now_ns)]
    while (step := fail(course, health, steps[-1], now_ns, repeatable=repeatable)) is not None:
        steps.append(step)
    course.end()
    return steps


def test_others_come_before_repeats() -> None:
    health = make_health()
    steps = run(make_course(health), health)
    assert names_of(steps) == [("a", "first"), ("b", "failover"), ("c", "failover"), ("a", "repeat")]
    assert [step.wait_s for step in steps[:3]] == [0, 0, 0]
    assert 0.1 <= steps[3].wait_s <= 0.2


def test_a_lonely_target_is_asked_again_after_growing_waits() -> None:
    health = Health(Breaker(failures=100), Retries())
    steps = run(make_course(health, "a"), health)
    assert names_of(steps) == [("a", "first"), ("a", "repeat"), ("a", "repeat")]
    assert 0.1 <= steps[1].wait_s <= 0.2 <= steps[2].wait_s <= 0.4


def test_what_would_fail_again_is_not_repeated() -> None:
    health = make_health()
    assert names_of(run(make_course(health, "ab"), health, repeatable=False)) == [("a", "first"), ("b", "failover")]


def test_a_lonely_target_is_repeated_even_where_it_fails_often() -> None:
    health = make_health()
    vitals = health.of(targets("a")[0])
    for _ in range(4):
        vitals.end("bad", NOW, probe=vitals.begin(NOW))
    assert len(run(make_course(health, "a"), health)) == 3


def test_attempts_are_bounded() -> None:
    health = make_health()
    assert len(run(make_course(health, attempts=2), health)) == 2


def test_a_target_that_fails_too_often_is_not_repeated_but_is_a_last_resort() -> None:
    health = make_health()
    for name in "ab":
        vitals = health.of(targets(name)[0])
        for _ in range(2):
            vitals.end("bad", NOW, probe=vitals.begin(NOW))
    steps = run(make_course(health, "ca"), health, repeatable=False)
    assert names_of(steps) == [("c", "first"), ("a", "failover")]
    assert names_of(run(make_course(health, "ab"), health)) == [("a", "first"), ("b", "failover")]


def test_the_first_that_nothing_blocks_is_the_first() -> None:
    health = make_health()
    health.of(targets("a")[0]).limit(NOW, 3 * S)
    assert make_course(health).first(NOW) == Step(targets("b")[0])


def test_where_all_ask_for_a_wait_the_shortest_is_waited_for() -> None:
    health = make_health()
    for name, wait_s in (("a", 5), ("b", 2), ("c", 8)):
        health.of(targets(name)[0]).limit(NOW, wait_s * S)
    step = make_course(health).first(NOW)
    assert step.target.provider.name == "b"
    assert 2.0 <= step.wait_s <= 3.0


def test_a_wait_that_is_too_long_is_the_client_s() -> None:
    health = make_health()
    health.of(targets("a")[0]).limit(NOW, 20 * S)
    with pytest.raises(RateLimited, match="takes no more") as caught:
        make_course(health, "a").first(NOW)
    assert caught.value.retry_after_s == 21


def test_a_repeat_waits_as_long_as_it_was_asked_to() -> None:
    health = make_health()
    course = make_course(health, "a")
    step = course.first(NOW)
    course.sent(step.target)
    vitals = health.of(step.target)
    vitals.end("neutral", NOW, probe=vitals.begin(NOW))
    vitals.limit(NOW, 4 * S)
    repeat = course.next(step.target, NOW, repeatable=True)
    assert repeat is not None
    assert 4.0 <= repeat.wait_s <= 4.25


def test_longer_than_a_call_may_wait_nothing_follows() -> None:
    health = make_health()
    course = make_course(health, "a")
    step = course.first(NOW)
    course.sent(step.target)
    health.of(step.target).limit(NOW, 11 * S)
    assert course.next(step.target, NOW, repeatable=True) is None


def test_failing_over_to_a_target_that_is_well_is_free() -> None:
    health = make_health(budget_percent=0, budget_least=0)
    assert names_of(run(make_course(health, "ab"), health)) == [("a", "first"), ("b", "failover")]


def test_repeats_are_bounded_over_all_calls() -> None:
    health = Health(Breaker(failures=10**6, least_attempts=10**6), Retries(budget_percent=20, budget_least=3))
    made = 0
    waiting = []
    for number in range(1000):
        course = make_course(health, "a", f"call_{number}")
        step = fail(course, health, course.first(NOW))
        made += 1
        if step is not None:
            waiting.append((course, step))
    for course, step in waiting:
        made += 1
        again = fail(course, health, step)
        if again is not None:
            made += 1
            course.sent(again.target)
        course.end()
    assert made <= 1203
    assert health.budget(targets("a")[0]).under_way == 0


def test_waits_differ_by_call() -> None:
    waits = set()
    for number in range(20):
        health = make_health()
        waits.add(run(make_course(health, "a", f"call_{number}"), health)[1].wait_s)
    assert len(waits) == 20


def test_a_rival_is_another_one_that_is_well() -> None:
    health = make_health()
    course = make_course(health, "ab")
    first = course.first(NOW)
    course.sent(first.target)
    rival = course.beside(first.target, NOW)
    assert rival is not None
    assert rival.provider.name == "b"
    vitals = health.of(rival)
    vitals.end("bad", NOW, probe=vitals.begin(NOW))
    assert course.beside(first.target, NOW) is None


def test_what_could_not_be_sent_is_passed_over() -> None:
    health = make_health()
    course = make_course(health, "ab")
    first = course.first(NOW)
    course.pass_over(first.target)
    assert course.next(first.target, NOW, repeatable=False) == Step(targets("b")[0], "failover")


@given(
    st.text("abc", min_size=1, max_size=3).filter(lambda t: len(set(t)) == len(t)),
    st.lists(st.tuples(st.booleans(), st.integers(0, 5 * S), st.none() | st.integers(0, 20 * S)), max_size=12),
    st.integers(1, 6),
)
def test_every_course_ends(names: str, failures: list[tuple[bool, int, int | None]], attempts: int) -> None:
    health = make_health()
    settings = Retries(attempts=attempts)
    course = Course(targets(names), health, settings, "call_1")
    now, made = NOW, 0
    try:
        step: Step | None = course.first(now)
        for repeatable, passed_ns, asked_ns in failures:
            if step is None:
                break
            assert step.wait_s <= settings.most_wait_s + 1
            now += passed_ns + int(step.wait_s * S)
            if asked_ns is not None:
                health.of(step.target).limit(now, asked_ns)
            step = fail(course, health, step, now, repeatable=repeatable)
            made += 1
    finally:
        course.end()
    assert made <= attempts
    assert all(health.budget(target).under_way == 0 for target in targets())
