"""One request to one provider, from SENT to DONE, and the ways it can fail.

An attempt ends exactly once: `put_done` writes the first end and ignores any other. What it costs depends on
how it failed: a refusal is free, an answer that cannot be read is assumed at its worst case.
"""

import contextlib
from collections.abc import Callable
from typing import NoReturn, Protocol

import msgspec

from farebox.admit.admission import Admitted
from farebox.alarm import Alarm
from farebox.call import Answered, Asked, Inbound
from farebox.clock import Clock
from farebox.config.tables import Limits, Spending
from farebox.dispatch import Outgoing, record_sent
from farebox.errors import CallError, Unavailable, UpstreamFailed
from farebox.hold import charge_of_broken, charge_of_cut
from farebox.http1.client import Answer, Upstream
from farebox.journal.flush import Flusher
from farebox.journal.record import Done, Outcome, Sent
from farebox.meter import UNBILLED, Ended, Priced, assume, end, tokens_of
from farebox.money import usd_text
from farebox.pace.pacer import Pacer, Ticket
from farebox.prices.book import PriceBook
from farebox.route import Routes, Target
from farebox.routing.router import Router
from farebox.spend import used_by
from farebox.treasury.treasury import Treasury
from farebox.wire.json_body import encode
from farebox.wire.openai_chat import error_text

# What another target may do better: our key or its model there, its load, its faults. Not the client's own errors.
_TRY_NEXT = frozenset({401, 403, 404, 408, 429})

Headers = list[tuple[str, str]]


class Reply(Protocol):
    """How a call is answered: once, whole or as a stream."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a whole body."""

    def start_stream(self, status: int, headers: Headers) -> None:
        """Answer with a stream; `send` follows."""

    async def send(self, data: bytes) -> None:
        """Send bytes of the stream; raises ClientGone."""

    def offer(self, data: bytes) -> bool:
        """Send bytes of the stream without waiting; return whether the client can take more at once."""

    async def drained(self) -> None:
        """Return when the client can take more; raises ClientGone."""

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client closes the connection."""


class Journal(Protocol):
    """Where attempts are put on record; see `JournalWriter`."""

    @property
    def admitting(self) -> bool:
        """Whether a new attempt would be accepted."""

    def append_sent(self, record: Sent) -> None:
        """Put an attempt on record before its first byte goes out; raises CallError where it must not be sent."""

    def append_done(self, record: Done) -> None:
        """Put the end of an attempt on record."""


class Edges(msgspec.Struct):
    """What the line reaches the world through.

    ``pacer`` keeps attempts below what providers allow. ``durable`` is what forces the journal to the disk where power
    may fail, or None where processes may only die.
    """

    alarm: Alarm
    clock: Clock
    journal: Journal
    book: PriceBook
    routes: Routes
    router: Router
    upstreams: dict[str, Upstream]
    limits: Limits
    treasury: Treasury
    spending: Spending
    durable: Flusher | None
    pacer: Pacer


class Failed(Exception):
    """An attempt failed before the client saw anything.

    Attributes:
        status: what the client is told if nothing better comes.
        headers: for the client.
        body: the error in the client's dialect, or b"" where ``error`` says it.
        error: the failure where Farebox, not the provider, speaks.
        try_next: whether another target may do better.
    """

    def __init__(self, error: CallError, *, try_next: bool, body: bytes = b"", headers: Headers | None = None) -> None:
        super().__init__(error.message)
        self.error: CallError = error
        self.status: int = error.status
        self.body: bytes = body
        self.headers: Headers = headers or []
        self.try_next: bool = try_next


class Attempt:
    """One request to one provider, from SENT to DONE. Not shared."""

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
        self.is_last: bool = True
        self.route: str = ""
        self.used_femto: int = 0
        self._closed: bool = False

    def put_sent(self, number: int) -> None:
        """Put the attempt on record; what was reserved for it is free again where that is not possible.

        Raises:
            Unavailable, TooLarge: where it is not; nothing may be sent then.
        """
        clock = self.edges.clock
        admitted = self.admitted
        at_ns = clock.now_ns() if admitted.at_ns is None else admitted.at_ns
        try:
            self.sent = record_sent(self.inbound, self.asked, self.target, self.outgoing, number, at_ns)
            if self.route:
                self.sent = msgspec.structs.replace(self.sent, route=self.route)
            self.edges.journal.append_sent(self.sent)
        except BaseException:
            if admitted.hold is not None:
                admitted.hold.end()
            if self.ticket is not None:
                self.ticket.void()
            raise
        self.sent_ns = clock.monotonic_ns()

    def put_done(self, outcome: Outcome, priced: Priced, *, final: bool = True) -> None:
        """Put the attempt's end on record and settle what was reserved; only the first end counts."""
        if self._closed:
            return
        self._closed = True
        if priced.unpriced:
            model = f"{self.sent.rate_provider}/{self.answered.model or self.sent.model}"
            self.edges.alarm.ring(model, f"{model} is served without a price: {priced.unpriced}; see farebox audit")
        clock = self.edges.clock
        now_ns = clock.monotonic_ns()
        total_ns = (self.received_ns or now_ns) - self.sent_ns
        ended = Ended(
            outcome=outcome,
            at_ns=clock.now_ns(),
            book=self.edges.book.hash,
            final=final,
            status=self.status,
            provider_request=self.provider_request,
            first_token_ns=self.first_token_ns,
            total_ns=total_ns,
            gateway_ns=self.sent_ns - self.inbound.received_ns + (now_ns - self.received_ns if self.received_ns else 0),
            charged_femto=self._bound_charge(outcome, priced, total_ns),
        )
        done = end(self.sent, priced, self.answered, ended)
        self.edges.journal.append_done(done)
        if outcome == "ok" and self.route:
            self.edges.router.habits.learn(self.asked.model, used_by(self.sent, done).output_tokens)
        if self.admitted.hold is not None or self.ticket is not None:
            used = used_by(self.sent, done)
            if self.admitted.hold is not None:
                self.used_femto = used.usd
                self.admitted.hold.end(used)
            if self.ticket is not None:
                self.ticket.end(*((used.input_tokens, used.output_tokens) if done.meters else ()))

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
            target = self.target
            self.edges.pacer.learn(target.provider.name, target.model, self.ticket, answer.status, answer.headers())

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
        if self.route:
            headers.append(("x-farebox-route", self.route))
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


