"""Anthropic's API around the answers: keys, errors, headers, the list of models."""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import msgspec

from farebox.simulate.asked import Frame, Problem
from farebox.simulate.connection import Headers
from farebox.simulate.limits import Allowance
from farebox.simulate.models import ANTHROPIC, SERVED, Served, models_of

API = ANTHROPIC
ID_HEADER = "request-id"

# status -> type, message, for errors that come from the service and not from the request
_TROUBLE = {
    400: ("invalid_request_error", "The request could not be understood."),
    401: ("authentication_error", "invalid x-api-key"),
    402: ("billing_error", "Your credit balance is too low to access the Anthropic API."),
    403: ("permission_error", "Your API key does not have permission to use the specified resource."),
    404: ("not_found_error", "Not found"),
    413: ("request_too_large", "Request exceeds the maximum size"),
    429: ("rate_limit_error", "This request would exceed your organization's rate limit. Please try again later."),
    500: ("api_error", "Internal server error"),
    503: ("api_error", "Service unavailable"),
    504: ("timeout_error", "Request timed out"),
    529: ("overloaded_error", "Overloaded"),
}


def read_key(headers: dict[str, str]) -> str:
    """The API key of a request, or empty."""
    if headers.get("x-api-key"):
        return headers["x-api-key"].strip()
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def check_headers(headers: dict[str, str]) -> None:
    """Anthropic asks for the version of its API.

    Raises:
        Problem: the header is missing.
    """
    if not headers.get("anthropic-version"):
        raise Problem(400, "anthropic-version: header is required")


def key_problem(key: str) -> Problem:
    """The answer to a missing or wrong key."""
    return Problem(401, "invalid x-api-key" if key else "x-api-key header is required")


def json_problem() -> Problem:
    """The answer to a body that is no JSON object."""
    return Problem(400, "The request body is not valid JSON")


def path_problem(method: str, path: str) -> Problem:  # noqa: ARG001 - OpenAI's message shows them
    """The answer to an unknown path or method."""
    return Problem(404, "Not Found")


def trouble(status: int) -> Problem:
    """An error of the service itself."""
    kind, message = _TROUBLE.get(status, _TROUBLE[500])
    return Problem(status, message, kind=kind)


def limit_problem(model: Served, allowance: Allowance) -> Problem:
    """The answer to one request too many in this minute."""
    by_requests = allowance.exceeded == "requests"
    limit = f"{allowance.limit_requests:,} requests" if by_requests else f"{allowance.limit_tokens:,} input tokens"
    message = (
        f"This request would exceed your organization's rate limit of {limit} per minute (model: {model.resolved}). "
        "For details, refer to: https://docs.claude.com/en/api/rate-limits."
    )
    return Problem(429, message, retry_after_s=max(1, round(allowance.reset_s)))


def error_body(problem: Problem, request_id: str) -> dict[str, Any]:
    """The body of an error."""
    kind = problem.kind or _TROUBLE.get(problem.status, _TROUBLE[500])[0]
    body: dict[str, Any] = {"type": "error", "error": {"type": kind, "message": problem.message}}
    return {**body, "request_id": request_id} if request_id else body


def error_event(problem: Problem) -> Frame:
    """An error inside a stream."""
    return Frame(msgspec.json.encode(error_body(problem, "")), "error")


def make_headers(request_id: str, allowance: Allowance | None, elapsed_s: float, now_s: float) -> Headers:  # noqa: ARG001 - OpenAI's headers tell the elapsed time
    """Headers of every answer."""
    headers = [
        (ID_HEADER, request_id),
        ("anthropic-organization-id", "00000000-0000-4000-8000-51f1a7ed0000"),
    ]
    if allowance is not None:
        reset = datetime.fromtimestamp(int(now_s + allowance.reset_s), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        counts = {
            "requests": (allowance.limit_requests, allowance.remaining_requests),
            "tokens": (allowance.limit_tokens, allowance.remaining_tokens),
            "input-tokens": (allowance.limit_tokens, allowance.remaining_tokens),
            "output-tokens": (allowance.limit_tokens, allowance.remaining_tokens),
        }
        for name, (limit, remaining) in counts.items():
            headers += [
                (f"anthropic-ratelimit-{name}-limit", str(limit)),
                (f"anthropic-ratelimit-{name}-remaining", str(remaining)),
                (f"anthropic-ratelimit-{name}-reset", reset),
            ]
    return headers


def retry_headers(problem: Problem) -> Headers:
    """Headers of an error that tell the caller whether to come again."""
    again = problem.status in (408, 409, 429) or problem.status >= 500
    headers = [("x-should-retry", "true" if again else "false")]
    if problem.retry_after_s is not None:
        headers.append(("retry-after", f"{problem.retry_after_s:g}"))
    return headers


def list_models(query: str) -> dict[str, Any]:
    """The list of models, newest first, in pages."""
    asked = parse_qs(query)
    shown = [_show(m) for m in sorted(models_of(ANTHROPIC), key=lambda m: -m.created_s)]
    after = asked.get("after_id", [""])[0]
    if after:
        ids = [m["id"] for m in shown]
        shown = shown[ids.index(after) + 1 :] if after in ids else []
    limit = int(asked["limit"][0]) if asked.get("limit", [""])[0].isdigit() else 20
    page = shown[:limit]
    return {
        "data": page,
        "has_more": len(shown) > len(page),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }


def show_model(name: str) -> dict[str, Any]:
    """One model.

    Raises:
        Problem: there is none of that name.
    """
    if name not in SERVED[ANTHROPIC]:
        raise Problem(404, f"model: {name}")
    return _show(SERVED[ANTHROPIC][name])


def _show(model: Served) -> dict[str, Any]:
    return {
        "type": "model",
        "id": model.resolved,
        "display_name": model.title,
        "created_at": datetime.fromtimestamp(model.created_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "line": model.name.split("-")[1],
        "max_input_tokens": model.context_tokens,
        "max_tokens": model.max_output_tokens,
    }
