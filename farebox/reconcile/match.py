"""Puts what was billed beside what is booked: quantities first, then unit prices, then money.

Both are laid out by the provider's own periods, by model and meter. A difference is taken apart into causes whose
amounts add up to it exactly. What no rule explains is a cause of its own, and leaves the tie-out open.

    duplicate      the same line is there twice
    time_zone      the provider's day begins at another hour than UTC's
    missing_day    the export has no line at all for a period in which traffic is booked; no export is not zero
    not_billed     booked, and billed less or not
    bypassed       billed, and booked less or not: traffic that did not pass the gateway
    units          quantities differ by exactly 1,000 or 1,000,000: thousands and millions mixed up
    price_change   the same quantity at another price
    rounding       within half of the last digit that the export shows, line by line
    credit, tax, fee   lines that no request is behind
    unmapped       the line says neither model nor meter that is known; it is never guessed
    quantity_or_price  the export has no quantities, so the two cannot be told apart
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from farebox.reconcile.billed import BilledLine

HOUR_NS = 3_600_000_000_000
_SHIFTS = tuple(range(-14, 15))
# How much less must be left by another beginning of the day for it to be believed.
_BELIEVED = 10
_FACTORS = (1000, 1_000_000)
OPEN = frozenset({"quantity_or_price", "unmapped"})


class Booked(msgspec.Struct, frozen=True):
    """What the books have for an hour, a model and a meter.

    Attributes:
        hour_ns: its beginning, nanoseconds since the epoch.
        model: as the provider names it.
        meter: ours.
        quantity: of the meter's smallest part.
        amount_femto: femtodollars.
        attempts: how many are behind it.
    """

    hour_ns: int
    model: str
    meter: str
    quantity: int
    amount_femto: int
    attempts: int


class Part(msgspec.Struct, frozen=True):
    """One cause of a difference, and its amount in femtodollars."""

    cause: str
    amount_femto: int


class Compared(msgspec.Struct, frozen=True):
    """A line of the result; amounts in femtodollars.

    Attributes:
        status: ``matched``, ``different``, ``unbilled``, ``unbooked``, ``duplicate``, ``unmapped`` or ``adjustment``.
        cause: the largest of its causes, or "" where there is no difference.
        start_ns: the beginning of the period.
        model, meter: what it is about, or the provider's own words for it.
        billed_quantity, booked_quantity: of the meter's smallest part; None where there is none.
        billed_femto, booked_femto: money.
        parts: causes; they add up to the difference.
        rows: of the file.
        attempts: of the books.
    """

    status: str
    cause: str
    start_ns: int
    model: str
    meter: str
    billed_quantity: int | None
    booked_quantity: int | None
    billed_femto: int
    booked_femto: int
    parts: tuple[Part, ...]
    rows: tuple[int, ...] = ()
    attempts: int = 0

    @property
    def difference_femto(self) -> int:
        """What was billed beyond what is booked."""
        return self.billed_femto - self.booked_femto


class Reconciled(msgspec.Struct, frozen=True):
    """The whole; amounts in femtodollars.

    Attributes:
        lines: by period, model and meter.
        shift_hours: how many hours after midnight UTC the provider's day begins.
        billed_femto: of all lines of the file.
        booked_femto: of all that is booked in its time.
        causes: what each cause comes to.
        tie_out_femto: what no cause explains.
    """

    lines: tuple[Compared, ...]
    shift_hours: int
    billed_femto: int
    booked_femto: int
    causes: Mapping[str, int]
    tie_out_femto: int


_Key = tuple[int, str, str]


class _Side(msgspec.Struct):
    quantity: int | None = None
    amount_femto: int = 0
    step_femto: int = 0
    rows: list[int] = []
    attempts: int = 0


def reconcile(billed: Sequence[BilledLine], booked: Sequence[Booked], name_of: Callable[[str], str]) -> Reconciled:
    """Return what was billed beside what is booked.

    Args:
        billed: the lines of the file; at least one.
        booked: what the books have from 15 hours before their time to 15 hours after.
        name_of: returns the one name of a model that the provider may name in several ways.
    """
    lines = list(_adjustments(billed))
    first, seen = [], set[str]()
    for line in billed:
        if line.kind == "usage" and line.meter and line.model:
            if line.identity in seen:
                lines.append(_alone(line, "duplicate", "duplicate"))
            else:
                first.append(line)
            seen.add(line.identity)
    spans = sorted(
        {(line.start_ns, line.end_ns) for line in billed if line.kind == "usage"}
        or {(line.start_ns, line.end_ns) for line in billed}
    )
    theirs = _theirs(first, name_of)
    shift = _find_shift(theirs, booked, spans, name_of)
    ours = _ours(booked, spans, name_of, shift)
    plain = _ours(booked, spans, name_of, 0)
    periods = {key[0] for key in theirs}
    lines += [
        _compare(key, theirs.get(key), ours.get(key), plain.get(key), has_period=key[0] in periods)
        for key in sorted({*theirs, *ours, *plain})
    ]
    causes: dict[str, int] = defaultdict(int)
    for one in lines:
        for part in one.parts:
            causes[part.cause] += part.amount_femto
    billed_femto = sum(line.amount_femto for line in billed)
    booked_femto = sum(side.amount_femto for side in plain.values())
    explained = sum(amount for cause, amount in causes.items() if cause not in OPEN)
    return Reconciled(
        tuple(sorted(lines, key=lambda one: (one.start_ns, one.model, one.meter, one.status))),
        shift,
        billed_femto,
        booked_femto,
        dict(causes),
        billed_femto - booked_femto - explained,
    )


def _adjustments(billed: Iterable[BilledLine]) -> Iterable[Compared]:
    for line in billed:
        if line.kind != "usage":
            yield _alone(line, "adjustment", line.kind)
        elif not (line.meter and line.model):
            yield _alone(line, "unmapped", "unmapped")


def _alone(line: BilledLine, status: str, cause: str) -> Compared:
    parts = (Part(cause, line.amount_femto),)
    return Compared(
        status,
        cause,
        line.start_ns,
        line.model or line.sku,
        line.meter,
        line.quantity,
        None,
        line.amount_femto,
        0,
        parts,
        (line.row,),
    )


def _theirs(lines: Iterable[BilledLine], name_of: Callable[[str], str]) -> dict[_Key, _Side]:
    sides: dict[_Key, _Side] = {}
    for line in lines:
        side = sides.setdefault((line.start_ns, name_of(line.model), line.meter), _Side(rows=[]))
        if line.quantity is not None:
            side.quantity = (side.quantity or 0) + line.quantity
        side.amount_femto += line.amount_femto
        side.step_femto += line.step_femto
        side.rows.append(line.row)
    return sides


def _ours(
    booked: Iterable[Booked], spans: Sequence[tuple[int, int]], name_of: Callable[[str], str], shift: int
) -> dict[_Key, _Side]:
    """Return the books by the file's periods, as if its days began so many hours after UTC's.

    Hours between the periods are put into days of UTC, so that a period that is missing is seen.
    """
    sides: dict[_Key, _Side] = {}
    begin, end = min(start for start, _ in spans), max(end for _, end in spans)
    for cell in booked:
        at_ns = cell.hour_ns - shift * HOUR_NS
        if not begin <= at_ns < end:
            continue
        start_ns = next(
            (start for start, stop in spans if start <= at_ns < stop), at_ns // (24 * HOUR_NS) * 24 * HOUR_NS
        )
        side = sides.setdefault((start_ns, name_of(cell.model), cell.meter), _Side(quantity=0, rows=[]))
        side.quantity = (side.quantity or 0) + cell.quantity
        side.amount_femto += cell.amount_femto
        side.attempts += cell.attempts
    return sides


def _find_shift(
    theirs: Mapping[_Key, _Side],
    booked: Sequence[Booked],
    spans: Sequence[tuple[int, int]],
    name_of: Callable[[str], str],
) -> int:
    """Return the hour at which the provider's days begin: 0 unless another explains nearly all that differs."""

    def left(shift: int) -> int:
        ours = _ours(booked, spans, name_of, shift)
        return sum(
            abs((theirs[key].amount_femto if key in theirs else 0) - (ours[key].amount_femto if key in ours else 0))
            for key in {*theirs, *ours}
        )

    at_utc = left(0)
    if at_utc <= sum(side.step_femto for side in theirs.values()):
        return 0
    best = min(_SHIFTS, key=lambda shift: (left(shift), abs(shift)))
    return best if left(best) * _BELIEVED < at_utc else 0


