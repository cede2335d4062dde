"""``farebox limits forecast``: when traffic will reach what providers allow."""

import os
import time
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import click
import msgspec

from farebox.analyse.headroom import Day, Outlook, look_ahead
from farebox.books.query import Books
from farebox.books.rows import ProviderDay, Window
from farebox.cli.fresh import freshen
from farebox.cli.options import config_option, data_dir_option, find_config, json_option
from farebox.config.tables import Config
from farebox.money import usd_text
from farebox.present.amounts import percent, short_usd
from farebox.present.tables import make_console, print_table
from farebox.state.settings import read_config
from farebox.state.spend_tiers import load_tiers

_DAY_NS = 86_400_000_000_000
_MINUTE = "_per_minute"


@click.command()
@click.option("--days", type=click.IntRange(2, 365), default=30, show_default=True, help="How far back to look.")
@config_option
@data_dir_option
@json_option
def forecast(days: int, config_path: Path | None, data_dir: Path, *, as_json: bool) -> None:
    """Say when traffic will reach a provider's limits, monthly cap or next spend tier.

    A straight line through the days of the books is carried on; limits are those of the configuration, tiers those that
    providers publish.
    """
    path = find_config(config_path)
    config = read_config(path, os.environ)
    freshen(data_dir, path)
    now_ns = time.time_ns()
    with Books(data_dir) as books:
        every = books.days_of_providers()
    with Books(data_dir, Window(now_ns - days * _DAY_NS, None)) as books:
        recent = books.days_of_providers()
    until = datetime.fromtimestamp(now_ns // 10**9, UTC).date() - timedelta(1)
    found = _look_ahead(config, every, recent, until)
    if as_json:
        click.echo(msgspec.json.encode([_as_dict(provider, one) for provider, one in found]))
    elif found:
        columns = ("provider", "what", ">now", ">limit", ">used", "reached on", "sure")
        print_table(make_console(), "", columns, [_as_row(provider, one) for provider, one in found])
    else:
        click.echo("There is nothing to forecast: no whole day of traffic, or no limit and no tier is known.")
        click.echo("Say what a provider allows: [[providers]] limits = { requests_per_minute = 500 }")


def _look_ahead(
    config: Config, every: Iterable[ProviderDay], recent: Iterable[ProviderDay], until: date
) -> list[tuple[str, Outlook]]:
    tiers = load_tiers()
    limits = {provider.name: _limits_of(provider.limits) for provider in config.providers}
    paid: dict[str, int] = {}
    for day in every:
        paid[day.provider] = paid.get(day.provider, 0) + day.spent_femto
    by_provider: dict[str, list[ProviderDay]] = {}
    for day in recent:
        if day.day <= until:
            by_provider.setdefault(day.provider, []).append(day)
    found = []
    for provider, seen in sorted(by_provider.items()):
        ahead = look_ahead(
            _without_gaps(seen, until), limits.get(provider, {}), tiers.get(seen[0].rate_provider, ()), paid[provider]
        )
        found += [(provider, one) for one in ahead]
    return found


def _limits_of(limits: Any) -> dict[str, int]:
    return {
        name.removesuffix(_MINUTE): value
        for name, value in msgspec.structs.asdict(limits).items()
        if name.endswith(_MINUTE) and value is not None
    }


def _without_gaps(seen: list[ProviderDay], until: date) -> list[Day]:
    """Return one day after the other; those without traffic have none."""
    known = {one.day: one for one in seen}
    days = []
    day = seen[0].day
    while day <= until:
        one = known.get(day)
        if one is None:
            days.append(Day(day, 0, 0, 0, 0, 0))
        else:
            amounts = (int(one.spent_femto), one.requests_peak, int(one.input_peak), int(one.output_peak))
            days.append(Day(day, *amounts, int(one.tokens_peak)))
        day += timedelta(1)
    return days


def _as_row(provider: str, one: Outlook) -> tuple[str, ...]:
    now, limit = (short_usd(amount) if one.unit == "usd" else f"{amount:,}" for amount in (one.now, one.limit))
    reached = "not within a year" if one.reached_on is None else str(one.reached_on)
    return provider, one.what, now, limit, percent(one.now / one.limit) if one.limit else "-", reached, one.sureness


def _as_dict(provider: str, one: Outlook) -> dict[str, Any]:
    is_money = one.unit == "usd"
    return {
        "provider": provider,
        "what": one.what,
        "unit": one.unit,
        "now": usd_text(one.now) if is_money else one.now,
        "limit": usd_text(one.limit) if is_money else one.limit,
        "reached_on": None if one.reached_on is None else one.reached_on.isoformat(),
        "sureness": one.sureness,
    }
