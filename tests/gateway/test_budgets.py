"""Budgets through the gateway: who is refused and how, what is held, settled and overdrawn."""

import json
import time

import anthropic
import openai
import pytest

from farebox.budgets.account import read_account
from farebox.budgets.plan import Budget
from farebox.budgets.window import read_window
from farebox.money import femto_from_usd, usd_text
from farebox.state.ledger_authority import open_authority

ASK = [{"role": "user", "content": "Tell me about trains."}]
WITHIN_S = 5.0


class Caps:
    """The ledger of the gateway under test."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.authority = open_authority(gateway.data_dir)

    def put(self, account, usd=None, *, window="day", unit="usd", limit=None, **fields):
        amount = femto_from_usd(usd) if unit == "usd" else limit
        kind = "lifetime" if unit == "concurrency" else window
        return self.authority.put(Budget("", read_account(account), unit, read_window(kind), amount, **fields))

    def settled(self, account):
        """How an account's only budget stands when nothing is held any more: a change of plan gives all back."""
        self.put(f"user:nobody-{time.monotonic_ns()}", "1")
        deadline_s = time.monotonic() + WITHIN_S
        while True:
            (status,) = self.authority.status(read_account(account))
            if not status.held or time.monotonic() > deadline_s:
                assert not status.held, status
                return status
            time.sleep(0.02)

    def until_in_force(self):
        """Wait until the worker knows every budget there is now."""
        sentinel = f"sentinel-{time.monotonic_ns()}"
        self.put(f"user:{sentinel}", unit="requests", limit=0)
        deadline_s = time.monotonic() + WITHIN_S
        while call(self.gateway, user=sentinel)[0] != 429:
            assert time.monotonic() < deadline_s
        return self


@pytest.fixture(scope="module")
def caps(gateway):
    found = Caps(gateway)
    yield found
    assert found.authority.check() == []
    found.authority.close()


def call(gateway, model="gpt-4o-mini", headers=(), **fields):
    body = {"model": model, "messages": ASK, "max_tokens": 50, **fields}
    status, answer_headers, answer = gateway.openai("/chat/completions", body, headers)
    return status, answer_headers, answer


def test_a_change_is_in_force_within_a_second(gateway, caps):
    caps.put("user:quick", "0")
    started_s = time.monotonic()
    while call(gateway, user="quick")[0] == 200:
        assert time.monotonic() < started_s + 1.0
    caps.put("user:quick", "5")
    started_s = time.monotonic()
    while call(gateway, user="quick")[0] == 402:
        assert time.monotonic() < started_s + 1.0


def test_openai_clients_are_told_what_is_left_and_what_they_can_afford(gateway, caps, books, gpt):
    caps.put("user:poor", "0.0005")
    caps.until_in_force()
    before = len(books.rows())
    with pytest.raises(openai.APIStatusError) as refused:
        gpt.chat.completions.create(model="gpt-4o-mini", messages=ASK, max_tokens=1000, user="poor")
    error = refused.value
    assert (error.status_code, error.code) == (402, "budget_exceeded")
    assert "user:poor" in str(error)
    assert error.response.headers["x-farebox-budget-remaining-usd"] == "0.0005"
    affordable = int(error.response.headers["x-farebox-affordable-max-tokens"])
    assert f"max_tokens to {affordable} or less" in str(error)
    assert len(books.rows()) == before
    assert call(gateway, user="poor", max_tokens=affordable + 50)[0] == 402
    assert call(gateway, user="poor", max_tokens=affordable)[0] == 200


def test_anthropic_clients_see_their_own_error(caps, claude):
    caps.put("user:poor-too", "0.0001")
    caps.until_in_force()
    with pytest.raises(anthropic.APIStatusError) as refused:
        claude.messages.create(
            model="claude-haiku-4-5", messages=ASK, max_tokens=1000, metadata={"user_id": "poor-too"}
        )
    assert refused.value.status_code == 402
    error = refused.value.response.json()["error"]
    assert (error["type"], error["details"]["error_code"]) == ("billing_error", "budget_exceeded")