def _compare(key: _Key, theirs: _Side | None, ours: _Side | None, plain: _Side | None, *, has_period: bool) -> Compared:
    """Return a line of the result; ``plain`` is what is booked by days of UTC, ``ours`` by those of the provider."""
    billed = theirs or _Side(rows=[])
    booked = ours or _Side(rows=[])
    moved = booked.amount_femto - (plain.amount_femto if plain else 0)
    parts = [Part("time_zone", moved)] if moved else []
    if theirs is None:
        if booked.amount_femto or booked.quantity:
            parts.append(Part("not_billed" if has_period else "missing_day", -booked.amount_femto))
        status = "unbilled"
    elif ours is None:
        parts.append(Part("bypassed", billed.amount_femto))
        status = "unbooked"
    else:
        parts += _split(billed, booked)
        status = "different" if any(part.cause != "rounding" for part in parts) else "matched"
    main = max(parts, key=lambda part: abs(part.amount_femto)).cause if parts else ""
    return Compared(
        status,
        main,
        *key,
        billed.quantity,
        booked.quantity,
        billed.amount_femto,
        plain.amount_femto if plain else 0,
        tuple(parts),
        tuple(billed.rows),
        booked.attempts,
    )


def _split(billed: _Side, booked: _Side) -> list[Part]:
    """Return why two sides differ: quantity, then price, then rounding."""
    difference = billed.amount_femto - booked.amount_femto
    tolerance = billed.step_femto // 2 + 1
    if billed.quantity is None:
        if not difference:
            return []
        return [Part("rounding" if abs(difference) <= tolerance else "quantity_or_price", difference)]
    theirs, ours = billed.quantity, booked.quantity or 0
    if ours and theirs != ours and any(theirs == ours * factor or theirs * factor == ours for factor in _FACTORS):
        return [Part("units", difference)]
    parts: list[Part] = []
    by_quantity = 0
    if theirs != ours:
        by_quantity = (theirs - ours) * booked.amount_femto // ours if ours else difference
        parts.append(Part("bypassed" if theirs > ours else "not_billed", by_quantity))
    rest = difference - by_quantity
    if rest:
        parts.append(Part("rounding" if abs(rest) <= tolerance else "price_change", rest))
    return parts
