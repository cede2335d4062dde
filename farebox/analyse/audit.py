"""What was called, what it cost and why: rows of the books become an `AuditReport`. Pure."""

from collections.abc import Sequence

import msgspec

from farebox.analyse import meanings
from farebox.books.rows import (
    AuditRows,
    FlagRow,
    Grouping,
    GroupRow,
    LatencyRow,
    OutcomeRow,
    PartsRow,
    ReportedRow,
    UnpricedRow,
    Window,
)
from farebox.money import usd_text
from farebox.usage import METERS


class MeterCost(msgspec.Struct, frozen=True):
    """One meter's quantity and the amount of its lines.

    Attributes:
        meter: name in `usage.METERS`.
        unit: what people count it in, such as ``token``, ``call`` or ``second``.
        quantity: of the meter's smallest part, as metered, unpriced attempts included.
        unpriced_quantity: the part of it that attempts without a price have.
        list_femto: its lines at published prices, femtodollars.
        contract_femto: what contracts change of that, femtodollars.
        amount_femto: both together.
        share: of the total amount, 0 to 1.
    """

    meter: str
    unit: str
    quantity: int
    unpriced_quantity: int
    list_femto: int
    contract_femto: int
    amount_femto: int
    share: float


class PartShare(msgspec.Struct, frozen=True):
    """One part of the input, as far as it is known what inputs consist of.

    Attributes:
        part: which.
        size_bytes: of its text.
        share: of the tokens, 0 to 1.
        tokens: what that makes, about.
        amount_femto: what these cost at the mean price of a token of input, about, femtodollars.
    """

    part: str
    size_bytes: int
    share: float
    tokens: int
    amount_femto: int = 0


class Alarm(msgspec.Struct, frozen=True):
    """Something that needs a person.

    Attributes:
        name: short, for machines.
        count: attempts, places or files concerned.
        message: what is wrong, naming the thing.
        remedy: what to do.
        amount_femto: kept aside and not in the totals, femtodollars; 0 where unknown.
    """

    name: str
    count: int
    message: str
    remedy: str
    amount_femto: int = 0


class Calls(msgspec.Struct, frozen=True):
    """Calls by how they ended for their client.

    Attributes:
        total: distinct calls.
        answered: got a complete answer.
        hung_up: the client hung up.
        failed: got an error, a broken answer or none.
        retried: took more than one attempt.
    """

    total: int
    answered: int
    hung_up: int
    failed: int
    retried: int


class AuditReport(msgspec.Struct, frozen=True):
    """An audit of a window. Amounts are femtodollars and exact; shares are fractions for reading."""

    window: Window
    by: Grouping
    tag: str
    calls: Calls
    attempts: int
    total_femto: int
    unpriced_attempts: int
    first_ns: int | None
    last_ns: int | None
    outcomes: tuple[OutcomeRow, ...]
    meters: tuple[MeterCost, ...]
    parts: tuple[PartShare, ...]
    parts_attempts: int
    latencies: tuple[LatencyRow, ...]
    flags: tuple[FlagRow, ...]
    groups: tuple[GroupRow, ...]
    alarms: tuple[Alarm, ...]
    notes: tuple[str, ...]
    reported: tuple[ReportedRow, ...] = ()
    input_tokens: int = 0
    output_tokens: int = 0


class Asked(msgspec.Struct, frozen=True):
    """What an audit was asked for, and what is known about the ingest before it.

    Attributes:
        window: over `sent_at`.
        by: property to group by; `tag` is the tag's name where it is ``tag``.
        unreadable: files of the journal that could not be read.
    """

    window: Window = Window()
    by: Grouping = "model"
    tag: str = ""
    unreadable: tuple[str, ...] = ()


