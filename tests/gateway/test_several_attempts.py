"""Attempts beside each other, copies, canaries and several keys, through a real gateway; books against bills."""

import json
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from farebox.journal.record import Done, Sent
from farebox.simulate.run import ProvidersInThread, SimulatedProviders
from tests.gateway.conftest import KEY, Gateway

HEAD = f"""
keys = [{{ name = "tests", key = "{KEY}" }}]
[retries]
repeats = 0
[pacing]
learn = false
"""
_WITHIN_S = 10.0


class House:
    """A gateway in front of two providers, of which the first takes its time."""

    def __init__(self, folder: Path, slow: SimulatedProviders, quick: SimulatedProviders) -> None:
        self._folder = folder
        self.providers = {"slow": slow, "quick": quick}
        self.gateway: Gateway

    def start(self, models: str, slow: str = 'api_key = "sk-s"', slow_kind: str = "openai") -> None:
        urls = {name: each.url for name, each in self.providers.items()}
        text = f"""
providers = [
  {{ name = "slow", kind = "{slow_kind}", base_url = "{urls["slow"]}/v1", rates = "openai", {slow} }},
  {{ name = "quick", kind = "openai", base_url = "{urls["quick"]}/v1", rates = "openai", api_key = "sk-q" }},
]
{HEAD}
{models}
"""
        (self._folder / "farebox.toml").write_text(text)
        self.gateway = Gateway(self._folder, self._folder / "farebox.toml")

    def ask(self, *, stream: bool = False, **fields: Any) -> tuple[int, dict[str, str], bytes]:
        body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream, "max_tokens": 40}
        status, headers, data = self.gateway.openai("/chat/completions", {**body, **fields})
        return status, headers, data

    def attempts(self, count: int) -> list[tuple[Sent, Done]]:
        """So many attempts, each with its end; waits for their ends."""
        deadline_s = time.monotonic() + _WITHIN_S
        while True:
            records = self.gateway.records()
            ends = {record.attempt: record for record in records if isinstance(record, Done)}
            if len(ends) >= count or time.monotonic() > deadline_s:
                break
            time.sleep(0.01)
        sent = [record for record in records if isinstance(record, Sent)]
        assert len(sent) == len(ends) == count
        return [(record, ends[record.attempt]) for record in sent]

    def billed_femto(self, name: str) -> int:
        return sum(int(row.amount * 10**15) for row in self.providers[name].rows())


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with (
        ProvidersInThread(bill_path=tmp_path / "slow.jsonl") as slow_providers,
        ProvidersInThread(bill_path=tmp_path / "quick.jsonl") as quick_providers,
    ):
        slow_providers.configure(defaults={"ttft_ms": 400, "latency_ms": 400, "output_tokens": 20})
        quick_providers.configure(defaults={"output_tokens": 20})
        made = House(tmp_path, slow_providers, quick_providers)
        yield made
        assert made.gateway.stop() == 0


HEDGED = """
[[models]]
name = "m"
targets = [{ provider = "slow", model = "gpt-4o-mini" }, { provider = "quick", model = "gpt-4o-mini" }]
hedge = { at_least_ms = 20, at_most_ms = 60, most_percent = 100 }
"""


def test_a_rival_answers_where_the_first_takes_long(house: House) -> None:
    house.start(HEDGED)
    start_s = time.monotonic()
    status, headers, data = house.ask(stream=True)
    assert time.monotonic() - start_s < 0.35
    assert (status, headers["x-farebox-provider"]) == (200, "quick")
    assert data.rstrip().endswith(b"[DONE]")
    assert headers["x-farebox-route"].startswith("hedge: slow/gpt-4o-mini had not begun after 60 ms")
    (first, first_end), (rival, rival_end) = house.attempts(2)
    assert (first.role, first_end.outcome, first_end.final) == ("first", "outpaced", False)
    assert first_end.flags == ("estimated",)
    assert (rival.role, rival_end.outcome, rival_end.final) == ("hedge", "ok", True)
    assert rival_end.total_femto == house.billed_femto("quick")
    assert first_end.total_ns < 300_000_000, "it was cut at once"


@pytest.mark.parametrize("stream", [True, False])
def test_what_costs_anyway_is_read_to_its_end(house: House, stream: bool) -> None:
    house.start(HEDGED, 'api_key = "sk-s", on_disconnect = "drain"')
    status, headers, _ = house.ask(stream=stream)
    assert (status, headers["x-farebox-provider"]) == (200, "quick")
    (_, first_end), (_, rival_end) = house.attempts(2)
    assert (first_end.outcome, first_end.final, first_end.flags) == ("outpaced", False, ())
    assert first_end.total_femto == house.billed_femto("slow")
    assert rival_end.total_femto == house.billed_femto("quick")


