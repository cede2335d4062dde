"""A provider that follows a script, and clients that count events and leave; both on raw sockets."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator

from tests.gateway.conftest import KEY, RawProvider

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
PATH = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
ASK = "Tell me about trains."


class ScriptedProvider(RawProvider):
    """Runs one script for every request; the connection is closed when it ends."""

    def play(self, script: Script) -> None:
        self.received.clear()
        self.hung_up.clear()
        self._script = script

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            self.received.append((head[0], headers, body))
            await self._script(reader, writer)
        writer.close()


def writes(*pieces: bytes, then: str = "close") -> Script:
    """Write pieces, each a segment of its own, and then ``close``, ``reset`` or ``hold`` until the gateway leaves."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.001)
        if then == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif then == "hold":
            await reader.read()

    return script


def trickles(*pieces: bytes, drop: bytes, every_s: float) -> Script:
    """Write pieces, and then the same drop again and again until the gateway leaves."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await writes(*pieces)(reader, writer)
        while not reader.at_eof():
            writer.write(drop)
            await writer.drain()
            await asyncio.sleep(every_s)

    return script


def chunk(delta: object = None, finish: str | None = None, **more: object) -> bytes:
    """An event of OpenAI's."""
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "gpt-4o", "choices": choices, **more}
    return b"data: " + json.dumps(body, ensure_ascii=False).encode() + b"\n\n"


def event(kind: str, **fields: object) -> bytes:
    """An event of Anthropic's."""
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


ROLE = chunk({"role": "assistant", "content": ""})
WORDS = chunk({"content": "one two three"})
STOP = chunk({}, "stop")
USAGE = chunk(usage={"prompt_tokens": 6, "completion_tokens": 3, "total_tokens": 9})
DONE = b"data: [DONE]\n\n"
MESSAGE = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-haiku-4-5", "content": []}
START = event("message_start", message={**MESSAGE, "usage": {"input_tokens": 6, "output_tokens": 1}})
TEXT = event("content_block_start", index=0, content_block={"type": "text", "text": ""})
PING = event("ping")
DELTA = event("content_block_delta", index=0, delta={"type": "text_delta", "text": "one two three"})


def request(dialect: str, model: str, *, stream: bool = True, **wishes: object) -> bytes:
    """A whole request, in one segment; the wishes are for a simulated provider."""
    user = json.dumps(wishes)
    body = {"model": model, "messages": [{"role": "user", "content": ASK}], "stream": stream}
    body |= {"user": user} if dialect == "openai" else {"metadata": {"user_id": user}}
    data = json.dumps({**body, "max_tokens": 500}).encode()
    head = f"POST {PATH[dialect]} HTTP/1.1\r\nhost: a\r\nx-api-key: {KEY}\r\ncontent-length: {len(data)}\r\n\r\n"
    return head.encode() + data


def read_events(connection: socket.socket, count: int) -> bytes:
    """Read until so many events have come, or the stream has ended."""
    received = b""
    while received.count(b"data: ") < count and not received.endswith(b"0\r\n\r\n"):
        more = connection.recv(65536)
        if not more:
            break
        received += more
    return received


@contextlib.contextmanager
def small_buffers(port: int) -> Iterator[socket.socket]:
    """A client whose kernel takes as little as it can."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", port))
        yield connection
