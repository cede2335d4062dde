"""Streams that are silent for long: the client hears that they are alive, and one that has vanished is noticed."""

import asyncio
import contextlib
import socket

import pytest

from farebox.http1.exchange import Exchange
from farebox.http1.limits import ServerLimits, limit_clients
from tests.http1.conftest import Run
from tests.http1.loopback import hang_up, providing, read_head, read_request, serving

BEATING = ServerLimits(heartbeat_s=0.05, sweep_s=0.01)
ASK = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
BEAT = b": farebox\n\n"


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    size = int(await reader.readuntil(b"\r\n"), 16)
    return (await reader.readexactly(size + 2))[:-2]


def test_a_silent_stream_has_heartbeats_and_a_busy_one_has_none(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.heartbeat = BEAT
        await asyncio.sleep(0.15)  # before the stream begins there is nothing to send it in
        exchange.start_stream(200, [])
        for _ in range(10):
            await asyncio.sleep(0.02)
            await exchange.send(b"busy")
        await asyncio.sleep(0.2)
        await exchange.send(b"end")

    async def test() -> None:
        async with serving(handler, limits=BEATING) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            assert (await read_head(reader))[0] == 200
            chunks = []
            while chunk := await read_chunk(reader):
                chunks.append(chunk)
            beats = chunks[10:-1]
            assert chunks == [b"busy"] * 10 + [BEAT] * len(beats) + [b"end"]
            assert 2 <= len(beats) <= 4
            await hang_up(writer)

    run(test())


def test_what_has_no_heartbeat_is_left_silent(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, [])
        await asyncio.sleep(0.15)
        await exchange.send(b"end")

    async def test() -> None:
        async with serving(handler, limits=BEATING) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            await read_head(reader)
            assert await read_chunk(reader) == b"end"
            await hang_up(writer)

    run(test())


def test_a_client_that_takes_nothing_gets_no_heartbeats_on_top(run: Run) -> None:
    limits = ServerLimits(heartbeat_s=0.02, sweep_s=0.01, write_stall_s=0.3, high_water_bytes=1000)
    sizes = []

    async def handler(exchange: Exchange) -> None:
        exchange.heartbeat = b"x" * 1000
        exchange.start_stream(200, [])
        with contextlib.suppress(Exception):
            while True:
                await exchange.send(bytes(10_000))
                sizes.append(exchange._connection._transport.get_write_buffer_size())  # type: ignore[attr-defined]

    async def test() -> None:
        async with serving(handler, limits=limits) as (server, port):
            _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
            writer.write(ASK)
            while server.connections or not sizes:
                await asyncio.sleep(0.01)
                sizes.extend(each._transport.get_write_buffer_size() for each in server.connections)
            assert max(sizes) < 12_000
            await hang_up(writer)

    run(test())


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="the options of Linux")
def test_the_kernel_watches_both_legs(run: Run) -> None:
    options: list[tuple[int, int]] = []

    def look(transport: asyncio.BaseTransport) -> None:
        connected = transport.get_extra_info("socket")
        options.append(
            (
                connected.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            )
        )

    async def handler(exchange: Exchange) -> None:
        look(exchange._connection._transport)  # type: ignore[attr-defined]
        exchange.respond(200, [], b"")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await reader.read()

    async def test() -> None:
        async with serving(handler) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(ASK)
            await read_head(reader)
            await hang_up(writer)
        async with providing(script) as (_, upstream), upstream.post(b"POST / HTTP/1.1\r\nhost: a\r\n", b"") as answer:
            look(answer._connection.transport)
            await answer.read(1)

    run(test())
    assert options == [(1, 75_000), (1, 60_000)]


@pytest.mark.parametrize(("asked_s", "sweep_s"), [(60.0, 1.0), (2.0, 0.2), (0.01, 0.01)])
def test_a_short_limit_on_clients_is_looked_at_often(asked_s: float, sweep_s: float) -> None:
    limits = limit_clients(asked_s)
    assert (limits.write_stall_s, limits.sweep_s) == (asked_s, sweep_s)
