"""An invoice beside the books, as tables, JSON and CSV."""

import csv
import io
from typing import Any

from rich.console import Console

from farebox.money import usd_text
from farebox.present.amounts import moment_text, short_usd
from farebox.present.tables import print_facts, print_table
from farebox.reconcile.match import OPEN, Compared, Reconciled

_SHOWN = 40


def reconciled_json(result: Reconciled) -> dict[str, Any]:
    """Return a result for ``--json``: amounts are exact decimal strings."""
    return {
        "billed_usd": usd_text(result.billed_femto),
        "booked_usd": usd_text(result.booked_femto),
        "difference_usd": usd_text(result.billed_femto - result.booked_femto),
        "tie_out_usd": usd_text(result.tie_out_femto),
        "shift_hours": result.shift_hours,
        "causes": {cause: usd_text(amount) for cause, amount in result.causes.items()},
        "lines": [_line_json(line) for line in result.lines],
    }


def _line_json(line: Compared) -> dict[str, Any]:
    return {
        "status": line.status,
        "cause": line.cause,
        "billed_usd": usd_text(line.billed_femto),
        "booked_usd": usd_text(line.booked_femto),
        "difference_usd": usd_text(line.difference_femto),
        "causes": [{"cause": part.cause, "amount_usd": usd_text(part.amount_femto)} for part in line.parts],
        "period": moment_text(line.start_ns),
        "model": line.model,
        "meter": line.meter,
        "billed_quantity": line.billed_quantity,
        "booked_quantity": line.booked_quantity,
        "rows": list(line.rows),
        "attempts": line.attempts,
    }


def reconciled_csv(result: Reconciled) -> str:
    """Return a row for every line."""
    text = io.StringIO()
    rows = [_line_json(line) for line in result.lines]
    names = [name for name in (rows[0] if rows else {}) if name not in {"causes", "rows"}]
    writer = csv.DictWriter(text, names, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def show_reconciled(result: Reconciled, console: Console) -> None:
    """Print the totals, what each cause comes to, and the lines that differ."""
    rows = [
        ("billed", f"{short_usd(result.billed_femto)} ({len(result.lines):,} lines compared)"),
        ("booked", short_usd(result.booked_femto)),
    ]
    if result.shift_hours:
        rows.append(("its days", f"begin {result.shift_hours:+d} h from midnight UTC"))
    print_facts(console, rows)
    if result.causes:
        causes = sorted(result.causes.items(), key=lambda pair: -abs(pair[1]))
        print_table(
            console, "Causes", ("cause", ">billed beyond booked"), [(name, _signed(each)) for name, each in causes]
        )
    differing = [line for line in result.lines if line.status != "matched"]
    if differing:
        found = [
            (
                (moment_text(line.start_ns) or "")[:10],
                f"{line.model} {line.meter}".strip(),
                line.cause or line.status,
                short_usd(line.billed_femto),
                short_usd(line.booked_femto),
                _signed(line.difference_femto),
            )
            for line in differing[:_SHOWN]
        ]
        print_table(console, "Lines that differ", ("day", "what", "cause", ">billed", ">booked", ">"), found)
        if len(differing) > _SHOWN:
            console.print(f"{len(differing) - _SHOWN} more with --json or --csv")
    console.print()
    if any(cause in OPEN for cause in result.causes):
        console.print(f"Not explained: {usd_text(result.tie_out_femto)} USD")
    else:
        console.print(f"It ties out: {usd_text(result.tie_out_femto)} USD are not explained.")


def _signed(femto: int) -> str:
    return f"+{short_usd(femto)}" if femto > 0 else f"-{short_usd(-femto)}" if femto else "0"
