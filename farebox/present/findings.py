"""Where money could be saved and what moved, as tables and JSON."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from farebox.analyse.findings import SavingFound
from farebox.books.looks import MoverRow
from farebox.money import usd_text
from farebox.present.amounts import percent, short_usd
from farebox.present.tables import print_table

_SHOWN = 10


def findings_json(found: Sequence[SavingFound], movers: Sequence[MoverRow]) -> dict[str, Any]:
    """Return findings and movers for ``--json``; amounts are exact decimal strings."""
    return {
        "findings": [
            {
                "name": one.name,
                "about": one.about,
                "saving_usd": usd_text(one.saving_femto),
                "evidence": one.evidence,
                "remedy": one.remedy,
            }
            for one in found
        ],
        "movers": [
            {
                "kind": row.kind,
                "name": row.name,
                "week_before_usd": usd_text(row.before_femto),
                "last_week_usd": usd_text(row.after_femto),
                "difference_usd": usd_text(row.after_femto - row.before_femto),
            }
            for row in movers
        ],
    }


def show_findings(found: Sequence[SavingFound], movers: Sequence[MoverRow], console: Console) -> None:
    """Print what could be saved, the most first, and what changed most from week to week."""
    if movers:
        rows = [
            (
                f"{row.kind} {row.name}",
                short_usd(row.before_femto),
                short_usd(row.after_femto),
                _change(row),
            )
            for row in movers
        ]
        print_table(console, "Top movers, week on week", ("who", ">week before", ">last week", ">"), rows)
    if not found:
        return
    console.print()
    console.print("Findings: what could be saved at most, by what the books show", style="bold")
    for one in found[:_SHOWN]:
        console.print(f"{short_usd(one.saving_femto)}  {one.name}: {one.about}")
        console.print(f"    {one.evidence}")
        console.print(f"    -> {one.remedy}")
    if len(found) > _SHOWN:
        console.print(f"{len(found) - _SHOWN} more with --json")


def _change(row: MoverRow) -> str:
    if not row.before_femto:
        return "new"
    change = row.after_femto - row.before_femto
    return f"{'+' if change > 0 else '-'}{percent(abs(change) / row.before_femto)}"
