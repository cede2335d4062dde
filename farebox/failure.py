"""How attempts fail: answers that cannot be read, and providers that refuse. What asks to be left alone is."""

from typing import NoReturn

import msgspec

from farebox.attempt import Attempt, Failed
from farebox.errors import UpstreamFailed
from farebox.health.vitals import Verdict
from farebox.http1.client import Answer
from farebox.meter import UNBILLED, Priced, assume
from farebox.pace.headers import read_retry_after
from farebox.wire.json_body import encode
from farebox.wire.openai_chat import error_text

# What another target may do better: our key or its model there, its load, its faults. Not the client's own errors.
_TRY_NEXT = frozenset({401, 403, 404, 408, 429})
# What the same target may do better in a moment.
_REPEATABLE = frozenset({408, 429, 500, 502, 503, 504, 529})
_SAYS_NOTHING = frozenset({401, 402, 429})  # of whether the target works
_WAITS = frozenset({429, 503, 529})
_REFUSED_KEY_NS = 60_000_000_000


def fail_garbage(attempt: Attempt, detail: str) -> NoReturn:
    """Fail an attempt whose answer cannot be read: it was generated, so its worst case is assumed."""
    attempt.answered.error = detail[:500]
    failure = Failed(
        UpstreamFailed(
            f"The provider {attempt.target.provider.name!r} answered what cannot be read. "
            "Check that its base_url and kind are right.",
            code="provider_answer_unreadable",
        ),
        try_next=True,
        headers=attempt.headers(None, None),
    )
    attempt.fail(failure, "garbage", assume(attempt.edges.book, attempt.sent))


def refuse(attempt: Attempt, answer: Answer, status: int, data: bytes, priced: Priced = UNBILLED) -> NoReturn:
    """Fail an attempt with the provider's error, to be handed to the client in its dialect."""
    attempt.answered.error = _message_of(data) or f"status {status}"
    is_spent = b"insufficient_quota" in data
    _heed(attempt, answer, status, is_spent=is_spent)
    headers = attempt.headers(answer, None)
    translation = attempt.outgoing.translation
    error = UpstreamFailed(attempt.answered.error, status=status)
    body = b""
    if translation is not None:
        told, translated = translation.translate_error(status, data)
        error, body = UpstreamFailed(attempt.answered.error, status=told), encode(translated)
    elif _is_object(data):
        body = data
    else:
        error = UpstreamFailed(
            f"The provider {attempt.target.provider.name!r} answered with status {status} and no readable error.",
            code="provider_error",
            status=status,
        )
    failure = Failed(
        error,
        try_next=status >= 500 or status in _TRY_NEXT,
        repeatable=status in _REPEATABLE and not is_spent,
        body=body,
        headers=headers,
    )
    attempt.fail(failure, "error", priced, _verdict_on(status))


def _heed(attempt: Attempt, answer: Answer, status: int, *, is_spent: bool) -> None:
    """Leave alone what asks for it: a target that takes no more for now, a key that is refused."""
    vitals = attempt.edges.health.of(attempt.target)
    clock = attempt.edges.clock
    now_ns = clock.monotonic_ns()
    if status in {401, 402} or is_spent:
        vitals.refuse_key(now_ns + _REFUSED_KEY_NS, f"its key is refused ({status})")
    elif status in _WAITS:
        wait_ns = read_retry_after(answer.headers(), clock.now_ns())
        if wait_ns is not None or status == 429:
            vitals.limit(now_ns, wait_ns)


def _verdict_on(status: int) -> Verdict:
    """Return what an error status says about the target: an error of the client's shows that it works."""
    if status in _SAYS_NOTHING:
        return "neutral"
    return "bad" if status >= 500 or status in _TRY_NEXT else "good"


def _is_object(data: bytes) -> bool:
    try:
        return isinstance(msgspec.json.decode(data), dict)
    except msgspec.DecodeError:
        return False


def _message_of(data: bytes) -> str:
    try:
        body = msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return data[:500].decode(errors="replace")
    return error_text(body.get("error", body) if isinstance(body, dict) else body)
