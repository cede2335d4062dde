"""Case 19: the same answer costs the same whether it streams or not, with caches, reasoning and tools; 0 is not absent.

Each pair is asked for through a whole gateway; what the provider bills is what is on record, and a budget is charged.
"""

import itertools
import json

import pytest

from farebox.money import femto_from_usd
from tests.proof.house import House, open_house
from tests.proof.verdict import OnRecord

LONG = "Once upon a time there was a gateway whose books balanced. " * 300
TOOLS = [{"name": "weather", "description": "Tells it.", "input_schema": {"type": "object", "properties": {}}}]
MODELS = """
[[models]]
name = "gpt-5-mini"
targets = [{ provider = "openai", model = "gpt-5-mini" }]

[[models]]
name = "claude-sonnet-4-6"
targets = [{ provider = "anthropic", model = "claude-sonnet-4-6" }]
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    with open_house(tmp_path_factory.mktemp("parity") / "house", config=MODELS, usd="5", workers=1) as house:
        yield house
        assert house.finish() == []


def ask_chat(model, wishes, *, cached=False, tools=False):
    text = f"{LONG if cached else ''}Answer me. [[simulate {json.dumps(wishes)}]]"
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_completion_tokens": 400}
    if tools:
        body["tools"] = [{"type": "function", "function": {"name": "weather", "parameters": TOOLS[0]["input_schema"]}}]
    return "/v1/chat/completions", body


def ask_messages(model, wishes, *, cached=False, tools=False):
    text = f"Answer me. [[simulate {json.dumps(wishes)}]]"
    body = {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 2000}
    if cached:
        body["system"] = [{"type": "text", "text": LONG, "cache_control": {"type": "ephemeral"}}]
    if tools:
        body["tools"] = TOOLS
    return "/v1/messages", body


CASES = {
    "plain": ({"output_tokens": 37}, {}, {"input", "output"}),
    "cache": ({"output_tokens": 12}, {"cached": True}, {"cache_read"}),
    "reasoning": ({"output_tokens": 90, "reasoning_tokens": 64}, {}, {"output"}),
    "tools": ({"tool_calls": 2}, {"tools": True}, {"output"}),
    "nothing": ({"output_tokens": 1, "text": ""}, {}, {"input"}),
}
ASKED = [
    (ask_chat, "gpt-4o-mini"),
    (ask_chat, "gpt-5-mini"),
    (ask_messages, "claude-haiku-4-5"),
    (ask_messages, "claude-sonnet-4-6"),
    (ask_chat, "claude-haiku-4-5"),
    (ask_messages, "gpt-4o-mini"),
]


def run(house: House, path: str, body: dict[str, object]) -> OnRecord:
    known = house.records().keys()
    answer = house.post(path, body, headers={"anthropic-version": "2023-06-01"} if "messages" in path else None)
    assert answer.status == 200, answer
    (attempt,) = house.records().keys() - known
    return house.records()[attempt]


@pytest.mark.parametrize(("asked", "case"), list(itertools.product(ASKED, CASES)))
def test_case_19_stream_costs_what_whole_costs(house, asked, case):
    ask, model = asked
    wishes, options, meters = CASES[case]
    path, body = ask(model, wishes, **options)
    if options.get("cached"):
        run(house, path, body)  # the first one fills the provider's cache
    whole = run(house, path, body)
    stream = run(house, path, {**body, "stream": True})
    assert (whole.sent.stream, stream.sent.stream) == (False, True)
    assert whole.end.meters == stream.end.meters
    assert whole.end.lines == stream.end.lines
    assert whole.end.total_femto == stream.end.total_femto
    assert whole.end.flags == stream.end.flags == ()
    assert meters <= whole.end.meters.keys()
    rows = {row.correlation: femto_from_usd(row.amount_usd) for row in house.rows()}
    assert rows[whole.sent.attempt] == rows[stream.sent.attempt] == whole.used_femto


def test_case_19_zero_is_not_absent(tmp_path):
    """A usage of zero costs nothing; one that is absent is counted from what was seen, and says so."""
    with open_house(tmp_path, workers=1) as house:
        for stream in (False, True):
            zero = run_with_fault(house, "zero_usage", stream)
            assert (zero.end.total_femto, zero.end.flags) == (0, ())
            assert zero.used_femto == 0
            absent = run_with_fault(house, "missing_usage", stream)
            assert set(absent.end.flags) >= {"no_usage", "estimated"}
            (row,) = [row for row in house.rows() if row.correlation == absent.sent.attempt]
            assert absent.used_femto >= femto_from_usd(row.amount_usd) > 0


def run_with_fault(house: House, fault: str, stream: bool) -> OnRecord:
    path, body = ask_chat("gpt-4o-mini", {"output_tokens": 30, "fault": fault})
    return run(house, path, {**body, "stream": stream})
