"""Case 8, in a running gateway: a window ends while calls are under way. The rest of it is in `tests/state/`."""

from concurrent.futures import ThreadPoolExecutor

from farebox.money import femto_from_usd
from tests.proof.house import LAB, open_house, until


def test_case_08_late_cost_stays_in_its_window(tmp_path):
    """No cost crosses the edge, no refund does, and a second reset finds nothing to reset."""
    with open_house(tmp_path) as house, ThreadPoolExecutor(6) as threads:
        assert house.call().status == 200
        calls = [threads.submit(house.call, wishes={"latency_ms": 1500}) for _ in range(6)]
        until(lambda: len(house.rows()) == 7)
        old = house.standing().span.id
        (budget,) = house.authority.reset(LAB)
        assert {call.result().status for call in calls} == {200}
        assert house.standing().posted == 0, "what began before is not charged to the new window"
        until(lambda: all(one.held == 0 for one in house.ledger.balances() if one.span.id == old))
        (before,) = [one for one in house.ledger.balances() if one.span.id == old]
        assert before.posted == sum(femto_from_usd(row.amount_usd) for row in house.rows())
        assert house.call().status == 200
        until(lambda: house.standing().posted > 0)
        (again,) = house.authority.reset(LAB)
        assert (budget.generation, again.generation) == (1, 2)
        assert house.standing().posted == 0
        until(lambda: house.answers(200))
        assert house.finish() == []
        after = {one.span.id: one.posted for one in house.ledger.balances()}
        assert after[old] == before.posted
        assert len(after) == 3
        assert sum(after.values()) == sum(femto_from_usd(row.amount_usd) for row in house.rows())
