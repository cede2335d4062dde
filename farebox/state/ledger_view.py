"""What can be seen of the ledger: how budgets stand, its lines, and whether its rules hold."""

from collections import defaultdict

from farebox.budgets.account import Account
from farebox.budgets.authority import Movement, Status, Violation
from farebox.budgets.plan import Budget
from farebox.budgets.window import Span, counted_from
from farebox.state.ledger_rows import Rows, read_movement
from farebox.state.ledger_spans import Counted, count
from farebox.state.ledger_values import BalanceRow, SliceRow

Pair = tuple[str, str]
_AT_ONCE = 500  # spans dropped in one transaction


def read_status(rows: Rows, account: Account | None) -> list[Status]:
    """Return how budgets stand now; see `Authority.status`."""
    return [_status(rows, one) for one in count(rows, rows.plan(account)).values()]


def _status(rows: Rows, one: Counted) -> Status:
    budget = one.row.budget
    now_ns = max(rows.now_ns, one.row.used_ns)
    span = one.current.span
    if budget.window.kind == "rolling":
        span = Span(span.id, counted_from(budget.window, now_ns), span.end_ns)
    overdraft = sum(balance.overdraft for balance in (one.current, *one.earlier))
    return Status(budget, span, budget.limit, one.posted, one.held, overdraft, one.closed)


def read_movements(rows: Rows, account: Account | None, limit: int) -> list[Movement]:
    """Return the latest lines, newest first; those of wallets with the balance after them."""
    budgets = rows.known_budgets(account)
    after = _wallet_balances(rows, budgets)
    movements = []
    for row in rows.movements(account, limit):
        budget = budgets[row[1]]
        movement = read_movement(row, budget.account, after.get(budget.id))
        movements.append(movement)
        if movement.balance is not None:
            after[budget.id] = movement.balance - _effect(movement)
    return movements


def _wallet_balances(rows: Rows, budgets: dict[str, Budget]) -> dict[str, int]:
    wallets = {identity: budget for identity, budget in budgets.items() if budget.wallet}
    if not wallets:
        return {}
    posted = {pair[0]: row.posted for pair, row in rows.balances([(w, "lifetime") for w in wallets]).items()}
    return {identity: wallet.limit - posted.get(identity, 0) for identity, wallet in wallets.items()}


def _effect(movement: Movement) -> int:
    """Return by how much a line changed a wallet's balance."""
    if movement.kind == "top_up":
        return movement.amount
    return -movement.amount if movement.kind in {"posted", "correction"} else 0


def forget_spans(rows: Rows, money_before_ns: int, limits_before_ns: int) -> int:
    """Drop some old spans, few enough that nobody waits for it; return how many. See `Authority.forget`."""
    ended = rows.ended(money_before_ns, limits_before_ns, _AT_ONCE)
    budgets = rows.lock(pair[0] for pair in ended)
    dropped = []
    for pair, balance in (rows.balances(ended) if ended else {}).items():
        row = budgets[pair[0]]
        before_ns = money_before_ns if row.budget.unit == "usd" else limits_before_ns
        before_ns = min(before_ns, counted_from(row.budget.window, rows.now_ns))
        if balance.span.end_ns > before_ns or balance.held:
            continue
        dropped.append(pair)
        if before_ns > row.forgotten_ns:
            row.forgotten_ns = before_ns
            rows.mark(row)
    rows.drop_spans(dropped)
    return len(dropped)


def check_ledger(rows: Rows) -> list[Violation]:
    """Return every rule that does not hold; see `Authority.check`."""
    budgets = rows.known_budgets()
    shares: dict[Pair, list[SliceRow]] = defaultdict(list)
    for share in rows.slices_of():
        shares[share.budget, share.span_id].append(share)
    corrections = _sums(rows.amounts("correction"))
    posted = _sums(rows.amounts("posted"))
    found: list[Violation] = []
    for balance in rows.all_balances():
        pair = (balance.budget, balance.span.id)
        is_money = budgets[balance.budget].unit == "usd"
        lines = posted[pair] if is_money else sum(share.spent for share in shares[pair])
        found += _check_balance(balance, shares.pop(pair, []), corrections[pair], lines)
    found += [Violation(*pair, "I3", "slices without a balance") for pair in shares]
    return [*found, *_check_windows(rows), *_check_writers(rows), *_check_wallets(rows, budgets)]


def _check_balance(balance: BalanceRow, shares: list[SliceRow], corrected: int, lines: int) -> list[Violation]:
    held = sum(max(0, share.left) for share in shares)
    spent = sum(share.spent for share in shares)
    beyond = balance.posted + balance.held - balance.limit - balance.overdraft - balance.carried
    rules = [
        ("I2", beyond > 0, f"{beyond} more is posted and held than the limit and the overdraft"),
        ("I3", held != balance.held, f"held is {balance.held}, slices have {held} left"),
        ("I3", spent + corrected != balance.posted, f"posted is {balance.posted}, writers spent {spent + corrected}"),
        ("I3", spent != lines, f"writers spent {spent}, the lines say {lines}"),
    ]
    return [Violation(balance.budget, balance.span.id, rule, detail) for rule, is_broken, detail in rules if is_broken]


def _check_windows(rows: Rows) -> list[Violation]:
    """I2 over all spans of a rolling window."""
    found = []
    for identity, one in count(rows, rows.plan()).items():
        allowed = sum(balance.overdraft + balance.carried for balance in (one.current, *one.earlier))
        if one.earlier and one.row.budget.hard and -one.room > allowed:
            found.append(Violation(identity, one.current.span.id, "I2", f"{-one.room - allowed} over the window"))
    return found


def _check_writers(rows: Rows) -> list[Violation]:
    """Nothing is left with the dead."""
    is_open = set(rows.writers())
    return [
        Violation(share.budget, share.span_id, "closed", f"{share.left} left with the closed writer {share.writer}")
        for share in rows.slices_of()
        if share.writer not in is_open and share.left > 0
    ]


def _check_wallets(rows: Rows, budgets: dict[str, Budget]) -> list[Violation]:
    """The limit of a wallet is what was paid in."""
    paid = _sums(rows.amounts("top_up"))
    return [
        Violation(
            identity, "lifetime", "wallet", f"the limit is {wallet.limit}, paid in is {paid[identity, 'lifetime']}"
        )
        for identity, wallet in budgets.items()
        if wallet.wallet and wallet.limit != paid[identity, "lifetime"]
    ]


def _sums(amounts: list[tuple[str, str, int]]) -> dict[Pair, int]:
    sums: dict[Pair, int] = defaultdict(int)
    for budget, span_id, amount in amounts:
        sums[budget, span_id] += amount
    return sums
