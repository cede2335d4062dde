"""What a client is told whose call does not fit: in money 402, in requests, tokens or calls under way 429. Pure."""

from farebox.budgets.account import Account
from farebox.budgets.plan import Budget, Unit
from farebox.budgets.window import Span
from farebox.errors import CallError, OverBudget, RateLimited
from farebox.money import usd_text
from farebox.wire.rate_headers import Standing, write_limit

_NS = 1_000_000_000
_LONGEST_S = 31 * 86_400
_COUNTED: dict[Unit, str] = {
    "requests": "requests",
    "input_tokens": "input tokens",
    "output_tokens": "output tokens",
    "tokens": "tokens",
    "concurrency": "calls under way",
}


def over_budget(budget: Budget, span: Span, need_femto: int, remaining_femto: int, affordable: int | None) -> CallError:
    """Return the error of a call for which a budget in USD has no room.

    Args:
        budget: the one.
        span: its window.
        need_femto: what the call may cost at most.
        remaining_femto: what is left.
        affordable: the most output tokens that would fit, 0 where none would; None where that is not known.
    """
    whose = _name(budget.account)
    limit = f"{usd_text(budget.limit)} USD" + ("" if budget.wallet else f" per {budget.window}")
    if budget.window.kind == "lifetime":
        limit = f"{usd_text(budget.limit)} USD"
    what = "wallet" if budget.wallet else "budget"
    message = (
        f"The {what} of {whose} has {usd_text(remaining_femto)} USD left of {limit}, and this call may cost up to "
        f"{usd_text(need_femto)} USD. {_advice(affordable)}"
    )
    del span
    return OverBudget(message, headers=_money_headers(remaining_femto, affordable))


def closed(budget: Budget) -> CallError:
    """Return the error of a call under a budget that an overrun closed."""
    return OverBudget(
        f"The budget of {_name(budget.account)} is closed: a provider billed more than was reserved for a call. "
        f"It opens again with its next window, or by `farebox budgets reset {budget.account}`.",
        headers=_money_headers(0, 0),
    )


def over_ceiling(ceiling_femto: int, need_femto: int, affordable: int | None, whose: str) -> CallError:
    """Return the error of a call that may cost more than one call is allowed to.

    Args:
        ceiling_femto: what it may cost.
        need_femto: what it may cost at most as it stands.
        affordable: as for `over_budget`.
        whose: ceiling it is, in words.
    """
    return OverBudget(
        f"This call may cost up to {usd_text(need_femto)} USD, and {whose} allows {usd_text(ceiling_femto)} USD a "
        f"call. {_advice(affordable)}",
        headers=_money_headers(ceiling_femto, affordable),
    )


def price_unknown(model: str, reason: str, account: Account | None) -> CallError:
    """Return the error of a call whose cost cannot be bounded, where money is capped."""
    cap = f"the budget of {_name(account)}" if account else "'x-farebox-max-cost-usd'"
    return OverBudget(
        f"What {model} costs is not known ({reason}), so {cap} cannot be kept. "
        "Add its price to a file of your own prices, or ask for a model that has one.",
        code="price_unknown",
    )


def rate_limited(budget: Budget, span: Span, need: int, remaining: int, now_ns: int, dialect: str) -> CallError:
    """Return the error of a call that a limit on requests, tokens or concurrent calls refuses.

    Args:
        budget: the limit.
        span: its window.
        need: what the call needs of it, about.
        remaining: what is left.
        now_ns: the instant.
        dialect: of the client, which has headers of its own for limits.
    """
    counted = _COUNTED[budget.unit]
    if budget.unit == "concurrency":
        message = f"{_name(budget.account)} may have {budget.limit} calls under way at once. Wait for one to end."
        return RateLimited(message, retry_after_s=1, headers=(("x-farebox-limit", _limit_text(budget)),))
    wait_s = min(_LONGEST_S, max(1, -(-(span.end_ns - now_ns) // _NS)))
    message = (
        f"{_name(budget.account)} may use {budget.limit} {counted} per {budget.window}; {remaining} are left, and this "
        f"call needs about {need}. Try again in {wait_s} s."
    )
    if need > budget.limit:
        message = (
            f"{_name(budget.account)} may use {budget.limit} {counted} per {budget.window}, and this call alone needs "
            f"about {need}. Send less, or lower max_tokens."
        )
    standing = Standing(budget.unit, budget.limit, remaining, now_ns + wait_s * _NS)
    headers = (("x-farebox-limit", _limit_text(budget)), *write_limit(dialect, standing, now_ns))
    return RateLimited(message, retry_after_s=wait_s, headers=headers)


def over_call_limit(budget: Budget, need: int) -> CallError:
    """Return the error of a call that is larger than a limit allows one call to be."""
    return RateLimited(
        f"{_name(budget.account)} allows {budget.call_limit} {_COUNTED[budget.unit]} a call, and this one needs about "
        f"{need}. Send less, or lower max_tokens."
    )


def _advice(affordable: int | None) -> str:
    if affordable:
        return f"Set max_tokens to {affordable} or less."
    if affordable == 0:
        return "Its input alone does not fit: send less, or ask for a cheaper model."
    return "Send less, or ask for a cheaper model."


def _money_headers(remaining_femto: int, affordable: int | None) -> tuple[tuple[str, str], ...]:
    headers = [("x-farebox-budget-remaining-usd", usd_text(remaining_femto))]
    if affordable is not None:
        headers.append(("x-farebox-affordable-max-tokens", str(affordable)))
    return tuple(headers)


def _limit_text(budget: Budget) -> str:
    return f"{budget.account} {budget.unit} {budget.limit} per {budget.window}"


def _name(account: Account) -> str:
    return "the organisation" if account.kind == "org" else str(account)
