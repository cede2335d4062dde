"""OpenAI's API around the answers: keys, errors, headers, the list of models."""

from typing import Any

import msgspec

from farebox.simulate.asked import Frame, Problem
from farebox.simulate.connection import Headers
from farebox.simulate.limits import Allowance
from farebox.simulate.models import OPENAI, SERVED, Served, models_of

API = OPENAI
ID_HEADER = "x-request-id"
_ORGANIZATION = "org-simulated"

# status -> type, code, message, for errors that come from the service and not from the request
_TROUBLE = {
    400: ("invalid_request_error", None, "The request could not be understood."),
    401: ("invalid_request_error", "invalid_api_key", "Incorrect API key provided."),
    403: (
        "invalid_request_error",
        "unsupported_country_region_territory",
        "Country, region, or territory not supported",
    ),
    404: ("invalid_request_error", None, "The requested resource does not exist."),
    408: ("server_error", None, "Request timed out."),
    413: ("invalid_request_error", None, "The request is too large."),
    429: ("requests", "rate_limit_exceeded", "Rate limit reached for requests. Please try again later."),
    500: ("server_error", None, "The server had an error while processing your request. Sorry about that!"),
    502: ("server_error", None, "Bad gateway."),
    503: ("server_error", None, "The engine is currently overloaded, please try again later."),
    504: ("server_error", None, "The request timed out."),
}


def read_key(headers: dict[str, str]) -> str:
    """The API key of a request, or empty."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def check_headers(headers: dict[str, str]) -> None:
    """OpenAI asks for no header beside the key."""


def key_problem(key: str) -> Problem:
    """The answer to a missing or wrong key."""
    if not key:
        message = (
            "You didn't provide an API key. You need to provide your API key in an Authorization header using "
            "Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from "
            "https://platform.openai.com/account/api-keys."
        )
        return Problem(401, message)
    shown = f"{key[:8]}{'*' * max(0, len(key) - 12)}{key[-4:]}" if len(key) > 12 else key[:2] + "*" * (len(key) - 2)
    message = (
        f"Incorrect API key provided: {shown}. You can find your API key at "
        "https://platform.openai.com/account/api-keys."
    )
    return Problem(401, message, code="invalid_api_key")


def json_problem() -> Problem:
    """The answer to a body that is no JSON object."""
    message = (
        "We could not parse the JSON body of your request. (HINT: This likely means you aren't using your HTTP "
        "library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)"
    )
    return Problem(400, message)


def path_problem(method: str, path: str) -> Problem:
    """The answer to an unknown path or method."""
    return Problem(404, f"Invalid URL ({method} {path})")


def trouble(status: int) -> Problem:
    """An error of the service itself."""
    kind, code, message = _TROUBLE.get(status, ("server_error", None, "The server had an error."))
    return Problem(status, message, kind=kind, code=code)


def limit_problem(model: Served, allowance: Allowance) -> Problem:
    """The answer to one request too many in this minute."""
    by_requests = allowance.exceeded == "requests"
    name, limit = ("requests", allowance.limit_requests) if by_requests else ("tokens", allowance.limit_tokens)
    short = "RPM" if by_requests else "TPM"
    message = (
        f"Rate limit reached for {model.name} in organization {_ORGANIZATION} on {name} per min ({short}): "
        f"Limit {limit}, Used {limit}, Requested 1. Please try again in {allowance.reset_s:.3f}s."
    )
    return Problem(429, message, kind=name, code="rate_limit_exceeded", retry_after_s=max(1, round(allowance.reset_s)))


def error_body(problem: Problem, request_id: str) -> dict[str, Any]:  # noqa: ARG001 - Anthropic's form shows the id
    """The body of an error."""
    kind = problem.kind or _TROUBLE.get(problem.status, _TROUBLE[500])[0]
    return {"error": {"message": problem.message, "type": kind, "param": problem.param, "code": problem.code}}


def error_event(problem: Problem) -> Frame:
    """An error inside a stream."""
    return Frame(msgspec.json.encode(error_body(problem, "")))


def make_headers(request_id: str, allowance: Allowance | None, elapsed_s: float, now_s: float) -> Headers:  # noqa: ARG001 - Anthropic's headers tell the time
    """Headers of every answer."""
    headers = [
        ("openai-organization", _ORGANIZATION),
        ("openai-processing-ms", str(round(elapsed_s * 1000))),
        ("openai-version", "2020-10-01"),
        (ID_HEADER, request_id),
    ]
    if allowance is not None:
        reset_ms = round(allowance.reset_s * 1000)
        headers += [
            ("x-ratelimit-limit-requests", str(allowance.limit_requests)),
            ("x-ratelimit-limit-tokens", str(allowance.limit_tokens)),
            ("x-ratelimit-remaining-requests", str(allowance.remaining_requests)),
            ("x-ratelimit-remaining-tokens", str(allowance.remaining_tokens)),
            ("x-ratelimit-reset-requests", f"{reset_ms}ms"),
            ("x-ratelimit-reset-tokens", f"{reset_ms}ms"),
        ]
    return headers


def retry_headers(problem: Problem) -> Headers:
    """Headers of an error that tell the caller whether to come again."""
    return [] if problem.retry_after_s is None else [("retry-after", f"{problem.retry_after_s:g}")]


def list_models(query: str) -> dict[str, Any]:  # noqa: ARG001 - OpenAI's list has no pages
    """The list of models; each resolved id is a model of its own."""
    names = sorted({name for m in models_of(OPENAI) for name in (m.name, m.resolved)})
    return {"object": "list", "data": [_show(name) for name in names]}


def show_model(name: str) -> dict[str, Any]:
    """One model.

    Raises:
        Problem: there is none of that name.
    """
    if name not in SERVED[OPENAI]:
        raise Problem(404, f"The model '{name}' does not exist", param="model", code="model_not_found")
    return _show(name)


def _show(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": SERVED[OPENAI][name].created_s, "owned_by": "system"}
