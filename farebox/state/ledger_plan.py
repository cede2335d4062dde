"""How budgets are made, changed, reset and paid into. Whoever does has the plan to himself for that time."""

import secrets
from collections.abc import Sequence

import msgspec

from farebox.budgets.account import Account
from farebox.budgets.plan import UNITS, Budget, Unit
from farebox.budgets.window import Window, read_window
from farebox.errors import ConfigError
from farebox.state.ledger_rows import Rows
from farebox.state.ledger_schema import MAX_DIGITS
from farebox.state.ledger_spans import count
from farebox.state.ledger_values import BudgetRow

_WALLET_WINDOW = read_window("lifetime")
_MOST_PERCENT = 1000


def put_budget(rows: Rows, budget: Budget) -> Budget:
    """Make or change a budget; see `Authority.put`."""
    rows.lock_plan()
    before = {row.budget for row in rows.plan(budget.account)}
    placed = _place(rows, budget)
    if placed not in before:
        rows.bump()
    return placed


def align_config(rows: Rows, budgets: Sequence[Budget]) -> list[Budget]:
    """Make the budgets of the configuration these; see `Authority.align`."""
    rows.lock_plan()
    before = [row.budget for row in rows.plan()]
    kept = {_place(rows, msgspec.structs.replace(budget, source="config")).id for budget in budgets}
    for budget in before:
        if budget.source == "config" and budget.id not in kept:
            _remove(rows, budget)
    after = [row.budget for row in rows.plan()]
    if after != before:
        rows.bump()
    return after


def remove_budget(rows: Rows, account: Account, unit: Unit, window: Window) -> bool:
    """Take a budget out of force; see `Authority.remove`."""
    rows.lock_plan()
    found = [
        row.budget for row in rows.plan(account) if (row.budget.unit, row.budget.window) == (unit, window)
    ]  # fmt: skip
    own = [budget for budget in found if budget.source == "state" and not budget.wallet]
    if not own and any(budget.source == "config" for budget in found):
        raise ConfigError(f"{account}: this budget stands in the configuration; remove it there")
    for budget in own:
        _remove(rows, budget)
        rows.bump()
    return bool(own)


def reset_budgets(rows: Rows, account: Account, unit: Unit | None, window: Window | None) -> list[Budget]:
    """Begin new windows; see `Authority.reset`."""
    rows.lock_plan()
    chosen = [
        row.budget.id
        for row in rows.plan(account)
        if unit in {None, row.budget.unit} and window in {None, row.budget.window}
    ]
    reset = []
    for identity, one in count(rows, rows.lock(chosen).values()).items():
        budget = one.row.budget
        place = (identity, one.current.span.id, "")
        if budget.wallet:
            one.current.closed = False
            one.keep(rows)
            rows.add_movement(place, "reset", one.posted, "opened again")
        else:
            budget = msgspec.structs.replace(budget, generation=budget.generation + 1)
            rows.update_budget(budget)
            rows.add_movement(place, "reset", one.posted)
        reset.append(budget)
    if reset:
        rows.bump()
    return reset


def top_up_wallet(rows: Rows, account: Account, amount_femto: int, note: str) -> Budget:
    """Pay into a wallet, or take out of it; see `Authority.top_up`."""
    rows.lock_plan()
    found = next((row.budget for row in rows.plan(account) if row.budget.wallet), None)
    wallet = found or _place(rows, Budget("", account, "usd", _WALLET_WINDOW, 0, wallet=True))
    row = rows.lock([wallet.id])[wallet.id]
    one = count(rows, [row])[wallet.id]
    if amount_femto < 0 and one.room + amount_femto < 0:
        raise ConfigError(f"{account}: only {max(0, one.room)} femtodollars of the wallet are free to be taken out")
    wallet = msgspec.structs.replace(row.budget, limit=row.budget.limit + amount_femto)
    _check(wallet)
    rows.update_budget(wallet)
    one.current.limit = wallet.limit
    if one.room > 0 and amount_femto > 0:
        one.current.closed = False
    one.keep(rows)
    rows.add_movement((wallet.id, one.current.span.id, ""), "top_up", amount_femto, note)
    rows.bump()
    return wallet


