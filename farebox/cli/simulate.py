"""``farebox simulate``: the simulated providers as a process of their own."""

import os
from functools import partial
from pathlib import Path
from typing import Any

import click
import msgspec

from farebox.simulate.bill import read_bill, total_usd, usd_text
from farebox.simulate.control import BadControl
from farebox.simulate.run import SimulatedProviders, run_until_signal
from farebox.simulate.settings import Settings, Wishes


def _read_rules(_context: click.Context, _option: click.Parameter, texts: tuple[str, ...]) -> list[dict[str, Any]]:
    rules = []
    for text in texts:
        try:
            rules.append(msgspec.json.decode(text, type=dict[str, Any]))
        except msgspec.DecodeError as error:
            raise click.BadParameter(f"{text!r} is no JSON object: {error}") from None
    return rules


def _announce(ready_fd: int | None, ready_file: Path | None, ready: SimulatedProviders) -> None:
    line = (
        f"simulated providers listening on {ready.url} (OpenAI: {ready.openai_url}, "
        f"Anthropic: {ready.anthropic_url}), billing into {ready.bill_path}"
    )
    if ready_fd is not None:
        os.write(ready_fd, line.encode() + b"\n")
    if ready_file is not None:
        # Whoever waits for the file must never read half of the line.
        unfinished = ready_file.with_name(ready_file.name + ".partial")
        unfinished.write_text(line + "\n")
        unfinished.replace(ready_file)
    click.echo(line)


def _report(done: SimulatedProviders) -> None:
    rows = read_bill(done.bill_path)
    click.echo(f"billed {usd_text(total_usd(rows))} USD for {len(rows)} requests")


@click.command("simulate")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=9100, show_default=True, help="Port to listen on; 0 takes a free one.")
@click.option(
    "--bill",
    "bill_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to bill into, as JSON lines; continued if it exists. [default: a temporary file]",
)
@click.option("--latency-ms", default=0.0, show_default=True, help="Wait before every answer.")
@click.option("--ttft-ms", default=0.0, show_default=True, help="Wait before the first token of every answer.")
@click.option("--tokens-per-s", default=0.0, show_default=True, help="Pace of generation; 0 is unlimited.")
@click.option("--output-tokens", help="Length of every answer, a number or 'max'. [default: by the prompt]")
@click.option("--seed", default=0, show_default=True, help="Seed of faults that come with a probability.")
@click.option(
    "--fault",
    "rules",
    multiple=True,
    callback=_read_rules,
    metavar="JSON",
    help='A fault and when it strikes, such as \'{"nth": 3, "status": 429, "retry_after_s": 2}\' or '
    '\'{"probability": 0.1, "fault": "cut_mid_stream"}\'. Repeatable.',
)
@click.option("--key", "keys", multiple=True, help="A valid API key; without any, all but sk-invalid are valid.")
@click.option("--requests-per-minute", default=0, help="Answer 429 to more requests of one key. [default: never]")
@click.option("--tokens-per-minute", default=0, help="Answer 429 to more tokens of one key. [default: never]")
@click.option("--cache-ttl-s", default=300.0, show_default=True, help="Life of OpenAI's cached prefixes.")
@click.option("--ready-fd", type=int, help="File descriptor to write the ready line to.")
@click.option("--ready-file", type=click.Path(dir_okay=False, path_type=Path), help="File to write it to.")
def simulate(
    *,
    host: str,
    port: int,
    bill_path: Path | None,
    output_tokens: str | None,
    seed: int,
    rules: list[dict[str, Any]],
    keys: tuple[str, ...],
    requests_per_minute: int,
    tokens_per_minute: int,
    cache_ttl_s: float,
    ready_fd: int | None,
    ready_file: Path | None,
    **pace: float,
) -> None:
    """Run simulated OpenAI and Anthropic providers that bill what they serve.

    OpenAI clients use the printed URL that ends in /v1, Anthropic clients the other. Any key is accepted. A
    request shapes its answer with [[simulate {...}]] in its last user message, such as
    [[simulate {"output_tokens": 120, "fault": "cut_mid_stream", "after_chunks": 5}]].
    """
    defaults: dict[str, Any] = {name: value for name, value in pace.items() if value}
    if output_tokens is not None:
        defaults["output_tokens"] = int(output_tokens) if output_tokens.isdigit() else output_tokens
    settings = Settings(
        defaults=defaults,
        rules=[{"seed": seed, **rule} for rule in rules],
        keys=list(keys),
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        cache_ttl_s=cache_ttl_s,
    )
    try:
        Wishes(settings)
        providers = SimulatedProviders(port, bill_path, settings, host=host)
    except BadControl as error:
        raise click.UsageError(str(error)) from None
    except OSError as error:
        raise click.ClickException(f"the bill cannot be written: {error}") from None

    try:
        run_until_signal(providers, partial(_announce, ready_fd, ready_file), _report)
    except OSError as error:
        raise click.ClickException(f"cannot listen on {host}:{port}: {error}") from None
