"""Measures what budgets cost a call in the worker: admission (its bound, and holds on all accounts) and settlement.

usage: python -m bench.admission [--rounds 9]
"""

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from farebox.admit.admission import Admission
from farebox.alarm import Alarm
from farebox.budgets.account import read_account
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.call import Inbound
from farebox.clock import SystemClock
from farebox.config.models import Model, Target
from farebox.config.providers import Provider
from farebox.config.tables import Config
from farebox.dispatch import prepare
from farebox.route import Routes
from farebox.spend import Amounts
from farebox.state.ledger_authority import open_authority
from farebox.state.pricebook import load_book
from farebox.treasury.treasury import Treasury
from farebox.wire.operations import READINGS

ACCOUNTS = ("org", "team:search", "key:ci", "user:u1", "model:gpt-4o-mini")
CALLS = 5000
MANY_FEMTO = 10**21
BODY = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You are helpful."},
        {"role": "user", "content": "Hello there, how are you doing today?"},
    ],
    "max_tokens": 100,
    "user": "u1",
}


async def measure(rounds: int) -> None:
    """Print microseconds of CPU a call, the least of all rounds."""
    clock = SystemClock()
    book = load_book()
    provider = Provider(name="up", kind="openai-compatible", base_url="http://localhost/v1", rates="openai")
    model = Model(name="gpt-4o-mini", targets=(Target(provider="up", model="gpt-4o-mini"),))
    (target,) = Routes(Config(providers=(provider,), models=(model,))).resolve("gpt-4o-mini")
    asked = READINGS["chat"].request(BODY)
    inbound = Inbound("call", "key", "ci", 0, {}, "search", "")
    with tempfile.TemporaryDirectory() as folder:
        authority = open_authority(Path(folder))
        treasury = Treasury(authority, "bench", clock, Alarm(), lambda: None)

        async def call() -> None:
            admission = Admission(treasury, book, clock, inbound, asked, clamp=False)
            admitted = await admission.admit(target, "call.1", 0)
            if admitted.hold is not None:
                admitted.hold.end(Amounts(10**9, 1, 10, 10, 20, 0))

        for budgets in (0, 1, 5):
            for text in ACCOUNTS[:budgets]:
                authority.put(Budget("", read_account(text), "usd", read_window("month"), MANY_FEMTO))
            await treasury.refresh()
            await call()
            least = min([await _time(call) for _ in range(rounds)])
            print(f"{budgets} accounts: {least - _prepare(asked, target, inbound, rounds):.1f} us")
        authority.close()


async def _time(call) -> float:  # noqa: ANN001 -- an async function without arguments
    start = time.process_time()
    for _ in range(CALLS):
        await call()
    return (time.process_time() - start) / CALLS * 1e6


def _prepare(asked, target, inbound, rounds: int) -> float:  # noqa: ANN001 -- those of `measure`
    """Return what the request costs to be written, which it costs without budgets, too."""
    times = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(CALLS):
            prepare(asked, target, "call.1", inbound)
        times.append((time.process_time() - start) / CALLS * 1e6)
    return min(times)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    asyncio.run(measure(parser.parse_args().rounds))
