"""What one client can take of the server: bytes, time and memory; and what is told when it, or a handler, fails."""

import asyncio
import json
import socket
import struct
from pathlib import Path

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.http1.exchange import ClientGone, Exchange, RequestHeaders
from farebox.http1.limits import ServerLimits
from tests.http1.conftest import Run
from tests.http1.loopback import QUICK, ask, echo, hang_up, read_answer, serving, turn, until

GET = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: a\r\n"
EVEN_CHUNKS = b"8000\r\n" + bytes(0x8000) + b"\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        (POST + b"content-length: 100000000\r\n\r\n", bytes(0x8000)),
        (POST + b"expect: 100-continue\r\ncontent-length: 100000000\r\n\r\n", bytes(0x8000)),
        (POST + b"transfer-encoding: chunked\r\n\r\n", EVEN_CHUNKS),
        (POST + b"transfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 20_000),
    ],
    ids=["length", "expect", "chunks", "tiny chunks"],
)
def test_a_body_that_is_too_large_is_refused_while_it_is_sent(run: Run, head: bytes, piece: bytes) -> None:
    async def test() -> None:
        async with serving(body_bytes=100_000) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            answer = asyncio.create_task(read_answer(reader))
            for _ in range(100):  # the client reads nothing before it has sent megabytes; the refusal still arrives
                writer.write(piece)
                await writer.drain()
            status, headers, body, _ = await answer
            assert status == 413
            assert ("connection", "close") in headers
            assert json.loads(body)["body"] == ""
            await hang_up(writer)

    run(test())


def test_a_body_of_just_the_limit_is_taken(run: Run) -> None:
    async def test() -> None:
        async with serving(body_bytes=100_000) as (_, port):
            for size, status in ((100_000, 200), (100_001, 413)):
                (answer,) = await ask(
                    port, POST + b"connection: close\r\ncontent-length: %d\r\n\r\n%s" % (size, b"x" * size)
                )
                assert answer.status == status

    run(test())


@pytest.mark.parametrize(
    "raw",
    [
        b"GET / HT",
        b"GET / HTTP/1.1\r\nhost: a\r\n",
        b"\r\n",
        b"",
        POST + b"content-length: 5\r\n\r\nab",
        GET,
        GET + b"GET",
    ],
    ids=["line", "header", "line end", "nothing", "body", "idle", "second"],
)
def test_what_takes_too_long_to_arrive_is_closed(run: Run, raw: bytes) -> None:
    async def test() -> None:
        async with serving(limits=QUICK) as (server, port):
            assert len(await ask(port, raw)) == raw.count(GET)
            await until(lambda: not server.connections)

    run(test())


@pytest.mark.parametrize(
    "head", [b"GET / HTTP/1.1\r\nx: ", POST + b"content-length: 100000\r\n\r\n"], ids=["head", "body"]
)
def test_a_trickle_does_not_keep_a_connection(run: Run, head: bytes) -> None:
    async def test() -> None:
        async with serving(limits=QUICK) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            while not reader.at_eof() and reader.exception() is None:
                writer.write(b"a")
                await asyncio.sleep(0.005)
            await until(lambda: not server.connections)
            await hang_up(writer)

    run(test())


