"""The gateways that are compared: how each is found, configured and started.

Each serves two models from one process: ``gpt-4o-mini`` from the instant upstream, ``gpt-4o`` from the paced
one. Each asks for a key where it can. Peers are looked for in the folder PEERS (``--peers``), where
install_peers.sh puts them; one that is not there is skipped, and the report says so.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from upstreams import INSTANT_PORT, PACED_PORT

CLIENT_KEY: Final = "fb-bench-0123456789abcdef0123456789abcdef"
PROVIDER_KEY: Final = "sk-bench"
MODELS: Final = {"gpt-4o-mini": INSTANT_PORT, "gpt-4o": PACED_PORT}


class Gateway(NamedTuple):
    """One gateway.

    Attributes:
        name: in the table.
        port: where it listens.
        measures: what it does besides passing the call on, in words.
        prepare: (peers' folder, scratch folder) -> (command, further environment), or the reason to skip it.
        headers: for the model asked for.
    """

    name: str
    port: int
    measures: str
    prepare: Callable[[Path, Path], tuple[list[str], dict[str, str]] | str]
    headers: Callable[[str], dict[str, str]]

    def start(self, peers: Path, scratch: Path) -> subprocess.Popen[bytes] | str:
        """Start it pinned to CPU 0 in a process group of its own, or return why it is skipped."""
        prepared = self.prepare(peers, scratch)
        if isinstance(prepared, str):
            return prepared
        command, environment = prepared
        with (scratch / "log").open("wb") as log:
            return subprocess.Popen(
                ["taskset", "-c", "0", *command],
                cwd=scratch,
                env=os.environ | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a gateway that `start` started, and its children."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _bearer(_model: str) -> dict[str, str]:
    return {"authorization": f"Bearer {CLIENT_KEY}"}


def _prepare_farebox(_peers: Path, scratch: Path) -> tuple[list[str], dict[str, str]] | str:
    lines = []
    for model, port in MODELS.items():
        # The instant upstream has the name that the documentation uses.
        name = "openai" if port == INSTANT_PORT else "paced"
        lines += [
            f'[[providers]]\nname = "{name}"\nkind = "openai"',
            f'base_url = "http://127.0.0.1:{port}/v1"\napi_key = "{PROVIDER_KEY}"\n',
            f'[[models]]\nname = "{model}"\ntargets = [{{ provider = "{name}", model = "{model}" }}]\n',
        ]
    lines.append('[[keys]]\nname = "bench"\nkey = "env:FAREBOX_BENCH_KEY"\n')
    (scratch / "farebox.toml").write_text("\n".join(lines))
    command = [sys.executable, "-m", "farebox", "serve", "--config", "farebox.toml", "--data-dir", "data"]
    return [*command, "--port", "9200", "--workers", "1"], {"FAREBOX_BENCH_KEY": CLIENT_KEY}


def _prepare_rolter(peers: Path, scratch: Path) -> tuple[list[str], dict[str, str]] | str:
    program = peers / "rolter/bin/rolter"
    if not program.exists():
        return f"not installed: no {program}"
    lines = ['[server]\nhost = "127.0.0.1"\nport = 9201\n']
    for model, port in MODELS.items():
        lines += [
            f'[[providers.readonly]]\nname = "p{port}"\nkind = "openai_compatible"',
            f'api_base = "http://127.0.0.1:{port}"\napi_key_env = "BENCH_PROVIDER_KEY"\n',
            f'[[routes]]\nmodel = "{model}"\n[[routes.targets]]\nprovider = "p{port}"\nmodel = "{model}"\n',
            f'[[model_prices]]\nmodel = "{model}"\ninput_per_mtok = 0.15\noutput_per_mtok = 0.6\n',
        ]
    lines.append(f'[[virtual_keys]]\nname = "bench"\nkey = "{CLIENT_KEY}"\n')
    (scratch / "rolter.toml").write_text("\n".join(lines))
    return [str(program), "gateway", "--config", "rolter.toml"], {
        "BENCH_PROVIDER_KEY": PROVIDER_KEY,
        "RUST_LOG": "warn",
    }


def _prepare_portkey(peers: Path, _scratch: Path) -> tuple[list[str], dict[str, str]] | str:
    script = peers / "portkey/node_modules/@portkey-ai/gateway/build/start-server.js"
    node = shutil.which("node")
    if node is None:
        return "not installed: no node on PATH"
    if not script.exists():
        return f"not installed: no {script}"
    return [node, str(script), "--port=9202", "--headless"], {"NODE_ENV": "production"}


def _portkey_headers(model: str) -> dict[str, str]:
    return {
        "authorization": f"Bearer {PROVIDER_KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"http://127.0.0.1:{MODELS[model]}/v1",
    }


def _prepare_litellm(peers: Path, scratch: Path) -> tuple[list[str], dict[str, str]] | str:
    program = peers / "litellm/bin/litellm"
    if not program.exists():
        return f"not installed: no {program}"
    lines = ["model_list:"]
    for model, port in MODELS.items():
        target = f'{{model: openai/{model}, api_base: "http://127.0.0.1:{port}/v1", api_key: {PROVIDER_KEY}}}'
        lines.append(f"  - {{model_name: {model}, litellm_params: {target}}}")
    lines += ["litellm_settings: {telemetry: false}", f"general_settings: {{master_key: {CLIENT_KEY}}}"]
    (scratch / "litellm.yaml").write_text("\n".join(lines))
    command = [str(program), "--config", "litellm.yaml", "--host", "127.0.0.1", "--port", "9203", "--num_workers", "1"]
    # Its price map otherwise comes over the network at the start.
    return command, {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"}


GATEWAYS: Final = (
    Gateway("farebox", 9200, "key, exact price, two journal records", _prepare_farebox, _bearer),
    Gateway("rolter", 9201, "key, price; no log sink", _prepare_rolter, _bearer),
    Gateway("portkey", 9202, "no key of its own, no price", _prepare_portkey, _portkey_headers),
    Gateway("litellm", 9203, "key, price; no database", _prepare_litellm, _bearer),
)
