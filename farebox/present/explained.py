"""One charge explained: a table of its lines, and below it every price with its source and validity."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from farebox.charge import Charge
from farebox.money import usd_text
from farebox.present.charges import line_text
from farebox.prices.arithmetic import parse_price, quantity_text
from farebox.prices.book import PriceBook
from farebox.prices.choose import Rating
from farebox.prices.explain import (
    Explained,
    Explanation,
    Origin,
    conditions_text,
    instant_text,
    size_text,
    validity_text,
)
from farebox.prices.rates import USD, Row, Source, Windows
from farebox.usage import METERS

_ONE_SOURCE = "one source"
_INDENT = " " * 10
_WIDTH = 80
# What stands behind a quantity; nothing where the meter says it all.
_UNITS = {"second": "s", **dict.fromkeys(("token", "call", "page", "image", "character", "pixel"), "")}
_BY_THE_LINE = frozenset({"least", "reported"})
_SAME_IN_PLURAL = frozenset({"GB", "USD"})
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def explanation_json(rating: Rating, explanation: Explanation) -> dict[str, Any]:
    """Return an explanation for ``--json``: decimal strings throughout."""
    choice, result = explanation.choice, explanation.result
    head: dict[str, Any] = {"provider": rating.provider, "model": choice.model or rating.asked}
    if not isinstance(result, Charge):
        return {**head, "error": {"code": "unpriced", "message": result.reason}, "book": result.book}
    reported = rating.usage.reported_femto
    return {
        **head,
        "tier": choice.tier,
        "tier_because": choice.tier_why,
        "region": choice.region,
        "facts": dict(choice.facts),
        "input_total": rating.usage.input_total,
        "at": instant_text(rating.at_ns),
        "total_usd": usd_text(result.total_femto),
        "reported_usd": None if reported is None else usd_text(reported),
        "lines": [_line_json(line) for line in explanation.lines],
        "book": result.book,
    }


def show_explanation(book: PriceBook, rating: Rating, explanation: Explanation, console: Console) -> None:
    """Print an explanation."""
    choice, result = explanation.choice, explanation.result
    if not isinstance(result, Charge):
        console.print(f"UNPRICED  {result.reason}", style="bold red", soft_wrap=True)
        console.print(f"book      {book.short}")
        return
    facts = ", ".join(f"{name} {value}" for name, value in choice.facts)
    sizes = f", {rating.usage.input_total:,} input tokens" if rating.usage.input_total else ""
    rows = [
        ("model", f"{rating.provider}/{choice.model}, matched by {choice.matched}"),
        ("tier", f"{choice.tier}: {choice.tier_why}"),
        ("region", choice.region),
        ("facts", facts),
        ("at", f"{instant_text(rating.at_ns)}{sizes}"),
        ("book", book.short),
        ("note", _note(book, rating)),
    ]
    for name, text in rows:
        if text:
            say(console, f"{name:8}  {text}")
    console.print()
    _show_lines(console, explanation, usd_text(result.total_femto))
    console.print()
    card = book.card(rating.provider)
    _show_origins(console, explanation.lines, card.schedules if card is not None else {})
    reported = rating.usage.reported_femto
    if reported is not None and reported != result.total_femto:
        console.print(f"\nThe provider reports {usd_text(reported)} USD for it.", style="bold")


def align_decimals(texts: Sequence[str]) -> list[str]:
    """Return decimal texts with as many decimals as the longest has, so that a column can be read."""
    decimals = max((len(text.partition(".")[2]) for text in texts), default=0)
    if not decimals:
        return list(texts)
    return [f"{whole}.{part:0<{decimals}}" for whole, _, part in (text.partition(".") for text in texts)]


def units_text(meter: str, quantity: int) -> str:
    """Return a quantity with its unit, such as ``10 seconds``.

    Args:
        meter: a name in `usage.METERS`.
        quantity: of the meter's smallest part.
    """
    number, unit = quantity_text(meter, quantity), METERS[meter].unit
    return f"{grouped(number)} {unit}{'' if number == '1' or unit in _SAME_IN_PLURAL else 's'}"


def hours_text(windows: Windows) -> str:
    """Return when a schedule is on, in words."""
    days = " ".join(_DAYS[day] for day in windows.weekdays) if len(windows.weekdays) < len(_DAYS) else "every day"
    spans = ", ".join(f"{_clock(start)}-{_clock(end)}" for start, end in windows.spans)
    parts = [f"{days} {spans} {windows.zone}"]
    parts += [f"not on {windows.off_days}"] if windows.off_days else []
    parts += [f"also on {windows.on_days}"] if windows.on_days else []
    return ", ".join(parts)


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def grouped(number: str) -> str:
    """Return a decimal string with its thousands set apart."""
    whole, dot, part = number.partition(".")
    return f"{int(whole):,}{dot}{part}"


def source_text(source: Source) -> str:
    """Return where and when something was read, the day under the address."""
    read = ", ".join(part for part in (f"read {source.retrieved}" if source.retrieved else "", source.via) if part)
    return f"{source.url}\n{_INDENT}{read}" if read else source.url


def say(console: Console, text: str, *, bold: bool = False) -> None:
    """Print text; what is too long goes on under its own column, but a word, such as an address, is never broken."""
    style = "bold" if bold else None
    for part in text.split("\n"):
        words = part.lstrip(" ").split(" ")
        line = part[: len(part) - len(part.lstrip(" "))]
        for word in words:
            if len(line) + len(word) > _WIDTH and line.strip() and len(_INDENT) + len(word) <= _WIDTH:
                console.print(line.rstrip(), style=style, soft_wrap=True)
                line = _INDENT
            line += word + " "
        console.print(line.rstrip(), style=style, soft_wrap=True)


def _note(book: PriceBook, rating: Rating) -> str:
    """Return what a reader should know of the model."""
    found = (book.find_model(rating.provider, name) for name in (rating.answered, rating.asked) if name)
    return next((each[0].note for each in found if each), "")


def _line_json(explained: Explained) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(line_text(explained))
    found["unit"] = explained.unit
    origin = explained.origin
    if origin is None:
        return found
    found |= {"kind": origin.kind, "retrieved": origin.source.retrieved, "via": origin.source.via}
    row = origin.row
    if row is not None:
        found |= {"published": row.prices[origin.meter].text, "currency": row.currency, "valid": validity_text(row)}
        found |= {"priced_as": origin.meter, "note": row.note}
    if origin.uplifts:
        uplifts = [{"id": one.id, "times": one.times, "source": one.source.url} for one in origin.uplifts]
        found["uplifts"] = uplifts
    if origin.exchange is not None:
        found["exchange_usd"] = origin.exchange.usd
    return found


def _show_lines(console: Console, explanation: Explanation, total: str) -> None:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_footer=True)
    table.add_column("meter", "total", overflow="fold")
    table.add_column("quantity", justify="right", no_wrap=True)
    table.add_column("USD", justify="right", no_wrap=True)
    table.add_column("per", overflow="fold")
    amounts = align_decimals([*(one.amount_usd for one in explanation.lines), total])
    table.add_column("amount USD", amounts[-1], justify="right", no_wrap=True)
    prices = align_decimals([one.unit_price_usd for one in explanation.lines])
    for one, price, amount in zip(explanation.lines, prices, amounts, strict=False):
        unit = "" if one.origin is not None and one.origin.kind in _BY_THE_LINE else _UNITS.get(one.unit, one.unit)
        quantity = f"{grouped(one.quantity)} {unit}".rstrip()
        table.add_row(_name(one), quantity, price, _per_words(one), amount)
    console.print(table)


def _per_words(explained: Explained) -> str:
    """Return for how many of what a price is; a contract's step is for as many as prices of its meter usually are."""
    origin = explained.origin
    if origin is not None and origin.kind in {"contract", "pool"}:
        return parse_price("0", explained.line.meter).unit
    return explained.per_words


