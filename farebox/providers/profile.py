"""What is known about each kind of provider, as data: where it is, how it is asked and how it behaves."""

from typing import Literal

import msgspec

Dialect = Literal["openai", "anthropic"]
Operation = Literal["chat", "embeddings", "messages", "count_tokens"]
OnDisconnect = Literal["abort", "drain"]


class Profile(msgspec.Struct, frozen=True):
    """One kind of provider.

    Attributes:
        kind: the word used in the configuration.
        dialect: the wire format it speaks.
        base_url: its public address, or "" where the configuration must give one.
        paths: path below the base URL by operation; an operation that is absent is not offered.
        auth_header: header that carries the key.
        auth_prefix: what stands before the key in that header.
        headers: fixed headers of every request.
        rate_provider: whose rates apply, or "" to use the provider's configured name.
        on_disconnect: what to do upstream when the client hangs up in the middle of a stream: ``abort`` where
            that stops billing, ``drain`` where the provider bills the whole answer anyway.
        passes_headers: prefixes of answer headers that are handed to the client.
        asks_headers: request headers of the client that the provider understands and that are handed on.
        cap_field: the field of a chat or messages request that limits the output of one choice.
        fastest_tokens_per_s: more than any model there writes in a second, over all choices: what an answer that
            broke off can have cost is bounded by it.
    """

    kind: str
    dialect: Dialect
    base_url: str
    paths: dict[Operation, str]
    auth_header: str
    auth_prefix: str
    headers: dict[str, str]
    rate_provider: str
    on_disconnect: OnDisconnect
    passes_headers: tuple[str, ...]
    asks_headers: tuple[str, ...]
    cap_field: str = "max_tokens"
    fastest_tokens_per_s: int = 10_000


_OPENAI_PATHS: dict[Operation, str] = {"chat": "/chat/completions", "embeddings": "/embeddings"}
_RETRY_HEADERS = ("retry-after", "x-should-retry")

# That an abort stops billing at OpenAI and Anthropic: OpenRouter's list of providers, "Streaming: stream
# cancellation" in its API documentation.
PROFILES: dict[str, Profile] = {
    profile.kind: profile
    for profile in (
        Profile(
            kind="openai",
            dialect="openai",
            base_url="https://api.openai.com/v1",
            paths=_OPENAI_PATHS,
            auth_header="authorization",
            auth_prefix="Bearer ",
            headers={},
            rate_provider="openai",
            on_disconnect="abort",
            passes_headers=(*_RETRY_HEADERS, "x-ratelimit-", "openai-processing-ms", "openai-version"),
            asks_headers=("openai-beta", "idempotency-key"),
            cap_field="max_completion_tokens",
            fastest_tokens_per_s=2_000,
        ),
        Profile(
            kind="openai-compatible",
            dialect="openai",
            base_url="",
            paths=_OPENAI_PATHS,
            auth_header="authorization",
            auth_prefix="Bearer ",
            headers={},
            rate_provider="",
            on_disconnect="drain",
            passes_headers=(*_RETRY_HEADERS, "x-ratelimit-"),
            asks_headers=("openai-beta",),
        ),
        Profile(
            kind="anthropic",
            dialect="anthropic",
            base_url="https://api.anthropic.com",
            paths={"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
            auth_header="x-api-key",
            auth_prefix="",
            headers={"anthropic-version": "2023-06-01"},
            rate_provider="anthropic",
            on_disconnect="abort",
            passes_headers=(*_RETRY_HEADERS, "anthropic-ratelimit-", "anthropic-organization-id"),
            asks_headers=("anthropic-version", "anthropic-beta"),
        ),
        Profile(
            kind="anthropic-compatible",
            dialect="anthropic",
            base_url="",
            paths={"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
            auth_header="x-api-key",
            auth_prefix="",
            headers={"anthropic-version": "2023-06-01"},
            rate_provider="",
            on_disconnect="drain",
            passes_headers=(*_RETRY_HEADERS, "anthropic-ratelimit-"),
            asks_headers=("anthropic-version", "anthropic-beta"),
        ),
    )
}

# The operation that carries a conversation in each dialect: what a client's chat or messages call becomes.
CONVERSATION: dict[Dialect, Operation] = {"openai": "chat", "anthropic": "messages"}
