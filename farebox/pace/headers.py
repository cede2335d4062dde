"""Reads what providers say about their limits in the headers of answers. Pure.

OpenAI: https://platform.openai.com/docs/guides/rate-limits (x-ratelimit-*, resets as durations such as 6m0s or 20ms).
Anthropic: https://platform.claude.com/docs/en/api/rate-limits (anthropic-ratelimit-*, resets as RFC 3339 instants).
"""

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Literal

import msgspec

Unit = Literal["requests", "tokens", "input_tokens", "output_tokens"]
_NS = 1_000_000_000
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_UNITS_NS = {"ns": 1, "us": 1000, "µs": 1000, "ms": 10**6, "s": _NS, "m": 60 * _NS, "h": 3600 * _NS, "d": 86_400 * _NS}
_NUMBER = re.compile(r"\d{1,18}(\.\d{1,9})?")
_LONGEST_NS = 86_400 * _NS  # what says more is about a day or a month, and no pace

# Header -> unit and what it says of it.
_MEANINGS: dict[str, tuple[Unit, int]] = {
    **{
        f"x-ratelimit-{word}-{unit}": (unit, at)
        for unit in ("requests", "tokens")
        for at, word in enumerate(("limit", "remaining", "reset"))
    },
    **{
        f"anthropic-ratelimit-{unit.replace('_', '-')}-{word}": (unit, at)
        for unit in ("requests", "tokens", "input_tokens", "output_tokens")
        for at, word in enumerate(("limit", "remaining", "reset"))
    },
}


class Said(msgspec.Struct, frozen=True):
    """What an answer says of one unit.

    Attributes:
        limit: of a minute.
        remaining: of it.
        reset_ns: when all of it is free again, nanoseconds since the epoch.
    """

    limit: int
    remaining: int
    reset_ns: int


def read_limits(headers: Iterable[tuple[str, str]], now_ns: int) -> Mapping[Unit, Said]:
    """Return what an answer's headers say, by unit; what is incomplete or cannot be read says nothing."""
    found: dict[Unit, list[str]] = {}
    for name, value in headers:
        meaning = _MEANINGS.get(name)
        if meaning is not None:
            unit, at = meaning
            found.setdefault(unit, ["", "", ""])[at] = value
    said: dict[Unit, Said] = {}
    for unit, (limit, remaining, reset) in found.items():
        if limit.isascii() and limit.isdigit() and remaining.isascii() and remaining.isdigit() and len(limit) < 16:
            reset_ns = read_reset(reset, now_ns)
            if reset_ns is not None and int(limit) > 0:
                said[unit] = Said(int(limit), min(int(remaining), int(limit)), reset_ns)
    return said


def read_reset(text: str, now_ns: int) -> int | None:
    """Return the instant that a reset header means: a duration, a number of seconds, or an RFC 3339 time."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        wait_ns = int(float(text) * _NS)
    elif text[-1:].isalpha() and "T" not in text and (parts := _DURATION.findall(text)):
        if "".join(amount + unit for amount, unit in parts) != text:
            return None
        wait_ns = sum(int(float(amount) * _UNITS_NS[unit]) for amount, unit in parts)
    else:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        if at.tzinfo is None:
            return None
        wait_ns = int(at.timestamp() * 1000) * 10**6 - now_ns
    return now_ns + max(0, wait_ns) if wait_ns <= _LONGEST_NS else None


def read_retry_after(headers: Iterable[tuple[str, str]], now_ns: int) -> int | None:
    """Return how long a refused caller shall wait, nanoseconds, or None where that is not said.

    ``retry-after-ms`` is OpenAI's finer word for it and goes before ``retry-after``, which is seconds or an HTTP date
    (RFC 9110, 10.2.3).
    """
    wait_ns = None
    for name, value in headers:
        if name == "retry-after-ms" and _NUMBER.fullmatch(value.strip()):
            return min(int(float(value) * 10**6), _LONGEST_NS)
        if name == "retry-after":
            wait_ns = _read_wait(value.strip(), now_ns)
    return wait_ns


def _read_wait(text: str, now_ns: int) -> int | None:
    if _NUMBER.fullmatch(text):
        return min(int(float(text) * _NS), _LONGEST_NS)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait_ns = int(at.timestamp()) * _NS - now_ns
    return min(max(0, wait_ns), _LONGEST_NS)
