"""Which normaliser reads the usage of which API."""

from collections.abc import Callable, Mapping
from typing import Any

from farebox.normalise import anthropic_messages, openai_chat, openai_embeddings
from farebox.usage import Usage

Normaliser = Callable[[Mapping[str, Any]], Usage]

NORMALISERS: dict[str, Normaliser] = {
    "openai-chat": openai_chat.normalise,
    "openai-embeddings": openai_embeddings.normalise,
    "anthropic-messages": anthropic_messages.normalise,
}


def normaliser(api: str) -> Normaliser:
    """Return the function that turns a raw usage object of ``api`` into disjoint meters.

    Raises:
        KeyError: where no normaliser reads that API; the message lists those there are.
    """
    found = NORMALISERS.get(api)
    if found is None:
        raise KeyError(f"no usage normaliser for the API {api!r}; there are {', '.join(NORMALISERS)}")
    return found
