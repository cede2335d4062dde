"""kill -9 at random moments: nothing that was billed is lost, nothing is counted twice, what is not exact says so."""

import contextlib
import os
import random
import signal
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from farebox import replay
from farebox.replay.generate import Traffic, generate
from farebox.replay.summary import Tally
from tests.proof.gateway import Gateway, all_ended, run_simulated
from tests.proof.reckoning import AZURE, configure, drive, plan_of, reckon, seed_of

RETRIES = 100


class Killer:
    """Kills a random worker whenever one of the moments, counted in calls begun and ended, has come."""

    def __init__(self, gateway: Gateway, calls: int, kills: int, seed: int) -> None:
        self.killed: list[int] = []
        self._gateway = gateway
        self._draw = random.Random(seed)
        # Nobody is killed right at the end, when there is nothing under way any more.
        self._moments = sorted(self._draw.sample(range(20, 2 * calls - 100), kills))

    def watch(self, tally: Tally) -> None:
        if self._moments and tally.sent + tally.done >= self._moments[0]:
            workers = [pid for pid in self._gateway.pids("farebox.worker") if pid not in self.killed]
            if workers:  # none while all of them are being started again: then at the next event
                victim = self._draw.choice(workers)
                os.kill(victim, signal.SIGKILL)
                self.killed.append(victim)
                self._moments.pop(0)


def check_kills(folder: Path, rows, calls: int, kills: int, seed: int) -> None:
    print(f"seed {seed}: FAREBOX_SEED={seed} repeats the moments and the victims")
    bill = folder / "bill.jsonl"
    with run_simulated(bill) as simulated, Gateway(folder, configure(simulated)) as gateway:
        killer = Killer(gateway, calls, kills, seed)
        drive(plan_of(rows, gateway.url, calls, seed=seed, retries=RETRIES), killer.watch)
        assert gateway.stop() == 0
    assert len(killer.killed) == kills
    assert gateway.errors.read_text().count("ended (signal 9); starting it again") == kills
    counts = reckon(gateway.data_dir, bill).check_covered()
    print(counts)
    assert counts["exact"] >= calls
    assert counts["assumed"] > 0, "no attempt was under way at any kill, so nothing was proved"


def test_kill_workers(tmp_path):
    check_kills(tmp_path, generate(Traffic(calls=400, seed=3, models=("any",))), 400, 6, seed_of(20_261_123))


@pytest.mark.long
def test_kill_twenty_workers(tmp_path):
    if not AZURE.exists():
        pytest.skip(f"the Azure 2023 conversation trace is not at {AZURE}")
    check_kills(tmp_path, replay.parse(AZURE, "azure"), 2_000, 20, seed_of(random.SystemRandom().randrange(10**9)))


class Moments:
    """Runs actions in a thread of their own, each when so many calls have begun or ended."""

    def __init__(self, *actions: tuple[int, Callable[[], None]]) -> None:
        self._due = list(actions)
        self._running: list[Future[None]] = []
        self._thread = ThreadPoolExecutor(1)

    def watch(self, tally: Tally) -> None:
        if self._due and tally.sent + tally.done >= self._due[0][0]:
            self._running.append(self._thread.submit(self._due.pop(0)[1]))

    def finish(self) -> None:
        """Wait for all actions; raises what one of them raised."""
        self._thread.shutdown()
        assert not self._due
        for future in self._running:
            future.result()


def test_kill_office(tmp_path):
    calls = 400
    bill = tmp_path / "bill.jsonl"
    rows = generate(Traffic(calls=calls, seed=4, models=("any",)))
    with run_simulated(bill) as simulated, Gateway(tmp_path, configure(simulated)) as gateway:

        def kill_office() -> None:
            with all_ended(pids := gateway.pids("farebox.office")):
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)

        moments = Moments((100, kill_office), (300, kill_office), (500, kill_office))
        drive(plan_of(rows, gateway.url, calls), moments.watch)
        moments.finish()
        assert gateway.stop() == 0
    assert "office ended (signal 9); starting it again" in gateway.errors.read_text()
    reckon(gateway.data_dir, bill).check_equal()


@pytest.mark.parametrize("configured", [True, False], ids=["configured", "zero-config"])
def test_kill_supervisor(tmp_path, configured):
    """What it has started stops by itself, and a new gateway in the same place takes everything up."""
    calls = 400
    bill = tmp_path / "bill.jsonl" if configured else tmp_path / "data" / "simulated-bill.jsonl"
    rows = generate(Traffic(calls=calls, seed=5, models=("any",)))
    with contextlib.ExitStack() as stack:
        config = configure(stack.enter_context(run_simulated(bill))) if configured else ""
        gateway = stack.enter_context(Gateway(tmp_path, config))

        def replace_gateway() -> None:
            with all_ended(gateway.children()):
                gateway.kill()
            gateway.start()

        moments = Moments((400, replace_gateway))
        summary = replay.run(plan_of(rows, gateway.url, calls, retries=RETRIES), moments.watch)
        moments.finish()
        assert gateway.stop() == 0
    # A worker that stops tells new calls so with 503, which an SDK repeats and a replay does not. Where the
    # simulated providers are the gateway's own, they are gone a moment before it: that is a 502.
    assert summary.calls == calls
    assert summary.statuses.keys() <= ({200, 503} if configured else {200, 502, 503})
    assert summary.statuses[200] > 0.8 * calls
    assert gateway.errors.read_text() == ""
    reckoning = reckon(gateway.data_dir, bill)
    if configured:
        assert len(reckoning.booked) == calls - summary.failed
        reckoning.check_equal()
    assert reckoning.check_covered()["exact"] >= summary.statuses[200]
