"""How long the office takes as the books grow: import, audit, and what-if under five schemes.

Run: ``python -m bench.office [--rows 1000000 3000000 10000000]``. Rows are made up in the format of the Azure traces: a
month of requests whose sizes are drawn from hashes. Every step is a process of its own, as a user would run it, so its
start and all reading and writing count. Prints a table: seconds, rows a second and second of CPU, and peak memory.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import duckdb

MONTH_MS = 30 * 86_400_000
SCHEMES = (
    "a=all:openai/gpt-4o",
    "b=all:anthropic/claude-haiku-4-5",
    "c=all:google/gemini-2.5-pro",
    "d=all:openai/gpt-5-mini",
    "e=tier:batch",
)


def make_trace(path: Path, rows: int) -> None:
    """Write a trace."""
    sent_at = f"TIMESTAMP '2026-10-20' + to_milliseconds(i * {MONTH_MS} // {rows})"
    columns = (
        f"strftime({sent_at}, '%Y-%m-%d %H:%M:%S.%g0000') AS \"TIMESTAMP\", 100 + (hash(i) % 3000) AS ContextTokens, "
        "1 + (hash(i + 7) % 600) AS GeneratedTokens"
    )
    duckdb.connect().execute(f"COPY (SELECT {columns} FROM range({rows}) AS t(i)) TO '{path}' (HEADER)")  # noqa: S608 - ours


def run(*words: str) -> tuple[float, float, float]:
    """Run a command; return its seconds, its seconds of CPU and its peak memory in GiB."""
    begin_s = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "farebox", *words], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0, f"{words[0]} failed"
    cpu_s = usage.ru_utime + usage.ru_stime
    return time.perf_counter() - begin_s, cpu_s, usage.ru_maxrss / 2**20


def main() -> None:
    """Print a row for each size and step."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000, 3_000_000, 10_000_000])
    options = parser.parse_args()
    print("| rows | step | seconds | rows/s | rows/s of CPU | GiB |\n|---|---|---|---|---|---|")
    for rows in options.rows:
        with tempfile.TemporaryDirectory() as name:
            trace, data = Path(name) / "trace.csv", ("--data-dir", f"{name}/data")
            make_trace(trace, rows)
            target = ("--format", "azure", "--provider", "openai", "--model", "gpt-4o-mini")
            steps = {
                "import": ("import", str(trace), *target),
                "audit": ("audit", "--json"),
                "what-if, 5 schemes": ("whatif", "--json", *(word for one in SCHEMES for word in ("--scheme", one))),
            }
            for step, words in steps.items():
                seconds, cpu_s, gib = run(*words, *data)
                speed = f"{rows / seconds:,.0f} | {rows / cpu_s:,.0f}"
                print(f"| {rows:,} | {step} | {seconds:.1f} | {speed} | {gib:.2f} |", flush=True)


if __name__ == "__main__":
    main()
