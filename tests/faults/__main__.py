"""The fault suite at length: ``python -m tests.faults`` prints the table of docs/reliability.md."""

import sys
import tempfile
from pathlib import Path

from tests.faults.scenarios import SCENARIOS
from tests.faults.suite import run

CALLS = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
CLIENTS = 16

COLUMNS = ("what is wrong", "success", "told", "wrong text", "attempts per call", "p50", "p95", "extra cost", "back")
print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
usual = None
for scenario in SCENARIOS:
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(Path(folder), scenario, CALLS, CLIENTS)
    usual = usual or outcome
    assert outcome.booked_femto == outcome.billed_femto, scenario.name
    total = outcome.booked_femto + outcome.assumed_femto
    extra = total / (usual.booked_femto + usual.assumed_femto) - 1
    back = "-" if outcome.returned_s is None else f"{outcome.returned_s:.1f} s"
    print(
        f"| {scenario.name} | {outcome.good:.2%} | {outcome.told} | {outcome.wrong} | {outcome.amplification:.3f} "
        f"| {outcome.percentile_ms(50):.0f} ms | {outcome.percentile_ms(95):.0f} ms | {extra:+.1%} | {back} |",
        flush=True,
    )
