"""The simulated providers behind their HTTP surface: who is asked, what is billed, and the operator's own paths.

A request lives here from top to bottom: key, body, controls, limits, receipt on the bill, delivery, final row. What
is particular to a wire format is in its family.
"""

import itertools
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from farebox.simulate import embed
from farebox.simulate.anthropic_read import read_count
from farebox.simulate.asked import Asked, Problem
from farebox.simulate.bill import Bill, BillRow, fingerprint, read_bill, total_usd, usd_text
from farebox.simulate.cache import PrefixCache
from farebox.simulate.connection import Exchange, Headers
from farebox.simulate.control import BadControl, Controls, read_header, read_user
from farebox.simulate.deliver import Delivery
from farebox.simulate.embed import Embedding
from farebox.simulate.family import ANTHROPIC, OPENAI, Family
from farebox.simulate.job import Job, Receipt, make_chat_job, make_embedding_job
from farebox.simulate.limits import Allowance, Limits
from farebox.simulate.models import amount_usd
from farebox.simulate.settings import Settings, Wishes, read_settings

INVALID_KEY = "sk-invalid"
_JSON: Headers = [("content-type", "application/json")]

Clock = Callable[[], float]


class Arrival(msgspec.Struct):
    """What is known about a request while it is answered."""

    family: Family
    serial: str
    now_s: float
    began_s: float
    key: str = ""
    asked_model: str | None = None
    stream: bool = False
    allowance: Allowance | None = None

    @property
    def request_id(self) -> str:
        """The id in the header of the answer and on the bill."""
        return f"req_{self.serial}"


class Refusal(msgspec.Struct, forbid_unknown_fields=True):
    """For how long new connections are to be refused."""

    for_ms: float


