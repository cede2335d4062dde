"""Errors as each dialect spells them: what an HTTP status is called, and how a CallError is rendered.

The status is the same in both dialects, because every SDK picks its exception class by it; the names differ.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from farebox.errors import CallError
from farebox.wire.sse import encode

# https://platform.claude.com/docs/en/api/errors
ANTHROPIC_TYPES: dict[int, str] = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    408: "timeout_error",
    409: "invalid_request_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
# https://platform.openai.com/docs/guides/error-codes and recorded answers: a wrong key and an unknown model
# are invalid_request_error there too, told apart by the code.
OPENAI_TYPES: dict[int, str] = {
    402: "insufficient_quota",
    403: "permission_error",
    429: "rate_limit_error",
}

# An error as the first event of a stream becomes the status it would have been without streaming.
_STATUS_OF_TYPE = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "insufficient_quota": 429,
    "server_error": 500,
    "api_error": 500,
    "overloaded_error": 529,
}


def anthropic_type(status: int) -> str:
    """Return Anthropic's error type for an HTTP status."""
    return ANTHROPIC_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")


def openai_type(status: int) -> str:
    """Return OpenAI's error type for an HTTP status."""
    return OPENAI_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")


def openai_body(message: str, type_: str, code: str | None, param: str | None = None) -> dict[str, Any]:
    """Return OpenAI's error object."""
    return {"error": {"message": message, "type": type_, "param": param, "code": code}}


def anthropic_body(message: str, type_: str, request_id: str | None = None, code: str | None = None) -> dict[str, Any]:
    """Return Anthropic's error object; a code goes where its SDKs look for one, in ``details.error_code``."""
    error: dict[str, Any] = {"type": type_, "message": message}
    if code is not None:
        error["details"] = {"error_code": code}
    body: dict[str, Any] = {"type": "error", "error": error}
    if request_id is not None:
        body["request_id"] = request_id
    return body


def openai_error(error: CallError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Render an error for an OpenAI client. The request id travels in the ``x-request-id`` header only."""
    del request_id
    return error.status, openai_body(error.message, openai_type(error.status), error.code, error.param)


def anthropic_error(error: CallError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Render an error for an Anthropic client; the field at fault leads the message, as Anthropic itself does."""
    message = error.message
    if error.param is not None and error.param not in message:
        message = f"{error.param}: {message}"
    return error.status, anthropic_body(message, anthropic_type(error.status), request_id, error.code)


def openai_event(body: dict[str, Any]) -> bytes:
    """Return an error body as an event inside an OpenAI stream; no ``[DONE]`` follows it."""
    return encode(msgspec.json.encode(body))


def anthropic_event(body: dict[str, Any]) -> bytes:
    """Return an error body as an event inside an Anthropic stream; no ``message_stop`` follows it."""
    return encode(msgspec.json.encode(body), b"error")


ERROR_OF: dict[str, Callable[[CallError, str], tuple[int, dict[str, Any]]]] = {
    "openai": openai_error,
    "anthropic": anthropic_error,
}
EVENT_OF: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "openai": openai_event,
    "anthropic": anthropic_event,
}


def render(dialect: str, error: CallError, request_id: str) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and the JSON body of an error in a dialect (``openai`` or ``anthropic``)."""
    return ERROR_OF[dialect](error, request_id)


def render_event(dialect: str, error: CallError, request_id: str) -> bytes:
    """Return an error as the last event of a stream that has already begun."""
    _, body = ERROR_OF[dialect](error, request_id)
    return EVENT_OF[dialect](body)


def status_of_event(data: bytes) -> int:
    """Return the HTTP status that an error event would have had as an answer of its own."""
    try:
        body = msgspec.json.decode(data)
    except msgspec.DecodeError:
        return 502
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return 502
    for field in ("status", "code"):
        value = error.get(field)
        if isinstance(value, int) and 400 <= value <= 599:
            return value
    return next(
        (_STATUS_OF_TYPE[str(w)] for w in (error.get("type"), error.get("code")) if str(w) in _STATUS_OF_TYPE), 502
    )
