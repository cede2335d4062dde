"""How the ledger takes in what was spent: a writer's totals, those of a dead writer's journal, and corrections."""

from collections.abc import Sequence

import msgspec

from farebox.budgets.authority import Alert, Overrun, Reported, Share, Total
from farebox.budgets.ledger import Slice, correct, report
from farebox.errors import ConfigError
from farebox.state.ledger_grant import admit, ask_back, is_cap, share_of
from farebox.state.ledger_rows import Rows
from farebox.state.ledger_spans import balances_at, count
from farebox.state.ledger_values import BalanceRow, BudgetRow, SliceRow

# A posted line collects what one writer spends in one span for so long: a statement has lines per hour, not per call.
_LINE_NS = 3_600_000_000_000


class _Taken(msgspec.Struct):
    """What a report came to."""

    shares: list[Share] = []
    overruns: list[Overrun] = []
    lines: list[tuple[int, int]] = []
    touched: dict[str, list[BalanceRow]] = {}
    permitted: set[str] = set()


def take_totals(rows: Rows, writer: str, totals: Sequence[Total]) -> Reported:
    """Take a writer's totals in; see `Authority.report`."""
    admit(rows, writer)
    budgets = rows.lock(total.budget for total in totals)
    return _take(rows, writer, budgets, totals, is_last=False)


def close_writer(rows: Rows, writer: str, totals: Sequence[Total]) -> Reported:
    """Take a dead writer's totals in and return the rest of its slices; see `Authority.close_writer`."""
    if rows.lock_writer(writer) is None:
        rows.open_writer(writer)
        rows.lock_writer(writer)
    said = {(total.budget, total.span_id) for total in totals}
    unsaid = [
        Total(share.budget, share.span_id, share.spent)
        for share in rows.slices_of(writer=writer)
        if share.left > 0 and (share.budget, share.span_id) not in said
    ]
    every = [*totals, *unsaid]
    budgets = rows.lock(total.budget for total in every)
    reported = _take(rows, writer, budgets, every, is_last=True)
    rows.close_writer(writer)
    return reported


def correct_span(rows: Rows, pair: tuple[str, str], amount: int, note: str, *, once: bool) -> Reported:
    """Post a correction to (budget id, span id), one with this note only once; see `Authority.correct`."""
    budget, span_id = pair
    budgets = rows.lock([budget])
    balance = rows.balances([pair]).get(pair)
    if budget not in budgets or balance is None:
        raise ConfigError(f"budget {budget!r} has no window {span_id!r}; `farebox budgets show` names them")
    if once and rows.has_movement(pair, "correction", note):
        return Reported(())
    if balance.posted + amount < 0:
        raise ConfigError(f"{-amount} cannot be taken off: only {balance.posted} is posted in {span_id}")
    correct(balance, amount)
    if not is_cap(budgets[budget]):
        balance.permit()
    rows.save_balances([balance])
    rows.add_movement((budget, span_id, ""), "correction", amount, note)
    # A window that rolls can be full where none of its spans is: what lies beyond its limit now is permitted there.
    return Reported((), alerts=tuple(_alert(rows, budgets, {budget: [balance]}, {budget})))


def _take(
    rows: Rows, writer: str, budgets: dict[str, BudgetRow], totals: Sequence[Total], *, is_last: bool
) -> Reported:
    said = _merge(totals)
    balances = balances_at(rows, budgets, said)
    slices = rows.slices(writer, list(balances)) if balances else {}
    taken = _Taken()
    for pair, total in said.items():
        if pair in balances:
            share = slices.get(pair) or SliceRow(budget=pair[0], span_id=pair[1], writer=writer)
            slices[pair] = share
            _post(rows, (budgets[pair[0]], balances[pair], share), total, taken, is_last=is_last)
    rows.save_balances(list(balances.values()))
    rows.save_slices(list(slices.values()))
    rows.set_lines(taken.lines)
    alerts = _alert(rows, budgets, taken.touched, taken.permitted)
    wanted = tuple(identity for identity, row in budgets.items() if row.wanted_ns > rows.now_ns)
    return Reported(tuple(taken.shares), wanted, tuple(alerts), tuple(taken.overruns))


def _merge(totals: Sequence[Total]) -> dict[tuple[str, str], Total]:
    """Return one total per span: the highest of each that was said."""
    said: dict[tuple[str, str], Total] = {}
    for total in totals:
        pair = (total.budget, total.span_id)
        other = said.get(pair, total)
        amounts = (max(getattr(total, name), getattr(other, name)) for name in ("spent", "released", "granted", "over"))
        said[pair] = Total(*pair, *amounts)
    return said


