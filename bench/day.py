"""A replayed day: prices rise by 30 % in the busy hours, and a provider is down for one. When does traffic move?

Run: ``python -m bench.day [--seconds 240] [--plot docs/img/replayed_day.svg]``. A day is squeezed into so many
seconds. A real gateway with the strategy `cheapest` stands in front of three simulated providers. At 09:00 the cheapest
one's prices are pushed up by 30 %, so that the second is cheaper; at 17:00 they are withdrawn. From 13:00 to 14:00 the
second one refuses connections. Calls come as on a working day, whether the last ones are answered or not.
"""

import argparse
import http.client
import json
import math
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

from bench.strategies import KEY, MODEL, free_port, read_records, wait_for
from farebox.journal.record import Done, Sent
from farebox.simulate.run import ProvidersInThread
from farebox.state.pushed import push, withdraw

PRICES = {
    "first": "1.00",
    "second": "1.15",
    "third": "1.50",
}  # USD a million tokens of input
RISEN = "1.30"
COLORS = {"first": "#2a9d8f", "second": "#e9c46a", "third": "#e76f51"}
BIN_H = 0.25
_FONT = 'font-family="sans-serif" font-size="11"'
_TITLE = "calls in a quarter of an hour, by provider; line: mean cost of a call"


class Change(NamedTuple):
    """Something that happens at an hour.

    Attributes:
        hour: of the day.
        what: in words.
        away_from: who gets no more calls then.
        back_to: who gets calls again then.
    """

    hour: float
    what: str
    away_from: str = ""
    back_to: str = ""


CHANGES = (
    Change(9, "prices of the first rise by 30 %", "first", "second"),
    Change(13, "the second is down", "second", "first"),
    Change(14, "the second is up again", "first", "second"),
    Change(17, "prices of the first fall again", "second", "first"),
)


def price_entry(name: str, price: str) -> str:
    """Return a price table; output costs four times as much as input."""
    output = f"{4 * int(price.replace('.', '')) / 100:.2f}"
    head = f'[[prices]]\nprovider = "{name}"\nmodel = "{MODEL}"\nsource = "made up"\n'
    return f'{head}input = "{price}"\noutput = "{output}"\n'


def write_files(folder: Path, urls: dict[str, str]) -> None:
    """Write the configuration and the prices."""
    providers = ",\n".join(
        f'  {{ name = "{name}", kind = "openai-compatible", base_url = "{url}/v1", api_key = "sk-1" }}'
        for name, url in urls.items()
    )
    targets = ", ".join(f'{{ provider = "{name}", model = "{MODEL}" }}' for name in urls)
    (folder / "farebox.toml").write_text(
        f'prices = ["prices.toml"]\nproviders = [\n{providers},\n]\nkeys = [{{ name = "bench", key = "{KEY}" }}]\n'
        f'[[models]]\nname = "m"\nstrategy = "cheapest"\ntargets = [{targets}]\n'
    )
    (folder / "prices.toml").write_text("".join(price_entry(name, price) for name, price in PRICES.items()))


def rate_at(hour: float) -> float:
    """Return calls a second of the squeezed day: few at night, most in the early afternoon."""
    return 4 + 8 * math.exp(-(((hour - 13.5) / 4.5) ** 2))


