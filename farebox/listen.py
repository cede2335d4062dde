"""The HTTP surface of the data plane: one table of routes, one chain of checks for each.

A path is looked up, the caller identified, the body read up to its limit and parsed, and only then does the line
take over. Whatever is refused on the way is answered in the dialect of the path that was called.
"""

import asyncio
from collections.abc import Callable, Mapping

import msgspec

from farebox.auth import Caller, KeyRing, identify
from farebox.call import Asked, Inbound
from farebox.discover import anthropic_models, find_model, openai_models
from farebox.edges import Edges
from farebox.errors import BadRequest, CallError, MethodNotAllowed, NotFound, TooLarge, Unavailable
from farebox.http1.exchange import Exchange
from farebox.idempotency import HEADER
from farebox.ids import IdSource
from farebox.line import serve
from farebox.once import Once
from farebox.overload import Overload
from farebox.routing.request import read_criticality
from farebox.wire.errors_of import render
from farebox.wire.json_body import encode, parse_object
from farebox.wire.operations import READINGS
from farebox.wire.sse import HEARTBEATS

JSON = ("content-type", "application/json")
CALLS: dict[str, str] = {
    "/v1/chat/completions": "chat",
    "/v1/embeddings": "embeddings",
    "/v1/messages": "messages",
    "/v1/messages/count_tokens": "count_tokens",
}
_TAGS_BYTES = 8192


class Listener:
    """The server's callback. One per worker.

    Args:
        edges: what the line needs.
        ids: source of call ids.
        ring: returns the current snapshot of keys.
        once: serves calls with an idempotency key, or None where those are passed over.
        overload: which calls are refused because there is too much to do.

    Attributes:
        edges: what calls are answered with from now on.
        stale: returns why the configuration's files are not in force as they are, or "".
    """

    def __init__(
        self, edges: Edges, ids: IdSource, ring: Callable[[], KeyRing], once: Once | None, overload: Overload
    ) -> None:
        self._overload = overload
        self.edges: Edges = edges
        self.stale: Callable[[], str] = str
        self._ids = ids
        self._ring = ring
        self._once = once
        self.in_flight: int = 0
        self.stopping: bool = False
        self.idle: asyncio.Event = asyncio.Event()

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        received_ns = self.edges.clock.monotonic_ns()
        call_id = self._ids.call_id(self.edges.clock.now_ns())
        self.in_flight += 1
        try:
            operation = CALLS.get(exchange.path)
            if operation is not None:
                overload = self._overload
                if self.in_flight > overload.easy and not overload.admits(
                    read_criticality(exchange.headers), self.in_flight
                ):
                    raise overload.refusal(call_id)
                await self._call(exchange, operation, call_id, received_ns)
            else:
                self._read(exchange, call_id)
        except CallError as error:
            _refuse(exchange, _dialect(exchange), error, call_id)
        finally:
            self.in_flight -= 1
            if self.stopping and not self.in_flight:
                self.idle.set()

    async def _call(self, exchange: Exchange, operation: str, call_id: str, received_ns: int) -> None:
        """Check a call and hand it to the line."""
        headers = exchange.headers
        if exchange.method != "POST":
            raise MethodNotAllowed(f"{exchange.path} is called with POST.")
        if self.stopping:
            raise Unavailable("This gateway is shutting down. Try again.", code="shutting_down", retry_after_s=1)
        caller = self._identify(headers)
        if exchange.too_large:
            raise _too_large(self.edges.limits.body_bytes)
        if headers.get("content-encoding", "identity") != "identity":
            raise BadRequest("Compressed bodies are not accepted. Send the body without content-encoding.")
        asked = READINGS[operation].request(parse_object(exchange.body, self.edges.limits.json_depth))
        tags = headers.get("x-farebox-tags")
        if tags:
            asked = msgspec.structs.replace(asked, tags=asked.tags | _read_tags(tags))
        _check_tags(asked)
        exchange.heartbeat = HEARTBEATS[asked.dialect]
        inbound = Inbound(call_id, caller.key, caller.name, received_ns, headers, caller.team, caller.project)
        key = headers.get(HEADER)
        if key is None or self._once is None:
            await serve(self.edges, inbound, asked, exchange)
        else:
            await self._once.serve(key, inbound, asked, exchange)

    def _read(self, exchange: Exchange, call_id: str) -> None:
        """Answer a path that calls no provider."""
        path = exchange.path
        if path == "/healthz":
            return exchange.respond(200, [JSON], b'{"status":"ok"}')
        if path == "/readyz":
            return self._ready(exchange)
        if path != "/v1/models" and not path.startswith("/v1/models/"):
            raise NotFound(f"There is nothing at {path[:200]}. The API's paths begin with /v1/.", code="unknown_path")
        if exchange.method != "GET":
            raise MethodNotAllowed(f"{path[:200]} is read with GET.")
        self._identify(exchange.headers)
        routes = self.edges.routes
        as_anthropic = _dialect(exchange) == "anthropic"
        if path == "/v1/models":
            body = anthropic_models(routes) if as_anthropic else openai_models(routes)
        else:
            body = find_model(routes, path.removeprefix("/v1/models/"), as_anthropic=as_anthropic)
        request_id = ("request-id" if as_anthropic else "x-request-id", call_id)
        return exchange.respond(200, [JSON, request_id, ("x-farebox-call", call_id)], encode(body))

    def _ready(self, exchange: Exchange) -> None:
        ready = not self.stopping and self.edges.journal.admitting
        stale = self.stale()
        body = {
            "status": "ready" if ready else "unavailable",
            "journal": "ok" if ready else "stopping or full",
            "load": self._overload.level,
            "configuration": f"stale: {stale}" if stale else "ok",
        }
        exchange.respond(200 if ready else 503, [JSON], encode(body))

    def _identify(self, headers: Mapping[str, str]) -> Caller:
        return identify(self._ring(), headers.get("authorization"), headers.get("x-api-key"))


def _too_large(limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"The body is larger than {limit_bytes} bytes. Send less, or raise limits.body_bytes in the configuration."
    )


def _read_tags(text: str) -> dict[str, str]:
    """Return the tags of ``x-farebox-tags``: ``team=search, env=prod``."""
    tags: dict[str, str] = {}
    for pair in text.split(","):
        name, separator, value = pair.partition("=")
        if not separator or not name.strip():
            raise BadRequest("'x-farebox-tags' must be of the form name=value, name=value.", param="x-farebox-tags")
        tags[name.strip()] = value.strip()
    return tags


def _check_tags(asked: Asked) -> None:
    """Refuse tags that would make records of any size; the end user's name counts with them."""
    size = len(asked.user) + sum(len(name) + len(value) for name, value in asked.tags.items())
    if size > _TAGS_BYTES or len(asked.model) > 500:
        raise BadRequest(
            f"The model, user and tags together must stay below {_TAGS_BYTES} characters.", param="metadata"
        )


def _dialect(exchange: Exchange) -> str:
    if exchange.path.startswith("/v1/messages") or exchange.headers.get("anthropic-version") is not None:
        return "anthropic"
    return "openai"


def _refuse(exchange: Exchange, dialect: str, error: CallError, call_id: str) -> None:
    """Answer with an error in the dialect of the path."""
    status, body = render(dialect, error, call_id)
    headers = [JSON, ("request-id" if dialect == "anthropic" else "x-request-id", call_id), ("x-farebox-call", call_id)]
    if error.retry_after_s is not None:
        headers.append(("retry-after", str(error.retry_after_s)))
    headers += error.headers
    exchange.respond(status, headers, encode(body))
