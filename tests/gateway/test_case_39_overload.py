"""Case 39: three times the load a worker takes, while its provider fails every other call."""

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import KEY, Books, Gateway

CONFIG = """
providers = [{ name = "openai", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-simulated" }]
keys = [{ name = "tests", key = "KEY" }]
[shedding]
calls = 10
lag_ms = 5000
[retries]
backoff_ms = 50
budget_least = 0
[pacing]
learn = false
[[models]]
name = "m"
targets = [{ provider = "openai", model = "gpt-4o-mini" }]
"""
CLIENTS = 30
CALLS = 12


@pytest.fixture
def own(tmp_path: Path, simulated) -> Iterator[Gateway]:
    (tmp_path / "farebox.toml").write_text(CONFIG.replace("SIMULATED", simulated.url).replace("KEY", KEY))
    gateway = Gateway(tmp_path, tmp_path / "farebox.toml")
    yield gateway
    assert gateway.stop() == 0


def resident_mib(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


def ask(gateway: Gateway, criticality: str, wishes: dict[str, object]) -> tuple[int, dict[str, str], float]:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "user": json.dumps(wishes)}
    start_s = time.monotonic()
    status, headers, _ = gateway.openai("/chat/completions", body, {"x-farebox-criticality": criticality})
    return status, headers, time.monotonic() - start_s


def test_case_39_overload_with_a_brown_out(own, books_of) -> None:
    books: Books = books_of(own)
    before_mib = resident_mib(own.process.pid)
    answers: list[tuple[str, int, dict[str, str], float]] = []

    def client(number: int) -> None:
        criticality = ("sheddable", "normal", "critical")[number % 3]
        for call in range(CALLS):
            fails = (number + call) % 2 == 0
            wishes: dict[str, object] = {"fault": "status", "status": 503} if fails else {"ttft_ms": 100}
            answers.append((criticality, *ask(own, criticality, wishes)))

    threads = [threading.Thread(target=client, args=(number,)) for number in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shed = [answer for answer in answers if answer[1] == 503 and "x-farebox-attempts" not in answer[2]]
    assert shed, "three times the load is too much"
    assert all(1 <= int(headers["retry-after"]) <= 5 for _, _, headers, _ in shed)
    by_word = Counter(word for word, _, _, _ in shed)
    assert by_word["sheddable"] >= by_word["normal"] >= by_word["critical"]
    assert by_word["sheddable"] > by_word["critical"]
    assert sorted(spent_s for *_, spent_s in shed)[len(shed) // 2] < 0.25, "who is refused is told at once"
    assert resident_mib(own.process.pid) - before_mib < 64
    deadline_s = time.monotonic() + 30
    while ask(own, "sheddable", {})[0] != 200:
        assert time.monotonic() < deadline_s, "it recovers"
    # Every attempt is on record with its end, and costs what the provider bills.
    sent = [record for record in own.records() if hasattr(record, "role")]
    attempts = books.exact(len(sent))
    calls = {one.sent.call for one in attempts}
    assert len(attempts) - len(calls) <= 0.2 * len(calls) + 1, "retries are bounded"