def test_who_answers_in_time_has_no_rival(house: House) -> None:
    house.start(HEDGED.replace("at_most_ms = 60", "at_most_ms = 5000"))
    assert house.ask(stream=True)[1]["x-farebox-provider"] == "slow"
    house.attempts(1)


def test_a_rival_answers_where_the_first_fails_late(house: House) -> None:
    house.start(HEDGED)
    house.providers["slow"].configure(defaults={"fault": "hang_before_headers", "stall_ms": 200})
    for stream in (True, False):
        assert house.ask(stream=stream)[1]["x-farebox-provider"] == "quick"


def test_both_fail(house: House) -> None:
    house.start(HEDGED)
    house.providers["slow"].configure(defaults={"fault": "close_before_headers", "latency_ms": 100})
    house.providers["quick"].configure(defaults={"status": 503, "latency_ms": 100})
    status, _, body = house.ask(stream=True)
    assert status in {502, 503}
    assert json.loads(body)["error"]
    finals = [done.final for _, done in house.attempts(2)]
    assert finals.count(True) <= 1


def test_a_stop_waits_for_what_goes_on_beside(house: House) -> None:
    house.start(HEDGED, 'api_key = "sk-s", on_disconnect = "drain"')
    assert house.ask(stream=True)[0] == 200
    assert house.gateway.stop() == 0
    (_, first_end), _ = house.attempts(2)
    assert (first_end.outcome, first_end.flags) == ("outpaced", ())


def test_a_shadow_gets_copies_and_nobody_its_answers(house: House) -> None:
    house.start("""
[[models]]
name = "m"
targets = [
  { provider = "quick", model = "gpt-4o-mini" },
  { provider = "slow", model = "gpt-4o", shadow_percent = 100 },
]
""")
    start_s = time.monotonic()
    status, headers, _ = house.ask()
    assert time.monotonic() - start_s < 0.35, "nobody waits for it"
    assert (status, headers["x-farebox-provider"]) == (200, "quick")
    by_role = {sent.role: (sent, done) for sent, done in house.attempts(2)}
    sent, done = by_role["shadow"]
    assert (sent.provider, sent.model, done.outcome, done.final) == ("slow", "gpt-4o", "ok", False)
    assert done.total_femto == house.billed_femto("slow")
    assert by_role["first"][1].final
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 40}
    capped = house.gateway.openai("/chat/completions", body, {"x-farebox-max-cost-usd": "1"})
    assert capped[0] == 200
    house.attempts(3)  # a call with a ceiling is not copied


def test_a_canary_gets_its_share_first_and_no_other(house: House) -> None:
    house.start("""
[[models]]
name = "m"
targets = [
  { provider = "quick", model = "gpt-4o-mini" },
  { provider = "quick", model = "gpt-4o", canary_percent = 20 },
]
""")
    models = Counter(house.ask()[1]["x-farebox-model"] for _ in range(200))
    assert 20 <= models["gpt-4o"] <= 62
    house.providers["quick"].configure(rules=[{"status": 500, "model": "gpt-4o-mini"}])
    assert house.ask()[1]["x-farebox-model"] == "gpt-4o"


TWO_KEYS = 'keys = [{ name = "one", key = "KEY_ONE", weight = 3 }, { name = "two", key = "sk-two" }]'
ONLY = """
[[models]]
name = "m"
targets = [{ provider = "slow", model = "gpt-4o-mini" }]
"""


def test_calls_are_spread_over_keys(house: House) -> None:
    house.providers["slow"].configure(defaults={})
    house.start(ONLY, TWO_KEYS.replace("KEY_ONE", "sk-one"))
    for _ in range(80):
        assert house.ask()[0] == 200
    keys = Counter(sent.provider_key for sent, _ in house.attempts(80))
    assert set(keys) == {"one", "two"}
    assert keys["one"] > keys["two"]


def test_a_key_that_is_refused_or_limited_makes_way_for_the_other(house: House) -> None:
    house.providers["slow"].configure(defaults={})
    house.start(ONLY, TWO_KEYS.replace("KEY_ONE", "sk-invalid"))
    statuses = [house.ask()[0] for _ in range(20)]
    assert statuses == [200] * 20
    refused = [sent.provider_key for sent, done in house.attempts(21) if done.status == 401]
    assert refused == ["one"], "it is found out once"
