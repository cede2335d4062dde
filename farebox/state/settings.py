"""What a process of Farebox is started with, and how its configuration file is read.

Every process reads the configuration itself, so secrets stand neither on a command line nor in a file of ours.
"""

import contextlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from farebox.config.models import Model, Target
from farebox.config.parse import parse
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.errors import ConfigError
from farebox.providers.profile import PROFILES
from farebox.state.pushed import list_pushed

DEFAULT_CONFIG = Path("farebox.toml")
DEFAULT_DATA_DIR = Path("farebox-data")
_SECRET_FILE = re.compile(r'["\']file:([^"\']+)["\']')
Stamp = dict[str, tuple[int, int, int]]


class Spec(msgspec.Struct, frozen=True):
    """What stands on a process's command line.

    Attributes:
        config_path: the configuration file, or "" for none.
        data_dir: where everything is kept.
        host: address to listen on, or "" for the configuration's.
        port: to listen on.
        simulated: base URL of simulated providers, used where no provider is configured; or "".
        simulated_models: model names by dialect that they serve.
        grace_s: how long calls under way may take after a stop.
        workers: how many processes answer calls.
        ready_fd: descriptor to write a byte to when ready, or None.
        life_fd: descriptor that closes when the parent is gone, or None.
    """

    config_path: str
    data_dir: str
    host: str = ""
    port: int = 4000
    simulated: str = ""
    simulated_models: dict[str, list[str]] = {}
    grace_s: float = 30.0
    ready_fd: int | None = None
    life_fd: int | None = None
    workers: int = 1


class Settings(msgspec.Struct, frozen=True):
    """A `Spec` with its configuration read."""

    config: Config
    price_files: tuple[Path, ...]
    data_dir: Path
    port: int
    grace_s: float
    ready_fd: int | None
    life_fd: int | None
    workers: int = 1


def load_settings(spec_json: str) -> Settings:
    """Return the settings in a command-line argument.

    Raises:
        ConfigError: where the configuration cannot be used.
    """
    spec = msgspec.json.decode(spec_json, type=Spec)
    config = read_config(Path(spec.config_path) if spec.config_path else None, os.environ)
    if spec.host:
        config = msgspec.structs.replace(config, host=spec.host)
    if not config.providers and spec.simulated:
        config = with_simulated(config, spec.simulated, spec.simulated_models)
    base = Path(spec.config_path).parent if spec.config_path else Path()
    return Settings(
        config=config,
        price_files=(*(base / path for path in config.prices), *list_pushed(Path(spec.data_dir))),
        data_dir=Path(spec.data_dir),
        port=spec.port,
        grace_s=spec.grace_s,
        ready_fd=spec.ready_fd,
        life_fd=spec.life_fd,
        workers=spec.workers,
    )


class Files:
    """The files that a process's settings come from, watched for changes.

    Args:
        spec_json: the command-line argument of the process.
        settings: as they were read from it.
    """

    def __init__(self, spec_json: str, settings: Settings) -> None:
        self._spec = spec_json
        self._watched = settings
        self._read: Stamp = _stamp_of(spec_json, settings)

    def have_changed(self) -> bool:
        """Return whether a file is another than when `read` read it last."""
        return _stamp_of(self._spec, self._watched) != self._read

    def read(self) -> Settings:
        """Return the settings as the files have them now; from now on the files they name are watched, good or not.

        Raises:
            ConfigError: where the configuration cannot be used.
        """
        self._read = _stamp_of(self._spec, self._watched)  # before it is read: what changes meanwhile is read again
        settings = load_settings(self._spec)
        self._read = {path: self._read.get(path, stat) for path, stat in _stamp_of(self._spec, settings).items()}
        self._watched = settings
        return settings


def _stamp_of(spec_json: str, settings: Settings) -> Stamp:
    """Return what changes whenever a file changes that the settings come from."""
    config_path = msgspec.json.decode(spec_json).get("config_path") or ""
    watched: list[Path] = [*settings.price_files, settings.data_dir / "prices"]
    if config_path:
        path = Path(config_path)
        watched.append(path)
        with contextlib.suppress(OSError, UnicodeDecodeError):  # when it is read in earnest, that is told
            watched += [path.parent / name for name in _SECRET_FILE.findall(path.read_text(encoding="utf-8"))]
    return {str(path): _stat(path) for path in watched}


def _stat(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0, 0
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_config(path: Path | None, environment: Mapping[str, str]) -> Config:
    """Return the configuration of a file, or the empty one.

    Raises:
        ConfigError: where the file cannot be read or used.
    """
    if path is None:
        return Config()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from None
    return parse(text, str(path), _secrets(path, environment), frozenset(PROFILES))


def with_simulated(config: Config, url: str, models: Mapping[str, list[str]]) -> Config:
    """Return the configuration with simulated providers, their models under their bare names."""
    providers = (
        Provider(name="simulated-openai", kind="openai", base_url=f"{url}/v1", api_key="simulated"),
        Provider(name="simulated-anthropic", kind="anthropic", base_url=url, api_key="simulated"),
    )
    named = {model.name for model in config.models}
    served = tuple(
        Model(name=model, targets=(Target(provider=f"simulated-{dialect}", model=model),))
        for dialect, names in models.items()
        for model in names
        if model not in named
    )
    return msgspec.structs.replace(config, providers=providers, models=config.models + served)


def _secrets(config_path: Path, environment: Mapping[str, str]) -> Callable[[str], str]:
    """Return the function that resolves literals, ``env:NAME`` and ``file:PATH`` (relative to the file)."""

    def resolve(value: str) -> str:
        kind, _, name = value.partition(":")
        if kind == "env":
            secret = environment.get(name, "").strip()
            if not secret:
                raise ConfigError(f"{config_path}: {value}: the environment variable {name} is not set or empty")
            return secret
        if kind == "file":
            try:
                secret = (config_path.parent / name).read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ConfigError(f"{config_path}: {value}: {error.strerror or error}") from None
            if not secret:
                raise ConfigError(f"{config_path}: {value}: the file is empty")
            return secret
        return value

    return resolve
