"""Models and tiers side by side, the cheapest first."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console

from farebox.analyse.compare_models import Compared, Terms, percent_above
from farebox.charge import Charge
from farebox.money import usd_text
from farebox.present.charges import LineWriter
from farebox.present.explained import align_decimals, grouped
from farebox.present.tables import print_table
from farebox.prices.arithmetic import quantity_text
from farebox.prices.book import PriceBook
from farebox.prices.explain import instant_text
from farebox.prices.rates import STANDARD


def compared_json(book: PriceBook, terms: Terms, found: Sequence[Compared]) -> dict[str, Any]:
    """Return a comparison for ``--json``."""
    writer = LineWriter(book)
    first = _first_femto(found)
    rows: list[dict[str, Any]] = []
    for each in found:
        row: dict[str, Any] = {"provider": each.provider, "model": each.model, "tier": each.tier}
        if isinstance(each.result, Charge):
            row["total_usd"] = usd_text(each.result.total_femto)
            row["above_first"] = percent_above(each.result.total_femto, first)
            row["lines"] = [msgspec.structs.asdict(line) for line in writer.write(each.result.lines, terms.at_ns)]
        else:
            row["error"] = {"code": "unpriced", "message": each.result.reason}
        rows.append(row)
    usage = {meter: quantity_text(meter, quantity) for meter, quantity in terms.usage.meters.items()}
    return {"usage": usage, "at": instant_text(terms.at_ns), "book": book.hash, "models": rows}


def show_compared(book: PriceBook, terms: Terms, found: Sequence[Compared], console: Console) -> None:
    """Print a comparison."""
    parts = [f"{grouped(quantity_text(meter, count))} {meter}" for meter, count in terms.usage.meters.items()]
    console.print(f"usage  {', '.join(parts)}")
    console.print(f"at     {instant_text(terms.at_ns)}, book {book.short}")
    priced = [(each, each.result) for each in found if isinstance(each.result, Charge)]
    first = _first_femto(found)
    amounts = align_decimals([usd_text(result.total_femto) for _, result in priced])
    rows = [
        (f"{each.provider}/{each.model}", each.tier, amount, percent_above(result.total_femto, first))
        for (each, result), amount in zip(priced, amounts, strict=True)
    ]
    if rows:
        print_table(console, "", ("model", "tier", ">USD", ">above first"), rows)
    reasons = [
        (f"{each.provider}/{each.model}" + ("" if each.tier == STANDARD else f" {each.tier}"), each.result.reason)
        for each in found
        if not isinstance(each.result, Charge)
    ]
    if reasons:
        print_table(console, "UNPRICED", ("model", "why"), reasons)
    tiers = Counter(each.tier for each, _ in priced)
    if len(terms.tiers) > 1:
        counted = ", ".join(f"{tier} {tiers[tier]}" for tier in terms.tiers)
        console.print(f"\npriced at: {counted}")


def _first_femto(found: Sequence[Compared]) -> int:
    first = found[0].result if found else None
    return first.total_femto if isinstance(first, Charge) else 0
