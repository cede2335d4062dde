"""Calls that carry an idempotency key: sent to a provider once, charged once, answered as often as they are asked.

What became of a call is kept before the client has the last bytes of its answer, so whoever asks again after that gets
the same. A client with a key that goes away in the middle may come back for its answer, so that is taken to its end.

Where a worker died in the middle, its journal says whether the call was sent: if not, the key is free again, else its
cost is assumed and the answer lost. The worker of another host is taken for dead when no call can last that long.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from farebox.call import Asked, Inbound
from farebox.config.tables import Idempotency
from farebox.edges import Edges, Headers, Journal, Reply
from farebox.errors import Unavailable
from farebox.http1.exchange import ClientGone
from farebox.idempotency import Answer, Claim, Ending, Found, answer_of, ending_of, read_claim
from farebox.journal.find import fate_of
from farebox.journal.record import Done, Sent
from farebox.state.answers import AnswerStore, unavailable

Work = Callable[[Edges, Inbound, Asked, Reply], Awaitable[None]]
Result = TypeVar("Result")
REPLAYED = ("x-farebox-replayed", "true")
_HOUR_NS = 3_600_000_000_000
_LONGEST_NS = _HOUR_NS  # no call of another host is under way for longer
_SILENCE_NS = 500_000_000  # how long a store that did not answer is left alone
_PATIENCE_S = 1.0  # how long an answer waits until it is kept
_TICK_S = 1.0
_MOST_WAITING_BYTES = 64 << 20  # of answers that wait for their store
_PIECE_BYTES = 16 << 10
_LAST_BYTES = 400  # in which the last event of a stream says so


class Once:
    """Serves calls with a key. One per worker.

    Args:
        edges: what the line needs.
        work: answers a call: `line.serve`.
        store: where answers are kept.
        own_journal: directory of this worker's journal, beside those of the host's other workers.
        terms: how long and how large.
    """

    def __init__(self, edges: Edges, work: Work, store: AnswerStore, own_journal: Path, terms: Idempotency) -> None:
        self.edges: Edges = edges
        self._work = work
        self._store = store
        self._journals: Path = own_journal.parent
        self._writer: str = own_journal.name
        self._most_bytes: int = terms.answer_bytes
        self._keep_ns: int = int(terms.keep_hours * _HOUR_NS)
        self._thread = ThreadPoolExecutor(1, "answers")  # of its own: who waits here must not keep the journal waiting
        self._silent_until_ns: int = 0
        self._untold: dict[str, tuple[Claim, Ending]] = {}  # by call
        self._telling: set[asyncio.Task[bool]] = set()

    async def serve(self, key: str, inbound: Inbound, asked: Asked, reply: Reply) -> None:
        """Answer a call with a key.

        Raises:
            BadRequest: for a key that is none.
            Conflict: where the key stands for a call whose answer cannot be given.
            Unavailable: where the store cannot be reached.
            CallError: as `line.serve` does.
        """
        at_ns = self.edges.clock.now_ns()
        claim = read_claim(key, asked, caller=inbound.key, call=inbound.id, writer=self._writer, at_ns=at_ns)
        found = await self._claim(claim)
        if found is not None:
            await _give_again(answer_of(found, claim), reply)
            return
        journal = _Watched(self.edges.journal)
        recorder = Recorder(reply, self._most_bytes)
        ending = Ending("lost")
        try:
            await self._work(msgspec.structs.replace(self.edges, journal=journal), inbound, asked, recorder)
            ending = ending_of(journal.sent, journal.ended, recorder.answer())
            if ending.state == "answered" and recorder.is_too_large:
                ending = Ending("unkept")
        except BaseException:
            ending = ending_of(journal.sent, journal.ended, None)
            raise
        finally:
            await self._tell(claim, ending)
        await recorder.finish()

    async def run(self) -> None:
        """Tell the store what it could not be told, and forget what is old, until cancelled."""
        forget_at_ns = 0
        while True:
            for claim, ending in list(self._untold.values()):
                await self._try_telling(claim, ending)
            if self.edges.clock.monotonic_ns() >= forget_at_ns:
                try:
                    await self._ask(self._store.forget, self.edges.clock.now_ns() - self._keep_ns)
                    forget_at_ns = self.edges.clock.monotonic_ns() + _HOUR_NS
                except Unavailable:
                    forget_at_ns = 0
            await asyncio.sleep(_TICK_S)

    async def close(self) -> None:
        """Tell the store what can be told and let go of it."""
        for claim, ending in list(self._untold.values()):
            await self._try_telling(claim, ending)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._store.close)
        self._thread.shutdown(wait=False)

    async def _claim(self, claim: Claim) -> Found | None:
        """Claim a key; return the call that it stands for already, where there is one."""
        for earlier, ending in list(self._untold.values()):
            if earlier.digest == claim.digest and not await self._try_telling(earlier, ending):
                raise unavailable()
        found = await self._ask_for(claim)
        if found is None or found.state != "open" or found.claim.fingerprint != claim.fingerprint:
            return found
        fate = await asyncio.to_thread(self._fate, found.claim)
        if fate is None:
            return found
        await self._ask(self._store.end, found.claim, fate)
        return await self._ask_for(claim)

    async def _ask_for(self, claim: Claim) -> Found | None:
        try:
            return await self._ask(self._store.claim, claim, self._keep_ns)
        except Unavailable:  # it may have been taken all the same
            self._untold[claim.call] = (claim, Ending(None))
            raise

    def _fate(self, claim: Claim) -> Ending | None:
        """Return how a call has ended whose worker said nothing, or None where it is under way."""
        if claim.writer == self._writer:
            return None
        try:
            fate = fate_of(self._journals / claim.writer, claim.call)
        except OSError:
            return None
        if fate == "unknown":
            return Ending("lost") if self.edges.clock.now_ns() - claim.at_ns > _LONGEST_NS else None
        return {"alive": None, "unsent": Ending(None), "sent": Ending("lost")}[fate]

    async def _tell(self, claim: Claim, ending: Ending) -> None:
        """Keep what became of a call; a store that is slow or away keeps no client waiting for long."""
        waiting = sum(len(each.answer.body) for _, each in self._untold.values() if each.answer is not None)
        if ending.answer is not None and waiting + len(ending.answer.body) > _MOST_WAITING_BYTES:
            ending = Ending("unkept")
        self._untold[claim.call] = (claim, ending)
        task = asyncio.create_task(self._try_telling(claim, ending))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)
        await asyncio.wait({task}, timeout=_PATIENCE_S)

    async def _try_telling(self, claim: Claim, ending: Ending) -> bool:
        try:
            await self._ask(self._store.end, claim, ending)
        except Unavailable:
            return False
        self._untold.pop(claim.call, None)
        return True

    async def _ask(self, question: Callable[..., Result], *args: object) -> Result:
        """Ask the store something in its thread.

        Raises:
            Unavailable: where it does not answer, or did not a moment ago.
        """
        clock = self.edges.clock
        if clock.monotonic_ns() < self._silent_until_ns:
            raise unavailable()
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: question(*args))
        except Unavailable:
            self._silent_until_ns = clock.monotonic_ns() + _SILENCE_NS
            raise


async def _give_again(answer: Answer, reply: Reply) -> None:
    headers = [*answer.headers, REPLAYED]
    if not answer.is_stream:
        reply.respond(answer.status, headers, answer.body)
        return
    reply.start_stream(answer.status, headers)
    for start in range(0, len(answer.body), _PIECE_BYTES):
        await reply.send(answer.body[start : start + _PIECE_BYTES])


class _Watched:
    """The journal, as one call sees it: it knows what was sent of that call and how it ended."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.sent: list[Sent] = []
        self.ended: list[Done] = []

    @property
    def admitting(self) -> bool:
        return self._journal.admitting

    def append_sent(self, record: Sent) -> None:
        self._journal.append_sent(record)
        self.sent.append(record)

    def append_done(self, record: Done) -> None:
        self._journal.append_done(record)
        self.ended.append(record)


