"""The one function that computes a charge: integer arithmetic, nothing guessed.

Which rates apply is chosen in this order: the model (the one that answered, then the one that was asked for),
the tier (batch by the channel, speed and service tier by the provider's own answer), the region and other facts,
the instant, the size of the input. Whatever has no published price is `Unpriced` with the reason; it is never
zero.
"""

from collections.abc import Mapping
from fractions import Fraction

from farebox.charge import Charge, Line, Unpriced
from farebox.errors import ConfigError
from farebox.prices.arithmetic import amount_of
from farebox.prices.book import PriceBook
from farebox.prices.choose import Choice, Position, Rating, choose
from farebox.prices.rates import Rate, Table
from farebox.prices.tariff import Bands
from farebox.usage import METERS, Usage

# What 64 bits hold: $9,223. Larger amounts belong to batches, training and months, not to one attempt.
MAX_FEMTO = 2**63 - 1
_MEMO_LIMIT = 8192
# Meters whose units stayed inside text meters (see `Usage.unsplit`), and the prices that must be the same.
_SAME_PRICE = {
    f"input_{kind}": ((f"input_{kind}", "input"), (f"cache_read_{kind}", "cache_read"))
    for kind in ("audio", "image", "video")
}
_TOKENS = frozenset(name for name, meter in METERS.items() if meter.family in {"input", "output"})


def charge(book: PriceBook, rating: Rating) -> Charge | Unpriced:
    """Return what an attempt costs, line by line, or why that is not known.

    The lines are in the order of the meters, those with quantity 0 left out, and add up to the total exactly.
    Steps of contracts follow the line they change. It never raises: a fault in a card is a reason like any other.
    """
    usage = rating.usage
    choice = recall(book, rating)
    if choice.reported and usage.reported_femto is not None:
        return _charge_reported(book, rating, usage.reported_femto)
    table = _find_table(choice, rating)
    if isinstance(table, str):
        return Unpriced(table, book.hash)
    total = 0
    lines: list[Line] = []
    for meter, quantity in usage.meters.items():
        if quantity:
            rate = table.get(meter)
            if rate is None:
                return Unpriced(no_rate(choice, f"for the meter {meter}"), book.hash)
            if rate.plain and rating.position is None:
                amount = quantity * rate.femto
                total += amount
                lines.append(Line(meter, quantity, rate.femto, amount, rate.id))
            else:
                special = lines_of(rate, meter, quantity, rating.position)
                total += sum([line.amount_femto for line in special])
                lines += special
    if total > MAX_FEMTO and not _TOKENS.isdisjoint(usage.meters):
        return Unpriced("the amount is larger than one attempt can have", book.hash)
    if usage.unsplit:
        blurred = _find_blurred(usage, table)
        if blurred:
            return Unpriced(f"how much of {blurred} was cached is not reported, and its price differs", book.hash)
    return Charge(tuple(lines), total, book.hash)


def find_table(book: PriceBook, rating: Rating) -> Table | str:
    """Return the rates by meter that an attempt falls under, or why there are none."""
    return _find_table(recall(book, rating), rating)


