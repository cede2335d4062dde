"""Case 11: three providers, the first two of which time out. Each attempt has a hold of its own, or is not made."""

from farebox.money import femto_from_usd, usd_text
from tests.proof.house import open_house

CHAIN = """
[[providers]]
name = "slow"
kind = "openai"
base_url = "SIMULATED/v1"
api_key = "sk-simulated"
idle_timeout_s = 0.4

[[models]]
name = "chain"
targets = [
  { provider = "slow", model = "gpt-4o" },
  { provider = "slow", model = "gpt-4.1" },
  { provider = "openai", model = "gpt-4o-mini" },
]
"""
HANG = {"rules": [{"model": model, "fault": "hang_before_headers"} for model in ("gpt-4o", "gpt-4.1")]}


def test_case_11_three_rows_three_holds(tmp_path):
    with open_house(tmp_path, config=CHAIN) as house:
        assert house.call().status == 200
        house.tell_provider(HANG)
        begun = house.records().keys()
        answer = house.call(model="chain")
        assert (answer.status, answer.headers["x-farebox-attempts"]) == (200, "3")
        rows = [one for attempt, one in house.records().items() if attempt not in begun]
        assert [one.sent.number for one in rows] == [1, 2, 3]
        assert all(one.sent.hold_femto > 0 for one in rows)
        assert [one.end.flags for one in rows] == [("assumed",), ("assumed",), ()]
        assert all(one.end.total_femto is not None for one in rows)
        holds = [one.sent.hold_femto for one in rows]
        # With room for two holds only, the third attempt is not made: what the first two may have cost stays held.
        limit = sum(one.used_femto for one in house.records().values()) + holds[0] + holds[1] + holds[2] // 2
        house.cap(usd_text(limit))
        seen = len(house.rows())
        refused = house.call(model="chain")
        assert refused.status in {402, 502, 504}
        assert len(house.rows()) - seen == 2, "the third provider was asked although nothing was left for it"
        standing = house.standing()
        assert standing.posted + standing.held <= limit
        assert house.finish() == []
        assert house.standing().posted <= limit
        assert sum(femto_from_usd(row.amount_usd) for row in house.rows()) <= limit
