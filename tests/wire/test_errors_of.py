"""Farebox's own errors in both dialects."""

import json

import pytest

from farebox.errors import (
    BadRequest,
    CallError,
    Conflict,
    MethodNotAllowed,
    NotFound,
    OverBudget,
    RateLimited,
    TooLarge,
    Unauthorized,
    Unavailable,
    Untranslatable,
    UpstreamFailed,
)
from farebox.wire.errors_of import render, render_event
from farebox.wire.sse import SseDecoder

NAMES = [
    (BadRequest, 400, "invalid_request_error", "invalid_request_error"),
    (Unauthorized, 401, "invalid_request_error", "authentication_error"),
    (OverBudget, 402, "insufficient_quota", "billing_error"),
    (NotFound, 404, "invalid_request_error", "not_found_error"),
    (MethodNotAllowed, 405, "invalid_request_error", "invalid_request_error"),
    (Conflict, 409, "invalid_request_error", "invalid_request_error"),
    (TooLarge, 413, "invalid_request_error", "request_too_large"),
    (Untranslatable, 400, "invalid_request_error", "invalid_request_error"),
    (RateLimited, 429, "rate_limit_error", "rate_limit_error"),
    (UpstreamFailed, 502, "server_error", "api_error"),
    (Unavailable, 503, "server_error", "overloaded_error"),
    (CallError, 500, "server_error", "api_error"),
]


@pytest.mark.parametrize(("kind", "status", "openai", "anthropic"), NAMES)
def test_every_error_has_its_name(kind: type[CallError], status: int, openai: str, anthropic: str) -> None:
    error = kind("Send it again.")
    assert render("openai", error, "req_1") == (
        status,
        {"error": {"message": "Send it again.", "type": openai, "param": None, "code": kind.code}},
    )
    assert render("anthropic", error, "req_1") == (
        status,
        {
            "type": "error",
            "error": {"type": anthropic, "message": "Send it again.", "details": {"error_code": kind.code}},
            "request_id": "req_1",
        },
    )


def test_every_kind_of_call_error_is_listed() -> None:
    own = {kind for kind in CallError.__subclasses__() if kind.__module__ == CallError.__module__}
    assert {kind for kind, *_ in NAMES} == {CallError, *own}


def test_the_field_at_fault_is_told_once() -> None:
    error = BadRequest("must be a string", param="messages.0.content")
    assert render("openai", error, "r")[1]["error"]["param"] == "messages.0.content"
    assert render("anthropic", error, "r")[1]["error"]["message"] == "messages.0.content: must be a string"
    error = BadRequest("n: must be 1", param="n")
    assert render("anthropic", error, "r")[1]["error"]["message"] == "n: must be 1"


def test_rate_limits_keep_their_type() -> None:
    error = CallError("Wait.", status=429, code="rate_limit_exceeded")
    assert render("openai", error, "r")[1]["error"]["type"] == "rate_limit_error"
    assert render("anthropic", error, "r")[1]["error"]["type"] == "rate_limit_error"


@pytest.mark.parametrize(("dialect", "name"), [("openai", b""), ("anthropic", b"error")])
def test_an_error_inside_a_stream_is_one_event(dialect: str, name: bytes) -> None:
    error = UpstreamFailed("The provider broke off.")
    (event,) = SseDecoder().feed(render_event(dialect, error, "req_1"))
    assert event.name == name
    assert json.loads(event.data) == render(dialect, error, "req_1")[1]
