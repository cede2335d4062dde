"""What is owed for a time whatever was used in it: capacity, the shortfall of a commitment, credits that are bought.

A month that the settled time or a commitment cuts counts by the share of its time, rounded down: 100,000 USD a month
from the 16th of a month of 30 days on are 50,000 for that month. Capacity is billed by the second.
"""

from collections.abc import Iterator

from farebox.money import usd_text
from farebox.prices.arithmetic import quantity_text
from farebox.prices.settle.nouns import Adjustment, Balance, Entry, Tally
from farebox.prices.settle.periods import NS_PER_SECOND, month_text, months, overlap_ns
from farebox.prices.settle.rules import SECONDS_PER_HOUR, Capacity, Credit, Rules, Spend


def capacity_lines(rules: Rules, capacity: Capacity, tally: Tally) -> Iterator[Adjustment]:
    """Yield what capacity costs in each month: the part that served something, and the part that did not."""
    for month, start, end in _valid_months(rules, capacity):
        seconds = (end - start) // NS_PER_SECOND
        bought = capacity.units * seconds
        most = capacity.per_slot * seconds * NS_PER_SECOND // capacity.slot_ns
        served = tally.get(Entry("served", capacity.id, "", month), (0, 0))[0]
        used = min(bought, bought * served // most) if most else 0
        whole_femto = bought * capacity.unit_femto // SECONDS_PER_HOUR
        used_femto = used * capacity.unit_femto // SECONDS_PER_HOUR
        for word, quantity, femto in (("used", used, used_femto), ("unused", bought - used, whole_femto - used_femto)):
            if quantity:
                hours = quantity_text("provisioned", quantity)
                yield Adjustment(
                    f"commitment/{capacity.id}/{word}", "", start, end, "provisioned", "", quantity,
                    capacity.unit_femto, SECONDS_PER_HOUR, femto,
                    f"{month_text(month)}: {hours} unit-hours of {capacity.id} {word}",
                )  # fmt: skip


def shortfall_lines(rules: Rules, spend: Spend, tally: Tally) -> Iterator[Adjustment]:
    """Yield what is missing in each month from what was committed to."""
    for month, start, end in _valid_months(rules, spend):
        committed = committed_in(rules, spend, month)
        spent = tally.get(Entry("spend", spend.id, "", month), (0, 0))[0]
        missing = committed - spent
        if missing > 0:
            yield Adjustment(
                f"commitment/{spend.id}/shortfall", "", start, end, "", "", missing, 1, 1, missing,
                f"{month_text(month)}: {usd_text(spent)} USD of the committed {usd_text(committed)} USD were spent",
            )  # fmt: skip


def committed_in(rules: Rules, spend: Spend, month: int) -> int:
    """Return the femtodollars committed to for a month, as far as it is valid and settled."""
    for first, start, end in _valid_months(rules, spend):
        if first == month:
            ((_, next_first),) = months(first, first + 1)
            return spend.monthly_femto * (end - start) // (next_first - first)
    return 0


def purchase_lines(rules: Rules, credit: Credit) -> Iterator[Adjustment]:
    """Yield what credits cost, and the fee, where they are bought in the time that is settled."""
    at_ns, until_ns = rules.terms.from_ns, rules.terms.until_ns
    if not at_ns <= credit.from_ns < until_ns:
        return
    fee_reason = f"{month_text(credit.from_ns)}: fee for buying {usd_text(credit.bought_femto)} USD of credits"
    reason = f"{month_text(credit.from_ns)}: {usd_text(credit.bought_femto)} USD of credits bought"
    for word, femto, why in (("purchase", credit.bought_femto, reason), ("fee", credit.fee_femto, fee_reason)):
        if femto:
            yield Adjustment(
                f"commitment/{credit.id}/{word}", "", credit.from_ns, min(credit.until_ns, until_ns), "", "",
                femto, 1, 1, femto, why,
            )  # fmt: skip


def balance_of(rules: Rules, credit: Credit, tally: Tally) -> Balance:
    """Return what is left of credits at the end of the settled time; before they are bought there are none."""
    bought = credit.bought_femto if credit.from_ns < rules.terms.until_ns else 0
    draws = [sums[0] for entry, sums in tally.items() if entry.step == "draw" and entry.id == credit.id]
    drawn = credit.drawn_femto + sum(draws)
    left = max(0, bought - drawn)
    expired = left if credit.until_ns <= rules.terms.until_ns else 0
    return Balance(credit.id, bought, drawn, expired, left - expired)


def _valid_months(rules: Rules, rule: Capacity | Spend) -> Iterator[tuple[int, int, int]]:
    """Yield the months in which a commitment is valid, each with the start and end of that within it."""
    terms = rules.terms
    start, end = max(terms.from_ns, rule.from_ns), min(terms.until_ns, rule.until_ns)
    if start >= end:
        return
    for month, next_first in months(start, end):
        if overlap_ns((month, next_first), (start, end)):
            yield month, max(month, start), min(next_first, end)
