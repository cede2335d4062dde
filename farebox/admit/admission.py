"""What one call may spend: every attempt reserves the most it can cost, of every account on its path, or is not made.

An attempt's hold is its own: a failover takes a new one before it is sent, while the old one stays as long as the
provider may have billed it. The provider is told the output cap that the hold was computed from, else it were no bound.
"""

import re

import msgspec

from farebox.admit import refusals
from farebox.budgets.account import Payer
from farebox.budgets.plan import Budget
from farebox.call import Asked, Inbound
from farebox.clock import Clock
from farebox.config.tables import Spending
from farebox.dispatch import Held, Outgoing, choices_of, prepare
from farebox.errors import BadRequest, CallError
from farebox.hold import Demand, affordable_output, demand_of, output_room
from farebox.meter import tokens_of
from farebox.money import femto_from_usd
from farebox.prices.book import PriceBook
from farebox.route import Target
from farebox.spend import Amounts, need_of
from farebox.treasury.purses import Exhausted, Hold
from farebox.treasury.treasury import Treasury

# What a limit on tokens reserves for the answer of a call without a cap; corrected when it ends.
USUAL_OUTPUT_TOKENS = 1024
_LARGEST_FEMTO = 2**63 - 1  # what a record can hold: 9,223 USD
_AMOUNT = re.compile(r"\d{1,9}(\.\d{1,15})?")
_YES = frozenset({"1", "true", "yes", "on"})


class Admitted(msgspec.Struct, frozen=True):
    """An attempt that may be sent.

    Attributes:
        outgoing: the request.
        hold: what was reserved, or None where nothing caps the call.
        demand: what the hold was computed from, or None where nothing is capped in USD.
        at_ns: when the price was looked up, which is when it is sent: no dearer hour can come between.
        is_strict: whether its cost must not exceed the hold.
        clamped: the output cap that was put in place of the client's, or None.
    """

    outgoing: Outgoing
    hold: Hold | None = None
    demand: Demand | None = None
    at_ns: int | None = None
    is_strict: bool = False
    clamped: int | None = None


def open_admission(
    treasury: Treasury, book: PriceBook, clock: Clock, inbound: Inbound, asked: Asked, spending: Spending
) -> "Admission | None":
    """Return what caps a call, or None where there is no budget at all and the client sets no ceiling.

    Raises:
        BadRequest: where the client's own ceiling is no amount.
        StoreUnavailable: where it is not known yet which budgets there are.
    """
    if not treasury.has_budgets and inbound.headers.get("x-farebox-max-cost-usd") is None:
        return None
    return Admission(treasury, book, clock, inbound, asked, clamp=spending.clamp)


