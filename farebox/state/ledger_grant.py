"""How slices are granted: everything a hold needs, on every budget of its path, or nothing."""

from collections.abc import Sequence

from farebox.budgets.authority import Granted, Refused, Share, StoreUnavailable, Want, WriterClosed
from farebox.budgets.ledger import grant
from farebox.state.ledger_rows import Rows
from farebox.state.ledger_spans import Counted, count
from farebox.state.ledger_values import BalanceRow, BudgetRow, SliceRow

# How long writers are asked to give back what is free: longer than they sleep between two looks.
_WANTED_NS = 1_000_000_000


def admit(rows: Rows, writer: str) -> None:
    """Lock a writer's row, made where it is missing: a ledger restored from an old copy does not know everybody.

    Raises:
        WriterClosed: where the writer was closed.
    """
    is_closed = rows.lock_writer(writer)
    if is_closed is None:
        rows.open_writer(writer)
        is_closed = rows.lock_writer(writer)
    if is_closed:
        raise WriterClosed(writer)


def grant_wants(rows: Rows, writer: str, wants: Sequence[Want]) -> Granted | Refused:
    """Grant everything that is wanted, or nothing; see `Authority.grant`."""
    needs: dict[str, int] = {}
    for want in wants:
        if want.need < 0:
            raise ValueError(f"{want.need} of {want.budget} cannot be needed")
        needs[want.budget] = needs.get(want.budget, 0) + want.need
    admit(rows, writer)
    budgets = rows.lock(needs)
    for identity in needs:
        if identity not in budgets:
            raise StoreUnavailable(f"budget {identity} is not in the ledger")  # until the writer's plan is the ledger's
    counted = count(rows, budgets.values())
    pairs = [(identity, one.current.span.id) for identity, one in counted.items()]
    slices = rows.slices(writer, pairs) if pairs else {}
    shares = {pair[0]: slices.get(pair) or SliceRow(budget=pair[0], span_id=pair[1], writer=writer) for pair in pairs}
    writers = rows.count_writers()
    short = [one for identity, one in counted.items() if not _take(one, shares[identity], needs[identity], writers)]
    if short:
        return _refuse(rows, short, shares)
    for one in counted.values():
        if one.current.span.start_ns > one.row.used_ns:
            one.row.used_ns = one.current.span.start_ns
            rows.mark(one.row)
    rows.save_balances([one.current for one in counted.values()])
    rows.save_slices(list(shares.values()))
    return Granted(tuple(share_of(one.current, shares[identity]) for identity, one in counted.items()))


def share_of(balance: BalanceRow, share: SliceRow) -> Share:
    """Return a slice as a writer is told of it."""
    return Share(balance.budget, balance.span, share.granted, share.released, share.spent)


def is_cap(row: BudgetRow) -> bool:
    """Whether a budget refuses anything: hard, and in force."""
    return row.budget.hard and not row.removed


def _take(one: Counted, share: SliceRow, need: int, writers: int) -> bool:
    """Grant one want in memory; return whether it fits."""
    if share.left < 0:
        share.granted -= share.left  # what was overrun is posted, and owed by nobody
    size = 0
    if not one.closed:
        size = grant(one.current, share, need, writers=writers, elsewhere=one.elsewhere)
    if not is_cap(one.row) and size == 0:
        share.granted += need
        one.current.held += need
        one.permit()
        return True
    return size > 0 or (need == 0 and not one.closed)


def _refuse(rows: Rows, short: list[Counted], shares: dict[str, SliceRow]) -> Refused:
    """Return the refusal by the budget that nothing helps, else by the first; ask writers to give back what helps."""
    refusals = []
    for one in short:
        remaining = 0 if one.closed else max(0, one.room)
        idle = one.held - max(0, shares[one.row.budget.id].left)
        refusals.append(
            Refused(one.row.budget.id, one.current.span, remaining, idle > 0 and not one.closed, one.closed)
        )
    hopeless = next((refusal for refusal in refusals if not refusal.idle_elsewhere), None)
    if hopeless is not None:
        return hopeless
    for one in short:
        ask_back(rows, one.row)
    return refusals[0]


def ask_back(rows: Rows, row: BudgetRow) -> None:
    """Ask every writer to give back what is free of a budget."""
    # Asked again only when half of the time is over: refusals that follow each other write nothing.
    if row.wanted_ns < rows.now_ns + _WANTED_NS // 2:
        row.wanted_ns = rows.now_ns + _WANTED_NS
        rows.mark(row)
