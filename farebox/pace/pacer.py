"""Keeps calls below what their providers allow: an attempt that would be refused waits a moment, or is not made.

Waiting is in order of arrival, for each model of each provider, and bounded; whoever would wait longer is told at once,
so that another target can be tried. Nobody polls: the first in the line has a timer for when there is room.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from farebox.clock import Clock
from farebox.config.providers import Provider
from farebox.config.tables import Config, Pacing
from farebox.errors import RateLimited
from farebox.pace.bucket import Entry, Sliding, Told
from farebox.pace.headers import Unit, read_limits, read_retry_after

_NS = 1_000_000_000
_ANSWERED, _REFUSED = 200, 429
_FRESH_NS = 20_000_000  # how long what was said answers for the answers that follow: reading them costs time
_MOST_LANES = 1000  # models that are remembered
_LISTENED = 16  # of so many answers that say nothing about limits, the head of one is read
UNITS: tuple[Unit, ...] = ("requests", "tokens", "input_tokens", "output_tokens")
Need = dict[Unit, int]
_SPEAKERS = ("x-ratelimit-", "anthropic-ratelimit-")
_SMALL: Need = dict.fromkeys(UNITS, 1)
Id = tuple[str, str, str]  # of a target: provider, key, model
Headers = Iterable[tuple[str, str]]


class Timer(Protocol):
    """What `Later` returns."""

    def cancel(self) -> None:
        """Call nothing."""


Later = Callable[[float, Callable[[], None]], Timer]


class Shared:
    """What all models of one key of a provider have in common.

    Args:
        provider: its configuration; the limits are those of each key.
        workers: how many processes share its limits.

    Attributes:
        limits: by unit, of this worker.
        concurrency: most requests under way in this worker, or None.
        open: requests under way.
        lanes: its models.
    """

    def __init__(self, provider: Provider, workers: int) -> None:
        self.provider: Provider = provider
        limits = provider.limits
        given: dict[Unit, int | None] = {
            "requests": limits.requests_per_minute,
            "tokens": limits.tokens_per_minute,
            "input_tokens": limits.input_tokens_per_minute,
            "output_tokens": limits.output_tokens_per_minute,
        }
        self.limits: dict[Unit, Sliding] = {
            unit: Sliding(max(1, limit // workers)) for unit, limit in given.items() if limit is not None
        }
        self.concurrency: int | None = None if limits.concurrency is None else max(1, limits.concurrency // workers)
        self.open: int = 0
        self.lanes: list[Lane] = []

    @property
    def is_limited(self) -> bool:
        """Whether the configuration limits anything."""
        return bool(self.limits) or self.concurrency is not None


class Ticket:
    """What one attempt has taken of its provider's limits; it ends once.

    Attributes:
        mark: what its lane had taken in all when it was let go.
    """

    def __init__(self, lane: "Lane", need: Need, entries: dict[Unit, Entry], mark: Need) -> None:
        self._lane = lane
        self._need = need
        self._entries = entries
        self.mark: Need = mark
        self._is_open: bool = True

    def end(self, input_tokens: int | None = None, output_tokens: int | None = None) -> None:
        """Correct the estimates by what was used, where that is known, and let the next one go."""
        is_known = input_tokens is not None and output_tokens is not None
        self._end(_need(input_tokens or 0, output_tokens or 0) if is_known else self._need)

    def __enter__(self) -> None:
        """Begin to prepare the attempt: where that fails, all is given back."""

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.void()

    def void(self) -> None:
        """Give all back: nothing was sent."""
        self._end(dict.fromkeys(UNITS, 0))

    def _end(self, used: Mapping[Unit, int]) -> None:
        if not self._is_open:
            return
        self._is_open = False
        shared = self._lane.shared
        shared.open -= 1
        for unit, entry in self._entries.items():
            shared.limits[unit].correct(entry, used[unit] - self._need[unit])
        for lane in shared.lanes:
            lane.move()


class Lane:
    """The attempts at one model with one key of a provider."""

    def __init__(self, pacer: "Pacer", name: str, shared: Shared) -> None:
        self._pacer = pacer
        self._name = name
        self.shared: Shared = shared
        self._told: dict[Unit, Told] = {}
        self._taken: Need = dict.fromkeys(UNITS, 0)
        self._closed_until_ns: int = 0
        self._fresh_until_ns: int = 0
        self._waiting: deque[tuple[Need, asyncio.Future[Ticket]]] = deque()
        self._timer: Timer | None = None
        shared.lanes.append(self)

    async def admit(self, input_tokens: int, output_tokens: int) -> Ticket:
        """Return when the attempt may be sent.

        Args:
            input_tokens: estimate.
            output_tokens: its cap, or an estimate.

        Raises:
            RateLimited: where that would take too long.
        """
        need = _need(input_tokens, output_tokens)
        now_ns = self._pacer.clock.monotonic_ns()
        at_ns = self._free_at(need, now_ns)
        if at_ns is not None and at_ns - now_ns > self._pacer.wait_ns:
            raise self._refusal(at_ns - now_ns)
        if at_ns is not None and at_ns <= now_ns and not self._waiting:
            return self._take(need, now_ns)
        return await self._wait(need)

    def wait_ns(self) -> int:
        """Return how long a small attempt would wait for its turn."""
        now_ns = self._pacer.clock.monotonic_ns()
        at_ns = self._free_at(_SMALL, now_ns)
        if at_ns is None or self._waiting:
            return self._pacer.wait_ns
        return max(0, at_ns - now_ns)

    def learn(self, ticket: Ticket | None, status: int, headers: Headers) -> None:
        """Take in what the head of an answer says."""
        clock = self._pacer.clock
        now_ns = clock.monotonic_ns()
        if now_ns < self._fresh_until_ns and status == _ANSWERED and not self._waiting:
            return
        self._fresh_until_ns = now_ns + _FRESH_NS
        wall_ns = clock.now_ns()
        said = read_limits(headers, wall_ns)
        for unit, each in said.items():
            since = 0 if ticket is None else self._taken[unit] - ticket.mark[unit]
            told = self._told.get(unit)
            if told is None:
                told = self._told[unit] = Told()
            told.learn(each.limit, each.remaining, now_ns + each.reset_ns - wall_ns, since, now_ns)
        if status == _REFUSED and not said:
            wait_ns = read_retry_after(headers, wall_ns)
            if wait_ns is not None:
                self._closed_until_ns = max(self._closed_until_ns, now_ns + wait_ns)
        if self._waiting:
            self.move()

    def move(self) -> None:
        """Let those go who have room now, in order, and set the timer for the next one."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ns = self._pacer.clock.monotonic_ns()
        while self._waiting:
            need, turn = self._waiting[0]
            if not turn.done():  # else it has given up
                at_ns = self._free_at(need, now_ns)
                if at_ns is None:
                    return
                if at_ns > now_ns:
                    self._timer = self._pacer.later((at_ns - now_ns) / _NS, self.move)
                    return
                turn.set_result(self._take(need, now_ns))
            self._waiting.popleft()

    async def _wait(self, need: Need) -> Ticket:
        turn: asyncio.Future[Ticket] = asyncio.get_running_loop().create_future()

        def give_up() -> None:
            if not turn.done():
                turn.set_exception(self._refusal(_NS))
                self.move()

        deadline = self._pacer.later(self._pacer.wait_ns / _NS, give_up)
        self._waiting.append((need, turn))
        if self._timer is None:
            self.move()
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                turn.result().void()
            self.move()
            raise
        finally:
            deadline.cancel()

    def _free_at(self, need: Need, now_ns: int) -> int | None:
        """Return when there is room, or None where that depends on another attempt's end."""
        shared = self.shared
        if shared.concurrency is not None and shared.open >= shared.concurrency:
            return None
        at_ns = max(now_ns, self._closed_until_ns)
        for unit, limit in shared.limits.items():
            at_ns = max(at_ns, limit.free_at(need[unit], now_ns))
        for unit, told in self._told.items():
            at_ns = max(at_ns, told.free_at(need[unit], now_ns, self._pacer.workers))
        return at_ns

    def _take(self, need: Need, now_ns: int) -> Ticket:
        self.shared.open += 1
        taken = self._taken
        for unit in UNITS:
            taken[unit] += need[unit]
        for unit, told in self._told.items():
            told.take(need[unit])
        entries = {unit: limit.take(need[unit], now_ns) for unit, limit in self.shared.limits.items()}
        return Ticket(self, need, entries, dict(taken))

    def _refusal(self, wait_ns: int) -> RateLimited:
        wait_s = max(1, -(-wait_ns // _NS))
        return RateLimited(
            f"What the provider of {self._name} allows is used up for the moment. Try again in {wait_s} s.",
            code="provider_limit_reached",
            retry_after_s=wait_s,
        )


class Pacer:
    """The lanes of one worker.

    Args:
        config: the providers' limits and how long an attempt may wait.
        workers: how many processes share the limits.
        clock: the present.
        later: calls back after so many seconds: ``loop.call_later``.
    """

    def __init__(self, config: Config, workers: int, clock: Clock, later: Later) -> None:
        self.clock: Clock = clock
        self.later: Later = later
        self.workers: int = workers
        self.wait_ns: int = int(config.pacing.wait_s * _NS)
        self.pacing: Pacing = config.pacing
        self._limited: frozenset[str] = frozenset(
            each.name for each in config.providers if Shared(each, workers).is_limited
        )
        self._providers: dict[str, Provider] = {each.name: each for each in config.providers}
        self._shared: dict[tuple[str, str], Shared] = {}
        self._silent: dict[
            Id, int
        ] = {}  # of targets whose answers say nothing about limits: answers since one was read
        self.lanes: dict[Id, Lane] = {}

    def find(self, id_: Id) -> Lane | None:
        """Return the lane of a target, by its provider, key and model, or None where no limit is known."""
        lane = self.lanes.get(id_)
        if lane is None and id_[0] in self._limited:
            if len(self.lanes) >= _MOST_LANES:
                id_ = (*id_[:2], "*")  # clients may name any model: those that come late share a line
                lane = self.lanes.get(id_)
            return lane or self._open(id_)
        return lane

    def take_over(self, before: "Pacer") -> None:
        """Go on with the lanes of providers for which nothing changed."""
        if before.pacing != self.pacing or before.workers != self.workers:
            return
        for id_, lane in before.lanes.items():
            provider = self._providers.get(id_[0])
            if provider is not None and provider.limits == lane.shared.provider.limits:
                self.lanes[id_] = lane
                self._shared[id_[:2]] = lane.shared

    def wait_for(self, id_: Id) -> int:
        """Return how long a small attempt would wait at a target, nanoseconds."""
        lane = self.find(id_)
        return 0 if lane is None else lane.wait_ns()

    def learn(self, id_: Id, ticket: Ticket | None, status: int, headers: Headers) -> None:
        """Take in what the head of an answer says; an answer without a word about limits leaves no trace."""
        if not self.pacing.learn or status not in {_ANSWERED, _REFUSED}:
            return
        lane = self.lanes.get(id_)
        if lane is None:
            if status != _REFUSED and self._is_silent(id_):
                return
            if not _speaks_of_limits(status, headers) or len(self.lanes) >= _MOST_LANES:
                return
            lane = self._open(id_)
        lane.learn(ticket, status, headers)

    def _is_silent(self, id_: Id) -> bool:
        """Return whether an answer is passed over: those before it said nothing, and providers do or do not."""
        passed = self._silent.get(id_, 0)
        if passed == 0 and len(self._silent) >= _MOST_LANES:
            self._silent.clear()
        self._silent[id_] = (passed + 1) % _LISTENED
        return passed != 0

    def _open(self, id_: Id) -> Lane:
        shared = self._shared.get(id_[:2])
        if shared is None:
            shared = self._shared[id_[:2]] = Shared(self._providers[id_[0]], self.workers)
        lane = self.lanes[id_] = Lane(self, f"{id_[0]}/{id_[2]}", shared)
        return lane


def _need(input_tokens: int, output_tokens: int) -> Need:
    return {
        "requests": 1,
        "tokens": input_tokens + output_tokens,
        "input_tokens": input_tokens,
        "output_tokens": output_tokens,
    }


def _speaks_of_limits(status: int, headers: Headers) -> bool:
    for name, _ in headers:  # noqa: SIM110 - at every answer: a generator costs more than a loop
        if name.startswith(_SPEAKERS) or (status == _REFUSED and name == "retry-after"):
            return True
    return False
