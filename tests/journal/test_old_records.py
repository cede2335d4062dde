"""Records of earlier versions, field by field as they were written, read with what they did not have as absent."""

from typing import Any

import msgspec

from farebox.charge import Line
from farebox.journal.record import Done, Record, Sent

# As of the first release: no region, deployment, reported cost, and lines without `per`.
SENT: list[Any] = [
    "S1", "call_1.1", "call_1", 1, 1_795_392_000_000_000_000, "key_1", "bench", "ada", {"team": "search"}, "openai",
    "chat", "gpt-4o-mini", "openai", "openai", "gpt-4o-mini", False, 900, {"user": 100}, None, "chat", "flex",
]  # fmt: skip
LINES = [
    ["input", 80, 150_000_000, 12_000_000_000, "openai/gpt-4o-mini/standard#input"],
    ["output", 50, 600_000_000, 30_000_000_000, "openai/gpt-4o-mini/standard#output"],
]
DONE: list[Any] = [
    "D1", "call_1.1", 1_795_392_001_000_000_000, "ok", True, 200, "stop", ["estimated"], "", b'{"prompt_tokens":80}',
    {"input": 80, "output": 50}, LINES, 42_000_000_000, "", "b" * 64, "gpt-4o-mini-2024-07-18", "default", "req_1",
    300_000_000, 1_000_000_000, 90_000,
]  # fmt: skip


def read(fields: list[Any]) -> Record:
    record: Record = msgspec.msgpack.decode(msgspec.msgpack.encode(fields), type=Record)
    return record


def test_a_beginning_without_region_and_deployment() -> None:
    sent = read(SENT)
    assert isinstance(sent, Sent)
    assert (sent.attempt, sent.provider_operation, sent.asked_tier) == ("call_1.1", "chat", "flex")
    assert (sent.region, sent.deployment) == ("", "")


def test_an_end_without_reported_cost_whose_lines_are_by_the_piece() -> None:
    done = read(DONE)
    assert isinstance(done, Done)
    assert (done.total_femto, done.gateway_ns, done.reported_femto) == (42_000_000_000, 90_000, None)
    assert done.lines[0] == Line("input", 80, 150_000_000, 12_000_000_000, "openai/gpt-4o-mini/standard#input", 1)
    assert sum(line.quantity * line.unit_price_femto // line.per for line in done.lines) == done.total_femto


def test_a_beginning_from_before_its_operation_was_kept() -> None:
    sent = read(SENT[:-2])
    assert isinstance(sent, Sent)
    assert (sent.provider_operation, sent.asked_tier, sent.output_cap) == ("", "", None)


def test_what_is_written_now_has_everything() -> None:
    sent, done = read(SENT), read(DONE)
    for record in (sent, done):
        fields = msgspec.msgpack.decode(msgspec.msgpack.encode(record))
        assert len(fields) == len(record.__struct_fields__) + 1
        assert read(fields) == record
