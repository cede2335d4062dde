"""Counts outcomes while a replay runs and sums them up when it ends."""

import math
from array import array
from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

from farebox.replay.trace import Rejection

Kind = Literal[
    "no connection", "connection lost", "timeout", "http status", "stream cut", "error in stream",
    "unreadable answer",
]  # fmt: skip
"""Why a call failed."""


class Outcome(msgspec.Struct, kw_only=True):
    """How one call went, its retries included.

    Attributes:
        stream: whether it asked for a stream.
        status: the last HTTP status, or None if there was no answer.
        failure: None if the answer came complete.
        detail: the message that explains the failure.
        retries: attempts after the first.
        lag_ms: how much later than the trace asked the call was sent; None at full speed.
        ttft_ms: until the first content of a stream, from the start of the last attempt.
        total_ms: until the end of the answer, from the start of the last attempt.
        events: server-sent events received in the last attempt.
        input_tokens: as the answer states, or None.
        cached_tokens: of these, read from a cache.
        output_tokens: as the answer states, or None.
    """

    stream: bool
    status: int | None = None
    failure: Kind | None = None
    detail: str = ""
    retries: int = 0
    lag_ms: float | None = None
    ttft_ms: float | None = None
    total_ms: float = 0.0
    events: int = 0
    input_tokens: int | None = None
    cached_tokens: int = 0
    output_tokens: int | None = None


class Percentiles(msgspec.Struct, frozen=True):
    """Of measured values, by nearest rank; None where nothing was measured."""

    count: int
    p50: float | None
    p90: float | None
    p99: float | None
    max: float | None


class Failure(msgspec.Struct):
    """One kind of failure: how many calls, and what the first of them was told."""

    calls: int
    example: str


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """A whole replay. Times are milliseconds unless the name says seconds.

    Attributes:
        stopped: whether it was interrupted before the end of the trace.
        calls: sent, each counted once however often it was retried.
        streams: of these, streamed.
        failed: of these, without a complete answer.
        retries: further attempts after a lost connection.
        statuses: HTTP status -> calls; calls that got no answer are missing here.
        failures: kind -> Failure.
        duration_s: from the first call to the end of the last.
        calls_per_s: calls divided by it.
        asked_input_tokens: sum of the rows' input lengths, for calls sent.
        asked_output_tokens: sum of the output lengths asked for.
        input_tokens: sum of what complete answers state.
        cached_tokens: of these, read from a cache.
        output_tokens: sum of what complete answers state.
        without_usage: complete answers that state no tokens.
        events: server-sent events received.
        ttft_ms: until the first content, streams only.
        total_ms: until the end of complete answers.
        lag_ms: how late calls were sent.
        rejected: reason -> rows of the trace that were not replayed.
    """

    stopped: bool
    calls: int
    streams: int
    failed: int
    retries: int
    statuses: dict[int, int]
    failures: dict[str, Failure]
    duration_s: float
    calls_per_s: float
    asked_input_tokens: int
    asked_output_tokens: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    without_usage: int
    events: int
    ttft_ms: Percentiles
    total_ms: Percentiles
    lag_ms: Percentiles
    rejected: dict[str, Rejection]


class Tally:
    """Counts as calls end.

    Attributes:
        sent: calls begun.
        done: calls ended, well or not.
        failed: calls ended without a complete answer.
        retries: attempts after the first.
    """

    def __init__(self) -> None:
        self.sent: int = 0
        self.done: int = 0
        self.failed: int = 0
        self.retries: int = 0
        self._asked_input = self._asked_output = 0
        self._streams = self._events = self._without_usage = 0
        self._input = self._cached = self._output = 0
        self._statuses: Counter[int] = Counter()
        self._failures: dict[str, Failure] = {}
        self._ttft_ms, self._total_ms, self._lag_ms = array("d"), array("d"), array("d")

    def add_sent(self, input_tokens: int, output_tokens: int) -> None:
        """Count a call that begins."""
        self.sent += 1
        self._asked_input += input_tokens
        self._asked_output += output_tokens

    def add_outcome(self, outcome: Outcome) -> None:
        """Count a call that has ended."""
        self.done += 1
        self.retries += outcome.retries
        self._streams += outcome.stream
        self._events += outcome.events
        if outcome.status is not None:
            self._statuses[outcome.status] += 1
        if outcome.lag_ms is not None:
            self._lag_ms.append(outcome.lag_ms)
        if outcome.failure is not None:
            self.failed += 1
            self._failures.setdefault(outcome.failure, Failure(0, outcome.detail)).calls += 1
            return
        self._total_ms.append(outcome.total_ms)
        if outcome.ttft_ms is not None:
            self._ttft_ms.append(outcome.ttft_ms)
        if outcome.input_tokens is None or outcome.output_tokens is None:
            self._without_usage += 1
        self._input += outcome.input_tokens or 0
        self._cached += outcome.cached_tokens
        self._output += outcome.output_tokens or 0

    def sum_up(self, duration_s: float, *, stopped: bool, rejected: dict[str, Rejection]) -> Summary:
        """Return the summary of what was counted."""
        return Summary(
            stopped=stopped,
            calls=self.done,
            streams=self._streams,
            failed=self.failed,
            retries=self.retries,
            statuses=dict(sorted(self._statuses.items())),
            failures=self._failures,
            duration_s=round(duration_s, 3),
            calls_per_s=round(self.done / duration_s, 3) if duration_s > 0 else 0.0,
            asked_input_tokens=self._asked_input,
            asked_output_tokens=self._asked_output,
            input_tokens=self._input,
            cached_tokens=self._cached,
            output_tokens=self._output,
            without_usage=self._without_usage,
            events=self._events,
            ttft_ms=measure(self._ttft_ms),
            total_ms=measure(self._total_ms),
            lag_ms=measure(self._lag_ms),
            rejected=rejected,
        )


def measure(values: Sequence[float]) -> Percentiles:
    """Return the percentiles of `values`, rounded to microseconds where they are milliseconds."""
    ordered = sorted(values)

    def rank(share: float) -> float | None:
        return round(ordered[math.ceil(share * len(ordered)) - 1], 3) if ordered else None

    return Percentiles(len(ordered), rank(0.5), rank(0.9), rank(0.99), rank(1.0))
