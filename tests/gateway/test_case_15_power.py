"""Case 15: a power failure. What was answered is on the disk, and so is what a provider was asked.

The gateway's journal is forced to the disk by a function that first copies exactly what it forces, so that the copies
are what a power failure leaves at the worst: no byte that was not synced, no file whose directory was not.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from farebox.journal.record import Done, Sent
from farebox.journal.segment import read_segment
from tests.gateway.conftest import Gateway, write_config

ASK = [{"role": "user", "content": "Tell me about trains."}]
PRELOAD = """
import os, urllib.parse
from farebox import worker
from farebox.journal import flush, writer
shadow, force = {shadow!r}, flush.sync
def keep(name, data):
    draft = os.path.join(shadow, "draft")
    with open(draft, "wb") as file:
        file.write(data)
    os.rename(draft, os.path.join(shadow, urllib.parse.quote(name, safe="")))
def sync(descriptors):
    for fd in descriptors:
        path = os.readlink(f"/proc/self/fd/{{fd}}")
        if os.path.isdir(path):
            keep(path, "\\n".join(os.path.join(path, name) for name in os.listdir(path)).encode())
        else:
            with open(path, "rb") as file:
                keep(path, file.read())
    force(descriptors)
flush.Flusher.__init__.__defaults__ = (sync,)
writer.JournalWriter.__init__.__defaults__ = (16384,)
worker._SYNC_S = {every_s}
"""


class Shadow:
    """What is left after a power failure."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def records(self) -> list[Sent | Done]:
        """The records in files that are on the disk, and whose names are, up to the journal's own."""
        kept = {path.name.replace("%2F", "/"): path.read_bytes() for path in self.folder.glob("%2F*")}
        named = {line for name, data in kept.items() if not name.endswith(".seg") for line in data.decode().split("\n")}
        found: list[Sent | Done] = []
        for name, data in kept.items():
            if name.endswith(".seg") and name in named and os.path.dirname(name) in named:  # noqa: PTH120 - a text
                own = self.folder / f"read-{os.urandom(4).hex()}"
                own.write_bytes(data)
                offset = 0
                while (batch := read_segment(own, offset)).records:
                    found += [record for record, _ in batch.records]
                    offset = batch.next_offset
                own.unlink()
        return found

    def calls(self, kind: type[Sent | Done]) -> set[str]:
        return {record.attempt.partition(".")[0] for record in self.records() if isinstance(record, kind)}


@pytest.fixture
def start(tmp_path, simulated):
    running = []

    def run(durability: str, every_s: float) -> tuple[Gateway, Shadow]:
        shadow = Shadow(tmp_path / "shadow")
        shadow.folder.mkdir()
        config = write_config(tmp_path / "farebox.toml", simulated.url, "http://127.0.0.1:9")
        config.write_text(f'{config.read_text()}\n[journal]\ndurability = "{durability}"\n')
        preload = PRELOAD.format(shadow=str(shadow.folder), every_s=every_s)
        running.append(Gateway(tmp_path, config, preload=preload))
        return running[0], shadow

    yield run
    for gateway in running:
        gateway.stop()


def call(gateway: Gateway, number: int) -> str:
    """A call of which the answer has arrived whole; every second one streams."""
    body = {"model": "gpt-4o-mini", "messages": ASK, "max_tokens": 30, "stream": number % 2 == 1}
    status, headers, answer = gateway.openai("/chat/completions", body)
    assert (status, answer.endswith(b"[DONE]\n\n")) == (200, number % 2 == 1)
    return str(headers["x-farebox-call"])


def test_case_15_what_was_answered_or_asked_is_on_the_disk(start, books_of):
    gateway, shadow = start("power", 3600)
    books = books_of(gateway)

    def call_and_look(number: int) -> str:
        acknowledged = call(gateway, number)
        assert acknowledged in shadow.calls(Done), "its end was not on the disk when it was answered"
        return acknowledged

    one_by_one = [call_and_look(number) for number in range(6)]
    with ThreadPoolExecutor(12) as threads:
        at_once = list(threads.map(call_and_look, range(48)))
    asked = {row.correlation.partition(".")[0] for row in books.rows()}
    assert asked == {*one_by_one, *at_once} == shadow.calls(Sent)
    assert len(list((gateway.data_dir / "journal").glob("*/*.seg"))) > 3, "they fill more than one segment"


def test_case_15_what_is_under_way_is_on_the_disk_before_the_provider_has_it(start, books_of):
    gateway, shadow = start("power", 3600)
    books = books_of(gateway)
    with gateway.stream(output_tokens=2000, tokens_per_s=50) as answer:
        (row,) = books.rows()
        assert row.correlation in {record.attempt for record in shadow.records()}
        assert shadow.calls(Done) == set()
        answer.read(100)


def test_case_15_process_mode_does_not_promise_it(start):
    gateway, shadow = start("process", 3600)
    acknowledged = {call(gateway, number) for number in range(4)}
    assert not acknowledged & shadow.calls(Done), "or the cases above show nothing"


def test_case_15_process_mode_has_it_there_a_moment_later(start):
    gateway, shadow = start("process", 0.05)
    acknowledged = {call(gateway, number) for number in range(4)}
    for _ in range(100):
        if acknowledged <= shadow.calls(Done):
            return
        call(gateway, 0)
    pytest.fail("it is never forced to the disk")