def _post(
    rows: Rows, place: tuple[BudgetRow, BalanceRow, SliceRow], total: Total, taken: _Taken, *, is_last: bool
) -> None:
    """Take one total in."""
    row, balance, share = place
    before = share.spent
    released = share.released
    is_learned = _learn(row, balance, share, total, is_last=is_last)
    last_release = max(0, share.granted - max(share.spent, total.spent))
    totals = Slice(spent=total.spent, released=last_release if is_last else total.released, over=total.over)
    closes = is_cap(row) and row.budget.unit == "usd"
    over = report(balance, share, totals, closes=closes)
    if is_learned:
        balance.permit()
        taken.permitted.add(balance.budget)
    at = (balance.budget, balance.span.id, share.writer)
    if share.spent > before:
        if row.budget.unit == "usd":
            _collect(rows, at, share, before, taken)
        taken.touched.setdefault(balance.budget, []).append(balance)
    if over and closes:
        taken.overruns.append(Overrun(balance.budget, balance.span, over))
        rows.add_movement(at, "overdraft", over, "attempts cost more than was reserved for them")
        ask_back(rows, row)  # else others would spend on from the slices they have
    if is_last and share.released > released:
        rows.add_movement(at, "close", share.released - released)
    taken.shares.append(share_of(balance, share))


def _learn(row: BudgetRow, balance: BalanceRow, share: SliceRow, total: Total, *, is_last: bool) -> bool:
    """Take in what was granted and the ledger does not know, having been restored, or not having been asked.

    A budget that refuses nothing is not asked: what is spent under it counts as granted. A dead writer's journal does
    not say what was granted, but that it was enough for every hold: for all that was spent, but for what attempts cost
    more than their holds.
    """
    granted = max(share.granted, total.granted)
    if not is_cap(row):
        granted = max(granted, total.spent + max(total.released, share.released))
    elif is_last:
        granted = max(granted, total.spent + share.released - max(total.over, share.over))
    if granted == share.granted:
        return False
    left = max(0, share.left)
    share.granted = granted
    balance.held += max(0, share.left) - left
    return True


def _collect(rows: Rows, at: tuple[str, str, str], share: SliceRow, before: int, taken: _Taken) -> None:
    """Put what was spent on the writer's line, or begin a new one."""
    if share.line and rows.now_ns - share.line_ns < _LINE_NS:
        taken.lines.append((share.spent - share.line_from, share.line))
    else:
        share.line_from, share.line_ns = before, rows.now_ns
        share.line = rows.add_movement(at, "posted", share.spent - before)


def _alert(
    rows: Rows, budgets: dict[str, BudgetRow], touched: dict[str, list[BalanceRow]], permitted: set[str]
) -> list[Alert]:
    """Return the thresholds that were reached now, and remember them; a rolling window is looked at whole."""
    alerts: list[Alert] = []
    watched = {identity: balances for identity, balances in touched.items() if budgets[identity].budget.alerts}
    rolling = {
        identity for identity in {*watched, *permitted} if budgets[identity].budget.window.kind == "rolling"
    }  # fmt: skip
    for identity, one in count(rows, (budgets[identity] for identity in sorted(rolling))).items():
        if identity in permitted:
            one.permit()
        alerted = max(balance.alerted for balance in (one.current, *one.earlier))
        if identity in watched:
            alerts += _cross(rows, budgets[identity], one.current, one.posted, alerted)
        one.keep(rows)
    for identity, balances in watched.items():
        if identity not in rolling:
            for balance in balances:
                crossed = _cross(rows, budgets[identity], balance, balance.posted, balance.alerted)
                if crossed:
                    rows.save_balances([balance])
                alerts += crossed
    return alerts


def _cross(rows: Rows, row: BudgetRow, balance: BalanceRow, posted: int, alerted: int) -> list[Alert]:
    crossed = [
        percent
        for percent in row.budget.alerts
        if percent > alerted and posted > 0 and posted * 100 >= percent * balance.limit
    ]
    for percent in crossed:
        balance.alerted = percent
        rows.add_movement((balance.budget, balance.span.id, ""), "alert", posted, f"{percent} % of {balance.limit}")
    return [Alert(balance.budget, balance.span, percent, posted, balance.limit) for percent in crossed]