def _name(explained: Explained) -> str:
    """Return what a line is for: its meter, or under it the step that changes it."""
    kind = explained.origin.kind if explained.origin else "row"
    named = {"contract": "contract", "pool": "free of charge", "least": "at least", "reported": "as reported"}
    return f"  {named[kind]}" if kind in named else explained.line.meter


def _show_origins(console: Console, lines: Sequence[Explained], schedules: Mapping[str, Windows]) -> None:
    """Print each row of prices once, with the meters that it priced, and each contract and pool."""
    groups: dict[str, list[Explained]] = {}
    for one in lines:
        key = one.line.rate.rpartition("#")[0] if one.origin is not None else one.line.rate
        groups.setdefault(key, []).append(one)
    for key, priced in groups.items():
        origin = next((one.origin for one in priced if one.origin is not None), None)
        if origin is None:
            say(console, f"rate      {key}: this book does not have it", bold=True)
        elif origin.row is not None:
            say(console, f"rate      {key}", bold=True)
            _show_row(console, origin.row, priced)
            if origin.row.schedule in schedules:
                say(console, f"  hours   {hours_text(schedules[origin.row.schedule])}")
        else:
            _show_other(console, origin)


def _show_row(console: Console, row: Row, priced: Sequence[Explained]) -> None:
    names = dict.fromkeys(
        f"{one.line.meter}{f' as {one.priced_as}' if one.priced_as else ''} {row.prices[one.origin.meter].text}"
        for one in priced
        if one.origin is not None
    )
    say(console, f"  prices  {', '.join(names)}" + ("" if row.currency == USD else f" {row.currency}"))
    holds = [f"valid {validity_text(row)}", size_text(row), conditions_text(row)]
    say(console, f"  holds   {', '.join(filter(None, holds))}")
    say(console, f"  source  {source_text(row.source)}")
    for step in dict.fromkeys(_steps(priced)):
        say(console, step)
    note = _note_on(row, {one.origin.meter for one in priced if one.origin is not None})
    if note:
        say(console, f"  note    {note}", bold=_ONE_SOURCE in note)


