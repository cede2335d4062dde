"""How each dialect tells a client of a limit: how much it allows, what is left, and when there is more.

OpenAI writes durations (``1s``, ``6m0s``): https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers.
Anthropic writes instants (RFC 3339): https://platform.claude.com/docs/en/api/rate-limits#response-headers.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import msgspec

Headers = tuple[tuple[str, str], ...]
_NS = 1_000_000_000
# What limits count, in the words of each dialect. OpenAI tells of tokens together, Anthropic of each kind.
_OPENAI = {"requests": "requests", "tokens": "tokens", "input_tokens": "tokens", "output_tokens": "tokens"}
_ANTHROPIC = {
    "requests": "requests",
    "tokens": "tokens",
    "input_tokens": "input-tokens",
    "output_tokens": "output-tokens",
}


class Standing(msgspec.Struct, frozen=True):
    """How a limit stands.

    Attributes:
        unit: what it counts: requests, tokens, input_tokens or output_tokens; others have no headers.
        limit: how many.
        remaining: of them.
        reset_ns: when there is more, nanoseconds since the epoch.
    """

    unit: str
    limit: int
    remaining: int
    reset_ns: int


def write_limit(dialect: str, standing: Standing, now_ns: int) -> Headers:
    """Return the headers that tell a client of a limit in a dialect (``openai`` or ``anthropic``)."""
    return _WRITE[dialect](standing, now_ns)


def duration_text(seconds: int) -> str:
    """Return a duration as OpenAI writes it, such as ``6m0s``."""
    hours, rest = divmod(max(0, seconds), 3600)
    minutes, left = divmod(rest, 60)
    text = f"{hours}h" if hours else ""
    text += f"{minutes}m" if hours or minutes else ""
    return f"{text}{left}s"


def _openai(standing: Standing, now_ns: int) -> Headers:
    word = _OPENAI.get(standing.unit)
    if word is None:
        return ()
    wait = duration_text(-(-(standing.reset_ns - now_ns) // _NS))
    return (
        (f"x-ratelimit-limit-{word}", str(standing.limit)),
        (f"x-ratelimit-remaining-{word}", str(standing.remaining)),
        (f"x-ratelimit-reset-{word}", wait),
    )


def _anthropic(standing: Standing, now_ns: int) -> Headers:
    del now_ns
    word = _ANTHROPIC.get(standing.unit)
    if word is None:
        return ()
    moment = datetime.fromtimestamp(-(-standing.reset_ns // _NS), UTC)
    return (
        (f"anthropic-ratelimit-{word}-limit", str(standing.limit)),
        (f"anthropic-ratelimit-{word}-remaining", str(standing.remaining)),
        (f"anthropic-ratelimit-{word}-reset", f"{moment:%Y-%m-%dT%H:%M:%SZ}"),
    )


_WRITE: dict[str, Callable[[Standing, int], Headers]] = {"openai": _openai, "anthropic": _anthropic}
