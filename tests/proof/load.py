"""A lean client: many connections that call without end, on raw sockets, and never give up.

It keeps what it was told: an answer that a client has seen must be found in the books at the cost it named.
"""

import asyncio
import contextlib
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping

PATIENCE_S = 30.0
# 409: what became of a keyed call is not known; 500, 502: a provider failed at every target; 503: a gateway that stops.
_USUAL = frozenset({200, 402, 409, 429, 500, 502, 503})
_AFTER_REFUSAL_S = 0.03
_AFTER_LOSS_S = 0.05
_TRIES = 50
ORDER = "order"  # the tag by which the attempts of a keyed call are found

Header = Mapping[str, str]


class Answer:
    """What one call came to.

    Attributes:
        status: of the answer.
        headers: by lower-case name.
        body: of the answer, whole.
    """

    def __init__(self, status: int, headers: Header, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


class Lost(Exception):
    """The connection ended before the answer did."""


class Line:
    """One connection to one address, opened when it is needed."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._pipes: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, path: str, body: Mapping[str, object], headers: Header | None = None) -> Answer:
        """Post a body; raise Lost where no whole answer comes back."""
        data = json.dumps(body).encode()
        head = [f"POST {path} HTTP/1.1", "host: gateway", f"content-length: {len(data)}"]
        head += [f"{name}: {value}" for name, value in {"content-type": "application/json", **(headers or {})}.items()]
        try:
            async with asyncio.timeout(PATIENCE_S):
                if self._pipes is None:
                    self._pipes = await asyncio.open_connection("127.0.0.1", self._port)
                reader, writer = self._pipes
                writer.write("\r\n".join(head).encode() + b"\r\n\r\n" + data)
                return await self._read(reader)
        except (OSError, asyncio.IncompleteReadError, TimeoutError, ValueError) as error:
            self.close()
            raise Lost(str(error)) from error

    async def _read(self, reader: asyncio.StreamReader) -> Answer:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:]) if name}
        if "content-length" in headers:
            body = await reader.readexactly(int(headers["content-length"]))
        else:
            body = await _read_chunks(reader)
        if headers.get("connection") == "close":
            self.close()
        return Answer(int(lines[0].split()[1]), headers, body)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._pipes is not None:
            self._pipes[1].close()
            self._pipes = None

    async def end(self) -> None:
        """Close the connection for good."""
        if self._pipes is not None:
            writer = self._pipes[1]
            self.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while size := int(await reader.readuntil(b"\r\n"), 16):
        pieces.append(await reader.readexactly(size))
        await reader.readexactly(2)
    await reader.readexactly(2)
    return b"".join(pieces)


class Caller:
    """Who calls: a key's secret and the tag its calls carry."""

    def __init__(self, secret: str, tags: str = "", user: str = "") -> None:
        self.headers = {"authorization": f"Bearer {secret}"}
        if tags:
            self.headers["x-farebox-tags"] = tags
        self.user = user


class Load:
    """Calls without end over many connections, until it is told to stop.

    Args:
        ports: of the gateways; each connection stays with one.
        callers: drawn for each call.
        draw: makes everything that is random.
        faults: the share of chats whose provider fails.
        keyed: the share of calls with an idempotency key, which are made again until they are answered.
    """

    def __init__(
        self, ports: list[int], callers: list[Caller], draw: random.Random, faults: float = 0.02, keyed: float = 0.1
    ) -> None:
        self.statuses: Counter[int] = Counter()
        self.lost: int = 0
        self.keys: int = 0
        self.told: dict[str, str] = {}
        self.odd: list[tuple[int, bytes]] = []
        self._ports = ports
        self._callers = callers
        self._draw = draw
        self._faults = faults
        self._keyed = keyed
        self._series = draw.getrandbits(32)

    async def run(self, connections: int, stopped: asyncio.Event) -> None:
        """Call over so many connections until the event is set; what is under way then is waited for."""
        async with asyncio.TaskGroup() as group:
            for number in range(connections):
                group.create_task(self._call_on(self._ports[number % len(self._ports)], stopped))

    async def _call_on(self, port: int, stopped: asyncio.Event) -> None:
        line = Line(port)
        while not stopped.is_set():
            path, body, headers = self._next()
            tries = 1
            if self._draw.random() < self._keyed:
                self.keys += 1
                key = f"{self._series}-{self.keys}"
                headers = {**headers, "idempotency-key": key, "x-farebox-tags": f"{ORDER}={key}"}
                tries = _TRIES
            answer = await self._insist(line, path, body, headers, tries)
            if answer is None:
                continue
            self._note(answer)
            if answer.status != 200:
                await asyncio.sleep(_AFTER_REFUSAL_S * self._draw.uniform(0.5, 1.5))
        await line.end()

    async def _insist(
        self, line: Line, path: str, body: Mapping[str, object], headers: Header, tries: int
    ) -> Answer | None:
        """Call; what was lost or is still under way is tried again where the call has a key."""
        answer = None
        for _ in range(tries):
            try:
                answer = await line.call(path, body, headers)
            except Lost:
                self.lost += 1
                await asyncio.sleep(_AFTER_LOSS_S)
                continue
            if answer.status != 409 or "retry-after" not in answer.headers:
                break
            await asyncio.sleep(_AFTER_REFUSAL_S)
        return answer

    def _note(self, answer: Answer) -> None:
        self.statuses[answer.status] += 1
        if answer.status == 200 and "x-farebox-cost-usd" in answer.headers:
            self.told[f"{answer.headers['x-farebox-call']}.{answer.headers['x-farebox-attempts']}"] = answer.headers[
                "x-farebox-cost-usd"
            ]
        if answer.status not in _USUAL:
            self.odd.append((answer.status, answer.body[:300]))

    def _next(self) -> tuple[str, dict[str, object], Header]:
        """Draw a call: most embed, some chat, some stream; the provider takes its time, or fails."""
        draw = self._draw
        caller = draw.choice(self._callers)
        latency_ms = round(draw.expovariate(1 / 25))
        kind = draw.random()
        if kind < 0.7:
            wish = json.dumps({"latency_ms": latency_ms})
            return "/v1/embeddings", {"model": EMBEDS, "input": "a b c", "user": wish}, caller.headers
        wishes: dict[str, object] = {"latency_ms": latency_ms}
        if draw.random() < self._faults:
            wishes |= draw.choice(({"status": 500}, {"status": 429}, {"fault": "reset_before_headers"}))
        content = f"Say something. [[simulate {json.dumps(wishes)}]]"
        body: dict[str, object] = {
            "messages": [{"role": "user", "content": content}],
            "max_tokens": draw.choice((1, 4, 12)),
        }
        if kind < 0.85:
            return "/v1/chat/completions", {"model": CHATS, **body, "user": caller.user}, caller.headers
        if kind < 0.93:
            return "/v1/chat/completions", {"model": CHATS, **body, "user": caller.user, "stream": True}, caller.headers
        return "/v1/messages", {"model": MESSAGES, **body}, caller.headers


EMBEDS = "text-embedding-3-small"
CHATS = "gpt-4o-mini"
MESSAGES = "claude-haiku-4-5"


async def wait_for(condition: Callable[[], bool], seconds: float, every_s: float = 0.05) -> bool:
    """Look again and again whether something has come true; return whether it has."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await asyncio.to_thread(condition):
        if asyncio.get_running_loop().time() > deadline:
            return False
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(every_s)
    return True
