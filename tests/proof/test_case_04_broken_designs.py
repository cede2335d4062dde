"""Case 4: five designs that are broken on purpose fail the proof that the real one passes."""

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from farebox.simulate.bill import read_bill
from farebox.state.ledger_authority import LedgerAuthority, open_authority
from tests.proof.designs import Plan
from tests.proof.reckoning import seed_of
from tests.proof.verdict import Span, Standing, judge, read_records, rules_of

SEED = 20_261_124
ROOT = Path(__file__).parents[2]
# One call in three of what would fit at once: a design that does not hold anything runs past it.
TIGHT = 30_000
# What must be found, at least.
BROKEN = {
    "naive check, then add": "over",
    "counters of each process": "over",
    "journal after the response": "unaccounted",
    "rows buffered in memory": "unaccounted",
    "no sweeper": "held",
}


def run_light(folder: Path, plan: Plan) -> list[str]:
    """Run a design; return what is wrong with it."""
    command = [sys.executable, "-m", "tests.proof.light", msgspec.json.encode(plan).decode(), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "Error" not in done.stderr, done.stderr
    findings = folder / "findings.txt"
    seen = findings.read_text().splitlines() if findings.exists() else []
    return seen + judge(read_bill(folder / "bill.jsonl"), read_records([folder]), read_ledger(folder, plan))


def read_ledger(folder: Path, plan: Plan) -> dict[Span, Standing]:
    """Return how the ledger stands, with the limit that the design was to keep."""
    authority = open_authority(folder, plan.ledger or None)
    assert isinstance(authority, LedgerAuthority)
    balances = authority._store.read(lambda rows: rows.all_balances())
    limits = {budget.id: budget.limit for budget in authority.budgets() if budget.unit == "usd"}
    authority.close()
    return {(one.budget, one.span.id): Standing(one.posted, one.held, limits.get(one.budget)) for one in balances}


def test_case_04_sound_design(tmp_path, ledger_url):
    seed = seed_of(SEED)
    print(f"FAREBOX_SEED={seed} repeats the draws")
    assert run_light(tmp_path / "wide", Plan(design="sound", seed=seed, kills=40, ledger=ledger_url or "")) == []


def test_case_04_sound_design_near_the_limit(tmp_path, ledger_url):
    plan = Plan(design="sound", seed=seed_of(SEED), kills=20, limit=TIGHT, ledger=ledger_url or "")
    assert run_light(tmp_path / "tight", plan) == []


@pytest.mark.parametrize("design", BROKEN)
def test_case_04_broken_design_is_found_out(tmp_path, design):
    limit = TIGHT if BROKEN[design] == "over" else 10**9
    findings = run_light(tmp_path / "light", Plan(design=design, seed=seed_of(SEED), kills=30, limit=limit))
    assert BROKEN[design] in rules_of(findings), findings[:10]


@pytest.mark.long
@pytest.mark.parametrize("number", range(3))
def test_case_04_sound_design_for_long(tmp_path, ledger_url, number):
    """The sound design once more, with far more kills than whole gateways allow, near its limit and far from it."""
    limit = 3_000_000 * (1 + 5 * number)
    plan = Plan(design="sound", seed=seed_of(SEED) + number, kills=400, limit=limit, ledger=ledger_url or "")
    assert run_light(tmp_path / "light", plan) == []
