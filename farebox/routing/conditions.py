"""Whether a target may answer a call: what the operator wrote under ``when``, and what the model cannot do at all."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from farebox.config.models import When
from farebox.prices.book import PriceBook
from farebox.prices.rates import About
from farebox.route import Target
from farebox.routing.request import Request

_VISION = frozenset({"vision", "image"})


def find_obstacle(target: Target, when: When | None, request: Request, book: PriceBook, now_ns: int) -> str:
    """Return why a target may not answer a call, in words, or "".

    Args:
        target: the provider and the model.
        when: the operator's conditions, or None where there are none.
        request: the call.
        book: what is known of models.
        now_ns: nanoseconds since the epoch.
    """
    if when is not None:
        obstacle = _who(when, request) or _how_much(when, request) or _hours(when, now_ns)
        if obstacle:
            return obstacle
    return _where(target, request) or _ability(about_of(book, target), request)


def about_of(book: PriceBook, target: Target) -> About | None:
    """Return what is known of a target's model beside its prices."""
    key = ("about-model", target.rate_provider, target.model)
    if key not in book.memo:
        found = book.find_model(target.rate_provider, target.model)
        book.memo[key] = found[0].about if found else None
    about: About | None = book.memo[key]
    return about


def _who(when: When, request: Request) -> str:
    if when.keys and request.key not in when.keys:
        return f"it is for the keys {', '.join(when.keys)}"
    if when.teams and request.team not in when.teams:
        return f"it is for the teams {', '.join(when.teams)}"
    for tag, value in when.tags.items():
        if request.tags.get(tag) != value:
            return f"it is for calls tagged {tag}={value}"
    if when.criticality and request.criticality not in when.criticality:
        return f"it is for {', '.join(when.criticality)} calls"
    if when.deadline_over_s is not None and (request.deadline_s or 0.0) < when.deadline_over_s:
        return f"it is for calls that may take {when.deadline_over_s:g} s or more"
    return ""


def _how_much(when: When, request: Request) -> str:
    tokens = request.input_tokens
    if when.input_tokens_over is not None and tokens <= when.input_tokens_over:
        return f"it is for inputs of more than {when.input_tokens_over} tokens, and this has about {tokens}"
    if when.input_tokens_up_to is not None and tokens > when.input_tokens_up_to:
        return f"it is for inputs of up to {when.input_tokens_up_to} tokens, and this has about {tokens}"
    return ""


def _hours(when: When, now_ns: int) -> str:
    if not when.hours:
        return ""
    local = datetime.fromtimestamp(now_ns // 10**9, UTC).astimezone(ZoneInfo(when.zone))
    minute = local.hour * 60 + local.minute
    start, end = when.minutes()
    is_within = start <= minute < end if start < end else minute >= start or minute < end
    return "" if is_within else f"it answers from {when.hours} ({when.zone})"


def _where(target: Target, request: Request) -> str:
    if request.region and target.provider.region != request.region:
        return f"it is in {target.provider.region or 'no named region'}, not in {request.region}"
    if request.zero_retention and not target.provider.zero_retention:
        return "its provider is not configured with zero_retention"
    return ""


def _ability(about: About | None, request: Request) -> str:
    if about is None:
        return ""
    window = about.context_tokens
    if window is not None and request.input_tokens > window:
        return f"its context window has {window} tokens, and the input has about {request.input_tokens}"
    if about.supports:
        supported = {*about.supports, *(("vision",) if _VISION & {*about.inputs, *about.supports} else ())}
        missing = request.needs - supported
        if missing:
            return f"it has no {', '.join(sorted(missing))}"
    return ""
