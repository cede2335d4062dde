"""Calls with an idempotency key: what is kept, when it is handed on, and what happens with a broken store."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from farebox.call import Asked, Inbound
from farebox.clock import SystemClock
from farebox.config.tables import Idempotency
from farebox.edges import Edges, Headers, Reply
from farebox.errors import BadRequest, CallError, Conflict, Unavailable
from farebox.http1.exchange import ClientGone, RequestHeaders
from farebox.idempotency import Claim, Ending, Found
from farebox.journal.record import Sent
from farebox.journal.writer import JournalWriter
from farebox.once import Once, Recorder
from farebox.state.answers import ANSWERS, AnswerStore, open_answers, unavailable
from tests.books.traffic import done, sent

JSON = [("content-type", "application/json")]
ASKED = Asked("openai", "chat", "m", {"model": "m", "n": 1}, False, False, "", {}, {}, None)
LAST = b"data: [DONE]\n\n"


def inbound(call: str, key: str = "") -> Inbound:
    return Inbound(call, key, key, 0, RequestHeaders())


class Client:
    """A `Reply` that takes note of what arrives; it may be gone."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.is_gone = False
        self._on_gone: Callable[[], None] | None = None

    def leave(self) -> None:
        self.is_gone = True
        if self._on_gone is not None:
            self._on_gone()

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        assert not self.status
        self.status, self.headers, self.body = status, dict(headers), body

    def start_stream(self, status: int, headers: Headers) -> None:
        self.respond(status, headers, b"")

    def offer(self, data: bytes) -> bool:
        if not self.is_gone:
            self.body += data
        return not self.is_gone

    async def send(self, data: bytes) -> None:
        self.offer(data)
        await self.drained()

    async def drained(self) -> None:
        if self.is_gone:
            raise ClientGone

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        self._on_gone = callback


class Broken:
    """A store that can be made to fail, in front of a real one."""

    def __init__(self, store: AnswerStore) -> None:
        self._store = store
        self.fails: set[str] = set()
        self.lies: set[str] = set()

    def claim(self, claim: Claim, keep_ns: int) -> Found | None:
        found: Found | None = self._do("claim", lambda: self._store.claim(claim, keep_ns))
        return found

    def end(self, claim: Claim, ending: Ending) -> None:
        self._do("end", lambda: self._store.end(claim, ending))

    def forget(self, before_ns: int) -> None:
        self._do("forget", lambda: self._store.forget(before_ns))

    def close(self) -> None:
        self._store.close()

    def _do(self, name: str, work: Callable[[], Any]) -> Any:
        if name in self.fails:
            raise unavailable()
        result = work()
        if name in self.lies:  # done, but whoever asked does not learn it
            raise unavailable()
        return result


class Line:
    """What answers calls: does what a test says, and counts."""

    def __init__(self) -> None:
        self.calls = 0
        self.act: Callable[[Edges, Reply, Sent], Awaitable[None]] = whole(200, b'{"ok":1}')

    async def __call__(self, edges: Edges, call: Inbound, _asked: Asked, reply: Reply) -> None:
        self.calls += 1
        await self.act(edges, reply, sent(call.id))


def whole(status: int, body: bytes, **ended: Any) -> Callable[[Edges, Reply, Sent], Awaitable[None]]:
    async def act(edges: Edges, reply: Reply, begun: Sent) -> None:
        edges.journal.append_sent(begun)
        edges.journal.append_done(done(begun, **ended))
        reply.respond(status, JSON, body)

    return act


FREE: dict[str, Any] = {"total_femto": 0, "lines": (), "outcome": "error"}


class AheadClock(SystemClock):
    """The machine's clock, or one that is ahead of it."""

    ahead_ns: int = 0

    def monotonic_ns(self) -> int:
        return super().monotonic_ns() + self.ahead_ns


class House:
    """One worker: its journal, its store and its line. Two of them share a data directory."""

    def __init__(self, data_dir: Path, name: str, answer_bytes: int = 4096) -> None:
        self.clock = clock = AheadClock()
        self.journal = JournalWriter(data_dir / "journal", name, clock, segment_bytes=1 << 16)
        self.line = Line()
        self.store = Broken(open_answers(data_dir, None))
        values: dict[str, Any] = dict.fromkeys(Edges.__struct_fields__)
        edges = Edges(**{**values, "clock": clock, "journal": self.journal})
        terms = Idempotency(answer_bytes=answer_bytes)
        self.once = Once(edges, self.line, self.store, self.journal.directory, terms)

    async def call(self, call: str, *, key: str = "k", asked: Asked = ASKED, client: Client | None = None) -> Client:
        client = client or Client()
        await self.once.serve(key, inbound(call), asked, client)
        return client

    async def refusal(self, call: str, **wishes: Any) -> CallError:
        with pytest.raises(CallError) as refused:
            await self.call(call, **wishes)
        return refused.value


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path


