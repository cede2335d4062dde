"""Raw peers on loopback for the tests of http1: clients and providers that send exactly the bytes they are told."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from farebox.http1.client import Origin, PoolLimits, TimeLimits, Upstream
from farebox.http1.exchange import Exchange
from farebox.http1.limits import ServerLimits
from farebox.http1.server import HttpServer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
QUICK = ServerLimits(head_s=0.05, body_s=0.05, idle_s=0.05, write_stall_s=0.05, linger_s=0.05, sweep_s=0.01)


class Answer(NamedTuple):
    """One answer as it stood on the wire; ``whole`` is false where the connection ended before it did."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool


async def echo(exchange: Exchange) -> None:
    """Answer with what was understood."""
    names = ("content-type", "x-many", "x-bytes", "x_api_key", "x-api-key", "x-trailer")
    seen = {
        "method": exchange.method,
        "path": exchange.path,
        "headers": {name: exchange.headers.get(name) for name in names if exchange.headers.get(name) is not None},
        "body": exchange.body.decode("latin-1"),
        "too_large": exchange.too_large,
    }
    exchange.respond(
        413 if exchange.too_large else 200, [("content-type", "application/json")], json.dumps(seen).encode()
    )


@asynccontextmanager
async def serving(
    handler: Callable[[Exchange], Awaitable[None]] = echo, body_bytes: int = 1 << 20, limits: ServerLimits | None = None
) -> AsyncIterator[tuple[HttpServer, int]]:
    """Serve on a free port; nothing may be left when it is closed."""
    server = HttpServer(handler, body_bytes, limits)
    port = await server.listen("127.0.0.1", 0, 128)
    try:
        yield server, port
    finally:
        await server.close()
    assert not server.tasks
    await until(lambda: not server.connections)


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so; the test's own time limit ends a wait in vain."""
    while not condition():  # noqa: ASYNC110 - what is waited for is inside what is tested
        await asyncio.sleep(0.001)


async def turn() -> None:
    """Let what was just written arrive."""
    for _ in range(3):
        await asyncio.sleep(0)


async def read_head(reader: asyncio.StreamReader) -> tuple[int, list[tuple[str, str]]]:
    """Read a head."""
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")[:-2]
    pairs = [line.split(": ", 1) for line in lines[1:]]
    return int(lines[0].split(" ")[1]), [(name.lower(), value) for name, value in pairs]


async def read_answer(reader: asyncio.StreamReader, *, head_only: bool = False) -> Answer:
    """Read one answer as HTTP/1.1 says where it ends."""
    status, headers = await read_head(reader)
    fields = dict(headers)
    body = b""
    try:
        if head_only or status < 200:
            pass
        elif fields.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                body += await reader.readexactly(size)
                assert await reader.readexactly(2) == b"\r\n"
            assert await reader.readexactly(2) == b"\r\n"
        elif "content-length" in fields:
            body = await reader.readexactly(int(fields["content-length"]))
        else:
            body = await reader.read()
    except (asyncio.IncompleteReadError, ConnectionError):
        return Answer(status, headers, body, whole=False)
    return Answer(status, headers, body, whole=True)


async def ask(port: int, data: bytes) -> list[Answer]:
    """Send bytes on a connection of their own and read answers until the server closes it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    answers = []
    try:
        while True:
            answers.append(await read_answer(reader))
    except asyncio.IncompleteReadError as end:
        if end.partial:
            raise
    finally:
        await hang_up(writer)
    return answers


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close a stream, whatever its peer has done."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


class Provider:
    """A provider that does on every connection what its script says.

    Attributes:
        port: where it listens.
        connections: how many were accepted.
    """

    def __init__(self, script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
        self._script = script
        self._tasks: set[asyncio.Task[None]] = set()
        self.port: int = 0
        self.connections: int = 0

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play the script on one connection."""
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._script(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def stop(self) -> None:
        """End all scripts."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def providing(
    script: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    limits: TimeLimits | None = None,
    pool: PoolLimits | None = None,
) -> AsyncIterator[tuple[Provider, Upstream]]:
    """Run a provider and a client for it."""
    provider = Provider(script)
    server = await asyncio.start_server(provider.run, "127.0.0.1", 0)
    provider.port = server.sockets[0].getsockname()[1]
    upstream = Upstream(Origin("http", "127.0.0.1", provider.port), limits or TimeLimits(5, 5, 5), pool)
    try:
        yield provider, upstream
    finally:
        busy = len(upstream._busy)
        await upstream.close()
        await provider.stop()
        server.close()
    assert not busy, "a connection is still taken for busy"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """Read one request; return its body."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
    return await reader.readexactly(int(length))
