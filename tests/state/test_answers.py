"""The store of answers under idempotency keys: one claim among many, on a file and on Postgres."""

import signal
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from farebox.errors import Unavailable
from farebox.idempotency import Answer, Claim, Ending
from farebox.state.answers import ANSWERS, AnswerStore, open_answers

KEEP_NS = 10**9
ANSWERED = Ending("answered", Answer(200, (("a", "b"),), b"\0\xff", is_stream=True))
FIRST = Claim(b"\0key", b"\0f", "c1", "w", 10**18)


def later(call: str, **changes: object) -> Claim:
    return msgspec.structs.replace(FIRST, call=call, **changes)


@pytest.fixture
def store(store_url, tmp_path) -> Iterator[AnswerStore]:
    opened = open_answers(tmp_path, store_url)
    yield opened
    opened.close()


def test_a_claim_is_found_until_its_answer_is(store: AnswerStore) -> None:
    assert store.claim(FIRST, KEEP_NS) is None
    found = store.claim(later("c2"), KEEP_NS)
    assert found is not None
    assert (found.claim, found.state, found.answer) == (FIRST, "open", None)
    store.end(later("c2"), Ending("lost"))
    store.end(FIRST, ANSWERED)
    store.end(FIRST, Ending(None))
    store.end(FIRST, Ending("lost"))
    found = store.claim(later("c3"), KEEP_NS)
    assert found is not None
    assert (found.claim, found.state, found.answer) == (FIRST, "answered", ANSWERED.answer), "the first end counts"


def test_an_empty_answer_is_an_answer(store: AnswerStore) -> None:
    empty = Answer(502, (), b"", is_stream=False)
    store.claim(FIRST, KEEP_NS)
    store.end(FIRST, Ending("answered", empty))
    found = store.claim(later("c2"), KEEP_NS)
    assert found is not None
    assert found.answer == empty


@pytest.mark.parametrize("state", ["lost", "unkept"])
def test_there_may_be_no_answer(store: AnswerStore, state) -> None:
    store.claim(FIRST, KEEP_NS)
    store.end(FIRST, Ending(state))
    found = store.claim(later("c2"), KEEP_NS)
    assert found is not None
    assert (found.state, found.answer) == (state, None)


def test_keys_do_not_touch_each_other(store: AnswerStore) -> None:
    assert store.claim(FIRST, KEEP_NS) is None
    assert store.claim(later("c2", digest=b"other"), KEEP_NS) is None


def test_a_claim_may_be_made_twice(store: AnswerStore) -> None:
    assert store.claim(FIRST, KEEP_NS) is None
    assert store.claim(FIRST, KEEP_NS) is None, "the first time its answer was lost on the way"


def test_a_key_that_was_freed_is_free(store: AnswerStore) -> None:
    store.claim(FIRST, KEEP_NS)
    store.end(later("c2"), Ending(None))
    assert store.claim(later("c3"), KEEP_NS) is not None
    store.end(FIRST, Ending(None))
    assert store.claim(later("c4"), KEEP_NS) is None


def test_keys_are_kept_for_as_long_as_is_said(store: AnswerStore) -> None:
    store.claim(FIRST, KEEP_NS)
    assert store.claim(later("c2", at_ns=FIRST.at_ns + KEEP_NS), KEEP_NS) is not None
    assert store.claim(later("c3", at_ns=FIRST.at_ns + KEEP_NS + 1), KEEP_NS) is None


def test_what_is_old_is_forgotten_however_much_it_is(store: AnswerStore) -> None:
    for number in range(250):
        store.claim(later(f"c{number}", digest=b"%d" % number, at_ns=number), KEEP_NS)
    store.forget(249)
    found = [store.claim(later("again", digest=b"%d" % number, at_ns=300), KEEP_NS) for number in (0, 248, 249)]
    assert [each is not None for each in found] == [False, False, True]


def test_one_of_many_gets_the_claim(store_url, tmp_path) -> None:
    winners = []
    starts = threading.Barrier(12)

    def try_once(number: int) -> None:
        opened = open_answers(tmp_path, store_url)
        starts.wait()
        if opened.claim(later(f"c{number}"), KEEP_NS) is None:
            winners.append(number)
        opened.close()

    threads = [threading.Thread(target=try_once, args=(number,)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(winners) == 1


def test_nobody_else_reads_the_answers(tmp_path: Path) -> None:
    store = open_answers(tmp_path, None)
    store.claim(FIRST, KEEP_NS)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.glob(f"{ANSWERS}*")} == {0o600}
    store.close()


def test_forgetting_makes_no_store(tmp_path: Path) -> None:
    open_answers(tmp_path, None).forget(1)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_cannot_be_reached_says_so_and_heals(tmp_path: Path) -> None:
    (tmp_path / ANSWERS).mkdir()
    store = open_answers(tmp_path, None)
    with pytest.raises(Unavailable) as refused:
        store.claim(FIRST, KEEP_NS)
    assert (refused.value.status, refused.value.code) == (503, "idempotency_store_unavailable")
    (tmp_path / ANSWERS).rmdir()
    assert store.claim(FIRST, KEEP_NS) is None
    store.close()
    with pytest.raises(Unavailable):
        open_answers(tmp_path, "postgresql://127.0.0.1:1/none").claim(FIRST, KEEP_NS)


def test_postgres_may_go_away_and_come_back(postgres, tmp_path: Path) -> None:
    store = open_answers(tmp_path, postgres.url)
    claim = later("c1", digest=b"away")
    assert store.claim(claim, KEEP_NS) is None
    postgres.stop()
    with pytest.raises(Unavailable):
        store.end(claim, ANSWERED)
    postgres.start()
    store.end(claim, ANSWERED)
    postgres.stop(signal.SIGQUIT)
    postgres.start()
    found = store.claim(later("c2", digest=b"away"), KEEP_NS)
    assert found is not None
    assert found.answer == ANSWERED.answer
    store.close()
