"""Behind one dialect every provider keeps its own terms: how it counts, where it is, what it says it costs."""

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from farebox.books.ingest import ingest_once
from farebox.books.query import Books
from farebox.journal.record import Done, Sent
from farebox.meter import assume, lost
from farebox.prices.choose import Rating
from farebox.prices.engine import charge
from farebox.state.pricebook import load_book
from farebox.usage import Usage

BOOK = load_book()
QUESTION = {"messages": [{"role": "user", "content": "Hi"}], "max_completion_tokens": 500}
GROK = "grok-4.3"
TICK_FEMTO = 10**5


def body_of(model: str, usage: dict[str, Any]) -> bytes:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}
    return json.dumps(
        {"object": "chat.completion", "id": "c", "model": model, "choices": [choice], "usage": usage}
    ).encode()


def events_of(model: str, usage: dict[str, Any]) -> list[bytes]:
    chunk = {"id": "c", "model": model, "choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}
    told = {"id": "c", "choices": [], "usage": usage}
    return [*(b"data: " + json.dumps(each).encode() + b"\n\n" for each in (chunk, told)), b"data: [DONE]\n\n"]


def expected(provider: str, model: str, meters: dict[str, int], at_ns: int, region: str | None = None) -> int:
    total = sum(count for meter, count in meters.items() if meter.startswith(("input", "cache")))
    rating = Rating(provider, model, model, Usage(meters, total), at_ns, region=region)
    return charge(BOOK, rating).total_femto  # type: ignore[union-attr]


def ask(gateway, raw, model: str, usage: dict[str, Any], *, stream: bool) -> None:
    name = model.partition("/")[2]
    if stream:
        raw.stream(*events_of(name, usage))
    else:
        raw.whole(body_of(name, usage))
    status, *_ = gateway.openai("/chat/completions", {**QUESTION, "model": model, "stream": stream})
    assert status == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("more_ticks", [0, 50])
def test_reasoning_beside_the_answer_and_the_providers_figure(gateway, raw, books, stream, more_ticks):
    meters = {"input": 100, "output": 10, "reasoning": 40}
    cost = expected("x-ai", GROK, meters, 1_795_392_000_000_000_000)
    assert cost % TICK_FEMTO == 0
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 10,
        "total_tokens": 150,
        "completion_tokens_details": {"reasoning_tokens": 40},
        "cost_in_usd_ticks": cost // TICK_FEMTO + more_ticks,
    }
    ask(gateway, raw, f"raw-xai/{GROK}", usage, stream=stream)
    (attempt,) = books.attempts(1)
    assert attempt.done.meters == meters
    assert attempt.done.total_femto == expected("x-ai", GROK, meters, attempt.sent.at_ns)
    assert attempt.done.reported_femto == cost + more_ticks * TICK_FEMTO
    assert attempt.done.flags == (("reported_differs",) if more_ticks else ())


@pytest.mark.parametrize("stream", [False, True])
def test_the_region_of_the_endpoint_is_on_record_and_in_the_price(gateway, raw, books, stream):
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    ask(gateway, raw, "raw-eu/gpt-5.4", usage, stream=stream)
    ask(gateway, raw, "raw/gpt-5.4", usage, stream=stream)
    abroad, home = books.attempts(2)
    assert (abroad.sent.region, home.sent.region) == ("eu", "")
    meters = {"input": 100, "output": 10}
    assert home.done.total_femto == expected("openai", "gpt-5.4", meters, home.sent.at_ns)
    assert abroad.done.total_femto == expected("openai", "gpt-5.4", meters, abroad.sent.at_ns, "eu")
    assert abroad.done.total_femto * 10 == home.done.total_femto * 11


def test_whoever_ends_a_dead_gateways_attempts_knows_the_region(tmp_path, raw, start_gateway):
    def end_lost(sent: Sent) -> Done:
        return lost(BOOK, sent, sent.at_ns + 1)

    raw.reply(raw.HOLD)
    gateway = start_gateway(tmp_path, "http://127.0.0.1:9", raw.url)
    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(gateway.openai, "/chat/completions", {**QUESTION, "model": "raw-eu/gpt-5.4"})
        deadline_s = time.monotonic() + 10
        while not raw.received:
            assert time.monotonic() < deadline_s, "the request does not reach the provider"
            time.sleep(0.005)
        gateway.process.kill()
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            asking.result()
    gateway.process.wait(10)
    (sent,) = [record for record in gateway.records() if isinstance(record, Sent)]
    assert ingest_once(gateway.data_dir, end_lost).assumed == 1
    with Books(gateway.data_dir) as found:
        (row,) = found.attempts_of(sent.call)
    assert (row.outcome, row.flags, row.region) == ("lost", ("assumed",), "eu")
    at_home = assume(BOOK, msgspec.structs.replace(sent, region="")).total_femto
    assert at_home is not None
    assert row.total_femto == assume(BOOK, sent).total_femto == at_home * 11 // 10
