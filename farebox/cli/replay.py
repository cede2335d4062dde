"""``farebox replay``: drive a running gateway with a recorded trace."""

import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from farebox.replay.client import run
from farebox.replay.formats import READERS, SERVED_AS
from farebox.replay.plan import Dialect, Plan
from farebox.replay.rows import TraceError
from farebox.replay.summary import Percentiles, Summary, Tally
from farebox.replay.trace import parse

PLAIN_LINE_EVERY_S: Final = 5.0


class Speed(click.ParamType[float | None]):
    """A factor above 0, or ``max``, which is None."""

    name = "factor|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """Return the factor, or None for ``max``."""
        text = str(value)
        if text == "max":
            return None
        try:
            return float(text)
        except ValueError:
            self.fail(f"{text!r} is neither a number nor max", param, ctx)


@click.command()
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "trace_format", type=click.Choice(list(READERS)), required=True, help="What the file is.")
@click.option("--speed", type=Speed(), default="1", show_default=True, help="Trace seconds per second, or max.")
@click.option("--url", default="http://127.0.0.1:4000", show_default=True, help="The gateway.")
@click.option("--key", envvar="FAREBOX_KEY", help="The key to present; better in the environment as FAREBOX_KEY.")
@click.option(
    "--model",
    "models",
    multiple=True,
    metavar="M|FROM=M",
    help="Ask for M; several share the calls. FROM=M asks for M where the trace says FROM.",
)
@click.option("--limit", type=click.IntRange(1), help="Send this many calls at most.")
@click.option("--stream-share", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Of the calls.")
@click.option(
    "--dialect", type=click.Choice(["openai", "anthropic", "both"]), default="openai", show_default=True, help="API."
)
@click.option("--concurrency-max", type=click.IntRange(1), default=64, show_default=True, help="Calls in flight.")
@click.option("--max-output", type=click.IntRange(1), help="Ask for this many output tokens at most.")
@click.option("--seed", type=int, default=0, show_default=True, help="Decides texts, models, dialects and streams.")
@click.option("--simulated", is_flag=True, help="Tell simulated providers how long each answer is to be.")
@click.option("--cache-control", is_flag=True, help="Mark cache breakpoints in Anthropic calls.")
@click.option(
    "--retry",
    "retries",
    type=click.IntRange(0),
    is_flag=False,
    flag_value=5,
    default=0,
    metavar="[N]",
    help="Send a call again, N times (5), if its connection is lost. The provider may bill each time.",
)
@click.option("--timeout", "timeout_s", type=float, default=120.0, show_default=True, help="Seconds of silence.")
@click.option("--allow-errors", is_flag=True, help="Exit with 0 although calls failed.")
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")
def replay(
    *,
    trace: Path,
    trace_format: str,
    speed: float | None,
    url: str,
    key: str | None,
    models: tuple[str, ...],
    limit: int | None,
    stream_share: float,
    dialect: Dialect,
    concurrency_max: int,
    max_output: int | None,
    seed: int,
    simulated: bool,
    cache_control: bool,
    retries: int,
    timeout_s: float,
    allow_errors: bool,
    as_json: bool,
) -> None:
    """Drive a running gateway with TRACE: its arrival times, lengths and shared prefixes.

    The text is made up, the same for the same seed, 4 bytes to a token. Exits with 1 if a call failed or
    none could be sent.
    """
    renamed = dict(model.split("=", 1) for model in models if "=" in model)
    try:
        rows = parse(trace, trace_format)
        plan = Plan(
            rows=rows,
            url=url,
            key=key,
            models=tuple(model for model in models if "=" not in model),
            served_as=renamed if models else SERVED_AS.get(trace_format, {}),
            speed=speed,
            limit=limit,
            stream_share=stream_share,
            dialect=dialect,
            concurrency_max=concurrency_max,
            max_output=max_output,
            seed=seed,
            simulated=simulated,
            cache_control=cache_control,
            retries=retries,
            timeout_s=timeout_s,
        )
        lines = rows.count_lines()
        with _Watcher(lines if limit is None else min(limit, lines)) as watcher:
            summary = run(plan, watcher.show)
    except TraceError as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(summary)).decode())
    else:
        _print_summary(summary)
    if summary.calls == 0:
        click.echo(f"No row of {trace} could be replayed as {trace_format}.", err=True)
    if summary.calls == 0 or (summary.failed and not allow_errors):
        sys.exit(1)


class _Watcher:
    """Shows progress on standard error: a bar on a terminal, a line now and then elsewhere."""

    def __init__(self, expected: int) -> None:
        self._expected = expected
        console = Console(stderr=True)
        self._terminal = console.is_terminal
        self._bar = Progress(
            TextColumn("replay"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not self._terminal,
        )
        self._task = self._bar.add_task("", total=expected, note="")
        self._last_line_s = time.monotonic()

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def show(self, tally: Tally) -> None:
        """Show how far the replay is."""
        note = f"{tally.sent - tally.done} in flight, {tally.failed} failed"
        if self._terminal:
            self._bar.update(self._task, completed=tally.done, note=note)
        elif time.monotonic() - self._last_line_s >= PLAIN_LINE_EVERY_S:
            self._last_line_s = time.monotonic()
            click.echo(f"replay: {tally.done} of at most {self._expected} done, {note}", err=True)


def _print_summary(summary: Summary) -> None:
    console = Console()
    table = Table(title="Replay, interrupted" if summary.stopped else "Replay", show_header=False)
    table.add_column()
    table.add_column(justify="right", overflow="fold")
    for name, value in _lines(summary):
        table.add_row(name, value)
    console.print(table)
    times = Table(title="Milliseconds")
    times.add_column("")
    for name in ("calls", "p50", "p90", "p99", "max"):
        times.add_column(name, justify="right")
    for name, measured in (
        ("to first content", summary.ttft_ms),
        ("to end of answer", summary.total_ms),
        ("sent late by", summary.lag_ms),
    ):
        times.add_row(name, *_cells(measured))
    console.print(times)
    for kind, failure in summary.failures.items():
        console.print(f"failed: {failure.calls} x {kind}, first: {failure.example}", markup=False, highlight=False)
    for reason, rejection in summary.rejected.items():
        console.print(
            f"not replayed: {rejection.rows} x {reason} (first at line {rejection.first_line})",
            markup=False,
            highlight=False,
        )


def _lines(summary: Summary) -> list[tuple[str, str]]:
    statuses = ", ".join(f"{count:,} x {status}" for status, count in summary.statuses.items())
    return [
        ("calls", f"{summary.calls:,}"),
        ("streamed", f"{summary.streams:,}"),
        ("failed", f"{summary.failed:,}"),
        ("retries", f"{summary.retries:,}"),
        ("statuses", statuses or "none"),
        ("duration", f"{summary.duration_s:,.1f} s"),
        ("calls per second", f"{summary.calls_per_s:,.1f}"),
        ("input tokens, trace", f"{summary.asked_input_tokens:,}"),
        ("input tokens, answers", f"{summary.input_tokens:,}"),
        ("of these cached", f"{summary.cached_tokens:,}"),
        ("output tokens, asked for", f"{summary.asked_output_tokens:,}"),
        ("output tokens, answers", f"{summary.output_tokens:,}"),
        ("answers without usage", f"{summary.without_usage:,}"),
        ("stream events", f"{summary.events:,}"),
    ]


def _cells(measured: Percentiles) -> list[str]:
    values = (measured.p50, measured.p90, measured.p99, measured.max)
    return [f"{measured.count:,}", *("-" if value is None else f"{value:,.1f}" for value in values)]