def _note_on(row: Row, meters: set[str]) -> str:
    """Return a row's note; one that names meters of which only one source is known, only for these."""
    named = row.note.removeprefix(f"{_ONE_SOURCE}:")
    if named == row.note:
        return row.note
    mine = [meter.strip() for meter in named.split(",") if meter.strip() in meters]
    return f"{_ONE_SOURCE}: {', '.join(mine)}" if mine else ""


def _steps(priced: Iterable[Explained]) -> Iterable[str]:
    """Yield what was multiplied into the prices of a row, and how it rounds quantities and amounts."""
    for one in priced:
        origin, meter = one.origin, one.line.meter
        if origin is None or origin.row is None:
            continue
        for uplift in origin.uplifts:
            yield f"  uplift  {uplift.id}: {uplift.times} times, {source_text(uplift.source)}"
        if origin.exchange is not None:
            rate = f"1 {origin.exchange.currency} = {origin.exchange.usd} USD"
            yield f"  money   {rate}, {source_text(origin.exchange.source)}"
        row = origin.row
        if meter in row.least_units:
            yield f"  least   {meter} is billed for {units_text(meter, row.least_units[meter])} at least"
        if meter in row.step_units:
            yield f"  step    {meter} is rounded up to multiples of {units_text(meter, row.step_units[meter])}"
        if meter in row.least_amount:
            yield f"  least   {meter} costs at least {row.least_amount[meter]} USD"
        for start, price in row.marginal.get(meter, ()):
            yield f"  beyond  {units_text(meter, start)}: {price.text}"


def _show_other(console: Console, origin: Origin) -> None:
    if origin.contract is not None:
        contract = origin.contract
        terms = f"{contract.percent}% off" if contract.percent else "prices of its own"
        say(console, f"contract  {contract.id}: {terms}", bold=True)
    elif origin.pool is not None:
        pool = origin.pool
        free = f"{units_text(pool.meter, pool.free)} of {pool.meter} free per {pool.period} and {pool.shared_by}"
        say(console, f"pool      {pool.id}: {free}", bold=True)
    else:
        say(console, f"{origin.kind:8}  {origin.meter}", bold=True)
    say(console, f"  source  {source_text(origin.source)}")
