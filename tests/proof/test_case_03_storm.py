"""Case 3: processes killed at random under load, budgets that run dry, and not one rule is ever broken.

The long proof is `make prove`: at least 1,000 kills and 100,000 requests that reached the provider, over seeds.
"""

import random
import time

import pytest

from tests.proof.reckoning import seed_of
from tests.proof.storm import Outcome, Weather, run_storm

STORMS = 10
KILLS = 1_000
REQUESTS = 100_000


def test_case_03_storm(tmp_path, ledger_url):
    """A short one: a host with three workers on a file, or two hosts with two workers each on Postgres."""
    hosts, workers = (1, 3) if ledger_url is None else (2, 2)
    seed = seed_of(20_261_124)
    weather = Weather(
        seed=seed, hosts=hosts, workers=workers, kills=10, requests=500, kills_per_s=2.5, connections=24, limit_s=120
    )
    outcome = run_storm(tmp_path / "storm", weather, ledger_url)
    print(f"{outcome}\nFAREBOX_SEED={seed} repeats its draws")
    assert outcome.findings == []
    assert outcome.kills >= 10
    assert outcome.requests >= 500
    assert outcome.refused > 0, "no budget has ever run dry, so nothing was capped"
    assert outcome.assumed > 0, "nothing was under way at any kill, so nothing was proved"


@pytest.mark.long
def test_case_03_thousand_kills(tmp_path, new_database):
    first = seed_of(random.SystemRandom().randrange(10**9))
    print(f"\nFAREBOX_SEED={first} repeats the draws of all {STORMS} storms")
    began_s = time.monotonic()
    outcomes: list[Outcome] = []
    for number in range(STORMS):
        url = new_database() if number % 2 else None
        hosts, workers = (2, 3) if url else (1, 6)
        weather = Weather(
            seed=first + number,
            hosts=hosts,
            workers=workers,
            kills=KILLS // STORMS + 1,
            requests=REQUESTS // STORMS + 100,
            kills_per_s=2.5,
            connections=64,
            durability="power" if number % 4 > 1 else "process",
        )
        outcomes.append(run_storm(tmp_path / f"storm-{number}", weather, url))
        print(
            f"{number + 1:2}/{STORMS} {'Postgres' if url else 'SQLite':8} {hosts} x {workers} workers: {outcomes[-1]}",
            flush=True,
        )
        assert outcomes[-1].findings == []
    print(_table(outcomes, time.monotonic() - began_s))
    assert sum(outcome.kills for outcome in outcomes) >= KILLS
    assert sum(outcome.requests for outcome in outcomes) >= REQUESTS


def _table(outcomes: list[Outcome], took_s: float) -> str:
    kills = sum(outcome.kills for outcome in outcomes)
    requests = sum(outcome.requests for outcome in outcomes)
    billed = sum(outcome.billed_femto for outcome in outcomes)
    charged = sum(outcome.charged_femto for outcome in outcomes)
    lines = {
        "upstream requests": f"{requests:,}",
        "kills": f"{kills:,}",
        "stops and continues": f"{sum(outcome.stopped for outcome in outcomes):,}",
        "refused, 402 and 429": f"{sum(outcome.refused for outcome in outcomes):,}",
        "calls with a key": f"{sum(outcome.keys for outcome in outcomes):,}",
        "refills of budgets": f"{sum(outcome.refills for outcome in outcomes):,}",
        "looks at the ledger": f"{sum(outcome.looks for outcome in outcomes):,}",
        "assumed": f"{sum(outcome.assumed for outcome in outcomes):,}",
        "books over bill": f"{(charged - billed) / billed:+.1%}",
        "violations": f"{sum(len(outcome.findings) for outcome in outcomes)}",
        "took": f"{took_s / 60:.1f} minutes",
    }
    return "\n".join(f"{name:28}{value:>16}" for name, value in lines.items())
