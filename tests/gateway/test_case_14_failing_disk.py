"""Case 14: the disk fails when the journal is forced to it. Nothing more is admitted, what is under way is settled, and
the worker ends, so that a new one begins a new journal. A full disk, the other half of the case, has a file of its own.
"""

import json
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.gateway.conftest import Gateway, write_config

ASK = [{"role": "user", "content": "Tell me about trains."}]
PRELOAD = """
import errno, os
from farebox import worker
from farebox.journal import flush
flag, force = {flag!r}, flush.sync
def sync(descriptors):
    force(descriptors)
    if os.path.exists(flag):
        raise OSError(errno.EIO, "Input/output error")
flush.Flusher.__init__.__defaults__ = (sync,)
worker._SYNC_S = 0.05
"""


@pytest.fixture(params=["process", "power"])
def failing(request, tmp_path, simulated):
    flag: Path = tmp_path / "failing"
    config = write_config(tmp_path / "farebox.toml", simulated.url, "http://127.0.0.1:9")
    config.write_text(f'{config.read_text()}\n[journal]\ndurability = "{request.param}"\n')
    gateway = Gateway(tmp_path, config, preload=PRELOAD.format(flag=str(flag)), grace_s=10)
    yield gateway, flag, request.param
    gateway.stop()


def refusal_of(gateway: Gateway) -> str:
    """What a call comes to; "" where it is served."""
    try:
        status, _, body = gateway.openai("/chat/completions", {"model": "gpt-4o", "messages": ASK})
    except OSError:
        return "closed"
    assert status in {200, 503}
    return "" if status == 200 else str(json.loads(body)["error"]["code"])


def test_case_14_a_failed_sync_ends_the_journal_and_settles_what_is_under_way(failing, books_of):
    gateway, flag, durability = failing
    books = books_of(gateway)
    with ExitStack() as opened:
        streams = [opened.enter_context(gateway.stream(output_tokens=60, tokens_per_s=40)) for _ in range(10)]
        flag.touch()
        served = 0
        while not (refusal := refusal_of(gateway)):
            served += 1
        bodies = [stream.read() for stream in streams]
        assert gateway.process.wait(15) == 0
    assert all(body.endswith(b"data: [DONE]\n\n") for body in bodies), "what is under way ends whole"
    if durability == "power":
        assert (refusal, served) == ("journal_failed", 0), "its own beginning could not be forced to the disk"
    else:
        assert refusal in {"journal_failed", "shutting_down", "closed"}
    never_left = 1 if durability == "power" else 0  # it is on record, ended, and the provider knows nothing of it
    found = books.attempts(10 + served + never_left)
    assert [(each.done.outcome, each.done.total_femto) for each in found if each.row is None] == (
        [("unreachable", 0)] * never_left
    )
    assert all(each.done.total_femto == each.billed_femto for each in found if each.row is not None)
    said = gateway.errors.read_text()
    assert said.count("the journal cannot be forced to the disk") == 1
    assert "Traceback" not in said
