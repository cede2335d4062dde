"""The client speaks OpenAI chat, the provider Anthropic messages: the pair's four doors."""

from typing import Any

from farebox.translate.failures import OPENAI_STATUSES, Failure
from farebox.translate.openai_anthropic_request import translate_request
from farebox.translate.openai_anthropic_response import translate_response
from farebox.translate.openai_anthropic_stream import StreamTranslator

__all__ = ["StreamTranslator", "start_stream", "translate_error", "translate_request", "translate_response"]


def start_stream(asked_model: str, *, include_usage: bool = False, now_s: int = 0) -> StreamTranslator:
    """Return the translator of one streamed answer."""
    return StreamTranslator(asked_model, include_usage=include_usage, now_s=now_s)


def translate_error(status: int, body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the status and the OpenAI error body of an error answer of an Anthropic provider."""
    return OPENAI_STATUSES.get(status, status), Failure.read(status, body).openai()
