"""``farebox price``: explain one charge line by line."""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from farebox.charge import Charge
from farebox.errors import ConfigError, UsageViolation
from farebox.money import usd_text
from farebox.normalise.anthropic_messages import Evidence, read_evidence
from farebox.normalise.table import NORMALISERS, normaliser
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.explain import Explanation, explain, instant_text, size_text, validity_text
from farebox.state.pricebook import load_book
from farebox.usage import METERS, Usage

_API_OF_PROVIDER = {"anthropic": "anthropic-messages"}
_UNPRICED = 1


def add_meter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per meter, such as ``--cache-read N``."""
    for meter in reversed(METERS.values()):
        unit = "tokens" if meter.unit == "token" else "calls"
        command = click.option(
            f"--{meter.name.replace('_', '-')}",
            f"meter_{meter.name}",
            type=click.IntRange(0, 2**31 - 1),
            metavar="N",
            help=f"{meter.name} {unit}",
        )(command)
    return command


@click.command()
@click.argument("model")
@click.option("--provider", help="Id in the price book; needed where several providers price the model.")
@click.option("--usage", "usage_from", metavar="JSON|FILE|-", help="A provider's raw usage object.")
@click.option("--api", type=click.Choice(list(NORMALISERS)), help="Which API the usage object is of.")
@click.option("--service-tier", metavar="TIER", help="As the provider's answer names it.")
@click.option("--batch", is_flag=True, help="The attempt went through a batch channel.")
@click.option("--speed", metavar="SPEED", help="As the provider's answer names it.")
@click.option("--region", metavar="REGION", help="Region of the inference or of the endpoint.")
@click.option("--at", metavar="TIME", help="ISO 8601 with zone, such as 2026-07-30T00:00:00Z; default: now.")
@click.option("--prices", "own_files", type=click.Path(path_type=Path), multiple=True, help="File with own [[prices]].")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@add_meter_options
def price(model: str, own_files: tuple[Path, ...], *, as_json: bool, **options: Any) -> None:
    """Explain what one use of MODEL costs, line by line.

    Give the meters (they are disjoint: --input is what was neither read from nor written to the cache), or a
    provider's raw usage object with --usage. Exit code 1: it cannot be priced.
    """
    try:
        book = load_book(own_files)
        rating = _read_rating(book, model, options)
        explanation = explain(book, rating)
    except (ConfigError, UsageViolation) as error:
        raise click.UsageError(str(error)) from None
    if as_json:
        click.echo(json.dumps(_as_json(rating, explanation), indent=2))
    else:
        _show(rating, explanation, book)
    if not isinstance(explanation.result, Charge):
        sys.exit(_UNPRICED)


def find_provider(book: PriceBook, model: str, provider: str | None) -> str:
    """Return the provider that was named, or the only one whose card knows the model.

    Raises:
        click.UsageError: where it cannot be told.
    """
    if provider is not None:
        return provider
    known = [name for name in book.providers() if book.find_model(name, model)]
    if len(known) == 1:
        return known[0]
    if known:
        raise click.UsageError(f"{model} is priced by {', '.join(known)}; say which with --provider")
    names = ", ".join(book.providers())
    raise click.UsageError(f"no card knows {model}; there are cards of {names} (farebox prices list)")


def _read_rating(book: PriceBook, model: str, options: dict[str, Any]) -> Rating:
    provider = find_provider(book, model, options["provider"])
    meters = {name: options[f"meter_{name}"] for name in METERS if options[f"meter_{name}"] is not None}
    evidence = Evidence()
    if options["usage_from"] is not None:
        if meters:
            raise click.UsageError("give either --usage or meters, not both")
        raw = _read_usage(options["usage_from"])
        api = options["api"] or _API_OF_PROVIDER.get(provider, "openai-chat")
        usage = normaliser(api)(raw)
        if api == "anthropic-messages":
            evidence = read_evidence(raw)
    elif meters:
        usage = Usage(meters, sum(count for name, count in meters.items() if METERS[name].family == "input"))
    else:
        raise click.UsageError("say what was used: --input N --output N, or --usage JSON")
    return Rating(
        provider=provider,
        answered="",
        asked=model,
        usage=usage,
        at_ns=read_instant(options["at"]),
        service_tier=options["service_tier"] or evidence.service_tier,
        processing="batch" if options["batch"] else None,
        speed=options["speed"] or evidence.speed,
        region=options["region"] or evidence.region,
    )


def _read_usage(given: str) -> dict[str, Any]:
    """Return the usage object from JSON text, a file or standard input; a whole answer's ``usage`` is found too."""
    if given == "-":
        text = sys.stdin.read()
    elif given.lstrip().startswith("{"):
        text = given
    else:
        try:
            text = Path(given).read_text(encoding="utf-8")
        except OSError as error:
            raise click.UsageError(f"--usage {given}: {error.strerror or error}") from None
    try:
        raw = json.loads(text)
    except ValueError as error:
        raise click.UsageError(f"--usage is not JSON: {error}") from None
    if isinstance(raw, dict) and isinstance(raw.get("usage"), dict):
        raw = raw["usage"]
    if not isinstance(raw, dict):
        raise click.UsageError("--usage must be a JSON object")
    return raw


