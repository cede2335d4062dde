"""Sends one attempt and answers the client from it, whole or as a stream, or says how it failed."""

import asyncio

import msgspec

from farebox.attempt import Attempt, Failed
from farebox.edges import Reply
from farebox.errors import CallError, UpstreamFailed
from farebox.failure import fail_garbage, refuse
from farebox.http1.client import Answer, AnswerTooLarge, BrokeOff, NeverSent
from farebox.journal.record import Outcome
from farebox.meter import UNBILLED, assume, estimate, price_answer
from farebox.relay import relay
from farebox.wire.json_body import encode

ERROR_BODY_BYTES = 1 << 20
_PLAIN = frozenset({None, "", "identity"})


async def send(attempt: Attempt, reply: Reply) -> Failed | None:
    """Send an attempt; return how it failed before the client saw anything, else None.

    What it returns is not on record yet: whether it is the answer depends on what is done next. Every other end is.
    """
    outgoing, edges = attempt.outgoing, attempt.edges
    stream = attempt.asked.stream
    upstream = edges.upstreams[attempt.target.provider.name]
    try:
        if edges.durable is not None:
            await attempt.flush_sent()
        async with upstream.post(outgoing.head, outgoing.body, attempt.count_content if stream else None) as answer:
            attempt.begin(answer)
            if answer.status != 200:
                await _fail(attempt, answer)
            _check_encoding(attempt, answer)
            if stream:
                await relay(attempt, answer, reply)
            else:
                await _answer_whole(attempt, answer, reply)
    except Failed as failure:
        return failure
    except NeverSent as error:
        return _never_sent(attempt, error)
    except BrokeOff as error:
        return _broke_off(attempt, error)
    except asyncio.CancelledError:
        if attempt.claim is not None and attempt.claim.winner not in {None, attempt}:
            attempt.put_done("outpaced", estimate(edges.book, attempt.sent, attempt.answered), final=False)
            return None
        attempt.put_done("lost", assume(edges.book, attempt.sent))
        raise
    except BaseException:
        attempt.put_done("lost", assume(edges.book, attempt.sent))
        raise
    return None


def _check_encoding(attempt: Attempt, answer: Answer) -> None:
    encoding = answer.header("content-encoding")
    if encoding not in _PLAIN:
        fail_garbage(attempt, f"the answer is encoded ({encoding}), although only identity was accepted")


def _never_sent(attempt: Attempt, error: NeverSent) -> Failed:
    attempt.answered.error = str(error)
    failure = Failed(
        UpstreamFailed(
            f"The provider {attempt.target.provider.name!r} cannot be reached. Check its base_url and the network.",
            code="provider_unreachable",
        ),
        try_next=True,
        repeatable=True,
        headers=attempt.headers(None, None),
    )
    return attempt.note_failure(failure, "unreachable", UNBILLED)


def _broke_off(attempt: Attempt, error: BrokeOff) -> Failed:
    attempt.answered.error = str(error)
    outcome: Outcome = "truncated" if attempt.status else "unreachable"
    words = f"did not answer in time: {error}" if error.timed_out else "broke off before its answer was complete"
    failure = Failed(
        UpstreamFailed(
            f"The provider {attempt.target.provider.name!r} {words}. Trying again may help.",
            code="provider_timeout" if error.timed_out else "provider_broke_off",
            status=504 if error.timed_out else 502,
        ),
        try_next=True,
        repeatable=not error.timed_out,
        headers=attempt.headers(None, None),
    )
    return attempt.note_failure(failure, outcome, assume(attempt.edges.book, attempt.sent))


async def _answer_whole(attempt: Attempt, answer: Answer, reply: Reply) -> None:
    """Read, meter and pass on an answer that is not a stream."""
    edges = attempt.edges
    outgoing = attempt.outgoing
    try:
        data = await answer.read(edges.limits.answer_bytes)
        attempt.received_ns = edges.clock.monotonic_ns()
        attempt.answered = outgoing.reading.answer(data)
        body = data
        if outgoing.translation is not None:
            now_s = attempt.sent.at_ns // 1_000_000_000
            translated = outgoing.translation.translate_response(
                msgspec.json.decode(data), attempt.asked.model, now_s=now_s
            )
            body = encode(translated)
    except (msgspec.DecodeError, AnswerTooLarge, CallError) as error:
        fail_garbage(attempt, str(error))
    attempt.first_token_ns = attempt.received_ns - attempt.sent_ns
    priced = price_answer(edges.book, attempt.sent, attempt.answered)
    if not attempt.wins():
        attempt.put_done("outpaced", priced, final=False)
        return
    attempt.put_done("ok", priced)
    if edges.durable is not None:
        await attempt.flush_done()
    reply.respond(200, [("content-type", "application/json"), *attempt.headers(answer, priced)], body)


async def _fail(attempt: Attempt, answer: Answer) -> None:
    """Fail an attempt that the provider refused: nothing was generated, so nothing is billed."""
    if answer.status < 400:
        fail_garbage(attempt, f"status {answer.status} is neither an answer nor an error")
    try:
        data = await answer.read(ERROR_BODY_BYTES)
    except (AnswerTooLarge, BrokeOff):
        data = b""
    if answer.header("content-encoding") not in _PLAIN:
        data = b""  # nobody's error text
    refuse(attempt, answer, answer.status, data)
