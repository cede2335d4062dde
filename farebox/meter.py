"""From what was seen of an attempt to its end on record: usage taken apart, priced, flagged. Pure.

Every attempt whose bytes may have reached a provider gets a cost: exact from the provider's usage, or a floor
counted from what was seen (``estimated``), or the worst case (``assumed``). Only an attempt that provably was
not billed, because no connection came about or the provider refused it, costs nothing.
"""

import contextlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from farebox.call import Answered
from farebox.charge import Charge, Line, Unpriced
from farebox.errors import UsageViolation
from farebox.journal.record import Done, Flag, Outcome, Sent
from farebox.normalise.context import read_tier
from farebox.normalise.detect import detect_api, provider_id
from farebox.normalise.evidence import Evidence, read_evidence
from farebox.normalise.table import Normaliser, normaliser
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.prices.worst import Bound, worst_case_of
from farebox.usage import METERS, Usage

# An estimate where no tokenizer is trusted: a token of English text has about four bytes.
BYTES_PER_TOKEN = 4
# A call without an output cap is assumed to have been cut here; longer answers are rare and need a cap anyway.
ASSUMED_OUTPUT_TOKENS = 16_384
# What providers put around a request and bill: chat templates, a default system prompt, instructions for tools.
UNSEEN_INPUT_TOKENS = 1024
# No model reads more, so no more is billed, however many bytes of images there are.
MAX_INPUT_TOKENS = 2_097_152

# Usage as every provider's chat and embeddings have it; the rest of it is the provider's own.
_SHAPES: dict[str, Mapping[str, Any]] = {
    "chat": {"prompt_tokens": 0, "completion_tokens": 0},
    "embeddings": {"prompt_tokens": 0, "total_tokens": 0},
}
_METERED = frozenset({"chat", "embeddings", "messages"})
# What a provider's own figure is rounded to, femtodollars: xAI bills in ticks of 1e-10 USD, others say no more
# than 1e-9 USD.
_GRAINS_FEMTO = {"x-ai": 10**5}
_GRAIN_FEMTO = 10**6
# The members of a usage object that `read_evidence` reads; most have none of them, which is told faster.
_EVIDENT = frozenset({"service_tier", "serviceTier", "trafficType", "traffic_type", "speed", "inference_geo"})
_NO_EVIDENCE = Evidence()
_NO_FACTS: Mapping[str, str] = {}
_encode = msgspec.json.Encoder().encode
_read_tier = lru_cache(maxsize=256)(read_tier)  # for words of providers; those of clients may be of any length


class Priced(msgspec.Struct, frozen=True):
    """An attempt's usage and charge.

    Attributes:
        meters: disjoint quantities.
        lines: of the charge.
        total_femto: sum of the lines, or None where unpriced.
        unpriced: why, or "".
        flags: see `journal.record.Flag`.
        reported_femto: what the provider says it cost, femtodollars, or None.
    """

    meters: dict[str, int]
    lines: tuple[Line, ...]
    total_femto: int | None
    unpriced: str
    flags: tuple[Flag, ...]
    reported_femto: int | None = None


UNBILLED = Priced({}, (), 0, "", ())


def price_answer(book: PriceBook, sent: Sent, answered: Answered) -> Priced:
    """Return what a complete answer costs by the provider's own usage.

    Args:
        book: the price book.
        sent: the attempt.
        answered: the answer; its usage may be missing.
    """
    if sent.provider_operation not in _METERED:
        return UNBILLED  # counting tokens is free at every provider that offers it
    raw = answered.usage
    if raw is None:
        return _flagged(estimate(book, sent, answered), "no_usage")
    try:
        usage = _normaliser(sent.rate_provider, sent.provider_operation)(raw)
    except UsageViolation as violation:
        return Priced({}, (), None, f"usage: {violation}", ("unpriced", "quarantined"))
    return _rate(book, sent, answered, usage)


def estimate(book: PriceBook, sent: Sent, answered: Answered) -> Priced:
    """Return a floor of what an attempt costs, from what was seen before it broke off.

    Counts the provider has sent so far are taken where they are larger than what was seen.
    """
    if sent.provider_operation not in _METERED:
        return UNBILLED
    meters: dict[str, int] = {}
    facts: dict[str, str] = {}
    if answered.usage is not None:
        with contextlib.suppress(UsageViolation):  # half an answer's counts may not add up yet
            usage = _normaliser(sent.rate_provider, sent.provider_operation)(answered.usage)
            meters, facts = dict(usage.meters), usage.facts
    if not any(quantity for meter, quantity in meters.items() if METERS[meter].family == "input"):
        meters["input"] = tokens_of(sum(sent.parts.values()))
    seen = max(answered.content_events, tokens_of(answered.content_bytes))
    if seen > meters.get("output", 0) + meters.get("reasoning", 0):
        meters["output"] = seen - meters.get("reasoning", 0)
    return _flagged(price_meters(book, sent, answered, meters, facts), "estimated")


