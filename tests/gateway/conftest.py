"""A real gateway process in front of simulated and scripted providers, its journal and the provider's bill.

The gateway is a worker as `farebox serve` starts it. What it put on record is read from its journal; what it
should have put there is read from the simulated provider's own bill.
"""

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import anthropic
import msgspec
import openai
import pytest

from farebox.journal.record import Done, Sent
from farebox.journal.segment import read_segment
from farebox.money import FEMTO_PER_USD
from farebox.simulate.bill import BillRow
from farebox.simulate.run import ProvidersInThread, SimulatedProviders
from farebox.state.settings import Spec

KEY = "fbx-key-of-the-tests"
BODY_BYTES = 256 * 1024
EVENT_BYTES = 64 * 1024
_WAIT_S = 10.0

CONFIG = f"""
providers = [
  {{ name = "openai", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-simulated" }},
  {{ name = "anthropic", kind = "anthropic", base_url = "SIMULATED", api_key = "sk-ant-simulated" }},
  {{ name = "drainer", kind = "openai-compatible", base_url = "SIMULATED/v1", api_key = "sk-1", rates = "openai" }},
  {{ name = "impatient", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-1", idle_timeout_s = 0.4 }},
  {{ name = "locked-out", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-invalid" }},
  {{ name = "locked-too", kind = "openai", base_url = "SIMULATED/v1", api_key = "sk-invalid" }},
  {{ name = "dead", kind = "openai", base_url = "http://127.0.0.1:CLOSED/v1", api_key = "sk-1" }},
  {{ name = "raw", kind = "openai-compatible", base_url = "RAW/v1", api_key = "sk-raw", rates = "openai", HEADERS }},
  {{ name = "raw-xai", kind = "openai-compatible", base_url = "RAW/v1", api_key = "sk-1", rates = "x-ai" }},
  {{ name = "raw-eu", kind = "openai-compatible", base_url = "RAW/v1", rates = "openai", region = "eu" }},
  {{ name = "raw-claude", kind = "anthropic-compatible", base_url = "RAW", api_key = "sk-ant-raw", RATES }},
]
keys = [{{ name = "tests", key = "{KEY}" }}]

[limits]
body_bytes = {BODY_BYTES}
event_bytes = {EVENT_BYTES}
answer_bytes = 1048576

[pacing]
learn = LEARN

[retries]
repeats = 0
backoff_ms = 1
most_backoff_ms = 1

[breaker]
failures = 1000000
least_attempts = 1000000
"""
MODELS = {
    "gpt-4o-mini": ["openai/gpt-4o-mini"],
    "gpt-4o": ["openai/gpt-4o"],
    "gpt-5-mini": ["openai/gpt-5-mini"],
    "text-embedding-3-small": ["openai/text-embedding-3-small"],
    "claude-sonnet-4-6": ["anthropic/claude-sonnet-4-6"],
    "claude-haiku-4-5": ["anthropic/claude-haiku-4-5"],
    "dead-first": ["dead/gpt-4o", "openai/gpt-4o-mini"],
    "dead-only": ["dead/gpt-4o"],
    "cheapest": ["openai/gpt-4o", "openai/gpt-4o-mini"],
    "cheapest-dead": ["openai/gpt-4o", "dead/gpt-4o-mini"],
    "raw-first": ["raw/gpt-4o", "openai/gpt-4o-mini"],
    "locked-first": ["locked-too/gpt-4o", "openai/gpt-4o-mini"],
    "raw-first-claude-second": ["raw/gpt-4o", "anthropic/claude-haiku-4-5"],
}


def write_config(path: Path, simulated: str = "", raw: str = "", *, learn: bool = False) -> Path:
    tables = []
    for name, targets in MODELS.items():
        pairs = [target.split("/") for target in targets]
        listed = ", ".join(f'{{ provider = "{provider}", model = "{model}" }}' for provider, model in pairs)
        strategy = 'strategy = "cheapest"\n' if name.startswith("cheapest") else ""
        tables.append(f'[[models]]\nname = "{name}"\n{strategy}targets = [{listed}]\n')
    text = CONFIG.replace("SIMULATED", simulated).replace("RAW", raw).replace("CLOSED", str(free_port()))
    text = text.replace("LEARN", str(learn).lower())
    text = text.replace("RATES", 'rates = "anthropic"').replace("HEADERS", 'headers = { "x-team" = "search" }')
    path.write_text(text + "\n".join(tables))
    return path


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Attempted(msgspec.Struct, frozen=True):
    """An attempt on record, and its row on the simulated provider's bill if it has one."""

    sent: Sent
    done: Done
    row: BillRow | None

    @property
    def billed_femto(self) -> int:
        assert self.row is not None, f"{self.sent.attempt} is not on the bill"
        amount = Decimal(self.row.amount_usd) * FEMTO_PER_USD
        assert amount == int(amount)
        return int(amount)


