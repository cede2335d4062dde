"""What the gateway does after a failure, seen from outside: repeats, waits, breakers, keys, budgets of retries."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import KEY, Books, Gateway, RawProvider, free_port

ASK = {"messages": [{"role": "user", "content": "Hi"}]}
ANSWER = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "model": "gpt-4o",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hello."}}],
    "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
}
CONFIG = f"""
providers = [
  {{ name = "openai", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-simulated" }},
  {{ name = "dead", kind = "openai", base_url = "http://127.0.0.1:CLOSED/v1", api_key = "sk-1" }},
  {{ name = "raw", kind = "openai-compatible", base_url = "RAW/v1", api_key = "sk-raw", rates = "openai" }},
]
keys = [{{ name = "tests", key = "{KEY}" }}]

[retries]
backoff_ms = 40
most_wait_s = 2

[breaker]
failures = 4
open_s = 0.3

[pacing]
learn = false

[[models]]
name = "raw-then-simulated"
targets = [{{ provider = "raw", model = "gpt-4o" }}, {{ provider = "openai", model = "gpt-4o-mini" }}]

[[models]]
name = "dead-then-simulated"
targets = [{{ provider = "dead", model = "gpt-4o" }}, {{ provider = "openai", model = "gpt-4o-mini" }}]
"""


class Scripted(RawProvider):
    """Answers request after request from a list; the last one stays."""

    def script(self, *answers: tuple[str, bytes, dict[str, str]]) -> None:
        self.received.clear()
        self.times: list[float] = []
        self._answers = list(answers)

    async def _serve(self, reader, writer) -> None:
        self.times.append(time.monotonic())
        status, body, headers = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{named}content-length: {len(body)}\r\n"
        self._pieces = (head.encode() + b"connection: close\r\n\r\n" + body,)
        await super()._serve(reader, writer)


def ok() -> tuple[str, bytes, dict[str, str]]:
    return "200 OK", json.dumps(ANSWER).encode(), {}


def refusal(status: int, **headers: str) -> tuple[str, bytes, dict[str, str]]:
    body = json.dumps({"error": {"message": f"no: {status}", "type": "x"}}).encode()
    return f"{status} No", body, {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    with Scripted() as provider:
        yield provider


@pytest.fixture
def own_gateway(tmp_path: Path, simulated, scripted) -> Iterator[Gateway]:
    text = CONFIG.replace("SIMULATED", simulated.url).replace("RAW", scripted.url)
    (tmp_path / "farebox.toml").write_text(text.replace("CLOSED", str(free_port())))
    gateway = Gateway(tmp_path, tmp_path / "farebox.toml")
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture
def own_books(own_gateway: Gateway, books_of: Callable[[Gateway], Books]) -> Books:
    return books_of(own_gateway)


def ask(gateway: Gateway, model: str) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = gateway.openai("/chat/completions", {"model": model, **ASK})
    return status, headers, body


def test_what_may_pass_is_tried_again_after_a_wait(own_gateway, own_books, scripted) -> None:
    scripted.script(refusal(500), refusal(503), ok())
    status, headers, _ = ask(own_gateway, "raw/gpt-4o")
    assert (status, headers["x-farebox-attempts"]) == (200, "3")
    attempts = own_books.attempts(3)
    assert [one.sent.role for one in attempts] == ["first", "repeat", "repeat"]
    assert [one.done.final for one in attempts] == [False, False, True]
    assert [one.done.total_femto for one in attempts][:2] == [0, 0]
    first, second = (b - a for a, b in zip(scripted.times, scripted.times[1:], strict=False))
    assert first >= 0.02
    assert second >= 0.04


def test_what_is_the_client_s_fault_is_not_tried_again(own_gateway, own_books, scripted) -> None:
    for code in (400, 409, 413, 422):
        scripted.script(refusal(code))
        status, headers, _ = ask(own_gateway, "raw/gpt-4o")
        assert (status, headers["x-farebox-attempts"], len(scripted.times)) == (code, "1", 1)
    assert all(one.done.final for one in own_books.attempts(4))


def test_a_wait_that_is_asked_for_is_kept(own_gateway, own_books, scripted) -> None:
    scripted.script(refusal(429, retry_after="1"), ok())
    assert ask(own_gateway, "raw/gpt-4o")[0] == 200
    assert 1.0 <= scripted.times[1] - scripted.times[0] <= 1.6
    own_books.attempts(2)


def test_meanwhile_other_calls_keep_it_too(own_gateway, own_books, scripted) -> None:
    scripted.script(refusal(429, retry_after="30"), ok())
    status, headers, _ = ask(own_gateway, "raw-then-simulated")
    assert (status, headers["x-farebox-provider"], headers["x-farebox-attempts"]) == (200, "openai", "2")
    status, headers, _ = ask(own_gateway, "raw-then-simulated")
    assert (status, headers["x-farebox-provider"], headers["x-farebox-attempts"]) == (200, "openai", "1")
    status, headers, body = ask(own_gateway, "raw/gpt-4o")
    assert status == 429, body
    assert 28 <= int(headers["retry-after"]) <= 31
    assert len(scripted.times) == 1
    own_books.attempts(3)


def test_a_wait_that_is_too_long_is_handed_on(own_gateway, own_books, scripted) -> None:
    scripted.script(refusal(429, retry_after="30"))
    status, headers, body = ask(own_gateway, "raw/gpt-4o")
    assert (status, headers["retry-after"]) == (429, "30")
    assert json.loads(body)["error"]["message"] == "no: 429"
    (only,) = own_books.attempts(1)
    assert only.done.final


def test_an_outage_is_found_out_once_and_then_left_alone(own_gateway, own_books) -> None:
    counts = []
    for _ in range(8):
        status, headers, _ = ask(own_gateway, "dead-then-simulated")
        assert (status, headers["x-farebox-provider"]) == (200, "openai")
        counts.append(int(headers["x-farebox-attempts"]))
    assert counts == [2, 2, 2, 2, 1, 1, 1, 1]
    attempts = own_books.attempts(12)
    assert {one.sent.role for one in attempts if one.sent.provider == "openai"} == {"failover", "first"}


def test_a_target_that_works_again_is_found_out(own_gateway, scripted) -> None:
    scripted.script(refusal(500))
    for _ in range(6):
        assert ask(own_gateway, "raw-then-simulated")[1]["x-farebox-provider"] == "openai"
    seen = len(scripted.times)
    assert seen == 4
    scripted.script(ok())
    deadline = time.monotonic() + 10
    while ask(own_gateway, "raw-then-simulated")[1]["x-farebox-provider"] != "raw":
        assert time.monotonic() < deadline
    for _ in range(5):
        assert ask(own_gateway, "raw-then-simulated")[1]["x-farebox-provider"] == "raw"


def test_a_key_that_is_refused_is_left_out(own_gateway, own_books, scripted) -> None:
    scripted.script(refusal(401))
    for attempts in ("2", "1"):
        status, headers, _ = ask(own_gateway, "raw-then-simulated")
        assert (status, headers["x-farebox-provider"], headers["x-farebox-attempts"]) == (200, "openai", attempts)
    status, _, _ = ask(own_gateway, "raw/gpt-4o")
    assert status == 401  # there is no other: somebody has to find out whether it is taken again
    own_books.attempts(4)
