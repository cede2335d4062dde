"""The same trace under each strategy: what it costs, how long it takes, who answers, and what the best had been.

Run: ``python -m bench.strategies [TRACE.csv] [--calls 600]``, with a trace in the form of Azure's (context and
generated tokens), or without one a made-up trace of the same kind. A real gateway stands in front of five simulated
providers that differ in price and pace. The optimum is worked out afterwards: the calls on record, priced at each of
the five by the re-pricing engine, and the cheapest of each call added up.
"""

import argparse
import csv
import http.client
import json
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from farebox.journal.record import Done, Sent
from farebox.journal.segment import read_segment
from farebox.money import usd_text
from farebox.prices.book import PriceBook
from farebox.reprice.lay import lay_prices
from farebox.reprice.prepare import prepare
from farebox.reprice.run import select_amounts
from farebox.reprice.scheme import Rule, Scheme
from farebox.reprice.traffic import DuckEngine, table_source
from farebox.simulate.run import ProvidersInThread
from farebox.state.pricebook import load_book

MODEL = "gpt-4o-mini"
KEY = "fbx-key-of-the-bench"
STRATEGIES = ("priority", "weighted", "cheapest", "fastest", "balanced")
CLIENTS = 8


class Kind(NamedTuple):
    """A simulated provider: milliseconds to the first token, tokens a second, USD for a million tokens."""

    ttft_ms: float
    tokens_per_s: float
    prices: tuple[str, ...]


# Who is cheapest depends on the size of the input, and on how much of it there is for each token of the answer.
KINDS = {
    "swift": Kind(10, 8000, ('{ input = "0.60", output = "2.40" }',)),
    "steady": Kind(40, 3000, ('{ input = "0.30", output = "1.20" }',)),
    "small": Kind(
        30, 2500, ('{ input = "0.12", output = "1.00" }', '{ over = 1500, input = "0.80", output = "3.20" }')
    ),
    "long": Kind(60, 2000, ('{ input = "0.08", output = "1.80" }',)),
    "slow": Kind(90, 1000, ('{ input = "0.25", output = "1.00" }',)),
}


def read_trace(path: Path | None, calls: int) -> list[tuple[int, int]]:
    """Return sizes of inputs and answers, in tokens."""
    if path is None:
        draw = random.Random(7)  # noqa: S311 - a trace is no secret
        return [
            (max(8, int(draw.lognormvariate(6.4, 1.0))), max(4, int(draw.lognormvariate(4.8, 0.7))))
            for _ in range(calls)
        ]
    with path.open() as file:
        rows = [(int(row["ContextTokens"]), int(row["GeneratedTokens"])) for row in csv.DictReader(file)]
    return [(max(1, min(4000, given)), max(1, min(400, made))) for given, made in rows[:calls]]


def write_files(folder: Path, urls: dict[str, str], strategy: str) -> None:
    """Write the configuration and the prices."""
    providers = ",\n".join(
        f'  {{ name = "{name}", kind = "openai-compatible", base_url = "{url}/v1", api_key = "sk-1" }}'
        for name, url in urls.items()
    )
    targets = ",\n".join(f'  {{ provider = "{name}", model = "{MODEL}" }}' for name in urls)
    (folder / "farebox.toml").write_text(
        f'prices = ["prices.toml"]\nproviders = [\n{providers},\n]\nkeys = [{{ name = "bench", key = "{KEY}" }}]\n'
        f'[[models]]\nname = "m"\nstrategy = "{strategy}"\ntargets = [\n{targets},\n]\n'
    )
    (folder / "prices.toml").write_text(
        "".join(
            f'[[prices]]\nprovider = "{name}"\nmodel = "{MODEL}"\n'
            f'source = "made up"\nrows = [{", ".join(kind.prices)}]\n'
            for name, kind in KINDS.items()
        )
    )


def ask_all(port: int, trace: list[tuple[int, int]]) -> float:
    """Make all calls, so many at once; return the share that was answered."""
    left = iter(enumerate(trace))
    lock = threading.Lock()
    good: list[bool] = []

    def work() -> None:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            work_on(connection)

    def work_on(connection: http.client.HTTPConnection) -> None:
        while True:
            with lock:
                item = next(left, None)
            if item is None:
                return
            number, (given, made) = item
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": f"{number} " + "word " * max(1, given - 8)}],
                "stream": True,
                "user": json.dumps({"output_tokens": made}),
            }
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
            answer = connection.getresponse()
            data = answer.read()
            good.append(answer.status == 200 and data.rstrip().endswith(b"[DONE]"))

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(good) / len(trace)


