"""Budgets, limits, wallets and their movements as tables for people and as JSON for programs."""

from collections.abc import Sequence
from typing import Any

from rich.console import Console

from farebox.budgets.authority import Movement, Status, Violation
from farebox.budgets.plan import Budget
from farebox.budgets.window import NEVER_NS
from farebox.money import usd_text
from farebox.present.amounts import moment_text, percent, short_moment, short_usd
from farebox.present.tables import print_table

_BAR = 10


def show_statuses(statuses: Sequence[Status], console: Console, title: str) -> None:
    """Print how budgets stand."""
    rows = [
        (
            str(status.budget.account),
            _limit_words(status.budget),
            _short(status.budget, status.posted),
            _short(status.budget, status.held),
            _short(status.budget, max(0, status.limit - status.posted - status.held)),
            _bar(status),
            _state(status),
        )
        for status in statuses
    ]
    print_table(console, title, ("account", "limit", ">posted", ">held", ">left", "used", "state"), rows)


def show_movements(movements: Sequence[Movement], budgets: dict[str, Budget], console: Console, title: str) -> None:
    """Print lines of the ledger, newest first; those of wallets with the balance after them."""
    rows = []
    for line in movements:
        budget = budgets.get(line.budget)
        balance = "" if line.balance is None else usd_text(line.balance)
        rows.append(
            (
                short_moment(line.at_ns),
                str(line.account),
                line.kind.replace("_", " "),
                _exact(budget, line.amount),
                balance,
                line.note or line.span_id,
            )
        )
    print_table(console, title, ("when", "account", "what", ">amount", ">balance", "note"), rows)


def status_json(status: Status) -> dict[str, Any]:
    """Return how a budget stands: amounts as decimal strings, instants as RFC 3339 or null."""
    budget = status.budget
    span = status.span
    is_endless = span.end_ns >= NEVER_NS
    common = {
        **budget_json(budget),
        "window_id": span.id,
        "window_start": None if is_endless else moment_text(span.start_ns),
        "window_end": None if is_endless else moment_text(span.end_ns),
        "closed": status.closed,
    }
    left = max(0, status.limit - status.posted - status.held)
    if budget.unit == "usd":
        return {
            **common,
            "posted_usd": usd_text(status.posted),
            "held_usd": usd_text(status.held),
            "remaining_usd": usd_text(left),
            "overdraft_usd": usd_text(status.overdraft),
        }
    return {**common, "used": status.posted, "held": status.held, "remaining": left}


def budget_json(budget: Budget) -> dict[str, Any]:
    """Return a budget."""
    is_money = budget.unit == "usd"
    call_limit = budget.call_limit
    return {
        "id": budget.id,
        "account": str(budget.account),
        "unit": budget.unit,
        "window": str(budget.window),
        "zone": budget.window.zone or None,
        "limit_usd" if is_money else "limit": usd_text(budget.limit) if is_money else budget.limit,
        "hard": budget.hard,
        "alerts": list(budget.alerts),
        "per_call_usd" if is_money else "per_call": (
            usd_text(call_limit) if is_money and call_limit is not None else call_limit
        ),
        "stated": budget.stated or None,
        "wallet": budget.wallet,
        "source": budget.source,
    }


def movement_json(line: Movement, budget: Budget | None) -> dict[str, Any]:
    """Return a line of the ledger."""
    is_money = budget is None or budget.unit == "usd"
    return {
        "number": line.number,
        "at": moment_text(line.at_ns),
        "account": str(line.account),
        "budget": line.budget,
        "window_id": line.span_id or None,
        "writer": line.writer or None,
        "kind": line.kind,
        "amount_usd" if is_money else "amount": usd_text(line.amount) if is_money else line.amount,
        "balance_usd": None if line.balance is None else usd_text(line.balance),
        "note": line.note or None,
    }


def violation_json(found: Violation) -> dict[str, Any]:
    """Return a rule that does not hold."""
    return {"budget": found.budget, "window_id": found.span_id, "rule": found.rule, "detail": found.detail}


def describe(budget: Budget) -> str:
    """Return a budget in a sentence's worth of words."""
    words = f"{budget.account}: {_limit_words(budget)}"
    if budget.call_limit is not None:
        words += f", at most {_exact(budget, budget.call_limit)} a call"
    if not budget.hard:
        words += ", soft: it alerts and refuses nothing"
    if budget.stated:
        words += f" ({budget.stated})"
    return words


def _limit_words(budget: Budget) -> str:
    amount = short_usd(budget.limit) if budget.unit == "usd" else f"{budget.limit:,} {budget.unit.replace('_', ' ')}"
    if budget.unit == "concurrency":
        return f"{budget.limit:,} at once"
    if budget.wallet:
        return f"{amount} paid in"
    if budget.window.kind == "lifetime":
        return f"{amount} in all"
    zone = f" {budget.window.zone}" if budget.window.zone not in {"", "UTC"} else ""
    return f"{amount}/{str(budget.window).removeprefix('rolling:')}{zone}"


def _short(budget: Budget, amount: int) -> str:
    return short_usd(amount) if budget.unit == "usd" else f"{amount:,}"


def _exact(budget: Budget | None, amount: int) -> str:
    return f"${usd_text(amount)}" if budget is None or budget.unit == "usd" else f"{amount:,}"


def _bar(status: Status) -> str:
    """Return how much of a limit is used, as a bar of blocks and a percentage."""
    used = status.posted + status.held
    if not status.limit:
        return "none"
    blocks = min(_BAR, used * _BAR // status.limit)
    return f"{'█' * blocks}{'░' * (_BAR - blocks)} {percent(used / status.limit)}"


def _state(status: Status) -> str:
    if status.closed:
        return "closed"
    if not status.budget.hard:
        return "soft"
    return "full" if status.posted + status.held >= status.limit else "open"
