"""A model's rates over time: validity and input sizes laid out so that a charge is two short look-ups.

What a row leaves out is filled in as published: first from the row of the tier it names in ``rest``, at the same
instant and input size; then a meter takes the price of the one it inherits from.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

import msgspec

from farebox.errors import ConfigError
from farebox.money import femto_per_unit
from farebox.prices.rates import ALWAYS_NS, ANY_TIER, NEVER_NS, Card, Model, Rate, Row, Uplift, units_per_price
from farebox.usage import METERS

Table = Mapping[str, Rate]


class Segment(msgspec.Struct, frozen=True):
    """The rates between two instants.

    Attributes:
        from_ns: first instant, nanoseconds since the epoch, UTC.
        until_ns: the instant after the last one.
        bands: from the largest inputs down: the rates by meter that hold for inputs above so many tokens.
    """

    from_ns: int
    until_ns: int
    bands: tuple[tuple[int, Table], ...]


class Schedule(msgspec.Struct, frozen=True):
    """All rates of one model, tier and region, in order of time; gaps are instants without a price."""

    segments: tuple[Segment, ...]

    def at(self, at_ns: int) -> tuple[tuple[int, Table], ...] | None:
        """Return the bands that hold at an instant, or None."""
        for segment in self.segments:
            if segment.from_ns <= at_ns < segment.until_ns:
                return segment.bands
        return None

    def rates(self) -> Iterator[Rate]:
        """Yield every rate; one that holds in several bands or segments comes up in each."""
        for segment in self.segments:
            for _, table in segment.bands:
                yield from table.values()


def compile_schedule(card: Card, model: Model, tier: str, region: str) -> Schedule:
    """Return the schedule of a model for one tier and region ("" for none).

    Raises:
        ConfigError: where a price is not a whole number of femtodollars after an uplift.
    """
    uplift = _find_uplift(card, model, region)
    instants = {ALWAYS_NS, NEVER_NS}
    for row in model.rows:
        instants |= {row.from_ns, row.until_ns}
    marks = sorted(instants)
    segments: list[Segment] = []
    for from_ns, until_ns in pairwise(marks):
        rows = [row for row in model.rows if row.from_ns <= from_ns < row.until_ns]
        bands = _lay_bands(model, rows, tier, (uplift, region))
        if not bands:
            continue
        if segments and segments[-1].until_ns == from_ns and segments[-1].bands == bands:
            segments[-1] = msgspec.structs.replace(segments[-1], until_ns=until_ns)
        else:
            segments.append(Segment(from_ns, until_ns, bands))
    return Schedule(tuple(segments))


def _lay_bands(
    model: Model, rows: list[Row], tier: str, uplift: tuple[Uplift | None, str]
) -> tuple[tuple[int, Table], ...]:
    """Return the tables of one segment by input size, largest first."""
    if not any(row.tier == tier for row in rows):
        tier = ANY_TIER
    bands: list[tuple[int, Table]] = []
    last: tuple[Row, Row | None] | None = None
    for above in sorted({row.above for row in rows}):
        row = _pick_row(rows, tier, above)
        if row is None:
            continue
        rest = _pick_row(rows, row.rest, above) if row.rest else None
        if (row, rest) != last:
            last = (row, rest)
            bands.append((above, _fill_table(model, row, rest, uplift)))
    return tuple(reversed(bands))


def _pick_row(rows: list[Row], tier: str, above: int) -> Row | None:
    """Return the tier's row for inputs just above a size: the one with the highest size that they reach."""
    fitting = [row for row in rows if row.tier == tier and row.above <= above]
    return max(fitting, key=lambda row: row.above, default=None)


def _fill_table(model: Model, row: Row, rest: Row | None, uplift: tuple[Uplift | None, str]) -> Table:
    table: dict[str, Rate] = {}
    for source in (row, rest):
        if source is not None:
            for meter, price in source.prices.items():
                if meter not in table:
                    table[meter] = _make_rate(source, meter, price, uplift)
    for meter in model.inherit:
        if meter in table:
            continue
        # A meter may inherit from one that inherits itself.
        heir, seen = meter, {meter}
        while heir not in table and heir in model.inherit and model.inherit[heir] not in seen:
            heir = model.inherit[heir]
            seen.add(heir)
        if heir in table:
            table[meter] = table[heir]
    return table


def _make_rate(row: Row, meter: str, price: str, uplift: tuple[Uplift | None, str]) -> Rate:
    femto = femto_per_unit(price, per=units_per_price(meter))
    times, region = uplift
    if times is None or METERS[meter].unit != "token":
        return Rate(f"{row.id}#{meter}", femto, meter, row)
    # The multiplier in thousandths keeps the arithmetic in integers.
    factor = _thousandths(times)
    whole, part = divmod(femto * factor, 1000)
    if part:
        raise ConfigError(f"row {row.id}: {meter} times {times.times} is not a whole number of femtodollars")
    return Rate(f"{row.id}#{meter}+{region}", whole, meter, row, times)


def _thousandths(uplift: Uplift) -> int:
    try:
        return femto_per_unit(uplift.times, per=10**12)
    except ValueError:
        raise ConfigError(f"[[uplifts]]: times = {uplift.times!r} needs at most three decimals") from None


def _find_uplift(card: Card, model: Model, region: str) -> Uplift | None:
    for uplift in card.uplifts:
        if region in uplift.regions and model.id in uplift.models:
            return uplift
    return None
