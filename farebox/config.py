"""The configuration: TOML text in, one frozen `Config` out. Errors name the key and the remedy.

Everything in it is optional. Secrets are literals, ``env:NAME`` or ``file:PATH``; the caller resolves them,
because this file reads neither files nor the environment.
"""

import re
import tomllib
from collections.abc import Callable
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from farebox.errors import ConfigError

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
_WORD = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_HOURS = re.compile(r"(\d{1,2}):(\d\d)-(\d{1,2}):(\d\d)")
_DAY_MINUTES = 24 * 60
Strategy = Literal["priority", "weighted", "cheapest", "sticky"]
Criticality = Literal["critical", "normal", "sheddable"]
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
        connect_timeout_s: for opening a connection.
        idle_timeout_s: longest silence before and within an answer.
        total_timeout_s: longest answer.
        zero_retention: whether the provider keeps nothing of what it is sent, by contract.
        limits: what the provider allows.
    """

    name: Name
    kind: str
    base_url: str = ""
    api_key: str = ""
    rates: str = ""
    region: str = ""
    deployment: str = ""
    headers: dict[str, str] = {}
    on_disconnect: str = ""
    connect_timeout_s: Seconds = 5.0
    idle_timeout_s: Seconds = 300.0
    total_timeout_s: Seconds = 1800.0
    zero_retention: bool = False
    limits: ProviderLimits = ProviderLimits()


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The conditions of a target: all that are given must hold.

    Attributes:
        keys: names of virtual keys; the call has one of them.
        teams: the call's key belongs to one of them.
        tags: the call has all of them.
        criticality: the call's is one of them.
        input_tokens_over: the input has more tokens, as far as can be told before it is sent.
        input_tokens_up_to: the input has no more tokens.
        hours: of the day, such as ``22:00-06:00``.
        zone: IANA time zone of the hours.
    """

    keys: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    tags: dict[str, str] = {}
    criticality: tuple[Criticality, ...] = ()
    input_tokens_over: Annotated[int, msgspec.Meta(ge=0)] | None = None
    input_tokens_up_to: Annotated[int, msgspec.Meta(ge=0)] | None = None
    hours: str = ""
    zone: str = "UTC"

    def minutes(self) -> tuple[int, int]:
        """Return the first minute of the day that counts and the first that does not.

        Raises:
            ConfigError: where the hours are none.
        """
        found = _HOURS.fullmatch(self.hours)
        if found is None:
            raise ConfigError(f"hours: {self.hours!r} is not a span of the day such as 22:00-06:00")
        start, end = (int(found[hour]) * 60 + int(found[hour + 1]) for hour in (1, 3))
        if max(start, end) > _DAY_MINUTES or start == end or int(found[2]) > 59 or int(found[4]) > 59:
            raise ConfigError(f"hours: {self.hours!r} is not a span of the day such as 22:00-06:00")
        return start, end


