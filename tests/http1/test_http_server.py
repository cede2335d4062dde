"""What the server makes of requests, however they arrive, and of what is none."""

import asyncio
import json
from typing import Any

import pytest

from farebox.http1.exchange import Exchange
from farebox.http1.limits import ServerLimits
from tests.http1.conftest import Run
from tests.http1.loopback import ask, echo, hang_up, read_answer, serving, turn

H = b"host: gateway\r\n"
CHUNKED = b"POST /c HTTP/1.1\r\n" + H + b"transfer-encoding: chunked\r\n\r\n"


def seen(method: str, path: str, body: str = "", **headers: str) -> dict[str, Any]:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"method": method, "path": path, "headers": names, "body": body, "too_large": False}


CORPUS: dict[str, tuple[bytes, list[dict[str, Any]]]] = {
    "get": (b"GET /healthz HTTP/1.1\r\n" + H + b"\r\n", [seen("GET", "/healthz")]),
    "post": (b"POST /v1 HTTP/1.1\r\n" + H + b"content-length: 5\r\n\r\nhello", [seen("POST", "/v1", "hello")]),
    "empty post": (b"POST /v1 HTTP/1.1\r\n" + H + b"content-length: 0\r\n\r\n", [seen("POST", "/v1")]),
    "chunked": (CHUNKED + b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", [seen("POST", "/c", "abc0123456789")]),
    "trailer": (CHUNKED + b"1\r\na\r\n0\r\nx-trailer: t\r\nx-api-key: k\r\n\r\n", [seen("POST", "/c", "a")]),
    "query": (b"GET /a%20b%2Fc?x=%41&y HTTP/1.1\r\n" + H + b"\r\n", [seen("GET", "/a b/c")]),
    "whole url": (b"GET http://gateway:80/v1/models?x HTTP/1.1\r\n" + H + b"\r\n", [seen("GET", "/v1/models")]),
    "bare url": (b"GET http://gateway HTTP/1.1\r\n" + H + b"\r\n", [seen("GET", "/")]),
    "star": (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", [seen("OPTIONS", "*")]),
    "bytes": (b"GET / HTTP/1.1\r\n" + H + b"X-Bytes: caf\xc3\xa9 \xff\r\n\r\n", [seen("GET", "/", x_bytes="cafÃ© ÿ")]),
    "repeated": (b"GET / HTTP/1.1\r\nX-Many: a\r\n" + H + b"x-many:  b \r\n\r\n", [seen("GET", "/", x_many="a, b")]),
    "underscore": (
        b"GET / HTTP/1.1\r\n" + H + b"x_api_key: k\r\n\r\n",
        [{**seen("GET", "/"), "headers": {"x_api_key": "k"}}],
    ),
    "empty lines first": (b"\r\n\r\nGET / HTTP/1.1\r\n" + H + b"\r\n", [seen("GET", "/")]),
    "three": (
        b"GET /1 HTTP/1.1\r\n" + H + b"\r\nPOST /2 HTTP/1.1\r\n" + H + b"content-length: 2\r\n\r\nxyGET /3 HTTP/1.1\r\n"
        b"host: gateway\r\n\r\n",
        [seen("GET", "/1"), seen("POST", "/2", "xy"), seen("GET", "/3")],
    ),
}


async def check(port: int, pieces: list[bytes], expected: list[dict[str, Any]]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in pieces:
        writer.write(piece)
        await turn()
    for one in expected:
        answer = await read_answer(reader)
        assert (answer.status, json.loads(answer.body)) == (200, one)
        assert "connection" not in dict(answer.headers)
    await hang_up(writer)


@pytest.mark.parametrize("name", CORPUS)
def test_requests_are_understood_however_they_are_cut(run: Run, name: str) -> None:
    raw, expected = CORPUS[name]

    async def test() -> None:
        async with serving() as (_, port):
            await check(port, [raw], expected)
            await check(port, [raw[i : i + 1] for i in range(len(raw))], expected)
            for i in range(1, len(raw)):
                await check(port, [raw[:i], raw[i:]], expected)

    run(test())


def test_pipelined_requests_are_answered_in_order(run: Run) -> None:
    gate = asyncio.Event()
    order: list[str] = []

    async def handler(exchange: Exchange) -> None:
        order.append(exchange.path)
        if exchange.path == "/0":
            await gate.wait()
        await echo(exchange)

    async def test() -> None:
        async with serving(handler) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for number in range(10):
                writer.write(b"GET /%d HTTP/1.1\r\n%s\r\n" % (number, H))
            await turn()
            assert order == ["/0"]
            gate.set()
            for number in range(10):
                assert json.loads((await read_answer(reader)).body)["path"] == f"/{number}"
            writer.write(b"GET /again HTTP/1.1\r\n" + H + b"\r\n")
            assert json.loads((await read_answer(reader)).body)["path"] == "/again"
            await hang_up(writer)

    run(test())


def test_too_many_pipelined_requests_end_the_connection_after_those_before(run: Run) -> None:
    async def test() -> None:
        async with serving(limits=ServerLimits(pipelined=3)) as (_, port):
            answers = await ask(port, b"".join(b"GET /%d HTTP/1.1\r\n%s\r\n" % (n, H) for n in range(50)))
            assert [json.loads(answer.body)["path"] for answer in answers] == ["/0", "/1", "/2", "/3"]
            assert [("connection", "close") in answer.headers for answer in answers] == [False, False, False, True]

    run(test())


def test_connection_close_ends_the_connection_and_what_follows_is_ignored(run: Run) -> None:
    async def slowly(exchange: Exchange) -> None:
        await turn()
        await echo(exchange)

    async def test() -> None:
        async with serving(slowly) as (_, port):
            request = b"GET / HTTP/1.1\r\n" + H + b"connection: close\r\n\r\n"
            for tail in (b"", b"\r\n", b"garbage", request):
                (answer,) = await ask(port, request + tail)
                assert answer.status == 200
                assert ("connection", "close") in answer.headers

    run(test())


def test_http_1_0_is_closed_unless_it_asks_otherwise(run: Run) -> None:
    async def test() -> None:
        async with serving() as (_, port):
            (answer,) = await ask(port, b"GET / HTTP/1.0\r\n\r\n")
            assert (answer.status, dict(answer.headers)["connection"]) == (200, "close")
            first, second = await ask(port, b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n")
            assert dict(first.headers)["connection"] == "keep-alive"
            assert dict(second.headers)["connection"] == "close"

    run(test())


def test_http_1_0_gets_a_stream_without_chunks(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, [])
        await exchange.send(b"one")
        await exchange.send(b"two")

    async def test() -> None:
        async with serving(handler) as (_, port):
            (answer,) = await ask(port, b"GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n")
            assert answer.body == b"onetwo"
            assert answer.headers == [("connection", "close")]

    run(test())


def test_an_empty_piece_does_not_end_a_stream(run: Run) -> None:
    async def handler(exchange: Exchange) -> None:
        exchange.start_stream(200, [])
        for piece in (b"a", b"", b"b"):
            await exchange.send(piece)

    async def test() -> None:
        async with serving(handler) as (_, port):
            (answer,) = await ask(port, b"GET / HTTP/1.1\r\n" + H + b"connection: close\r\n\r\n")
            assert (answer.body, answer.whole) == (b"ab", True)

    run(test())


def test_head_is_answered_without_a_body(run: Run) -> None:
    async def test() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HEAD / HTTP/1.1\r\n" + H + b"\r\nGET / HTTP/1.1\r\n" + H + b"\r\n")
            head = await read_answer(reader, head_only=True)
            assert int(dict(head.headers)["content-length"]) > 0
            assert json.loads((await read_answer(reader)).body)["method"] == "GET"
            await hang_up(writer)

    run(test())


def test_expect_is_answered_before_the_body(run: Run) -> None:
    async def test() -> None:
        async with serving() as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"POST / HTTP/1.1\r\n" + H + b"expect: 100-Continue\r\ncontent-length: 2\r\n\r\n")
            assert (await read_answer(reader)).status == 100
            writer.write(b"ab")
            assert json.loads((await read_answer(reader)).body)["body"] == "ab"
            await hang_up(writer)

    run(test())


def test_expect_waits_for_the_answer_before(run: Run) -> None:
    gate = asyncio.Event()

    async def handler(exchange: Exchange) -> None:
        if exchange.path == "/stream":
            exchange.start_stream(200, [])
            await exchange.send(b"a")
            await gate.wait()
            await exchange.send(b"b")
        else:
            await echo(exchange)

    async def test() -> None:
        async with serving(handler) as (_, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /stream HTTP/1.1\r\n" + H + b"\r\n")
            writer.write(b"POST / HTTP/1.1\r\n" + H + b"expect: 100-continue\r\ncontent-length: 2\r\n\r\n")
            await turn()
            gate.set()
            assert (await read_answer(reader)).body == b"ab"
            assert (await read_answer(reader)).status == 100
            writer.write(b"ab")
            assert (await read_answer(reader)).status == 200
            await hang_up(writer)

    run(test())


POST = b"POST / HTTP/1.1\r\n" + H
REFUSED: dict[str, tuple[int, bytes]] = {
    "length and chunks": (400, POST + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "chunks and length": (400, POST + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n0\r\n\r\n"),
    "two lengths": (400, POST + b"content-length: 3\r\ncontent-length: 4\r\n\r\nabcd"),
    "one length twice": (400, POST + b"content-length: 3\r\ncontent-length: 3\r\n\r\nabc"),
    "signed length": (400, POST + b"content-length: +3\r\n\r\nabc"),
    "listed lengths": (400, POST + b"content-length: 3, 3\r\n\r\nabc"),
    "huge length": (400, POST + b"content-length: 99999999999999999999999\r\n\r\n"),
    "not chunked last": (400, POST + b"transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    "unknown coding": (400, POST + b"transfer-encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "chunks in 1.0": (400, b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
    "bare line feed": (400, b"GET / HTTP/1.1\nhost: a\n\n"),
    "bare line feed in a header": (400, b"GET / HTTP/1.1\r\nhost: a\nx: b\r\n\r\n"),
    "bare carriage return": (400, b"GET / HTTP/1.1\r\nhost: a\rb\r\n\r\n"),
    "folded": (400, b"GET / HTTP/1.1\r\n" + H + b"x: a\r\n b\r\n\r\n"),
    "space before the colon": (400, b"GET / HTTP/1.1\r\nhost : a\r\n\r\n"),
    "no name": (400, b"GET / HTTP/1.1\r\n" + H + b": a\r\n\r\n"),
    "name with other bytes": (400, b"GET / HTTP/1.1\r\n" + H + b"x\xc3\xa9: a\r\n\r\n"),
    "nul": (400, b"GET / HTTP/1.1\r\n" + H + b"x: a\0b\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n"),
    "garbage": (400, b"\x00\x01\x02 not a request\r\n\r\n"),
    "tls": (400, bytes.fromhex("16030100c4010000c00303") + bytes(100)),
    "http/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"),
    "http/2 as a version": (505, b"GET / HTTP/2.0\r\n" + H + b"\r\n"),
    "http/0.9": (505, b"GET /\r\n\r\n"),
    "unknown method": (400, b"FOO / HTTP/1.1\r\n" + H + b"\r\n"),
    "raw bytes in the path": (400, b"GET /\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n"),
    "bad chunk size": (400, CHUNKED + b"0x3\r\nabc\r\n0\r\n\r\n"),
    "chunk size overflow": (400, CHUNKED + b"fffffffffffffffff\r\nabc\r\n"),
    "chunk longer than said": (400, CHUNKED + b"3\r\nabcd\r\n0\r\n\r\n"),
    "chunk ended by a line feed": (400, CHUNKED + b"3\nabc\r\n0\r\n\r\n"),
    "huge head": (431, b"GET / HTTP/1.1\r\n" + H + b"x: " + b"a" * 70_000 + b"\r\n\r\n"),
    "endless head": (431, b"GET / HTTP/1.1\r\n" + H + b"x: " + b"a" * 600_000),
    "huge target": (431, b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + H + b"\r\n"),
    "many headers": (431, b"GET / HTTP/1.1\r\n" + H + b"".join(b"x%d: 1\r\n" % n for n in range(20_000)) + b"\r\n"),
    "one header many times": (431, b"GET / HTTP/1.1\r\n" + H + b"x: 1\r\n" * 9_000 + b"\r\n"),
    "endless trailers": (431, CHUNKED + b"1\r\na\r\n0\r\nx: " + b"a" * 600_000),
    "endless chunk extension": (431, CHUNKED + b"1;x=" + b"a" * 600_000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_request_is_refused_and_the_connection_closed(run: Run, name: str) -> None:
    status, raw = REFUSED[name]
    handled: list[str] = []

    async def handler(exchange: Exchange) -> None:
        handled.append(exchange.path)
        await echo(exchange)

    async def test() -> None:
        async with serving(handler) as (_, port):
            before = b"GET /before HTTP/1.1\r\n" + H + b"\r\n"
            (answer,) = await ask(port, raw)
            assert answer.status == status
            assert ("connection", "close") in answer.headers
            assert json.loads(answer.body)["error"]["type"] == "invalid_request_error"
            first, second = await ask(port, before + raw)
            assert (first.status, second.status) == (200, status)
            assert handled == ["/before"]

    run(test())


UPGRADE = b"upgrade: h2c\r\nconnection: upgrade, http2-settings\r\n"
UPGRADES = {
    "h2c": (b"GET / HTTP/1.1\r\n" + H + UPGRADE + b"\r\n", ""),
    "h2c with a body": (POST + UPGRADE + b"content-length: 2\r\n\r\nab", "ab"),
    "h2c in chunks": (POST + UPGRADE + b"transfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n", "ab"),
    "connect": (b"CONNECT a:80 HTTP/1.1\r\n" + H + b"\r\n", ""),
}


@pytest.mark.parametrize("name", UPGRADES)
def test_an_upgrade_is_answered_as_a_plain_request(run: Run, name: str) -> None:
    raw, body = UPGRADES[name]

    async def test() -> None:
        async with serving() as (_, port):
            before = b"GET /before HTTP/1.1\r\n" + H + b"\r\n"
            for tail in (b"", b"GET /after HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"):
                first, second = await ask(port, before + raw + tail)
                assert (first.status, second.status) == (200, 200)
                assert json.loads(second.body)["body"] == body
                assert ("connection", "close") not in first.headers
                assert ("connection", "close") in second.headers
            for cut in range(1, len(raw)):
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(raw[:cut])
                await turn()
                writer.write(raw[cut:])
                assert json.loads((await read_answer(reader)).body)["body"] == body
                assert await reader.read() == b""
                await hang_up(writer)

    run(test())


def test_a_path_is_decoded_once(run: Run) -> None:
    async def test() -> None:
        async with serving() as (_, port):
            (answer,) = await ask(port, b"GET /%2525%0d%0ax HTTP/1.0\r\n\r\n")
            assert json.loads(answer.body)["path"] == "/%25\r\nx"

    run(test())
