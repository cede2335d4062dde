"""The configuration changes while calls are under way: none is lost, and the next ones go by what is new."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from farebox.cli.main import cli
from tests.gateway.conftest import KEY, Gateway

ASK = [{"role": "user", "content": "Tell me about trains."}]
CONFIG = """
prices = ["own.toml"]
providers = [
  { name = "one", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-1", rates = "openai" },
  { name = "two", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-2", rates = "openai" },
]
keys = [{ name = "tests", key = "KEY" }]
[retries]
repeats = 0
[pacing]
learn = false
[[models]]
name = "m"
strategy = "STRATEGY"
targets = [{ provider = "FIRST", model = "gpt-4o-mini" }, { provider = "SECOND", model = "gpt-4.1-mini" }]
"""
DEARER = """
[[prices]]
provider = "openai"
model = "gpt-4o-mini"
input = "90"
output = "90"
"""
_PATIENCE_S = 10.0


def write(path: Path, url: str, first: str = "one", second: str = "two", strategy: str = "priority", more: str = ""):
    text = CONFIG.replace("SIMULATED", url).replace("KEY", KEY).replace("STRATEGY", strategy)
    draft = path.with_suffix(".draft")
    draft.write_text(text.replace("FIRST", first).replace("SECOND", second) + more)
    draft.replace(path)


@pytest.fixture
def own(tmp_path: Path, simulated) -> Iterator[Gateway]:
    (tmp_path / "own.toml").write_text("")
    write(tmp_path / "farebox.toml", simulated.url)
    gateway = Gateway(tmp_path, tmp_path / "farebox.toml")
    yield gateway
    assert gateway.stop() == 0


def ask(gateway: Gateway, *, stream: bool = False) -> tuple[int, dict[str, str], bytes]:
    status, headers, body = gateway.openai("/chat/completions", {"model": "m", "messages": ASK, "stream": stream})
    return status, headers, body


def wait_for(gateway: Gateway, header: str, value: str) -> float:
    """Return after how many seconds an answer says so."""
    start_s = time.monotonic()
    while ask(gateway)[1].get(header) != value:
        assert time.monotonic() - start_s < _PATIENCE_S, gateway.errors.read_text()
    return time.monotonic() - start_s


def test_targets_change_within_a_second(own, tmp_path, simulated) -> None:
    assert ask(own)[1]["x-farebox-provider"] == "one"
    write(tmp_path / "farebox.toml", simulated.url, "two", "one")
    assert wait_for(own, "x-farebox-provider", "two") < 1.0
    write(tmp_path / "farebox.toml", simulated.url, "one", "two")
    assert wait_for(own, "x-farebox-provider", "one") < 1.0


def test_what_cannot_be_used_changes_nothing(own, tmp_path, simulated) -> None:
    write(tmp_path / "farebox.toml", simulated.url, "nobody", "two")
    deadline_s = time.monotonic() + _PATIENCE_S
    while (ready := json.loads(own.request("GET", "/readyz")[2]))["configuration"] == "ok":
        assert time.monotonic() < deadline_s
    assert "no provider is named 'nobody'" in ready["configuration"]
    assert ready["status"] == "ready"
    assert ask(own)[1]["x-farebox-provider"] == "one"
    assert own.errors.read_text().count("no provider is named 'nobody'") == 1
    write(tmp_path / "farebox.toml", simulated.url, "two", "one")
    wait_for(own, "x-farebox-provider", "two")
    assert json.loads(own.request("GET", "/readyz")[2])["configuration"] == "ok"


def test_what_takes_a_restart_is_named(own, tmp_path, simulated) -> None:
    write(tmp_path / "farebox.toml", simulated.url, "two", "one", more='\n[journal]\ndurability = "power"\n')
    deadline_s = time.monotonic() + _PATIENCE_S
    while (ready := json.loads(own.request("GET", "/readyz")[2]))["configuration"] == "ok":
        assert time.monotonic() < deadline_s
    assert "journal: this takes a restart" in ready["configuration"]
    assert ask(own)[1]["x-farebox-provider"] == "one"


def test_keys_come_and_go(own, tmp_path, simulated) -> None:
    write(tmp_path / "farebox.toml", simulated.url)
    text = (tmp_path / "farebox.toml").read_text()
    (tmp_path / "farebox.toml").write_text(text.replace(KEY, "another-key"))
    body = {"model": "m", "messages": ASK}
    deadline_s = time.monotonic() + _PATIENCE_S
    while own.request("POST", "/v1/chat/completions", body, {"authorization": "Bearer another-key"})[0] == 401:
        assert time.monotonic() < deadline_s
    assert ask(own)[0] == 401


def test_a_signal_makes_it_look_at_once(own, tmp_path, simulated) -> None:
    write(tmp_path / "farebox.toml", simulated.url, "two", "one")
    os.kill(own.process.pid, signal.SIGHUP)
    assert wait_for(own, "x-farebox-provider", "two") < 1.0


def test_pushed_prices_move_traffic_and_the_books_say_by_which(own, tmp_path, simulated) -> None:
    write(tmp_path / "farebox.toml", simulated.url, strategy="cheapest")
    deadline_s = time.monotonic() + _PATIENCE_S
    while not (why := ask(own)[1].get("x-farebox-route", "")):
        assert time.monotonic() < deadline_s
    assert why.startswith("cheapest: one/gpt-4o-mini at about")
    (tmp_path / "dearer.toml").write_text(DEARER)
    options = ["--data-dir", str(own.data_dir)]
    run = CliRunner().invoke
    pushed = run(cli, ["prices", "push", str(tmp_path / "dearer.toml"), *options])
    assert pushed.exit_code == 0, pushed.output
    assert wait_for(own, "x-farebox-provider", "two") < 1.0
    assert json.loads(run(cli, ["prices", "pushed", "--json", *options]).output) == {"pushed": ["dearer"]}
    assert run(cli, ["prices", "withdraw", "dearer", *options]).exit_code == 0
    assert wait_for(own, "x-farebox-provider", "one") < 1.0
    books = {record.book for record in own.records() if hasattr(record, "book")}
    assert len(books) == 2


def test_no_call_is_lost(own, tmp_path, simulated) -> None:
    """Plain calls and streams all along, while the file changes twenty times."""
    stop = threading.Event()
    seen: list[tuple[int, str, bool]] = []
    errors: list[Any] = []

    def call(*, stream: bool) -> None:
        while not stop.is_set():
            try:
                status, headers, body = ask(own, stream=stream)
                whole = body.rstrip().endswith(b"data: [DONE]") if stream else body.startswith(b"{")
                seen.append((status, headers["x-farebox-provider"], whole))
            except Exception as error:  # noqa: BLE001 - whatever a client would see
                errors.append(error)

    def start(work: Callable[..., None], *, stream: bool) -> threading.Thread:
        thread = threading.Thread(target=work, kwargs={"stream": stream})
        thread.start()
        return thread

    threads = [start(call, stream=stream) for stream in (False, True, True)]
    try:
        for number in range(20):
            first, second = ("two", "one") if number % 2 == 0 else ("one", "two")
            more = "\n[breaker]\nfailures = 7\n" if number % 3 else ""
            write(tmp_path / "farebox.toml", simulated.url, first, second, more=more)
            wait_for(own, "x-farebox-provider", first)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert errors == []
    assert {(status, whole) for status, _, whole in seen} == {(200, True)}
    assert {provider for _, provider, _ in seen} == {"one", "two"}


def test_the_last_key_cannot_be_taken_from_a_gateway_that_others_reach(tmp_path, simulated) -> None:
    """Without keys anyone could call: what a start refuses, a reload refuses."""
    (tmp_path / "own.toml").write_text("")
    host = 'host = "0.0.0.0"\n'
    text = CONFIG.replace("SIMULATED", simulated.url).replace("KEY", KEY).replace("STRATEGY", "priority")
    text = host + text.replace("FIRST", "one").replace("SECOND", "two")
    (tmp_path / "farebox.toml").write_text(text)
    gateway = Gateway(tmp_path, tmp_path / "farebox.toml")
    try:
        (tmp_path / "farebox.toml").write_text(
            "\n".join(line for line in text.splitlines() if not line.startswith("keys"))
        )
        deadline_s = time.monotonic() + _PATIENCE_S
        while (ready := json.loads(gateway.request("GET", "/readyz")[2]))["configuration"] == "ok":
            assert time.monotonic() < deadline_s
        assert "keys: the last one is gone" in ready["configuration"]
        body = {"model": "m", "messages": ASK}
        assert gateway.request("POST", "/v1/chat/completions", body)[0] == 401
        assert ask(gateway)[0] == 200
    finally:
        gateway.stop()