class Target(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a model's calls go: a provider and the model's name there.

    Attributes:
        weight: its share among targets of the same priority, for the strategies that draw.
        priority: lower goes first.
        when: which calls it is for.
    """

    provider: Name
    model: Name
    weight: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 1
    priority: int = 0
    when: When = When()


class Model(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[models]]`` table: what clients ask for, its targets, and how one is chosen.

    Attributes:
        strategy: in which order targets are tried: ``priority``, ``weighted``, ``cheapest`` or ``sticky``.
    """

    name: Name
    targets: Annotated[tuple[Target, ...], msgspec.Meta(min_length=1)]
    strategy: Strategy = "priority"


class Key(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[keys]]`` table: a virtual key given by configuration, and the team and project it belongs to."""

    name: Name
    key: Annotated[str, msgspec.Meta(min_length=1)]
    team: str = ""
    project: str = ""


class Journal(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[journal]`` table.

    Attributes:
        durability: ``process``: what is on record survives the death of any process, and is on the disk within a
            second. ``power``: it is on the disk before a request leaves and before an answer is complete.
    """

    durability: Literal["process", "power"] = "process"


class Idempotency(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[idempotency]`` table.

    Attributes:
        keep_hours: how long an idempotency key stands for its call, and the answer is kept; 0 passes keys over.
        answer_bytes: largest answer that is kept.
    """

    keep_hours: Annotated[float, msgspec.Meta(ge=0, le=8760)] = 24.0
    answer_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 4 << 20


class BudgetTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One ``[[budgets]]`` table: a cap on what an account may use.

    Attributes:
        account: ``org``, ``team:NAME``, ``project:NAME``, ``key:NAME``, ``user:NAME``, ``tag:KEY=VALUE``,
            ``model:NAME`` or ``provider:NAME``.
        amount: of money, as text such as ``"250.00"`` or a whole number.
        currency: of the amount; another than USD is converted at its dated rate.
        unit: what is counted where it is not money: requests, input_tokens, output_tokens, tokens, concurrency.
        limit: how many of them.
        window: minute, hour, day, week, month, lifetime or such as rolling:24h.
        zone: IANA time zone of the window's calendar.
        soft: whether it only alerts and refuses nothing.
        alerts: percentages at which an alert is raised.
        per_call: the most that one call may use: an amount of money, or a count.
    """

    account: Name
    amount: str | int | None = None
    currency: str = "USD"
    unit: str = "usd"
    limit: int | None = None
    window: str = "month"
    zone: str = "UTC"
    soft: bool = False
    alerts: tuple[int, ...] = ()
    per_call: str | int | None = None


class Spending(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[spending]`` table.

    Attributes:
        ledger: where the ledger of budgets is: ``postgresql://...`` for one that several hosts share, literal,
            ``env:NAME`` or ``file:PATH``; "" for a file in the data directory.
        clamp: whether the output cap of a call that does not fit into its budgets is lowered instead of the call
            being refused.
    """

    ledger: str = ""
    clamp: bool = False


class Pacing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[pacing]`` table: how calls are kept below what providers allow.

    Attributes:
        wait_s: longest time that an attempt waits for room at its provider; 0: not at all.
        learn: whether what the headers of answers say about limits is believed.
    """

    wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 2.0
    learn: bool = True


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The ``[limits]`` table.

    Attributes:
        body_bytes: largest request body.
        json_depth: deepest nesting of a request body.
        answer_bytes: largest answer of a provider that is not streamed.
        event_bytes: largest event of a stream.
    """

    body_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 20 << 20
    json_depth: Annotated[int, msgspec.Meta(ge=4, le=200)] = 64
    answer_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 64 << 20
    event_bytes: Annotated[int, msgspec.Meta(ge=1024)] = 16 << 20


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file.

    Attributes:
        host: address to listen on.
        prices: files with prices of your own, relative to the configuration file.
    """

    host: str = "127.0.0.1"
    prices: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()
    models: tuple[Model, ...] = ()
    keys: tuple[Key, ...] = ()
    limits: Limits = Limits()
    spending: Spending = Spending()
    budgets: tuple[BudgetTable, ...] = ()
    journal: Journal = Journal()
    idempotency: Idempotency = Idempotency()
    pacing: Pacing = Pacing()


def parse(text: str, source: str, secret: Callable[[str], str], kinds: frozenset[str]) -> Config:
    """Return the configuration in a TOML text.

    Args:
        text: the file's content.
        source: the file's name, for errors.
        secret: turns a literal, ``env:NAME`` or ``file:PATH`` into the secret; raises ConfigError.
        kinds: the kinds of provider that exist.

    Raises:
        ConfigError: naming the file, the key and the remedy.
    """
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{source}: not valid TOML: {error}") from None
    try:
        config = msgspec.convert(raw, Config)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{source}: {_in_toml_words(str(error))}") from None
    _check(config, source, kinds)
    providers = tuple(
        msgspec.structs.replace(provider, api_key=secret(provider.api_key)) if provider.api_key else provider
        for provider in config.providers
    )
    keys = tuple(msgspec.structs.replace(key, key=secret(key.key)) for key in config.keys)
    spending = config.spending
    if spending.ledger:
        spending = msgspec.structs.replace(spending, ledger=secret(spending.ledger))
    return msgspec.structs.replace(config, providers=providers, keys=keys, spending=spending)


def _in_toml_words(message: str) -> str:
    """Rewrite a validation error's path (``$.providers[0].kind``) as the TOML key it means."""
    return message.replace("$.", "").replace("Object ", "table ").replace("`$`", "the top level")


def _check(config: Config, source: str, kinds: frozenset[str]) -> None:
    names: set[str] = set()
    for index, provider in enumerate(config.providers):
        where = f"{source}: providers[{index}] ({provider.name})"
        if provider.name in names:
            raise ConfigError(f"{where}: the name is used twice; give each provider a name of its own")
        if "/" in provider.name:
            raise ConfigError(f"{where}: name: a provider's name has no '/', since clients write provider/model")
        names.add(provider.name)
        _check_provider(provider, where, kinds)
    asked: set[str] = set()
    for index, model in enumerate(config.models):
        where = f"{source}: models[{index}] ({model.name})"
        if model.name in asked:
            raise ConfigError(f"{where}: the name is used twice; put all its targets into one table")
        asked.add(model.name)
        for target in model.targets:
            if target.provider not in names:
                known = ", ".join(sorted(names)) or "none is configured"
                raise ConfigError(f"{where}: targets: no provider is named {target.provider!r} (known: {known})")
            _check_when(target.when, f"{where}: targets: when")
    seen: set[str] = set()
    for index, key in enumerate(config.keys):
        if key.name in seen:
            raise ConfigError(f"{source}: keys[{index}] ({key.name}): the name is used twice")
        seen.add(key.name)


def _check_when(when: When, where: str) -> None:
    try:
        ZoneInfo(when.zone)
    except (KeyError, ValueError, OSError):
        raise ConfigError(f"{where}: zone: {when.zone!r} is no IANA time zone such as Europe/Berlin") from None
    if when.hours:
        try:
            when.minutes()
        except ConfigError as error:
            raise ConfigError(f"{where}: {error}") from None


def _check_provider(provider: Provider, where: str, kinds: frozenset[str]) -> None:
    if provider.kind not in kinds:
        raise ConfigError(f"{where}: kind: {provider.kind!r} is not known; use one of {', '.join(sorted(kinds))}")
    if not provider.base_url and provider.kind.endswith("-compatible"):
        raise ConfigError(f"{where}: base_url is missing; kind {provider.kind!r} has no address of its own")
    if provider.base_url and not _is_address(provider.base_url):
        raise ConfigError(
            f"{where}: base_url: {provider.base_url!r} is not an http(s) address like https://host/v1 "
            "without user, query or fragment"
        )
    for key, word, example in (("region", provider.region, "eu"), ("deployment", provider.deployment, "data_zone")):
        if word and not _WORD.fullmatch(word):
            raise ConfigError(f"{where}: {key}: {word!r} is not a word in small letters such as {example!r}")
    for name, value in provider.headers.items():
        if not _HEADER_NAME.fullmatch(name) or not (value.isprintable() and value.isascii()):
            raise ConfigError(f"{where}: headers: {name!r} is not a header name with a printable ASCII value")
    if provider.on_disconnect not in {"", "abort", "drain"}:
        raise ConfigError(f"{where}: on_disconnect is 'abort' or 'drain', not {provider.on_disconnect!r}")


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:  # a port that is no number, a bracket left open
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    extra = url.query or url.fragment or url.username is not None
    return plain and url.scheme in {"http", "https"} and bool(url.hostname) and port != 0 and not extra
