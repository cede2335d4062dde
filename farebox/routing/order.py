"""In which order a model's targets are tried for a call, by its strategy; and why each one that is left out is.

`priority`  as written; a lower ``priority`` goes first, and among equals the order of the file.
`weighted`  one is drawn by weight within each priority; the others follow, drawn the same way.
`cheapest`  by the expected cost of this call at this moment; targets of which it is not known come last.
`sticky`    as `weighted`, but the same end user of the same key draws the same target each time, so that what its
            provider has cached of the conversation is met again.

A draw is not a matter of luck: it is made from the call's id, or the session's, so that it can be explained afterwards.
"""

from collections.abc import Sequence
from hashlib import blake2b
from math import log

import msgspec

from farebox.config.models import Strategy, When
from farebox.prices.book import PriceBook
from farebox.route import Target
from farebox.routing.conditions import find_obstacle
from farebox.routing.expect import expected_femto
from farebox.routing.request import Request


class Option(msgspec.Struct, frozen=True):
    """A target as a model's table lists it.

    Attributes:
        target: the provider and the model.
        weight: its share among targets of the same priority; 0 is only drawn where no other is left.
        priority: lower goes first.
        when: the operator's conditions.
    """

    target: Target
    weight: int
    priority: int
    when: When


class Candidate(msgspec.Struct, frozen=True):
    """A target that was considered.

    Attributes:
        option: the target.
        expected_femto: what the call is expected to cost there, femtodollars; None where that is not known or was not
            asked.
        score: what it was ordered by, lower first; None where it was left out.
        dropped_because: why it was left out, or "".
    """

    option: Option
    expected_femto: int | None = None
    score: float | None = None
    dropped_because: str = ""


def consider(options: Sequence[Option], request: Request, book: PriceBook, now_ns: int) -> list[Candidate]:
    """Return every target of a model with why it is left out, if it is."""
    return [
        Candidate(option, dropped_because=find_obstacle(option.target, option.when, request, book, now_ns))
        for option in options
    ]


def price_candidates(
    candidates: Sequence[Candidate], request: Request, output_tokens: int, book: PriceBook, now_ns: int
) -> list[Candidate]:
    """Return candidates with what the call is expected to cost at each."""
    return [
        msgspec.structs.replace(
            candidate,
            expected_femto=expected_femto(book, candidate.option.target, request, output_tokens, now_ns),
        )
        for candidate in candidates
    ]


def rank(strategy: Strategy, candidates: Sequence[Candidate], seed: str) -> list[Candidate]:
    """Return the candidates in the order in which they are tried, those that are left out last.

    Args:
        strategy: see the head of this file.
        candidates: priced, for `cheapest`.
        seed: what the draw is made from: the id of the call, or of the session.
    """
    left = [candidate for candidate in candidates if not candidate.dropped_because]
    dropped = [candidate for candidate in candidates if candidate.dropped_because]
    scored = [msgspec.structs.replace(one, score=_score(strategy, one, seed)) for one in left]
    if strategy == "cheapest":
        scored.sort(key=_by_cost)
    else:
        scored.sort(key=_by_priority)
    return [*scored, *dropped]


def _by_cost(candidate: Candidate) -> tuple[bool, float, int]:
    cost = candidate.expected_femto
    return cost is None, cost or 0, candidate.option.priority


def _by_priority(candidate: Candidate) -> tuple[int, float]:
    return candidate.option.priority, candidate.score or 0.0


def _score(strategy: Strategy, candidate: Candidate, seed: str) -> float:
    if strategy == "cheapest":
        return float(candidate.expected_femto or 0) / 1e15
    if strategy in {"weighted", "sticky"}:
        return _draw(candidate.option, seed)
    return float(candidate.option.priority)


def _draw(option: Option, seed: str) -> float:
    """Return a draw by weight: the least of them is each option with the probability of its weight.

    Weighted rendezvous hashing (Mosko and others): a target that is added or removed moves only its own share.
    """
    name = f"{seed}\0{option.target.provider.name}\0{option.target.model}"
    number = int.from_bytes(blake2b(name.encode(), digest_size=7).digest(), "big")
    share = (number + 1) / (2**56 + 1)
    return -log(share) / option.weight if option.weight else 1e9 - log(share)
