"""What both wire formats ask for and what is answered, without either format's spelling.

Readers turn a body into ``Asked``; the generator turns that into answers; writers spell a ``Plan`` out. Usage is
kept as the disjoint meters that are billed, so no format's habit of counting can leak into the bill.
"""

from typing import Any, Literal

import msgspec

from farebox.simulate.cache import CacheHit, Segment
from farebox.simulate.models import Served


class Problem(Exception):
    """A request is answered with an error.

    Attributes:
        status: the HTTP status.
        kind: the ``type`` in the error body; empty picks the one that belongs to the status.
        message: the text in the body.
        param: OpenAI only, the field at fault.
        code: OpenAI only, the machine-readable name.
        retry_after_s: value of Retry-After, or None to send none.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "",
        param: str | None = None,
        code: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.param = param
        self.code = code
        self.retry_after_s = retry_after_s


class Tool(msgspec.Struct, frozen=True):
    """A tool that the model may call: its name and the JSON schema of its arguments."""

    name: str
    schema: Any


class Asked(msgspec.Struct, kw_only=True):
    """A checked request for generated text.

    Attributes:
        model: which model.
        segments: the counted prompt, in the order in which its prefix is cached.
        wishes: controls found in the body.
        answers: how many (``n``).
        max_output_tokens: the request's cap, or None.
        stops: texts that end an answer.
        tools: what may be called.
        must_call: names of tools of which one has to be called; empty if text will do.
        schema: JSON schema of the answer's text; None for free text, ``{}`` for any JSON object.
        reasoning_tokens: the request's habit of reasoning in tokens.
        shows_reasoning: whether reasoning is part of the answer or only counted.
        answers_tools: the last turn holds tool results.
        stream: events instead of one body.
        wants_usage: a stream ends with usage (OpenAI only; Anthropic always reports it).
        logprobs: how many alternatives per token, or None.
        extras: what only the writer of the same format understands.
    """

    model: Served
    segments: list[Segment]
    wishes: dict[str, Any]
    answers: int = 1
    max_output_tokens: int | None = None
    stops: list[str] = []
    tools: list[Tool] = []
    must_call: list[str] = []
    schema: Any = None
    reasoning_tokens: int = 0
    shows_reasoning: bool = False
    answers_tools: bool = False
    stream: bool = False
    wants_usage: bool = False
    logprobs: int | None = None
    extras: dict[str, Any] = {}

    @property
    def input_tokens(self) -> int:
        """Tokens of the whole prompt, cached or not; at least 1."""
        return max(1, sum(s.tokens for s in self.segments))


class Piece(msgspec.Struct, frozen=True):
    """A part of an answer: ``hidden`` reasoning, ``thinking``, ``text``, or a ``tool`` call with JSON text."""

    kind: Literal["hidden", "thinking", "text", "tool"]
    tokens: int
    text: str = ""
    name: str = ""


class Answer(msgspec.Struct, frozen=True):
    """One generated answer and why it ended."""

    pieces: list[Piece]
    finish: Literal["stop", "length", "tool", "sequence"]
    sequence: str | None = None

    @property
    def tokens(self) -> int:
        """Billed output tokens."""
        return sum(p.tokens for p in self.pieces)

    @property
    def reasoning_tokens(self) -> int:
        """The part of them that is reasoning."""
        return sum(p.tokens for p in self.pieces if p.kind in ("hidden", "thinking"))


class Plan(msgspec.Struct, kw_only=True):
    """An accepted request and all that will be answered to it.

    Attributes:
        serial: unique part of every id in the answer.
        created_s: time of receipt, seconds since 1970.
        asked: the request.
        answers: what is generated.
        hit: how the prompt cache served the prompt.
        usage_form: how usage is reported: truthfully, ``missing``, ``null`` or as ``zero``.
        chunk_tokens: tokens in each streamed delta.
    """

    serial: str
    created_s: int
    asked: Asked
    answers: list[Answer]
    hit: CacheHit
    usage_form: Literal["true", "missing", "null", "zero"] = "true"
    chunk_tokens: int = 4

    @property
    def output_tokens(self) -> int:
        """Billed output tokens of all answers."""
        return sum(a.tokens for a in self.answers)

    @property
    def reasoning_tokens(self) -> int:
        """The part of them that is reasoning."""
        return sum(a.reasoning_tokens for a in self.answers)

    def quantities(self, output_tokens: int) -> dict[str, int]:
        """Disjoint billed meters when so many output tokens were generated; zero meters are left out."""
        hit = self.hit
        meters = {
            "input": self.asked.input_tokens - hit.read - hit.write_5m - hit.write_1h,
            "cache_read": hit.read,
            "cache_write_5m": hit.write_5m,
            "cache_write_1h": hit.write_1h,
            "output": output_tokens,
        }
        return {meter: tokens for meter, tokens in meters.items() if tokens}


class Frame(msgspec.Struct, frozen=True):
    """One event of a stream.

    Attributes:
        data: what follows ``data:``, JSON or ``[DONE]``.
        event: the event's name, or empty for none.
        made: output tokens generated once this event is sent.
        content: carries generated text, so faults and pace count it.
    """

    data: bytes
    event: str = ""
    made: int = 0
    content: bool = False
