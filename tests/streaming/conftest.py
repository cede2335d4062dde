"""A gateway with short time limits and small caps, in front of a scripted and of simulated providers."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from farebox.budgets.account import read_account
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.money import femto_from_usd
from farebox.state.ledger_authority import open_authority
from tests.gateway.conftest import KEY, Books, Gateway, simulated
from tests.streaming.peer import ScriptedProvider

__all__ = ["simulated"]
FIRST_S, IDLE_S, TOTAL_S = 0.3, 0.4, 0.8
HEARTBEAT_S = 0.25
STREAM_BYTES = 17 << 20  # the usual largest event fits
_PLAN_S = 1.1  # a change of the budgets is in force within a second
CONFIG = f"""
providers = [
  {{ name = "openai", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-simulated" }},
  {{ name = "anthropic", kind = "anthropic", base_url = "SIMULATED", api_key = "sk-ant-simulated" }},
  {{ name = "drainer", kind = "openai-compatible", base_url = "SIMULATED/v1", api_key = "sk-1", rates = "openai" }},
  {{ name = "raw", kind = "openai-compatible", base_url = "RAW/v1", api_key = "sk-raw", rates = "openai", LIMITS }},
  {{ name = "claude", kind = "anthropic-compatible", base_url = "RAW", api_key = "k", rates = "anthropic", LIMITS }},
  {{ name = "slow", kind = "openai-compatible", base_url = "RAW/v1", api_key = "k", rates = "openai" }},
  {{ name = "unread", kind = "openai", base_url = "RAW/v1", api_key = "k", on_disconnect = "abort" }},
]
keys = [{{ name = "tests", key = "{KEY}" }}]

[limits]
stream_bytes = {STREAM_BYTES}
write_timeout_s = 1.0

[retries]
repeats = 0

[breaker]
failures = 1000000
least_attempts = 1000000

[pacing]
learn = false

[[models]]
name = "raw-then-simulated"
targets = [{{ provider = "raw", model = "gpt-4o" }}, {{ provider = "openai", model = "gpt-4o-mini" }}]

[[models]]
name = "claude-then-simulated"
targets = [
  {{ provider = "claude", model = "claude-haiku-4-5" }},
  {{ provider = "anthropic", model = "claude-haiku-4-5" }},
]
"""
# Says, when asked by a signal, how many tasks there are; and its heart beats faster than every 15 s.
_PRELOAD = """
import asyncio, os, signal
import msgspec
import farebox.worker as worker
limit_clients = worker.limit_clients
worker.limit_clients = lambda *args: msgspec.structs.replace(limit_clients(*args), heartbeat_s=HEARTBEAT)
inner = worker.run
async def run(*args):
    loop = asyncio.get_running_loop()
    def count():
        with open("TASKS.new", "w") as file:
            file.write(str(len(asyncio.all_tasks(loop))))
        os.replace("TASKS.new", "TASKS")
    loop.add_signal_handler(signal.SIGUSR1, count)
    await inner(*args)
worker.run = run
"""


class Inside:
    """What the worker under test holds."""

    def __init__(self, gateway: Gateway, tasks: Path) -> None:
        self._process = Path(f"/proc/{gateway.process.pid}")
        self._pid = gateway.process.pid
        self._tasks = tasks

    def tasks(self) -> int:
        self._tasks.unlink(missing_ok=True)
        os.kill(self._pid, signal.SIGUSR1)
        while not self._tasks.exists():
            time.sleep(0.001)
        return int(self._tasks.read_text())

    def descriptors(self) -> int:
        return len(list((self._process / "fd").iterdir()))

    def forget_peak(self) -> int:
        """Begin a new peak of resident memory; returns what it is now, in KiB."""
        (self._process / "clear_refs").write_text("5")
        return self._status("VmRSS")

    def peak(self) -> int:
        """Most resident memory since `forget_peak`, in KiB."""
        return self._status("VmHWM")

    def _status(self, name: str) -> int:
        lines = (self._process / "status").read_text().splitlines()
        (line,) = [line for line in lines if line.startswith(f"{name}:")]
        return int(line.split()[1])


@pytest.fixture(scope="session")
def raw_streams() -> Iterator[ScriptedProvider]:
    with ScriptedProvider() as provider:
        yield provider


@pytest.fixture(scope="session")
def stream_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("streams")


@pytest.fixture(scope="session")
def stream_gateway(stream_folder: Path, simulated, raw_streams) -> Iterator[Gateway]:
    limits = f"first_token_timeout_s = {FIRST_S}, idle_timeout_s = {IDLE_S}, total_timeout_s = {TOTAL_S}"
    limits += ', on_disconnect = "abort"'
    text = CONFIG.replace("SIMULATED", simulated.url).replace("RAW", raw_streams.url).replace("LIMITS", limits)
    (stream_folder / "farebox.toml").write_text(text)
    preload = _PRELOAD.replace("TASKS", str(stream_folder / "tasks")).replace("HEARTBEAT", str(HEARTBEAT_S))
    running = Gateway(stream_folder, stream_folder / "farebox.toml", preload=preload)
    yield running
    assert running.stop() == 0
    complaints = [line for line in running.errors.read_text().splitlines() if "ALARM" not in line]
    assert complaints == [], "the gateway complained"


@pytest.fixture(scope="module")
def capped(stream_gateway: Gateway) -> Iterator[None]:
    """A budget over everything, far away, so that what budgets are charged stands in the records."""
    authority = open_authority(stream_gateway.data_dir)
    org, window = read_account("org"), read_window("lifetime")
    authority.put(Budget("", org, "usd", window, femto_from_usd("100000")))
    time.sleep(_PLAN_S)
    yield
    assert authority.check() == []
    authority.remove(org, "usd", window)
    authority.close()
    time.sleep(_PLAN_S)


@pytest.fixture
def inside(stream_gateway: Gateway, stream_folder: Path) -> Inside:
    return Inside(stream_gateway, stream_folder / "tasks")


@pytest.fixture
def stream_books(stream_gateway: Gateway, simulated) -> Books:
    return Books(stream_gateway, simulated)
