"""Case 14 on a real disk that is full: a small one of its own, where that can be had."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.conftest import Gateway, write_config

ASK = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Tell me about trains."}]}
PRELOAD = """
from farebox.journal import writer
writer.JournalWriter.__init__.__defaults__ = (65536,)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True, check=False)
    except OSError as error:
        pytest.skip(f"no small disk can be mounted: {error}")
    if done.returncode:
        pytest.skip(f"no small disk can be mounted: {done.stderr.strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(disk: Path) -> Path:
    """Take all the space there is."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (65536, 4096, 1):
            try:
                while file.write(b"x" * size) == size:
                    pass
            except OSError:
                continue
    return filler


@pytest.fixture
def gateway(small_disk: Path, tmp_path: Path, simulated) -> Iterator[Gateway]:
    config = write_config(tmp_path / "farebox.toml", simulated.url, "http://127.0.0.1:9")
    running = Gateway(small_disk, config, preload=PRELOAD)
    yield running
    assert running.stop() == 0


def test_case_14_a_full_disk_is_survived(small_disk, gateway, books_of):
    books = books_of(gateway)
    assert gateway.openai("/chat/completions", ASK)[0] == 200
    filler = fill(small_disk)
    status, _, body = gateway.openai("/chat/completions", ASK, {"idempotency-key": "first"})
    assert (status, json.loads(body)["error"]["code"]) == (503, "idempotency_store_unavailable")
    while (answer := gateway.openai("/chat/completions", ASK))[0] == 200:
        pass
    assert (answer[0], json.loads(answer[2])["error"]["code"]) == (503, "journal_full")
    served = len(books.rows())
    books.exact(served)

    filler.unlink()
    deadline_s = time.monotonic() + 10
    while gateway.openai("/chat/completions", ASK, {"idempotency-key": "second"})[0] != 200:
        assert time.monotonic() < deadline_s, "it does not recover"
        time.sleep(0.05)
    again = gateway.openai("/chat/completions", ASK, {"idempotency-key": "second"})
    assert again[1]["x-farebox-replayed"] == "true"
    books.exact(served + 1)
