"""One request to one provider, from SENT to DONE, and the ways it can fail.

An attempt ends exactly once: `put_done` writes the first end and ignores any other. What it costs depends on
how it failed: a refusal is free, an answer that cannot be read is assumed at its worst case.
"""

import asyncio
import contextlib
from typing import NoReturn

import msgspec

from farebox.admit.admission import Admitted
from farebox.call import Answered, Asked, Inbound
from farebox.dispatch import Made, Outgoing, record_sent
from farebox.edges import Edges, Headers
from farebox.errors import CallError, Unavailable
from farebox.health.vitals import Verdict, Vitals
from farebox.hold import charge_of_broken, charge_of_cut
from farebox.http1.client import Answer
from farebox.journal.record import Outcome, Sent
from farebox.meter import UNBILLED, Ended, Priced, end, price_meters, tokens_of
from farebox.money import usd_text
from farebox.pace.pacer import Ticket
from farebox.route import Target
from farebox.routing.policy import Decision
from farebox.spend import Amounts, used_by

_MANY = 1_000_000


class Failed(Exception):
    """An attempt failed before the client saw anything.

    Attributes:
        status: what the client is told if nothing better comes.
        headers: for the client.
        body: the error in the client's dialect, or b"" where ``error`` says it.
        error: the failure where Farebox, not the provider, speaks.
        try_next: whether another target may do better.
        repeatable: whether the same target may do better in a moment.
        outcome: how the attempt ended.
        priced: what it cost.
    """

    def __init__(
        self,
        error: CallError,
        *,
        try_next: bool,
        repeatable: bool = False,
        body: bytes = b"",
        headers: Headers | None = None,
    ) -> None:
        super().__init__(error.message)
        self.error: CallError = error
        self.status: int = error.status
        self.body: bytes = body
        self.headers: Headers = headers or []
        self.try_next: bool = try_next
        self.repeatable: bool = repeatable
        self.outcome: Outcome = "lost"
        self.priced: Priced = UNBILLED


class Claim:
    """Who answers the client, where several attempts are under way at once: the first that has something to say."""

    def __init__(self) -> None:
        self.winner: Attempt | None = None
        self._rivals: dict[Attempt, asyncio.Task[Failed | None]] = {}

    def add(self, attempt: "Attempt", task: "asyncio.Task[Failed | None]") -> None:
        """Let an attempt take part."""
        self._rivals[attempt] = task

    def take(self, attempt: "Attempt") -> bool:
        """Return whether this attempt answers; where it does, the others are cut, if that ends what they cost."""
        if self.winner is None:
            self.winner = attempt
            for rival, task in self._rivals.items():
                if rival is not attempt and rival.is_cut_short:
                    task.cancel()
        return self.winner is attempt


