"""A burst beyond what a provider allows reaches it within its limit, and the client sees no refusal of the provider."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from farebox.simulate.run import ProvidersInThread
from farebox.simulate.settings import Settings

LIMIT = 3
BEFORE_THE_MINUTE_ENDS_S = 1.5


@pytest.fixture
def late_minute() -> Callable[[], float]:
    """A provider's clock whose minute ends soon after it is first read."""
    started: list[float] = []
    lock = threading.Lock()

    def now_s() -> float:
        with lock:
            if not started:
                started.append(time.monotonic())
        return 1_795_478_400 + 60 - BEFORE_THE_MINUTE_ENDS_S + time.monotonic() - started[0]

    return now_s


def burst(folder: Path, start_gateway: Any, clock: Callable[[], float], *, learn: bool) -> tuple[list[int], list[int]]:
    """Statuses that the client saw and those on the provider's bill: a call, then five at once."""
    settings = Settings(requests_per_minute=LIMIT)
    with ProvidersInThread(bill_path=folder / "bill.jsonl", settings=settings, clock=clock) as providers:
        gateway = start_gateway(folder, providers.url, learn=learn)
        body = {"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}

        def call(_: int) -> int:
            status: int = gateway.openai("/chat/completions", body)[0]
            return status

        seen = [call(0)]
        with ThreadPoolExecutor(5) as clients:
            seen += clients.map(call, range(5))
        return seen, [row.status for row in providers.rows()]


def test_with_pacing_no_refusal_reaches_the_client(tmp_path, start_gateway, late_minute):
    seen, billed = burst(tmp_path, start_gateway, late_minute, learn=True)
    assert seen == [200] * 6
    assert billed == [200] * 6


def test_without_pacing_it_would(tmp_path, start_gateway):
    seen, _ = burst(tmp_path, start_gateway, lambda: 1_795_478_400.0, learn=False)  # a minute that never ends
    assert sorted(seen) == [200] * LIMIT + [429] * (6 - LIMIT)
