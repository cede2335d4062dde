"""What traffic would have cost otherwise, as tables, JSON and CSV."""

import csv
import io
from typing import Any

from rich.console import Console

from farebox.money import usd_text
from farebox.present.amounts import percent, short_usd
from farebox.present.tables import print_table
from farebox.whatif.run import MeterLine, SchemeResult, WhatIfResult


def whatif_json(result: WhatIfResult) -> dict[str, Any]:
    """Return a result for ``--json``: amounts are exact decimal strings."""
    return {
        "baseline": {
            "attempts": result.baseline.attempts,
            "cost_usd": usd_text(result.baseline.total_femto),
            "unpriced": result.baseline.unpriced,
            "lines": [
                {"meter": line.meter, "quantity": line.baseline_quantity, "cost_usd": usd_text(line.baseline_femto)}
                for line in result.lines
            ],
        },
        "schemes": [_scheme_json(one) for one in result.schemes],
    }


def _scheme_json(one: SchemeResult) -> dict[str, Any]:
    return {
        "name": one.name,
        "cost_usd": usd_text(one.cost_femto),
        "difference_usd": usd_text(one.difference_femto),
        "unpriced": one.unpriced,
        "reasons": one.reasons,
        "lines": [_line_json(line) for line in one.lines],
        "assumptions": [{"confidence": each.confidence, "text": each.text} for each in one.assumptions],
        "throttled": None if one.throttled is None else {"minutes": one.throttled[0], "of": one.throttled[1]},
        "monthly_usd": usd_text(one.monthly_femto),
        "break_even_calls_a_month": one.break_even_calls,
        "book": one.book,
    }


def _line_json(line: MeterLine) -> dict[str, Any]:
    return {
        "meter": line.meter,
        "quantity": line.quantity,
        "cost_usd": usd_text(line.cost_femto),
        "baseline_quantity": line.baseline_quantity,
        "baseline_usd": usd_text(line.baseline_femto),
        "difference_usd": usd_text(line.cost_femto - line.baseline_femto),
    }


def whatif_csv(result: WhatIfResult) -> str:
    """Return a row for every meter of every scheme."""
    text = io.StringIO()
    rows = [{"scheme": one.name, **_line_json(line)} for one in result.schemes for line in one.lines]
    names = ("scheme", "meter", "quantity", "cost_usd", "baseline_quantity", "baseline_usd", "difference_usd")
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show_whatif(result: WhatIfResult, console: Console) -> None:
    """Print a table of the schemes, their lines, and what they rest on."""
    base = result.baseline
    missing = f", {base.unpriced:,} without a price" if base.unpriced else ""
    console.print(f"As recorded: {base.attempts:,} attempts, {short_usd(base.total_femto)}{missing}", style="bold")
    rows = [
        (
            one.name,
            short_usd(one.cost_femto),
            _signed(one.difference_femto),
            _share(one.difference_femto, base.total_femto),
            f"{one.unpriced:,}" if one.unpriced else "",
        )
        for one in result.schemes
    ]
    print_table(console, "Schemes", ("scheme", ">cost", ">difference", ">", ">no price"), rows)
    for one in result.schemes:
        _show_scheme(one, console)


def _show_scheme(one: SchemeResult, console: Console) -> None:
    rows = [
        (
            line.meter,
            f"{line.quantity:,}",
            short_usd(line.cost_femto),
            short_usd(line.baseline_femto),
            _signed(line.cost_femto - line.baseline_femto),
        )
        for line in one.lines
        if line.cost_femto or line.baseline_femto or line.quantity
    ]
    print_table(console, one.name, ("meter", ">quantity", ">cost", ">as recorded", ">difference"), rows)
    for why, count in list(one.reasons.items())[:5]:
        console.print(f"  no price for {count:,}: {why}")
    if one.throttled is not None:
        console.print(f"  {one.throttled[0]:,} of {one.throttled[1]:,} minutes would have been over its limits")
    if one.monthly_femto:
        calls = "never" if one.break_even_calls is None else f"from {one.break_even_calls:,} calls a month on"
        console.print(f"  {short_usd(one.monthly_femto)} a month beside the calls: pays {calls}")
    for each in one.assumptions:
        console.print(f"  {each.confidence}: {each.text}")
    console.print(f"  exactly {usd_text(one.cost_femto)} USD")


def _signed(femto: int) -> str:
    return f"+{short_usd(femto)}" if femto > 0 else f"-{short_usd(-femto)}" if femto else "0"


def _share(difference: int, whole: int) -> str:
    if not whole:
        return ""
    sign = "+" if difference > 0 else "-" if difference else ""
    return f"{sign}{percent(abs(difference) / whole)}"
