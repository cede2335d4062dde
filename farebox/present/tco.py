"""What is to be paid in the months to come, as tables and JSON."""

from typing import Any

from rich.console import Console

from farebox.money import usd_text
from farebox.present.amounts import short_usd
from farebox.present.tables import print_table
from farebox.tco.run import SchemeCost, Tco


def tco_json(found: Tco) -> dict[str, Any]:
    """Return it for ``--json``: amounts are exact decimal strings."""
    return {
        "seen": found.seen,
        "forecast": {
            "method": found.forecast.method,
            "band_known": found.forecast.has_band,
            "months": [
                {"month": f"{month.begin:%Y-%m}", "requests": month.requests, "low": month.low, "high": month.high}
                for month in found.forecast.months
            ],
        },
        "schemes": [_scheme_json(one) for one in found.schemes],
    }


def _scheme_json(one: SchemeCost) -> dict[str, Any]:
    return {
        "name": one.name,
        "total_usd": usd_text(one.total_femto),
        "low_usd": usd_text(one.low_femto),
        "high_usd": usd_text(one.high_femto),
        "unpriced": one.unpriced,
        "months": [
            {
                "month": f"{month.begin:%Y-%m}",
                "cost_usd": usd_text(month.cost_femto),
                "low_usd": usd_text(month.low_femto),
                "high_usd": usd_text(month.high_femto),
                "lines": {name: usd_text(amount) for name, amount in month.lines.items()},
            }
            for month in one.months
        ],
        "exit_usd": [usd_text(amount) for amount in one.exit_femto],
        "price_changes": [{"month": f"{begin:%Y-%m}", "percent": round(each, 4)} for begin, each in one.price_changes],
        "assumptions": [{"confidence": each.confidence, "text": each.text} for each in one.assumptions],
    }


def show_tco(found: Tco, console: Console) -> None:
    """Print the forecast, the schemes, and each scheme month by month."""
    console.print(f"Seen: {found.seen}", style="bold")
    console.print(f"Forecast: {found.forecast.method}")
    rows = [
        (f"{month.begin:%Y-%m}", f"{month.requests:,}", f"{month.low:,}", f"{month.high:,}")
        for month in found.forecast.months
    ]
    print_table(console, "Requests", ("month", ">expected", ">1 in 10 below", ">1 in 10 above"), rows)
    rows = [
        (one.name, short_usd(one.total_femto), short_usd(one.low_femto), short_usd(one.high_femto))
        for one in sorted(found.schemes, key=lambda one: one.total_femto)
    ]
    title = f"{len(found.forecast.months)} months"
    print_table(console, title, ("scheme", ">expected", ">1 in 10 below", ">1 in 10 above"), rows)
    for one in found.schemes:
        _show_scheme(one, console)


def _show_scheme(one: SchemeCost, console: Console) -> None:
    names = list(dict.fromkeys(name for month in one.months for name in month.lines))
    rows = [
        (
            f"{month.begin:%Y-%m}",
            *(short_usd(month.lines.get(name, 0)) for name in names),
            short_usd(month.cost_femto),
            short_usd(leaving) if any(one.exit_femto) else "",
        )
        for month, leaving in zip(one.months, one.exit_femto, strict=True)
    ]
    columns = ("month", *(f">{name.replace('_', ' ')}" for name in names), ">total")
    columns += (">leaving then",) if any(one.exit_femto) else (">",)
    print_table(console, one.name, columns, rows)
    for begin, change in one.price_changes:
        console.print(f"  prices change in {begin:%Y-%m}: {change:+.2f} %")
    if one.unpriced:
        console.print(f"  {one.unpriced:,} recorded requests have no price under it and are in no amount")
    for each in one.assumptions:
        console.print(f"  {each.confidence}: {each.text}")
    console.print(f"  exactly {usd_text(one.total_femto)} USD")