class Simulator:
    """Both simulated providers, without their socket.

    Args:
        bill_path: the file to bill into; it is continued if it exists.
        settings: server-wide settings.
        clock: seconds since 1970; tests pass their own to make caches expire.
        refuse_for: closes the listening socket for so many seconds.
    """

    def __init__(
        self, bill_path: Path, settings: Settings | None, clock: Clock, refuse_for: Callable[[float], None]
    ) -> None:
        self.bill = Bill(bill_path)
        self.clock = clock
        self.refuse_for = refuse_for
        self._serials = (f"{secrets.token_hex(8)}{n:08x}" for n in itertools.count(1))
        self.apply(settings or Settings())

    def apply(self, settings: Settings) -> None:
        """Use other settings from now on; caches, counters and rules start anew.

        Raises:
            BadControl: a control or condition is unknown or cannot be used.
        """
        self._wishes = Wishes(settings)
        self.settings = settings
        self.cache = PrefixCache(settings.cache_ttl_s)
        self.limits = Limits(settings.requests_per_minute, settings.tokens_per_minute)

    async def handle(self, exchange: Exchange) -> None:
        """Answer one request.

        Raises:
            ClientLeft: the caller closed the connection before the answer was complete.
        """
        if exchange.path.startswith("/_simulate/"):
            await self._operate(exchange)
            return
        family = _family_of(exchange)
        arrival = Arrival(family, next(self._serials), self.clock(), time.perf_counter())
        billed = _BILLED.get(exchange.path) if exchange.method == "POST" else None
        try:
            self._check_key(exchange, arrival)
            if billed is not None:
                await self._serve(exchange, arrival)
            else:
                await self._show(exchange, arrival)
        except BadControl as error:
            await self._refuse(exchange, arrival, Problem(400, str(error)), billed=bool(billed))
        except Problem as problem:
            await self._refuse(exchange, arrival, problem, billed=bool(billed))

    def _check_key(self, exchange: Exchange, arrival: Arrival) -> None:
        surface = arrival.family.surface
        arrival.key = surface.read_key(exchange.headers)
        valid = self.settings.keys
        if not arrival.key or arrival.key == INVALID_KEY or (valid and arrival.key not in valid):
            raise surface.key_problem(arrival.key)
        surface.check_headers(exchange.headers)

    async def _serve(self, exchange: Exchange, arrival: Arrival) -> None:
        """A request that is billed."""
        body = _read_json(exchange, arrival.family)
        name = body.get("model")
        arrival.asked_model = name if isinstance(name, str) else None
        asked = _read_request(exchange.path, arrival.family, body)
        arrival.stream = isinstance(asked, Asked) and asked.stream
        controls = self._resolve(exchange, arrival, asked)
        self._limit(arrival, asked)
        job = self._make_job(arrival, asked, controls)
        settle = self._receive(exchange, arrival, job, controls)
        error = arrival.family.surface.error_event(_injected(arrival.family, controls, 500))
        await Delivery(exchange, job, controls, self._headers(arrival), settle, error).run()

    def _resolve(self, exchange: Exchange, arrival: Arrival, asked: Asked | Embedding) -> Controls:
        """The controls of a request.

        Raises:
            Problem: they ask for an error status.
            BadControl: they cannot be used.
        """
        own = asked.wishes if isinstance(asked, Asked) else read_user(asked.user)
        own = {**read_header(exchange.headers.get("x-simulate")), **own}
        names = (asked.model.name, asked.model.resolved)
        api = arrival.family.surface.API
        controls = self._wishes.resolve(api, names, own, stream=arrival.stream)
        if controls.status is not None and controls.fault in (None, "status"):
            raise _injected(arrival.family, controls, controls.status)
        return controls

    def _limit(self, arrival: Arrival, asked: Asked | Embedding) -> None:
        cap = asked.max_output_tokens or 0 if isinstance(asked, Asked) else 0
        arrival.allowance = self.limits.take(arrival.key, asked.input_tokens + cap, arrival.now_s)
        if arrival.allowance.exceeded:
            raise arrival.family.surface.limit_problem(asked.model, arrival.allowance)

    def _make_job(self, arrival: Arrival, asked: Asked | Embedding, controls: Controls) -> Job:
        if isinstance(asked, Embedding):
            return make_embedding_job(asked, controls)
        receipt = Receipt(arrival.serial, fingerprint(arrival.key), arrival.now_s)
        return make_chat_job(arrival.family, asked, controls, self.cache, receipt)

    def _receive(
        self, exchange: Exchange, arrival: Arrival, job: Job, controls: Controls
    ) -> Callable[[str, int], None]:
        """Bill on receipt; returns what writes the final row, once."""
        row = self._row(exchange, arrival, 200)
        planned = job.quantities(job.output_tokens)
        row = msgspec.structs.replace(
            row,
            phase="received",
            outcome="planned",
            model=job.model.resolved,
            quantities=planned,
            amount_usd=usd_text(amount_usd(job.model, planned)),
        )
        self.bill.add(row)
        settled = False

        def settle(outcome: str, made: int) -> None:
            nonlocal settled
            if settled:
                return
            settled = True
            billed = planned
            if outcome != "complete" and controls.bill_on_cut != "everything":
                billed = job.quantities(made) if controls.bill_on_cut == "generated" else {}
            self.bill.add(
                msgspec.structs.replace(
                    row,
                    phase="done",
                    time_s=self.clock(),
                    outcome=outcome,
                    usage=job.usage if outcome == "complete" else None,
                    quantities=billed,
                    amount_usd=usd_text(amount_usd(job.model, billed)),
                )
            )

        return settle

    def _row(self, exchange: Exchange, arrival: Arrival, status: int) -> BillRow:
        headers = exchange.headers
        return BillRow(
            id=arrival.request_id,
            phase="done",
            time_s=arrival.now_s,
            api=arrival.family.surface.API,
            endpoint=exchange.path,
            key=fingerprint(arrival.key),
            status=status,
            stream=arrival.stream,
            outcome="refused",
            asked_model=arrival.asked_model,
            correlation=headers.get("x-farebox-attempt") or headers.get("x-client-request-id"),
        )

    def _headers(self, arrival: Arrival) -> Headers:
        elapsed_s = time.perf_counter() - arrival.began_s
        return arrival.family.surface.make_headers(arrival.request_id, arrival.allowance, elapsed_s, arrival.now_s)

    async def _refuse(self, exchange: Exchange, arrival: Arrival, problem: Problem, *, billed: bool) -> None:
        if billed:
            self.bill.add(self._row(exchange, arrival, problem.status))
        surface = arrival.family.surface
        headers = [*_JSON, *self._headers(arrival), *surface.retry_headers(problem)]
        body = msgspec.json.encode(surface.error_body(problem, arrival.request_id))
        await exchange.answer(problem.status, headers, body)

    async def _show(self, exchange: Exchange, arrival: Arrival) -> None:
        """A request that costs nothing."""
        surface = arrival.family.surface
        if exchange.method == "GET" and exchange.path == "/v1/models":
            shown = surface.list_models(exchange.query)
        elif exchange.method == "GET" and exchange.path.startswith("/v1/models/"):
            shown = surface.show_model(exchange.path.removeprefix("/v1/models/"))
        elif exchange.method == "POST" and exchange.path == "/v1/messages/count_tokens":
            shown = {"input_tokens": read_count(_read_json(exchange, arrival.family)).input_tokens}
        else:
            raise surface.path_problem(exchange.method, exchange.path)
        await exchange.answer(200, [*_JSON, *self._headers(arrival)], msgspec.json.encode(shown))

    async def _operate(self, exchange: Exchange) -> None:
        """The operator's paths: settings, bill, reset."""
        try:
            status, shown = self._run_order(f"{exchange.method} {exchange.path.removeprefix('/_simulate')}", exchange)
        except (BadControl, msgspec.DecodeError) as error:
            status, shown = 400, {"error": str(error)}
        await exchange.answer(status, _JSON, msgspec.json.encode(shown))

    def _run_order(self, order: str, exchange: Exchange) -> tuple[int, dict[str, Any]]:
        if order == "POST /config":
            self.apply(read_settings(msgspec.json.decode(exchange.body or b"{}"), self.settings))
        elif order == "POST /reset":
            self.apply(Settings())
            self.bill.clear()
        elif order == "GET /bill":
            rows = read_bill(self.bill.path)
            return 200, {"rows": msgspec.to_builtins(rows), "count": len(rows), "total_usd": usd_text(total_usd(rows))}
        elif order == "POST /refuse":
            wish = msgspec.json.decode(exchange.body or b"{}", type=Refusal)
            self.refuse_for(wish.for_ms / 1000)
        elif order != "GET /config":
            return 404, {"error": "the paths are config, bill, reset and refuse, all under /_simulate/"}
        return 200, msgspec.to_builtins(self.settings)


_BILLED = {"/v1/chat/completions": OPENAI, "/v1/embeddings": OPENAI, "/v1/messages": ANTHROPIC}


def _family_of(exchange: Exchange) -> Family:
    """By path; the paths of the model list belong to both and are told apart by Anthropic's header."""
    if exchange.path.startswith("/v1/messages"):
        return ANTHROPIC
    if exchange.path.startswith("/v1/models") and "anthropic-version" in exchange.headers:
        return ANTHROPIC
    return OPENAI


def _read_json(exchange: Exchange, family: Family) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(exchange.body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise family.surface.json_problem() from None
    if not isinstance(body, dict):
        raise family.surface.json_problem()
    return body


def _read_request(path: str, family: Family, body: dict[str, Any]) -> Asked | Embedding:
    return embed.read_embedding(body) if path == "/v1/embeddings" else family.read_chat(body)


def _injected(family: Family, controls: Controls, status: int) -> Problem:
    """The error that the controls ask for."""
    problem = family.surface.trouble(status)
    problem.kind = controls.error_type or problem.kind
    problem.message = controls.message or problem.message
    problem.retry_after_s = controls.retry_after_s
    return problem
