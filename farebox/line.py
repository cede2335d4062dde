"""The life of one call, top to bottom.

    plan the route -> for each attempt: wait for room there, prepare, reserve, put SENT on record, send, read, price,
    put DONE on record, settle -> answer the client

The order is the promise: what an attempt may cost is reserved and SENT on record before the first byte leaves, DONE is
on record before the client has its answer.
An attempt that fails before the client has seen anything is followed by another, as `routing.course` says; after the
first byte, never. A target that takes long to begin may get a rival (a hedge): who has something to say first answers,
and what the other costs is metered all the same.
"""

import asyncio
import contextlib
from collections.abc import Awaitable

import msgspec

from farebox.admit.admission import USUAL_OUTPUT_TOKENS, Admitted, open_admission
from farebox.attempt import Attempt, Claim, Failed
from farebox.call import Asked, Inbound
from farebox.config.models import Hedge
from farebox.dispatch import Made, prepare
from farebox.edges import Edges, Headers, Reply
from farebox.errors import CallError
from farebox.journal.record import Role
from farebox.meter import UNBILLED, tokens_of
from farebox.pace.pacer import Lane, Ticket
from farebox.route import Target
from farebox.routing.course import Course, Step
from farebox.routing.policy import refusal
from farebox.send import send
from farebox.wire.errors_of import render
from farebox.wire.json_body import encode

_UNPACED: contextlib.nullcontext[None] = contextlib.nullcontext()


def serve(edges: Edges, inbound: Inbound, asked: Asked, reply: Reply) -> Awaitable[None]:
    """Return what answers a call when it is awaited.

    Raises:
        CallError: here or when it is awaited, where no attempt could be made: no such model, no room in the journal or
            in a budget, or a field that no target can take.
    """
    return Call(edges, inbound, asked, reply).answer()


