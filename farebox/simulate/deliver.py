"""Delivers an accepted answer: its pace, its form on the wire, and its fault.

``settle(outcome, made)`` is called exactly once, before the last byte of a complete answer leaves, so that whoever
has read an answer finds it on the bill.
"""

import gzip
from collections.abc import Callable

import msgspec

from farebox.simulate import faults, sse
from farebox.simulate.asked import Frame
from farebox.simulate.connection import ClientLeft, Exchange, Headers
from farebox.simulate.control import Controls
from farebox.simulate.job import Job

Settle = Callable[[str, int], None]


class Delivery:
    """One answer on its way.

    Args:
        exchange: the request to answer.
        job: what to answer.
        controls: how.
        headers: headers of the format, without the content type.
        settle: takes the outcome and the output tokens made; later calls than the first do nothing.
        error: the event with which a stream fails.
    """

    def __init__(
        self,
        exchange: Exchange,
        job: Job,
        controls: Controls,
        headers: Headers,
        settle: Settle,
        error: Frame,
    ) -> None:
        self.exchange = exchange
        self.job = job
        self.controls = controls
        self.headers = headers
        self.settle = settle
        self.error = error
        self.zips = controls.gzip and "gzip" in exchange.headers.get("accept-encoding", "")

    async def run(self) -> None:
        """Deliver the answer, or as much of it as the fault and the caller let through."""
        made = 0 if self.job.frames else self.job.output_tokens
        try:
            if self.controls.fault in faults.BEFORE_HEADERS:
                if self.controls.fault != "hang_before_headers":
                    self.settle("cut", made)
                if not await faults.strike_before_headers(self.exchange, self.controls):
                    return
            if self.controls.fault == "garbage":
                self.settle("cut", self.job.output_tokens)
                streams = self.job.frames is not None
                await faults.send_garbage(self.exchange, self.controls, self.headers, stream=streams)
            elif self.job.frames is None:
                await self.send_body()
            else:
                await self.send_stream()
        except ClientLeft:
            self.settle("left", made)
            raise

    async def send_body(self) -> None:
        """An answer as one body; it was generated before its first byte."""
        controls, output = self.controls, self.job.output_tokens
        wait_ms = controls.latency_ms + controls.ttft_ms
        if controls.tokens_per_s:
            wait_ms += 1000 * output / controls.tokens_per_s
        if wait_ms:
            await self.exchange.pause(wait_ms / 1000)
        body = msgspec.json.encode(self.job.body())
        headers = [("content-type", "application/json"), *self.headers]
        if self.zips:
            body = gzip.compress(body, 1, mtime=0)
            headers.append(("content-encoding", "gzip"))
        if controls.fault in ("cut_mid_stream", "stall"):
            await self.send_half(body, headers)
            return
        self.settle("complete", output)
        await self.exchange.answer(200, headers, body)

    async def send_half(self, body: bytes, headers: Headers) -> None:
        """Half a body, then the fault."""
        half = len(body) // 2
        stalls = self.controls.fault == "stall"
        chunked = not stalls and self.controls.cut in ("inside_chunk", "clean")
        if not chunked:
            headers = [*headers, ("content-length", str(len(body)))]
        if not stalls:
            self.settle("cut", self.job.output_tokens)
        bare = not stalls and self.controls.cut == "close_delimited"
        self.exchange.start(200, headers[:-1] if bare else headers, close_delimited=bare)
        await self.exchange.send(body[:half])
        if not stalls:
            await faults.cut(self.exchange, self.controls)
            return
        await self.exchange.pause(self.controls.stall_ms / 1000 if self.controls.stall_ms else None)
        self.settle("complete", self.job.output_tokens)
        await self.exchange.send(body[half:])
        await self.exchange.end()

    async def send_stream(self) -> None:
        """An answer as events."""
        assert self.job.frames is not None
        frames = list(self.job.frames())
        strike_at = -1
        if self.controls.fault in faults.IN_BODY:
            # A stream of fewer events than the fault waits for is struck behind its last event with content.
            strike_at = min(self.controls.after_chunks, sum(f.content for f in frames))
        await StreamDelivery(self, strike_at).run(frames)


class StreamDelivery:
    """The events of one answer; knows how many tokens were made when it stops."""

    def __init__(self, delivery: Delivery, strike_at: int) -> None:
        self.exchange = delivery.exchange
        self.controls = delivery.controls
        self.delivery = delivery
        self.strike_at = strike_at
        self.made = 0
        self.squeezer = sse.Squeezer() if delivery.zips else None

    async def run(self, frames: list[Frame]) -> None:
        """Send them all, or as many as get through."""
        try:
            await self.open()
            sent = 0
            if self.strike_at == 0 and not await self.strike():
                return
            for frame in frames:
                if frame.content and sent == 0 and self.controls.ttft_ms:
                    await self.exchange.pause(self.controls.ttft_ms / 1000)
                if self.controls.tokens_per_s and frame.made > self.made:
                    await self.exchange.pause((frame.made - self.made) / self.controls.tokens_per_s)
                self.made = max(self.made, frame.made)
                if frame is frames[-1]:
                    self.delivery.settle("complete", self.delivery.job.output_tokens)
                await self.send(sse.encode_event(frame, self.controls))
                sent += frame.content
                if frame.content and sent == self.strike_at and not await self.strike():
                    return
            await self.close()
        except ClientLeft:
            self.delivery.settle("left", self.made)
            raise

    async def open(self) -> None:
        """Headers, and what comes before the first event."""
        if self.controls.latency_ms:
            await self.exchange.pause(self.controls.latency_ms / 1000)
        headers = [("content-type", "text/event-stream; charset=utf-8"), ("cache-control", "no-cache")]
        if self.squeezer:
            headers.append(("content-encoding", "gzip"))
        bare = self.controls.fault == "cut_mid_stream" and self.controls.cut == "close_delimited"
        self.exchange.start(200, [*headers, *self.delivery.headers], close_delimited=bare)
        if self.controls.bom:
            await self.send(b"\xef\xbb\xbf")

    async def send(self, data: bytes) -> None:
        """Bytes of the stream, each piece in a write of its own."""
        if self.squeezer:
            data = self.squeezer.pack(data)
        for piece in sse.split_bytes(data, self.controls.split_bytes):
            await self.exchange.send(piece)
            await self.exchange.pause(0)

    async def close(self) -> None:
        """The regular end of the stream."""
        if self.squeezer:
            await self.exchange.send(self.squeezer.finish())
        await self.exchange.end()

    async def strike(self) -> bool:
        """Commit the fault; true if the stream goes on."""
        fault = self.controls.fault
        if fault == "stall":
            await self.exchange.pause(self.controls.stall_ms / 1000 if self.controls.stall_ms else None)
            return True
        if fault == "malformed_sse":
            await self.send(faults.BROKEN_EVENT)
            return True
        self.delivery.settle("cut", self.made)
        if fault == "error_event":
            await self.send(sse.encode_event(self.delivery.error, self.controls))
            await self.close()
        else:
            await faults.cut(self.exchange, self.controls)
        return False
