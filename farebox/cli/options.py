"""Options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from farebox.state.settings import DEFAULT_CONFIG, DEFAULT_DATA_DIR

_Command = TypeVar("_Command", bound=Callable[..., Any])


def data_dir_option(command: _Command) -> _Command:
    """Add ``--data-dir``."""
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=DEFAULT_DATA_DIR,
        show_default=True,
        envvar="FAREBOX_DATA_DIR",
        help="Where everything is kept.",
    )(command)


def config_option(command: _Command) -> _Command:
    """Add ``--config``."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False, exists=True),
        envvar="FAREBOX_CONFIG",
        help=f"Configuration file. [default: {DEFAULT_CONFIG} if it is there]",
    )(command)


def json_option(command: _Command) -> _Command:
    """Add ``--json``."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")(command)


def find_config(config_path: Path | None) -> Path | None:
    """Return the configuration file to use, or None."""
    if config_path is not None:
        return config_path
    return DEFAULT_CONFIG if DEFAULT_CONFIG.is_file() else None
