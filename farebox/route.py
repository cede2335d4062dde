"""Which targets may answer a call, in order. Pure: the table is built from the configuration once."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

import msgspec

from farebox.config.providers import Provider, ProviderKey
from farebox.config.tables import Config
from farebox.errors import ConfigError, NotFound
from farebox.prices.book import PriceBook
from farebox.prices.rates import Card
from farebox.providers.profile import PROFILES, Operation, Profile


class Target(msgspec.Struct, frozen=True):
    """A provider and the model to ask of it.

    Attributes:
        provider: its configuration.
        profile: what is known about its kind.
        model: the model's name there.
        rate_provider: whose prices apply.
        heads: request line and headers by operation, the key included; what varies is added per attempt.
        defaults: headers that are sent where the client gives no value of its own.
        drains: whether a stream is read to its end after the client has gone.
        key: name of the provider's key that is used, or "" where it has one key.
        key_weight: that key's share among the provider's keys.
        id: provider, key and model: what health and pacing are kept by.
        siblings: the same with the provider's other keys.
        service_tier: asked for where the client names no tier, or "".
    """

    provider: Provider
    profile: Profile
    model: str
    rate_provider: str
    heads: dict[Operation, bytes]
    defaults: dict[str, str]
    drains: bool
    key: str
    key_weight: int
    id: tuple[str, str, str]
    siblings: tuple["Target", ...] = ()
    service_tier: str = ""

    def for_model(self, model: str) -> "Target":
        """Return the same for another model of the provider."""
        return msgspec.structs.replace(
            self,
            model=model,
            id=(*self.id[:2], model),
            siblings=tuple([sibling.for_model(model) for sibling in self.siblings]),
        )


class Routes:
    """The table of models."""

    def __init__(self, config: Config) -> None:
        self._providers: dict[str, Provider] = {provider.name: provider for provider in config.providers}
        self._models: dict[str, tuple[Target, ...]] = {
            model.name: tuple(
                _target(self._providers[target.provider], target.model, target.service_tier) for target in model.targets
            )
            for model in config.models
        }
        self._direct: dict[str, Target] = {name: _target(p, "") for name, p in self._providers.items()}

    def resolve(self, model: str) -> tuple[Target, ...]:
        """Return the targets of a model that a client asked for, by name or as ``provider/model``.

        Raises:
            NotFound: where there is no such model.
        """
        targets = self._models.get(model)
        if targets is not None:
            return targets
        provider, _, name = model.partition("/")
        direct = self._direct.get(provider)
        if direct is not None and name:
            return (direct.for_model(name),)
        raise NotFound(
            f"The model {model[:200]!r} does not exist here. GET /v1/models lists those that do; any model of a "
            f"provider can be asked for as 'provider/model' (providers: {', '.join(self._providers) or 'none'}).",
            code="model_not_found",
            param="model",
        )

    def names(self) -> list[str]:
        """Return the models that clients can ask for by name, as configured."""
        return list(self._models)


def rate_provider_of(provider: Provider) -> str:
    """Return whose prices apply to a provider: its id in the price book."""
    return provider.rates or PROFILES[provider.kind].rate_provider or provider.name


def check_endpoints(config: Config, book: PriceBook) -> None:
    """Refuse a region or a deployment that has no published prices: every call would be without one.

    Raises:
        ConfigError: naming the provider, the key and the words there are.
    """
    for provider in config.providers:
        rates = rate_provider_of(provider)
        card = book.card(rates) if provider.region or provider.deployment else None
        if card is None:
            continue
        for key, word, known in (
            ("region", provider.region, _regions_of(card) if card.shipped else {provider.region}),
            ("deployment", provider.deployment, _deployments_of(card)),
        ):
            if word and word not in known:
                there = f"there are {', '.join(sorted(known))}" if known else "leave it out"
                raise ConfigError(f"provider {provider.name!r}: {key}: {rates} has no prices for {word!r}; {there}")


def _regions_of(card: Card) -> set[str]:
    return {*card.no_region, *card.regions, *(region for uplift in card.uplifts for region in uplift.regions)}


def _deployments_of(card: Card) -> set[str]:
    conditions = [row.when for model in card.models for row in model.rows] + [uplift.when for uplift in card.uplifts]
    return {*card.facts.get("deployment", ()), *(when["deployment"] for when in conditions if "deployment" in when)}


def address_of(provider: Provider) -> SplitResult:
    """Return the base address of a provider, split; its path has no slash at the end."""
    profile = PROFILES[provider.kind]
    base = (provider.base_url or profile.base_url).rstrip("/")
    if profile.dialect == "anthropic":
        base = base.removesuffix("/v1")  # the paths of this dialect begin with it
    return urlsplit(base)


def _target(provider: Provider, model: str, service_tier: str = "") -> Target:
    """Return a provider's model with its first key; the others are its siblings."""
    targets = [_with_key(provider, model, service_tier, key) for key in provider.keys or (_only_key(provider),)]
    return msgspec.structs.replace(targets[0], siblings=tuple(targets[1:]))


def _only_key(provider: Provider) -> ProviderKey | None:
    return ProviderKey(name="only", key=provider.api_key) if provider.api_key else None


def _with_key(provider: Provider, model: str, service_tier: str, key: ProviderKey | None) -> Target:
    profile = PROFILES[provider.kind]
    address = address_of(provider)
    headers = {
        "host": address.netloc,
        "user-agent": "farebox",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        **profile.headers,
        **{name.lower(): value for name, value in provider.headers.items()},
    }
    defaults = {name: headers.pop(name) for name in profile.asks_headers if name in headers}
    if key is not None:
        headers[profile.auth_header] = profile.auth_prefix + key.key
    name = key.name if key is not None and provider.keys else ""
    return Target(
        provider=provider,
        profile=profile,
        model=model,
        rate_provider=rate_provider_of(provider),
        heads={operation: _head(address.path + path, headers) for operation, path in profile.paths.items()},
        defaults=defaults,
        drains=(provider.on_disconnect or profile.on_disconnect) == "drain",
        key=name,
        key_weight=1 if key is None else key.weight,
        id=(provider.name, name, model),
        service_tier=service_tier,
    )


def _head(path: str, headers: Mapping[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\n{lines}".encode("latin-1")
