"""What a provider allows is never exceeded in any minute, and what it says of itself is believed."""

from hypothesis import given
from hypothesis import strategies as st

from farebox.pace.bucket import MINUTE_NS, Sliding, Told

S = 1_000_000_000


@given(
    limit=st.integers(1, 50),
    calls=st.lists(st.tuples(st.integers(0, 20 * S), st.integers(0, 30)), max_size=60),
)
def test_no_minute_sees_more_than_the_limit(limit, calls):
    bucket = Sliding(limit)
    sent = []
    now_ns = 7 * S
    for pause_ns, wanted in calls:
        need = min(wanted, limit)
        now_ns = max(now_ns + pause_ns, bucket.free_at(need, now_ns + pause_ns))
        assert bucket.free_at(need, now_ns) == now_ns
        bucket.take(need, now_ns)
        sent.append((now_ns, need))
    for start_ns, _ in sent:
        assert sum(need for at_ns, need in sent if start_ns <= at_ns < start_ns + MINUTE_NS) <= limit


def test_waiting_ends_as_soon_as_enough_is_a_minute_old():
    bucket = Sliding(2)
    bucket.take(1, 0)
    bucket.take(1, 10 * S)
    assert bucket.free_at(1, 11 * S) == 61 * S
    assert bucket.free_at(2, 11 * S) == 71 * S


def test_more_than_the_limit_is_let_go_alone():
    bucket = Sliding(100)
    assert bucket.free_at(5000, 0) == 0
    bucket.take(5000, 0)
    assert bucket.free_at(1, S) == 61 * S


def test_what_was_not_used_is_free_again():
    bucket = Sliding(100)
    entry = bucket.take(100, 0)
    bucket.correct(entry, -60)
    assert bucket.free_at(60, S) == S
    assert bucket.free_at(61, S) == 61 * S


def test_a_correction_of_what_is_forgotten_changes_nothing():
    bucket = Sliding(10)
    entry = bucket.take(10, 0)
    assert bucket.free_at(10, 62 * S) == 62 * S
    bucket.take(10, 62 * S)
    bucket.correct(entry, -10)
    assert bucket.free_at(1, 63 * S) == 123 * S


def test_a_bucket_that_fills_steadily_is_waited_for_as_long_as_it_takes():
    told = Told()
    told.learn(limit=60, remaining=0, reset_ns=60 * S, sent_since=0, now_ns=0)
    assert told.free_at(1, 0, 1) == 1 * S
    assert told.free_at(10, 0, 1) == 10 * S


def test_a_count_by_the_minute_is_waited_for_to_its_end():
    told = Told()
    told.learn(limit=60, remaining=59, reset_ns=50 * S, sent_since=0, now_ns=0)
    told.learn(limit=60, remaining=0, reset_ns=50 * S, sent_since=0, now_ns=5 * S)
    assert told.free_at(1, 5 * S, 1) == 50 * S
    assert told.free_at(1, 50 * S, 1) == 50 * S, "the minute is over"


def test_what_was_sent_since_is_taken_off():
    told = Told()
    told.learn(limit=10, remaining=9, reset_ns=60 * S, sent_since=7, now_ns=0)
    told.take(2)
    assert told.free_at(1, 0, 1) > 0


def test_each_of_four_workers_takes_its_share_of_what_is_left():
    told = Told()
    told.learn(limit=100, remaining=99, reset_ns=60 * S, sent_since=0, now_ns=0)
    alone = 0
    while told.free_at(1, 0, 4) == 0:
        told.take(1)
        alone += 1
    assert alone == 99 - 4 + 1


def test_the_next_minute_has_the_same_limit():
    told = Told()
    told.learn(limit=3, remaining=2, reset_ns=60 * S, sent_since=0, now_ns=0)
    for _ in range(3):
        assert told.free_at(1, 60 * S, 1) == 60 * S
        told.take(1)
    assert told.free_at(1, 61 * S, 1) == 120 * S


def test_a_count_near_the_end_of_its_minute_is_not_taken_for_a_fast_bucket():
    told = Told()
    told.learn(limit=3, remaining=0, reset_ns=S, sent_since=0, now_ns=0)
    assert told.free_at(1, 0, 1) == S


def test_a_steady_bucket_is_never_fuller_than_full():
    told = Told()
    told.learn(limit=60, remaining=59, reset_ns=S, sent_since=0, now_ns=0)
    assert told.free_at(1, 50 * S, 1) == 50 * S
    told.take(60)
    assert told.free_at(1, 50 * S, 1) == 51 * S
