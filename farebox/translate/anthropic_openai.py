"""The client speaks Anthropic messages, the provider OpenAI chat: the pair's four doors."""

from typing import Any

from farebox.translate.anthropic_openai_request import translate_request
from farebox.translate.anthropic_openai_response import translate_response
from farebox.translate.anthropic_openai_stream import StreamTranslator
from farebox.translate.failures import Failure

__all__ = ["StreamTranslator", "start_stream", "translate_error", "translate_request", "translate_response"]


def start_stream(asked_model: str, *, include_usage: bool = False, now_s: int = 0) -> StreamTranslator:
    """Return the translator of one streamed answer."""
    return StreamTranslator(asked_model, include_usage=include_usage, now_s=now_s)


def translate_error(status: int, body: bytes) -> tuple[int, dict[str, Any]]:
    """Return the status and the Anthropic error body of an error answer of an OpenAI provider."""
    return status, Failure.read(status, body).anthropic()
