"""The store of answers under idempotency keys: one claim among many, on a file and on Postgres."""

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from farebox.attempt import Headers
from farebox.clock import SystemClock
from farebox.errors import CallError, Unavailable
from farebox.journal.writer import JournalWriter
from farebox.once import Once
from farebox.state.answers import KEEP_NS, Answer, AnswerStore, Claim, Slot, open_answers

SLOT = Slot("key-1", "k")
DONE = Answer("done", 200, streamed=True, headers=(("a", "b"),), body=b"\0\xff")


def claim(call: str = "c1", at_ns: int = 10**18, fingerprint: bytes = b"\0f", writer: str = "w") -> Claim:
    return Claim(fingerprint, call, "home", writer, at_ns)


@pytest.fixture
def store(store_url, tmp_path) -> Iterator[AnswerStore]:
    opened = open_answers(tmp_path, store_url)
    yield opened
    opened.close()


def test_a_claim_is_found_until_its_answer_is(store: AnswerStore) -> None:
    assert store.claim(SLOT, claim()) is None
    found = store.claim(SLOT, claim("c2"))
    assert found is not None
    assert (found.claim, found.answer.state) == (claim(), "open")
    store.finish(SLOT, "c2", Answer("large"))
    store.finish(SLOT, "c1", DONE)
    found = store.claim(SLOT, claim("c3"))
    assert found is not None
    assert found.answer == DONE


def test_keys_belong_to_their_callers(store: AnswerStore) -> None:
    assert store.claim(SLOT, claim()) is None
    assert store.claim(Slot("key-2", "k"), claim("c2")) is None


def test_a_released_key_is_free(store: AnswerStore) -> None:
    assert store.claim(SLOT, claim()) is None
    store.release(SLOT, "c2")
    assert store.claim(SLOT, claim("c3")) is not None
    store.release(SLOT, "c1")
    assert store.claim(SLOT, claim("c4")) is None


def test_keys_are_kept_for_a_day(store: AnswerStore) -> None:
    assert store.claim(SLOT, claim()) is None
    assert store.claim(SLOT, claim("c2", 10**18 + KEEP_NS)) is not None
    assert store.claim(SLOT, claim("c3", 10**18 + KEEP_NS + 1)) is None


def test_one_of_many_gets_the_claim(store_url, tmp_path) -> None:
    winners = []

    def try_once(number: int) -> None:
        opened = open_answers(tmp_path, store_url)
        if opened.claim(SLOT, claim(f"c{number}")) is None:
            winners.append(number)
        opened.close()

    threads = [threading.Thread(target=try_once, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1


def test_a_store_that_cannot_be_reached_says_so(tmp_path: Path) -> None:
    (tmp_path / "idempotency.db").mkdir()
    for url in (None, "postgresql://127.0.0.1:1/none"):
        with pytest.raises(Unavailable) as refused:
            open_answers(tmp_path, url).claim(SLOT, claim())
        assert refused.value.code == "idempotency_store_unavailable"
    (tmp_path / "idempotency.db").rmdir()


class Nobody:
    """A client that must not be answered."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        raise AssertionError((status, headers, body))

    start_stream = send = offer = drained = when_gone = respond


@pytest.mark.parametrize(
    ("is_alive", "home", "age_ns", "code"),
    [
        (True, "home", 10**9, "idempotency_in_flight"),
        (False, "home", 10**9, "idempotency_lost"),
        (False, "elsewhere", 10**9, "idempotency_in_flight"),
        (False, "elsewhere", 4_000 * 10**9, "idempotency_lost"),
    ],
)
def test_a_call_whose_worker_died_is_lost(store: AnswerStore, tmp_path, is_alive, home, age_ns, code) -> None:
    clock = SystemClock()
    journal = JournalWriter(tmp_path / "journal", "w", clock, segment_bytes=4096)
    writer = journal.directory.name
    store.claim(SLOT, Claim(b"f", "c1", home, writer, clock.now_ns() - age_ns))
    if not is_alive:
        journal.close()
    once = Once(store, tmp_path / "journal", "another", "home", clock)

    async def work(_: object) -> bool:
        raise AssertionError("it is not the first")

    with pytest.raises(CallError) as refused:
        asyncio.run(once.serve(SLOT, b"f", "c2", Nobody(), work))  # type: ignore[arg-type]
    assert (refused.value.status, refused.value.code) == (409, code)
    if is_alive:
        journal.close()
