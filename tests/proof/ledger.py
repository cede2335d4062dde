"""The ledger of a proof, seen from outside: looked at all the while, refilled where it runs dry, read at the end."""

import contextlib
import random
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import msgspec

from farebox.budgets.account import read_account
from farebox.budgets.authority import StoreUnavailable
from farebox.budgets.plan import Budget, Unit
from farebox.budgets.window import read_window
from farebox.money import femto_from_usd
from farebox.state.ledger_authority import LedgerAuthority, open_authority
from farebox.state.ledger_values import BalanceRow
from tests.proof.load import EMBEDS
from tests.proof.verdict import Span, Standing


def _budget(account: str, usd: str, window: str, unit: Unit = "usd", *, hard: bool = True) -> Budget:
    limit = femto_from_usd(usd) if unit == "usd" else int(usd)
    return Budget("", read_account(account), unit, read_window(window), limit, hard=hard, alerts=(50, 100))


# Small enough to run dry again and again; what is refilled has its limit as its step.
BUDGETS = [
    _budget("org", "0.02", "lifetime"),
    _budget("team:search", "0.012", "day"),
    _budget("project:p-lab", "0.006", "lifetime"),
    _budget("key:alpha", "0.006", "hour"),
    _budget("key:beta", "0.004", "rolling:1m"),
    _budget(f"model:{EMBEDS}", "0.003", "month"),
    _budget("provider:openai", "0.015", "week"),
    _budget("org", "6000", "minute", "requests"),
    _budget("team:lab", "12", "lifetime", "concurrency"),
    _budget("user:u1", "400000", "day", "tokens"),
    _budget("tag:feature=chat", "0.001", "minute", hard=False),
]


class Ledger:
    """The ledger seen from outside: looked at all the while, and refilled where it runs dry."""

    def __init__(
        self, data_dir: Path, url: str | None, draw: random.Random, budgets: Sequence[Budget] = BUDGETS
    ) -> None:
        self.authority: LedgerAuthority = open_authority(data_dir, url)  # type: ignore[assignment]
        self.findings: set[str] = set()
        self.looks: int = 0
        self.refills: int = 0
        self._draw = draw
        self._highest: dict[Span, int] = defaultdict(int)
        for budget in budgets:
            self.authority.put(budget)
        if budgets:
            self.authority.top_up(read_account("user:u2"), femto_from_usd("0.002"))

    def look(self) -> None:
        """Check every rule, the main one by arithmetic of our own."""
        for balance in self.balances():
            self._highest[balance.budget, balance.span.id] = max(
                self._highest[balance.budget, balance.span.id], balance.limit
            )
            beyond = balance.posted + balance.held - balance.limit - balance.overdraft - balance.carried
            if beyond > 0:
                self.findings.add(f"over: {balance.budget} {balance.span.id} by {beyond} while it ran")
        self.findings.update(f"{found.rule}: {found}" for found in self.authority.check())
        self.looks += 1

    def balances(self) -> list[BalanceRow]:
        """Return every window of every budget."""
        return self.authority._store.read(lambda rows: rows.all_balances())

    def refill(self) -> None:
        """Raise the limits of budgets that have run dry; now and then begin a new window, or lower a limit."""
        steps = {(one.account, one.unit): one.limit for one in BUDGETS}
        for status in self.authority.status():
            budget = status.budget
            if budget.unit == "usd" and not budget.wallet and self._draw.random() < 0.01:
                self.authority.put(msgspec.structs.replace(budget, limit=budget.limit - budget.limit // 8))
                continue
            step = steps.get((budget.account, budget.unit), 0)
            if budget.unit != "usd" or not budget.hard:
                continue
            if status.limit - status.posted > (step or femto_from_usd("0.002")) // 50:
                continue
            chance = self._draw.random()
            if chance < 0.5:
                continue  # it stays dry for a moment
            self.refills += 1
            if budget.wallet:
                self.authority.top_up(budget.account, femto_from_usd("0.002"))
            elif chance < 0.6:
                self.authority.reset(budget.account, "usd", budget.window)
            else:
                self.authority.put(msgspec.structs.replace(budget, limit=budget.limit + step))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing is held."""
        with contextlib.suppress(StoreUnavailable):
            return all(balance.held == 0 for balance in self.balances())
        return False

    def standings(self) -> dict[Span, Standing]:
        """Return every window, with the most it was ever allowed."""
        budgets = self.authority._store.read(lambda rows: rows.known_budgets())
        standings = {}
        for balance in self.balances():
            span = (balance.budget, balance.span.id)
            budget = budgets[balance.budget]
            is_cap = budget.hard and budget.unit == "usd"
            most = max(self._highest[span], balance.limit) + balance.overdraft
            standings[span] = Standing(balance.posted, balance.held, most if is_cap else None)
        return standings
