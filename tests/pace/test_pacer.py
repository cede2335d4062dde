"""Attempts wait for room at their provider in order, for a bounded time, under a clock that the tests move."""

import asyncio
from collections.abc import Callable

import pytest

from farebox.config.providers import Provider, ProviderLimits
from farebox.config.tables import Config, Pacing
from farebox.errors import RateLimited
from farebox.pace.pacer import Lane, Pacer

S = 1_000_000_000
WALL_NS = 1_795_478_400 * S


class Timers:
    """A clock and its timers; nothing happens until `advance`."""

    def __init__(self) -> None:
        self.at_ns = 0
        self._timers: list[Timer] = []

    def now_ns(self) -> int:
        return WALL_NS + self.at_ns

    def monotonic_ns(self) -> int:
        return self.at_ns

    def later(self, delay_s: float, callback: Callable[[], None]) -> "Timer":
        timer = Timer(self.at_ns + round(delay_s * S), callback)
        self._timers.append(timer)
        return timer

    async def advance(self, to_s: float) -> None:
        until_ns = round(to_s * S)
        while True:
            await settle()
            due = [timer for timer in self._timers if timer.callback and timer.at_ns <= until_ns]
            if not due:
                break
            first = min(due, key=lambda timer: timer.at_ns)
            self.at_ns = max(self.at_ns, first.at_ns)
            callback, first.callback = first.callback, None
            if callback is not None:
                callback()
        self.at_ns = until_ns
        await settle()


class Timer:
    def __init__(self, at_ns: int, callback: Callable[[], None]) -> None:
        self.at_ns = at_ns
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def make(timers: Timers, *, workers: int = 1, wait_s: float = 2.0, learn: bool = True, **limits: int) -> Pacer:
    provider = Provider(name="p", kind="openai", limits=ProviderLimits(**limits))
    return Pacer(
        Config(providers=(provider,), pacing=Pacing(wait_s=wait_s, learn=learn)), workers, timers, timers.later
    )


def lane_of(pacer: Pacer, model: str = "m") -> Lane:
    lane = pacer.find(("p", "", model))
    assert lane is not None
    return lane


def said(limit: int, remaining: int, reset: str, unit: str = "requests") -> list[tuple[str, str]]:
    return [
        (f"x-ratelimit-limit-{unit}", str(limit)),
        (f"x-ratelimit-remaining-{unit}", str(remaining)),
        (f"x-ratelimit-reset-{unit}", reset),
    ]


@pytest.fixture
def timers() -> Timers:
    return Timers()


def run(test):
    asyncio.run(test)


def test_without_any_limit_there_is_no_lane(timers):
    pacer = make(timers)
    assert pacer.find(("p", "", "m")) is None
    pacer.learn(("p", "", "m"), None, 200, [("content-type", "application/json")])
    assert pacer.find(("p", "", "m")) is None


def test_room_costs_no_waiting_and_none_within_reach_is_said_at_once(timers):
    async def check():
        lane = lane_of(make(timers, requests_per_minute=2))
        await lane.admit(1, 1)
        await lane.admit(1, 1)
        with pytest.raises(RateLimited) as refused:
            await lane.admit(1, 1)
        assert refused.value.retry_after_s == 61
        assert refused.value.code == "provider_limit_reached"
        assert "p/m" in refused.value.message

    run(check())


def test_who_waits_goes_in_order(timers):
    async def check():
        lane = lane_of(make(timers, requests_per_minute=2, wait_s=70))
        await lane.admit(1, 1)
        timers.at_ns = 5 * S
        await lane.admit(1, 1)
        went: list[int] = []

        async def go(number: int) -> None:
            await lane.admit(1, 1)
            went.append(number)

        tasks = [asyncio.create_task(go(number)) for number in range(2)]
        await timers.advance(60)
        assert went == []
        await timers.advance(61)
        assert went == [0]
        await timers.advance(66)
        assert went == [0, 1]
        await asyncio.gather(*tasks)

    run(check())