class Call:
    """One call on its way through its attempts."""

    __slots__ = (
        "_admission",
        "_course",
        "_failed",
        "_first",
        "_is_over",
        "_made",
        "_number",
        "_reason",
        "_used_femto",
        "asked",
        "edges",
        "inbound",
        "reply",
        "route",
    )

    def __init__(self, edges: Edges, inbound: Inbound, asked: Asked, reply: Reply) -> None:
        self.edges: Edges = edges
        self.inbound: Inbound = inbound
        self.asked: Asked = asked
        self.reply: Reply = reply
        self.route = edges.router.plan(asked, inbound, edges.clock.now_ns(), edges.clock.monotonic_ns())
        self._admission = open_admission(edges.treasury, edges.book, edges.clock, inbound, asked, edges.spending)
        self._course: Course | None = None  # of those that need one: most calls have one attempt
        self._number: int = 0
        self._made: int = 0
        self._used_femto: int = 0
        self._failed: Failed | None = None
        self._first: Target | None = None
        self._reason: str = ""
        self._is_over: bool = False

    async def answer(self) -> None:
        """Make attempts until one answers or none is left."""
        target = self.route.targets[0]
        step: Step | None
        if self.edges.health.of(target).blocked_until(self._now_ns()):
            step = self._make_course().first(self._now_ns())
        else:
            step = Step(target)
        try:
            while step is not None:
                step = await self._take(step)
        finally:
            if self._course is not None:
                self._course.end()
        if self._failed is not None:
            self._refuse(self._failed)

    def _make_course(self) -> Course:
        """Return the course of the call, which begins where its first attempt has been made or was not."""
        if self._course is None:
            self._course = Course(self.route.targets, self.edges.health, self.edges.retries, self.inbound.id)
            if self._first is not None:
                self._course.sent(self._first)
        return self._course

    async def _take(self, step: Step) -> Step | None:
        """Make an attempt; return what follows, or None where nothing does: `_failed` says whether it was answered."""
        if step.wait_s:
            await asyncio.sleep(step.wait_s)
        why = f"{step.role} after {self._reason}; {self.route.why}" if self._reason else ""
        try:
            if self._admission is None and self.edges.pacer.find(step.target.id) is None:  # as usual: no cap, no limit
                attempt = self._open_at_once(step.target, step.role, why)
            else:
                attempt = await self._open(step.target, step.role, why)
        except CallError as error:
            self._failed = self._failed or Failed(error, try_next=True)
            course = self._make_course()
            course.pass_over(step.target)
            return course.next(step.target, self._now_ns(), repeatable=False)
        route = self.route
        if step.role == "first":
            if route.shadows:
                self._cast_shadows()
            if route.hedge is not None and len(route.targets) > 1:
                return await self._race(attempt, route.hedge)
        failure = await send(attempt, self.reply)
        return self._end(attempt, failure)

    async def _open(self, target: Target, role: Role, why: str = "", *, open_femto: int = 0) -> Attempt:
        """Wait for room, reserve, and put an attempt on record.

        Args:
            target: where it goes.
            role: what it is made for.
            why: in words; "": as the route says.
            open_femto: what the call's attempts that are under way may cost, femtodollars.

        Raises:
            CallError: where it cannot be made; what was reserved is free again.
        """
        number = self._take_number()
        try:
            attempt_id = f"{self.inbound.id}.{number}"
            lane = self.edges.pacer.find(target.id)
            ticket = None if lane is None else await _pace(lane, self.asked)
            with ticket or _UNPACED:
                admitted = await self._admit(target, attempt_id, self._used_femto + open_femto)
            return self._put_sent(target, admitted, ticket, Made(number, role, why or self.route.why), open_femto)
        except CallError:
            self._give_back(number)
            raise

    def _open_at_once(self, target: Target, role: Role, why: str) -> Attempt:
        """Put an attempt on record that waits for nothing, and for which nothing is reserved.

        Raises:
            CallError: where it cannot be made.
        """
        number = self._take_number()
        try:
            admitted = Admitted(prepare(self.asked, target, f"{self.inbound.id}.{number}", self.inbound))
            return self._put_sent(target, admitted, None, Made(number, role, why or self.route.why), 0)
        except CallError:
            self._give_back(number)
            raise

    def _take_number(self) -> int:
        """Return the number of the next attempt, taken before anything is waited for: others may be made meanwhile."""
        self._number += 1
        return self._number

    def _give_back(self, number: int) -> None:
        if self._number == number:
            self._number -= 1

    def _put_sent(
        self, target: Target, admitted: Admitted, ticket: Ticket | None, made: Made, open_femto: int
    ) -> Attempt:
        attempt = Attempt(self.edges, self.inbound, self.asked, target, admitted, ticket)
        attempt.conversation = self.route.conversation
        attempt.put_sent(made)
        if self.route.running is not None:
            attempt.watch_cost(self.route.running, self._used_femto + open_femto)
        if made.role != "shadow":
            self._made += 1
            if self._course is not None:
                self._course.sent(target)
            else:
                self._first = target
        return attempt

    async def _admit(self, target: Target, attempt_id: str, used_femto: int) -> Admitted:
        if self._admission is None:
            return Admitted(prepare(self.asked, target, attempt_id, self.inbound))
        return await self._admission.admit(target, attempt_id, used_femto)

    def _end(self, attempt: Attempt, failure: Failed | None, *, rivals: bool = False) -> Step | None:
        """Put the end of an attempt on record, and return what follows it.

        Args:
            attempt: that ended.
            failure: how, or None where it answered or is on record.
            rivals: whether another attempt of the call is under way.
        """
        self._failed = failure
        if failure is None:
            return None
        step = None
        if failure.try_next and not rivals:
            step = self._make_course().next(attempt.target, self._now_ns(), repeatable=failure.repeatable)
        name = f"{attempt.target.provider.name}/{attempt.target.model}"
        self._reason = f"{name}: {attempt.status or failure.outcome}"
        attempt.put_done(failure.outcome, failure.priced, final=step is None and not rivals)
        self._used_femto += attempt.used_femto
        return None if step is None else self._reconsider(step)

    def _reconsider(self, step: Step) -> Step | None:
        """Return what follows where the policy about what the call has cost so far lets it.

        Raises:
            OverBudget: where that policy refuses it.
        """
        decision = self.route.running
        if decision is None or self._used_femto <= decision.limit_femto or self._is_over:
            return step
        self._is_over = True
        self._reason += f"; {decision.reason}"
        if decision.policy.then == "refuse":
            self._make_course().end()
            raise refusal(decision)
        if decision.policy.then == "use":
            self._make_course().end()
            router, clock = self.edges.router, self.edges.clock
            asked = msgspec.structs.replace(self.asked, model=decision.policy.use)
            self.route = router.plan(asked, self.inbound, clock.now_ns(), clock.monotonic_ns())
            self._course = Course(self.route.targets, self.edges.health, self.edges.retries, self.inbound.id)
            return self._course.first(self._now_ns())._replace(role="failover")
        return step

    async def _race(self, first: Attempt, hedge: Hedge) -> Step | None:
        """Send an attempt, and another beside it where it takes long to begin."""
        self.edges.health.count_call(self.asked.model, self._now_ns())
        claim = first.claim = Claim()
        tasks = {asyncio.create_task(send(first, self.reply)): first}
        claim.add(first, next(iter(tasks)))
        step: Step | None = None
        try:
            wait_s = _hedge_after_s(self.edges, first, hedge)
            await asyncio.wait(tasks, timeout=wait_s)
            if claim.winner is None and not next(iter(tasks)).done():
                rival = await self._open_rival(first, wait_s, hedge)
                if rival is not None:
                    rival.claim = claim
                    task = asyncio.create_task(send(rival, self.reply))
                    tasks[task] = rival
                    claim.add(rival, task)
            while tasks:
                done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    attempt = tasks.pop(task)
                    if task.cancelled():  # before it was sent
                        attempt.put_done("outpaced", UNBILLED, final=False)
                        continue
                    is_settled = claim.winner not in {None, attempt}
                    step = self._end(attempt, task.result(), rivals=bool(tasks) or is_settled)
                if claim.winner is not None and claim.winner not in tasks.values():
                    self._failed = None
                    return None
            return step
        finally:
            if claim.winner is None:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            for task, attempt in tasks.items():  # what hanging up does not make cheaper is read to its end
                self.edges.aside.begin(_outlive(task, attempt))

    async def _open_rival(self, first: Attempt, waited_s: float, hedge: Hedge) -> Attempt | None:
        """Return an attempt at another target, or None where none is well, or too many calls have one."""
        target = self._make_course().beside(first.target, self._now_ns())
        if target is None or not self.edges.health.may_hedge(self.asked.model, hedge.most_percent, self._now_ns()):
            return None
        first_name = f"{first.target.provider.name}/{first.target.model}"
        why = f"hedge: {first_name} had not begun after {waited_s * 1000:.0f} ms"
        try:
            return await self._open(target, "hedge", why, open_femto=first.outgoing.held.femto)
        except CallError:
            return None

    def _cast_shadows(self) -> None:
        """Send copies to the targets that are watched but answer nobody; not of a call that has a ceiling."""
        if self.inbound.headers.get("x-farebox-max-cost-usd") is not None:
            return
        for target in self.route.shadows:
            if self.edges.aside.has_room:
                self.edges.aside.begin(self._shadow(target))

    async def _shadow(self, target: Target) -> None:
        try:
            attempt = await self._open(target, "shadow", "shadow: its answer is thrown away")
        except CallError:
            return
        await _outlive(send(attempt, _Nobody()), attempt)

    def _refuse(self, failed: Failed) -> None:
        """Answer with the failure of the last attempt; where none was made, raise why."""
        if not self._made:
            raise failed.error
        status, data = failed.status, failed.body
        if not data:
            status, error_body = render(self.asked.dialect, failed.error, self.inbound.id)
            data = encode(error_body)
        self.reply.respond(status, [("content-type", "application/json"), *failed.headers], data)

    def _now_ns(self) -> int:
        return self.edges.clock.monotonic_ns()


