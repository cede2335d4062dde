"""What a trace says about one call, whatever file it came from.

Text is named here, not written: a block is an id and a length, and equal ids of one part stand for equal
text. `text.py` turns blocks into words only when the call is sent, so a long trace stays small in memory.
"""

from typing import Final, Literal

import msgspec

from farebox.errors import FareboxError

Part = Literal["system", "history", "user", "answer", "passages", "web"]

MAX_TOKENS: Final = 10_000_000
"""No request of a trace is longer than this; a larger figure is a broken row."""


class TraceError(FareboxError):
    """The trace, or the wish how to replay it, cannot be used at all."""


class RowError(FareboxError):
    """One row cannot be replayed; the message is the reason, the same for equal faults."""


class Block(msgspec.Struct, frozen=True):
    """A piece of prompt text.

    Attributes:
        id: equal ids within one part and one seed are equal text.
        tokens: its length, at 4 bytes of UTF-8 a token.
    """

    id: int
    tokens: int


class Section(msgspec.Struct, frozen=True):
    """The blocks of one part of a prompt, in order.

    Attributes:
        part: where they go. `system` is the system message; `history` is one block for each earlier
            exchange; `user` and `answer` are turns in full, the last `user` being the new question;
            `passages` and `web` are retrieved for it.
        blocks: the text.
    """

    part: Part
    blocks: tuple[Block, ...]


class TraceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a trace.

    Attributes:
        at_s: seconds after the first row of the trace; never negative.
        input_tokens: the length of the prompt as the trace gives it.
        output_tokens: the length of the answer as the trace gives it, at least 1.
        sections: the prompt as blocks, in the order in which it is sent. Empty if `prompt` is given.
        prompt: the literal text of the user's message, or None.
        model: the model's name in the trace, or None.
        stream: whether the call streams, or None where the trace does not say.
        user: the end user, or None.
        session: calls with the same value belong to one conversation, or None.
        tags: name and value pairs for the audit.
    """

    at_s: float
    input_tokens: int
    output_tokens: int
    sections: tuple[Section, ...] = ()
    prompt: str | None = None
    model: str | None = None
    stream: bool | None = None
    user: str | None = None
    session: str | None = None
    tags: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a prompt that no provider takes.

        Raises:
            TraceError: the prompt does not end with a turn of the user.
        """
        turns = [section.part for section in self.sections if section.part in {"history", "user", "answer"}]
        if self.prompt is None and turns[-1:] != ["user"]:
            raise TraceError("a trace row needs a prompt, or sections whose last turn is the user's")
