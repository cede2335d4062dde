"""Writes journals for tests: attempts with known charges, ended or left open."""

from pathlib import Path

import msgspec

from farebox.charge import Line
from farebox.journal.record import Done, Flag, Sent
from farebox.journal.writer import JournalWriter

START_NS = 1_795_392_000_000_000_000  # 2026-11-23 00:00:00 UTC
DAY_NS = 86_400_000_000_000


class FakeClock:
    """Time that moves when a test says so."""

    def __init__(self, now_ns=START_NS):
        self.now = now_ns

    def now_ns(self):
        self.now += 1_000_000
        return self.now

    def monotonic_ns(self):
        return self.now


def sent(call="call_1", number=1, at_ns=START_NS, **changes):
    record = Sent(
        attempt=f"{call}.{number}",
        call=call,
        number=number,
        at_ns=at_ns,
        key="key_1",
        key_name="bench",
        user="ada",
        tags={"team": "search"},
        dialect="openai",
        operation="chat",
        asked_model="gpt-4o-mini",
        provider="openai",
        rate_provider="openai",
        model="gpt-4o-mini",
        stream=False,
        body_bytes=900,
        parts={"system": 400, "tools": 0, "history": 200, "context": 100, "user": 100},
        output_cap=None,
        provider_operation="chat",
    )
    return msgspec.structs.replace(record, **changes)


def line(meter, quantity, unit_price_femto):
    return Line(meter, quantity, unit_price_femto, quantity * unit_price_femto, f"openai/gpt-4o-mini/standard#{meter}")


def done(of: Sent, *lines: Line, flags: tuple[Flag, ...] = (), **changes):
    lines = lines or (
        line("input", 80, 150_000_000),
        line("cache_read", 20, 75_000_000),
        line("output", 50, 600_000_000),
    )
    record = Done(
        attempt=of.attempt,
        at_ns=of.at_ns + 1_000_000_000,
        outcome="ok",
        final=True,
        status=200,
        finish="stop",
        flags=flags,
        error="",
        usage_raw=b'{"prompt_tokens":100,"completion_tokens":50}',
        meters={each.meter: each.quantity for each in lines},
        lines=lines,
        total_femto=sum(each.amount_femto for each in lines),
        unpriced="",
        book="b" * 64,
        answered_model="gpt-4o-mini-2024-07-18",
        service_tier="default",
        provider_request="req_1",
        first_token_ns=300_000_000,
        total_ns=1_000_000_000,
        gateway_ns=90_000,
    )
    return msgspec.structs.replace(record, **changes)


def unpriced(of: Sent, **changes):
    unknown = {"flags": ("unpriced",), "lines": (), "meters": {"input": 10, "output": 5}, "total_femto": None}
    return done(of, **{**unknown, "unpriced": f"no rate for {of.rate_provider}/{of.model}", **changes})


def assumed(of: Sent):
    return done(
        of, line("output", 1000, 600_000_000), flags=("assumed",), outcome="lost", final=False, status=0, usage_raw=b""
    )


def write_calls(data_dir: Path, records, instance="aa", clock=None, segment_bytes=1 << 20, close=True):
    """Write records with a writer of their own; return it, closed unless it is to live on."""
    writer = JournalWriter(data_dir / "journal", instance, clock or FakeClock(), segment_bytes)
    for record in records:
        append(writer, record)
    if close:
        writer.close()
    return writer


def append(writer: JournalWriter, record):
    if isinstance(record, Sent):
        writer.append_sent(record)
    else:
        writer.append_done(record)