def run_strategy(strategy: str, trace: list[tuple[int, int]]) -> tuple[list[tuple[Sent, Done]], PriceBook]:
    """Return what is on record of the trace under a strategy, and the prices."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        urls = {}
        for name, kind in KINDS.items():
            providers = stack.enter_context(ProvidersInThread(bill_path=folder / f"{name}.jsonl"))
            providers.configure(
                defaults={"ttft_ms": kind.ttft_ms, "tokens_per_s": kind.tokens_per_s, "chunk_tokens": 8}
            )
            urls[name] = providers.url
        write_files(folder, urls, strategy)
        port = free_port()
        spec: dict[str, Any] = {
            "config_path": str(folder / "farebox.toml"),
            "data_dir": str(folder / "data"),
            "port": port,
        }
        (folder / "data").mkdir()
        gateway = subprocess.Popen([sys.executable, "-m", "farebox.worker", json.dumps(spec)])
        try:
            wait_for(port)
            assert ask_all(port, trace) == 1.0, "every call is answered"
        finally:
            gateway.terminate()
            gateway.wait(30)
        records = read_records(folder / "data")
        book = load_book([folder / "prices.toml"])
    ends = {record.attempt: record for record in records if isinstance(record, Done)}
    return [(record, ends[record.attempt]) for record in records if isinstance(record, Sent)], book


def read_records(data_dir: Path) -> list[Sent | Done]:
    """Return all that is in the journal."""
    found: list[Sent | Done] = []
    for path in sorted((data_dir / "journal").glob("*/*.seg")):
        offset = 0
        while (batch := read_segment(path, offset)).records:
            found += [record for record, _ in batch.records]
            offset = batch.next_offset
    return found


def optimum_femto(pairs: list[tuple[Sent, Done]], book: PriceBook) -> int:
    """Return what the calls on record would have cost, each at the provider that is cheapest for it."""
    engine = DuckEngine()
    rows = [
        {
            "at_ns": sent.at_ns,
            "provider": sent.rate_provider,
            "asked": MODEL,
            "answered": "",
            "service_tier": "",
            "input": done.meters.get("input", 0),
            "cache_read": done.meters.get("cache_read", 0),
            "output": done.meters.get("output", 0),
            "input_total": done.meters.get("input", 0) + done.meters.get("cache_read", 0),
        }
        for sent, done in pairs
    ]
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        Path(file.name).write_bytes(msgspec.json.Encoder().encode_lines(rows))
        engine.rows(f"CREATE TABLE requests AS SELECT * FROM read_json('{file.name}', format = 'newline_delimited')")  # noqa: S608 - our own file
        source = table_source(engine, "requests")
        schemes = [Scheme(name, book, (Rule(to={"provider": name, "model": MODEL}),)) for name in KINDS]
        prepared = prepare(engine, source, schemes)
        amounts = []
        for scheme in schemes:
            laid = lay_prices(prepared, scheme)
            amounts.append([int(row[-1]) for row in engine.rows(select_amounts(laid))])
            laid.drop()
    return sum(min(each) for each in zip(*amounts, strict=True))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int) -> None:
    """Return when the gateway listens."""
    deadline_s = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline_s, "the gateway did not start"
            time.sleep(0.05)
        else:
            return


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("trace", type=Path, nargs="?")
    parser.add_argument("--calls", type=int, default=600)
    options = parser.parse_args()
    trace = read_trace(options.trace, options.calls)
    print("| strategy | cost | over the optimum | time to first token | mean time | p95 | shares |")
    print("|---|---|---|---|---|---|---|")
    for strategy in STRATEGIES:
        pairs, book = run_strategy(strategy, trace)
        cost = sum(done.total_femto or 0 for _, done in pairs)
        best = optimum_femto(pairs, book)
        times = sorted(done.total_ns / 1e6 for _, done in pairs)
        first = statistics.mean((done.first_token_ns or 0) / 1e6 for _, done in pairs)
        shares = Counter(sent.provider for sent, _ in pairs)
        listed = ", ".join(f"{name} {count * 100 // len(pairs)} %" for name, count in shares.most_common())
        print(
            f"| `{strategy}` | ${usd_text(cost)[:9]} | {cost / best - 1:+.2%} | {first:.0f} ms "
            f"| {statistics.mean(times):.0f} ms | {times[len(times) * 95 // 100]:.0f} ms | {listed} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
