"""What the client makes of providers: their answers however cut, their faults; and of slow or leaving consumers."""

import asyncio
import gzip
import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from farebox.http1.client import AnswerTooLarge, BrokeOff, NeverSent, Origin, PoolLimits, TimeLimits, Upstream
from tests.http1.conftest import Run
from tests.http1.loopback import Provider, providing, read_request, turn, until

HEAD = b"POST /v1 HTTP/1.1\r\nhost: a\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
QUICK = PoolLimits(sweep_s=0.01)
ANSWERS: dict[str, tuple[bytes, bytes]] = {
    "length": (OK + b"Content-Length: 5\r\nX-A: caf\xc3\xa9 \r\n\r\nhello", b"hello"),
    "chunks": (OK + b"Transfer-Encoding: chunked\r\n\r\n3;x\r\nabc\r\n2\r\nde\r\n0\r\nx-trailer: t\r\n\r\n", b"abcde"),
    "interim": (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 E\r\nlink: x\r\n\r\n" + OK + b"content-length: 1\r\n\r\na",
        b"a",
    ),
    "empty": (OK + b"content-length: 0\r\n\r\n", b""),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 1\r\n\r\na", b"a"),
}
ENDED: dict[str, tuple[bytes, bytes]] = {
    "until close": (OK + b"\r\nall of it", b"all of it"),
    "1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\nold", b"old"),
    "1.0 until close": (b"HTTP/1.0 200 OK\r\n\r\nold", b"old"),
    "close": (OK + b"connection: close\r\ncontent-length: 3\r\n\r\nbye", b"bye"),
}
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def fetch(upstream: Upstream, limit_bytes: int = 1 << 20) -> bytes:
    async with upstream.post(HEAD, b"{}") as answer:
        return await answer.read(limit_bytes)


@pytest.mark.parametrize("name", ANSWERS)
def test_answers_are_read_however_they_are_cut_and_the_connection_is_kept(run: Run, name: str) -> None:
    raw, body = ANSWERS[name]
    cuts = [[raw], [raw[i : i + 1] for i in range(len(raw))], *[[raw[:i], raw[i:]] for i in range(1, len(raw))]]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for pieces in cuts:
            assert await read_request(reader) == b"{}"
            for piece in pieces:
                writer.write(piece)
                await turn()

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            for _ in cuts:
                async with upstream.post(HEAD, b"{}") as answer:
                    assert await answer.read(100) == body
                assert answer.status in (200, 204)
                assert answer.header("x-trailer") is None
                assert answer.header("link") is None
                assert answer.header("x-a") == ("cafÃ©" if name == "length" else None)
            assert provider.connections == 1

    run(test())


@pytest.mark.parametrize("name", ENDED)
def test_answers_that_end_the_connection(run: Run, name: str) -> None:
    raw, body = ENDED[name]
    cuts = [[raw], *[[raw[:i], raw[i:]] for i in range(1, len(raw))]]
    cut = iter(cuts)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for piece in next(cut):
            writer.write(piece)
            await turn()

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            for _ in cuts:
                assert await fetch(upstream) == body
            assert provider.connections == len(cuts)

    run(test())


@settings(max_examples=30, deadline=None)
@given(
    chunks=st.lists(st.binary(min_size=1, max_size=40), max_size=8),
    cuts=st.lists(st.integers(min_value=1, max_value=60), max_size=12),
)
def test_chunks_and_reads_need_not_agree(chunks: list[bytes], cuts: list[int]) -> None:
    raw = OK + b"transfer-encoding: chunked\r\n\r\n"
    raw += b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        rest = raw
        for cut in cuts:
            writer.write(rest[:cut])
            rest = rest[cut:]
            await turn()
        writer.write(rest)

    async def test() -> None:
        async with providing(script) as (_, upstream), upstream.post(HEAD, b"{}") as answer:
            got = b""
            while (piece := await answer.next_chunk()) is not None:
                assert piece
                got += piece
            assert got == b"".join(chunks)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop:
        loop.run(test())


CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
BROKEN: dict[str, bytes] = {
    "nothing": b"",
    "part of a head": OK + b"content-le",
    "interim only": b"HTTP/1.1 100 Continue\r\n\r\n",
    "inside the length": OK + b"content-length: 5\r\n\r\nhell",
    "inside a chunk": CHUNKED + b"5\r\nhell",
    "between chunks": CHUNKED + b"4\r\nhell\r\n",
    "before the last line": CHUNKED + b"4\r\nhell\r\n0\r\n",
    "no status": b"HTTP/1.1 abc\r\n\r\n",
    "short status": b"HTTP/1.1 20 OK\r\n\r\n",
    "long status": b"HTTP/1.1 2000 OK\r\n\r\n",
    "no http": b"SSH-2.0-OpenSSH\r\n",
    "length and chunks": OK + b"content-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nab",
    "bare line feeds": b"HTTP/1.1 200 OK\ncontent-length: 1\n\na",
    "nul": OK + b"x: \0\r\ncontent-length: 0\r\n\r\n",
    "switch": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n\0\0\0",
    "huge head": OK + b"x: " + b"a" * 700_000 + b"\r\n\r\n",
    "endless head": OK + b"x: " + b"a" * 1_000_000,
    "endless trailers": CHUNKED + b"0\r\nx: " + b"a" * 1_000_000,
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_whole_answer_is_broken_off_and_never_asked_again(run: Run, name: str) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(BROKEN[name])
        await writer.drain()

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            with pytest.raises(BrokeOff) as caught:
                await fetch(upstream)
            assert not caught.value.timed_out
            assert provider.connections == 1
            assert not upstream._idle

    run(test())


def test_a_reset_is_broken_off(run: Run) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"\r\nsome")  # until close: only a clean close makes it whole
        await turn()
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        writer.transport.abort()

    async def test() -> None:
        async with providing(script) as (_, upstream):
            with pytest.raises(BrokeOff):
                await fetch(upstream)

    run(test())