def _place(rows: Rows, budget: Budget) -> Budget:
    """Write a budget as a new one, or over the one in its place; return it as it is in force."""
    _check(budget)
    found = next((row.budget for row in rows.plan(budget.account) if _key(row.budget) == _key(budget)), None)
    if found is None:
        return _insert(rows, budget)
    if found.wallet and budget.limit not in {0, found.limit}:
        raise ConfigError(f"{budget.account}: the limit of a wallet is what was paid in; top it up instead")
    limit = found.limit if found.wallet else budget.limit
    changed = msgspec.structs.replace(
        found,
        limit=limit,
        hard=budget.hard,
        alerts=budget.alerts,
        call_limit=budget.call_limit,
        stated=budget.stated,
    )
    if changed == found:
        return found
    _change(rows, rows.lock([found.id])[found.id], changed)
    return changed


def _insert(rows: Rows, budget: Budget) -> Budget:
    identity = budget.id or secrets.token_hex(6)
    if rows.lock([identity]):
        raise ConfigError(f"budget {identity!r} was there before; ids are never used again")
    if budget.wallet and budget.limit:
        raise ConfigError(f"{budget.account}: a wallet begins empty; top it up")
    made = msgspec.structs.replace(budget, id=identity, generation=0, created_ns=rows.now_ns)
    rows.insert_budget(made)
    rows.add_movement((identity, "", ""), "limit", made.limit, "made")
    return made


def _change(rows: Rows, row: BudgetRow, changed: Budget) -> None:
    """Write what changed. What lies beyond a lower limit already may complete; nothing is added to it."""
    is_moved = row.budget.limit != changed.limit
    row.budget = changed
    rows.update_budget(changed)
    one = count(rows, [row])[changed.id]
    one.current.limit = changed.limit
    one.current.carried = 0
    one.permit()
    one.keep(rows)
    if is_moved:
        rows.add_movement((changed.id, "", ""), "limit", changed.limit, "changed")


def _remove(rows: Rows, budget: Budget) -> None:
    rows.lock([budget.id])
    rows.remove_budget(budget.id)
    rows.add_movement((budget.id, "", ""), "limit", 0, "removed")


def _key(budget: Budget) -> tuple[str, Window, bool, str]:
    """Return what two budgets of one account cannot share."""
    return budget.unit, budget.window, budget.wallet, budget.source


def _check(budget: Budget) -> None:
    """Refuse what cannot be a budget.

    Raises:
        ConfigError: naming the field.
    """
    where = f"budget of {budget.account}"
    if "|" in budget.id:
        raise ConfigError(f"{where}: id {budget.id!r} has a |, which separates ids in the journal")
    if budget.unit not in UNITS:
        raise ConfigError(f"{where}: unit {budget.unit!r}; there are {', '.join(UNITS)}")
    if not 0 <= budget.limit < 10**MAX_DIGITS:
        raise ConfigError(f"{where}: the limit must be 0 or more, with at most {MAX_DIGITS} digits")
    if budget.call_limit is not None and not 0 <= budget.call_limit < 10**MAX_DIGITS:
        raise ConfigError(f"{where}: the limit per call must be 0 or more, with at most {MAX_DIGITS} digits")
    if list(budget.alerts) != sorted({p for p in budget.alerts if 0 < p <= _MOST_PERCENT}):
        raise ConfigError(f"{where}: alerts are rising percentages from 1 to {_MOST_PERCENT}, such as 50, 80, 100")
    if budget.unit == "concurrency" and budget.window.kind != "lifetime":
        raise ConfigError(f"{where}: calls under way are counted over no window; use lifetime")
    if budget.wallet and (budget.unit, budget.window.kind, budget.hard) != ("usd", "lifetime", True):
        raise ConfigError(f"{where}: a wallet is hard, in USD and for a lifetime")