class Recorder:
    """A `Reply` that keeps what is answered, and hands the last of it on when that is safe: see `finish`.

    Args:
        reply: how the client is answered.
        most_bytes: largest body that is kept; from there on a client that goes away ends the call as any other does.
    """

    def __init__(self, reply: Reply, most_bytes: int) -> None:
        self._reply = reply
        self._most_bytes = most_bytes
        self._status: int = 0
        self._headers: Headers = []
        self._pieces: list[bytes] = []
        self._size: int = 0
        self._held: bytes = b""
        self._is_stream: bool = False
        self._is_gone: bool = False
        self._on_gone: Callable[[], None] | None = None

    @property
    def is_too_large(self) -> bool:
        """Whether the answer is larger than what is kept."""
        return self._size > self._most_bytes

    def answer(self) -> Answer | None:
        """Return what was answered, or None where nothing was; the body is empty where it is too large."""
        if not self._status:
            return None
        body = b"" if self.is_too_large else b"".join(self._pieces)
        return Answer(self._status, tuple(self._headers), body, self._is_stream)

    async def finish(self) -> None:
        """Give the client what was held back."""
        if self._is_stream:
            if self._held and not self._is_gone:
                await self._reply.send(self._held)
        elif self._status:
            self._reply.respond(self._status, self._headers, b"".join(self._pieces))

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """See `Reply.respond`; the client has it from `finish`."""
        self._status, self._headers = status, headers
        self._pieces.append(body)
        self._size = len(body)

    def start_stream(self, status: int, headers: Headers) -> None:
        """See `Reply.start_stream`."""
        self._status, self._headers, self._is_stream = status, headers, True
        self._reply.start_stream(status, headers)

    async def send(self, data: bytes) -> None:
        """See `Reply.send`."""
        self.offer(data)
        await self.drained()

    def offer(self, data: bytes) -> bool:
        """See `Reply.offer`; what looks like the last event of a stream waits for the next piece, or for `finish`."""
        self._keep(data)
        held, self._held = self._held, b""
        if self._is_gone:
            return not self.is_too_large
        end = data[-_LAST_BYTES:]
        if b"[DONE]" in end or b"message_stop" in end:
            self._held = data
            data = b""
        return self._reply.offer(held + data)

    async def drained(self) -> None:
        """See `Reply.drained`; a client that has gone is waited for no longer, and its answer goes on."""
        if not self._is_gone:
            try:
                await self._reply.drained()
            except ClientGone:
                self._is_gone = True
        if self._is_gone and self.is_too_large:
            raise ClientGone

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """See `Reply.when_gone`."""
        self._on_gone = callback
        if callback is None:
            self._reply.when_gone(None)
        elif self._is_gone and self.is_too_large:
            callback()
        else:
            self._reply.when_gone(self._lose_client)

    def _lose_client(self) -> None:
        self._is_gone = True
        if self.is_too_large and self._on_gone is not None:
            self._on_gone()

    def _keep(self, data: bytes) -> None:
        self._size += len(data)
        if not self.is_too_large:
            self._pieces.append(data)
            return
        self._pieces.clear()
        if self._is_gone and self._on_gone is not None:
            callback, self._on_gone = self._on_gone, None
            callback()
