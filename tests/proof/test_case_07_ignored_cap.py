"""Case 7: a provider that writes fifty times as much as it was allowed to."""

import json

from farebox.money import femto_from_usd
from tests.proof.house import LAB, open_house, until

WITHIN_S = 3.0  # all workers; a dozen calls take a part of it
DEAF = {"ignore_max_tokens": True, "output_tokens": 1000}


def test_case_07_stream_is_cut_and_account_closed(tmp_path):
    with open_house(tmp_path) as house:
        assert house.call().status == 200
        answer = house.call(wishes={**DEAF, "tokens_per_s": 1500}, stream=True)
        assert answer.status == 200
        assert b"[DONE]" not in answer.body
        last = json.loads(answer.body.strip().rpartition(b"data: ")[2])
        assert last["error"]["code"] == "budget_cutoff"
        until(lambda: house.standing().closed)
        (cut,) = [one for one in house.records().values() if one.end.outcome == "cut"]
        used = cut.used_femto
        (line,) = [one for one in house.authority.movements(LAB) if one.kind == "overdraft"]
        assert line.amount == house.standing().overdraft == used - cut.sent.hold_femto > 0
        (row,) = [row for row in house.rows() if row.correlation == cut.sent.attempt]
        assert femto_from_usd(row.amount_usd) <= used
        assert row.quantities["output"] < 1000, "the provider was let write all that it wanted"
        # Nobody spends under it until it is opened again.
        until(lambda: house.answers(402), WITHIN_S)
        assert "budgets reset team:lab" in house.call().body.decode()
        assert "ALARM: budget team:lab" in house.gateway.errors.read_text()
        house.authority.reset(LAB)
        until(lambda: house.call().status == 200)
        assert house.finish() == []


def test_case_07_whole_answer_is_posted_in_full(tmp_path):
    with open_house(tmp_path) as house:
        assert house.call().status == 200
        assert house.call(wishes=DEAF).status == 200
        until(lambda: house.standing().closed)
        dear = max(house.records().values(), key=lambda one: one.used_femto)
        assert house.standing().overdraft == dear.used_femto - dear.sent.hold_femto > 0
        until(lambda: house.answers(402), WITHIN_S)
        assert house.finish() == []
        assert house.standing().posted == sum(femto_from_usd(row.amount_usd) for row in house.rows())