async def _outlive(sending: Awaitable[Failed | None], attempt: Attempt) -> None:
    """Let an attempt end beside the calls, on record like every other."""
    failure = await sending
    if failure is not None:
        attempt.put_done(failure.outcome, failure.priced, final=False)


class _Nobody:
    """Takes the answer of a shadow."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Throw it away."""

    def start_stream(self, status: int, headers: Headers) -> None:
        """Throw it away."""

    async def send(self, data: bytes) -> None:
        """Throw it away."""

    def offer(self, data: bytes) -> bool:  # noqa: ARG002 - as `Reply` has it
        """Throw it away; more is welcome."""
        return True

    async def drained(self) -> None:
        """Return at once."""

    def when_gone(self, callback: object) -> None:
        """Nobody can go."""


def _hedge_after_s(edges: Edges, first: Attempt, hedge: Hedge) -> float:
    """Return how long the first attempt is given to begin."""
    usual_ns = edges.health.of(first.target).pulse.percentile_ns(hedge.after_percentile)
    wait_ms = hedge.at_most_ms if usual_ns is None else usual_ns / 1e6
    return max(hedge.at_least_ms, min(hedge.at_most_ms, wait_ms)) / 1000


async def _pace(lane: Lane, asked: Asked) -> Ticket | None:
    """Wait until the provider has room for an attempt.

    Raises:
        RateLimited: where that would take too long.
    """
    if asked.operation == "count_tokens":  # which has limits of its own
        return None
    output = USUAL_OUTPUT_TOKENS if asked.output_cap is None else asked.output_cap
    if asked.operation == "embeddings":
        output = 0
    return await lane.admit(tokens_of(sum(asked.parts.values())), output)
