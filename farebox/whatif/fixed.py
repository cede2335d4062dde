"""What a scheme costs beside the price of its calls, month by month; amounts are exact, in femtodollars."""

from calendar import monthrange
from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Annotated

import msgspec

from farebox.money import femto_from_usd

Decimal = Annotated[str, msgspec.Meta(pattern=r"^\d{1,12}(\.\d{1,15})?$")]
_HOURS = 24


class FineTuning(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[fixed.fine_tuning]``: training in the first month, and what keeping the model ready costs.

    Attributes:
        training_tokens: of the training file.
        epochs: how often they are gone over.
        usd_per_million: for a million tokens trained on.
        training_hours: where training is billed by time.
        usd_per_training_hour: as before.
        hosting_usd_per_hour: while the model is kept ready.
    """

    training_tokens: Annotated[int, msgspec.Meta(ge=0)] = 0
    epochs: Annotated[int, msgspec.Meta(ge=1)] = 1
    usd_per_million: Decimal = "0"
    training_hours: Decimal = "0"
    usd_per_training_hour: Decimal = "0"
    hosting_usd_per_hour: Decimal = "0"


class Provisioned(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[fixed.provisioned]``: units of throughput that are paid whether they are used or not.

    Attributes:
        units: how many.
        usd_per_unit_hour: for each.
        tokens_per_minute: that one unit takes; what is beyond is paid as it is used.
        months: of the term; within it they cannot be given back.
    """

    units: Annotated[int, msgspec.Meta(ge=1)]
    usd_per_unit_hour: Decimal
    tokens_per_minute: Annotated[int, msgspec.Meta(ge=1)]
    months: Annotated[int, msgspec.Meta(ge=1)] = 1


class Commitment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[fixed.commitment]``: a spend that is promised, for a discount.

    Attributes:
        usd_per_month: promised; what is not used is paid all the same.
        discount_percent: off the price of calls.
        months: of the term.
    """

    usd_per_month: Decimal
    discount_percent: Decimal = "0"
    months: Annotated[int, msgspec.Meta(ge=1)] = 12

    def __post_init__(self) -> None:
        if Fraction(self.discount_percent) > 100:
            raise ValueError(f"discount_percent {self.discount_percent} is more than the whole price: write 0 to 100")


class Egress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[fixed.egress]``: what leaves a provider's network, at prices that fall with the amount.

    Attributes:
        bytes_per_output_token: that an answer is.
        tiers: from how many GB (10**9 bytes) a month on, and the price of a GB.
    """

    bytes_per_output_token: Annotated[int, msgspec.Meta(ge=0)] = 4
    tiers: tuple[tuple[int, Decimal], ...]


class Fixed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``[fixed]``: everything of it.

    Attributes:
        platform_fee_percent: on the price of calls.
        migration_usd: once, in the first month.
        fine_tuning, provisioned, commitment, egress: see there.
    """

    platform_fee_percent: Decimal = "0"
    migration_usd: Decimal = "0"
    fine_tuning: FineTuning | None = None
    provisioned: Provisioned | None = None
    commitment: Commitment | None = None
    egress: Egress | None = None


class Usage(msgspec.Struct, frozen=True):
    """A month's use under a scheme.

    Attributes:
        number: of the month, from 0.
        days: how many it has.
        calls_femto: what its calls cost at their prices.
        over_share: share of the tokens that comes in minutes beyond what provisioned units take.
        output_tokens: of its answers.
    """

    number: int
    days: int
    calls_femto: int
    over_share: Fraction
    output_tokens: int


def lines_of(fixed: Fixed, monthly_femto: int, usage: Usage) -> dict[str, int]:
    """Return a month's costs by line, femtodollars; lines that cost nothing are left out."""
    calls = Fraction(usage.calls_femto)
    lines: dict[str, Fraction] = {}
    if fixed.provisioned is not None:
        hours = usage.days * _HOURS
        lines["provisioned"] = Fraction(
            fixed.provisioned.units * hours * femto_from_usd(fixed.provisioned.usd_per_unit_hour)
        )
        calls *= usage.over_share
    if fixed.commitment is not None:
        calls *= 1 - Fraction(fixed.commitment.discount_percent) / 100
        promised = Fraction(femto_from_usd(fixed.commitment.usd_per_month))
        if calls < promised and usage.number < fixed.commitment.months:
            lines["unused_commitment"] = promised - calls
    lines["calls"] = calls
    lines["platform_fee"] = calls * Fraction(fixed.platform_fee_percent) / 100
    lines["monthly"] = Fraction(monthly_femto)
    lines |= _tuning(fixed.fine_tuning, usage)
    if fixed.egress is not None:
        lines["egress"] = _egress(fixed.egress, usage.output_tokens)
    if usage.number == 0:
        lines["migration"] = Fraction(femto_from_usd(fixed.migration_usd))
    return {name: round(amount) for name, amount in lines.items() if round(amount)}


def _tuning(tuning: FineTuning | None, usage: Usage) -> Mapping[str, Fraction]:
    if tuning is None:
        return {}
    lines = {"hosting": Fraction(usage.days * _HOURS * femto_from_usd(tuning.hosting_usd_per_hour))}
    if usage.number == 0:
        by_tokens = Fraction(tuning.training_tokens * tuning.epochs * femto_from_usd(tuning.usd_per_million), 1_000_000)
        by_time = Fraction(tuning.training_hours) * femto_from_usd(tuning.usd_per_training_hour)
        lines["training"] = by_tokens + by_time
    return lines


def _egress(egress: Egress, output_tokens: int) -> Fraction:
    """Return the price of a month's traffic: each tier's own price for what falls into it."""
    size = Fraction(output_tokens * egress.bytes_per_output_token, 10**9)
    total = Fraction(0)
    tiers = sorted(egress.tiers)
    for place, (start, usd) in enumerate(tiers):
        end = tiers[place + 1][0] if place + 1 < len(tiers) else None
        inside = (size if end is None else min(size, Fraction(end))) - start
        if inside > 0:
            total += inside * femto_from_usd(usd)
    return total


def exit_costs(fixed: Fixed, begin: date, months: int) -> list[int]:
    """Return what leaving after each month costs, femtodollars: what is promised for the months that are left.

    Migration to somewhere else is that scheme's own cost.

    Args:
        fixed: what is promised.
        begin: the first day of the first month; terms begin with it.
        months: how many months to say it for.
    """
    costs = []
    for done in range(1, months + 1):
        left = Fraction(0)
        if fixed.commitment is not None:
            left += max(0, fixed.commitment.months - done) * femto_from_usd(fixed.commitment.usd_per_month)
        if fixed.provisioned is not None:
            hourly = fixed.provisioned.units * femto_from_usd(fixed.provisioned.usd_per_unit_hour)
            hours = _HOURS * sum(_days_of(begin, number) for number in range(done, fixed.provisioned.months))
            left += Fraction(hours * hourly)
        costs.append(round(left))
    return costs


def _days_of(begin: date, number: int) -> int:
    """Return the days of a month, counted from 0 on."""
    months = begin.month - 1 + number
    return monthrange(begin.year + months // 12, months % 12 + 1)[1]
