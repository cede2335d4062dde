"""The fixtures of replay: a gateway that answers from a script, and traces."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import msgspec
import pytest

Script = Callable[["Asked"], str]


class Asked(msgspec.Struct):
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    number: int

    def count_text(self) -> int:
        """Return the prompt's length in tokens of 4 bytes."""
        system = self.body.get("system", "")
        messages = [*([{"content": system}] if system else []), *self.body["messages"]]
        size = 0
        for message in messages:
            content = message["content"]
            size += len(content) if isinstance(content, str) else sum(len(part["text"]) for part in content)
        return size // 4


class Gateway:
    """Serves on loopback from a thread of its own; `asked` is what came.

    A script names how to answer: ok, 429, 500, plain, close, cut, fault, garbage, silent.
    """

    def __init__(self, script: Script = lambda _asked: "ok") -> None:
        self.script = script
        self.asked: list[Asked] = []
        self.in_flight = 0
        self.in_flight_max = 0
        self.hold_s = 0.0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),))
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(5)
        return self

    def __exit__(self, *exc: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(5)
        self._loop.close()

    async def _serve(self) -> None:
        connections: set[asyncio.Task[None]] = set()

        async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            connections.add(task)
            try:
                while await self._answer(reader, writer):
                    pass
            except (ConnectionError, asyncio.CancelledError):
                pass
            finally:
                connections.discard(task)
                writer.close()

        server = await asyncio.start_server(connect, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for task in list(connections):
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.strip().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        asked = Asked(first.split()[1], headers, body, len(self.asked))
        self.asked.append(asked)
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)
        try:
            await asyncio.sleep(self.hold_s)
            return await self._write(self.script(asked), asked, writer)
        finally:
            self.in_flight -= 1

    async def _write(self, how: str, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        if how == "close":
            return False
        if how == "silent":
            await self._stop.wait()
            return False
        if how in {"429", "500"}:
            body = json.dumps({"error": {"message": f"told to answer {how}", "type": "test"}}).encode()
            writer.write(b"HTTP/1.1 %b X\r\ncontent-length: %d\r\n\r\n%b" % (how.encode(), len(body), body))
        elif how == "plain":
            writer.write(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 11\r\n\r\nbad gateway")
        elif asked.body.get("stream"):
            return await self._write_stream(how, asked, writer)
        else:
            body = b"<html>" if how == "garbage" else json.dumps(_complete(asked)).encode()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        return True

    async def _write_stream(self, how: str, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        events = _events(asked)
        if how == "fault":
            events[2:] = [b'event: error\ndata: {"type":"error","error":{"message":"overloaded in the middle"}}\n\n']
        if how == "garbage":
            events[2:] = [b"data: {nonsense\n\n"]
        if how == "unterminated":
            events.pop()
        for number, event in enumerate(events):
            if how == "cut" and number == 2:
                return False
            # Cut each event in two, so that the reader sees pieces.
            for piece in (event[:7], event[7:]):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await writer.drain()
        writer.write(b"0\r\n\r\n")
        return True


def _complete(asked: Asked) -> dict[str, Any]:
    tokens = asked.count_text()
    if asked.path == "/v1/messages":
        usage = {"input_tokens": tokens - 1, "cache_read_input_tokens": 1, "output_tokens": asked.body["max_tokens"]}
        return {"type": "message", "content": [{"type": "text", "text": "fine"}], "usage": usage}
    usage = {
        "prompt_tokens": tokens,
        "completion_tokens": asked.body["max_completion_tokens"],
        "prompt_tokens_details": {"cached_tokens": 1},
    }
    return {"object": "chat.completion", "choices": [{"message": {"content": "fine"}}], "usage": usage}


def _events(asked: Asked) -> list[bytes]:
    tokens = asked.count_text()
    if asked.path == "/v1/messages":
        output = asked.body["max_tokens"]
        start = {"input_tokens": tokens - 1, "cache_read_input_tokens": 1, "output_tokens": 1}
        events: list[dict[str, Any]] = [
            {"type": "message_start", "message": {"usage": start}},
            {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "fine"}},
            {"type": "message_delta", "usage": {"output_tokens": output}},
            {"type": "message_stop"},
        ]
        return [f"event: {event['type']}\r\ndata: {json.dumps(event)}\r\n\r\n".encode() for event in events]
    usage = _complete(asked)["usage"]
    chunks: list[dict[str, Any]] = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}], "usage": None},
        {"choices": [{"delta": {"content": "fine"}}]},
        {"choices": [], "usage": usage},
    ]
    return [*(f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks), b"data: [DONE]\n\n"]


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    with Gateway() as running:
        yield running


@pytest.fixture
def trace_file(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "trace"
        path.write_text(text, encoding="utf-8")
        return path

    return write


SHARED = Path(__file__).parents[3] / "shared" / "data" / "traces"


@pytest.fixture
def published() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        path = SHARED / name
        if not path.exists():
            pytest.skip(f"the published trace {name} is not beside this checkout, under ../shared/data/traces")
        return path

    return find