class Gateway:
    """One worker process and its journal."""

    def __init__(
        self, folder: Path, config: Path, *, grace_s: float = 10.0, preload: str = "", life_line: bool = False
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.openai_url = f"{self.url}/v1"
        self.data_dir = folder / "data"
        self.data_dir.mkdir()
        self.errors = folder / "stderr.txt"
        self._records: list[Sent | Done] = []
        self._offsets: dict[Path, int] = {}
        ready_read, ready_write = os.pipe()
        life_read, life_write = os.pipe()
        self._life_write: int | None = life_write
        spec = Spec(
            config_path=str(config),
            data_dir=str(self.data_dir),
            port=self.port,
            grace_s=grace_s,
            ready_fd=ready_write,
            life_fd=life_read if life_line else None,
        )
        start = ["-c", f"{preload}\nfrom farebox.worker import main; main()"] if preload else ["-m", "farebox.worker"]
        command = [sys.executable, *start, msgspec.json.encode(spec).decode()]
        with self.errors.open("wb") as errors:
            self.process = subprocess.Popen(
                command, pass_fds=[ready_write, life_read], stderr=errors, stdin=subprocess.DEVNULL
            )
        os.close(ready_write)
        os.close(life_read)
        with os.fdopen(ready_read, "rb") as ready:
            assert ready.read(1) == b"+", self.errors.read_text()

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.cut_life_line()
        return self.process.wait(30)

    def cut_life_line(self) -> None:
        if self._life_write is not None:
            os.close(self._life_write)
            self._life_write = None

    def request(self, method, path, body=None, headers=()):
        """Plain HTTP: (status, headers, body). A body that is not bytes is sent as JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        try:
            connection.request(method, path, data, {"content-type": "application/json", **dict(headers)})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()

    def openai(self, path, body, headers=()):
        return self.request("POST", f"/v1{path}", body, {"authorization": f"Bearer {KEY}", **dict(headers)})

    def anthropic(self, path, body, headers=()):
        keys = {"x-api-key": KEY, "anthropic-version": "2023-06-01"}
        return self.request("POST", f"/v1{path}", body, {**keys, **dict(headers)})

    @contextlib.contextmanager
    def stream(self, **wishes: Any) -> Iterator[http.client.HTTPResponse]:
        """A streamed answer of which the head has arrived; its provider reads the wishes in the user's name."""
        asked = [{"role": "user", "content": "Tell me about trains."}]
        body = {"model": "gpt-4o", "messages": asked, "stream": True, "user": json.dumps(wishes)}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
        with contextlib.closing(connection), connection.getresponse() as answer:
            yield answer

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def records(self) -> list[Sent | Done]:
        """Everything on record so far, in order."""
        for path in sorted((self.data_dir / "journal").glob("[0-9]*/*.seg")):
            while True:
                batch = read_segment(path, self._offsets.get(path, 0))
                self._offsets[path] = batch.next_offset
                if not batch.records:
                    break
                self._records += [record for record, _ in batch.records]
        return self._records


class Books:
    """What one test put on record and on the bill."""

    def __init__(self, gateway: Gateway, simulated: SimulatedProviders) -> None:
        self._gateway = gateway
        self._simulated = simulated
        self._start = len(gateway.records())
        self._bill_start = len(simulated.rows())

    def rows(self) -> list[BillRow]:
        return self._simulated.rows()[self._bill_start :]

    def attempts(self, count: int) -> list[Attempted]:
        """Exactly so many new attempts, each ended once; waits for their ends."""
        deadline_s = time.monotonic() + _WAIT_S
        while True:
            records = self._gateway.records()[self._start :]
            sent = [record for record in records if isinstance(record, Sent)]
            done = [record for record in records if isinstance(record, Done)]
            if len(done) >= count or time.monotonic() > deadline_s:
                break
            time.sleep(0.005)
        assert {record.attempt for record in sent} == {record.attempt for record in done}
        assert len(sent) == len(done), "each ends once"
        assert len(sent) == count, sent
        ends = {record.attempt: record for record in done}
        # The provider learns of a cut when its connection closes, which may be after the gateway wrote its end.
        while any(row.phase != "done" for row in self.rows()) and time.monotonic() < deadline_s:
            time.sleep(0.005)
        rows = {row.correlation: row for row in self.rows()}
        return [Attempted(record, ends[record.attempt], rows.get(record.attempt)) for record in sent]

    def exact(self, count: int = 1) -> list[Attempted]:
        """As `attempts`; each costs to the femtodollar what its provider bills, and the lines add up to it."""
        found = self.attempts(count)
        for attempted in found:
            done = attempted.done
            assert done.total_femto == attempted.billed_femto, attempted
            assert done.flags == ()
            assert sum(line.amount_femto for line in done.lines) == done.total_femto
            assert all(line.quantity * line.unit_price_femto == line.amount_femto for line in done.lines)
        return found

    def nothing(self) -> None:
        """Nothing was put on record and nothing reached the provider."""
        assert self._gateway.records()[self._start :] == []
        assert self.rows() == []


class RawProvider:
    """A provider that writes whatever bytes a test gives it, and keeps what it received.

    A reply is a list of pieces: bytes are written and flushed one by one, `RESET` and `HOLD` do what they say;
    then the connection is closed.
    """

    RESET = object()  # end the connection with a reset
    HOLD = object()  # wait until the gateway hangs up

    def __init__(self) -> None:
        self.received: list[tuple[str, dict[str, str], bytes]] = []
        self.hung_up = threading.Event()
        self._pieces: tuple[object, ...] = ()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def reply(self, *pieces: object) -> None:
        self.received.clear()
        self.hung_up.clear()
        self._pieces = pieces

    def whole(self, body: bytes, status: str = "200 OK", kind: str = "application/json", **headers: str) -> None:
        """Answer with a body and its length."""
        named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = f"HTTP/1.1 {status}\r\ncontent-type: {kind}\r\n{named}content-length: {len(body)}\r\n"
        self.reply(head.encode() + b"connection: close\r\n\r\n" + body)

    def stream(self, *pieces: object) -> None:
        """Answer with a stream of events that ends with the connection."""
        self.reply(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n", *pieces)

    def __enter__(self) -> Self:
        self._thread.start()
        server = asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._server = asyncio.run_coroutine_threadsafe(server, self._loop).result(10)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append((head[0], headers, body))
            for piece in self._pieces:
                if piece is self.RESET:
                    linger = struct.pack("ii", 1, 0)
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                elif piece is self.HOLD:
                    await reader.read()
                    self.hung_up.set()
                else:
                    assert isinstance(piece, bytes)
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0.002)  # so that each piece is a segment of its own
        writer.close()


@pytest.fixture(scope="session")
def simulated(tmp_path_factory) -> Iterator[SimulatedProviders]:
    with ProvidersInThread(bill_path=tmp_path_factory.mktemp("bill") / "bill.jsonl") as providers:
        yield providers


@pytest.fixture(scope="session")
def raw_session() -> Iterator[RawProvider]:
    with RawProvider() as provider:
        yield provider


@pytest.fixture
def raw(raw_session):
    raw_session.reply()
    return raw_session


@pytest.fixture(scope="session")
def gateway(tmp_path_factory, simulated, raw_session) -> Iterator[Gateway]:
    folder = tmp_path_factory.mktemp("gateway")
    running = Gateway(folder, write_config(folder / "farebox.toml", simulated.url, raw_session.url))
    yield running
    assert running.stop() == 0
    complaints = [line for line in running.errors.read_text().splitlines() if "ALARM" not in line]
    assert complaints == [], "the gateway complained"


@pytest.fixture
def start_gateway() -> Iterator[Callable[..., Gateway]]:
    """Starts gateways of a test's own and stops those that still run at its end."""
    running: list[Gateway] = []

    def start(
        folder: Path, simulated_url: str, raw_url: str = "http://127.0.0.1:9", *, learn: bool = False, **options: Any
    ) -> Gateway:
        config = write_config(folder / "farebox.toml", simulated_url, raw_url, learn=learn)
        gateway = Gateway(folder, config, **options)
        running.append(gateway)
        return gateway

    yield start
    for each in running:
        each.stop()


@pytest.fixture
def books(gateway, simulated) -> Books:
    return Books(gateway, simulated)


@pytest.fixture
def books_of(simulated) -> Callable[[Gateway], Books]:
    return lambda gateway: Books(gateway, simulated)


@pytest.fixture
def gpt(gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=gateway.openai_url, api_key=KEY, max_retries=0) as client:
        yield client


@pytest.fixture
def claude(gateway) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=gateway.url, api_key=KEY, max_retries=0) as client:
        yield client
