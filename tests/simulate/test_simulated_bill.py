"""The bill: exact amounts, nothing lost, nothing shared with the gateway."""

import ast
import json
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import farebox.simulate
from farebox.simulate.bill import Bill, BillRow, fingerprint, read_bill, total_usd, usd_text
from farebox.simulate.models import METERS, SERVED, amount_usd, models_of

FOLDER = Path(farebox.simulate.__file__).parent


def row(serial="req_1", phase="received", **more):
    fixed = {"time_s": 1.0, "api": "openai", "endpoint": "/v1/embeddings", "key": "", "status": 200}
    return BillRow(**{"id": serial, "phase": phase, "outcome": "planned", **fixed, **more})


def test_the_oracle_shares_no_code_with_what_it_judges():
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{a.name}" for a in node.names]
            for name in names:
                assert not name.startswith("farebox") or name.startswith("farebox.simulate"), f"{path.name}: {name}"


def test_a_row_is_written_on_receipt_and_again_at_the_end(hands, sim):
    headers = {"x-farebox-attempt": "att_7", "x-client-request-id": "client_1"}
    body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "abcd"}], "max_tokens": 3}
    _, answer, _ = hands.openai("/v1/chat/completions", body, headers)
    received, done = (json.loads(line) for line in sim.bill_path.read_text().splitlines())
    assert (received["phase"], received["outcome"], received["usage"]) == ("received", "planned", None)
    assert (done["phase"], done["outcome"], done["usage"]["total_tokens"]) == ("done", "complete", 4)
    for one in (received, done):
        assert one["id"] == answer["x-request-id"]
        assert one["key"] == fingerprint("sk-test")
        assert (one["asked_model"], one["model"]) == ("gpt-4o-mini", "gpt-4o-mini-2024-07-18")
        assert (one["correlation"], one["amount_usd"]) == ("att_7", "0.00000195")
    assert "sk-test" not in sim.bill_path.read_text()


def test_the_callers_own_id_correlates_without_a_gateway(hands, sim):
    body = {"model": "claude-haiku-4-5", "max_tokens": 3, "messages": [{"role": "user", "content": "abcd"}]}
    hands.anthropic("/v1/messages", body, {"x-client-request-id": "client_1"})
    hands.anthropic("/v1/messages", body)
    assert [r.correlation for r in sim.rows()] == ["client_1", None]


def test_a_request_that_never_ended_is_billed_as_planned(tmp_path):
    bill = Bill(tmp_path / "bill.jsonl")
    bill.add(row("req_1", amount_usd="0.5"))
    bill.add(row("req_2", amount_usd="0.25"))
    bill.add(row("req_1", "done", outcome="cut", amount_usd="0.1"))
    bill.close()
    rows = read_bill(bill.path)
    assert [(r.id, r.phase, r.amount_usd) for r in rows] == [("req_1", "done", "0.1"), ("req_2", "received", "0.25")]
    assert total_usd(rows) == Decimal("0.35")


def test_a_torn_line_is_skipped_and_does_not_hurt_the_next(tmp_path):
    path = tmp_path / "bill.jsonl"
    path.write_bytes(b'{"id":"req_0","pha')
    bill = Bill(path)
    bill.add(row("req_1", "done"))
    bill.close()
    assert [r.id for r in read_bill(path)] == ["req_1"]


@given(
    st.sampled_from([m for api in SERVED for m in models_of(api)]),
    st.dictionaries(st.sampled_from(METERS), st.integers(0, 10**9)),
)
def test_amounts_are_exact(model, quantities):
    quantities = {m: n for m, n in quantities.items() if m in model.usd_per_mtok}
    amount = amount_usd(model, quantities)
    # An independent sum in integers of 1e-12 dollars per token, of which every published price here is a multiple.
    pico = sum(int(model.usd_per_mtok[m] * 10**6) * n for m, n in quantities.items())
    assert amount * 10**12 == pico
    assert Decimal(usd_text(amount)) == amount
    assert "E" not in usd_text(amount)


def test_a_meter_without_a_price_cannot_be_billed():
    with pytest.raises(KeyError):
        amount_usd(SERVED["openai"]["gpt-4o"], {"cache_write_5m": 1})


def test_published_multipliers_hold():
    for model in models_of("anthropic"):
        base = model.usd_per_mtok["input"]
        ratios = [model.usd_per_mtok[m] / base for m in ("cache_read", "cache_write_5m", "cache_write_1h")]
        assert ratios == [Decimal("0.1"), Decimal("1.25"), Decimal(2)]


def test_every_price_agrees_with_a_public_price_list():
    """A second transcription of the vendors' pages; a wrong digit here would accuse the gateway."""
    listed = pytest.importorskip("genai_prices.data").providers
    meters = {
        "input": "input_mtok",
        "cache_read": "cache_read_mtok",
        "cache_write_5m": "cache_write_mtok",
        "cache_write_1h": "cache_write_1h_mtok",
        "output": "output_mtok",
    }
    for provider in listed:
        for model in models_of(provider.id) if provider.id in SERVED else []:
            found = [m for m in provider.models if m.match.is_match(model.resolved)]
            assert len(found) == 1, model.resolved
            prices = found[0].prices
            latest = prices if not isinstance(prices, list) else prices[-1].prices
            for meter, price in model.usd_per_mtok.items():
                assert getattr(latest, meters[meter]) == price, (model.resolved, meter)
