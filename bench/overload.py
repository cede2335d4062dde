"""Case 39 at length: three times the load that a worker takes, for a minute, while half of its provider's answers fail.

Run: ``python -m bench.overload [--seconds 60]``. A real gateway with room for `ROOM` calls at a time stands in front of
a simulated provider that takes a tenth of a second, so that it takes ten times `ROOM` calls a second. Calls come at
their own pace, whether earlier ones are answered or not: half of what it takes for a third of the time, then three
times of it with faults, then half again. Prints a table, the resident memory and how soon it was itself again; and
compares books and bill at the end.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.strategies import KEY, free_port, read_records, wait_for
from farebox.journal.record import Done, Sent
from farebox.money import femto_from_usd
from farebox.simulate.bill import read_bill
from farebox.simulate.run import ProvidersInThread

ROOM = 20
LATENCY_MS = 100
TAKEN = ROOM * 1000 / LATENCY_MS  # calls a second
WORDS = ("sheddable", "normal", "critical")


class Answer(NamedTuple):
    """What a client saw.

    Attributes:
        phase: index of the phase.
        word: how much the call mattered.
        status: HTTP status, 0 where there was none.
        shed: whether the gateway refused it before it was sent anywhere.
        seconds: until the answer was complete.
        at_s: when it was asked, on the bench's clock.
    """

    phase: int
    word: str
    status: int
    shed: bool
    seconds: float
    at_s: float


async def ask(port: int, phase: int, number: int) -> Answer:
    """Make a call on a connection of its own."""
    word = WORDS[number % 3]
    fails = phase == 1 and number % 2 == 0
    wishes = {"fault": "status", "status": 503} if fails else {"ttft_ms": LATENCY_MS}
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 20, "user": json.dumps(wishes)}
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {KEY}\r\n"
        f"x-farebox-criticality: {word}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
    ).encode()
    start_s = time.monotonic()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + body)
        data = await asyncio.wait_for(reader.read(-1), 30)
        writer.close()
        status = int(data[9:12] or b"0")
    except (OSError, TimeoutError, ValueError):
        data, status = b"", 0
    shed = status == 503 and b"x-farebox-attempts" not in data.lower()
    return Answer(phase, word, status, shed, time.monotonic() - start_s, start_s)


def resident_mib(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096 / 2**20


async def load(port: int, pid: int, phases: list[tuple[float, float]]) -> tuple[list[Answer], list[float], list[float]]:
    """Make the calls of all phases, each a rate and its seconds.

    Returns:
        The answers, the resident memory a second, and when each phase began on the bench's clock.
    """
    tasks: list[asyncio.Task[Answer]] = []
    memory: list[float] = []
    begins: list[float] = []
    number = 0
    for phase, (rate, seconds) in enumerate(phases):
        begin_s = time.monotonic()
        begins.append(begin_s)
        for turn in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, begin_s + turn / rate - time.monotonic()))
            tasks.append(asyncio.create_task(ask(port, phase, number)))
            number += 1
            if turn % int(rate) == 0:
                memory.append(resident_mib(pid))
    return [await task for task in tasks], memory, begins


def percentile(values: list[float], percent: float) -> str:
    """Return a percentile in milliseconds."""
    values = sorted(values)
    return f"{values[min(len(values) - 1, int(len(values) * percent / 100))] * 1000:.0f} ms" if values else "-"


def print_phases(answers: list[Answer], phases: list[tuple[float, float]]) -> None:
    """Print what clients saw, phase by phase and by how much the calls mattered."""
    print(
        "| load | calls | matter | answered | refused | provider's fault | nothing | p50, p99 answered | p50 refused |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for phase, (rate, _) in enumerate(phases):
        for word in WORDS:
            mine = [one for one in answers if one.phase == phase and one.word == word]
            good = [one.seconds for one in mine if one.status == 200]
            shed = [one.seconds for one in mine if one.shed]
            lost = sum(one.status == 0 for one in mine)
            faults = len(mine) - len(good) - len(shed) - lost
            print(
                f"| {rate / TAKEN:.1f}x | {len(mine)} | {word} | {len(good) / len(mine):.1%} | "
                f"{len(shed) / len(mine):.1%} | {faults} | {lost} | {percentile(good, 50)}, {percentile(good, 99)} | "
                f"{percentile(shed, 50)} |"
            )


def print_books(data_dir: Path, bill: Path) -> None:
    """Print whether every attempt has its end, how many there were to a call, and whether books and bill are equal."""
    records = read_records(data_dir)
    sent = {one.attempt: one for one in records if isinstance(one, Sent)}
    done = {one.attempt: one for one in records if isinstance(one, Done)}
    calls = {one.call for one in sent.values()}
    booked = sum(one.total_femto or 0 for one in done.values())
    billed = sum(femto_from_usd(row.amount_usd) for row in read_bill(bill))
    print(
        f"\n{len(sent)} attempts, {len(sent) / len(calls):.3f} for each call that was sent; {len(sent) - len(done)} "
        f"without an end. Books and bill differ by {booked - billed} femtodollars."
    )


def main() -> None:
    """Load a gateway and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    phases = [(TAKEN / 2, options.seconds / 3), (TAKEN * 3, options.seconds), (TAKEN / 2, options.seconds / 3)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        bill = folder / "bill.jsonl"
        provider = stack.enter_context(ProvidersInThread(bill_path=bill))
        (folder / "farebox.toml").write_text(
            f'providers = [{{ name = "openai", kind = "openai", base_url = "{provider.url}/v1", api_key = "sk-1" }}]\n'
            f'keys = [{{ name = "bench", key = "{KEY}" }}]\n[shedding]\ncalls = {ROOM}\n'
            '[[models]]\nname = "m"\ntargets = [{ provider = "openai", model = "gpt-4o-mini" }]\n'
        )
        port = free_port()
        (folder / "data").mkdir()
        spec: dict[str, Any] = {
            "config_path": str(folder / "farebox.toml"),
            "data_dir": str(folder / "data"),
            "port": port,
        }
        gateway = subprocess.Popen([sys.executable, "-m", "farebox.worker", json.dumps(spec)])
        try:
            wait_for(port)
            answers, memory, begins = asyncio.run(load(port, gateway.pid, phases))
        finally:
            gateway.terminate()
            gateway.wait(60)
        print_phases(answers, phases)
        after = [one.at_s - begins[2] for one in answers if one.phase == 2 and one.status != 200]
        print(f"\nMemory: {memory[0]:.0f} MiB before, {max(memory):.0f} MiB at most, {memory[-1]:.0f} MiB at the end.")
        print(f"The last call that was not answered came {max(after, default=0):.1f} s after the load fell.")
        print_books(folder / "data", bill)


if __name__ == "__main__":
    main()