async def keep_answering(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        body = await read_request(reader)
        writer.write(OK + b"content-length: %d\r\n\r\n%s" % (len(body), body))


def test_the_connection_used_last_is_used_next(run: Run) -> None:
    async def test() -> None:
        async with providing(keep_answering) as (provider, upstream):
            async with upstream.post(HEAD, b"a") as first, upstream.post(HEAD, b"b") as second:
                assert (await first.read(9), await second.read(9)) == (b"a", b"b")
            last = upstream._idle[-1]
            for _ in range(3):
                await fetch(upstream)
                assert upstream._idle[-1] is last
            assert (provider.connections, len(upstream._idle)) == (2, 2)

    run(test())


def test_unused_connections_are_few_and_closed_in_time(run: Run) -> None:
    async def test() -> None:
        pool = PoolLimits(size=2, idle_s=0.05, sweep_s=0.01)
        async with providing(keep_answering, pool=pool) as (provider, upstream):
            await asyncio.gather(*[fetch(upstream) for _ in range(5)])
            assert provider.connections == 5
            assert len(upstream._idle) == 2
            await until(lambda: not upstream._idle)
            await until(lambda: not provider._tasks)

    run(test())


@pytest.mark.parametrize("parting", [b"", b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n", b"junk"])
def test_an_unused_connection_that_the_provider_ends_is_not_used(run: Run, parting: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        writer.write(OK + b"content-length: %d\r\n\r\n%s" % (len(body), body))
        await turn()
        writer.write(parting)

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            for number in range(1, 4):
                assert await fetch(upstream) == b"{}"
                await until(lambda: not provider._tasks)
                await until(lambda: all(connection.closed for connection in upstream._idle))
                assert provider.connections == number

    run(test())


@pytest.mark.parametrize("surplus", [OK + b"content-length: 4\r\nx-evil: 1\r\n\r\nevil", b"junk", b"\0"])
def test_a_second_answer_is_not_taken_for_part_of_the_first_or_the_next(run: Run, surplus: bytes) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        body = await read_request(reader)
        writer.write(OK + b"content-length: %d\r\n\r\n%s" % (len(body), body) + surplus)
        await reader.read()

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            for number in range(1, 4):
                async with upstream.post(HEAD, b"{}") as answer:
                    assert await answer.read(100) == b"{}"
                    assert answer.header("x-evil") is None
                assert provider.connections == number

    run(test())


def test_what_was_not_read_of_an_answer_is_not_read_as_the_next(run: Run) -> None:
    async def test() -> None:
        async with providing(keep_answering) as (provider, upstream):
            async with upstream.post(HEAD, b"unread") as answer:
                assert answer.status == 200
                await turn()
            assert await fetch(upstream) == b"{}"
            assert provider.connections == 2
            assert answer.header("content-length") == "6"

    run(test())


def test_an_answer_before_the_request_is_sent_whole_does_not_give_the_connection_back(run: Run) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await asyncio.Event().wait()

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            for number in (1, 2):
                async with upstream.post(HEAD, bytes(30_000_000)) as answer:
                    assert answer.status == 413
                    assert await answer.read(10) == b""
                assert provider.connections == number
                assert not upstream._idle

    run(test())


def test_an_encoded_answer_is_handed_on_as_it_is(run: Run) -> None:
    packed = gzip.compress(b'{"a":1}')

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s" % (len(packed), packed))

    async def test() -> None:
        async with providing(script) as (_, upstream), upstream.post(HEAD, b"{}") as answer:
            assert answer.header("content-encoding") == "gzip"
            assert await answer.read(1000) == packed

    run(test())


async def never_sent(upstream: Upstream) -> str:
    try:
        with pytest.raises(NeverSent) as caught:
            await fetch(upstream)
        assert not upstream._busy
        return str(caught.value)
    finally:
        await upstream.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid", "a..b", "x" * 70 + ".invalid"])
def test_no_connection_is_never_sent(run: Run, host: str) -> None:
    async def test() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            origin = Origin("http", host, closed.getsockname()[1])
            assert await never_sent(Upstream(origin, TimeLimits(5, 5, 5)))

    run(test())


def test_a_connection_that_takes_too_long_is_never_sent(run: Run) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()  # a TLS handshake that is not answered

    async def test() -> None:
        async with providing(script) as (provider, _):
            slow = Upstream(Origin("https", "127.0.0.1", provider.port), TimeLimits(0.05, 5, 5))
            assert await never_sent(slow) == "no connection within 0.05 s"
            await until(lambda: not provider._tasks)

    run(test())


def test_silence_and_length_are_limited(run: Run) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = await read_request(reader)
        writer.write(b"" if kind == b"silent" else OK + b"content-length: 1000\r\n\r\n")
        while kind == b"trickle":
            writer.write(b"x")
            await asyncio.sleep(0.005)
        await reader.read()

    async def test() -> None:
        for limits, kind in (
            (TimeLimits(5, 0.05, 5), b"silent"),
            (TimeLimits(5, 0.05, 5), b"head only"),
            (TimeLimits(5, 5, 0.1), b"trickle"),
        ):
            async with providing(script, limits, QUICK) as (_, upstream):
                with pytest.raises(BrokeOff) as caught:
                    async with upstream.post(HEAD, kind) as answer:
                        await answer.read(10_000)
                assert caught.value.timed_out
                assert not upstream._idle

    run(test())


@pytest.mark.parametrize("piece", [b"fffe\r\n" + bytes(0xFFFE) + b"\r\n", b"2\r\nab\r\n" * 5000], ids=["large", "tiny"])
def test_a_slow_consumer_holds_the_provider_and_is_not_taken_for_its_silence(run: Run, piece: bytes) -> None:
    count = 20_000_000 // len(piece)
    written = [0]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED)
        for _ in range(count):
            writer.write(piece)
            await writer.drain()
            written[0] += len(piece)
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def test() -> None:
        async with (
            providing(script, TimeLimits(5, 0.1, 15), QUICK) as (_, upstream),
            upstream.post(HEAD, b"{}") as answer,
        ):
            connection = answer._connection
            await until(lambda: connection.paused)
            await asyncio.sleep(0.25)  # longer than the limit on silence: that is what is tested
            assert connection.paused
            assert sum(map(len, connection._chunks)) < 1_000_000
            assert written[0] < 15_000_000
            size = 0
            while (data := await answer.next_chunk()) is not None:
                size += len(data)
            assert size == count * sum(map(len, piece.split(b"\r\n")[1::2]))

    run(test())


def test_an_answer_that_is_too_large_is_not_read(run: Run) -> None:
    async def test() -> None:
        async with providing(keep_answering) as (_, upstream):
            for size in (11, 3_000_000):
                async with upstream.post(HEAD, bytes(size)) as answer:
                    with pytest.raises(AnswerTooLarge):
                        await answer.read(10)
            async with upstream.post(HEAD, bytes(10)) as answer:
                assert await answer.read(10) == bytes(10)

    run(test())


@pytest.mark.parametrize("turns", range(12))
def test_cancelling_anywhere_leaves_no_half_used_connection(run: Run, turns: int) -> None:
    raw = OK + b"content-length: 6\r\n\r\nabcdef"

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await read_request(reader)
            for index in range(0, len(raw), 15):
                writer.write(raw[index : index + 15])
                await asyncio.sleep(0)

    async def test() -> None:
        async with providing(script) as (provider, upstream):
            task = asyncio.create_task(fetch(upstream))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert not upstream._busy
            assert await fetch(upstream) == b"abcdef"
            await until(lambda: len(provider._tasks) == len(upstream._idle) == 1)

    run(test())


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("there is no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = f"{openssl} req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    files = ["-keyout", f"{path}.key", "-out", str(path), "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return path


@pytest.mark.parametrize("trusted", [True, False])
def test_tls(run: Run, certificate: Path, monkeypatch: pytest.MonkeyPatch, *, trusted: bool) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, str(certificate) + ".key")
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async def test() -> None:
        provider = Provider(keep_answering)
        server = await asyncio.start_server(provider.run, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        upstream = Upstream(Origin("https", "localhost", port), TimeLimits(5, 5, 5))
        if trusted:
            assert [await fetch(upstream) for _ in range(3)] == [b"{}"] * 3
            assert provider.connections == 1
            other = Upstream(Origin("https", "127.0.0.1", port), TimeLimits(5, 5, 5))
            assert "127.0.0.1" in await never_sent(other)
            await upstream.close()
        else:
            assert "certificate" in (await never_sent(upstream)).lower()
        await provider.stop()
        server.close()

    run(test())


def test_ipv6(run: Run) -> None:
    async def test() -> None:
        provider = Provider(keep_answering)
        try:
            server = await asyncio.start_server(provider.run, "::1", 0)
        except OSError:
            pytest.skip("there is no IPv6 on this host")
        upstream = Upstream(Origin("http", "::1", server.sockets[0].getsockname()[1]), TimeLimits(5, 5, 5))
        assert await fetch(upstream) == b"{}"
        await upstream.close()
        await provider.stop()
        server.close()

    run(test())


def test_closing_ends_what_is_under_way(run: Run) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def test() -> None:
        async with providing(script) as (_, upstream):
            task = asyncio.create_task(fetch(upstream))
            await until(lambda: bool(upstream._busy))
            await turn()
            await upstream.close()
            with pytest.raises(BrokeOff):
                await task

    run(test())
