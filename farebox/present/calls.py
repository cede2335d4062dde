"""Calls as a list, and one call explained to the last line of its charge."""

from typing import Any

import msgspec
from rich.console import Console

from farebox.analyse.meanings import FLAGS, OUTCOMES
from farebox.books.rows import AttemptRow, CallRow, LineRow
from farebox.money import usd_text
from farebox.present.amounts import cost_text, moment_text, percent, short_duration, short_moment
from farebox.present.tables import print_facts, print_table
from farebox.usage import METERS

_PER_MILLION = 10**6


def show_calls(calls: list[CallRow], console: Console) -> None:
    """Print a list of calls, the newest first."""
    rows = [
        (
            call.call,
            short_moment(call.sent_at_ns)[5:],
            call.model,
            ", ".join((call.outcome + (f" after {call.attempts}" if call.attempts > 1 else ""), *call.flags)),
            cost_text(call.total_femto, call.attempts, call.unpriced),
        )
        for call in calls
    ]
    print_table(console, "", ("call", "sent (UTC)", "model", "outcome", ">cost"), rows)
    if any(0 < call.unpriced < call.attempts for call in calls):
        console.print("* without its unpriced attempts")


def calls_json(calls: list[CallRow]) -> list[dict[str, Any]]:
    """Return calls for ``--json``."""
    return [
        {
            "call": call.call,
            "sent_at": moment_text(call.sent_at_ns),
            "key": call.key_name,
            "user": call.user,
            "model": call.model,
            "provider": call.provider,
            "attempts": call.attempts,
            "outcome": call.outcome,
            "flags": list(call.flags),
            "input_tokens": call.input_tokens,
            "output_tokens": call.output_tokens,
            "amount_usd": usd_text(call.total_femto),
            "unpriced_attempts": call.unpriced,
            "total_ns": call.total_ns,
        }
        for call in calls
    ]


def show_call(attempts: list[AttemptRow], console: Console) -> None:
    """Explain a call: each of its attempts, and the sum."""
    first = attempts[0]
    console.print(f"Call {first.call}", style="bold")
    who = f"key {first.key_name or 'none (open access)'}" + (f", user {first.user}" if first.user else "")
    console.print(f"{first.operation} of {first.asked_model} ({first.dialect} dialect), {who}")
    if first.tags:
        console.print("tags " + ", ".join(f"{name}={value}" for name, value in sorted(first.tags.items())))
    for attempt in attempts:
        _show_attempt(attempt, console)
    total = sum(attempt.total_femto or 0 for attempt in attempts)
    missing = sum(attempt.total_femto is None for attempt in attempts)
    console.print()
    console.print(
        f"Call in total: ${usd_text(total)}" + (f"; attempts without a price, left out: {missing}" if missing else "")
    )


def call_json(attempts: list[AttemptRow]) -> dict[str, Any]:
    """Return a call for ``--json``."""
    return {
        "call": attempts[0].call,
        "total_usd": usd_text(sum(attempt.total_femto or 0 for attempt in attempts)),
        "unpriced_attempts": sum(attempt.total_femto is None for attempt in attempts),
        "attempts": [_attempt_json(attempt) for attempt in attempts],
    }


def _attempt_json(attempt: AttemptRow) -> dict[str, Any]:
    fields = msgspec.structs.asdict(attempt)
    fields["sent_at"] = moment_text(fields.pop("sent_at_ns"))
    fields["done_at"] = moment_text(fields.pop("done_at_ns"))
    total = fields.pop("total_femto")
    fields["total_usd"] = None if total is None else usd_text(total)
    fields["lines"] = [
        {
            "meter": line.meter,
            "quantity": line.quantity,
            "unit_price_usd": usd_text(line.unit_price_femto),
            "amount_usd": usd_text(line.amount_femto),
            "rate": line.rate,
        }
        for line in attempt.lines
    ]
    return fields


def _show_attempt(attempt: AttemptRow, console: Console) -> None:
    console.print()
    console.print(f"Attempt {attempt.number}: {attempt.provider}/{attempt.model}", style="bold")
    status = f"status {attempt.status}" if attempt.status else "no status"
    console.print(f"{attempt.outcome}: {OUTCOMES[attempt.outcome]} ({status})")
    rows = [("sent", f"{moment_text(attempt.sent_at_ns)}, {attempt.body_bytes:,} bytes")]
    timing = f"total {short_duration(attempt.total_ns)}, gateway {short_duration(attempt.gateway_ns)}"
    if attempt.first_token_ns is not None:
        timing = f"first token {short_duration(attempt.first_token_ns)}, {timing}"
    rows.append(("time", timing))
    rows += [
        (name, value)
        for name, value in (
            ("answered by", attempt.answered_model),
            ("tier asked for", attempt.asked_tier),
            ("service tier", attempt.service_tier),
            ("provider's id", attempt.provider_request),
            ("finish", attempt.finish),
            ("error", attempt.error),
            ("input parts", _parts_text(attempt.parts)),
            ("raw usage", attempt.usage_raw),
            ("meters", ", ".join(f"{name} {count:,}" for name, count in attempt.meters.items())),
        )
        if value
    ]
    rows += [("flag", f"{flag}: {FLAGS[flag]}") for flag in attempt.flags]
    print_facts(console, rows)
    _show_charge(attempt, console)


def _show_charge(attempt: AttemptRow, console: Console) -> None:
    if attempt.total_femto is None:
        console.print()
        console.print(f"UNPRICED: {attempt.unpriced}")
    elif attempt.lines:
        rows = [
            (line.meter, f"{line.quantity:,}", _unit_price(line), f"${usd_text(line.amount_femto)}", line.rate)
            for line in attempt.lines
        ]
        rows.append(("total", "", "", f"${usd_text(attempt.total_femto)}", ""))
        print_table(console, "", ("meter", ">quantity", ">unit price", ">amount", "rate"), rows)
    else:
        console.print()
        console.print("Nothing was billed: $0")
    console.print(f"price book {attempt.book[:12]}")


def _unit_price(line: LineRow) -> str:
    """Return the price of a million tokens, or of one unit where the meter counts calls."""
    meter = METERS.get(line.meter)
    if meter is not None and meter.unit == "call":
        return f"${usd_text(line.unit_price_femto)}/call"
    return f"${usd_text(line.unit_price_femto * _PER_MILLION)}/1M"


def _parts_text(parts: dict[str, int]) -> str:
    whole = sum(parts.values())
    if not whole:
        return ""
    return ", ".join(f"{part} {percent(size / whole)}" for part, size in parts.items() if size)
