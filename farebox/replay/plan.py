"""What is replayed, where to, how fast: checked once, before anything is sent."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec

from farebox.replay.rows import TraceError, TraceRow

Dialect = Literal["openai", "anthropic", "both"]

DEFAULT_MODEL: Final = "gpt-4o-mini"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A replay.

    Attributes:
        rows: the trace, in order; read once and lazily.
        url: the gateway, with or without ``/v1``.
        key: the key to present, or None.
        models: asked for at random, each as often; empty: the model of the row.
        served_as: a row's model -> the model to ask for; wins over `models`.
        speed: trace seconds per second, or None for as fast as `concurrency_max` allows.
        limit: rows to send at most, or None.
        stream_share: share of calls that stream, where the row does not say.
        dialect: the API to call; ``both`` draws one for each call.
        concurrency_max: calls in flight at most; the next one waits, and the wait is reported as lag.
        max_output: upper limit on the output tokens asked for, or None.
        seed: decides texts, models, dialects and streams.
        simulated: tell simulated providers the output length, by a note in the last user message.
        cache_control: mark cache breakpoints in Anthropic calls.
        retries: how often a lost connection is tried again; nothing else is.
        timeout_s: silence on a connection for this long is a failure.
    """

    rows: Iterable[TraceRow]
    url: str = "http://127.0.0.1:4000"
    key: str | None = None
    models: tuple[str, ...] = ()
    served_as: Mapping[str, str] = {}
    speed: float | None = 1.0
    limit: int | None = None
    stream_share: float = 0.5
    dialect: Dialect = "openai"
    concurrency_max: int = 64
    max_output: int | None = None
    seed: int = 0
    simulated: bool = False
    cache_control: bool = False
    retries: int = 0
    timeout_s: float = 120.0

    def __post_init__(self) -> None:
        """Refuse what cannot be done.

        Raises:
            TraceError: names the field.
        """
        if self.speed is not None and not 0 < self.speed < float("inf"):
            raise TraceError("speed must be a number above 0, or max")
        if not 0 <= self.stream_share <= 1:
            raise TraceError("stream-share must be between 0 and 1")
        for name in ("limit", "concurrency_max", "max_output"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise TraceError(f"{name.replace('_', '-')} must be at least 1")
        if self.retries < 0:
            raise TraceError("retry must not be negative")
        if not self.timeout_s > 0:
            raise TraceError("timeout must be above 0 seconds")
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.netloc:
            raise TraceError(f"url {self.url!r} is not the address of a gateway, such as http://127.0.0.1:4000")

    @property
    def base_url(self) -> str:
        """The gateway's address without ``/v1`` or a slash at the end."""
        return self.url.rstrip("/").removesuffix("/v1")