def price_meters(
    book: PriceBook, sent: Sent, answered: Answered, meters: dict[str, int], facts: Mapping[str, str] = _NO_FACTS
) -> Priced:
    """Return what meters cost that did not come from a whole answer, such as those of an estimate on record.

    Args:
        book: the price book.
        sent: the attempt.
        answered: what is known of the answer.
        meters: disjoint quantities.
        facts: what else the usage says about how it is billed.
    """
    total = sum(quantity for meter, quantity in meters.items() if METERS[meter].family == "input")
    return _rate(book, sent, answered, Usage(meters, total, facts=dict(facts)))


def assume(book: PriceBook, sent: Sent) -> Priced:
    """Return the worst case of an attempt of whose answer nothing is known.

    Every byte of the body may have been a token of the dearest kind, and the output may have reached its cap.
    The body and not its text: roles, separators and images are billed too.
    """
    if sent.provider_operation not in _METERED:
        return UNBILLED
    cap = ASSUMED_OUTPUT_TOKENS if sent.output_cap is None else sent.output_cap
    bound = min(sent.body_bytes + UNSEEN_INPUT_TOKENS, MAX_INPUT_TOKENS)
    worst = worst_case_of(
        book,
        Bound(
            sent.rate_provider,
            sent.model,
            bound,
            cap,
            sent.at_ns,
            read_tier(sent.asked_tier) if sent.asked_tier else None,
            sent.region or None,
            _facts_of(sent),
        ),
    )
    meters = {"input": bound, "output": cap}
    if isinstance(worst, Charge):
        meters = {line.meter: line.quantity for line in worst.lines}
    return _flagged(_priced(sent, worst, Usage(meters, bound)), "assumed")


def lost(book: PriceBook, sent: Sent, at_ns: int) -> Done:
    """Return the end of an attempt that nobody saw because the gateway died."""
    priced = assume(book, sent)
    return end(
        sent,
        priced,
        Answered(error="the gateway stopped before the end of this attempt was seen"),
        Ended(outcome="lost", at_ns=at_ns, book=book.hash),
    )


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How and when an attempt ended; times are durations in nanoseconds but for ``at_ns``."""

    outcome: Outcome
    at_ns: int
    book: str
    final: bool = True
    status: int = 0
    provider_request: str = ""
    first_token_ns: int | None = None
    total_ns: int = 0
    gateway_ns: int = 0
    charged_femto: int | None = None


def end(sent: Sent, priced: Priced, answered: Answered, ended: Ended) -> Done:
    """Return the record of an attempt's end."""
    return Done(
        sent.attempt,
        ended.at_ns,
        ended.outcome,
        ended.final,
        ended.status,
        answered.finish,
        priced.flags,
        answered.error,
        b"" if answered.usage is None else _encode(answered.usage),
        priced.meters,
        priced.lines,
        priced.total_femto,
        priced.unpriced,
        ended.book,
        answered.model,
        answered.service_tier,
        ended.provider_request,
        ended.first_token_ns,
        ended.total_ns,
        ended.gateway_ns,
        priced.reported_femto,
        ended.charged_femto,
    )


def tokens_of(size_bytes: int) -> int:
    """Return about how many tokens a text of that many bytes has, rounded up."""
    return -(-size_bytes // BYTES_PER_TOKEN)


@lru_cache(maxsize=256)
def _normaliser(rate_provider: str, operation: str) -> Normaliser:
    """Return what reads a provider's usage: of messages by their dialect, else as the provider itself counts."""
    if operation == "messages":
        return normaliser("anthropic-messages")
    return normaliser(detect_api(provider_id(rate_provider), operation, _SHAPES[operation]))


def _rate(book: PriceBook, sent: Sent, answered: Answered, usage: Usage) -> Priced:
    raw = answered.usage
    evidence = _NO_EVIDENCE if raw is None or _EVIDENT.isdisjoint(raw) else read_evidence(raw)
    rating = Rating(
        sent.rate_provider,
        answered.model,
        sent.model,
        usage,
        sent.at_ns,
        _read_tier(answered.service_tier) if answered.service_tier else evidence.service_tier,
        None,
        evidence.speed,
        evidence.region or sent.region or None,
        _facts_of(sent),
    )
    return _priced(sent, charge(book, rating), usage)


def _facts_of(sent: Sent) -> Mapping[str, str]:
    return {"deployment": sent.deployment} if sent.deployment else _NO_FACTS


def _priced(sent: Sent, result: Charge | Unpriced, usage: Usage) -> Priced:
    reported_femto = usage.reported_femto
    if isinstance(result, Unpriced):
        return Priced(usage.meters, (), None, result.reason, ("unpriced",), reported_femto)
    flags: tuple[Flag, ...] = ()
    if reported_femto is not None:
        grain_femto = _GRAINS_FEMTO.get(provider_id(sent.rate_provider), _GRAIN_FEMTO)
        if abs(reported_femto - result.total_femto) > grain_femto:
            flags = ("reported_differs",)
    return Priced(usage.meters, result.lines, result.total_femto, "", flags, reported_femto)


def _flagged(priced: Priced, flag: Flag) -> Priced:
    return msgspec.structs.replace(priced, flags=(*priced.flags, flag))
