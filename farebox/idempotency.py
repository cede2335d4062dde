"""One effect for one idempotency key: what a key stands for, and what becomes of its call. Pure.

A client that does not know whether its call was answered sends it again with the same ``idempotency-key``. The first
call with a key claims it before anything is sent; later ones get its answer, byte for byte, without a request to a
provider and without a charge. A key belongs to the virtual key that used it.

What may have been billed must not be billed again by a retry, so its answer is kept whatever it was. A call that
provably cost nothing (refused here, refused by every provider, never sent) leaves its key free.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal

import msgspec

from farebox.call import Asked
from farebox.errors import BadRequest, Conflict
from farebox.journal.record import Done, Sent

HEADER = "idempotency-key"
MOST_CHARACTERS = 255

# open: its call is under way, or its worker died. answered: the answer is kept. lost: the worker died or was stopped
# before the answer was whole. unkept: there was an answer, but it is not kept.
State = Literal["open", "answered", "lost", "unkept"]


class Claim(msgspec.Struct, frozen=True):
    """A call that wants to be the one that its key stands for.

    Attributes:
        digest: of the virtual key and the idempotency key; the latter is kept nowhere in clear.
        fingerprint: of the operation and the body.
        call: id of the call.
        writer: name of the journal of the worker that would make it.
        at_ns: wall clock, nanoseconds since the epoch.
    """

    digest: bytes
    fingerprint: bytes
    call: str
    writer: str
    at_ns: int


class Answer(msgspec.Struct, frozen=True):
    """What a client was told.

    Attributes:
        status: HTTP status.
        headers: as they were sent.
        body: whole, or all bytes of the stream.
        is_stream: whether it was a stream.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    is_stream: bool


class Ending(msgspec.Struct, frozen=True):
    """What became of a call: a state, with the answer where that is kept; no state leaves the key free."""

    state: State | None
    answer: Answer | None = None


class Found(msgspec.Struct, frozen=True):
    """The call that a key stands for already."""

    claim: Claim
    state: State
    answer: Answer | None


def read_claim(key: str, asked: Asked, *, caller: str, call: str, writer: str, at_ns: int) -> Claim:
    """Return the claim of a call.

    Args:
        key: the header's value.
        asked: the call; its body counts by its content, not by its spaces and the order of its members.
        caller: id of the virtual key, or "" for open access.
        call: id of the call.
        writer: of this worker.
        at_ns: wall clock.

    Raises:
        BadRequest: where the key cannot be one.
    """
    if not (0 < len(key) <= MOST_CHARACTERS and key.isprintable()):
        raise BadRequest(f"'{HEADER}' must be 1 to {MOST_CHARACTERS} printable characters.", param=HEADER)
    body = msgspec.json.encode(asked.body, order="deterministic")
    return Claim(
        digest=hashlib.sha256(f"{caller}\n{key}".encode()).digest(),
        fingerprint=hashlib.sha256(asked.operation.encode() + b"\n" + body).digest(),
        call=call,
        writer=writer,
        at_ns=at_ns,
    )


def ending_of(sent: Sequence[Sent], ended: Sequence[Done], answer: Answer | None) -> Ending:
    """Return what becomes of a key whose call is over.

    Args:
        sent: the call's attempts.
        ended: their ends.
        answer: what the client was told, whole; None where the call broke off.
    """
    is_free = len(ended) == len(sent) and all(done.total_femto == 0 and not done.flags for done in ended)
    if is_free and (answer is None or answer.status >= 400):
        return Ending(None)
    return Ending("lost") if answer is None else Ending("answered", answer)


def answer_of(found: Found, claim: Claim) -> Answer:
    """Return the answer that is given again.

    Raises:
        Conflict: where there is none: another request, a call under way, an answer that was lost or is not kept.
    """
    first = found.claim
    if first.fingerprint != claim.fingerprint:
        raise Conflict(
            f"This '{HEADER}' was used before for another request (call {first.call}). Use a new one.",
            code="idempotency_mismatch",
            param=HEADER,
            status=422,
        )
    if found.answer is not None:
        return found.answer
    if found.state == "open":
        raise Conflict(
            f"The call with this '{HEADER}' is under way (call {first.call}). Try again soon.",
            code="idempotency_in_flight",
            param=HEADER,
            retry_after_s=1,
        )
    why = "the gateway stopped in the middle of it" if found.state == "lost" else "it was too large, or the disk failed"
    raise Conflict(
        f"The call with this '{HEADER}' was sent and is charged, but its answer was not kept: {why} "
        f"(call {first.call}). Use a new key to call again.",
        code="idempotency_lost" if found.state == "lost" else "idempotency_not_kept",
        param=HEADER,
        headers=(("x-should-retry", "false"),),  # without it the SDKs try a 409 again by themselves
    )
