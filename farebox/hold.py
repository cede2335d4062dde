"""How much is reserved before an attempt is sent: the most it can cost, and the most tokens it can use. Pure.

A text has no more tokens than bytes, whatever the tokenizer; the output has a cap that the provider is told. Where
neither bounds the input (files, tools that the provider runs) the model's context window does.
"""

import msgspec

from farebox.call import Asked
from farebox.meter import MAX_INPUT_TOKENS, UNSEEN_INPUT_TOKENS
from farebox.prices.book import PriceBook
from farebox.prices.worst import Bound, most_of
from farebox.route import Target
from farebox.wire.unseen import NOTHING, Unseen, read_unseen

# More than any published formula makes of one image: 36,835 tokens for 2048 x 768 at high detail (gpt-4o-mini).
IMAGE_TOKENS = 50_000
# Where nobody publishes how long an answer of the model can be.
DEFAULT_OUTPUT_TOKENS = 16_384
# What may be on its way when an answer breaks off: at most a second of the fastest models, in a chunk or two.
UNSEEN_OUTPUT_TOKENS = 256
_CHATS = frozenset({"chat", "messages"})
_FREE = frozenset({"count_tokens"})


class Demand(msgspec.Struct, frozen=True):
    """What an attempt may need at most.

    Attributes:
        femto: its cost, femtodollars; 0 where nothing of it is billed.
        input_tokens: of its input.
        output_tokens: of its output.
        unpriced: why the cost is not known, or "".
        bound: what the cost was computed from, or None where nothing is billed.
    """

    femto: int
    input_tokens: int
    output_tokens: int
    unpriced: str = ""
    bound: Bound | None = None


def demand_of(
    book: PriceBook, asked: Asked, target: Target, *, body_bytes: int, output_cap: int | None, at_ns: int
) -> Demand:
    """Return what an attempt may need at most.

    Args:
        book: the price book.
        asked: what the client asked.
        target: where it goes.
        body_bytes: size of the body that is sent.
        output_cap: the output limit that the provider is told, over all choices; None: it is told none.
        at_ns: when it is sent, nanoseconds since the epoch.
    """
    if asked.operation in _FREE:
        return Demand(0, 0, 0)
    unseen = read_unseen(asked.body) if asked.operation in _CHATS else NOTHING
    input_tokens = _bound_input(book, target, body_bytes, unseen)
    output_tokens = output_limit(book, target) if output_cap is None else output_cap
    # Tokens of a prediction that are not taken over are billed as output, beyond the cap.
    output_tokens += unseen.predicted_bytes
    bound = Bound(
        target.rate_provider,
        target.model,
        input_tokens,
        output_tokens,
        at_ns,
        _read(asked, "service_tier") or target.service_tier or None,
        _read(asked, "inference_geo") or target.provider.region or None,
        {"deployment": target.provider.deployment} if target.provider.deployment else {},
        unseen.calls,
        _read(asked, "speed"),
    )
    femto = most_of(book, bound)
    if isinstance(femto, str):
        return Demand(0, input_tokens, output_tokens, femto, bound)
    return Demand(femto, input_tokens, output_tokens, "", bound)


def output_limit(book: PriceBook, target: Target) -> int:
    """Return the most tokens a model's answer can have, where that is published, else `DEFAULT_OUTPUT_TOKENS`."""
    return _about(book, target)[1]


def output_room(book: PriceBook, target: Target, input_bytes: int) -> int:
    """Return the output cap that a request without one is given: the most the model can answer to that much input.

    Some servers refuse a cap that does not fit into the context window together with the input, so the input is
    taken off by what it is likely to have, a token for three bytes.
    """
    window, output = _about(book, target)[:2]
    return max(1, min(output, window - input_bytes // 3))


def affordable_output(book: PriceBook, demand: Demand, room_femto: int) -> int:
    """Return the most output tokens that an attempt can be allowed for what is left, femtodollars; 0: not even one."""
    if demand.bound is None or demand.unpriced:
        return 0
    low, high = 0, demand.output_tokens
    while low < high:
        middle = (low + high + 1) // 2
        cost = most_of(book, msgspec.structs.replace(demand.bound, output_tokens=middle))
        if isinstance(cost, int) and cost <= room_femto:
            low = middle
        else:
            high = middle - 1
    return low


def charge_of_broken(book: PriceBook, demand: Demand, target: Target, seen_bytes: int, total_ns: int) -> int | None:
    """Return the most that an attempt can have cost whose answer broke off, or None where that is not known.

    What came in has at most a token a byte, and little more can have been on its way. What a model reasons where nobody
    sees it is bounded by the time it took.

    Args:
        book: the price book.
        demand: what was held for it.
        target: where it went.
        seen_bytes: of the answer.
        total_ns: from sending it to its end.
    """
    if demand.bound is None or demand.unpriced:
        return None
    output = seen_bytes + UNSEEN_OUTPUT_TOKENS
    if _reasons(book, target):
        output += total_ns * target.profile.fastest_tokens_per_s // 1_000_000_000
    output = min(output, demand.output_tokens)
    femto = most_of(book, msgspec.structs.replace(demand.bound, output_tokens=output))
    return None if isinstance(femto, str) else min(femto, demand.femto)


def charge_of_cut(book: PriceBook, demand: Demand, seen_tokens: int) -> int | None:
    """Return what an attempt is taken to have cost that was cut because it outgrew its cap: all of that, or what came.

    Args:
        book: the price book.
        demand: what was held for it.
        seen_tokens: about how many came in.
    """
    if demand.bound is None or demand.unpriced:
        return None
    output = max(demand.output_tokens, seen_tokens)
    femto = most_of(book, msgspec.structs.replace(demand.bound, output_tokens=output))
    return None if isinstance(femto, str) else femto


def _reasons(book: PriceBook, target: Target) -> bool:
    """Return whether a model may think without showing it; one of which nothing is known may."""
    key = ("reasons", target.rate_provider, target.model)
    found: bool | None = book.memo.get(key)
    if found is None:
        model = book.find_model(target.rate_provider, target.model)
        about = model[0].about if model else None
        found = book.memo[key] = about is None or "reasoning" in about.supports
    return found


def _read(asked: Asked, field: str) -> str | None:
    value = asked.body.get(field)
    return value if isinstance(value, str) else None


def _bound_input(book: PriceBook, target: Target, body_bytes: int, unseen: Unseen) -> int:
    text = body_bytes - unseen.image_bytes + UNSEEN_INPUT_TOKENS
    window = _about(book, target)[0]
    if unseen.files or unseen.searches:
        return window
    return min(text + unseen.images * IMAGE_TOKENS, window)


def _about(book: PriceBook, target: Target) -> tuple[int, int]:
    """Return a model's context window and its largest answer, in tokens, as far as they are known."""
    key = ("about", target.rate_provider, target.model)
    found: tuple[int, int] | None = book.memo.get(key)
    if found is None:
        model = book.find_model(target.rate_provider, target.model)
        about = model[0].about if model else None
        window = about.context_tokens if about and about.context_tokens else MAX_INPUT_TOKENS
        output = about.output_tokens if about and about.output_tokens else DEFAULT_OUTPUT_TOKENS
        found = book.memo[key] = window, output
    return found
