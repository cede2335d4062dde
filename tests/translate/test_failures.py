"""Errors of providers, as the client's official SDK sees them after translation."""

import json
from typing import Any

import anthropic
import httpx2
import openai
import pytest

from farebox.translate.table import find


def translated(client: str, status: int, body: bytes) -> tuple[int, dict[str, Any]]:
    translation = find(client, "openai" if client == "anthropic" else "anthropic")
    assert translation is not None
    return translation.translate_error(status, body)


def of_anthropic(kind: str, message: str) -> bytes:
    return json.dumps({"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}).encode()


def of_openai(message: str, kind: str | None, code: Any = None, param: str | None = None) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": code, "param": param}}).encode()


@pytest.mark.parametrize(
    ("status", "kind", "raises", "out_status", "out_kind", "code"),
    [
        (400, "invalid_request_error", openai.BadRequestError, 400, "invalid_request_error", None),
        (401, "authentication_error", openai.AuthenticationError, 401, "invalid_request_error", "invalid_api_key"),
        (403, "permission_error", openai.PermissionDeniedError, 403, "permission_error", "permission_denied"),
        (404, "not_found_error", openai.NotFoundError, 404, "invalid_request_error", "model_not_found"),
        (413, "request_too_large", openai.APIStatusError, 413, "invalid_request_error", "request_too_large"),
        (429, "rate_limit_error", openai.RateLimitError, 429, "rate_limit_error", "rate_limit_exceeded"),
        (500, "api_error", openai.InternalServerError, 500, "server_error", None),
        (529, "overloaded_error", openai.InternalServerError, 503, "server_error", "overloaded"),
    ],
)
def test_anthropics_errors_for_an_openai_client(
    status: int, kind: str, raises: type[openai.APIStatusError], out_status: int, out_kind: str, code: str | None
) -> None:
    got, body = translated("openai", status, of_anthropic(kind, "It is so."))
    answer = httpx2.Response(got, json=body)
    with (
        httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)) as http,
        openai.OpenAI(api_key="k", http_client=http, max_retries=0) as client,
        pytest.raises(raises, match=r"It is so\.") as caught,
    ):
        client.models.list()
    assert (caught.value.status_code, caught.value.type, caught.value.code) == (out_status, out_kind, code)


@pytest.mark.parametrize(
    ("status", "raises", "out_kind"),
    [
        (400, anthropic.BadRequestError, "invalid_request_error"),
        (401, anthropic.AuthenticationError, "authentication_error"),
        (403, anthropic.PermissionDeniedError, "permission_error"),
        (404, anthropic.NotFoundError, "not_found_error"),
        (413, anthropic.APIStatusError, "request_too_large"),
        (422, anthropic.UnprocessableEntityError, "invalid_request_error"),
        (429, anthropic.RateLimitError, "rate_limit_error"),
        (500, anthropic.InternalServerError, "api_error"),
        (502, anthropic.InternalServerError, "api_error"),
        (503, anthropic.InternalServerError, "overloaded_error"),
    ],
)
def test_openais_errors_for_an_anthropic_client(
    status: int, raises: type[anthropic.APIStatusError], out_kind: str
) -> None:
    got, body = translated("anthropic", status, of_openai("It is so.", "some_error", "some_code", "tools"))
    answer = httpx2.Response(got, json=body)
    with (
        httpx2.Client(transport=httpx2.MockTransport(lambda _: answer)) as http,
        anthropic.Anthropic(api_key="k", http_client=http, max_retries=0) as client,
        pytest.raises(raises) as caught,
    ):
        client.models.list()
    assert caught.value.status_code == status
    assert caught.value.type == out_kind
    assert caught.value.api_message == "tools: It is so."
    assert caught.value.error_code == "some_code"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "The provider answered 502 without a message."),
        (b"<html><body>Bad gateway</body></html>", "The provider answered 502 without a message."),
        (b"upstream connect error", "upstream connect error"),
        (b"x" * 600, "x" * 500 + " ..."),
        (b'{"error": "Unauthorized"}', "Unauthorized"),
        (b'{"detail": "Not here"}', "Not here"),
        (b'{"message": "Odd", "type": "odd"}', "Odd"),
        (b'{"object": "error", "message": "No", "code": 404}', "No"),
        (b'{"error": {"message": null, "code": 400}}', "The provider answered 502 without a message."),
        (b'{"error": null}', "The provider answered 502 without a message."),
        (b'"text"', "text"),
        (b"[1]", "The provider answered 502 without a message."),
        (b"\xff\xfe", "\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("client", ["openai", "anthropic"])
def test_bodies_of_any_shape_are_read(client: str, body: bytes, message: str) -> None:
    status, out = translated(client, 502, body)
    assert status == 502
    assert out["error"]["message"] == message
    assert out["error"]["type"] == {"openai": "server_error", "anthropic": "api_error"}[client]


def test_a_prompt_that_is_too_long_has_the_code_that_clients_handle() -> None:
    body = of_anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum")
    assert translated("openai", 400, body)[1]["error"]["code"] == "context_length_exceeded"


def test_a_field_that_the_message_names_is_not_named_twice() -> None:
    _, out = translated(
        "anthropic", 400, of_openai("Unknown parameter: 'tools'.", "invalid_request_error", None, "tools")
    )
    assert out["error"]["message"] == "Unknown parameter: 'tools'."
