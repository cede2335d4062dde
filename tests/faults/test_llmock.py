"""Farebox in front of llmock, which scripts faults and then judges how its client coped with them.

The official SDKs are the clients, without retries of their own; what is broken off after its first content, nobody but
they can ask for again, and they do.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import openai
import pytest

from tests.gateway.conftest import KEY, Gateway, free_port

pytest.importorskip("llmock", reason="llmock is not installed; it comes with the extra 'test'")
CONFIG = """
providers = [
  { name = "mock", kind = "openai-compatible", base_url = "MOCK/v1", api_key = "sk-1", rates = "openai", LIMITS },
  { name = "mock-claude", kind = "anthropic-compatible", base_url = "MOCK/anthropic", api_key = "sk-1", LIMITS },
]
keys = [{ name = "tests", key = "KEY" }]
[retries]
backoff_ms = 120
"""
_LIMITS = "idle_timeout_s = 0.6, first_token_timeout_s = 0.6"
_WITHIN_S = 20.0


@contextlib.contextmanager
def run_mock(*options: str) -> Iterator["Mock"]:
    """Run llmock until the context ends."""
    port = free_port()
    command = [sys.executable, "-m", "llmock.cli", "serve", "--port", str(port), "--host", "127.0.0.1", *options]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        deadline_s = time.monotonic() + _WITHIN_S
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, "llmock did not start"
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        yield Mock(f"http://127.0.0.1:{port}")
        process.terminate()


class Mock:
    """A running llmock."""

    def __init__(self, url: str) -> None:
        self.url = url

    def script(self, *behaviors: dict[str, Any]) -> None:
        """Forget what was, and do this to the next requests."""
        self._ask("POST", "/_llmock/reset")
        if behaviors:
            self._ask("POST", "/_llmock/scenario", {"behaviors": behaviors})

    def verdict(self) -> dict[str, Any]:
        """How the client coped, by llmock."""
        found: dict[str, Any] = self._ask("GET", "/_llmock/verdict")
        return found

    def _ask(self, method: str, path: str, body: Any = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


@contextlib.contextmanager
def run_gateway(folder: Path, mock: Mock) -> Iterator[Gateway]:
    """Run a gateway in front of llmock until the context ends."""
    text = CONFIG.replace("MOCK", mock.url).replace("KEY", KEY).replace("LIMITS", _LIMITS)
    (folder / "farebox.toml").write_text(text)
    gateway = Gateway(folder, folder / "farebox.toml")
    yield gateway
    assert gateway.stop() == 0


@pytest.fixture(scope="module")
def mock() -> Iterator[Mock]:
    with run_mock() as running:
        yield running


@pytest.fixture(scope="module")
def mocked(tmp_path_factory: pytest.TempPathFactory, mock: Mock) -> Iterator[Gateway]:
    with run_gateway(tmp_path_factory.mktemp("llmock"), mock) as gateway:
        yield gateway


def by_openai(gateway: Gateway, model: str, text: str, *, stream: bool) -> str:
    with openai.OpenAI(base_url=gateway.openai_url, api_key=KEY, max_retries=0) as client:
        if not stream:
            whole = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
            return whole.choices[0].message.content or ""
        said, is_over = "", False
        chunks = client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}], stream=True)
        for chunk in chunks:
            for choice in chunk.choices:
                said += choice.delta.content or ""
                is_over = is_over or choice.finish_reason is not None
        assert is_over, "a stream never ends as if it were whole when it is not"
        return said


def by_anthropic(gateway: Gateway, model: str, text: str, *, stream: bool) -> str:
    asked: dict[str, Any] = {"model": model, "max_tokens": 200, "messages": [{"role": "user", "content": text}]}
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        if not stream:
            return "".join(block.text for block in client.messages.create(**asked).content if block.type == "text")
        with client.messages.stream(**asked) as answer:
            said = "".join(answer.text_stream)
            assert answer.get_final_message().stop_reason is not None
            return said


Ask = Callable[..., str]
SPEAKERS: dict[str, tuple[Ask, str]] = {
    "openai": (by_openai, "mock/gpt-4o-mini"),
    "anthropic": (by_anthropic, "mock-claude/claude-haiku-4-5"),
    "openai to claude": (by_openai, "mock-claude/claude-haiku-4-5"),
}


def ask(speaker: str, gateway: Gateway, text: str, *, stream: bool) -> str:
    """As a sane application asks: once more where an answer broke off in the middle."""
    say, model = SPEAKERS[speaker]
    try:
        return say(gateway, model, text, stream=stream)
    except (openai.APIError, anthropic.APIError, json.JSONDecodeError):
        if not stream:
            raise
        return say(gateway, model, text, stream=stream)


def fail(status: int, **fields: Any) -> dict[str, Any]:
    return {"type": "fail", "status": status, **fields}


FAULTS: dict[str, tuple[list[dict[str, Any]], bool | None]] = {
    "429 twice": ([fail(429, times=2)], None),
    "429 with Retry-After": ([fail(429, retry_after=1)], None),
    "500": ([fail(500)], None),
    "503 twice": ([fail(503, times=2)], None),
    "503 with Retry-After": ([fail(503, retry_after=1)], None),
    "529": ([fail(529)], None),
    "408": ([fail(408)], None),
    "delay": ([{"type": "delay", "seconds": 0.2}], None),
    "slow first token": ([{"type": "slow_first_token", "seconds": 0.3}], True),
    "disconnect": ([{"type": "stream_fault", "kind": "disconnect", "after_chunks": 3}], True),
    "disconnect at once": ([{"type": "stream_fault", "kind": "disconnect", "after_chunks": 0}], True),
    "truncate": ([{"type": "stream_fault", "kind": "truncate", "after_chunks": 3}], True),
    "truncate at once": ([{"type": "stream_fault", "kind": "truncate", "after_chunks": 1}], True),
    "malformed": ([{"type": "stream_fault", "kind": "malformed", "after_chunks": 3}], True),
    "stall": ([{"type": "stream_fault", "kind": "stall", "after_chunks": 3, "stall_seconds": 3}], True),
}
# An event that is no JSON is handed on as it came, and counted: what it was meant to say is the client's to judge.
PASSED_ON = {("malformed", "malformed_chunk_ignored")}
_TRANSLATED = {"429 with Retry-After", "503 twice", "disconnect", "truncate", "malformed", "stall"}
CASES = [
    (speaker, fault, stream)
    for speaker in SPEAKERS
    for fault, (_, streams) in FAULTS.items()
    for stream in (False, True)
    if (streams is None or streams == stream)
    and (speaker != "openai to claude" or fault in _TRANSLATED)
    and (speaker == "openai" or stream)
]


@pytest.mark.parametrize(("speaker", "fault", "stream"), CASES, ids=[f"{a}-{b}-{c}" for a, b, c in CASES])
def test_llmock_finds_nothing_to_fault(mocked, mock, speaker, fault, stream) -> None:
    mock.script()
    usual = ask(speaker, mocked, f"Say it to {speaker}: {fault} {stream}", stream=stream)
    assert usual
    mock.script(*FAULTS[fault][0])
    assert ask(speaker, mocked, f"Say it to {speaker}: {fault} {stream}", stream=stream) == usual
    verdict = mock.verdict()
    findings = [one for one in verdict["findings"] if (fault, one["code"]) not in PASSED_ON]
    assert findings == [], verdict
    assert verdict["faults_injected"] >= 1 or fault in {"delay", "slow first token"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_cannot_succeed_is_not_asked_again(mocked, mock, status) -> None:
    mock.script(fail(status, times=5))
    with pytest.raises(openai.APIStatusError) as refused:
        by_openai(mocked, f"mock/gpt-4o-{status}", f"Never: {status}", stream=False)
    assert refused.value.status_code == status
    verdict = mock.verdict()
    assert (verdict["attempts"], verdict["findings"]) == (1, [])


def test_a_long_outage_is_given_up_after_some_tries(mocked, mock) -> None:
    mock.script(fail(503, times=50))
    with pytest.raises(openai.APIStatusError) as refused:
        by_openai(mocked, "mock/gpt-4.1", "An outage", stream=False)
    assert refused.value.status_code == 503
    verdict = mock.verdict()
    assert (verdict["attempts"], verdict["findings"]) == (3, [])


def test_a_quota_is_kept(tmp_path: Path) -> None:
    with run_mock("--rpm", "60") as strict, run_gateway(tmp_path, strict) as gateway:
        for number in range(63):
            assert by_openai(gateway, "mock/gpt-4o-mini", f"Number {number}", stream=False)
        verdict = strict.verdict()
    assert (verdict["calls"], verdict["findings"]) == (63, [])
