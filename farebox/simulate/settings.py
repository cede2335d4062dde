"""What an operator sets for all requests, from the command line or while the server runs."""

from typing import Any

import msgspec

from farebox.simulate.control import BadControl, Controls, Rule, make_controls, make_rule


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Server-wide settings, all optional.

    Attributes:
        defaults: controls that apply to every request.
        rules: controls that apply to some requests; see ``control.Rule``.
        keys: the only valid API keys; empty accepts every key but ``sk-invalid``.
        requests_per_minute: refuse more from one key with 429; 0 never does.
        tokens_per_minute: the same for input tokens plus the output cap.
        cache_ttl_s: how long OpenAI's automatic cache keeps a prefix after its last use.
    """

    defaults: dict[str, Any] = {}
    rules: list[dict[str, Any]] = []
    keys: list[str] = []
    requests_per_minute: int = 0
    tokens_per_minute: int = 0
    cache_ttl_s: float = 300


class Wishes:
    """The controls of each request: server defaults, matching rules and the request's own, later ones first."""

    def __init__(self, settings: Settings) -> None:
        """Checks everything that the settings ask for.

        Raises:
            BadControl: a control or condition is unknown or cannot be used.
        """
        self._defaults = settings.defaults
        self._plain = make_controls(settings.defaults)
        self._rules: list[Rule] = [make_rule(rule) for rule in settings.rules]

    def resolve(self, api: str, models: tuple[str, ...], own: dict[str, Any], *, stream: bool) -> Controls:
        """The controls of one request.

        Raises:
            BadControl: the request's own are unknown or cannot be used.
        """
        struck = [rule.controls for rule in self._rules if rule.applies(api, models, stream=stream)]
        if not struck and not own:
            return self._plain
        merged = dict(self._defaults)
        for wishes in struck:
            merged |= wishes
        return make_controls(merged | own)


def read_settings(wishes: Any, now: Settings) -> Settings:
    """Settings with some of them replaced.

    Raises:
        BadControl: one is unknown or has a value that cannot be used.
    """
    if not isinstance(wishes, dict):
        raise BadControl("simulate: the settings are one JSON object")
    try:
        settings = msgspec.convert({**msgspec.to_builtins(now), **wishes}, Settings)
    except msgspec.ValidationError as error:
        raise BadControl(f"simulate: {error}") from None
    Wishes(settings)
    return settings
