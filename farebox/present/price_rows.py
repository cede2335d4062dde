"""Rows of prices for people: a model's card, and its prices over time."""

from collections.abc import Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from farebox.analyse.diff_books import PriceChange
from farebox.analyse.price_history import Period, Revision
from farebox.present.amounts import moment_text
from farebox.present.explained import hours_text, say, units_text
from farebox.present.tables import print_table
from farebox.prices.explain import conditions_text, instant_text, size_text, validity_text
from farebox.prices.match import fits
from farebox.prices.rates import ALWAYS_NS, ANY_TIER, NEVER_NS, USD, Card, Model, Row
from farebox.usage import METERS

_SHOWN_METERS = ("input", "cache_read", "output")


def show_model(card: Card, model: Model, console: Console) -> None:
    """Print a model: the ids it goes by, what is known of it, every row of prices and every uplift."""
    console.print(f"{card.provider}/{model.id}", style="bold")
    say(console, f"ids       {', '.join((*model.names, *model.patterns))}")
    about = about_text(model)
    if about:
        say(console, f"about     {about}")
    if model.note:
        say(console, f"note      {model.note}")
    for meter, other in model.inherit.items():
        say(console, f"inherits  {meter} is priced as {other} where it has no price of its own")
    for row in model.rows:
        _show_row(row, console)
    for name in dict.fromkeys(row.schedule for row in model.rows if row.schedule):
        say(console, f"\nwhen {name}: {hours_text(card.schedules[name])}", bold=True)
    uplifts = [one for one in card.uplifts if any(fits(glob, name) for glob in one.models for name in _names(model))]
    for uplift in uplifts:
        conditions = [*uplift.regions, *uplift.tiers, *(f"{fact} {value}" for fact, value in uplift.when.items())]
        conditions += [f"when {uplift.schedule}"] if uplift.schedule else []
        say(console, f"\nuplift {uplift.id}: {uplift.times} times for {', '.join(conditions)}", bold=True)
        say(console, f"source    {uplift.source.url}")


def about_text(model: Model) -> str:
    """Return what is known of a model beside its prices, in words, or ""."""
    about = model.about
    if about is None:
        return ""
    parts = [about.kind]
    parts += [f"context {about.context_tokens:,}"] if about.context_tokens else []
    parts += [f"output {about.output_tokens:,}"] if about.output_tokens else []
    parts += [f"reads {' '.join(about.inputs)}"] if about.inputs else []
    parts += [f"makes {' '.join(about.outputs)}"] if about.outputs else []
    parts += [f"supports {' '.join(about.supports)}"] if about.supports else []
    dates = (("released", about.released), ("deprecated", about.deprecated), ("retires", about.retires))
    parts += [f"{name} {day}" for name, day in dates if day]
    return ", ".join(filter(None, parts))


def show_history(provider: str, model: Model, periods: Sequence[Period], console: Console) -> None:
    """Print a model's prices over time."""
    console.print(f"{provider}/{model.id}", style="bold")
    meters = _columns(periods)
    rows = [
        (
            _kind(period.row),
            _instant(period.row.from_ns, "always"),
            _instant(period.row.until_ns, "-"),
            *(period.row.prices[meter].text if meter in period.row.prices else "-" for meter in meters),
            period.state,
        )
        for period in periods
        if set(meters) & set(period.row.prices)
    ]
    print_table(console, "", ("tier", "from", "until", *(f">{meter.replace('_', ' ')}" for meter in meters), ""), rows)
    for period in periods:
        if not set(meters) & set(period.row.prices):
            prices = ", ".join(f"{meter} {price.text}" for meter, price in period.row.prices.items())
            say(console, f"{_kind(period.row)}: {prices}, valid {validity_text(period.row)}")
    if any(period.state == "announced" for period in periods):
        console.print("\nannounced: published, but not in force yet")


def show_revisions(revisions: Sequence[Revision], console: Console) -> None:
    """Print what each book changed about a model."""
    for revision in revisions:
        seen = f"first used {moment_text(revision.seen_ns)}" if revision.seen_ns is not None else "in use"
        console.print(f"\nbook {revision.book[:12]}, {seen}: {revision.kind}", style="bold")
        if revision.prices:
            show_changes(revision.prices, console)
        for rule in revision.rules:
            say(console, f"  {rule.where}: {rule.what}")