def test_a_call_that_fits_is_settled_at_its_cost(gateway, caps, books):
    caps.put("user:rich", "1")
    caps.until_in_force()
    start = len(gateway.records())
    assert call(gateway, user="rich")[0] == 200
    sent, done = gateway.records()[start:]
    assert sent.hold_femto > done.total_femto > 0
    assert [entry.split("|")[2] for entry in sent.charged] == ["usd"]
    status = caps.settled("user:rich")
    assert (status.posted, status.overdraft) == (done.total_femto, 0)


def test_an_output_cap_is_put_in_where_the_client_gives_none(gateway, caps, raw):
    caps.put("user:capless", "5")
    caps.until_in_force()
    raw.whole(b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}')
    body = {"model": "raw/gpt-4o", "messages": ASK, "user": "capless"}
    assert gateway.openai("/chat/completions", body)[0] == 200
    assert json.loads(raw.received[0][2])["max_tokens"] == 16_384
    assert gateway.openai("/chat/completions", {**body, "user": "free"})[0] == 200
    assert "max_tokens" not in json.loads(raw.received[1][2])


def test_the_cap_is_lowered_only_where_that_is_asked_for(gateway, caps, raw):
    caps.put("user:clamped", "0.005")
    caps.until_in_force()
    raw.whole(b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":10,"completion_tokens":3,"total_tokens":13}}')
    assert call(gateway, "raw/gpt-4o", user="clamped", max_tokens=5000)[0] == 402
    status, headers, _ = call(
        gateway, "raw/gpt-4o", {"x-farebox-clamp": "true"}, user="clamped", max_tokens=5000
    )  # fmt: skip
    assert status == 200
    told = json.loads(raw.received[0][2])["max_tokens"]
    assert 0 < told < 5000
    assert headers["x-farebox-clamped"] == f"max_tokens={told}"


def test_a_client_can_set_its_own_ceiling(gateway, caps, books):
    caps.until_in_force()
    status, headers, body = call(gateway, headers={"x-farebox-max-cost-usd": "0.0000001"})
    assert (status, json.loads(body)["error"]["code"]) == (402, "budget_exceeded")
    assert headers["x-farebox-budget-remaining-usd"] == "0.0000001"
    assert call(gateway, headers={"x-farebox-max-cost-usd": "0.5"})[0] == 200
    status, _, body = call(gateway, headers={"x-farebox-max-cost-usd": "1e9999999"})
    assert (status, json.loads(body)["error"]["param"]) == (400, "x-farebox-max-cost-usd")


def test_one_call_may_be_capped_apart_from_the_budget(gateway, caps):
    caps.put("user:careful", "5", call_limit=femto_from_usd("0.000001"))
    caps.until_in_force()
    status, _, body = call(gateway, user="careful")
    assert status == 402
    assert "the budget of user:careful allows 0.000001 USD a call" in json.loads(body)["error"]["message"]


def test_an_unknown_price_is_refused_where_money_is_capped(gateway, caps, raw):
    caps.put("user:strict", "5")
    caps.until_in_force()
    raw.whole(b"{}")
    status, _, body = call(gateway, "raw/no-such-model", user="strict")
    assert (status, json.loads(body)["error"]["code"]) == (402, "price_unknown")
    assert not raw.received


def test_soft_budgets_count_and_refuse_nothing(gateway, caps):
    caps.put("user:soft", "0.0000001", hard=False)
    caps.until_in_force()
    assert {call(gateway, user="soft")[0] for _ in range(3)} == {200}
    deadline_s = time.monotonic() + WITHIN_S
    while (status := caps.settled("user:soft")).posted < 3 * status.limit:
        assert time.monotonic() < deadline_s
    assert not status.closed


def test_requests_are_limited(gateway, caps):
    caps.put("user:busy", unit="requests", limit=3, window="day")
    caps.until_in_force()
    assert [call(gateway, user="busy")[0] for _ in range(4)] == [200, 200, 200, 429]
    status, headers, body = call(gateway, user="busy")
    error = json.loads(body)["error"]
    assert (status, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert 0 < int(headers["retry-after"]) <= 86_400
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-remaining-requests"]) == ("3", "0")
    assert headers["x-ratelimit-reset-requests"].endswith("s")
    status, headers, _ = gateway.anthropic(
        "/messages",
        {"model": "claude-haiku-4-5", "messages": ASK, "max_tokens": 5, "metadata": {"user_id": "busy"}},
    )
    assert (status, headers["anthropic-ratelimit-requests-limit"]) == (429, "3")
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")


def test_tokens_are_estimated_before_and_corrected_after(gateway, caps):
    caps.put("user:wordy", unit="output_tokens", limit=100, window="day")
    caps.until_in_force()
    assert call(gateway, user="wordy", max_tokens=101)[0] == 429
    start = len(gateway.records())
    assert call(gateway, user="wordy", max_tokens=100)[0] == 200
    _, done = gateway.records()[start:]
    status = caps.settled("user:wordy")
    assert status.posted == done.meters["output"]


def test_calls_under_way_are_limited(gateway, caps):
    wishes = {"fault": "stall", "stall_ms": 60_000}
    user = json.dumps(wishes)
    caps.put(f"user:{user}", unit="concurrency", limit=1)
    caps.until_in_force()
    with gateway.stream(**wishes):
        status, headers, _ = call(gateway, user=user)
        assert (status, headers["retry-after"]) == (429, "1")
    assert caps.settled(f"user:{user}").posted == 0


def test_a_provider_that_bills_more_than_its_cap_closes_the_account(gateway, caps, raw):
    caps.put("user:overrun", "1")
    caps.until_in_force()
    start = len(gateway.records())
    raw.whole(
        b'{"model":"gpt-4o","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2500,"total_tokens":2509}}'
    )
    assert call(gateway, "raw/gpt-4o", user="overrun", max_tokens=50)[0] == 200
    sent, done = gateway.records()[start:]
    status = caps.settled("user:overrun")
    assert done.total_femto > sent.hold_femto
    assert (status.posted, status.overdraft) == (done.total_femto, done.total_femto - sent.hold_femto)
    assert status.closed
    code, _, body = call(gateway, user="overrun")
    assert code == 402
    assert "is closed" in json.loads(body)["error"]["message"]
    caps.authority.reset(read_account("user:overrun"))
    caps.until_in_force()
    assert call(gateway, user="overrun")[0] == 200


def test_a_stream_that_outgrows_its_cap_is_cut(gateway, caps, raw):
    caps.put("user:cut", "1")
    caps.until_in_force()
    start = len(gateway.records())
    event = b'data: {"model":"gpt-4o","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'
    raw.stream(event * 20, event * 400, raw.HOLD)
    code, _, body = call(gateway, "raw/gpt-4o", user="cut", max_tokens=20, stream=True)
    assert code == 200
    last = json.loads(body.strip().split(b"\n\n")[-1].removeprefix(b"data: "))
    assert last["error"]["code"] == "budget_cutoff"
    assert b"[DONE]" not in body
    sent, done = gateway.records()[start:]
    assert (done.outcome, "estimated" in done.flags) == ("cut", True)
    status = caps.settled("user:cut")
    assert status.posted == done.charged_femto > sent.hold_femto
    assert (status.overdraft, status.closed) == (done.charged_femto - sent.hold_femto, True)


def test_a_failover_that_does_not_fit_is_not_made(gateway, caps, raw):
    caps.put("user:first", "1")
    caps.until_in_force()
    start = len(gateway.records())
    raw.whole(b"<html>")
    assert call(gateway, "raw-first", user="first")[0] == 200
    hold_femto = gateway.records()[start].hold_femto
    caps.put("user:other", usd_text(hold_femto + 1000))
    caps.until_in_force()
    start = len(gateway.records())
    code, _, body = call(gateway, "raw-first", user="other")
    assert (code, json.loads(body)["error"]["code"]) == (502, "provider_answer_unreadable")
    (sent, done) = gateway.records()[start:]
    assert "assumed" in done.flags
    assert caps.settled("user:other").posted == sent.hold_femto


def test_a_target_that_is_too_dear_is_left_out_for_one_that_fits(gateway, caps, raw):
    caps.put("user:thrifty", "0.001")
    caps.until_in_force()
    raw.whole(b"<html>")
    status, headers, _ = call(gateway, "raw-first", user="thrifty")
    assert (status, headers["x-farebox-provider"], headers["x-farebox-attempts"]) == (200, "openai", "1")
    assert not raw.received
