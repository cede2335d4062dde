"""Runs a scenario: a real gateway, three simulated providers, clients that check every word, books against bills."""

import contextlib
import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from farebox.journal.record import Done, Sent
from farebox.simulate.run import ProvidersInThread
from tests.faults.scenarios import HEALTHY, Scenario
from tests.gateway.conftest import KEY, Gateway

NAMES = ("a", "b", "c")
_PATIENCE_S = 8.0
_LIMITS = "first_token_timeout_s = 0.25, idle_timeout_s = 0.25"
_CONFIG = """
providers = [
  { name = "a", kind = "openai", LIMITS, PROVIDER_A },
  { name = "b", kind = "openai", LIMITS, base_url = "B/v1", api_key = "sk-b" },
  { name = "c", kind = "openai", LIMITS, base_url = "C/v1", api_key = "sk-c" },
]
keys = [{ name = "tests", key = "KEY" }]
[breaker]
open_s = 0.3
most_open_s = 1
[retries]
backoff_ms = 20
[[models]]
name = "m"
targets = [TARGETS]
"""
_SPOKEN = "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november"
WORDS = _SPOKEN.split(" ")


class Call(NamedTuple):
    """What a client saw of one call.

    Attributes:
        good: whether it got the whole text, once.
        told: whether it got a part of it, and was told that it is only a part.
        wrong: whether it got anything else than the text or a beginning of it.
        spent_s: from sending to the end.
        at_s: when it was sent.
        provider: who answered.
    """

    good: bool
    told: bool
    wrong: bool
    spent_s: float
    at_s: float
    provider: str