def show_changes(changes: Sequence[PriceChange], console: Console, title: str = "") -> None:
    """Print prices that differ, old and new."""
    rows = [(one.row, one.meter, one.old or "-", one.new or "-", one.percent) for one in changes]
    print_table(console, title, ("row", "meter", ">old", ">new", ">change"), rows)


def history_json(
    provider: str, model: Model, periods: Sequence[Period], revisions: Sequence[Revision]
) -> dict[str, Any]:
    """Return a model's prices over time for ``--json``."""
    return {
        "provider": provider,
        "model": model.id,
        "periods": [
            {
                "row": period.row.id,
                "tier": period.row.tier,
                "above": None if period.row.above < 0 else period.row.above,
                "when": period.row.when,
                "schedule": period.row.schedule,
                "from": None if period.row.from_ns == ALWAYS_NS else instant_text(period.row.from_ns),
                "until": None if period.row.until_ns == NEVER_NS else instant_text(period.row.until_ns),
                "state": period.state,
                "currency": period.row.currency,
                "prices": {
                    meter: {"price": price.text, "per": price.unit} for meter, price in period.row.prices.items()
                },
                "source": period.row.source.url,
            }
            for period in periods
        ],
        "revisions": [
            {
                "book": revision.book,
                "first_seen": moment_text(revision.seen_ns),
                "kind": revision.kind,
                "prices": [msgspec.structs.asdict(change) for change in revision.prices],
                "rules": [msgspec.structs.asdict(change) for change in revision.rules],
            }
            for revision in revisions
        ],
    }


def _show_row(row: Row, console: Console) -> None:
    tier = row.tier if row.tier != ANY_TIER else "any tier"
    conditions = [tier, size_text(row), conditions_text(row), f"valid {validity_text(row)}"]
    say(console, f"\n{', '.join(filter(None, conditions))}", bold=True)
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column(min_width=18)
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    money = "" if row.currency == USD else f" {row.currency}"
    for meter, price in row.prices.items():
        table.add_row(meter, price.amount, f"per {price.unit}{money}{_terms(row, meter)}")
    console.print(table)
    if row.rest:
        console.print(f"other meters as in tier {row.rest}")
    if row.note:
        say(console, f"note      {row.note}")
    source = row.source
    read = ", ".join(filter(None, [source.retrieved and f"read {source.retrieved}", source.via]))
    say(console, f"source    {source.url}" + (f"\n          {read}" if read else ""))


def _terms(row: Row, meter: str) -> str:
    """Return what else a price of a row says: bands, minimums, steps, pools."""
    parts = [f"{price.text} beyond {units_text(meter, start)}" for start, price in row.marginal.get(meter, ())]
    if meter in row.least_units:
        parts.append(f"at least {units_text(meter, row.least_units[meter])}")
    if meter in row.step_units:
        parts.append(f"in steps of {units_text(meter, row.step_units[meter])}")
    if meter in row.least_amount:
        parts.append(f"at least {row.least_amount[meter]} USD")
    if meter in row.pool:
        parts.append(f"free units of {row.pool[meter]}")
    return "".join(f", {part}" for part in parts)


def _names(model: Model) -> tuple[str, ...]:
    return (model.id, *model.names)


def _columns(periods: Sequence[Period]) -> list[str]:
    """Return the meters to show: the common ones that there are, else the first ones there are."""
    there = [meter for meter in METERS if any(meter in period.row.prices for period in periods)]
    return [meter for meter in _SHOWN_METERS if meter in there] or there[: len(_SHOWN_METERS)]


def _kind(row: Row) -> str:
    return ", ".join(filter(None, [row.tier, size_text(row).removeprefix("inputs "), conditions_text(row)]))


def _instant(at_ns: int, without: str) -> str:
    return without if at_ns in {ALWAYS_NS, NEVER_NS} else instant_text(at_ns)
