"""Errors of providers, whatever they look like, in the words of the other dialect.

Providers answer errors with OpenAI's object, Anthropic's, a string under ``error`` (vLLM), a ``detail`` or
``message`` of a web framework, HTML of a proxy, or nothing. The status is trusted; the body only tells more.
"""

from typing import Any

import msgspec

from farebox.wire.errors_of import anthropic_body, anthropic_type, openai_body, openai_type

SHOWN_CHARACTERS = 500
# What reading a JSON value of another shape than expected can raise; of a provider's answer it is its failure.
NONSENSE = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# Anthropic's status 529 has no counterpart at OpenAI, whose word for it is 503.
OPENAI_STATUSES: dict[int, int] = {529: 503}
# Anthropic's type -> status, for errors inside a stream, which have none; and -> OpenAI's code.
ANTHROPIC_STATUSES: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
OPENAI_CODES: dict[str, str] = {
    "authentication_error": "invalid_api_key",
    "billing_error": "insufficient_quota",
    "permission_error": "permission_denied",
    "not_found_error": "model_not_found",
    "request_too_large": "request_too_large",
    "rate_limit_error": "rate_limit_exceeded",
    "timeout_error": "timeout",
    "overloaded_error": "overloaded",
}
# OpenAI's type or code -> status, for errors inside a stream.
OPENAI_TYPE_STATUSES: dict[str, int] = {
    "invalid_request_error": 400,
    "context_length_exceeded": 400,
    "invalid_api_key": 401,
    "authentication_error": 401,
    "permission_error": 403,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "overloaded": 529,
}


class Failure(msgspec.Struct, frozen=True):
    """What could be read from a provider's error.

    Attributes:
        status: the HTTP status, or for an error inside a stream the one that its type stands for.
        message: what the provider said, or that it said nothing readable.
        kind: the provider's type, if it gave one.
        code: the provider's code, if it gave one.
        param: the field at fault, if it gave one.
    """

    status: int
    message: str
    kind: str | None = None
    code: str | None = None
    param: str | None = None

    @classmethod
    def read(cls, status: int, body: bytes) -> "Failure":
        """Read the body of an answer with an error status."""
        try:
            payload = msgspec.json.decode(body)
        except msgspec.DecodeError:
            return cls(status, _said(status, body.decode(errors="replace")))
        return cls.of(payload, status)

    @classmethod
    def of(cls, payload: Any, status: int | None = None) -> "Failure":
        """Read a decoded error body, or the error event of a stream if no status is given."""
        error = payload.get("error", payload) if isinstance(payload, dict) else payload
        if not isinstance(error, dict):
            return cls(status or 500, _said(status, error if isinstance(error, str) else ""))
        kind, code, param = _word(error.get("type")), _word(error.get("code")), _word(error.get("param"))
        if status is None:
            statuses = {**ANTHROPIC_STATUSES, **OPENAI_TYPE_STATUSES}
            status = statuses.get(code or "") or statuses.get(kind or "") or 500
        said = error.get("message") or error.get("detail")
        message = said if isinstance(said, str) else _said(status, "")
        return cls(status, message, kind, code, param)

    def openai(self) -> dict[str, Any]:
        """Return OpenAI's error body."""
        code = self.code or OPENAI_CODES.get(self.kind or anthropic_type(self.status))
        if self.message.startswith("prompt is too long"):  # Anthropic's words for OpenAI's code, which clients handle
            code = "context_length_exceeded"
        return openai_body(self.message, openai_type(OPENAI_STATUSES.get(self.status, self.status)), code, self.param)

    def anthropic(self) -> dict[str, Any]:
        """Return Anthropic's error body."""
        message = self.message
        if self.param and self.param not in message:
            message = f"{self.param}: {message}"
        return anthropic_body(message, anthropic_type(self.status), code=self.code)


def _word(value: Any) -> str | None:
    """Return a type, code or param; vLLM's codes are numbers, which only repeat the status."""
    return value if isinstance(value, str) and value else None


def _said(status: int | None, text: str) -> str:
    text = text.strip()
    if not text or text.startswith("<"):
        return f"The provider answered {status or 'an error'} without a message."
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + " ..."
