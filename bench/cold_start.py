"""Measures what it takes to have Farebox: the first answer after a start, the memory, the size of an install.

usage: python bench/cold_start.py [--starts 5] [--no-install] [--json FILE]
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import upstreams
from gateways import GATEWAYS, Gateway, stop
from processes import find_tree, read_command, read_rss

ANSWER_WITHIN_S = 30


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--starts", type=int, default=5)
    parser.add_argument("--no-install", action="store_true", help="do not measure the size of an install")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    farebox = GATEWAYS[0]
    upstreams.check_ports([upstreams.INSTANT_PORT, farebox.port])
    with tempfile.TemporaryDirectory(prefix="gateway-bench-") as folder:
        scratch = Path(folder)
        (scratch / "nginx").mkdir()
        behind = upstreams.start_instant(scratch / "nginx")
        try:
            starts = []
            for number in range(options.starts):
                own = scratch / f"start-{number}"
                own.mkdir()
                starts.append(_start_once(farebox, own))
        finally:
            behind.terminate()
            behind.wait()
        result: dict[str, Any] = {
            "first_answer_s": [round(start["first_answer_s"], 3) for start in starts],
            "first_answer_s_median": round(statistics.median(start["first_answer_s"] for start in starts), 3),
            "processes": starts[-1]["processes"],
        }
        if not options.no_install:
            result["install"] = _install(scratch / "venv")
    print(json.dumps(result, indent=2))
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")
    return 0


def _start_once(gateway: Gateway, scratch: Path) -> dict[str, Any]:
    """Start with an empty data directory; return the time to the first answer and the memory after it."""
    began_s = time.perf_counter()
    process = gateway.start(Path(), scratch)
    if isinstance(process, str):
        raise SystemExit(process)
    try:
        _wait_for_answer(gateway, process, began_s)
        first_answer_s = time.perf_counter() - began_s
        # The office reads its first records: the memory of a gateway at rest is what follows.
        time.sleep(2)
        resident = read_rss(find_tree(process.pid))
        processes = [{"command": read_command(pid), "rss_mib": round(mib, 1)} for pid, mib in resident.items()]
    finally:
        stop(process)
    return {"first_answer_s": first_answer_s, "processes": processes}


def _wait_for_answer(gateway: Gateway, process: subprocess.Popen[bytes], began_s: float) -> None:
    body = json.dumps({"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}).encode()
    headers = {"content-type": "application/json"} | gateway.headers("gpt-4o-mini")
    url = f"http://127.0.0.1:{gateway.port}/v1/chat/completions"
    while time.perf_counter() - began_s < ANSWER_WITHIN_S and process.poll() is None:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=5) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            raise SystemExit(f"the first answer is {error}: {error.read()[:300]!r}") from None
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise SystemExit(f"no answer within {ANSWER_WITHIN_S} s")


def _install(venv: Path) -> dict[str, float]:
    """Install the base package, without extras, into a fresh virtual environment; return MiB."""
    project = Path(__file__).resolve().parents[1]
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    before = _size_mib(venv)
    subprocess.run([str(venv / "bin/pip"), "install", "--quiet", str(project)], check=True)
    after = _size_mib(venv)
    return {"mib": round(after - before, 1), "mib_with_the_empty_environment": round(after, 1)}


def _size_mib(folder: Path) -> float:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


if __name__ == "__main__":
    sys.exit(main())