def read_instant(text: str | None) -> int:
    """Return an ISO 8601 time as nanoseconds since the epoch, or the present where there is none.

    Raises:
        click.UsageError: where it is not a time with its zone.
    """
    if text is None:
        return time.time_ns()
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise click.UsageError(f"--at {text!r}: not an ISO 8601 time such as 2026-07-30T00:00:00Z") from None
    if instant.tzinfo is None:
        instant = instant.replace(tzinfo=UTC)
    return int(instant.timestamp()) * 10**9 + instant.microsecond * 1000


def _as_json(rating: Rating, explanation: Explanation) -> dict[str, Any]:
    choice, result = explanation.choice, explanation.result
    head: dict[str, Any] = {"provider": rating.provider, "model": choice.model or rating.asked}
    if not isinstance(result, Charge):
        return {**head, "error": {"code": "unpriced", "message": result.reason}, "book": result.book}
    lines = []
    for explained in explanation.lines:
        line = {
            "meter": explained.line.meter,
            "quantity": explained.line.quantity,
            "unit_price_usd": explained.unit_price_usd,
            "per": explained.per,
            "amount_usd": explained.amount_usd,
            "rate": explained.line.rate,
        }
        if explained.rate is not None:
            source = explained.rate.row.source
            line |= {"source": source.url, "retrieved": source.retrieved, "via": source.via}
        lines.append(line)
    return {
        **head,
        "tier": choice.tier,
        "tier_because": choice.tier_why,
        "region": choice.region,
        "input_total": rating.usage.input_total,
        "at": instant_text(rating.at_ns),
        "total_usd": usd_text(result.total_femto),
        "lines": lines,
        "book": result.book,
    }


def _show(rating: Rating, explanation: Explanation, book: PriceBook) -> None:
    console = Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
    choice, result = explanation.choice, explanation.result
    if not isinstance(result, Charge):
        console.print(f"UNPRICED  {result.reason}", style="bold red")
        console.print(f"book      {book.short}")
        return
    console.print(f"model     {rating.provider}/{choice.model}, matched by {choice.matched}")
    console.print(f"tier      {choice.tier}: {choice.tier_why}")
    if choice.region:
        console.print(f"region    {choice.region}")
    console.print(f"at        {instant_text(rating.at_ns)}, {rating.usage.input_total:,} input tokens")
    console.print(f"book      {book.short}\n")
    _show_lines(console, explanation, usd_text(result.total_femto))
    _show_rates(console, explanation)


def _show_lines(console: Console, explanation: Explanation, total: str) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True)
    table.add_column("meter", "total")
    table.add_column("quantity", justify="right")
    table.add_column("USD", justify="right")
    table.add_column("per")
    table.add_column("amount USD", justify="right")
    prices = _align([explained.unit_price_usd for explained in explanation.lines])
    amounts = _align([*(explained.amount_usd for explained in explanation.lines), total])
    table.columns[-1].footer = amounts[-1]
    for explained, price_usd, amount_usd in zip(explanation.lines, prices, amounts, strict=False):
        unit = "1M" if explained.per > 1 else "call"
        table.add_row(explained.line.meter, f"{explained.line.quantity:,}", price_usd, unit, amount_usd)
    console.print(table)


def _align(texts: list[str]) -> list[str]:
    """Return decimal texts with as many decimals as the longest has, so that a column can be read."""
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    if not decimals:
        return texts
    return [f"{whole}.{part:0<{decimals}}" for whole, _, part in (text.partition(".") for text in texts)]


def _show_rates(console: Console, explanation: Explanation) -> None:
    """Print each row of prices once, with the meters that it priced."""
    console.print()
    by_row: dict[str, list[Any]] = {}
    for explained in explanation.lines:
        if explained.rate is not None:
            by_row.setdefault(explained.rate.row.id, []).append(explained)
    for row_id, priced in by_row.items():
        row = priced[0].rate.row
        console.print(f"rate      {row_id}", style="bold")
        names = [f"{one.line.meter} as {one.priced_as}" if one.priced_as else one.line.meter for one in priced]
        console.print(f"  prices  {', '.join(names)}")
        conditions = [f"valid {validity_text(row)}", *filter(None, [size_text(row)])]
        console.print(f"  holds   {', '.join(conditions)}")
        console.print(f"  source  {_source_text(row.source)}")
        uplifts = {one.rate.uplift.times: one.rate.uplift for one in priced if one.rate.uplift}
        for times, uplift in uplifts.items():
            console.print(f"  uplift  {times} times, {_source_text(uplift.source)}")
        if row.note:
            console.print(f"  note    {row.note}")


def _source_text(source: Any) -> str:
    """Return a source over at most two lines of 80 columns."""
    read = ", ".join(part for part in (f"read {source.retrieved}" if source.retrieved else "", source.via) if part)
    return f"{source.url}\n          {read}" if read else str(source.url)