def audit(rows: AuditRows, asked: Asked) -> AuditReport:
    """Return the audit of what the books answered."""
    totals = rows.totals
    meters = _meter_costs(rows)
    return AuditReport(
        window=asked.window,
        by=asked.by,
        tag=asked.tag,
        calls=Calls(
            total=totals.calls,
            answered=totals.answered,
            hung_up=totals.hung_up,
            failed=totals.calls - totals.answered - totals.hung_up,
            retried=totals.retried,
        ),
        attempts=totals.attempts,
        total_femto=totals.total_femto,
        unpriced_attempts=totals.unpriced,
        first_ns=totals.first_ns,
        last_ns=totals.last_ns,
        outcomes=rows.outcomes,
        meters=meters,
        parts=_part_shares(rows.parts, meters),
        parts_attempts=rows.parts.attempts,
        latencies=rows.latencies,
        flags=rows.flags,
        groups=tuple(sorted(rows.groups, key=lambda group: (-group.total_femto, -group.attempts, group.name))),
        alarms=(
            *_price_alarms(rows),
            *_reported_alarms(rows),
            *_journal_alarms(rows, asked),
            *_balance_alarms(meters, totals.total_femto),
        ),
        notes=tuple(
            f"{row.count}: {meanings.FINDINGS[row.kind]}"
            for row in rows.findings
            if row.kind not in meanings.ALARMING_FINDINGS
        ),
        reported=rows.reported,
        input_tokens=totals.input_tokens,
        output_tokens=totals.output_tokens,
    )


def _meter_costs(rows: AuditRows) -> tuple[MeterCost, ...]:
    whole = sum(row.list_femto + row.contract_femto for row in rows.meters)
    costs = []
    for row in rows.meters:
        amount_femto = row.list_femto + row.contract_femto
        costs.append(
            MeterCost(
                meter=row.meter,
                unit=METERS[row.meter].unit if row.meter in METERS else "unit",
                quantity=row.quantity,
                unpriced_quantity=row.unpriced_quantity,
                list_femto=row.list_femto,
                contract_femto=row.contract_femto,
                amount_femto=amount_femto,
                share=amount_femto / whole if whole else 0.0,
            )
        )
    return tuple(sorted(costs, key=lambda cost: (-cost.amount_femto, -cost.quantity, cost.meter)))


def _part_shares(parts: PartsRow, meters: Sequence[MeterCost]) -> tuple[PartShare, ...]:
    whole = sum(parts.tokens.values())
    inputs = [row for row in meters if row.meter in METERS and METERS[row.meter].family == "input"]
    tokens, amount_femto = sum(row.quantity for row in inputs), sum(row.amount_femto for row in inputs)
    shares = []
    for name, size in parts.size_bytes.items():
        count = round(parts.tokens[name])
        cost_femto = count * amount_femto // tokens if tokens else 0
        shares.append(PartShare(name, size, parts.tokens[name] / whole if whole else 0.0, count, cost_femto))
    return tuple(shares)


def _price_alarms(rows: AuditRows) -> list[Alarm]:
    return [_price_alarm(row) for row in rows.unpriced]


def _price_alarm(row: UnpricedRow) -> Alarm:
    what = f"{row.provider}/{row.model}: {row.reason}"
    if row.reason.startswith("usage:"):
        return Alarm("quarantined", row.attempts, what, meanings.QUARANTINED_REMEDY)
    return Alarm("unpriced", row.attempts, what, meanings.UNPRICED_REMEDY)


def _reported_alarms(rows: AuditRows) -> list[Alarm]:
    return [
        Alarm(
            "reported_differs",
            row.differing,
            f"{row.provider} says that {row.differing} of {row.attempts} attempts cost something else (such as "
            f"{row.example}): {usd_text(row.reported_femto)} USD in all, not {usd_text(row.charged_femto)}",
            meanings.REPORTED_REMEDY,
        )
        for row in rows.reported
        if row.differing
    ]


def _journal_alarms(rows: AuditRows, asked: Asked) -> list[Alarm]:
    alarms = [
        Alarm(
            row.kind,
            row.count,
            f"{meanings.FINDINGS[row.kind]} (such as {row.example})",
            meanings.DAMAGED_REMEDY if row.kind == "damaged" else meanings.ASIDE_REMEDY,
            row.total_femto,
        )
        for row in rows.findings
        if row.kind in meanings.ALARMING_FINDINGS
    ]
    if asked.unreadable:
        message = f"files of the journal cannot be read: {asked.unreadable[0]}"
        alarms.append(Alarm("unreadable", len(asked.unreadable), message, meanings.UNREADABLE_REMEDY))
    return alarms


def _balance_alarms(meters: tuple[MeterCost, ...], total_femto: int) -> list[Alarm]:
    difference = sum(meter.amount_femto for meter in meters) - total_femto
    if not difference:
        return []
    message = "the lines of the charges do not add up to their totals"
    return [Alarm("unbalanced", 1, message, meanings.UNBALANCED_REMEDY, difference)]
