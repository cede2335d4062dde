"""Compares the CPU time gateways spend on a request and on a streamed chunk. See docs/benchmarks.md.

Each gateway runs on CPU 0; the load generator (wrk) and the upstreams on CPU 1. Rounds go round the gateways
in turn, so that a noisy minute hits all of them, and the median of the rounds is reported.

usage: python bench/run.py [--peers DIR] [--only NAME ...] [--rounds 5] [--seconds 4] [--json FILE]
"""

import argparse
import datetime as dt
import json
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import upstreams
from gateways import GATEWAYS, Gateway, stop
from processes import find_tree, read_command, read_cpu, read_rss

PHASES = {"plain": "gpt-4o-mini", "stream": "gpt-4o"}
START_WITHIN_S = 90

Drive = Callable[[argparse.Namespace, Gateway, Path, int], dict[str, float]]
"""Drives a gateway for so many seconds; `parts` of the result is what the CPU time is divided by."""


def main() -> int:
    options = _read_options()
    for tool in ("wrk", "nginx", "taskset"):
        if shutil.which(tool) is None:
            print(f"{tool} is missing: install the Debian packages wrk, nginx-light and util-linux", file=sys.stderr)
            return 2
    upstreams.check_ports([upstreams.INSTANT_PORT, upstreams.PACED_PORT, *(gateway.port for gateway in GATEWAYS)])
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        scratch = Path(folder)
        (scratch / "nginx").mkdir()
        behind = [
            upstreams.start_instant(scratch / "nginx"),
            upstreams.start_paced(options.chunks, options.gap_ms),
        ]
        running: dict[str, subprocess.Popen[bytes]] = {}
        try:
            report = _compare(options, scratch, running)
        finally:
            for process in running.values():
                stop(process)
            for process in behind:
                process.terminate()
                process.wait()
    _print_table(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if report["results"] else 1


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, default=Path("/tmp/peers"), help="where the peers are installed")  # noqa: S108 - a default people see
    parser.add_argument("--only", action="append", choices=[gateway.name for gateway in GATEWAYS])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each round")
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--chunks", type=int, default=100, help="content chunks of a streamed answer")
    parser.add_argument("--gap-ms", type=float, default=1.0, help="between chunks")
    parser.add_argument("--json", type=Path, help="write every round here")
    return parser.parse_args()


def _compare(options: argparse.Namespace, scratch: Path, running: dict[str, subprocess.Popen[bytes]]) -> dict[str, Any]:
    """Start the gateways, run the rounds and return the report."""
    skipped: dict[str, str] = {}
    chosen: list[Gateway] = []
    for gateway in GATEWAYS:
        if options.only and gateway.name not in options.only:
            continue
        folder = scratch / gateway.name
        folder.mkdir()
        process = gateway.start(options.peers, folder)
        if isinstance(process, str):
            skipped[gateway.name] = process
            continue
        running[gateway.name] = process
        refused = _wait_until_ready(gateway, process)
        if refused:
            skipped[gateway.name] = f"did not answer: {refused}; log: {(folder / 'log').read_text()[-500:]}"
            continue
        chosen.append(gateway)
    rounds: list[dict[str, Any]] = []
    for phase in PHASES:
        drive = _drive_plain if phase == "plain" else _drive_streams
        for gateway in chosen:
            drive(options, gateway, scratch, 2)
        for number in range(options.rounds):
            for gateway in chosen:
                measured = _measure(drive, options, gateway, scratch, running[gateway.name].pid) | {"phase": phase}
                rounds.append(measured | {"round": number + 1})
                print(_progress(measured), file=sys.stderr)
    return {
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "machine": _describe_machine(),
        "options": {name: value for name, value in vars(options).items() if name not in {"json", "peers", "only"}},
        "skipped": skipped,
        "results": {gateway.name: _sum_up(rounds, gateway) for gateway in chosen},
        "rounds": rounds,
    }


def _body(phase: str) -> bytes:
    body: dict[str, Any] = {
        "model": PHASES[phase],
        "temperature": 0.7,
        "max_tokens": 256,
        "messages": [
            {"role": "system", "content": "You answer questions about fares in one sentence."},
            {"role": "user", "content": "Which ticket is cheapest for three journeys to the harbour in one day?"},
        ],
    }
    if phase == "stream":
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def _url(gateway: Gateway) -> str:
    return f"http://127.0.0.1:{gateway.port}/v1/chat/completions"


def _wait_until_ready(gateway: Gateway, process: subprocess.Popen[bytes]) -> str:
    """Wait until both phases are answered in full; return why not, or an empty text."""
    reason = "no time"
    deadline = time.monotonic() + START_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            for phase in PHASES:
                request = urllib.request.Request(_url(gateway), _body(phase), _headers(gateway, phase))
                with urllib.request.urlopen(request, timeout=10) as answer:
                    text = answer.read()
                if (b"[DONE]" if phase == "stream" else b"harbour") not in text:
                    return f"an answer that is not the upstream's: {text[-200:]!r}"
        except urllib.error.HTTPError as error:
            reason = f"{error}: {error.read()[:300]!r}"
        except OSError as error:
            reason = str(error)
        else:
            return ""
        time.sleep(0.2)
    return reason


def _headers(gateway: Gateway, phase: str) -> dict[str, str]:
    return {"content-type": "application/json"} | gateway.headers(PHASES[phase])


