"""What was used in a span of time by one group of attempts, exactly; and the scopes that the group belongs to.

A `Tally` adds up. Its money is whole femtodollars; baselines take floats of it, which are statistics and never shown as
money.
"""

from collections.abc import Iterable
from typing import Self

import msgspec

HOUR_MINUTES = 60
WEEK_HOURS = 168
# The order in which scopes are named where two tell the same: who spends goes before what is spent on.
KINDS = ("key", "tag", "team", "model")


class Tally(msgspec.Struct):
    """What was used.

    Attributes:
        calls: first attempts.
        attempts: all, with repeats, failovers, hedges and shadows.
        unpriced: of these, attempts without a price; their tokens are not counted below.
        input_tokens: of attempts with a price, like everything below.
        cached_tokens: of these, read from a cache.
        output_tokens: of the answers.
        cost_femto: the whole charge.
        cached_femto: of it, for tokens read from a cache.
        output_femto: of it, for answers.
        other_femto: of it, for what is no token: fees, media, time, steps of contracts.
    """

    calls: int = 0
    attempts: int = 0
    unpriced: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost_femto: int = 0
    cached_femto: int = 0
    output_femto: int = 0
    other_femto: int = 0

    def add(self, other: "Tally") -> None:
        """Add what another group used."""
        self.calls += other.calls
        self.attempts += other.attempts
        self.unpriced += other.unpriced
        self.input_tokens += other.input_tokens
        self.cached_tokens += other.cached_tokens
        self.output_tokens += other.output_tokens
        self.cost_femto += other.cost_femto
        self.cached_femto += other.cached_femto
        self.output_femto += other.output_femto
        self.other_femto += other.other_femto

    @property
    def fresh_femto(self) -> int:
        """The charge for input that no cache held."""
        return self.cost_femto - self.cached_femto - self.output_femto - self.other_femto

    @classmethod
    def sum(cls, tallies: Iterable["Tally"]) -> Self:
        """Return what several groups used together."""
        total = cls()
        for each in tallies:
            total.add(each)
        return total


class Cell(msgspec.Struct, frozen=True):
    """A group of attempts that nothing here tells apart.

    Attributes:
        key: name of the virtual key, or "".
        team: of the key, or "".
        model: what clients asked for.
        target: what was asked of whom, ``provider/model``, with the tier behind a blank where there is one.
        tags: ``name=value`` of the tags that are watched, in order.
    """

    key: str
    team: str
    model: str
    target: str
    tags: tuple[str, ...] = ()

    def scopes(self) -> list[str]:
        """Return the scopes that the group belongs to, as flags name them."""
        found = [f"tag:{tag}" for tag in self.tags]
        if self.key:
            found.append(f"key:{self.key}")
        if self.team:
            found.append(f"team:{self.team}")
        if self.model:
            found.append(f"model:{self.model}")
        return found
