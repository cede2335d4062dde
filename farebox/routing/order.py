"""In which order a model's targets are tried for a call, by its strategy; and why each one that is left out is.

`priority`  as written; a lower ``priority`` goes first, and among equals the order of the file.
`weighted`  one is drawn by weight within each priority; the others follow, drawn the same way.
`cheapest`  by the expected cost of this call at this moment; targets of which it is not known come last.
`fastest`   by the time that an answer is expected to take, from what was seen lately; a small share of the calls goes
            to targets of which nothing was seen lately, so that something is.
`balanced`  by a score of cost, time and health, each in proportion to the best target's, with the weights given.
`sticky`    as `weighted`, but the same session draws the same target each time, so that what its provider has cached
            of the conversation is met again.
`auto`      targets for small models first where the prompt is an easy one, those for large ones where it is hard;
            among them by expected cost.

A target that fails, or asked to be left alone, comes after those that do not. A draw is not a matter of luck: it is
made from the call's id, or the session's, so that it can be explained afterwards.
"""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from math import log
from operator import attrgetter

import msgspec

from farebox.config.models import Balance, Grade, Model, Strategy, When
from farebox.health.vitals import Vitals
from farebox.route import Target
from farebox.routing.expect import Pricer
from farebox.routing.request import Request

VitalsOf = Callable[[Target], Vitals]
_MASK = 2**64 - 1
_EXPLORED = 0.05  # share of the calls that `fastest` sends where nothing was seen lately
_STALE_NS = 60_000_000_000
_DRAWN = frozenset({"weighted", "sticky"})
_SCORE = attrgetter("score")
_PRIORITY = attrgetter("option.priority")


class Option(msgspec.Struct, frozen=True):
    """A target as a model's table lists it.

    Attributes:
        target: the provider and the model.
        name: of both, for people.
        number: of the name, for draws.
        weight: its share among targets of the same priority; 0 is only drawn where no other is left.
        priority: lower goes first.
        when: the operator's conditions, or None where there are none.
        grade: for `auto`.
        canary_percent: share of the calls that it gets first; it is last for all others. 0: it is no canary.
        pricer: what calls are expected to cost there.
        window: largest input that it is known to take, in tokens.
    """

    target: Target
    name: str
    number: int
    weight: int
    priority: int
    when: When | None
    grade: Grade
    canary_percent: float
    pricer: Pricer
    window: int


class Candidate(msgspec.Struct, gc=False):
    """A target that was considered.

    Attributes:
        option: the target.
        expected_femto: what the call is expected to cost there, femtodollars; None where that is not known or was not
            asked.
        saving_femto: how much less that is because of what the provider has cached, femtodollars.
        score: what it was ordered by, lower first; None where it was left out.
        dropped_because: why it was left out, or "".
        is_last_resort: whether it was not left out altogether: it is tried where nobody else answers.
    """

    option: Option
    expected_femto: int | None = None
    saving_femto: int = 0
    score: float | None = None
    dropped_because: str = ""
    is_last_resort: bool = False


class Sight(msgspec.Struct, frozen=True, gc=False):
    """What a call looks like at the moment when it is planned.

    Attributes:
        request: the call.
        seed: what draws are made from: the id of the call, or of the session.
        call: the id of the call.
        streams: whether it wants a stream.
        output_tokens: that its answer is expected to have.
        now_ns: the wall clock.
        mono_ns: the monotonic clock.
        difficulty: of the prompt, 0 to 1, for `auto`.
    """

    request: Request
    seed: str
    call: str
    streams: bool
    output_tokens: int
    now_ns: int
    mono_ns: int
    difficulty: float = 0.0


