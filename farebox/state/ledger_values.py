"""The rows of the ledger as values, and what stands in their columns."""

from typing import Any

import msgspec

from farebox.budgets.account import Account
from farebox.budgets.ledger import Balance, Slice
from farebox.budgets.plan import Budget
from farebox.budgets.window import Span, read_window

Row = tuple[Any, ...]


class BudgetRow(msgspec.Struct):
    """A budget with what the ledger keeps beside it.

    Attributes:
        budget: as in the plan.
        removed: whether it is out of force; its ledger stays.
        used_ns: start of the latest span that was used: no earlier one is used again.
        wanted_ns: until when free slices of it are wanted back.
        forgotten_ns: spans that ended before and are not there were dropped.
    """

    budget: Budget
    removed: bool
    used_ns: int
    wanted_ns: int
    forgotten_ns: int


class BalanceRow(Balance, kw_only=True):
    """A balance with its place.

    Attributes:
        budget: id.
        span: of the window.
        generation: of the budget when the span began.
        carried: what lies beyond the limit by permission: taken before the limit was lowered, before a copy of the
            ledger was restored, or under a soft budget.
        alerted: the highest percentage that was alerted.
    """

    budget: str
    span: Span
    generation: int
    carried: int = 0
    alerted: int = 0

    def permit(self) -> None:
        """Let what lies beyond the limit complete."""
        self.carried = max(self.carried, self.posted + self.held - self.limit - self.overdraft)


class SliceRow(Slice, kw_only=True):
    """A slice with its place, and the line of the ledger that collects what is posted from it.

    Attributes:
        budget: id.
        span_id: of the window.
        writer: whose.
        line: number of the line, 0 for none.
        line_ns: when the line began.
        line_from: what was spent before it.
    """

    budget: str
    span_id: str
    writer: str
    line: int = 0
    line_ns: int = 0
    line_from: int = 0


def read_budget(row: Row) -> BudgetRow:
    """Return the budget in a row, its id first."""
    (
        identity,
        kind,
        name,
        unit,
        period,
        zone,
        cap,
        hard,
        alerts,
        created_ns,
        generation,
        wallet,
        source,
        call_cap,
        stated,
    ) = row[:15]
    budget = Budget(
        id=identity,
        account=Account(kind, name),
        unit=unit,
        window=read_window(period, zone or "UTC"),
        limit=int(cap),
        hard=bool(hard),
        alerts=tuple(int(percent) for percent in alerts.split(",") if percent),
        created_ns=created_ns,
        generation=generation,
        wallet=bool(wallet),
        source=source,
        call_limit=None if call_cap is None else int(call_cap),
        stated=stated,
    )
    return BudgetRow(budget, row[15] is not None, *row[16:])


def budget_values(budget: Budget) -> Row:
    """Return the values of the columns of a budget after its id."""
    return (
        budget.account.kind,
        budget.account.name,
        budget.unit,
        str(budget.window),
        budget.window.zone,
        str(budget.limit),
        int(budget.hard),
        ",".join(map(str, budget.alerts)),
        budget.created_ns,
        budget.generation,
        int(budget.wallet),
        budget.source,
        None if budget.call_limit is None else str(budget.call_limit),
        budget.stated,
    )


def read_balance(row: Row) -> BalanceRow:
    """Return the balance in a row."""
    budget, span_id, generation, start_ns, end_ns, cap, posted, held, overdraft, carried, closed, alerted = row
    return BalanceRow(
        limit=int(cap),
        posted=int(posted),
        held=int(held),
        overdraft=int(overdraft),
        closed=bool(closed),
        budget=budget,
        span=Span(span_id, start_ns, end_ns),
        generation=generation,
        carried=int(carried),
        alerted=alerted,
    )


def balance_values(row: BalanceRow) -> Row:
    """Return the values of the columns of a balance."""
    amounts = (row.limit, row.posted, row.held, row.overdraft, row.carried)
    place = (row.budget, row.span.id, row.generation, row.span.start_ns, row.span.end_ns)
    return (*place, *map(str, amounts), int(row.closed), row.alerted)


def read_slice(row: Row) -> SliceRow:
    """Return the slice in a row."""
    budget, span_id, writer, granted, released, spent, over, line, line_ns, line_from = row
    return SliceRow(
        granted=int(granted),
        released=int(released),
        spent=int(spent),
        over=int(over),
        budget=budget,
        span_id=span_id,
        writer=writer,
        line=line,
        line_ns=line_ns,
        line_from=int(line_from),
    )


def slice_values(row: SliceRow) -> Row:
    """Return the values of the columns of a slice."""
    amounts = map(str, (row.granted, row.released, row.spent, row.over))
    return row.budget, row.span_id, row.writer, *amounts, row.line, row.line_ns, str(row.line_from)
