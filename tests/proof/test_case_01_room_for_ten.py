"""Cases 1 and 2: two hundred calls at once, room for the worst case of ten of them.

Never are more than ten under way, as the provider itself counts them; it never bills more than the limit; and whoever
is refused is told what would fit.
"""

import asyncio
import contextlib
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from farebox.budgets.account import Account
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.money import FEMTO_PER_USD, femto_from_usd
from farebox.simulate.bill import BillRow, read_bill
from farebox.state.ledger_authority import open_authority
from tests.proof.gateway import Gateway, run_simulated
from tests.proof.load import CHATS, Answer, Line
from tests.proof.storm import configure
from tests.proof.verdict import read_records

CALLS = 200
CAP = 40
ROOM = 10
WISH = 'Think of a number. [[simulate {"latency_ms": 400, "output_tokens": "max"}]]'
BODY = {
    "model": CHATS,
    "messages": [{"role": "user", "content": WISH}],
    "max_tokens": CAP,
}
TEAM = Account("team", "lab")


def _cap(limit: int) -> Budget:
    return Budget("", TEAM, "usd", read_window("lifetime"), limit)


async def _call_all(ports: list[int], calls: int) -> list[Answer]:
    lines = [Line(ports[number % len(ports)]) for number in range(calls)]
    answers = await asyncio.gather(
        *(line.call("/v1/chat/completions", BODY, {"authorization": "Bearer fbx-gamma"}) for line in lines)
    )
    for line in lines:
        await line.end()
    return list(answers)


def count_most_in_flight(bill: Path) -> int:
    """Return how many requests the provider has had under way at once."""
    moments: list[tuple[float, int]] = []
    for text in bill.read_bytes().splitlines():
        row = msgspec.json.decode(text, type=BillRow)
        moments.append((row.time_s, 1 if row.phase == "received" else -1))
    most = now = 0
    for _, step in sorted(moments):  # what ends at the same instant as another begins ends first
        now += step
        most = max(most, now)
    return most


def check_room_for_ten(folder: Path, hosts: int, workers: int, url: str | None) -> None:
    bill = folder / "bill.jsonl"
    with contextlib.ExitStack() as stack:
        simulated = stack.enter_context(run_simulated(bill))
        gateways = []
        for number in range(hosts):
            (folder / f"host-{number}" / "data").mkdir(parents=True)
            gateway = Gateway(folder / f"host-{number}", configure(simulated, url), workers)
            gateways.append(gateway)
        authority = open_authority(gateways[0].data_dir, url)
        stack.callback(authority.close)
        authority.put(_cap(1000 * FEMTO_PER_USD))
        for gateway in gateways:
            stack.enter_context(gateway)
        # What one call holds at most, and a little more than ten times that is the limit.
        assert asyncio.run(_call_all([gateways[0].port], 1))[0].status == 200
        (first,) = read_records([gateways[0].data_dir]).values()
        hold = first.sent.hold_femto
        spent = femto_from_usd(read_bill(bill)[0].amount_usd)
        assert hold > spent > 0
        limit = ROOM * hold + hold // 2
        authority.put(_cap(spent + limit))
        asyncio.run(asyncio.sleep(1.0))  # in force by then, everywhere
        answers = asyncio.run(_call_all([gateway.port for gateway in gateways], CALLS))
        for gateway in gateways:
            assert gateway.stop() == 0
        (status,) = authority.status(TEAM)
        assert authority.check() == []
    statuses = Counter(answer.status for answer in answers)
    assert statuses.keys() == {200, 402}, statuses
    assert statuses[200] >= ROOM, "room is left and somebody was refused"
    billed = sum(femto_from_usd(row.amount_usd) for row in read_bill(bill)) - spent
    assert 0 < billed <= limit
    assert count_most_in_flight(bill) <= ROOM
    assert (status.posted, status.held, status.overdraft) == (billed + spent, 0, 0)
    for answer in answers:
        if answer.status == 402:
            error = msgspec.json.decode(answer.body)["error"]
            assert error["code"] == "budget_exceeded"
            assert 0 <= int(answer.headers["x-farebox-affordable-max-tokens"]) < CAP
            assert femto_from_usd(answer.headers["x-farebox-budget-remaining-usd"]) < hold


LONG = pytest.mark.long


@pytest.mark.parametrize("workers", [pytest.param(1, marks=LONG), 2, pytest.param(6, marks=LONG)])
def test_case_01_two_hundred_calls_room_for_ten(tmp_path, workers):
    check_room_for_ten(tmp_path, 1, workers, None)


@pytest.mark.parametrize(
    ("hosts", "workers"),
    [pytest.param(1, 1, marks=LONG), pytest.param(1, 2, marks=LONG), (2, 2), pytest.param(2, 6, marks=LONG)],
)
def test_case_02_two_hundred_calls_on_postgres(tmp_path, new_database, hosts, workers):
    check_room_for_ten(tmp_path, hosts, workers, new_database())
