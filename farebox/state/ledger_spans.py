"""Spans of budgets in the ledger: which is the present one, which count with it, and which one an id means."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import msgspec

from farebox.budgets.plan import Budget, span_now
from farebox.budgets.window import Span, Window, counted_from, span_at
from farebox.state.ledger_rows import Rows
from farebox.state.ledger_values import BalanceRow, BudgetRow

_NS = 1_000_000_000
_AT_ONCE = 100  # budgets in one statement


class Counted(msgspec.Struct):
    """A budget at an instant.

    Attributes:
        row: the budget.
        current: the balance of the present span, which may be new.
        earlier: balances of earlier spans that still count: of rolling windows only.
    """

    row: BudgetRow
    current: BalanceRow
    earlier: list[BalanceRow]

    @property
    def elsewhere(self) -> int:
        """What is posted and held in the earlier spans."""
        return sum(balance.posted + balance.held for balance in self.earlier)

    @property
    def room(self) -> int:
        """What can still be granted; negative where the limit was lowered."""
        return self.current.room - self.elsewhere

    @property
    def held(self) -> int:
        """What all slices have left."""
        return self.current.held + sum(balance.held for balance in self.earlier)

    @property
    def posted(self) -> int:
        """What was spent."""
        return self.current.posted + sum(balance.posted for balance in self.earlier)

    @property
    def closed(self) -> bool:
        """Whether an overrun in a span that counts closed the budget."""
        return self.current.closed or any(balance.closed for balance in self.earlier)

    def permit(self) -> None:
        """Let what lies beyond the limit complete, over all spans that count."""
        self.current.permit()
        balances = [self.current, *self.earlier]
        beyond = -self.room - sum(balance.overdraft + balance.carried for balance in balances)
        self.current.carried += max(0, beyond)

    def keep(self, rows: Rows) -> None:
        """Write the present span; none that is earlier is used again."""
        rows.save_balances([self.current])
        if self.current.span.start_ns > self.row.used_ns:
            self.row.used_ns = self.current.span.start_ns
            rows.mark(self.row)


def count(rows: Rows, budgets: Iterable[BudgetRow]) -> dict[str, Counted]:
    """Return budgets as they stand by the authority's clock, which never goes back for any of them."""
    moments = {row.budget.id: (row, max(rows.now_ns, row.used_ns)) for row in budgets}
    asked = [
        (identity, row.budget.generation, counted_from(row.budget.window, at_ns))
        for identity, (row, at_ns) in moments.items()
    ]
    by_budget: dict[str, list[BalanceRow]] = {identity: [] for identity in moments}
    for start in range(0, len(asked), _AT_ONCE):
        for balance in rows.counted(asked[start : start + _AT_ONCE]):
            by_budget[balance.budget].append(balance)
    return {identity: _count_one(*moments[identity], by_budget[identity]) for identity in moments}


def _count_one(row: BudgetRow, at_ns: int, balances: list[BalanceRow]) -> Counted:
    budget = row.budget
    span = span_now(budget, at_ns)
    current = next((balance for balance in balances if balance.span.id == span.id), None)
    if current is None:
        current = BalanceRow(limit=budget.limit, budget=budget.id, span=span, generation=budget.generation)
    return Counted(row, current, [balance for balance in balances if balance is not current])


def find_span(budget: Budget, span_id: str) -> tuple[Span, int] | None:
    """Return the span that an id means and its generation, or None for what is no id of a span of the budget.

    A ledger that was restored from an old copy is told of spans that it does not have.
    """
    prefix, slash, plain = span_id.rpartition("/")
    generation = int(prefix[1:]) if slash and prefix[:1] == "g" and prefix[1:].isdecimal() else 0
    try:
        span = span_at(budget.window, _start_of(budget.window, plain))
    except (ValueError, OverflowError, OSError):
        return None
    named = span_now(msgspec.structs.replace(budget, generation=generation), span.start_ns)
    return (named, generation) if named.id == span_id else None


def _start_of(window: Window, plain: str) -> int:
    """Return an instant in the span of an id; the opposite of `span_at`."""
    if window.kind == "lifetime":
        return 0
    if window.kind == "rolling":
        return int(plain)
    if window.kind in {"minute", "hour"}:
        text = plain.replace("Z", ":") if window.kind == "hour" else plain
        return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * _NS
    return int(datetime.fromisoformat(plain).replace(tzinfo=ZoneInfo(window.zone)).timestamp()) * _NS


def balances_at(
    rows: Rows, budgets: Mapping[str, BudgetRow], pairs: Iterable[tuple[str, str]]
) -> dict[tuple[str, str], BalanceRow]:
    """Return the balances of (budget id, span id), new ones where there are none; what is unknown is left out."""
    asked = list(dict.fromkeys(pair for pair in pairs if pair[0] in budgets))
    if not asked:
        return {}
    found = rows.balances(asked)
    for pair in asked:
        if pair in found:
            continue
        budget = budgets[pair[0]].budget
        place = find_span(budget, pair[1])
        if place is not None and place[0].end_ns > budgets[pair[0]].forgotten_ns:
            found[pair] = BalanceRow(limit=budget.limit, budget=budget.id, span=place[0], generation=place[1])
    return found