def deaf_client(port: int) -> socket.socket:
    """Return a connection that takes next to nothing."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", port))
    return client


def test_a_client_that_does_not_read_holds_the_stream_and_then_loses_it(run: Run) -> None:
    sent: list[int] = []
    buffered: list[int] = []
    ended: list[BaseException] = []
    gone: list[str] = []

    async def handler(exchange: Exchange) -> None:
        exchange.when_gone(lambda: gone.append("gone"))
        exchange.start_stream(200, [])
        (connection,) = server_of[0].connections
        try:
            while True:
                await exchange.send(bytes(10_000))
                sent.append(10_000)
                buffered.append(connection._transport.get_write_buffer_size())
        except ClientGone as error:
            ended.append(error)
            raise

    server_of = []

    async def test() -> None:
        async with serving(handler, limits=QUICK) as (server, port):
            server_of.append(server)
            client = deaf_client(port)
            client.sendall(GET)
            await until(lambda: bool(ended))
            await until(lambda: not server.connections)
            client.close()
        assert max(buffered) <= QUICK.high_water_bytes + 10_010
        assert sum(sent) < 20_000_000
        assert len(gone) <= 1  # by then the handler may have heard of it otherwise

    run(test())


def test_pipelined_answers_that_nobody_takes_are_not_heaped_up(run: Run) -> None:
    answered: list[str] = []

    async def handler(exchange: Exchange) -> None:
        answered.append(exchange.path)
        exchange.respond(200, [], bytes(8_000_000))

    async def test() -> None:
        async with serving(handler, limits=ServerLimits(write_stall_s=0.2, sweep_s=0.01)) as (server, port):
            client = deaf_client(port)
            client.sendall(GET * 10)
            await until(lambda: bool(answered))
            await until(lambda: not server.connections)
            client.close()
        assert len(answered) == 1

    run(test())


def test_a_slow_reader_gets_all_answers(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.respond(200, [], exchange.path.encode() * 1_000_000)

    async def test() -> None:
        async with serving(handler) as (_, port):
            client = deaf_client(port)
            client.sendall(b"".join(b"GET /%d HTTP/1.1\r\nhost: a\r\n\r\n" % n for n in range(5)))
            await turn()
            client.setblocking(False)
            reader, writer = await asyncio.open_connection(sock=client)
            for number in range(5):
                assert (await read_answer(reader)).body == b"/%d" % number * 1_000_000
            await hang_up(writer)

    run(test())


def test_an_answer_that_is_never_taken_is_given_up(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.refuse_keep_alive()
        exchange.respond(200, [], bytes(8_000_000))

    async def test() -> None:
        async with serving(handler, limits=QUICK) as (server, port):
            client = deaf_client(port)
            client.sendall(GET)
            await until(lambda: bool(server.connections))
            await until(lambda: not server.connections)
            client.close()

    run(test())


@pytest.mark.parametrize("how", ["close", "half", "reset"])
@pytest.mark.parametrize("when", ["before", "within"])
def test_a_client_that_goes_is_noticed_once(run: Run, how: str, when: str) -> None:
    calls: list[str] = []
    started = asyncio.Event()
    ended: list[str] = []

    async def handler(exchange: Exchange) -> None:
        gone = asyncio.Event()
        exchange.when_gone(lambda: (calls.append("gone"), gone.set()))  # type: ignore[func-returns-value, arg-type]
        if when == "within":
            exchange.start_stream(200, [])
            await exchange.send(b"x")
        started.set()
        await gone.wait()
        assert exchange.gone
        exchange.when_gone(lambda: calls.append("late"))
        if when == "within":
            with pytest.raises(ClientGone):
                await exchange.send(b"y")
        else:
            exchange.respond(200, [], b"")
        ended.append("ended")

    async def test() -> None:
        async with serving(handler) as (server, port):
            client = socket.create_connection(("127.0.0.1", port))
            client.sendall(GET)
            await started.wait()
            if how == "half":
                client.shutdown(socket.SHUT_WR)
            elif how == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            else:
                client.close()
            await until(lambda: bool(ended) and not server.tasks)
            client.close()
        assert calls == ["gone", "late"]

    run(test())


def test_a_client_that_goes_after_its_answer_is_not_reported(run: Run) -> None:
    calls: list[str] = []
    release = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        exchange.when_gone(lambda: calls.append("gone"))
        exchange.respond(200, [], b"")
        exchange.when_gone(lambda: calls.append("too late"))
        await release.wait()

    async def test() -> None:
        async with serving(handler) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            assert (await read_answer(reader)).status == 200
            await hang_up(writer)
            await until(lambda: not server.connections)
            release.set()
            await until(lambda: not server.tasks)
        assert calls == []

    run(test())


@pytest.mark.parametrize("version", [b"1.1", b"1.0"])
@pytest.mark.parametrize("answered", ["nothing", "part", "all", "never"])
def test_a_handler_that_fails_is_seen_to_fail(
    run: Run, capsys: pytest.CaptureFixture[str], answered: str, version: bytes
) -> None:
    async def handler(exchange: Exchange) -> None:
        if answered == "part":
            exchange.start_stream(200, [])
            await exchange.send(b"half")
        elif answered == "all":
            exchange.respond(200, [], b"all")
        elif answered == "never":
            return
        raise ValueError("two\nlines")

    async def test() -> None:
        async with serving(handler) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET.replace(b"1.1", version))
            if answered == "part" and version == b"1.0":
                with pytest.raises(ConnectionResetError):
                    await reader.readuntil(b"never sent")
            else:
                status, headers, body, whole = await read_answer(reader)
                if answered == "part":
                    assert (status, body, whole) == (200, b"half", False)
                elif answered == "all":
                    assert (status, body, whole) == (200, b"all", True)
                else:
                    assert (status, json.loads(body)["error"]["type"], whole) == (500, "server_error", True)
                    assert ("connection", "close") in headers
                assert await reader.read() == b""
            await hang_up(writer)

    run(test())
    told = capsys.readouterr().err
    if answered == "never":
        assert told == ""
    else:
        (line,) = told.splitlines()
        assert line.startswith("farebox: internal error: ValueError: two lines in ")


def test_a_stream_cut_by_stopping_is_seen_to_be_cut(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, [])
        await exchange.send(b"half")
        await asyncio.Event().wait()

    async def test() -> None:
        async with serving(handler) as (server, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(GET)
            answer = asyncio.create_task(read_answer(reader))
            await until(lambda: bool(server.tasks))
            await turn()
            await server.close()
            assert (await answer)[2:] == (b"half", False)
            await hang_up(writer)

    run(test())


def test_stopping_finishes_what_is_under_way(run: Run) -> None:
    gate = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        await gate.wait()
        await echo(exchange)

    async def test() -> None:
        async with serving(handler) as (server, port):
            idle = await asyncio.open_connection("127.0.0.1", port)
            busy = await asyncio.open_connection("127.0.0.1", port)
            busy[1].write(GET * 3)
            partial = await asyncio.open_connection("127.0.0.1", port)
            partial[1].write(GET[:-2])
            await until(lambda: len(server.connections) == 3 and bool(server.tasks))
            await turn()
            server.stop_listening()
            assert await idle[0].read() == b""
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", port)
            gate.set()
            partial[1].write(GET[-2:])
            answer = await read_answer(partial[0])
            assert ("connection", "close") in answer.headers
            closing = [("connection", "close") in (await read_answer(busy[0])).headers for _ in range(3)]
            assert closing == [False, False, True]
            assert await busy[0].read() + await partial[0].read() == b""
            await until(lambda: not server.connections)
            for _, writer in (idle, busy, partial):
                await hang_up(writer)

    run(test())


def count_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_many_connections_leave_nothing_behind(run: Run) -> None:
    async def test() -> None:
        async with serving() as (server, port):
            before = count_files()
            for _ in range(20):
                clients = [socket.socket() for _ in range(20)]
                for number, client in enumerate(clients):
                    client.setblocking(False)
                    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
                    client.sendall((GET, GET[:9], b"\0", GET * 5, b"")[number % 5])
                await turn()
                for client in clients:
                    client.close()
            await until(lambda: not server.connections and not server.tasks)
            assert count_files() <= before

    run(test())


class Sink:
    """A connection that keeps what is written."""

    def __init__(self) -> None:
        self.paused: asyncio.Future[None] | None = None
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    async def drained(self) -> None:
        """Never full."""

    def end_exchange(self, *, keep_alive: bool) -> None:
        """Do nothing."""

    def cut_exchange(self, *, reset: bool) -> None:
        """Do nothing."""


@settings(deadline=None)
@given(st.lists(st.tuples(st.text(max_size=8), st.text(max_size=12)), max_size=5))
def test_header_values_cannot_become_headers(pairs: list[tuple[str, str]]) -> None:
    sink = Sink()
    headers = [(f"x-{number}", value) for number, (_, value) in enumerate(pairs)]
    headers += [(f"x{name}\r\nset-cookie", "a\r\nb\0\nc") for name, _ in pairs]
    Exchange(sink, RequestHeaders()).respond(200, headers, b"body")
    head, _, body = sink.data.partition(b"\r\n\r\n")
    assert body == b"body"
    names = [line.partition(b":")[0].decode() for line in head.split(b"\r\n")[1:]]
    assert names == [f"x-{number}" for number in range(len(pairs))] + ["content-length"]
    assert b"\0" not in head
    assert head.count(b"\r") == head.count(b"\n") == len(names)


def test_other_parsers_read_what_is_made_of_broken_headers() -> None:
    sink = Sink()
    bad = [("x-a", "1\r\nset-cookie: x"), ("x-b", "2\n 3"), ("x c", "no"), ("", "no"), ("x-d", "caf\u00e9 \u20ac")]
    Exchange(sink, RequestHeaders()).respond(200, bad, b"")
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method="GET", target="/", headers=[("host", "a")]))
    client.receive_data(sink.data)
    answer = client.next_event()
    assert isinstance(answer, h11.Response)
    values = [(b"x-a", b"1 set-cookie: x"), (b"x-b", b"2  3"), (b"x-d", b"caf\xe9 ?"), (b"content-length", b"0")]
    assert list(answer.headers) == values
