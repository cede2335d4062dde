"""What a request or an operator may ask of a simulated provider, and where the wish may stand.

From weakest to strongest: the server's defaults, its rules, the header ``x-simulate``, the field ``user``
(OpenAI) or ``metadata.user_id`` (Anthropic) if it holds such JSON, and ``[[simulate {...}]]`` in the last user
message, which passes through any gateway. A directive in a message is removed before anything is counted, so it
costs no tokens and leaves cached prefixes alone.
"""

import json
import random
from typing import Any, Literal

import msgspec

Fault = Literal[
    "status",
    "close_before_headers",
    "reset_before_headers",
    "hang_before_headers",
    "stall",
    "cut_mid_stream",
    "garbage",
    "malformed_sse",
    "error_event",
    "missing_usage",
    "null_usage",
    "zero_usage",
]


class Controls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one request is answered.

    Attributes:
        output_tokens: billed length of each answer (reasoning included), or ``max`` for all that the request
            allows; None derives a length of 16 to 79 tokens from the prompt.
        text: the very text to answer, instead of generated words.
        reasoning_tokens: how many tokens of the answer are reasoning; None means the model's habit.
        tool_calls: how many tools to call, or which ones by name; None calls one only where the request
            demands it. Ignored in the turn that answers tool results.
        ignore_max_tokens: generate past the request's own cap, as some relays do.
        latency_ms: wait before an answer that is not streamed, and before the headers of a stream.
        ttft_ms: wait between the headers of a stream and its first event with content.
        tokens_per_s: pace of generation; 0 is as fast as the machine.
        chunk_tokens: tokens in each streamed delta.
        fault: what goes wrong; see docs of each name in faults.py.
        after_chunks: how many content events a stream delivers before its fault strikes.
        status: HTTP status of the fault ``status``; given alone it implies that fault.
        retry_after_s: value of Retry-After on an error; None sends none.
        error_type: type in the body of an error, instead of the one that belongs to the status.
        message: text of an error, instead of the one that belongs to the status.
        cut: how ``cut_mid_stream`` ends the connection.
        garbage: what the fault ``garbage`` sends instead of an answer.
        stall_ms: how long ``stall`` and ``hang_before_headers`` last; 0 is until the caller leaves.
        bill_on_cut: what is billed when a stream ends early: tokens ``generated`` so far, ``everything`` that
            was planned, or ``nothing``. An answer that is not streamed was generated before its first byte.
        crlf: end the lines of a stream with CRLF.
        comments: put a comment line before each event.
        multi_line_data: spread the JSON of each event over several data lines.
        no_space: write ``data:{`` without the blank.
        bom: begin the stream with a byte order mark.
        split_bytes: write a stream in pieces of so many bytes, each its own write; 0 writes whole events.
        gzip: compress a body if the request accepts it.
    """

    output_tokens: int | Literal["max"] | None = None
    text: str | None = None
    reasoning_tokens: int | None = None
    tool_calls: int | list[str] | None = None
    ignore_max_tokens: bool = False
    latency_ms: float = 0
    ttft_ms: float = 0
    tokens_per_s: float = 0
    chunk_tokens: int = 4
    fault: Fault | None = None
    after_chunks: int = 3
    status: int | None = None
    retry_after_s: float | None = None
    error_type: str | None = None
    message: str | None = None
    cut: Literal["reset", "inside_chunk", "clean", "close_delimited"] = "reset"
    garbage: Literal["html", "truncated_json", "invalid_utf8", "empty", "not_an_object"] = "html"
    stall_ms: float = 0
    bill_on_cut: Literal["generated", "everything", "nothing"] = "generated"
    crlf: bool = False
    comments: bool = False
    multi_line_data: bool = False
    no_space: bool = False
    bom: bool = False
    split_bytes: int = 0
    gzip: bool = False

    def __post_init__(self) -> None:
        if self.chunk_tokens < 1:
            raise ValueError("chunk_tokens must be at least 1")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError("status must be an HTTP status from 200 to 599")
        if self.fault == "status" and self.status is None:
            raise ValueError("the fault 'status' needs a status, such as 429")


NAMES = frozenset(Controls.__struct_fields__)


class BadControl(ValueError):
    """A control is unknown or has a value that cannot be used; the message names it."""


def make_controls(wishes: dict[str, Any]) -> Controls:
    """Checked controls from decoded JSON.

    Raises:
        BadControl: a name is unknown or a value does not fit.
    """
    try:
        return msgspec.convert(wishes, Controls)
    except (msgspec.ValidationError, ValueError) as error:
        raise BadControl(f"simulate: {error}") from None


class Rule(msgspec.Struct, kw_only=True):
    """Controls that apply to some requests only.

    Attributes:
        controls: the wishes that apply.
        nth: positions, counted from 1 among the requests that the filters let pass.
        every: each so-manieth of them.
        first: that many from the start.
        probability: chance for each, drawn from ``seed``.
        seed: makes the draws repeatable.
        api: filter, ``openai`` or ``anthropic``.
        model: filter, the name as asked or as resolved.
        stream: filter, streamed requests or the others.
    """

    controls: dict[str, Any]
    nth: int | list[int] | None = None
    every: int | None = None
    first: int | None = None
    probability: float | None = None
    seed: int = 0
    api: str | None = None
    model: str | None = None
    stream: bool | None = None
    _count: int = 0
    _dice: Any = None

    def applies(self, api: str, models: tuple[str, ...], *, stream: bool) -> bool:
        """Whether the request in hand is meant; counts it if the filters let it pass."""
        if self.api not in (None, api) or self.stream not in (None, stream):
            return False
        if self.model is not None and self.model not in models:
            return False
        self._count += 1
        return self._drawn()

    def _drawn(self) -> bool:
        if self.nth is not None:
            return self._count in (self.nth if isinstance(self.nth, list) else [self.nth])
        if self.every is not None:
            return self._count % self.every == 0
        if self.first is not None:
            return self._count <= self.first
        if self.probability is not None:
            if self._dice is None:
                self._dice = random.Random(self.seed)  # noqa: S311 - repeatable faults, no secret
            return bool(self._dice.random() < self.probability)
        return True


_RULE_NAMES = frozenset({"nth", "every", "first", "probability", "seed", "api", "model", "stream"})


def make_rule(wishes: dict[str, Any]) -> Rule:
    """A rule from one flat JSON object of conditions and controls.

    Raises:
        BadControl: a name is unknown or a value does not fit.
    """
    conditions = {k: v for k, v in wishes.items() if k in _RULE_NAMES}
    controls = {k: v for k, v in wishes.items() if k not in _RULE_NAMES}
    make_controls(controls)
    try:
        rule = msgspec.convert({**conditions, "controls": controls}, Rule)
    except msgspec.ValidationError as error:
        raise BadControl(f"simulate: {error}") from None
    if rule.every is not None and rule.every < 1:
        raise BadControl("simulate: every must be at least 1")
    return rule


_MARK = "[[simulate "


def take_directive(text: str) -> tuple[str, dict[str, Any]]:
    """The text without its ``[[simulate {...}]]``, and the wishes inside; ``{}`` if there is none.

    Raises:
        BadControl: the directive is not closed or holds no JSON object.
    """
    start = text.find(_MARK)
    if start < 0:
        return text, {}
    try:
        wishes, end = json.JSONDecoder().raw_decode(text, start + len(_MARK))
    except ValueError as error:
        raise BadControl(f"simulate: the directive in the message holds no JSON: {error}") from None
    if not isinstance(wishes, dict) or not text.startswith("]]", end):
        raise BadControl("simulate: a directive is [[simulate {...}]] with one JSON object")
    return text[:start] + text[end + 2 :], wishes


def read_header(value: str | None) -> dict[str, Any]:
    """The wishes in the header ``x-simulate``.

    Raises:
        BadControl: the header holds no JSON object.
    """
    if not value:
        return {}
    try:
        wishes = msgspec.json.decode(value.encode())
    except msgspec.DecodeError as error:
        raise BadControl(f"simulate: the header x-simulate holds no JSON: {error}") from None
    if not isinstance(wishes, dict):
        raise BadControl("simulate: the header x-simulate holds no JSON object")
    return wishes


def read_user(value: Any) -> dict[str, Any]:
    """The wishes in an end-user field; ``{}`` for every ordinary user, JSON or not."""
    if not isinstance(value, str) or not value.startswith("{"):
        return {}
    try:
        wishes = msgspec.json.decode(value.encode())
    except msgspec.DecodeError:
        return {}
    return wishes if isinstance(wishes, dict) and wishes and wishes.keys() <= NAMES else {}
