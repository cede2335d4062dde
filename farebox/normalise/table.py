"""Which normaliser reads the usage of which API."""

from collections.abc import Callable, Mapping
from typing import Any

from farebox.normalise import (
    anthropic_messages,
    bedrock_converse,
    bedrock_invoke,
    cohere,
    dashscope,
    google_gemini,
    mistral,
    openai_chat,
    openai_embeddings,
    openai_responses,
    openrouter,
    perplexity,
    xai,
)
from farebox.usage import Usage

Normaliser = Callable[[Mapping[str, Any]], Usage]

NORMALISERS: dict[str, Normaliser] = {
    "openai-chat": openai_chat.normalise,
    "openai-responses": openai_responses.normalise,
    "openai-embeddings": openai_embeddings.normalise,
    "openai-images": openai_responses.normalise_image,
    "openai-realtime": openai_responses.normalise_realtime,
    "anthropic-messages": anthropic_messages.normalise,
    "google-gemini": google_gemini.normalise,
    "bedrock-converse": bedrock_converse.normalise,
    "bedrock-invoke": bedrock_invoke.normalise,
    "xai-chat": xai.normalise_chat,
    "xai-responses": xai.normalise_responses,
    "dashscope": dashscope.normalise,
    "mistral": mistral.normalise,
    "mistral-ocr": mistral.normalise_ocr,
    "cohere": cohere.normalise,
    "perplexity": perplexity.normalise,
    "perplexity-responses": perplexity.normalise_responses,
    "openrouter-chat": openrouter.normalise_chat,
    "openrouter-responses": openrouter.normalise_responses,
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
