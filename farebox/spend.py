"""What an attempt may use and has used of a budget, in every unit that a budget may have. Pure.

The worker that settles an attempt and the office that reads a dead worker's journal count by the same functions, so
that both come to the same totals.
"""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from farebox.budgets.plan import UNITS, Unit
from farebox.journal.record import Done, Sent
from farebox.usage import METERS

_UNITS: dict[str, Unit] = {unit: unit for unit in UNITS}
SLOT_OF: dict[Unit, int] = {unit: slot for slot, unit in enumerate(UNITS)}


class Amounts(NamedTuple):
    """What an attempt may use, or has used, in every unit: the fields have the names and the order of `UNITS`.

    Attributes:
        usd: its cost, femtodollars.
        requests: 1, or 0 where nothing was sent.
        input_tokens: of its input.
        output_tokens: of its output.
        tokens: of both.
        concurrency: 1 while it is under way, 0 after.
    """

    usd: int
    requests: int
    input_tokens: int
    output_tokens: int
    tokens: int
    concurrency: int

    def of(self, unit: Unit) -> int:
        """Return the amount in a unit."""
        return self[SLOT_OF[unit]]


def need_of(femto: int, input_tokens: int, output_tokens: int) -> Amounts:
    """Return what an attempt may use that is to be sent."""
    return Amounts(femto, 1, input_tokens, output_tokens, input_tokens + output_tokens, 1)


NOTHING = Amounts(0, 0, 0, 0, 0, 0)


class Claim(msgspec.Struct, frozen=True):
    """One budget that an attempt is charged to: ids of the budget and of its window, and the budget's unit."""

    budget: str
    span_id: str
    unit: Unit


class Spent(NamedTuple):
    """What an attempt used of a budget, and by how much that is more than was held for it, in USD."""

    claim: Claim
    amount: int
    over: int


def write_claim(claim: Claim) -> str:
    """Return a claim as it stands in `Sent.charged`."""
    return f"{claim.budget}|{claim.span_id}|{claim.unit}"


def read_claim(text: str) -> Claim:
    """Return the claim in an entry of `Sent.charged`.

    Raises:
        ValueError, KeyError: where it is none.
    """
    budget, span_id, unit = text.split("|")
    return Claim(budget, span_id, _UNITS[unit])


def used_by(sent: Sent, done: Done) -> Amounts:
    """Return what an attempt has used.

    What is not known is what was held for it: the cost where it is unpriced or assumed, the tokens where its usage
    could not be read. Of what broke off it is the most that it can have been. What provably never left has used
    nothing.
    """
    if done.outcome == "unreachable" and not done.flags:
        return NOTHING
    femto = done.charged_femto
    if femto is None:
        is_known = done.total_femto is not None and not ("assumed" in done.flags and sent.hold_femto)
        femto = done.total_femto if is_known and done.total_femto is not None else sent.hold_femto
    if done.total_femto is None and not done.meters:
        return _used(femto, sent.hold_input, sent.hold_output)
    taken = output = 0
    for name, quantity in done.meters.items():
        family = METERS[name].family
        if family == "input":
            taken += quantity
        elif family == "output":
            output += quantity
    return _used(femto, taken, output)


def _used(femto: int, input_tokens: int, output_tokens: int) -> Amounts:
    return Amounts(femto, 1, input_tokens, output_tokens, input_tokens + output_tokens, 0)


def spent_of(sent: Sent, done: Done) -> Iterator[Spent]:
    """Return what an attempt has used of every budget that it is charged to."""
    if sent.charged:
        used = used_by(sent, done)
        for text in sent.charged:
            claim = read_claim(text)
            amount = used.of(claim.unit)
            yield Spent(claim, amount, max(0, amount - sent.hold_femto) if claim.unit == "usd" else 0)