def _drive_plain(options: argparse.Namespace, gateway: Gateway, scratch: Path, seconds: int) -> dict[str, float]:
    """Drive a gateway with as many requests as it answers; return counts and milliseconds."""
    # A JSON string is a Lua string for the characters used here.
    lines = ['wrk.method = "POST"', f"wrk.body = {json.dumps(_body('plain').decode())}"]
    lines += [
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in _headers(gateway, "plain").items()
    ]
    script = scratch / f"{gateway.name}.lua"
    script.write_text("\n".join(lines))
    command = ["taskset", "-c", "1", "wrk", "-t1", f"-c{options.connections}", f"-d{seconds}s", "--timeout", "30s"]
    command += ["--latency", "-s", str(script), _url(gateway)]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: (.*)", text)
    errors = sum(map(int, re.findall(r"\d+", broken[1]))) if broken else 0
    requests = int(_find(r"(\d+) requests in", text))
    return {
        "parts": requests,
        "rps": float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        "p50_ms": _milliseconds(_find(r"^\s+50%\s+(\S+)", text)),
        "p99_ms": _milliseconds(_find(r"^\s+99%\s+(\S+)", text)),
        "errors": errors + (int(refused[1]) if refused else 0),
    }


def _drive_streams(options: argparse.Namespace, gateway: Gateway, _scratch: Path, seconds: int) -> dict[str, float]:
    """Drive a gateway with streams, each read to its end; return counts and milliseconds."""
    body = _body("stream")
    lines = ["POST /v1/chat/completions HTTP/1.1", f"host: 127.0.0.1:{gateway.port}", f"content-length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in _headers(gateway, "stream").items()]
    request = "\r\n".join(lines).encode() + b"\r\n\r\n" + body
    script = Path(__file__).with_name("streams.py")
    command = ["taskset", "-c", "1", sys.executable, str(script), str(gateway.port)]
    command += [str(options.connections), str(seconds)]
    text = subprocess.run(command, input=request, check=True, capture_output=True).stdout
    counted: dict[str, float] = json.loads(text)
    return counted | {"parts": counted["events"]}


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    if found is None:
        raise SystemExit(f"wrk printed something else than expected:\n{text}")
    return found[1]


def _milliseconds(text: str) -> float:
    for unit, factor in (("us", 1e-3), ("ms", 1.0), ("s", 1e3), ("m", 6e4)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise SystemExit(f"wrk printed a time without a unit: {text}")


def _measure(drive: Drive, options: argparse.Namespace, gateway: Gateway, scratch: Path, root: int) -> dict[str, Any]:
    """Return one round: CPU time of the whole tree and of its busiest process, by answer or by chunk."""
    tree = find_tree(root)
    before = read_cpu(tree)
    driven = drive(options, gateway, scratch, options.seconds)
    # Connections end with the driver; what they leave to do belongs to this round.
    time.sleep(0.3)
    after = read_cpu(tree)
    used = {pid: after[pid] - before[pid] for pid in tree}
    busiest = max(tree, key=used.__getitem__)
    parts = max(1.0, driven["parts"])
    resident = read_rss(tree)
    return driven | {
        "gateway": gateway.name,
        "cpu_us": sum(used.values()) / parts * 1e6,
        "cpu_us_busiest": used[busiest] / parts * 1e6,
        "rss_mib": sum(resident.values()),
        "rss_mib_busiest": resident.get(busiest, 0.0),
        "processes": len(tree),
        "busiest": read_command(busiest),
    }


def _progress(measured: dict[str, Any]) -> str:
    unit = "chunk" if measured["phase"] == "stream" else "request"
    return (
        f"{measured['gateway']:8} {measured['phase']:6} {measured['cpu_us']:9.1f} us CPU per {unit}, "
        f"{measured['rps']:8.1f} answers/s, {measured['errors']} errors"
    )


def _sum_up(rounds: list[dict[str, Any]], gateway: Gateway) -> dict[str, Any]:
    """Return the medians of a gateway's rounds by phase."""
    summed: dict[str, Any] = {"measures": gateway.measures}
    for phase in PHASES:
        own = [entry for entry in rounds if entry["gateway"] == gateway.name and entry["phase"] == phase]
        summed[phase] = {
            name: round(statistics.median(entry[name] for entry in own), 2)
            for name in ("cpu_us", "cpu_us_busiest", "rps", "p50_ms", "p99_ms", "rss_mib", "rss_mib_busiest")
        } | {"errors": sum(entry["errors"] for entry in own), "processes": max(entry["processes"] for entry in own)}
    return summed


def _describe_machine() -> str:
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"model name\s*:\s*(.+)", info)
    cores = info.count("processor\t")
    return f"{cores} x {model[1] if model else platform.machine()}, Linux {platform.release()}"


def _print_table(report: dict[str, Any]) -> None:
    print(f"\n{report['at']}  {report['machine']}")
    print("CPU in microseconds, of all processes (of the busiest one); medians of the rounds\n")
    print("| gateway | CPU/request | ratio | req/s | p50 ms | p99 ms | CPU/chunk | ratio | RSS MiB | errors |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    first: dict[str, Any] = next(iter(report["results"].values()), {})
    for name, result in report["results"].items():
        plain, stream = result["plain"], result["stream"]
        print(
            f"| {name} | {plain['cpu_us']:,.0f} ({plain['cpu_us_busiest']:,.0f}) "
            f"| {plain['cpu_us'] / first['plain']['cpu_us']:.2f} "
            f"| {plain['rps']:,.0f} | {plain['p50_ms']:.1f} | {plain['p99_ms']:.1f} "
            f"| {stream['cpu_us']:,.1f} ({stream['cpu_us_busiest']:,.1f}) "
            f"| {stream['cpu_us'] / first['stream']['cpu_us']:.2f} "
            f"| {stream['rss_mib']:,.0f} ({stream['rss_mib_busiest']:,.0f}) | {plain['errors'] + stream['errors']} |"
        )
    for name, reason in report["skipped"].items():
        print(f"\n{name} was skipped: {reason}")


if __name__ == "__main__":
    sys.exit(main())
