"""The one function that computes a charge: integer arithmetic, nothing guessed, nothing rounded.

Which rates apply is chosen in this order: the model (the one that answered, then the one that was asked for),
the tier (batch by the channel, speed and service tier by the provider's own answer), the region, the instant,
the size of the input. Whatever has no published price is `Unpriced` with the reason; it is never zero.
"""

import msgspec

from farebox.charge import Charge, Line, Unpriced
from farebox.errors import ConfigError
from farebox.prices.book import PriceBook
from farebox.prices.choose import Choice, Rating, choose
from farebox.prices.rates import Rate
from farebox.prices.schedule import Table
from farebox.usage import METERS, Usage

# What 64 bits hold: $9,223. Larger amounts belong to batches and months, not to one attempt.
MAX_FEMTO = 2**63 - 1
_MEMO_LIMIT = 8192
# Meters whose units stayed inside text meters (see `Usage.unsplit`), and the prices that must be the same.
_SAME_PRICE = {
    "input_audio": (("input_audio", "input"), ("cache_read_audio", "cache_read")),
    "input_image": (("input_image", "input"), ("cache_read_image", "cache_read")),
}


class Bound(msgspec.Struct, frozen=True):
    """The most an attempt can have used.

    Attributes:
        provider: id in the price book.
        model: what was asked of the provider.
        input_tokens: no more than these were sent.
        output_tokens: no more than these were allowed, over all choices.
        at_ns: when it was sent, nanoseconds since the epoch, UTC.
        service_tier: the tier that was asked for, or None.
        region: of the endpoint, or None.
    """

    provider: str
    model: str
    input_tokens: int
    output_tokens: int
    at_ns: int
    service_tier: str | None = None
    region: str | None = None


def charge(book: PriceBook, rating: Rating) -> Charge | Unpriced:
    """Return what an attempt costs, line by line, or why that is not known.

    The lines are in the order of the meters, those with quantity 0 left out, and add up to the total exactly.
    It never raises: a fault in a card is a reason like any other.
    """
    choice = _recall(book, rating)
    usage = rating.usage
    table = _find_table(choice, rating)
    if isinstance(table, str):
        return Unpriced(table, book.hash)
    total = 0
    lines: list[Line] = []
    for meter, quantity in usage.meters.items():
        if quantity:
            rate = table.get(meter)
            if rate is None:
                return Unpriced(_no_rate(choice, f"for the meter {meter}"), book.hash)
            amount = quantity * rate.femto
            total += amount
            lines.append(Line(meter, quantity, rate.femto, amount, rate.id))
    if total > MAX_FEMTO:
        return Unpriced("the amount is larger than one attempt can have", book.hash)
    if usage.unsplit:
        blurred = _find_blurred(usage, table)
        if blurred:
            return Unpriced(f"how much of {blurred} was cached is not reported, and its price differs", book.hash)
    return Charge(tuple(lines), total, book.hash)


def worst_case(
    book: PriceBook, provider: str, model: str, input_bound_tokens: int, output_cap_tokens: int, at_ns: int
) -> Charge | Unpriced:
    """Return the most that an attempt at the standard tier can cost; see `worst_case_of`."""
    return worst_case_of(book, Bound(provider, model, input_bound_tokens, output_cap_tokens, at_ns))


def worst_case_of(book: PriceBook, bound: Bound) -> Charge | Unpriced:
    """Return the most that an attempt can cost in tokens, for one whose end is not known.

    All input at the dearest input meter (a cache write, or audio, where the model has a price for it) and all
    output at the dearest output meter, over every input size that the bound reaches. Fees of server tools have
    no bound and are left out.
    """
    usage = Usage({"input": bound.input_tokens, "output": bound.output_tokens}, bound.input_tokens)
    rating = Rating(
        provider=bound.provider,
        answered="",
        asked=bound.model,
        usage=usage,
        at_ns=bound.at_ns,
        service_tier=bound.service_tier,
        region=bound.region,
    )
    choice = _recall(book, rating)
    if choice.schedule is None:
        return Unpriced(choice.reason, book.hash)
    bands = choice.schedule.at(bound.at_ns) or ()
    reached = [table for above, table in bands if bound.input_tokens > above]
    lines: list[Line] = []
    for family, quantity in (("input", bound.input_tokens), ("output", bound.output_tokens)):
        if not quantity:
            continue
        priced = [(rate, meter) for table in reached for meter, rate in table.items() if METERS[meter].family == family]
        if not priced:
            return Unpriced(_no_rate(choice, f"for any {family} meter"), book.hash)
        rate, meter = max(priced, key=lambda pair: pair[0].femto)
        lines.append(Line(meter, quantity, rate.femto, quantity * rate.femto, rate.id))
    total = sum(line.amount_femto for line in lines)
    if total > MAX_FEMTO:
        return Unpriced("the amount is larger than one attempt can have", book.hash)
    return Charge(tuple(lines), total, book.hash)


def _recall(book: PriceBook, rating: Rating) -> Choice:
    """Return the choice of model and tier, from the last time it was made where there was one."""
    key = (
        rating.provider,
        rating.answered,
        rating.asked,
        rating.service_tier,
        rating.processing,
        rating.speed,
        rating.region,
    )
    choice: Choice | None = book.memo.get(key)
    if choice is None:
        if len(book.memo) >= _MEMO_LIMIT:
            # Clients may name models at will; what they name must not fill the memory.
            book.memo.clear()
        try:
            choice = choose(book, rating)
        except ConfigError as error:
            # A fault in a card must not stop calls; it shows as an alarm on every attempt it concerns.
            choice = Choice(None, f"price book: {error}")
        book.memo[key] = choice
    return choice


def _find_table(choice: Choice, rating: Rating) -> Table | str:
    """Return the rates that hold for the time and the size, or why there are none."""
    if choice.schedule is None:
        return choice.reason
    if not rating.usage.meters:
        return "the usage has no meters"
    bands = choice.schedule.at(rating.at_ns)
    if bands is None:
        return _no_rate(choice, "at that time")
    table = _pick_table(bands, rating.usage)
    return _no_rate(choice, _sizes(rating.usage)) if table is None else table


def _pick_table(bands: tuple[tuple[int, Table], ...], usage: Usage) -> Table | None:
    """Return the rates for the size of the input, or None where there are none or several sizes disagree."""
    if not usage.prompts:
        return _table_for(bands, usage.input_total)
    tables = [_table_for(bands, prompt) for prompt in usage.prompts]
    return tables[0] if all(table is tables[0] for table in tables) else None


def _table_for(bands: tuple[tuple[int, Table], ...], tokens: int) -> Table | None:
    for above, table in bands:
        if tokens > above:
            return table
    return None


def _find_blurred(usage: Usage, table: Table) -> str:
    """Return a meter that could not be told apart from the cached tokens though its price differs, or ""."""
    for meter in usage.unsplit:
        for own, text in _SAME_PRICE[meter]:
            if usage.meters.get(text) and _femto(table.get(own)) != _femto(table.get(text)):
                return meter
    return ""


def _femto(rate: Rate | None) -> int | None:
    return None if rate is None else rate.femto


def _sizes(usage: Usage) -> str:
    if usage.prompts:
        return f"that fits inputs of {', '.join(map(str, usage.prompts))} tokens alike"
    return f"for an input of {usage.input_total} tokens"


def _no_rate(choice: Choice, why: str) -> str:
    return f"no rate for {choice.label} {why}"
