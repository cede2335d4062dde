"""The ``[[providers]]`` tables: where calls can go, with which keys, and what is allowed there."""

from typing import Annotated

import msgspec

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Positive = Annotated[int, msgspec.Meta(ge=1, lt=2**53)]


class ProviderLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a provider allows this gateway, over all its models; what is None is not known.

    Attributes:
        requests_per_minute: requests.
        tokens_per_minute: tokens of input and output together.
        input_tokens_per_minute: tokens of input.
        output_tokens_per_minute: tokens of output.
        concurrency: requests under way at once.
    """

    requests_per_minute: Positive | None = None
    tokens_per_minute: Positive | None = None
    input_tokens_per_minute: Positive | None = None
    output_tokens_per_minute: Positive | None = None
    concurrency: Positive | None = None


class ProviderKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One of several keys of a provider.

    Attributes:
        name: how the books name it; nothing of the key itself.
        key: the key, resolved.
        weight: its share of the calls, where nothing else speaks for one of them.
    """

    name: Name
    key: Annotated[str, msgspec.Meta(min_length=1)]
    weight: Positive = 1


class Provider(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[providers]]`` table.

    Attributes:
        name: how targets and ``provider/model`` name it.
        kind: a kind of `providers.profile.PROFILES`.
        base_url: its address; needed for the compatible kinds.
        api_key: the provider's key, resolved; "" sends none.
        rates: whose prices apply, a provider id of the price book; by default the kind's own, or the name.
        region: of the endpoint, where prices depend on it: as the price book names it; "" for none.
        deployment: kind of deployment behind the endpoint, where prices depend on it; "" for the usual one.
        headers: extra headers of every request.
        on_disconnect: overrides the kind's policy.
        keys: several keys of the provider, instead of ``api_key``: calls are spread over them.
        connect_timeout_s: for opening a connection.
        first_token_timeout_s: longest wait for the first content of a stream; None: ``idle_timeout_s``.
        idle_timeout_s: longest silence before and within an answer; in a stream, longest time without content.
        total_timeout_s: longest answer.
        zero_retention: whether the provider keeps nothing of what it is sent, by contract.
        limits: what the provider allows, each of several keys for itself.
    """

    name: Name
    kind: str
    base_url: str = ""
    api_key: str = ""
    keys: tuple[ProviderKey, ...] = ()
    rates: str = ""
    region: str = ""
    deployment: str = ""
    headers: dict[str, str] = {}
    on_disconnect: str = ""
    connect_timeout_s: Seconds = 5.0
    first_token_timeout_s: Seconds | None = None
    idle_timeout_s: Seconds = 300.0
    total_timeout_s: Seconds = 1800.0
    zero_retention: bool = False
    limits: ProviderLimits = ProviderLimits()
