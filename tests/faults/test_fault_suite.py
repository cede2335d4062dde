"""The fault suite in a short form: with one provider that is well, nobody notices that others are not."""

import pytest

from tests.faults.scenarios import SCENARIOS, Scenario
from tests.faults.suite import run

CALLS = 160
CLIENTS = 8


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_nobody_notices(tmp_path, scenario: Scenario) -> None:
    outcome = run(tmp_path, scenario, CALLS, CLIENTS)
    assert outcome.wrong == 0, "no text is doubled, mixed or silently short"
    if scenario.cuts:
        assert outcome.told + sum(call.good for call in outcome.calls) == len(outcome.calls)
        assert outcome.told < len(outcome.calls) / 4
    else:
        assert outcome.good == 1.0, [call for call in outcome.calls if not call.good]
    assert outcome.amplification <= 1.2
    assert outcome.booked_femto == outcome.billed_femto
    if not scenario.lasts:
        assert outcome.returned_s is not None, "traffic comes back"