def fail_garbage(attempt: Attempt, detail: str) -> NoReturn:
    """End an attempt whose answer cannot be read: it was generated, so its worst case is assumed."""
    attempt.answered.error = detail[:500]
    attempt.put_done("garbage", assume(attempt.edges.book, attempt.sent), final=attempt.is_last)
    raise Failed(
        UpstreamFailed(
            f"The provider {attempt.target.provider.name!r} answered what cannot be read. "
            "Check that its base_url and kind are right.",
            code="provider_answer_unreadable",
        ),
        try_next=True,
        headers=attempt.headers(None, None),
    )


def refuse(attempt: Attempt, answer: Answer, status: int, data: bytes) -> NoReturn:
    """End an attempt with the provider's error, and hand that to the client in its dialect."""
    attempt.received_ns = attempt.edges.clock.monotonic_ns()
    try_next = status >= 500 or status in _TRY_NEXT
    attempt.answered.error = _message_of(data) or f"status {status}"
    attempt.put_done("error", UNBILLED, final=attempt.is_last or not try_next)
    translation = attempt.outgoing.translation
    body = data
    if translation is not None:
        status, translated = translation.translate_error(status, data)
        body = encode(translated)
    elif not _is_object(data):
        raise Failed(
            UpstreamFailed(
                f"The provider {attempt.target.provider.name!r} answered with status {status} and no readable error.",
                code="provider_error",
                status=status,
            ),
            try_next=try_next,
            headers=attempt.headers(answer, None),
        )
    failure = UpstreamFailed(attempt.answered.error, status=status)
    raise Failed(failure, try_next=try_next, body=body, headers=attempt.headers(answer, None))


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except msgspec.DecodeError:
        return False


def _message_of(data: bytes) -> str:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return data[:500].decode(errors="replace")
    return error_text(body.get("error", body) if isinstance(body, dict) else body)
