"""What came of pricing recorded attempts again: how many are as they were, and what differs by model."""

from pathlib import Path
from typing import Any

from rich.console import Console

from farebox.analyse.rerate import ModelSum, Rerated
from farebox.money import usd_text
from farebox.present.amounts import short_usd
from farebox.present.explained import say
from farebox.present.tables import print_table

_HASH_SHOWN = 12
_EXAMPLES_SHOWN = 5  # --json has more


def rerated_json(result: Rerated, named: str) -> dict[str, Any]:
    """Return a re-rating for ``--json``; amounts are decimal strings of USD."""
    was = sum(each.was_femto for each in result.models.values())
    now = sum(each.now_femto for each in result.models.values())
    return {
        "by": named,
        "attempts": result.attempts,
        "equal": result.equal,
        "different": result.different,
        "books_missing": dict(result.missing),
        "was_usd": usd_text(was),
        "now_usd": usd_text(now),
        "difference_usd": usd_text(now - was),
        "models": [_model_json(each) for each in _sorted(result)],
        "examples": [
            {
                "attempt": each.attempt,
                "provider": each.provider,
                "model": each.model,
                "was_usd": None if each.was_femto is None else usd_text(each.was_femto),
                "now_usd": None if each.now_femto is None else usd_text(each.now_femto),
                "why": each.why,
            }
            for each in result.examples
        ],
    }


def show_rerated(result: Rerated, named: str, data_dir: Path, console: Console) -> None:
    """Print a re-rating."""
    if not result.attempts:
        console.print("No attempt is on record in this time.")
        return
    say(console, f"{result.attempts:,} attempts, each priced again from its raw usage by {named}")
    console.print(f"equal      {result.equal:,}")
    console.print(f"different  {result.different:,}", style="bold" if result.different else None)
    changed = [each for each in _sorted(result) if each.different]
    if changed:
        rows = [
            (
                f"{each.provider}/{each.model}",
                f"{each.different:,} of {each.attempts:,}",
                _sum_text(each.was_femto, each.was_unpriced),
                _sum_text(each.now_femto, each.now_unpriced),
                short_usd(each.now_femto - each.was_femto),
            )
            for each in changed
        ]
        print_table(console, "", ("model", ">attempts", ">was", ">is now", ">difference"), rows)
        if any(each.was_unpriced or each.now_unpriced for each in changed):
            console.print("* attempts without a price are left out")
        examples = [(each.attempt, each.why) for each in result.examples[:_EXAMPLES_SHOWN]]
        print_table(console, "For example", ("attempt", "what differs"), examples)
    for book, count in sorted(result.missing.items()):
        say(
            console,
            f"\nbook {book[:_HASH_SHOWN]} is not in the archive {data_dir / 'pricebooks'}: {count:,} attempts cannot "
            "be priced again; copy its file there from a backup",
            bold=True,
        )
    was = sum(each.was_femto for each in result.models.values())
    now = sum(each.now_femto for each in result.models.values())
    console.print(f"\nwas  ${usd_text(was)}\nnow  ${usd_text(now)}")


def _sorted(result: Rerated) -> list[ModelSum]:
    """Return the sums by model, the largest difference first."""
    return sorted(result.models.values(), key=lambda each: (-abs(each.now_femto - each.was_femto), each.model))


def _sum_text(femto: int, unpriced: int) -> str:
    return short_usd(femto) + ("*" if unpriced else "")


def _model_json(each: ModelSum) -> dict[str, Any]:
    return {
        "provider": each.provider,
        "model": each.model,
        "attempts": each.attempts,
        "different": each.different,
        "was_usd": usd_text(each.was_femto),
        "now_usd": usd_text(each.now_femto),
        "was_unpriced": each.was_unpriced,
        "now_unpriced": each.now_unpriced,
    }