def test_nobody_overtakes_whoever_waits(timers):
    async def check():
        lane = lane_of(make(timers, tokens_per_minute=100, wait_s=70))
        await lane.admit(50, 0)
        large = asyncio.create_task(lane.admit(90, 0))
        await settle()
        small = asyncio.create_task(lane.admit(1, 0))
        await settle()
        assert not large.done()
        assert not small.done(), "there would be room, but it came later"
        await timers.advance(61)
        assert large.done()
        assert small.done()

    run(check())


def test_waiting_ends_in_a_refusal_when_it_has_lasted_too_long(timers):
    async def check():
        lane = lane_of(make(timers, concurrency=1))
        await lane.admit(1, 1)
        waiting = asyncio.create_task(lane.admit(1, 1))
        await timers.advance(1.9)
        assert not waiting.done()
        await timers.advance(2)
        with pytest.raises(RateLimited):
            await waiting

    run(check())


def test_the_end_of_one_lets_the_next_go_whatever_its_model(timers):
    async def check():
        pacer = make(timers, concurrency=1)
        ticket = await lane_of(pacer, "a").admit(1, 1)
        waiting = asyncio.create_task(lane_of(pacer, "b").admit(1, 1))
        await settle()
        assert not waiting.done()
        ticket.end(1, 1)
        ticket.end(1, 1)
        second = await waiting
        third = asyncio.create_task(lane_of(pacer, "a").admit(1, 1))
        await settle()
        assert not third.done(), "an end counts once"
        second.void()
        await third

    run(check())


def test_a_client_that_goes_away_takes_nothing_along(timers):
    async def check():
        lane = lane_of(make(timers, concurrency=1))
        first = await lane.admit(1, 1)
        gone = asyncio.create_task(lane.admit(1, 1))
        patient = asyncio.create_task(lane.admit(1, 1))
        await settle()
        first.end()
        gone.cancel()  # after its turn has come, before it knows
        await settle()
        assert gone.cancelled()
        await patient

    run(check())


def test_estimates_are_corrected(timers):
    async def check():
        lane = lane_of(make(timers, output_tokens_per_minute=1000))
        ticket = await lane.admit(10, 1000)
        with pytest.raises(RateLimited):
            await lane.admit(10, 100)
        ticket.end(10, 200)
        await lane.admit(10, 800)

    run(check())


def test_limits_are_shared_by_the_workers(timers):
    async def check():
        lane = lane_of(make(timers, workers=4, requests_per_minute=10))
        await lane.admit(1, 1)
        await lane.admit(1, 1)
        with pytest.raises(RateLimited):
            await lane.admit(1, 1)

    run(check())


def test_what_an_answer_says_is_kept_to(timers):
    async def check():
        pacer = make(timers)
        pacer.learn(("p", "", "m"), None, 200, said(100, 1, "59.4s"))
        lane = lane_of(pacer)
        ticket = await lane.admit(1, 1)
        waiting = asyncio.create_task(lane.admit(1, 1))
        await settle()
        assert not waiting.done()
        pacer.learn(("p", "", "m"), ticket, 200, said(100, 50, "30s"))
        await settle()
        assert waiting.done(), "news lets go at once"

    run(check())


def test_a_refusal_that_says_when_to_come_again_is_believed(timers):
    async def check():
        pacer = make(timers)
        pacer.learn(("p", "", "m"), None, 429, [("retry-after", "1")])
        waiting = asyncio.create_task(lane_of(pacer, "m").admit(1, 1))
        await timers.advance(0.9)
        assert not waiting.done()
        await timers.advance(1)
        await waiting

    run(check())


def test_other_failures_and_deaf_pacers_learn_nothing(timers):
    pacer = make(timers)
    pacer.learn(("p", "", "m"), None, 404, said(1, 0, "60s"))
    assert pacer.find(("p", "", "m")) is None
    deaf = make(timers, learn=False)
    deaf.learn(("p", "", "m"), None, 200, said(1, 0, "60s"))
    assert deaf.find(("p", "", "m")) is None


def test_models_that_clients_make_up_do_not_add_up(timers):
    pacer = make(timers, requests_per_minute=5)
    for number in range(1000):
        pacer.find(("p", "", f"m{number}"))
    assert pacer.find(("p", "", "one more")) is pacer.find(("p", "", "and another"))