def play(*scenes: Callable[[House], Awaitable[None]], data_dir: Path, **wishes: Any) -> None:
    async def run() -> None:
        house = House(data_dir, "one", **wishes)
        for scene in scenes:
            await scene(house)
        await house.once.close()
        house.journal.close()

    asyncio.run(run())


def test_the_first_answer_is_given_again(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        first, again = await house.call("c1"), await house.call("c2")
        assert (first.status, first.body, first.headers) == (200, b'{"ok":1}', dict(JSON))
        assert (again.status, again.body) == (200, b'{"ok":1}')
        assert again.headers == {**dict(JSON), "x-farebox-replayed": "true"}
        reordered = msgspec.structs.replace(ASKED, body={"n": 1, "model": "m"})
        assert (await house.call("c3", asked=reordered)).headers == again.headers
        assert house.line.calls == 1

    play(scene, data_dir=data_dir)


def test_keys_belong_to_callers_and_to_one_request(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        await house.call("c1")
        await house.once.serve("k", inbound("c2", key="other"), ASKED, Client())
        assert house.line.calls == 2
        for changed in ({"body": {"model": "m", "n": 2}}, {"operation": "embeddings"}):
            error = await house.refusal("c3", asked=msgspec.structs.replace(ASKED, **changed))
            assert (error.status, error.code) == (422, "idempotency_mismatch")
        assert house.line.calls == 2

    play(scene, data_dir=data_dir)


@pytest.mark.parametrize("key", ["", "k" * 256, "a\x7fb"])
def test_a_key_is_short_and_printable(data_dir: Path, key: str) -> None:
    async def scene(house: House) -> None:
        with pytest.raises(BadRequest, match="1 to 255"):
            await house.call("c1", key=key)
        assert not (data_dir / ANSWERS).exists()

    play(scene, data_dir=data_dir)


def test_keys_are_not_kept_in_clear(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        await house.call("c1", key="a-secret-of-the-client")

    play(scene, data_dir=data_dir)
    files = list(data_dir.glob(f"{ANSWERS}*"))
    assert files
    assert not [path for path in files if b"a-secret-of-the-client" in path.read_bytes()]


@pytest.mark.parametrize(
    ("status", "ended", "calls"),
    [
        (429, FREE, 2),
        (502, FREE, 2),
        (200, FREE, 1),
        (502, {**FREE, "total_femto": None, "unpriced": "no price", "flags": ("unpriced",)}, 1),
        (504, {**FREE, "flags": ("assumed",)}, 1),
        (502, {"outcome": "garbage"}, 1),
    ],
)
def test_what_may_have_been_billed_is_kept_and_nothing_else(data_dir: Path, status, ended, calls) -> None:
    async def scene(house: House) -> None:
        house.line.act = whole(status, b"{}", **ended)
        first, again = await house.call("c1"), await house.call("c2")
        assert (first.status, again.status) == (status, status)
        assert ("x-farebox-replayed" in again.headers) == (calls == 1)
        assert house.line.calls == calls

    play(scene, data_dir=data_dir)


async def refuse(*_: object) -> None:
    raise Unavailable("No room.")


async def refuse_the_second_attempt(edges: Edges, _reply: Reply, begun: Sent) -> None:
    edges.journal.append_sent(begun)
    edges.journal.append_done(done(begun, outcome="garbage"))
    raise Unavailable("No room for another.")


async def break_down(edges: Edges, _reply: Reply, begun: Sent) -> None:
    edges.journal.append_sent(begun)
    raise ZeroDivisionError


@pytest.mark.parametrize(
    ("act", "raised", "code"),
    [
        (refuse, Unavailable, None),
        (refuse_the_second_attempt, Unavailable, "idempotency_lost"),
        (break_down, ZeroDivisionError, "idempotency_lost"),
    ],
)
def test_a_call_that_fails_inside_frees_its_key_only_where_nothing_was_sent(data_dir: Path, act, raised, code) -> None:
    async def scene(house: House) -> None:
        house.line.act = act
        with pytest.raises(raised):
            await house.call("c1")
        house.line.act = whole(200, b"{}")
        if code is None:
            assert (await house.call("c2")).status == 200
        else:
            error = await house.refusal("c2")
            assert (error.status, error.code) == (409, code)
            assert ("x-should-retry", "false") in error.headers
            assert "c1" in error.message

    play(scene, data_dir=data_dir)


def test_a_call_that_is_cut_at_the_end_of_the_grace_is_lost(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        began = asyncio.Event()

        async def act(edges: Edges, _reply: Reply, begun: Sent) -> None:
            edges.journal.append_sent(begun)
            began.set()
            await asyncio.Event().wait()

        house.line.act = act
        task = asyncio.create_task(house.call("c1"))
        await began.wait()
        assert (await house.refusal("c2")).code == "idempotency_in_flight"
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        assert (await house.refusal("c3")).code == "idempotency_lost"

    play(scene, data_dir=data_dir)


def test_one_of_many_at_once_is_sent(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        go_on = asyncio.Event()

        async def act(edges: Edges, reply: Reply, begun: Sent) -> None:
            await go_on.wait()
            await whole(200, b"{}")(edges, reply, begun)

        house.line.act = act
        tasks = [asyncio.create_task(house.call(f"c{number}")) for number in range(20)]
        _, running = await asyncio.wait(tasks, timeout=0.5)
        assert len(running) == 1
        go_on.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        errors = [each for each in results if isinstance(each, Conflict)]
        assert {(error.code, error.retry_after_s) for error in errors} == {("idempotency_in_flight", 1)}
        assert (len(errors), house.line.calls) == (19, 1)

    play(scene, data_dir=data_dir)


def streamed(pieces: list[bytes], before: Callable[[int], None] = lambda _: None) -> Any:
    async def act(edges: Edges, reply: Reply, begun: Sent) -> None:
        edges.journal.append_sent(begun)
        reply.start_stream(200, [("content-type", "text/event-stream")])
        for index, piece in enumerate(pieces):
            before(index)
            await reply.send(piece)
        edges.journal.append_done(done(begun))

    return act


def test_a_stream_is_given_again_and_its_end_waits_until_it_is_kept(data_dir: Path) -> None:
    pieces = [b"data: 1\n\n", b"data: say [DONE]?\n\n", b"data: 2\n\n", LAST]

    async def scene(house: House) -> None:
        client = Client()
        told: list[bytes] = []
        end = house.store.end

        def note(claim: Claim, ending: Ending) -> None:
            told.append(client.body)
            end(claim, ending)

        house.store.end = note  # type: ignore[method-assign]
        house.line.act = streamed(pieces)
        await house.call("c1", client=client)
        assert told == [b"".join(pieces[:-1])], "what looked like an end and was none has been handed on"
        again = await house.call("c2")
        assert client.body == again.body == b"".join(pieces)
        assert again.headers == {"content-type": "text/event-stream", "x-farebox-replayed": "true"}

    play(scene, data_dir=data_dir)


def test_a_client_that_leaves_may_come_back_for_the_rest(data_dir: Path) -> None:
    pieces = [b"data: %d\n\n" % number for number in range(9)] + [LAST]

    async def scene(house: House) -> None:
        client = Client()
        house.line.act = streamed(pieces, lambda index: client.leave() if index == 3 else None)
        await house.call("c1", client=client)
        assert client.body == b"".join(pieces[:3])
        assert (await house.call("c2")).body == b"".join(pieces)
        assert house.line.calls == 1

    play(scene, data_dir=data_dir)


def test_an_answer_that_is_too_large_is_given_but_not_kept(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        house.line.act = whole(200, b"x" * 2000)
        assert len((await house.call("c1")).body) == 2000
        house.line.act = streamed([b"x" * 600, b"y" * 600, LAST])
        assert (await house.call("c2", key="stream")).body == b"x" * 600 + b"y" * 600 + LAST
        for key in ("k", "stream"):
            error = await house.refusal("c3", key=key)
            assert (error.status, error.code) == (409, "idempotency_not_kept")

    play(scene, data_dir=data_dir, answer_bytes=1024)


@pytest.mark.parametrize("leaves_first", [True, False])
def test_nobody_pays_for_a_large_stream_that_nobody_can_have(leaves_first: bool) -> None:
    client = Client()
    cut: list[str] = []
    recorder = Recorder(client, 10)
    recorder.start_stream(200, [])
    recorder.when_gone(lambda: cut.append("gone"))
    if leaves_first:
        client.leave()
        assert (recorder.offer(b"12345"), cut) == (True, [])
        assert (recorder.offer(b"67890x"), cut) == (False, ["gone"])
    else:
        recorder.offer(b"x" * 11)
        assert cut == []
        client.leave()
        assert cut == ["gone"]
    with pytest.raises(ClientGone):
        asyncio.run(recorder.drained())


def test_a_store_that_is_away_refuses_calls_with_keys_until_it_is_back(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        house.store.fails = {"claim"}
        error = await house.refusal("c1")
        assert (error.status, error.code) == (503, "idempotency_store_unavailable")
        house.store.fails = set()
        assert (await house.refusal("c2")).code == "idempotency_store_unavailable", "it is left alone for a moment"
        house.clock.ahead_ns += 600_000_000
        assert (await house.call("c3")).status == 200
        assert house.line.calls == 1

    play(scene, data_dir=data_dir)


def test_a_claim_whose_confirmation_was_lost_does_not_block_its_key(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        house.store.lies = {"claim"}
        assert (await house.refusal("c1")).code == "idempotency_store_unavailable"
        house.store.lies = set()
        house.clock.ahead_ns += 600_000_000
        assert (await house.call("c2")).status == 200

    play(scene, data_dir=data_dir)


@pytest.mark.parametrize("how", ["fails", "lies"])
def test_an_answer_that_its_store_does_not_take_is_given_and_kept_later(data_dir: Path, how: str) -> None:
    async def scene(house: House) -> None:
        setattr(house.store, how, {"end"})
        assert (await house.call("c1")).status == 200
        assert (await house.refusal("c2")).code == "idempotency_store_unavailable"
        setattr(house.store, how, set())
        house.clock.ahead_ns += 600_000_000
        assert (await house.call("c3")).headers["x-farebox-replayed"] == "true"
        assert house.line.calls == 1

    play(scene, data_dir=data_dir)


def test_what_could_not_be_kept_is_kept_in_the_background_and_old_answers_are_forgotten(data_dir: Path) -> None:
    async def scene(house: House) -> None:
        kept = asyncio.Event()
        loop = asyncio.get_running_loop()
        house.store.fails = {"end"}
        await house.call("c1")
        house.store.fails = set()
        end, forget = house.store.end, house.store.forget
        forgotten: list[int] = []

        def note(claim: Claim, ending: Ending) -> None:
            end(claim, ending)
            loop.call_soon_threadsafe(kept.set)

        def note_forgotten(before_ns: int) -> None:
            forgotten.append(before_ns)
            forget(before_ns)

        house.store.end, house.store.forget = note, note_forgotten  # type: ignore[method-assign]
        task = asyncio.create_task(house.once.run())
        await asyncio.wait_for(kept.wait(), 5)
        task.cancel()
        day_ago_ns = SystemClock().now_ns() - 24 * 3_600_000_000_000
        assert all(abs(each - day_ago_ns) < 60 * 10**9 for each in forgotten)
        assert (await house.call("c2")).headers["x-farebox-replayed"] == "true"

    play(scene, data_dir=data_dir)


@pytest.mark.parametrize(
    ("was_sent", "is_dead", "code"),
    [
        (True, True, "idempotency_lost"),
        (False, True, None),
        (True, False, "idempotency_in_flight"),
        (False, False, "idempotency_in_flight"),
    ],
)
def test_the_journal_of_another_worker_says_what_became_of_its_call(data_dir: Path, was_sent, is_dead, code) -> None:
    async def scene(house: House) -> None:
        other = House(data_dir, "other")

        async def act(edges: Edges, _reply: Reply, begun: Sent) -> None:
            if was_sent:
                edges.journal.append_sent(begun)
            await asyncio.Event().wait()

        other.line.act = act
        task = asyncio.create_task(other.call("c1"))
        while not other.line.calls:
            await asyncio.sleep(0)
            await asyncio.sleep(0.001)
        if is_dead:
            other.journal.close()  # lets go of the lock, as death does
        if code is None:
            assert (await house.call("c2")).status == 200
        else:
            assert (await house.refusal("c2")).code == code
            assert house.line.calls == 0
        other.store.fails = {"end"}  # the dead say nothing
        task.cancel()
        await asyncio.wait({task})
        other.store.close()
        if not is_dead:
            other.journal.close()

    play(scene, data_dir=data_dir)


@pytest.mark.parametrize(("age_s", "code"), [(60, "idempotency_in_flight"), (3700, "idempotency_lost")])
def test_a_worker_that_is_not_known_here_is_waited_for_an_hour(data_dir: Path, age_s: int, code: str) -> None:
    async def scene(house: House) -> None:
        real = house.store.claim

        def from_elsewhere(claim: Claim, keep_ns: int) -> Found | None:
            at_ns = claim.at_ns - age_s * 10**9
            real(msgspec.structs.replace(claim, call="c0", writer="elsewhere", at_ns=at_ns), keep_ns)
            return real(claim, keep_ns)

        house.store.claim = from_elsewhere  # type: ignore[method-assign]
        assert (await house.refusal("c1")).code == code
        assert house.line.calls == 0

    play(scene, data_dir=data_dir)