def lines_of(rate: Rate, meter: str, quantity: int, position: Position | None = None) -> list[Line]:
    """Return the lines of one meter at a rate that may be more than a price per unit.

    In this order: the least quantity and its rounding, free units, marginal prices, the least amount, and then
    the steps of contracts on the quantity that was not free.
    """
    lines: list[Line] = []
    billed = max(quantity, rate.least_units)
    if rate.step_units:
        billed = -(-billed // rate.step_units) * rate.step_units
    free = min(billed, _free_units(rate, meter, position))
    if free:
        pool = f"pool/{rate.pool.id}#{meter}" if rate.pool is not None else f"pool/given#{meter}"
        lines.append(Line(meter, free, 0, 0, pool))
        billed -= free
    if not billed:
        return lines
    before = position.used.get(meter, 0) if position is not None else 0
    lines += _band_lines(rate, meter, billed, before)
    amount = sum(line.amount_femto for line in lines)
    if amount < rate.least_femto:
        missing = rate.least_femto - amount
        lines.append(Line(meter, 1, missing, missing, f"{rate.id}!least"))
    for step in rate.steps:
        lines += _band_lines(step, meter, billed, before)
    return lines


def recall(book: PriceBook, rating: Rating) -> Choice:
    """Return the choice of model and tier, from the last time it was made where there was one."""
    key: tuple[object, ...] = (
        rating.provider,
        rating.answered,
        rating.asked,
        rating.service_tier,
        rating.processing,
        rating.speed,
        rating.region,
    )
    if rating.facts or rating.usage.facts:
        key = (*key, *sorted({**rating.facts, **rating.usage.facts}.items()))
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


def _charge_reported(book: PriceBook, rating: Rating, reported_femto: int) -> Charge:
    line = Line("reported_cost", reported_femto, 1, reported_femto, f"{rating.provider}/reported#reported_cost")
    return Charge((line,) if reported_femto else (), reported_femto, book.hash)


def total_of(table: Table, meters: Mapping[str, int]) -> int | None:
    """Return what meters cost at plain rates, femtodollars: the total of `charge`, without its lines.

    None where a meter has no rate, or one that takes more than a multiplication: `charge` knows then.
    """
    total = 0
    for meter, quantity in meters.items():
        rate = table.get(meter)
        if rate is None or not rate.plain:
            return None
        total += quantity * rate.femto
    return total


def find_bands(choice: Choice, at_ns: int) -> Bands | str:
    """Return the tables that hold at a time, or why there are none."""
    if choice.tariff is None:
        return choice.reason
    try:
        bands = choice.tariff.at(at_ns)
    except ConfigError as error:
        return f"price book: {error}"
    return bands or no_rate(choice, "at that time")


def _find_table(choice: Choice, rating: Rating) -> Table | str:
    """Return the rates that hold for the time and the size, or why there are none."""
    if not rating.usage.meters and choice.tariff is not None:
        return "the usage has no meters"
    bands = find_bands(choice, rating.at_ns)
    if isinstance(bands, str):
        return bands
    table = _pick_table(bands, rating.usage)
    return no_rate(choice, _sizes(rating.usage)) if table is None else table


def _pick_table(bands: Bands, usage: Usage) -> Table | None:
    """Return the rates for the size of the input, or None where there are none or several sizes disagree."""
    if not usage.prompts:
        return bands[0][1] if bands[0][0] < 0 else table_for(bands, usage.input_total)
    tables = [table_for(bands, prompt) for prompt in usage.prompts]
    return tables[0] if all(table is tables[0] for table in tables) else None


def table_for(bands: Bands, tokens: int) -> Table | None:
    """Return the rates for an input of so many tokens, or None where there are none."""
    for above, table in bands:
        if tokens > above:
            return table
    return None


def _free_units(rate: Rate, meter: str, position: Position | None) -> int:
    """Return how many units are still free; without a position none are, the period's end settles them."""
    if position is None:
        return 0
    if meter in position.free:
        return position.free[meter]
    if rate.pool is None or meter not in position.used:
        return 0
    return max(0, rate.pool.free * position.periods - position.used[meter])


def _band_lines(rate: Rate, meter: str, quantity: int, before: int) -> list[Line]:
    """Return the lines of a quantity that comes after what was used before, one for each marginal price."""
    if not rate.bands:
        return [Line(meter, quantity, rate.femto, amount_of(quantity, rate.femto, rate.per), rate.id, rate.per)]
    lines: list[Line] = []
    ends = [start for start, _, _ in rate.bands[1:]]
    for (start, femto, per), end in zip(rate.bands, [*ends, None], strict=True):
        low = max(before, start)
        high = before + quantity if end is None else min(before + quantity, end)
        if high > low and femto:
            lines.append(Line(meter, high - low, femto, amount_of(high - low, femto, per), rate.id, per))
        elif high > low:
            lines.append(Line(meter, high - low, 0, 0, rate.id))
    return lines


def _find_blurred(usage: Usage, table: Table) -> str:
    """Return a meter that could not be told apart from the cached tokens though its price differs, or ""."""
    for meter in usage.unsplit:
        for own, text in _SAME_PRICE[meter]:
            if usage.meters.get(text) and _price(table.get(own)) != _price(table.get(text)):
                return meter
    return ""


def _price(rate: Rate | None) -> tuple[Fraction, ...] | None:
    return None if rate is None else tuple(Fraction(one.femto, one.per) for one in (rate, *rate.steps))


def _sizes(usage: Usage) -> str:
    if usage.prompts:
        return f"that fits inputs of {', '.join(map(str, usage.prompts))} tokens alike"
    return f"for an input of {usage.input_total} tokens"


def no_rate(choice: Choice, why: str) -> str:
    """Return the reason of what has no rate."""
    return f"no rate for {choice.label} {why}"
