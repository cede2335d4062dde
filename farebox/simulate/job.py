"""A request that was accepted: what it will be billed, and how its answer is produced."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from farebox.simulate import embed
from farebox.simulate.asked import Asked, Frame, Plan
from farebox.simulate.cache import PrefixCache
from farebox.simulate.control import Controls
from farebox.simulate.embed import Embedding
from farebox.simulate.family import Family
from farebox.simulate.generate import write_answers
from farebox.simulate.models import Served

_USAGE_FORMS = {"missing_usage": "missing", "null_usage": "null", "zero_usage": "zero"}


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted request.

    Attributes:
        model: which model serves it.
        output_tokens: billed output tokens when it runs to its end.
        quantities: billed tokens by meter when so many output tokens were made.
        usage: what the complete answer reports.
        body: makes the answer as one object.
        frames: makes the events of a stream; None if the answer is one body.
    """

    model: Served
    output_tokens: int
    quantities: Callable[[int], dict[str, int]]
    usage: dict[str, Any] | None
    body: Callable[[], dict[str, Any]]
    frames: Callable[[], Iterator[Frame]] | None


class Receipt(msgspec.Struct, frozen=True):
    """When and under which name a request came in."""

    serial: str
    owner: str
    now_s: float


def make_chat_job(family: Family, asked: Asked, controls: Controls, cache: PrefixCache, receipt: Receipt) -> Job:
    """Generates the answer to a request for text and looks its prompt up in the cache."""
    match = cache.match_marked if family.cache_is_marked else cache.match_automatic
    # The same text is another prefix for another key or model.
    owner = f"{receipt.owner}/{asked.model.resolved}"
    plan = Plan(
        serial=receipt.serial,
        created_s=int(receipt.now_s),
        asked=asked,
        answers=write_answers(asked, controls),
        hit=match(owner, asked.segments, asked.model.min_cache_tokens, receipt.now_s),
        usage_form=_USAGE_FORMS.get(controls.fault or "", "true"),  # type: ignore[arg-type] # values of the table
        chunk_tokens=controls.chunk_tokens,
    )
    return Job(
        model=asked.model,
        output_tokens=plan.output_tokens,
        quantities=plan.quantities,
        usage=family.usage_of(plan),
        body=lambda: family.write_body(plan),
        frames=(lambda: family.write_frames(plan)) if asked.stream else None,
    )


def make_embedding_job(asked: Embedding, controls: Controls) -> Job:
    """Bills embeddings by their input alone."""
    form = _USAGE_FORMS.get(controls.fault or "", "true")
    usage: dict[str, Any] | None = None
    if form == "true":
        usage = embed.usage_of(asked)
    elif form == "zero":
        usage = {"prompt_tokens": 0, "total_tokens": 0}

    def write() -> dict[str, Any]:
        body = embed.write_body(asked)
        return body if form == "missing" else {**body, "usage": usage}

    return Job(
        model=asked.model,
        output_tokens=0,
        quantities=lambda _made: {"input": asked.input_tokens} if asked.input_tokens else {},
        usage=usage,
        body=write,
        frames=None,
    )
