"""Reads the configuration file: TOML text in, one `Config` out.

Everything in it is optional. Secrets are literals, ``env:NAME`` or ``file:PATH``; the caller resolves them,
because this file reads neither files nor the environment.
"""

import re
import tomllib
from collections.abc import Callable
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import msgspec

from farebox.config.models import Model, When
from farebox.config.policies import Policy
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.errors import ConfigError

_WORD = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


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
    providers = tuple(_resolve(provider, secret) for provider in config.providers)
    keys = tuple(msgspec.structs.replace(key, key=secret(key.key)) for key in config.keys)
    spending = config.spending
    if spending.ledger:
        spending = msgspec.structs.replace(spending, ledger=secret(spending.ledger))
    alerts = config.alerts
    if alerts.urls or alerts.secret:
        urls = tuple(_secret_address(url, secret) for url in alerts.urls)
        alerts = msgspec.structs.replace(alerts, urls=urls, secret=secret(alerts.secret) if alerts.secret else "")
    return msgspec.structs.replace(config, providers=providers, keys=keys, spending=spending, alerts=alerts)


def _secret_address(url: str, secret: Callable[[str], str]) -> str:
    """Return an address; ``file:`` with slashes behind it is a scheme, not a path of ours."""
    return url if "://" in url else secret(url)


def _resolve(provider: Provider, secret: Callable[[str], str]) -> Provider:
    keys = tuple(msgspec.structs.replace(key, key=secret(key.key)) for key in provider.keys)
    return msgspec.structs.replace(provider, api_key=secret(provider.api_key) if provider.api_key else "", keys=keys)


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
        _check_model(model, where, names)
    called: set[str] = set()
    for index, policy in enumerate(config.policies):
        where = f"{source}: policies[{index}] ({policy.name})"
        if policy.name in called:
            raise ConfigError(f"{where}: the name is used twice; give each policy a name of its own")
        called.add(policy.name)
        _check_policy(policy, where, asked)
    seen: set[str] = set()
    for index, key in enumerate(config.keys):
        if key.name in seen:
            raise ConfigError(f"{source}: keys[{index}] ({key.name}): the name is used twice")
        seen.add(key.name)


def _check_model(model: Model, where: str, providers: set[str]) -> None:
    for target in model.targets:
        if target.provider not in providers:
            known = ", ".join(sorted(providers)) or "none is configured"
            raise ConfigError(f"{where}: targets: no provider is named {target.provider!r} (known: {known})")
        if target.service_tier and not _WORD.fullmatch(target.service_tier):
            raise ConfigError(f"{where}: targets: service_tier: {target.service_tier!r} is not a word such as 'flex'")
        if target.canary_percent and target.shadow_percent:
            raise ConfigError(f"{where}: targets: a target is a canary or a shadow, not both; leave one out")
        _check_when(target.when, f"{where}: targets: when")
    if all(target.shadow_percent for target in model.targets):
        raise ConfigError(f"{where}: targets: all are shadows, so that nobody answers; add a target without")
    if model.strategy == "auto":
        missing = {"small", "large"} - {target.grade for target in model.targets}
        if missing:
            raise ConfigError(
                f"{where}: targets: strategy 'auto' needs a target of grade {' and of '.join(sorted(missing))}"
            )
        classifier = model.auto.classifier
        if classifier != "rules" and classifier.count(":") != 1:
            raise ConfigError(f"{where}: auto: classifier: {classifier!r} is neither 'rules' nor 'module:function'")
    hedge = model.hedge
    if hedge is not None and hedge.at_least_ms > hedge.at_most_ms:
        raise ConfigError(f"{where}: hedge: at_least_ms is more than at_most_ms; swap them")


def _check_policy(policy: Policy, where: str, models: set[str]) -> None:
    if policy.then != "use":
        if policy.use:
            raise ConfigError(f'{where}: use: it is for then = "use"; leave it out')
    elif policy.use not in models:
        known = ", ".join(sorted(models)) or "none is configured"
        raise ConfigError(f"{where}: use: no model is named {policy.use!r} (known: {known})")
    for name in policy.when.models:
        if name not in models:
            raise ConfigError(f"{where}: when: models: no model is named {name!r}; name one of [[models]]")


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
    _check_provider_keys(provider, where)
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


def _check_provider_keys(provider: Provider, where: str) -> None:
    if provider.api_key and provider.keys:
        raise ConfigError(f"{where}: api_key and keys are both given; put the key into keys")
    if len({key.name for key in provider.keys}) < len(provider.keys):
        raise ConfigError(f"{where}: keys: a name is used twice; give each key a name of its own")


def _is_address(text: str) -> bool:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError:  # a port that is no number, a bracket left open
        return False
    plain = text.isascii() and text.isprintable() and " " not in text
    extra = url.query or url.fragment or url.username is not None
    return plain and url.scheme in {"http", "https"} and bool(url.hostname) and port != 0 and not extra