class Admission:
    """What caps one call.

    Args:
        treasury: the worker's purses.
        book: the price book.
        clock: for the prices of the moment.
        inbound: the call.
        asked: what it asks.
        clamp: whether an output cap that cannot be afforded is lowered; the client may ask for it itself.

    Raises:
        BadRequest: where the client's own ceiling is no amount.
    """

    def __init__(
        self, treasury: Treasury, book: PriceBook, clock: Clock, inbound: Inbound, asked: Asked, *, clamp: bool
    ) -> None:
        self._treasury = treasury
        self._book = book
        self._clock = clock
        self._inbound = inbound
        self._asked = asked
        headers = inbound.headers
        ceiling = headers.get("x-farebox-max-cost-usd")
        self._ceiling_femto: int | None = None if ceiling is None else _read_ceiling(ceiling)
        self._clamp: bool = clamp or headers.get("x-farebox-clamp", "").lower() in _YES
        self._payer = Payer(inbound.team, inbound.project, inbound.key_name, asked.user, asked.tags, asked.model)
        self._used_femto: int = 0

    async def admit(self, target: Target, attempt_id: str, used_femto: int) -> Admitted:
        """Reserve what an attempt may use and return the request that is to be sent.

        Args:
            target: where it goes.
            attempt_id: of the attempt.
            used_femto: what the call's attempts before have cost or may have, for its ceiling.

        Raises:
            OverBudget: where money is capped and it does not fit, or its price is not known.
            RateLimited: where a limit on requests, tokens or calls under way is reached.
            StoreUnavailable: where the ledger has to be asked and cannot be.
            BadRequest, Untranslatable: where the target cannot be asked this.
        """
        asked = self._asked
        self._used_femto = used_femto
        budgets = self._treasury.matching(self._payer, target.provider.name, target.model)
        is_strict = self._ceiling_femto is not None or any(one.hard and one.unit == "usd" for one in budgets)
        if not budgets and not is_strict:
            return Admitted(prepare(asked, target, attempt_id, self._inbound))
        limit = (
            output_room(self._book, target, sum(asked.parts.values()))
            if is_strict and asked.output_cap is None
            else None
        )
        outgoing = prepare(asked, target, attempt_id, self._inbound, output_limit=limit)
        try:
            return await self._take(target, outgoing, budgets, is_strict=is_strict)
        except _TooDear as error:
            if not (self._clamp and error.affordable):
                raise error.refusal from None
            limit = error.affordable
        outgoing = prepare(asked, target, attempt_id, self._inbound, output_limit=limit, clamp=True)
        try:
            admitted = await self._take(target, outgoing, budgets, is_strict=is_strict)
        except _TooDear as error:
            raise error.refusal from None
        return msgspec.structs.replace(admitted, clamped=limit)

    async def _take(
        self, target: Target, outgoing: Outgoing, budgets: tuple[Budget, ...], *, is_strict: bool
    ) -> Admitted:
        demand = None
        at_ns = self._clock.now_ns()
        if is_strict or any(one.unit == "usd" for one in budgets):
            demand = demand_of(
                self._book,
                self._asked,
                target,
                body_bytes=len(outgoing.body),
                output_cap=outgoing.output_cap,
                at_ns=at_ns,
            )
        need = self._need(demand)
        if demand is not None and is_strict:
            self._check_price(target, demand, budgets)
        self._check_ceilings(need, demand, budgets)
        try:
            hold = await self._treasury.take(budgets, need)
        except Exhausted as exhausted:
            raise self._refusal(exhausted, need, demand) from None
        held = Held(need.usd, need.input_tokens, need.output_tokens, hold.charged)
        return Admitted(msgspec.structs.replace(outgoing, held=held), hold, demand, at_ns, is_strict)

    def _need(self, demand: Demand | None) -> Amounts:
        """Return what is reserved: money by its bound, tokens by what is usual."""
        asked = self._asked
        output = USUAL_OUTPUT_TOKENS if asked.output_cap is None else asked.output_cap
        femto = min(demand.femto, _LARGEST_FEMTO) if demand is not None else 0
        return need_of(femto, tokens_of(sum(asked.parts.values())), output)

    def _check_price(self, target: Target, demand: Demand, budgets: tuple[Budget, ...]) -> None:
        reason = demand.unpriced or ("beyond what a record can hold" if demand.femto > _LARGEST_FEMTO else "")
        if reason:
            account = next((one.account for one in budgets if one.hard and one.unit == "usd"), None)
            raise refusals.price_unknown(f"{target.rate_provider}/{target.model}", reason, account)

    def _check_ceilings(self, need: Amounts, demand: Demand | None, budgets: tuple[Budget, ...]) -> None:
        """Refuse what is more than one call may use, whatever is left."""
        if self._ceiling_femto is not None and need.usd > (left := max(0, self._ceiling_femto - self._used_femto)):
            affordable = self._affordable(demand, left)
            refusal = refusals.over_ceiling(left, need.usd, affordable, "'x-farebox-max-cost-usd'")
            raise _TooDear(refusal, affordable)
        for budget in budgets:
            if budget.call_limit is None or need.of(budget.unit) <= budget.call_limit:
                continue
            if budget.unit != "usd":
                raise refusals.over_call_limit(budget, need.of(budget.unit))
            affordable = self._affordable(demand, budget.call_limit)
            refusal = refusals.over_ceiling(budget.call_limit, need.usd, affordable, f"the budget of {budget.account}")
            raise _TooDear(refusal, affordable)

    def _refusal(self, exhausted: Exhausted, need: Amounts, demand: Demand | None) -> Exception:
        budget, span, remaining = exhausted.budget, exhausted.span, exhausted.remaining
        if budget.unit != "usd":
            return refusals.rate_limited(
                budget, span, need.of(budget.unit), remaining, self._clock.now_ns(), self._asked.dialect
            )
        if exhausted.closed:
            return refusals.closed(budget)
        affordable = self._affordable(demand, remaining)
        return _TooDear(refusals.over_budget(budget, span, need.usd, remaining, affordable), affordable)

    def _affordable(self, demand: Demand | None, room_femto: int) -> int | None:
        """Return the most output tokens of one choice that fit; None where the call has no output cap to lower."""
        if demand is None or demand.bound is None or not demand.output_tokens:
            return None
        return affordable_output(self._book, demand, room_femto) // choices_of(self._asked.body)


class _TooDear(Exception):
    """Money is short; a lower output cap may help."""

    def __init__(self, refusal: CallError, affordable: int | None) -> None:
        super().__init__(refusal.message)
        self.refusal: CallError = refusal
        self.affordable: int | None = affordable


def _read_ceiling(text: str) -> int:
    if _AMOUNT.fullmatch(text.strip()) is None:
        raise BadRequest(
            "'x-farebox-max-cost-usd' must be an amount in USD such as 0.05.", param="x-farebox-max-cost-usd"
        )
    return femto_from_usd(text.strip())
