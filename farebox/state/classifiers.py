"""Loads what tells easy prompts from hard ones, where the configuration names a function of the operator's own."""

from collections.abc import Callable
from importlib import import_module
from typing import Any

from farebox.config.tables import Config
from farebox.errors import ConfigError


def load_classifiers(config: Config) -> dict[str, Callable[..., Any]]:
    """Return the functions that models name as ``module:function``, by that name.

    Raises:
        ConfigError: naming the model and the key, where there is no such function.
    """
    found: dict[str, Callable[..., Any]] = {}
    for model in config.models:
        name = model.auto.classifier
        if model.strategy != "auto" or name == "rules" or name in found:
            continue
        module, _, function = name.partition(":")
        where = f"models ({model.name}): auto: classifier: {name!r}"
        try:
            loaded = getattr(import_module(module), function, None)
        except Exception as error:
            raise ConfigError(f"{where}: the module cannot be imported: {error}") from error
        if not callable(loaded):
            raise ConfigError(f"{where}: there is no such function")
        found[name] = loaded
    return found
