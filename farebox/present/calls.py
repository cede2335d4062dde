"""Calls as a list, and one call explained to the last line of its charge.

A step of a contract stands below the line whose price it changes, with the share that it takes off.
"""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import msgspec
from rich.console import Console

from farebox.analyse.meanings import FLAGS, OUTCOMES
from farebox.books.rows import AttemptRow, CallRow, LineRow
from farebox.money import usd_text
from farebox.present.amounts import (
    cost_text,
    moment_text,
    percent,
    price_label,
    quantity_label,
    short_duration,
    short_moment,
)
from farebox.present.tables import print_facts, print_table
from farebox.prices.arithmetic import quantity_text, unit_price_text
from farebox.usage import METERS

_CONTRACT = "contract/"
_POOL = "pool/"
_LEAST = "!least"


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
    total, reported = fields.pop("total_femto"), fields.pop("reported_femto")
    fields["total_usd"] = None if total is None else usd_text(total)
    fields["reported_usd"] = None if reported is None else usd_text(reported)
    fields["meters"] = {meter: quantity_text(meter, quantity) for meter, quantity in attempt.meters.items()}
    fields["lines"] = [_line_json(line) for line in attempt.lines]
    return fields


def _line_json(line: LineRow) -> dict[str, Any]:
    meter = METERS.get(line.meter)
    least = line.rate.endswith(_LEAST)  # one amount, whatever the quantity
    per, scale = (1, 1) if meter is None or least else (meter.per, meter.scale)
    return {
        "meter": line.meter,
        "quantity": "1" if least else quantity_text(line.meter, line.quantity),
        "unit": "line" if least else "unit" if meter is None else meter.unit,
        "unit_price_usd": unit_price_text(line.unit_price_femto, line.per, per * scale),
        "per": per,
        "amount_usd": usd_text(line.amount_femto),
        "rate": line.rate,
    }


def _show_attempt(attempt: AttemptRow, console: Console) -> None:
    console.print()
    console.print(f"Attempt {attempt.number}: {attempt.provider}/{attempt.model}", style="bold")
    status = f"status {attempt.status}" if attempt.status else "no status"
    console.print(f"{attempt.outcome}: {OUTCOMES[attempt.outcome]} ({status})")
    size = "" if attempt.body_bytes is None else f", {attempt.body_bytes:,} bytes"
    rows = [("sent", f"{moment_text(attempt.sent_at_ns)}{size}")]
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
            ("made as", attempt.role),
            ("route", attempt.route),
            ("provider's key", attempt.provider_key),
            ("region", attempt.region),
            ("deployment", attempt.deployment),
            ("provider's id", attempt.provider_request),
            ("finish", attempt.finish),
            ("error", attempt.error),
            ("input parts", _parts_text(attempt.parts)),
            ("raw usage", attempt.usage_raw),
            ("meters", ", ".join(f"{name} {quantity_label(name, size)}" for name, size in attempt.meters.items())),
            ("reported", _reported_text(attempt)),
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
        rows = _line_rows(attempt.lines)
        rows.append(("total", "", "", f"${usd_text(attempt.total_femto)}", ""))
        print_table(console, "", ("meter", ">quantity", ">unit price", ">amount", "rate"), rows)
    else:
        console.print()
        console.print("Nothing was billed: $0")
    console.print(f"price book {attempt.book[:12]}")


def _reported_text(attempt: AttemptRow) -> str:
    if attempt.reported_femto is None:
        return ""
    text = f"${usd_text(attempt.reported_femto)} by the provider"
    more_femto = 0 if attempt.total_femto is None else attempt.reported_femto - attempt.total_femto
    if not more_femto:
        return text
    return f"{text}, ${usd_text(abs(more_femto))} {'more' if more_femto > 0 else 'less'} than the price book gives"


def _line_rows(lines: Sequence[LineRow]) -> list[tuple[str, str, str, str, str]]:
    rows = []
    for index, line in enumerate(lines):
        name, quantity = line.meter, quantity_label(line.meter, line.quantity)
        price = price_label(line.unit_price_femto, line.per, line.meter)
        rate = line.rate.removesuffix(f"#{line.meter}")
        if line.rate.startswith(_CONTRACT):
            name, quantity, rate = _contract_of(line), _change_text(line, lines[:index]), ""
        elif line.rate.startswith(_POOL):
            price = "free"
        elif line.rate.endswith(_LEAST):
            name, quantity, price, rate = f"{line.meter} at least", "", "", ""
        elif line.meter == "reported_cost":
            quantity, price = "", "as reported"
        rows.append((name, quantity, price, _usd(line.amount_femto), rate))
    return rows


def _contract_of(step: LineRow) -> str:
    return f"contract {step.rate.removeprefix(_CONTRACT).partition('#')[0]}"


def _change_text(step: LineRow, before: Sequence[LineRow]) -> str:
    """Return by how much a step of a contract changes the price that the lines before it had come to, or "".

    With marginal prices there is a line for each of them, in the same order in every step.
    """
    prices: dict[str, list[Fraction]] = {}
    for line in before:
        if line.meter == step.meter and not line.rate.startswith(_POOL) and not line.rate.endswith(_LEAST):
            prices.setdefault(line.rate, []).append(Fraction(line.unit_price_femto, line.per))
    band = len(prices.pop(step.rate, []))
    so_far = sum(each[band] for each in prices.values() if band < len(each))
    if not so_far:
        return ""
    change = round(Fraction(step.unit_price_femto, step.per) / so_far * 10_000)
    return f"{Decimal(change).scaleb(-2).normalize():+f} %"


def _usd(femto: int) -> str:
    return f"-${usd_text(-femto)}" if femto < 0 else f"${usd_text(femto)}"


def _parts_text(parts: dict[str, int]) -> str:
    whole = sum(parts.values())
    if not whole:
        return ""
    return ", ".join(f"{part} {percent(size / whole)}" for part, size in parts.items() if size)