class Attempt:
    """One request to one provider, from SENT to DONE. Not shared."""

    __slots__ = (
        "_closed",
        "_probe",
        "_vitals",
        "admitted",
        "answered",
        "asked",
        "claim",
        "conversation",
        "edges",
        "first_token_ns",
        "inbound",
        "is_over",
        "most_tokens",
        "outgoing",
        "policy",
        "provider_request",
        "received_ns",
        "sent",
        "sent_ns",
        "status",
        "target",
        "ticket",
        "used_femto",
    )

    def __init__(
        self,
        edges: Edges,
        inbound: Inbound,
        asked: Asked,
        target: Target,
        admitted: Admitted,
        ticket: Ticket | None = None,
    ) -> None:
        self.edges: Edges = edges
        self.inbound: Inbound = inbound
        self.asked: Asked = asked
        self.target: Target = target
        self.admitted: Admitted = admitted
        self.ticket: Ticket | None = ticket
        self.outgoing: Outgoing = admitted.outgoing
        self.answered: Answered = Answered()
        self.sent: Sent
        self.sent_ns: int = 0
        self.received_ns: int = 0
        self.first_token_ns: int | None = None
        self.status: int = 0
        self.provider_request: str = ""
        self.used_femto: int = 0
        self.claim: Claim | None = None
        self.conversation: object = None
        self.policy: Decision | None = None
        self.most_tokens: int | None = None
        self.is_over: bool = False
        self._closed: bool = False
        self._vitals: Vitals
        self._probe: bool | None = None

    @property
    def is_cut_short(self) -> bool:
        """Whether it ends what an attempt costs to hang up: of a stream it may, of a whole answer it never does."""
        return self.asked.stream and not self.target.drains

    def count_content(self) -> int:
        """Return how much content its stream has had."""
        return self.answered.content_events

    def wins(self) -> bool:
        """Return whether this attempt answers the client; asked once, when it has something to say."""
        return self.claim is None or self.claim.take(self)

    def put_sent(self, made: Made) -> None:
        """Put the attempt on record; what was reserved for it is free again where that is not possible.

        Raises:
            Unavailable, TooLarge: where it is not; nothing may be sent then.
        """
        clock = self.edges.clock
        admitted = self.admitted
        at_ns = clock.now_ns() if admitted.at_ns is None else admitted.at_ns
        try:
            self.sent = record_sent(self.inbound, self.asked, self.target, self.outgoing, made, at_ns)
            self.edges.journal.append_sent(self.sent)
        except BaseException:
            if admitted.hold is not None:
                admitted.hold.end()
            if self.ticket is not None:
                self.ticket.void()
            raise
        self.sent_ns = clock.monotonic_ns()
        self._vitals = self.edges.health.of(self.target)
        self._probe = self._vitals.begin(self.sent_ns)

    def watch_cost(self, policy: Decision, used_femto: int) -> None:
        """Find out how many output tokens make the call cost more than a policy lets pass without a word.

        Args:
            policy: about what the call has cost so far.
            used_femto: what its attempts before have cost, or those beside it may, femtodollars.
        """
        book, sent = self.edges.book, self.sent
        meters = {"input": max(1, tokens_of(sum(sent.parts.values())))}
        base = price_meters(book, sent, self.answered, meters).total_femto
        more = price_meters(book, sent, self.answered, {**meters, "output": _MANY}).total_femto
        if base is not None and more is not None and more > base:
            self.policy = policy
            self.most_tokens = max(0, (policy.limit_femto - used_femto - base) * _MANY // (more - base))

    def note_over(self) -> None:
        """Note that the call has come to cost more than its policy lets pass without a word."""
        assert self.policy is not None, "only a policy says so"
        self.is_over = True
        name = self.policy.policy.name
        self.edges.alarm.ring(f"policy {name}", f"{self.policy.reason} (call {self.inbound.id})")

    def put_done(self, outcome: Outcome, priced: Priced, *, final: bool = True) -> None:
        """Put the attempt's end on record and settle what was reserved; only the first end counts."""
        if self._closed:
            return
        self._closed = True
        now_ns = self.edges.clock.monotonic_ns()
        if self._probe is not None:
            self._vitals.end("good" if outcome == "ok" else _verdict_of(outcome), now_ns, probe=self._probe)
            self._probe = None
        if self.is_over:
            priced = msgspec.structs.replace(priced, flags=(*priced.flags, "over_threshold"))
        if priced.unpriced:
            model = f"{self.sent.rate_provider}/{self.answered.model or self.sent.model}"
            self.edges.alarm.ring(model, f"{model} is served without a price: {priced.unpriced}; see farebox audit")
        clock = self.edges.clock
        total_ns = (self.received_ns or now_ns) - self.sent_ns
        ended = Ended(
            outcome=outcome,
            at_ns=clock.now_ns(),
            book=self.edges.book.hash,
            final=final and self.sent.role != "shadow",
            status=self.status,
            provider_request=self.provider_request,
            first_token_ns=self.first_token_ns,
            total_ns=total_ns,
            gateway_ns=self.sent_ns - self.inbound.received_ns + (now_ns - self.received_ns if self.received_ns else 0),
            charged_femto=self._bound_charge(outcome, priced, total_ns),
        )
        done = end(self.sent, priced, self.answered, ended)
        self.edges.journal.append_done(done)
        if self.admitted.hold is None and self.ticket is None and not self.sent.route:
            return
        used = used_by(self.sent, done)
        if self.admitted.hold is not None:
            self.used_femto = used.usd
            self.admitted.hold.end(used)
        if self.ticket is not None:
            self.ticket.end(*((used.input_tokens, used.output_tokens) if done.meters else ()))
        if self.sent.route:
            self._learn(outcome, used, now_ns, total_ns)
            cached = done.meters.get("cache_read", 0)
            if outcome == "ok" and self.conversation is not None:
                self.edges.router.affinity.learn(self.conversation, self.target.id, used.input_tokens, cached, now_ns)

    def fail(self, failure: Failed, outcome: Outcome, priced: Priced, verdict: Verdict | None = None) -> NoReturn:
        """Raise a failure; whoever catches it decides what follows, and then puts the end on record."""
        raise self.note_failure(failure, outcome, priced, verdict)

    def note_failure(self, failure: Failed, outcome: Outcome, priced: Priced, verdict: Verdict | None = None) -> Failed:
        """Return a failure with what its end is; the target's health has heard of it."""
        failure.outcome, failure.priced = outcome, priced
        if not self.received_ns:
            self.received_ns = self.edges.clock.monotonic_ns()
        self._tell_health(verdict or _verdict_of(outcome))
        return failure

    def _tell_health(self, verdict: Verdict) -> None:
        if self._probe is not None:
            self._vitals.end(verdict, self.edges.clock.monotonic_ns(), probe=self._probe)
            self._probe = None

    def _learn(self, outcome: Outcome, used: Amounts, now_ns: int, total_ns: int) -> None:
        """Take down how fast the target was, and how long answers to the model usually are."""
        pulse = self._vitals.pulse
        if outcome == "outpaced" and self.first_token_ns is None:
            pulse.learn_slower(now_ns, total_ns)
        elif outcome == "ok":
            self.edges.router.habits.learn(self.asked.model, used.output_tokens)
            if self.asked.stream and self.first_token_ns is not None:
                pulse.learn_stream(now_ns, self.first_token_ns, total_ns - self.first_token_ns, used.output_tokens)
            else:
                pulse.learn_whole(now_ns, total_ns, used.output_tokens)

    async def flush_sent(self) -> None:
        """Return when the attempt is on the disk, where that is asked for.

        Raises:
            Unavailable: where the disk failed; the attempt is ended, and nothing may be sent.
        """
        if self.edges.durable is not None:
            try:
                await self.edges.durable.flush()
            except Unavailable as error:
                self.answered.error = error.message
                self._tell_health("neutral")
                self.put_done("unreachable", UNBILLED)
                raise

    async def flush_done(self) -> None:
        """Return when the attempt's end is on the disk, where that is asked for; a disk that fails keeps no answer."""
        if self.edges.durable is not None:
            with contextlib.suppress(Unavailable):
                await self.edges.durable.flush()

    def _bound_charge(self, outcome: Outcome, priced: Priced, total_ns: int) -> int | None:
        """Return what budgets are charged for an attempt of which only a floor is known: the most it can have cost."""
        demand = self.admitted.demand
        if demand is None or "estimated" not in priced.flags:
            return None
        book, answered = self.edges.book, self.answered
        if outcome == "cut":
            seen = max(answered.content_events, tokens_of(answered.content_bytes))
            bound = charge_of_cut(book, demand, seen)
        else:
            bound = charge_of_broken(book, demand, self.target, answered.content_bytes, total_ns)
        return None if bound is None else max(bound, priced.total_femto or 0)

    def begin(self, answer: Answer) -> None:
        """Take down what the head of the answer says."""
        self.status = answer.status
        self.provider_request = answer.header("x-request-id") or answer.header("request-id") or ""
        if self.asked.operation != "count_tokens":  # which has limits of its own
            self.edges.pacer.learn(self.target.id, self.ticket, answer.status, answer.headers())

    def headers(self, answer: Answer | None, priced: Priced | None) -> Headers:
        """Return the headers of the client's answer."""
        inbound = self.inbound
        request_id = self.provider_request or inbound.id
        headers = [
            ("x-request-id" if self.asked.dialect == "openai" else "request-id", request_id),
            ("x-farebox-call", inbound.id),
            ("x-farebox-provider", self.target.provider.name),
            ("x-farebox-model", self.target.model),
            ("x-farebox-attempts", str(self.sent.number)),
        ]
        if self.sent.route:
            headers.append(("x-farebox-route", self.sent.route))
        if self.admitted.clamped is not None:
            headers.append(("x-farebox-clamped", f"max_tokens={self.admitted.clamped}"))
        if answer is not None:
            passes = self.target.profile.passes_headers
            headers += [pair for pair in answer.headers() if pair[0].startswith(passes)]
        if priced is not None:
            if priced.total_femto is not None:
                headers.append(("x-farebox-cost-usd", usd_text(priced.total_femto)))
            if priced.flags:
                headers.append(("x-farebox-flags", ",".join(priced.flags)))
        return headers


def _verdict_of(outcome: Outcome) -> Verdict:
    if outcome == "ok":
        return "good"
    return "bad" if outcome in {"error", "unreachable", "truncated", "garbage"} else "neutral"