def call(port: int, number: int) -> bool:
    """Make a call; return whether it was answered."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = {"model": "m", "max_tokens": 80, "messages": [{"role": "user", "content": f"Call {number}, please."}]}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), {"authorization": f"Bearer {KEY}"})
        answer = connection.getresponse()
        answer.read()
    except OSError:
        return False
    else:
        return answer.status == 200
    finally:
        connection.close()


def live_through(
    port: int, day_s: float, deeds: dict[float, Callable[[], None]]
) -> tuple[float, int, dict[float, int]]:
    """Make the day's calls and do what happens in it.

    Returns:
        The share of the calls that were answered, how many there were, and when each deed was done, nanoseconds since
        the epoch, by its hour.
    """
    done_at: dict[float, int] = {}
    good: list[bool] = []
    start_s = time.monotonic()

    def act() -> None:
        for hour, deed in sorted(deeds.items()):
            time.sleep(max(0.0, start_s + hour * day_s / 24 - time.monotonic()))
            deed()
            done_at[hour] = time.time_ns()

    actor = threading.Thread(target=act)
    actor.start()
    number = 0
    at_s = 0.0
    with ThreadPoolExecutor(48) as pool:
        while at_s < day_s:
            time.sleep(max(0.0, start_s + at_s - time.monotonic()))
            pool.submit(lambda n=number: good.append(call(port, n)))  # type: ignore[misc]
            number += 1
            at_s += 1 / rate_at(at_s * 24 / day_s)
    actor.join()
    return sum(good) / number, number, done_at


def plot(pairs: list[tuple[Sent, Done]], start_ns: int, day_s: float) -> str:
    """Return an SVG: calls for each quarter of an hour by provider, and what a call cost."""
    width, height, left, top = 760, 300, 48, 24
    bins = int(24 / BIN_H)
    counts: list[Counter[str]] = [Counter() for _ in range(bins)]
    costs: list[list[int]] = [[] for _ in range(bins)]
    for sent, done in pairs:
        hour = (sent.at_ns - start_ns) / 1e9 / day_s * 24
        place = min(bins - 1, max(0, int(hour / BIN_H)))
        if done.outcome == "ok":
            counts[place][sent.provider] += 1
            costs[place].append(done.total_femto or 0)
    most = max(sum(count.values()) for count in counts)
    inner, step = height - 2 * top - 20, (width - 2 * left) / bins
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" {_FONT}>',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        f'<text x="{left}" y="14" fill="#333">{_TITLE}</text>',
    ]
    for place, count in enumerate(counts):
        base = float(top + inner)
        for name in PRICES:
            size = count[name] / most * inner
            if size:
                base -= size
                parts.append(
                    f'<rect x="{left + place * step:.1f}" y="{base:.1f}" width="{step + 0.3:.1f}" '
                    f'height="{size:.1f}" fill="{COLORS[name]}"/>'
                )
    means = [sum(each) / len(each) if each else 0.0 for each in costs]
    dearest = max(means)
    line = " ".join(
        f"{left + (place + 0.5) * step:.1f},{top + inner - mean / dearest * inner * 0.95:.1f}"
        for place, mean in enumerate(means)
        if mean
    )
    parts.append(f'<polyline points="{line}" fill="none" stroke="#264653" stroke-width="1.5"/>')
    for hour in range(0, 25, 3):
        x = left + hour / BIN_H * step
        parts.append(f'<text x="{x:.0f}" y="{top + inner + 14}" fill="#333" text-anchor="middle">{hour:02d}:00</text>')
    for change in CHANGES:
        x = left + change.hour / BIN_H * step
        parts.append(f'<path d="M{x:.1f} {top}V{top + inner}" stroke="#555" stroke-dasharray="3 3"/>')
    parts += [
        f'<text x="{left - 6}" y="{top + 10}" fill="#333" text-anchor="end">{most}</text>',
        f'<text x="{left - 6}" y="{top + inner}" fill="#333" text-anchor="end">0</text>',
        f'<text x="{width - left + 4}" y="{top + inner * 0.05 + 4:.0f}" fill="#264653">{dearest / 1e9:.0f} µ$</text>',
    ]
    for place, name in enumerate(PRICES):
        x = left + 120 * place
        parts.append(f'<rect x="{x}" y="{height - 18}" width="10" height="10" fill="{COLORS[name]}"/>')
        parts.append(f'<text x="{x + 15}" y="{height - 9}" fill="#333">{name} (${PRICES[name]})</text>')
    return "\n".join([*parts, "</svg>\n"])


def print_changes(pairs: list[tuple[Sent, Done]], done_at: dict[float, int]) -> None:
    """Print for each change how long it took until traffic had moved."""
    print("| time | what happens | last call the old way | first call the new way |")
    print("|---|---|---|---|")
    ok = [(sent.at_ns, sent.provider) for sent, done in pairs if done.outcome == "ok"]
    hours = [*(change.hour for change in CHANGES), 24.0]
    for change, following in zip(CHANGES, hours[1:], strict=True):
        since, until = done_at[change.hour], done_at.get(following, 2**63)
        after = [item for item in ok if since <= item[0] < until]
        old = [at for at, provider in after if provider == change.away_from]
        new = [at for at, provider in after if provider == change.back_to]
        last = f"{(max(old) - since) / 1e9:.2f} s after" if old else "none after"
        first = f"{(min(new) - since) / 1e9:.2f} s after" if new else "never"
        print(f"| {change.hour:02.0f}:00 | {change.what} | {last} | {first} |")


def main() -> None:
    """Live through the day and print what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=240)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        providers = {}
        for name in PRICES:
            providers[name] = ProvidersInThread(bill_path=folder / f"{name}.jsonl")
            stack.enter_context(providers[name]).configure(defaults={"latency_ms": 20})
        write_files(folder, {name: each.providers.url for name, each in providers.items()})
        port = free_port()
        data_dir = folder / "data"
        data_dir.mkdir()
        spec: dict[str, Any] = {
            "config_path": str(folder / "farebox.toml"),
            "data_dir": str(data_dir),
            "port": port,
        }
        gateway = subprocess.Popen([sys.executable, "-m", "farebox.worker", json.dumps(spec)])
        second = providers["second"]

        def go_down() -> None:
            second.providers.configure(defaults={"fault": "reset_before_headers"})
            second.call(second.providers.refuse())

        def come_up() -> None:
            second.call(second.providers.listen())
            second.providers.configure(defaults={"latency_ms": 20})

        deeds: dict[float, Callable[[], None]] = {
            9: lambda: print(push(data_dir, "busy", price_entry("first", RISEN).encode()).name, file=sys.stderr),
            13: go_down,
            14: come_up,
            17: lambda: print(withdraw(data_dir, "busy"), file=sys.stderr),
        }
        try:
            wait_for(port)
            start_ns = time.time_ns()
            share, calls, done_at = live_through(port, options.seconds, deeds)
        finally:
            gateway.terminate()
            gateway.wait(30)
        records = read_records(data_dir)
    ends = {record.attempt: record for record in records if isinstance(record, Done)}
    pairs = sorted(((one, ends[one.attempt]) for one in records if isinstance(one, Sent)), key=lambda p: p[0].at_ns)
    print_changes(pairs, done_at)
    print(f"\n{calls} calls, {share:.2%} answered, {len(pairs) / calls:.3f} attempts for each.")
    if options.plot:
        options.plot.parent.mkdir(parents=True, exist_ok=True)
        options.plot.write_text(plot(pairs, start_ns, options.seconds))


if __name__ == "__main__":
    main()
