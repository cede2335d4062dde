"""Quantiles within one percent."""

import random

from hypothesis import given
from hypothesis import strategies as st

from farebox.anomalies.sketch import ERROR, MOST_BUCKETS, Sketch, bucket_of, middle_of


@given(st.integers(1, 10**24))
def test_a_bucket_holds_what_is_near_its_middle(amount):
    bucket = bucket_of(amount)
    assert bucket is not None
    assert abs(middle_of(bucket) - amount) <= amount * (ERROR + 1e-9) + 1


def test_the_last_thousandth_of_a_long_tail():
    draw = random.Random(3)
    amounts = sorted(round(10**12 * draw.lognormvariate(0, 1.5)) for _ in range(20_000))
    sketch = Sketch()
    for amount in amounts:
        sketch.add(bucket_of(amount))
    for share in (0.5, 0.9, 0.999):
        exact = amounts[int(share * len(amounts)) - 1]
        assert abs(sketch.quantile(share) - exact) <= 0.011 * exact


def test_what_is_free_counts_too():
    sketch = Sketch()
    sketch.add(bucket_of(0), 9)
    sketch.add(bucket_of(1000))
    assert (sketch.size(), sketch.quantile(0.9), sketch.quantile(0)) == (10, 0, 0)
    assert abs(sketch.quantile(0.99) - 1000) <= 10
    assert Sketch().quantile(0.5) == 0


def test_the_size_is_bounded_at_the_cost_of_the_small_ones():
    sketch = Sketch()
    for bucket in range(MOST_BUCKETS + 100):
        sketch.add(bucket)
    assert len(sketch.counts) == MOST_BUCKETS
    assert sketch.size() == MOST_BUCKETS + 100
    assert sketch.quantile(1) == middle_of(MOST_BUCKETS + 99)


def test_fading_keeps_the_shape():
    sketch = Sketch(zeros=4, counts={1: 9, 2: 1})
    sketch.fade()
    assert (sketch.zeros, sketch.counts) == (2, {1: 4})
