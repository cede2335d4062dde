"""Every failure a caller or an operator can see, one tree.

FareboxError
├── ConfigError          a key of the configuration is wrong (exit code 2)
├── UsageViolation       a provider's usage breaks a sum rule: quarantined with the raw object
└── CallError            a call is answered with an error in the dialect that was called
    ├── BadRequest       400, the client's body or parameter
    ├── Unauthorized     401, no key or a wrong one
    ├── OverBudget       402, a hard budget has no room for what the call may cost
    ├── NotFound         404, unknown path or model
    ├── MethodNotAllowed 405
    ├── Conflict         409/422, the idempotency key stands for another call, or for one whose answer cannot be given
    ├── TooLarge         413, the body
    ├── RateLimited      429, a limit on requests, tokens or concurrent calls
    ├── Untranslatable   422 becomes 400 in both dialects: a field the target cannot express
    ├── UpstreamFailed   502/503/504, the provider could not be reached or answered nonsense
    └── Unavailable      503, Farebox itself will not admit (journal full, shutting down)

A message names the field and the remedy, because it is all the caller sees.
"""


class FareboxError(Exception):
    """The root of every error that Farebox raises on purpose."""


class ConfigError(FareboxError):
    """A configuration key is missing, unknown or has a value that cannot be used."""


class UsageViolation(FareboxError):
    """A usage object breaks a rule of its API, so no meter of it can be trusted.

    Attributes:
        rule: the rule that does not hold, such as ``cached_tokens <= prompt_tokens``.
    """

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(f"{rule}: {detail}" if detail else rule)
        self.rule: str = rule


class CallError(FareboxError):
    """A call that is answered with an error.

    Attributes:
        status: the HTTP status.
        code: a short machine-readable name, such as ``invalid_api_key``.
        message: for people: the field and the remedy.
        param: the request field at fault, as a path such as ``messages.0.content``, or None.
        retry_after_s: seconds after which the same call may succeed, or None.
        headers: what the answer carries besides.
    """

    status: int = 500
    code: str = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        retry_after_s: int | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(message)
        self.headers: tuple[tuple[str, str], ...] = headers
        self.message: str = message
        self.param: str | None = param
        self.retry_after_s: int | None = retry_after_s
        if code is not None:
            self.code = code
        if status is not None:
            self.status = status


class BadRequest(CallError):
    """The client's body or a parameter cannot be used."""

    status = 400
    code = "invalid_request"


class Unauthorized(CallError):
    """No key, or one that is not valid."""

    status = 401
    code = "invalid_api_key"


class OverBudget(CallError):
    """A hard budget, a wallet or the call's own ceiling has no room for what the call may cost."""

    status = 402
    code = "budget_exceeded"


class RateLimited(CallError):
    """A limit on requests, tokens or concurrent calls is reached."""

    status = 429
    code = "rate_limit_exceeded"


class NotFound(CallError):
    """No such path or model."""

    status = 404
    code = "not_found"


class MethodNotAllowed(CallError):
    """The path exists, the method does not."""

    status = 405
    code = "method_not_allowed"


class Conflict(CallError):
    """The idempotency key stands for another call, or for one whose answer cannot be given."""

    status = 409
    code = "conflict"


class TooLarge(CallError):
    """The body is larger than the limit."""

    status = 413
    code = "request_too_large"


class Untranslatable(CallError):
    """A field cannot be expressed in the provider's dialect; it is refused by name, never dropped."""

    status = 400
    code = "unsupported_field"


class UpstreamFailed(CallError):
    """The provider could not be reached, broke off or answered what cannot be read."""

    status = 502
    code = "upstream_error"


class Unavailable(CallError):
    """Farebox does not admit calls at the moment."""

    status = 503
    code = "unavailable"
