"""Prices that were pushed into a running gateway: files in the data directory that go before all others.

They are price files like those of the configuration. What one of them says of a model replaces what the configuration
and the shipped cards say of it, from now on.
"""

import os
import re
from pathlib import Path

from farebox.errors import ConfigError
from farebox.prices.book import PUSHED

_FOLDER = "prices"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,60}")


def list_pushed(data_dir: Path) -> list[Path]:
    """Return the pushed files, in the order of their names."""
    return sorted((data_dir / _FOLDER).glob(f"{PUSHED}*.toml"))


def push(data_dir: Path, name: str, data: bytes) -> Path:
    """Put a price file in force, in place of the one of the same name.

    Raises:
        ConfigError: where the name is none, or the file cannot be written.
    """
    path = _path_of(data_dir, name)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be written: {error.strerror or error}") from None
    finally:
        draft.unlink(missing_ok=True)
    return path


def withdraw(data_dir: Path, name: str) -> bool:
    """Take a pushed file out of force; return whether there was one.

    Raises:
        ConfigError: where the name is none.
    """
    path = _path_of(data_dir, name)
    is_there = path.exists()
    path.unlink(missing_ok=True)
    return is_there


def name_of(path: Path) -> str:
    """Return the name under which a file was pushed."""
    return path.name.removeprefix(PUSHED).removesuffix(".toml")


def _path_of(data_dir: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"--name {name!r}: small letters, digits, '.', '_' and '-' only, such as openai-2026-12")
    return data_dir / _FOLDER / f"{PUSHED}{name}.toml"
