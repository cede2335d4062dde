"""``farebox demo``: the whole thing at work on this machine, ending with books against bill."""

import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from farebox.analyse.audit import Asked, audit
from farebox.books.query import Books
from farebox.books.rows import Window
from farebox.cli.fresh import freshen
from farebox.errors import ConfigError
from farebox.money import femto_from_usd, usd_text
from farebox.present.audit import show_audit, show_total
from farebox.present.tables import make_console
from farebox.replay import Plan, Summary, run
from farebox.replay.generate import Traffic, generate
from farebox.replay.summary import Tally
from farebox.simulate.bill import read_bill

_MODELS = ("gpt-4o-mini", "gpt-4o", "claude-haiku-4-5", "claude-sonnet-4-6")
_START_S = 30.0


@click.command()
@click.option("--calls", type=click.IntRange(1, 1_000_000), default=400, show_default=True, help="Calls to make.")
@click.option("--seed", type=int, default=1, show_default=True, help="Equal seeds make equal traffic.")
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Keep the data here. [default: a directory that is removed]",
)
def demo(calls: int, seed: int, data_dir: Path | None) -> None:
    """Start a gateway with simulated providers, drive it, and compare its books with the providers' bill.

    The traffic is generated from published statistics of LLM services: chats, code and retrieval, streamed and
    not, to two models of each provider, through both APIs. Exits with 1 if books and bill differ.
    """
    if data_dir is not None and data_dir.exists() and any(data_dir.iterdir()):
        raise click.UsageError(f"--data-dir {data_dir} is not empty; the demo compares whole books with a whole bill.")
    with tempfile.TemporaryDirectory(prefix="farebox-demo-") as temporary:
        place = data_dir or Path(temporary) / "data"
        with _gateway(place) as url:
            summary = _drive(url, calls, seed)
        window = Window(None, None)
        unreadable = freshen(place, None).unreadable
        with Books(place, window) as books:
            report = audit(books.audit_rows("model"), Asked(window, "model", "", unreadable))
            charged = {attempt: femto for attempt, femto, _ in books.attempts_by_id()}
        console = make_console()
        show_audit(report, console)
        show_total(report, console)
        balanced = _compare(charged, place / "simulated-bill.jsonl")
        if data_dir is not None:
            click.echo(f"The data is kept: farebox calls --data-dir {data_dir}")
    if summary.failed or not balanced:
        click.echo(f"{summary.failed} of {summary.calls} calls failed.", err=True)
        sys.exit(1)


@contextmanager
def _gateway(data_dir: Path) -> Iterator[str]:
    """Run ``farebox serve`` with simulated providers; it is stopped, and has settled everything, at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data_dir.mkdir(parents=True, exist_ok=True)
    empty = data_dir / "demo.toml"
    empty.write_text("")  # whatever configuration lies around here, the demo calls no real provider
    command = [sys.executable, "-m", "farebox", "serve", "--config", str(empty), "--data-dir", str(data_dir)]
    process = subprocess.Popen(  # noqa: S603 - our own module
        [*command, "--port", str(port), "--workers", "2"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    try:
        _wait_until_up(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_START_S)
        assert process.stdout is not None, "it was asked for"
        process.stdout.close()


def _wait_until_up(process: subprocess.Popen[str], port: int) -> None:
    deadline_s = time.monotonic() + _START_S
    while process.poll() is None and time.monotonic() < deadline_s:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise ConfigError("the gateway of the demo did not start; its own message stands above")


def _drive(url: str, calls: int, seed: int) -> Summary:
    """Send the traffic as fast as it is answered, with a progress bar on a terminal."""
    rows = generate(Traffic(calls=calls, seed=seed, models=_MODELS, max_output=400))
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("calls through the gateway", total=len(rows))

        def watch(tally: Tally) -> None:
            progress.update(task, completed=tally.done)

        plan = Plan(
            rows=rows,
            url=url,
            speed=None,
            dialect="both",
            concurrency_max=32,
            seed=seed,
            simulated=True,
            cache_control=True,
        )
        return run(plan, watch)


def _compare(charged: dict[str, int | None], bill: Path) -> bool:
    """Print books against bill, attempt by attempt; return whether they are equal."""
    billed = {row.correlation: femto_from_usd(row.amount_usd) for row in read_bill(bill) if row.correlation}
    books = sum(femto or 0 for femto in charged.values())
    total = sum(billed.values())
    wrong = [attempt for attempt in charged.keys() | billed.keys() if charged.get(attempt) != billed.get(attempt)]
    difference = usd_text(abs(books - total))
    click.echo(
        f"books vs provider bill: {len(charged)} attempts, ${usd_text(books)} vs ${usd_text(total)}, "
        f"difference ${difference}"
    )
    for attempt in sorted(map(str, wrong))[:10]:
        click.echo(f"  differs: {attempt}: books {charged.get(attempt)}, bill {billed.get(attempt)} femtodollars")
    return not wrong