def number_of(text: str) -> int:
    """Return 64 bits that a text stands for in draws."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def draw(seed: int, option: int) -> float:
    """Return a number above 0 and up to 1 that a seed draws for an option (the mixing steps are splitmix64's)."""
    mixed = ((seed ^ option) + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((mixed ^ (mixed >> 31)) + 1) / 2**64


def set_scores(model: Model, candidates: Sequence[Candidate], sight: Sight, vitals_of: VitalsOf) -> None:
    """Give each candidate its score, lower first.

    Args:
        model: whose strategy it is.
        candidates: those that may answer the call.
        sight: the call.
        vitals_of: tells how well a target does.
    """
    strategy = model.strategy
    if strategy == "priority":
        for one in candidates:
            one.score = float(one.option.priority)
    elif strategy in _DRAWN:
        seed = number_of(sight.seed)
        for one in candidates:
            one.score = _weigh(one.option, seed)
    elif strategy == "fastest":
        _score_time(candidates, sight, vitals_of)
    elif strategy == "balanced":
        _score_balance(candidates, sight, model.balance, vitals_of)
    else:
        _score_cost(candidates)
        if strategy == "auto":
            wanted = "large" if sight.difficulty >= model.auto.threshold else "small"
            for one in candidates:
                one.score = (one.score or 0.0) + (0.0 if one.option.grade == wanted else 1e9)


def sort(strategy: Strategy, candidates: list[Candidate], *, has_priorities: bool) -> None:
    """Put candidates in order; equals stay in the order of the file.

    Args:
        strategy: whose scores they have.
        candidates: to be sorted, in place.
        has_priorities: whether some go before others: the draw decides within a priority, all other scores before it.
    """
    if has_priorities and strategy not in _DRAWN:
        candidates.sort(key=_PRIORITY)
    candidates.sort(key=_SCORE)
    if has_priorities and strategy in _DRAWN:
        candidates.sort(key=_PRIORITY)
    if strategy == "sticky":
        candidates.sort(key=_warm_first)


def _warm_first(candidate: Candidate) -> bool:
    return not candidate.saving_femto


def _weigh(option: Option, seed: int) -> float:
    """Return a draw by weight: the least of them is each option with the probability of its weight.

    Weighted rendezvous hashing (Mosko and others): a target that is added or removed moves only its own share.
    """
    share = draw(seed, option.number)
    return -log(share) / option.weight if option.weight else 1e9 - log(share)


def _score_cost(candidates: Sequence[Candidate]) -> None:
    for one in candidates:
        cost = one.expected_femto
        one.score = 1e8 if cost is None else cost / 1e15


def _seconds(vitals: Vitals, sight: Sight) -> float | None:
    expected_ns = vitals.pulse.expected_ns(sight.output_tokens, streams=sight.streams)
    return None if expected_ns is None else expected_ns / 1e9


def _score_time(candidates: Sequence[Candidate], sight: Sight, vitals_of: VitalsOf) -> None:
    seed = number_of(sight.call)
    is_explorer = draw(seed, 1) < _EXPLORED
    all_vitals = [vitals_of(one.option.target) for one in candidates]
    times = [_seconds(vitals, sight) for vitals in all_vitals]
    known = [seconds for seconds in times if seconds is not None]
    best = min(known, default=0.0)
    for one, vitals, seconds in zip(candidates, all_vitals, times, strict=True):
        is_stale = is_explorer and sight.mono_ns - vitals.pulse.seen_ns > _STALE_NS
        if seconds is None or is_stale:
            # Never seen, or not lately: for explorers the first, else right behind the best.
            one.score = (0.0 if is_explorer or not known else best) + 1e-9 * _weigh(one.option, seed)
        else:
            one.score = seconds


def _score_balance(candidates: Sequence[Candidate], sight: Sight, balance: Balance, vitals_of: VitalsOf) -> None:
    all_vitals = [vitals_of(one.option.target) for one in candidates]
    times = [_seconds(vitals, sight) for vitals in all_vitals]
    costs = [one.expected_femto for one in candidates if one.expected_femto is not None]
    least_femto = min(costs, default=0) or 1
    least_s = min([seconds for seconds in times if seconds is not None], default=0.0) or 1.0
    dearest = max(costs, default=1) / least_femto + 1
    weights = balance.cost + balance.latency + balance.health or 1.0
    for one, vitals, seconds in zip(candidates, all_vitals, times, strict=True):
        cost = dearest if one.expected_femto is None else max(1, one.expected_femto) / least_femto
        time = 1.0 if seconds is None else seconds / least_s
        health = 1 / vitals.success_share(sight.mono_ns)
        one.score = (balance.cost * cost + balance.latency * time + balance.health * health) / weights
