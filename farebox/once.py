"""Calls that carry an idempotency key: sent to a provider once, charged once, answered as often as they are asked.

The first call claims its key before anything is sent. The same call again is answered with what was answered then;
while the first is under way it is told so. What was refused before it could cost anything, and errors for which nothing
can have been billed, leave the key free: a retry is a new try. Where the worker died in the middle, nobody knows the
answer, and its cost is assumed: the key is lost, and says so.
"""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from farebox.attempt import Headers, Reply
from farebox.clock import Clock
from farebox.errors import BadRequest, CallError
from farebox.journal.recover import is_dead
from farebox.state.answers import Answer, AnswerStore, Claim, Found, Slot

MAX_KEY = 255
MAX_BODY_BYTES = 4 << 20
_FOREIGN_NS = 3_600_000_000_000  # after which a call of another host that has not ended is taken to be lost
_PIECE_BYTES = 16 << 10
_encode = msgspec.json.Encoder(order="deterministic").encode


class KeyInUse(CallError):
    """The call with this key is under way, or what became of it cannot be replayed."""

    status = 409
    code = "idempotency_in_flight"


class KeyMismatch(CallError):
    """The key was used for another request."""

    status = 422
    code = "idempotency_mismatch"


class Once:
    """Serves calls with a key. One per worker.

    Args:
        store: where answers are kept.
        journals: directory of this host's journals, which prove its workers dead or alive.
        writer: name of this worker's journal.
        home: which installation this is, unlike that of any other host.
        clock: for claims.
    """

    def __init__(self, store: AnswerStore, journals: Path, writer: str, home: str, clock: Clock) -> None:
        self._store = store
        self._journals = journals
        self._writer = writer
        self._home = home
        self._clock = clock

    async def serve(
        self, slot: Slot, fingerprint: bytes, call: str, reply: Reply, work: Callable[[Reply], Awaitable[bool]]
    ) -> None:
        """Answer a call with a key.

        Args:
            slot: whose key it is.
            fingerprint: of the request, see `fingerprint_of`.
            call: id of the call.
            reply: how it is answered.
            work: answers it where it is the first; returns whether anything of it may have been billed.

        Raises:
            BadRequest: for a key that is none.
            KeyInUse, KeyMismatch: where there is an earlier call that cannot be replayed.
            Unavailable: where the store cannot be reached.
        """
        if not 0 < len(slot.key) <= MAX_KEY:
            raise BadRequest(f"'idempotency-key' must have 1 to {MAX_KEY} characters.", param="idempotency-key")
        claim = Claim(fingerprint, call, self._home, self._writer, self._clock.now_ns())
        found = await asyncio.to_thread(self._store.claim, slot, claim)
        if found is not None:
            await self._answer_again(found, claim, reply)
            return
        recorder = _Recorder(reply)
        try:
            is_billed = await work(recorder)
        except CallError:
            await asyncio.to_thread(self._store.release, slot, call)
            raise
        if is_billed or recorder.status < 400:
            await asyncio.to_thread(self._store.finish, slot, call, recorder.answer())
        else:
            await asyncio.to_thread(self._store.release, slot, call)

    async def _answer_again(self, found: Found, claim: Claim, reply: Reply) -> None:
        if found.claim.fingerprint != claim.fingerprint:
            raise KeyMismatch(
                "This idempotency key was used for another request. Use a new key for a new request.",
                param="idempotency-key",
            )
        answer = found.answer
        if answer.state == "open":
            if await asyncio.to_thread(self._is_lost, found.claim):
                raise KeyInUse(
                    f"What became of the call with this key ({found.claim.call}) is not known: the gateway stopped in "
                    "the middle of it, and its cost is assumed. Use a new key to try again.",
                    code="idempotency_lost",
                )
            raise KeyInUse("The call with this idempotency key is still under way. Try again soon.", retry_after_s=1)
        if answer.state != "done":
            why = "is too large to be kept" if answer.state == "large" else "was not taken to its end"
            raise KeyInUse(
                f"The answer of the call with this key ({found.claim.call}) {why}, so it cannot be given again. "
                "Use a new key to try again.",
                code="idempotency_no_answer",
            )
        headers = [*answer.headers, ("x-farebox-replayed", "true")]
        if not answer.streamed:
            reply.respond(answer.status, headers, answer.body)
            return
        reply.start_stream(answer.status, headers)
        for start in range(0, len(answer.body), _PIECE_BYTES):
            await reply.send(answer.body[start : start + _PIECE_BYTES])

    def _is_lost(self, claim: Claim) -> bool:
        """Return whether the worker that made a claim is dead; those of other hosts are given an hour."""
        if claim.home != self._home:
            return self._clock.now_ns() - claim.at_ns > _FOREIGN_NS
        if claim.writer == self._writer:
            return False
        try:
            return is_dead(self._journals / claim.writer)
        except OSError:
            return True  # its journal is in the books and gone


def fingerprint_of(path: str, body: dict[str, Any]) -> bytes:
    """Return a digest of a request that does not depend on the order of its members."""
    return sha256(path.encode() + b"\0" + _encode(body)).digest()


class _Recorder:
    """A `Reply` that keeps what it is given."""

    def __init__(self, reply: Reply) -> None:
        self._reply = reply
        self._pieces: list[bytes] = []
        self._size: int = 0
        self._headers: Headers = []
        self._streamed: bool = False
        self._gone: bool = False
        self.status: int = 0

    def answer(self) -> Answer:
        """Return what was answered."""
        if self._gone:
            return Answer("broken")
        if self._size > MAX_BODY_BYTES:
            return Answer("large")
        return Answer("done", self.status, self._streamed, tuple(self._headers), b"".join(self._pieces))

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """See `Reply.respond`."""
        self.status, self._headers = status, headers
        self._keep(body)
        self._reply.respond(status, headers, body)

    def start_stream(self, status: int, headers: Headers) -> None:
        """See `Reply.start_stream`."""
        self.status, self._headers, self._streamed = status, headers, True
        self._reply.start_stream(status, headers)

    async def send(self, data: bytes) -> None:
        """See `Reply.send`."""
        self.offer(data)
        await self.drained()

    def offer(self, data: bytes) -> bool:
        """See `Reply.offer`."""
        self._keep(data)
        return self._reply.offer(data)

    async def drained(self) -> None:
        """See `Reply.drained`."""
        try:
            await self._reply.drained()
        except BaseException:
            self._gone = True
            raise

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """See `Reply.when_gone`."""
        if callback is None:
            self._reply.when_gone(None)
            return

        def note() -> None:
            self._gone = True
            callback()

        self._reply.when_gone(note)

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if self._size <= MAX_BODY_BYTES:
            self._pieces.append(data)
        else:
            self._pieces.clear()
