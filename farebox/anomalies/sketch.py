"""Quantiles of a stream of amounts within one percent, in a few hundred counters.

Counters by powers of a base, as DDSketch keeps them (Masson, Rim and Lee, PVLDB 12, 2019): the base is chosen so that
every amount in a bucket is within `ERROR` of the bucket's middle. Buckets add up, so a database can count into them.
What is stored is how often, never money.
"""

import math

import msgspec

ERROR = 0.01
LOG_BASE = math.log((1 + ERROR) / (1 - ERROR))
MOST_BUCKETS = 2048  # 18 decimal orders of magnitude


class Sketch(msgspec.Struct):
    """How many amounts fell into which bucket.

    Attributes:
        zeros: amounts of 0.
        counts: by bucket, see `bucket_of`.
    """

    zeros: int = 0
    counts: dict[int, int] = {}

    def add(self, bucket: int | None, count: int = 1) -> None:
        """Count amounts into a bucket; None is the bucket of 0."""
        if bucket is None:
            self.zeros += count
            return
        self.counts[bucket] = self.counts.get(bucket, 0) + count
        if len(self.counts) > MOST_BUCKETS:
            low, next_low = sorted(self.counts)[:2]
            self.counts[next_low] += self.counts.pop(low)  # the small ones lose precision; the large ones matter

    def size(self) -> int:
        """Return how many amounts were counted."""
        return self.zeros + sum(self.counts.values())

    def quantile(self, share: float) -> int:
        """Return the amount below which a share of 0 to 1 of the amounts lies, within `ERROR`; 0 of nothing."""
        rank = math.ceil(share * self.size())
        seen = self.zeros
        if rank <= seen:
            return 0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return middle_of(bucket)
        return 0

    def fade(self) -> None:
        """Halve all counts, so that what was long ago weighs less."""
        self.zeros //= 2
        self.counts = {bucket: count // 2 for bucket, count in self.counts.items() if count > 1}


def bucket_of(amount: int) -> int | None:
    """Return the bucket of an amount that is not negative; None for 0."""
    return None if amount <= 0 else math.ceil(math.log(amount) / LOG_BASE)


def middle_of(bucket: int) -> int:
    """Return an amount within `ERROR` of all that are in a bucket."""
    return round(math.exp(bucket * LOG_BASE) * (1 - ERROR))
