"""Time limits of answers whose content is counted: what only keeps a connection open does not feed them."""

import asyncio

import pytest

from farebox.http1.client import BrokeOff, TimeLimits, Upstream
from farebox.http1.limits import PoolLimits
from tests.http1.conftest import Run
from tests.http1.loopback import providing, read_request

HEAD = b"POST /v1 HTTP/1.1\r\nhost: a\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WORD, PING = b"4\r\nword\r\n", b"4\r\nping\r\n"
FIRST_S, IDLE_S = 0.3, 0.2
TICK_S = 0.005  # the loop's clock counts milliseconds


class Reading:
    """Reads an answer and counts its words."""

    def __init__(self, upstream: Upstream) -> None:
        self.words = 0
        self._upstream = upstream

    async def run(self, rest_s: float = 0.0) -> None:
        async with self._upstream.post(HEAD, b"{}", lambda: self.words) as answer:
            while (data := await answer.next_chunk()) is not None:
                self.words += data.count(b"word")
                await asyncio.sleep(rest_s)


async def fails_after(reading: Reading) -> tuple[str, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    with pytest.raises(BrokeOff) as caught:
        await reading.run()
    assert caught.value.timed_out
    return str(caught.value), loop.time() - began


@pytest.mark.parametrize("with_head", [True, False])
@pytest.mark.parametrize("pings", [True, False])
def test_the_first_content_is_waited_for_no_longer_than_it_may_take(run: Run, *, with_head: bool, pings: bool) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        if with_head:
            writer.write(CHUNKED)
        while with_head and pings and not reader.at_eof():
            writer.write(PING)
            await asyncio.sleep(0.01)
        await reader.read()

    async def test() -> None:
        async with providing(script, TimeLimits(5, IDLE_S, 5, FIRST_S)) as (_, upstream):
            why, took_s = await fails_after(Reading(upstream))
            assert why == "no content arrived within 0.3 s (first_token_timeout_s)"
            assert FIRST_S - TICK_S <= took_s <= FIRST_S * 1.1 + 0.03

    run(test())


@pytest.mark.parametrize("pings", [True, False])
def test_between_two_words_only_words_count(run: Run, *, pings: bool) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED)
        for _ in range(5):
            writer.write(WORD)
            await asyncio.sleep(IDLE_S / 2)  # in time
        while pings and not reader.at_eof():
            writer.write(PING)
            await asyncio.sleep(0.01)
        await reader.read()

    async def test() -> None:
        async with providing(script, TimeLimits(5, IDLE_S, 5)) as (_, upstream):
            reading = Reading(upstream)
            why, took_s = await fails_after(reading)
            assert (why, reading.words) == ("no content arrived for 0.2 s (idle_timeout_s)", 5)
            expected_s = 4 * IDLE_S / 2 + IDLE_S
            assert expected_s - TICK_S <= took_s <= expected_s + IDLE_S * 0.1 + 0.1

    run(test())


def test_what_is_not_taken_is_no_silence(run: Run) -> None:
    """A reader that rests longer than the limit between two reads is slow itself."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED)
        for _ in range(20):
            writer.write(WORD)
            await asyncio.sleep(0.02)
        writer.write(b"0\r\n\r\n")
        await reader.read()

    async def test() -> None:
        for pool in (None, PoolLimits(buffer_bytes=1)):  # read ahead, and held at once
            async with providing(script, TimeLimits(5, 0.1, 5), pool) as (_, upstream):
                reading = Reading(upstream)
                await reading.run(rest_s=0.2)
                assert reading.words == 20

    run(test())


def test_whoever_gives_up_is_told_why(run: Run) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(CHUNKED + WORD)
        await reader.read()

    async def test() -> None:
        async with providing(script) as (_, upstream), upstream.post(HEAD, b"{}") as answer:
            assert await answer.next_chunk() == b"word"
            asyncio.get_running_loop().call_later(0.01, answer.break_off, "nobody waits")
            with pytest.raises(BrokeOff, match="nobody waits") as caught:
                await answer.next_chunk()
            assert not caught.value.timed_out

    run(test())
