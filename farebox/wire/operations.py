"""How each operation of each dialect is read: one table, so that nothing else asks which dialect it is."""

from collections.abc import Callable
from typing import Any

import msgspec

from farebox.call import Answered, Asked
from farebox.wire import anthropic_messages, openai_chat, openai_embeddings


class Reading(msgspec.Struct, frozen=True):
    """The functions that read one operation.

    Attributes:
        request: the client's body to what is asked; raises BadRequest.
        answer: a whole answer to what it says of itself; raises msgspec.DecodeError.
        event: takes one stream event in; returns whether it carries the final usage. None: it cannot stream.
    """

    request: Callable[[dict[str, Any]], Asked]
    answer: Callable[[bytes], Answered]
    event: Callable[[bytes, Answered], bool] | None = None


READINGS: dict[str, Reading] = {
    "chat": Reading(openai_chat.read_request, openai_chat.read_answer, openai_chat.read_event),
    "embeddings": Reading(openai_embeddings.read_request, openai_embeddings.read_answer),
    "messages": Reading(anthropic_messages.read_request, anthropic_messages.read_answer, anthropic_messages.read_event),
    "count_tokens": Reading(anthropic_messages.read_count_request, anthropic_messages.read_count),
}
