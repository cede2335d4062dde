"""The life of one call, top to bottom.

    plan the route -> for each target: wait for room there, prepare, reserve, put SENT on record, send, read, price,
    put DONE on record, settle -> answer the client

The order is the promise: what an attempt may cost is reserved and SENT on record before the first byte leaves, DONE is
on record before the client has its answer.
A target that fails before the client has seen anything is followed by the next; after the first byte, never.
"""

import contextlib

import msgspec

from farebox.admit.admission import USUAL_OUTPUT_TOKENS, Admitted, open_admission
from farebox.attempt import Attempt, Edges, Failed, Reply, fail_garbage, refuse
from farebox.call import Asked, Inbound
from farebox.dispatch import prepare
from farebox.errors import CallError, UpstreamFailed
from farebox.http1.client import Answer, AnswerTooLarge, BrokeOff, NeverSent
from farebox.journal.record import Outcome
from farebox.meter import UNBILLED, assume, price_answer, tokens_of
from farebox.pace.pacer import Ticket
from farebox.relay import relay
from farebox.route import Target
from farebox.wire.errors_of import render
from farebox.wire.json_body import encode

ERROR_BODY_BYTES = 1 << 20
_UNPACED: contextlib.nullcontext[None] = contextlib.nullcontext()
_PLAIN = frozenset({None, "", "identity"})


async def serve(edges: Edges, inbound: Inbound, asked: Asked, reply: Reply) -> None:
    """Answer a call.

    Raises:
        CallError: where no attempt could be made: no such model, no room in the journal or in a budget, or a field
            that no target can take.
    """
    route = edges.router.plan(asked, inbound, edges.clock.now_ns())
    admission = open_admission(edges.treasury, edges.book, edges.clock, inbound, asked, edges.spending)
    failed: Failed | None = None
    number = used_femto = 0
    for index, target in enumerate(route.targets):
        try:
            attempt_id = f"{inbound.id}.{number + 1}"
            ticket = await _pace(edges, asked, target)
            with ticket or _UNPACED:
                admitted = (
                    Admitted(prepare(asked, target, attempt_id, inbound))
                    if admission is None
                    else await admission.admit(target, attempt_id, used_femto)
                )
        except CallError as error:
            failed = failed or Failed(error, try_next=True)
            continue
        number += 1
        attempt = Attempt(edges, inbound, asked, target, admitted, ticket)
        attempt.route = route.why
        attempt.is_last = index + 1 == len(route.targets)
        attempt.put_sent(number)
        try:
            await attempt.flush_sent()
            await _run(attempt, reply)
        except Failed as failure:
            failed = failure
            used_femto += attempt.used_femto
            if failure.try_next:
                continue
        except BaseException:
            attempt.put_done("lost", assume(edges.book, attempt.sent))
            raise
        else:
            return
        break
    assert failed is not None, "a route has at least one target"
    if not number:
        raise failed.error
    status, data = failed.status, failed.body
    if not data:
        status, error_body = render(asked.dialect, failed.error, inbound.id)
        data = encode(error_body)
    reply.respond(status, [("content-type", "application/json"), *failed.headers], data)


async def _pace(edges: Edges, asked: Asked, target: Target) -> Ticket | None:
    """Wait until the provider has room for an attempt, where anything is known of its limits.

    Raises:
        RateLimited: where that would take too long.
    """
    lane = edges.pacer.find(target.provider.name, target.model)
    if lane is None or asked.operation == "count_tokens":  # which has limits of its own
        return None
    output = USUAL_OUTPUT_TOKENS if asked.output_cap is None else asked.output_cap
    if asked.operation == "embeddings":
        output = 0
    return await lane.admit(tokens_of(sum(asked.parts.values())), output)


async def _run(attempt: Attempt, reply: Reply) -> None:
    """Send one attempt and answer the client from it, or raise Failed."""
    outgoing = attempt.outgoing
    stream = attempt.asked.stream
    upstream = attempt.edges.upstreams[attempt.target.provider.name]
    try:
        async with upstream.post(outgoing.head, outgoing.body) as answer:
            attempt.begin(answer)
            if answer.status != 200:
                await _fail(attempt, answer)
            elif (encoding := answer.header("content-encoding")) not in _PLAIN:
                fail_garbage(attempt, f"the answer is encoded ({encoding}), although only identity was accepted")
            elif stream:
                await relay(attempt, answer, reply)
            else:
                await _answer_whole(attempt, answer, reply)
    except NeverSent as error:
        attempt.answered.error = str(error)
        attempt.put_done("unreachable", UNBILLED, final=attempt.is_last)
        raise Failed(
            UpstreamFailed(
                f"The provider {attempt.target.provider.name!r} cannot be reached. Check its base_url and the network.",
                code="provider_unreachable",
            ),
            try_next=True,
            headers=attempt.headers(None, None),
        ) from error
    except BrokeOff as error:
        attempt.answered.error = str(error)
        outcome: Outcome = "truncated" if attempt.status else "unreachable"
        attempt.put_done(outcome, assume(attempt.edges.book, attempt.sent), final=attempt.is_last)
        words = "did not answer in time" if error.timed_out else "broke off before its answer was complete"
        raise Failed(
            UpstreamFailed(
                f"The provider {attempt.target.provider.name!r} {words}. Trying again may help.",
                code="provider_timeout" if error.timed_out else "provider_broke_off",
                status=504 if error.timed_out else 502,
            ),
            try_next=True,
            headers=attempt.headers(None, None),
        ) from error


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
    attempt.put_done("ok", priced)
    await attempt.flush_done()
    reply.respond(200, [("content-type", "application/json"), *attempt.headers(answer, priced)], body)


async def _fail(attempt: Attempt, answer: Answer) -> None:
    """End an attempt that the provider refused: nothing was generated, so nothing is billed."""
    if answer.status < 400:
        fail_garbage(attempt, f"status {answer.status} is neither an answer nor an error")
    try:
        data = await answer.read(ERROR_BODY_BYTES)
    except (AnswerTooLarge, BrokeOff):
        data = b""
    if answer.header("content-encoding") not in _PLAIN:
        data = b""  # nobody's error text
    refuse(attempt, answer, answer.status, data)
