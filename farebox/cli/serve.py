"""``farebox serve``: the gateway, and simulated providers where none is configured."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import msgspec

from farebox.budgets.authority import StoreUnavailable
from farebox.cli.options import config_option, data_dir_option, find_config
from farebox.config.tables import Config
from farebox.errors import ConfigError
from farebox.journal.probe import SLOW_NS, measure_sync
from farebox.state.budget_tables import budgets_of
from farebox.state.checked import check, is_loopback
from farebox.state.keys import KeyStore, load_pepper
from farebox.state.ledger_authority import LEDGER, open_authority
from farebox.state.pricebook import load_book
from farebox.state.pushed import list_pushed
from farebox.state.settings import Spec, read_config
from farebox.supervise import Supervisor, check_address


@click.command()
@config_option
@data_dir_option
@click.option("--host", default="", help="Address to listen on. [default: 127.0.0.1]")
@click.option("--port", type=click.IntRange(1, 65535), default=4000, show_default=True, envvar="FAREBOX_PORT")
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Worker processes.")
@click.option(
    "--grace",
    "grace_s",
    type=click.FloatRange(0, 3600),
    default=30.0,
    show_default=True,
    help="Seconds that calls under way may take after a stop.",
)
def serve(config_path: Path | None, data_dir: Path, host: str, port: int, workers: int, grace_s: float) -> None:
    """Start the gateway.

    With no provider configured, simulated providers answer, so that everything can be tried with no account.
    """
    path = find_config(config_path)
    config = read_config(path, os.environ)
    address = host or config.host
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _check_access(config, address, data_dir)
    _check_prices(config, path, data_dir)
    check_address(address, port)
    caps = _align_budgets(config, path, data_dir)
    disk = _describe_disk(config, data_dir)
    spec = Spec(
        config_path="" if path is None else str(path),
        data_dir=str(data_dir),
        host=host,
        port=port,
        grace_s=grace_s,
    )
    with _simulated(config, data_dir) as served:
        spec = msgspec.structs.replace(spec, simulated=served.url, simulated_models=served.models)
        supervisor = Supervisor(spec, workers)
        supervisor.start()
        click.echo(f"{_greeting(address, port, config, data_dir)}\n{caps}\n{disk}")
        sys.stdout.flush()
        supervisor.watch()
        supervisor.stop()


class _Served(msgspec.Struct, frozen=True):
    """Simulated providers that run; empty where providers are configured."""

    url: str = ""
    models: dict[str, list[str]] = {}


@contextmanager
def _simulated(config: Config, data_dir: Path) -> Iterator[_Served]:
    if config.providers:
        yield _Served()
        return
    bill = data_dir / "simulated-bill.jsonl"
    command = [sys.executable, "-m", "farebox.simulate", "--port", "0", "--bill", str(bill)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own module
        assert process.stdout is not None, "it was asked for"
        try:
            line = process.stdout.readline()
            if not line:
                raise ConfigError("the simulated providers did not start; their own message stands above")
            ready = msgspec.json.decode(line)
            yield _Served(ready["url"], ready["models"])
        finally:
            process.terminate()
            process.wait(10)


def _check_access(config: Config, address: str, data_dir: Path) -> None:
    """Refuse to be reachable from elsewhere without keys.

    Raises:
        ConfigError: where there is no key and the address is not a loopback one.
    """
    ring = KeyStore(data_dir, load_pepper(data_dir, os.environ.get("FAREBOX_PEPPER"))).snapshot(config.keys)
    if ring.open and not is_loopback(address):
        raise ConfigError(
            f"refusing to listen on {address} without keys: anyone who reaches it could spend your money. "
            f"Create a key with 'farebox keys create NAME --data-dir {data_dir}', or listen on 127.0.0.1"
        )


def _check_prices(config: Config, path: Path | None, data_dir: Path) -> None:
    base = Path() if path is None else path.parent
    check(config, load_book([*(base / name for name in config.prices), *list_pushed(data_dir)]))


def _align_budgets(config: Config, path: Path | None, data_dir: Path) -> str:
    """Put the budgets of the configuration into the ledger before anybody calls; return what is in force.

    A ledger that cannot be reached keeps nothing from starting: until it can, calls under hard budgets are refused.

    Raises:
        ConfigError: where a budget cannot be one.
    """
    base = Path() if path is None else path.parent
    wanted = budgets_of(
        config, load_book([*(base / name for name in config.prices), *list_pushed(data_dir)]), time.time_ns()
    )
    where = "Postgres" if config.spending.ledger else str(data_dir / LEDGER)
    authority = open_authority(data_dir, config.spending.ledger or None)
    try:
        in_force = authority.align(wanted)
    except StoreUnavailable as error:
        click.echo(f"farebox: the ledger of budgets cannot be reached: {error.detail}", err=True)
        return "The ledger of budgets cannot be reached: until it can, calls that it must admit are refused."
    finally:
        authority.close()
    if not in_force:
        return f"No budget caps spending. Set one: farebox budgets set org --amount 50 --data-dir {data_dir}"
    return f"{len(in_force)} budgets and limits are in force; their ledger is in {where}."


def _describe_disk(config: Config, data_dir: Path) -> str:
    """Return how durable the journal is and what a sync takes here.

    Raises:
        ConfigError: where the data directory cannot be written to.
    """
    try:
        times = measure_sync(data_dir)
    except OSError as error:
        raise ConfigError(f"{data_dir}: cannot be written to: {error.strerror or error}") from None
    mode = config.journal.durability
    words = "survives power failure" if mode == "power" else "survives kill -9; power failure may cost a second"
    text = (
        f"Journal: {mode} ({words}). A sync takes {times.median_ns / 1e6:.2f} ms here, {times.worst_ns / 1e6:.2f} ms "
        "at worst."
    )
    if mode == "power" and times.median_ns > SLOW_NS:
        text += " That is slow: every call waits for two."
    return text


def _greeting(address: str, port: int, config: Config, data_dir: Path) -> str:
    shown = f"[{address}]" if ":" in address else address
    url = f"http://{shown}:{port}"
    lines = [
        f"Farebox listens on {url}  (OpenAI base URL {url}/v1, Anthropic base URL {url})",
        f"Data in {data_dir}. What it costs: farebox audit --data-dir {data_dir}",
    ]
    if not config.providers:
        lines.append("No provider is configured: simulated ones answer. Try model gpt-4o-mini or claude-haiku-4-5.")
    return "\n".join(lines)
