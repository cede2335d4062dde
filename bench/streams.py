"""Reads streams as fast as a gateway sends them and counts their events.

wrk would do, but it counts whole answers only: of a slow gateway most streams of a round are unfinished when
the round ends, and their chunks would be paid for and not counted. Here no stream begins after the time is
up, and all that began are read to their end.

usage: python streams.py PORT CONNECTIONS SECONDS     (the request comes on standard input; prints JSON)
"""

import asyncio
import json
import math
import sys
import time
from typing import cast

END = b"\r\n0\r\n\r\n"
MARK = b"data: {"


class Reader(asyncio.Protocol):
    """One connection: sends the request, reads the answer, sends the next until the time is up."""

    def __init__(self, request: bytes, deadline_s: float, done: asyncio.Future[None]) -> None:
        self.times_ms: list[float] = []
        self.events = 0
        self.errors = 0
        self._request = request
        self._deadline_s = deadline_s
        self._done = done
        self._tail = b""
        self._good = True
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        # uvloop's transports have the methods and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def _send(self) -> None:
        self._began_s = time.perf_counter()
        self._tail = b""
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        """Count events; go on with the next request at the end of an answer."""
        if not self._tail:
            self._good = data.startswith(b"HTTP/1.1 200 ")
        # What is kept of the last piece is shorter than a mark, so no mark counts twice.
        text = self._tail[1 - len(MARK) :] + data
        self.events += text.count(MARK)
        self._tail = (self._tail + data)[-len(END) :]
        if not self._tail.endswith(END):
            return
        self.times_ms.append((time.perf_counter() - self._began_s) * 1000)
        self.errors += not self._good
        if time.perf_counter() < self._deadline_s:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """Report that this connection is done."""
        # A connection that is closed in the middle of an answer is an error, and its round goes on without it.
        self.errors += not self._tail.endswith(END)
        if not self._done.done():
            self._done.set_result(None)


async def drive(port: int, connections: int, seconds: float, request: bytes) -> dict[str, float]:
    """Return answers, events, errors and the milliseconds of an answer."""
    loop = asyncio.get_running_loop()
    deadline_s = time.perf_counter() + seconds
    readers: list[Reader] = []
    waits: list[asyncio.Future[None]] = []
    for _ in range(connections):
        done: asyncio.Future[None] = loop.create_future()
        reader = Reader(request, deadline_s, done)
        await loop.create_connection(lambda reader=reader: reader, "127.0.0.1", port)  # type: ignore[misc]
        readers.append(reader)
        waits.append(done)
    began_s = time.perf_counter()
    await asyncio.wait(waits, timeout=seconds + 20)
    times = sorted(ms for reader in readers for ms in reader.times_ms) or [math.nan]
    return {
        "answers": len(times),
        "events": sum(reader.events for reader in readers),
        "errors": sum(reader.errors for reader in readers) + sum(not wait.done() for wait in waits),
        "rps": len(times) / (time.perf_counter() - began_s),
        "p50_ms": times[math.ceil(0.5 * len(times)) - 1],
        "p99_ms": times[math.ceil(0.99 * len(times)) - 1],
    }


def main() -> None:
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    work = drive(port, connections, seconds, sys.stdin.buffer.read())
    try:
        import uvloop  # noqa: PLC0415 - optional
    except ImportError:
        print(json.dumps(asyncio.run(work)))
    else:
        print(json.dumps(uvloop.run(work)))


if __name__ == "__main__":
    main()
