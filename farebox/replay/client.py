"""Sends the calls of a plan at their times and measures what comes back.

Arrivals are open: a call is sent when the trace says so, however slow the answers are, up to the limit on
calls in flight. How far the client itself fell behind is measured, because a late client flatters the
gateway it measures.
"""

import asyncio
import itertools
import signal
import threading
import time
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import uvloop

from farebox.http1.client import Answer as Response
from farebox.http1.client import AnswerTooLarge, BrokeOff, NeverSent, Origin, TimeLimits, Upstream
from farebox.replay.answer import Answer, Unreadable, read_fault
from farebox.replay.plan import Plan
from farebox.replay.request import Request, build_request
from farebox.replay.rows import TraceError
from farebox.replay.summary import Kind, Outcome, Summary, Tally
from farebox.replay.trace import Trace

Watch = Callable[[Tally], None]
"""Called whenever a call begins or ends."""

RETRIED: Final[frozenset[Kind]] = frozenset({"no connection", "connection lost", "stream cut"})
FIRST_PAUSE_S: Final = 0.2
LONGEST_PAUSE_S: Final = 3.0
LONGEST_CALL_S: Final = 3600.0
LONGEST_ANSWER_BYTES: Final = 1 << 30


def run(plan: Plan, watch: Watch | None = None) -> Summary:
    """Replay a plan and return what came of it.

    The first Ctrl-C ends the sending, waits for the calls in flight and still returns a summary.

    Raises:
        TraceError: the trace cannot be read.
    """
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run_until_interrupted(plan, watch))


async def _run_until_interrupted(plan: Plan, watch: Watch | None) -> Summary:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    if threading.current_thread() is not threading.main_thread():
        return await drive(plan, stop, watch)

    def interrupt() -> None:
        stop.set()
        # The second Ctrl-C is the interpreter's own: it does not wait.
        loop.remove_signal_handler(signal.SIGINT)

    loop.add_signal_handler(signal.SIGINT, interrupt)
    try:
        return await drive(plan, stop, watch)
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def drive(plan: Plan, stop: asyncio.Event, watch: Watch | None = None) -> Summary:
    """Replay a plan on the running event loop until its rows end or `stop` is set.

    Raises:
        TraceError: the trace cannot be read.
    """
    tally = Tally()
    address = urlsplit(plan.base_url)
    port = address.port or (443 if address.scheme == "https" else 80)
    origin = Origin(address.scheme, address.hostname or "", port)
    client = Upstream(origin, TimeLimits(plan.timeout_s, plan.timeout_s, LONGEST_CALL_S))
    start_s = time.perf_counter()
    try:
        await _send_all(client, plan, stop, tally, watch or _ignore)
    except BaseExceptionGroup as group:
        match group.exceptions:
            case [TraceError() as error, *_]:
                raise error from None
        raise
    finally:
        await client.close()
    rejected = plan.rows.rejected if isinstance(plan.rows, Trace) else {}
    return tally.sum_up(time.perf_counter() - start_s, stopped=stop.is_set(), rejected=rejected)


async def _send_all(client: Upstream, plan: Plan, stop: asyncio.Event, tally: Tally, watch: Watch) -> None:
    slots = asyncio.Semaphore(plan.concurrency_max)
    start_s = time.perf_counter()

    async def place(request: Request, due_s: float | None) -> None:
        try:
            outcome = await _call(client, plan, request, due_s)
        finally:
            slots.release()
        tally.add_outcome(outcome)
        watch(tally)

    async with asyncio.TaskGroup() as tasks:
        for index, row in enumerate(itertools.islice(plan.rows, plan.limit)):
            # Written before it is due, so that making the text does not make it late.
            request = build_request(plan, row, index)
            due_s = None if plan.speed is None else start_s + row.at_s / plan.speed
            if await _wait_until(due_s, stop):
                break
            await slots.acquire()
            tally.add_sent(row.input_tokens, request.output_tokens)
            watch(tally)
            tasks.create_task(place(request, due_s))


def _ignore(_tally: Tally) -> None:
    """Watch nothing."""


async def _wait_until(due_s: float | None, stop: asyncio.Event) -> bool:
    """Wait for the time of a call; return whether to stop instead."""
    delay_s = 0.0 if due_s is None else due_s - time.perf_counter()
    if delay_s <= 0:
        await asyncio.sleep(0)
        return stop.is_set()
    try:
        async with asyncio.timeout(delay_s):
            await stop.wait()
    except TimeoutError:
        return stop.is_set()
    return True


async def _call(client: Upstream, plan: Plan, request: Request, due_s: float | None) -> Outcome:
    """Place one call, again after a lost connection where the plan allows it."""
    lag_ms = None if due_s is None else max(0.0, (time.perf_counter() - due_s) * 1000)
    pause_s = FIRST_PAUSE_S
    for attempt in itertools.count():
        outcome = await _attempt(client, request)
        outcome.retries = attempt
        outcome.lag_ms = lag_ms
        if outcome.failure not in RETRIED or attempt >= plan.retries:
            return outcome
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    raise AssertionError  # count() does not end


async def _attempt(client: Upstream, request: Request) -> Outcome:
    outcome = Outcome(stream=request.stream)
    start_s = time.perf_counter()
    try:
        async with client.post(_head(request), request.body) as response:
            outcome.status = response.status
            await _read(response, request, outcome, start_s)
    except NeverSent as error:
        _fail(outcome, "no connection", str(error))
    except BrokeOff as error:
        _fail(outcome, "timeout" if error.timed_out else "connection lost", str(error))
    except AnswerTooLarge as error:
        _fail(outcome, "unreadable answer", str(error))
    except Unreadable as error:
        _fail(outcome, "unreadable answer", str(error))
    outcome.total_ms = (time.perf_counter() - start_s) * 1000
    return outcome


def _head(request: Request) -> bytes:
    address = urlsplit(request.url)
    lines = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    return f"POST {address.path} HTTP/1.1\r\nhost: {address.netloc}\r\n{lines}".encode("latin-1")


async def _read(response: Response, request: Request, outcome: Outcome, start_s: float) -> None:
    if not 200 <= response.status < 300:
        body = await response.read(LONGEST_ANSWER_BYTES)
        _fail(outcome, "http status", f"{response.status}: {read_fault(body)}")
        return
    answer = Answer(request.dialect)
    try:
        if request.stream:
            await _read_stream(response, answer, outcome, start_s)
        else:
            answer.read_body(await response.read(LONGEST_ANSWER_BYTES))
    finally:
        outcome.events = answer.events
    outcome.input_tokens = answer.input_tokens
    outcome.cached_tokens = answer.cached_tokens
    outcome.output_tokens = answer.output_tokens
    if answer.fault is not None:
        _fail(outcome, "error in stream" if request.stream else "unreadable answer", answer.fault)
    elif not answer.ended:
        _fail(outcome, "stream cut", "the stream ended without its terminator")


async def _read_stream(response: Response, answer: Answer, outcome: Outcome, start_s: float) -> None:
    while (chunk := await response.next_chunk()) is not None:
        answer.feed(chunk)
        if answer.started and outcome.ttft_ms is None:
            outcome.ttft_ms = (time.perf_counter() - start_s) * 1000


def _fail(outcome: Outcome, failure: Kind, detail: str) -> None:
    outcome.failure = failure
    outcome.detail = detail
