"""Why a group of attempts cost more than expected: the difference, split exactly over what changed.

The cost of a target is calls x attempts per call x its share of the attempts x tokens per attempt x price per token,
with the input's part that was read from a cache at a price of its own. Each of the six goes from its expected to its
actual value; what one of them contributes is the mean of its effect over all orders in which they can change (the
Shapley value). That leaves no rest: in rational numbers the parts add up to the difference, and rounding to whole
femtodollars is done so that they still do.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import cache
from itertools import combinations
from math import factorial
from typing import Literal

import msgspec

from farebox.anomalies.tally import Tally

Cause = Literal["volume", "mix", "retries", "length", "cache", "price"]
CAUSES: tuple[Cause, ...] = ("volume", "mix", "retries", "length", "cache", "price")


class _Side(msgspec.Struct, frozen=True):
    """What the cost of a target follows from; every field is one value, actual or expected."""

    share: Fraction
    input: Fraction
    output: Fraction
    cached: Fraction
    cached_price: Fraction
    fresh_price: Fraction
    output_price: Fraction
    other_price: Fraction


def decompose(
    actual: Mapping[str, Tally], expected: Mapping[str, Tally], growth: Fraction = Fraction(1)
) -> dict[Cause, int]:
    """Return what each cause adds to the cost, in femtodollars; the sum is the difference, to the last one.

    Args:
        actual: what was used, by target.
        expected: what was to be expected, by target, for as long a time.
        growth: what the expected amounts are multiplied with: all of them, so it is a matter of volume.

    The expected cost is rounded to whole femtodollars, half to even.
    """
    now, before = Tally.sum(actual.values()), Tally.sum(expected.values())
    calls = (Fraction(_calls(before)) * growth, Fraction(_calls(now)))
    repeats = tuple(
        next((Fraction(each.attempts, _calls(each)) for each in pair if each.attempts), Fraction(1))
        for pair in ((before, now), (now, before))
    )
    sums = dict.fromkeys(CAUSES, Fraction(0))
    for target in sorted({*actual, *expected}):
        came, awaited = actual.get(target, Tally()), expected.get(target, Tally())
        sides = _side(awaited, came, before), _side(came, awaited, now)
        cost = _cost_of(calls, repeats, sides)
        for index, cause in enumerate(CAUSES):
            sums[cause] += _shapley(index, cost)
    difference = now.cost_femto - round(before.cost_femto * growth)
    return _rounded(sums, difference)


def _calls(tally: Tally) -> int:
    """Calls, or attempts where no first attempt is among them (the rest of a call that began earlier)."""
    return tally.calls or tally.attempts


def _side(own: Tally, other: Tally, everything: Tally) -> _Side:
    """Return what one side says of a target; what it does not know is as on the other: it did not change."""

    def ratio(part: Callable[[Tally], int], whole: Callable[[Tally], int]) -> Fraction:
        for tally in (own, other):
            if whole(tally):
                return Fraction(part(tally), whole(tally))
        return Fraction(0)

    def fresh_tokens(tally: Tally) -> int:
        return tally.input_tokens - tally.cached_tokens

    fresh = ratio(lambda tally: tally.fresh_femto, fresh_tokens)
    cached = fresh
    if own.cached_tokens or other.cached_tokens:
        cached = ratio(lambda tally: tally.cached_femto, lambda tally: tally.cached_tokens)
    return _Side(
        share=Fraction(own.attempts, everything.attempts or 1),
        input=ratio(lambda tally: tally.input_tokens, lambda tally: tally.attempts),
        output=ratio(lambda tally: tally.output_tokens, lambda tally: tally.attempts),
        cached=ratio(lambda tally: tally.cached_tokens, lambda tally: tally.input_tokens),
        cached_price=cached,
        fresh_price=fresh,
        output_price=ratio(lambda tally: tally.output_femto, lambda tally: tally.output_tokens),
        other_price=_other_price(own, other),
    )


def _other_price(own: Tally, other: Tally) -> Fraction:
    """Return what an attempt costs besides its tokens: fees, and charges of tokens that were not counted."""
    for tally in (own, other):
        if tally.attempts:
            rest = tally.other_femto
            rest += 0 if tally.output_tokens else tally.output_femto
            rest += 0 if tally.cached_tokens else tally.cached_femto
            rest += 0 if tally.input_tokens - tally.cached_tokens else tally.fresh_femto
            return Fraction(rest, tally.attempts)
    return Fraction(0)


def _cost_of(
    calls: tuple[Fraction, Fraction], repeats: tuple[Fraction, ...], sides: tuple[_Side, _Side]
) -> Callable[[int], Fraction]:
    """Return the cost of a target when the causes in a set (a bit mask) have changed and the others have not."""

    @cache
    def cost(changed: int) -> Fraction:
        volume, mix, retries, length, cached, price = (changed >> index & 1 for index in range(len(CAUSES)))
        tokens, prices, share = sides[length], sides[price], sides[cached].cached
        each = (
            tokens.input * (share * prices.cached_price + (1 - share) * prices.fresh_price)
            + tokens.output * prices.output_price
            + prices.other_price
        )
        return calls[volume] * repeats[retries] * sides[mix].share * each

    return cost


def _shapley(index: int, cost: Callable[[int], Fraction]) -> Fraction:
    """Return the mean over all orders of what a change adds when its turn comes."""
    others = [1 << other for other in range(len(CAUSES)) if other != index]
    total = Fraction(0)
    for size in range(len(others) + 1):
        weight = Fraction(factorial(size) * factorial(len(others) - size), factorial(len(CAUSES)))
        for chosen in combinations(others, size):
            already = sum(chosen)
            total += weight * (cost(already | 1 << index) - cost(already))
    return total


def _rounded(sums: Mapping[Cause, Fraction], difference: int) -> dict[Cause, int]:
    """Return whole femtodollars that add up to the difference; those cut off most are rounded up first."""
    whole = {cause: part.numerator // part.denominator for cause, part in sums.items()}
    missing = difference - sum(whole.values())
    order = sorted(CAUSES, key=lambda cause: (whole[cause] - sums[cause], CAUSES.index(cause)))
    for step in range(missing):
        whole[order[step % len(order)]] += 1
    return whole
