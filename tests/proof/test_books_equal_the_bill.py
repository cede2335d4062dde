"""The books equal the provider's own bill to the femtodollar: the same attempts, the same amounts, the same total."""

import itertools

import pytest

from farebox import replay
from farebox.books.query import Books
from farebox.replay.generate import Traffic, generate
from tests.proof.gateway import Gateway, run_simulated
from tests.proof.reckoning import AZURE, configure, drive, plan_of, reckon

APIS = ("openai", "anthropic")


def recorded(calls):
    if not AZURE.exists():
        pytest.skip(f"the Azure 2023 conversation trace is not at {AZURE}")
    return replay.parse(AZURE, "azure")


def generated(calls):
    return generate(Traffic(calls=calls, seed=7, models=("any",)))  # a model nobody serves: the plan chooses


@pytest.mark.parametrize(("trace", "calls"), [(recorded, 2_000), (generated, 500)])
def test_books_equal_the_bill(tmp_path, trace, calls):
    bill = tmp_path / "bill.jsonl"
    rows = trace(calls)
    with run_simulated(bill) as simulated, Gateway(tmp_path, configure(simulated)) as gateway:
        summary = drive(plan_of(rows, gateway.url, calls))
        assert gateway.stop() == 0
    assert summary.statuses == {200: calls}
    reckoning = reckon(gateway.data_dir, bill)
    assert len(reckoning.booked) == calls
    reckoning.check_equal()
    with Books(gateway.data_dir) as books:
        seen = books._run("SELECT DISTINCT dialect, provider, stream FROM attempts")
    assert set(seen) == set(itertools.product(APIS, APIS, (False, True))), "either dialect to either provider"
    assert gateway.errors.read_text() == ""
