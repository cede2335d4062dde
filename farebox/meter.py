"""From what was seen of an attempt to its end on record: usage taken apart, priced, flagged. Pure.

Every attempt whose bytes may have reached a provider gets a cost: exact from the provider's usage, or a floor
counted from what was seen (``estimated``), or the worst case (``assumed``). Only an attempt that provably was
not billed, because no connection came about or the provider refused it, costs nothing.
"""

import contextlib

import msgspec

from farebox.call import Answered
from farebox.charge import Charge, Line, Unpriced
from farebox.errors import UsageViolation
from farebox.journal.record import Done, Flag, Outcome, Sent
from farebox.normalise.anthropic_messages import read_evidence
from farebox.normalise.table import normaliser
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.engine import Bound, charge, worst_case_of
from farebox.usage import METERS, Usage

# An estimate where no tokenizer is trusted: a token of English text has about four bytes.
BYTES_PER_TOKEN = 4
# A call without an output cap is assumed to have been cut here; longer answers are rare and need a cap anyway.
ASSUMED_OUTPUT_TOKENS = 16_384
# What providers put around a request and bill: chat templates, a default system prompt, instructions for tools.
UNSEEN_INPUT_TOKENS = 1024
# No model reads more, so no more is billed, however many bytes of images there are.
MAX_INPUT_TOKENS = 2_097_152

_APIS = {"chat": "openai-chat", "embeddings": "openai-embeddings", "messages": "anthropic-messages"}
_encode = msgspec.json.Encoder().encode


class Priced(msgspec.Struct, frozen=True):
    """An attempt's usage and charge.

    Attributes:
        meters: disjoint quantities.
        lines: of the charge.
        total_femto: sum of the lines, or None where unpriced.
        unpriced: why, or "".
        flags: see `journal.record.Flag`.
    """

    meters: dict[str, int]
    lines: tuple[Line, ...]
    total_femto: int | None
    unpriced: str
    flags: tuple[Flag, ...]


UNBILLED = Priced({}, (), 0, "", ())


def price_answer(book: PriceBook, sent: Sent, answered: Answered) -> Priced:
    """Return what a complete answer costs by the provider's own usage.

    Args:
        book: the price book.
        sent: the attempt.
        answered: the answer; its usage may be missing.
    """
    api = _APIS.get(sent.provider_operation)
    if api is None:
        return UNBILLED  # counting tokens is free at every provider that offers it
    raw = answered.usage
    if raw is None:
        return _flagged(estimate(book, sent, answered), "no_usage")
    try:
        usage = normaliser(api)(raw)
    except UsageViolation as violation:
        return Priced({}, (), None, f"usage: {violation}", ("unpriced", "quarantined"))
    return _rate(book, sent, answered, usage)


def estimate(book: PriceBook, sent: Sent, answered: Answered) -> Priced:
    """Return a floor of what an attempt costs, from what was seen before it broke off.

    Counts the provider has sent so far are taken where they are larger than what was seen.
    """
    api = _APIS.get(sent.provider_operation)
    if api is None:
        return UNBILLED
    meters: dict[str, int] = {}
    if answered.usage is not None:
        with contextlib.suppress(UsageViolation):  # half an answer's counts may not add up yet
            meters = dict(normaliser(api)(answered.usage).meters)
    if not any(quantity for meter, quantity in meters.items() if METERS[meter].family == "input"):
        meters["input"] = tokens_of(sum(sent.parts.values()))
    seen = max(answered.content_events, tokens_of(answered.content_bytes))
    if seen > meters.get("output", 0) + meters.get("reasoning", 0):
        meters["output"] = seen - meters.get("reasoning", 0)
    total = sum(quantity for meter, quantity in meters.items() if METERS[meter].family == "input")
    return _flagged(_rate(book, sent, answered, Usage(meters, total)), "estimated")


def assume(book: PriceBook, sent: Sent) -> Priced:
    """Return the worst case of an attempt of whose answer nothing is known.

    Every byte of the body may have been a token of the dearest kind, and the output may have reached its cap.
    The body and not its text: roles, separators and images are billed too.
    """
    if sent.provider_operation not in _APIS:
        return UNBILLED
    cap = ASSUMED_OUTPUT_TOKENS if sent.output_cap is None else sent.output_cap
    bound = min(sent.body_bytes + UNSEEN_INPUT_TOKENS, MAX_INPUT_TOKENS)
    worst = worst_case_of(
        book, Bound(sent.rate_provider, sent.model, bound, cap, sent.at_ns, service_tier=sent.asked_tier or None)
    )
    meters = {"input": bound, "output": cap}
    if isinstance(worst, Charge):
        meters = {line.meter: line.quantity for line in worst.lines}
    return _flagged(_priced(worst, meters), "assumed")


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
    )


def tokens_of(size_bytes: int) -> int:
    """Return about how many tokens a text of that many bytes has, rounded up."""
    return -(-size_bytes // BYTES_PER_TOKEN)


def _rate(book: PriceBook, sent: Sent, answered: Answered, usage: Usage) -> Priced:
    evidence = read_evidence(answered.usage or {})
    rating = Rating(
        provider=sent.rate_provider,
        answered=answered.model,
        asked=sent.model,
        usage=usage,
        at_ns=sent.at_ns,
        service_tier=answered.service_tier or None,
        speed=evidence.speed,
        region=evidence.region,
    )
    return _priced(charge(book, rating), usage.meters)


def _priced(result: Charge | Unpriced, meters: dict[str, int]) -> Priced:
    if isinstance(result, Unpriced):
        return Priced(meters, (), None, result.reason, ("unpriced",))
    return Priced(meters, result.lines, result.total_femto, "", ())


def _flagged(priced: Priced, flag: Flag) -> Priced:
    return msgspec.structs.replace(priced, flags=(*priced.flags, flag))
