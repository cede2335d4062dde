"""From one line of a log to what the price engine takes: whose usage, of which API, under which circumstances.

The provider's own words in the answer go before what the context says, and the context's word for what was served
before its word for what was asked for. Nothing is guessed: what cannot be read is refused with the name of the
field.
"""

from collections.abc import Mapping
from typing import Any

from farebox.normalise.allowances import read_allowances
from farebox.normalise.answers import read_uses
from farebox.normalise.context import BadContext, Context, read_context, read_instant
from farebox.normalise.detect import detect_api, provider_id
from farebox.normalise.evidence import read_evidence
from farebox.normalise.vector import read_vector
from farebox.prices.choose import Position, Rating
from farebox.usage import Usage

__all__ = ["BadContext", "detect_api", "provider_id", "read_instant", "read_rating", "read_usage"]

# What an answer calls the usage object inside it.
_INSIDE = (
    *("usage", "usageMetadata", "usage_metadata", "usage_info", "response", "result", "x_groq"),
    "amazon-bedrock-invocationMetrics",
)


def read_rating(provider: str, model: str, usage: Mapping[str, Any], context: Mapping[str, Any], now_ns: int) -> Rating:
    """Return what there is to price.

    Args:
        provider: by any of its usual names.
        model: as it was asked for or answered.
        usage: a provider's raw usage object, an answer that has one, or quantities by name for what is billed
            without being an attempt.
        context: what is known beside it: see `normalise.context` and `normalise.allowances`.
        now_ns: the time where the context says none, nanoseconds since the epoch.

    Raises:
        UsageViolation: where the usage breaks a rule of its API, or a quantity is not known.
        BadContext: where a value of the context cannot be used.
    """
    provider = provider_id(provider)
    raw, answer = _unwrap(usage)
    known = read_context(context)
    if answer:
        _read_answer(answer, known)
        raw = {**read_uses(answer), **raw}
    vector = read_vector(provider, model, raw, context, known)
    evidence = read_evidence(raw)
    tier = evidence.service_tier or known.service_tier
    if tier == "batch":
        known.processing, tier = "batch", None
    if tier is None and known.processing is None:
        tier = known.asked_tier
    if tier is not None and "egress" in vector.usage.meters:
        known.facts["network_tier"], tier = tier, None  # of traffic, it is the quality of the network
    period = read_allowances(raw, context, vector.usage.meters, vector.span_s)
    return Rating(
        provider,
        known.answered,
        model,
        vector.usage,
        now_ns if known.at_ns is None else known.at_ns,
        tier,
        known.processing,
        evidence.speed or known.speed,
        evidence.region or known.region,
        known.facts,
        Position(period.used, period.free, period.days) if period.given else None,
    )


def read_usage(provider: str, model: str, usage: Mapping[str, Any], api: str = "") -> Usage:
    """Return the disjoint meters of a provider's raw usage object.

    Args:
        provider: by any of its usual names.
        model: as it was asked for or answered.
        usage: the raw usage object, or an answer that has one.
        api: a key of `normalise.table.NORMALISERS`, another name of an API, or "" to go by the shape.

    Raises:
        UsageViolation: where the usage breaks a rule of its API, or a quantity is not known.
    """
    raw, answer = _unwrap(usage)
    known = Context(api=api, facts={})
    return read_vector(provider_id(provider), model, {**read_uses(answer), **raw}, {}, known).usage


def _unwrap(usage: Mapping[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Return the usage object of what may be a whole answer, and the answer around it."""
    for key in _INSIDE:
        inside = usage.get(key)
        if inside and isinstance(inside, Mapping):
            return _unwrap(inside)[0], usage
    return usage, {}


def _read_answer(answer: Mapping[str, Any], known: Context) -> None:
    """Take over what an answer says beside its usage."""
    tier, model = answer.get("service_tier"), answer.get("model")
    if isinstance(tier, str) and tier:
        known.service_tier = read_evidence({"service_tier": tier}).service_tier
    if isinstance(model, str) and not known.answered:
        known.answered = model