class Outcome(NamedTuple):
    """What a scenario came to; costs are of the books, in femtodollars."""

    calls: list[Call]
    attempts: int
    booked_femto: int
    assumed_femto: int
    billed_femto: int
    returned_s: float | None

    @property
    def good(self) -> float:
        """Share of the calls that got the whole text."""
        return sum(call.good for call in self.calls) / len(self.calls)

    @property
    def told(self) -> int:
        """Calls that got a part, and were told."""
        return sum(call.told for call in self.calls)

    @property
    def wrong(self) -> int:
        """Calls that got words that are none of the answer's, or words twice."""
        return sum(call.wrong for call in self.calls)

    @property
    def amplification(self) -> float:
        """Attempts for each call."""
        return self.attempts / len(self.calls)

    def percentile_ms(self, percent: int) -> float:
        """How long so many percent of the calls took at most."""
        times = sorted(call.spent_s for call in self.calls)
        return times[min(len(times) - 1, len(times) * percent // 100)] * 1000


@contextlib.contextmanager
def open_providers(folder: Path) -> Iterator[dict[str, ProvidersInThread]]:
    """Start three providers that are well."""
    with contextlib.ExitStack() as stack:
        providers = {}
        for name in NAMES:
            providers[name] = ProvidersInThread(bill_path=folder / f"bill-{name}.jsonl")
            stack.enter_context(providers[name]).configure(defaults=HEALTHY)
        yield providers


def run(folder: Path, scenario: Scenario, calls: int, clients: int) -> Outcome:
    """Run a scenario; the illness lasts from the second quarter of the calls to the third.

    Where it ends, calls go on until the first provider answers again.

    Args:
        folder: where everything is kept.
        scenario: what is wrong.
        calls: how many calls are made at least.
        clients: by how many clients at once.
    """
    with open_providers(folder) as providers:
        text = _CONFIG.replace("LIMITS", _LIMITS).replace("KEY", KEY).replace("TARGETS", scenario.targets)
        fields = scenario.provider_a
        if "base_url" not in fields:
            fields += f'{", " if fields else ""}base_url = "{providers["a"].providers.url}/v1"'
        if "key" not in fields:
            fields += ', api_key = "sk-a"'
        text = text.replace("PROVIDER_A", fields)
        for name in "BC":
            text = text.replace(f'"{name}/v1"', f'"{providers[name.lower()].providers.url}/v1"')
        (folder / "farebox.toml").write_text(text)
        gateway = Gateway(folder, folder / "farebox.toml")
        try:
            crowd = _Crowd(gateway, clients)
            crowd.start()
            crowd.wait_for(calls // 4)
            with scenario.illness(providers):
                crowd.wait_for(calls * 3 // 4)
                ended_s = time.monotonic()
            crowd.wait_for(calls)
            crowd.wait_until_back(ended_s, 0.0 if scenario.lasts else _PATIENCE_S)
            crowd.join()
            records = gateway.records()
        finally:
            gateway.stop()
        rows = [row for each in providers.values() for row in each.providers.rows()]
    done = [record for record in records if isinstance(record, Done)]
    sent = [record for record in records if isinstance(record, Sent)]
    assert {record.attempt for record in sent} == {record.attempt for record in done}, "every attempt has its end"
    back = [call.at_s for call in crowd.seen if call.provider == "a" and call.at_s > ended_s]
    return Outcome(
        calls=crowd.seen,
        attempts=len(sent),
        booked_femto=sum(record.total_femto or 0 for record in done if not record.flags),
        assumed_femto=sum(record.total_femto or 0 for record in done if record.flags),
        billed_femto=sum(int(row.amount * 10**15) for row in rows if _is_exact(row.correlation, done)),
        returned_s=min(back, default=ended_s) - ended_s if back else None,
    )


def _is_exact(attempt: str | None, done: list[Done]) -> bool:
    return any(record.attempt == attempt and not record.flags and bool(record.total_femto) for record in done)


class _Crowd:
    """Clients that call, one call after another, until they are told to stop."""

    def __init__(self, gateway: Gateway, clients: int) -> None:
        self._gateway = gateway
        self._next = itertools.count()
        self._is_over: bool = False
        self._lock = threading.Condition()
        self._threads = [threading.Thread(target=self._work) for _ in range(clients)]
        self.seen: list[Call] = []

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def wait_for(self, count: int) -> None:
        """Return when so many calls are over."""
        with self._lock:
            assert self._lock.wait_for(lambda: len(self.seen) >= count, 60)

    def wait_until_back(self, since_s: float, patience_s: float) -> None:
        """Return when the first provider has answered a call that was sent after an instant."""
        with self._lock:
            self._lock.wait_for(
                lambda: any(one.provider == "a" and one.at_s > since_s for one in self.seen), patience_s
            )

    def join(self) -> None:
        """Let the calls under way be the last, and return when they are over."""
        self._is_over = True
        for thread in self._threads:
            thread.join()

    def _is_back(self, since_s: float) -> bool:
        return any(call.provider == "a" and call.at_s > since_s for call in self.seen)

    def _work(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._gateway.port, timeout=30)
        while True:
            if self._is_over:
                return connection.close()
            with self._lock:
                number = next(self._next)
            call = _ask(connection, number)
            with self._lock:
                self.seen.append(call)
                self._lock.notify_all()


def _ask(connection: http.client.HTTPConnection, number: int) -> Call:
    text = " ".join([*WORDS[number % len(WORDS) :], f"number {number}", *WORDS[: number % len(WORDS)]])
    stream = number % 2 == 0
    body: dict[str, Any] = {
        "model": "m",
        "messages": [{"role": "user", "content": f"Call {number}"}],
        "stream": stream,
        "max_tokens": 60,
        "user": json.dumps({"text": text}),
    }
    at_s = time.monotonic()
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
    answer = connection.getresponse()
    data = answer.read()
    provider = answer.headers.get("x-farebox-provider") or ""
    got, whole, told = _read_stream(data) if stream and answer.status == 200 else _read_whole(answer.status, data)
    good = answer.status == 200 and whole and got == text
    is_part = text.startswith(got)
    return Call(good, told and not good, not is_part or (whole and not good), time.monotonic() - at_s, at_s, provider)


def _read_whole(status: int, data: bytes) -> tuple[str, bool, bool]:
    if status != 200:
        return "", False, False
    return json.loads(data)["choices"][0]["message"]["content"], True, False


def _read_stream(data: bytes) -> tuple[str, bool, bool]:
    """Return the text, whether the stream says that it is whole, and whether it says that it is not."""
    got, told = "", False
    for line in data.split(b"\n"):
        if line.startswith(b"data: {"):
            event = json.loads(line[6:])
            told = told or "error" in event
            got += "".join(choice["delta"].get("content") or "" for choice in event.get("choices", ()))
    return got, data.rstrip().endswith(b"data: [DONE]"), told
