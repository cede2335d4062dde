"""The rows of the ledger and the statements that read and write them, the same for every store.

Amounts are exact in either: texts of whole numbers in SQLite, NUMERIC(39, 0) in Postgres; `int` reads both. Whoever
changes anything of a budget has locked its row first, so the other tables are only ever read and written under it.
Locks are taken in one order everywhere: the plan, the writer, then budgets from the widest account to the narrowest.
"""

# ruff: noqa: S608 -- statements are put together from the names in this file; values are always parameters

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

from farebox.budgets.account import KINDS, Account
from farebox.budgets.authority import Movement, MovementKind, StoreUnavailable
from farebox.budgets.plan import Budget
from farebox.state.ledger_values import (
    BalanceRow,
    BudgetRow,
    Row,
    SliceRow,
    balance_values,
    budget_values,
    read_balance,
    read_budget,
    read_slice,
    slice_values,
)

Result = TypeVar("Result")
Value = TypeVar("Value")
_AT_ONCE = 100  # rows in one statement
_BUDGET = (
    "id, kind, name, unit, period, zone, cap, hard, alerts, created_ns, generation, wallet, source, call_cap, stated"
)
_BALANCE = "budget, span, generation, start_ns, end_ns, cap, posted, held, overdraft, carried, closed, alerted"
_SLICE = "budget, span, writer, granted, released, spent, over, line, line_ns, line_from"
_KEPT = "removed_ns, used_ns, wanted_ns, forgotten_ns"
_ORDER = "ORDER BY rank, name, id"


class Store(Protocol):
    """Where the rows are. Work may be done more than once when transactions collide; only one of them counts."""

    def write(self, work: "Callable[[Rows], Result]") -> Result:
        """Do some work in a transaction and commit it."""

    def read(self, work: "Callable[[Rows], Result]") -> Result:
        """Do some work on one consistent state, changing nothing."""

    def close(self) -> None:
        """Let go of connections."""


class Rows:
    """One transaction.

    Args:
        run: executes one statement with ``?`` for parameters, and returns its rows.
        now_ns: the authority's clock.
        lock: what a statement ends with that locks its rows, or "".
    """

    def __init__(
        self,
        run: Callable[[str, Sequence[Any]], list[Row]],
        now_ns: int,
        lock: str,
    ) -> None:
        self.now_ns: int = now_ns
        self.changed: bool = False
        self._run = run
        self._lock = lock

    # The plan

    def version(self) -> int:
        """Return the version of the plan."""
        found = self._run("SELECT value FROM meta WHERE name = 'version'", ())
        if not found:
            raise StoreUnavailable("the ledger has lost its version; put a copy of the ledger in its place")
        return int(found[0][0])

    def lock_plan(self) -> None:
        """Keep others from changing the plan meanwhile."""
        self._run(f"SELECT value FROM meta WHERE name = 'version' {self._lock}", ())

    def bump(self) -> None:
        """Give the plan a new version, one that no older copy of the ledger can come to by counting."""
        self._write("UPDATE meta SET value = ? WHERE name = 'version'", (max(self.version() + 1, self.now_ns),))

    def plan(self, account: Account | None = None) -> list[BudgetRow]:
        """Return the budgets in force in canonical order, of one account or all."""
        where, values = ("AND kind = ? AND name = ?", (account.kind, account.name)) if account else ("", ())
        found = self._run(f"SELECT {_BUDGET}, {_KEPT} FROM budgets "
                          f"WHERE removed_ns IS NULL {where} {_ORDER}", values)  # fmt: skip
        return [read_budget(row) for row in found]

    def lock(self, ids: Iterable[str]) -> dict[str, BudgetRow]:
        """Lock budgets in canonical order, removed ones too; return those that there are."""
        unique = sorted(set(ids))
        if not unique:
            return {}
        found = self._run(f"SELECT {_BUDGET}, {_KEPT} FROM budgets "
                          f"WHERE id IN ({_marks(unique)}) {_ORDER} {self._lock}", unique)  # fmt: skip
        return {row[0]: read_budget(row) for row in found}

    def wanted(self) -> tuple[str, ...]:
        """Return the budgets whose free slices are wanted back."""
        return tuple(row[0] for row in self._run("SELECT id FROM budgets WHERE wanted_ns > ?", (self.now_ns,)))

    def insert_budget(self, budget: Budget) -> None:
        """Add a budget."""
        self._write(
            f"INSERT INTO budgets ({_BUDGET}, rank) VALUES ({_marks(range(16))})",
            (budget.id, *budget_values(budget), KINDS.index(budget.account.kind)),
        )

    def update_budget(self, budget: Budget) -> None:
        """Write a budget's fields."""
        columns = ", ".join(f"{column} = ?" for column in _BUDGET.split(", ")[1:])
        self._write(f"UPDATE budgets SET {columns} WHERE id = ?", (*budget_values(budget), budget.id))

    def remove_budget(self, budget_id: str) -> None:
        """Take a budget out of force."""
        self._write("UPDATE budgets SET removed_ns = ? WHERE id = ?", (self.now_ns, budget_id))

    def mark(self, row: BudgetRow) -> None:
        """Write what the ledger keeps beside a budget."""
        self._write(
            "UPDATE budgets SET used_ns = ?, wanted_ns = ?, forgotten_ns = ? WHERE id = ?",
            (row.used_ns, row.wanted_ns, row.forgotten_ns, row.budget.id),
        )

    # Writers

    def lock_writer(self, writer: str) -> bool | None:
        """Lock a writer; return whether it is closed, or None where it is not known."""
        found = self._run(f"SELECT closed_ns FROM writers WHERE id = ? {self._lock}", (writer,))
        return found[0][0] is not None if found else None

    def open_writer(self, writer: str) -> None:
        """Add a writer where it is not known."""
        self._write("INSERT INTO writers (id, opened_ns) VALUES (?, ?) ON CONFLICT DO NOTHING", (writer, self.now_ns))

    def close_writer(self, writer: str) -> None:
        """Fence a writer off."""
        self._write("UPDATE writers SET closed_ns = ? WHERE id = ? AND closed_ns IS NULL", (self.now_ns, writer))

    def writers(self) -> list[str]:
        """Return the writers that are open, oldest first."""
        found = self._run("SELECT id FROM writers WHERE closed_ns IS NULL ORDER BY opened_ns, id", ())
        return [row[0] for row in found]

    def closed(self, writers: Sequence[str]) -> set[str]:
        """Return those of some writers that are closed."""
        found: set[str] = set()
        for some in _some(writers):
            statement = f"SELECT id FROM writers WHERE closed_ns IS NOT NULL AND id IN ({_marks(some)})"
            found.update(row[0] for row in self._run(statement, some))
        return found

    def count_writers(self) -> int:
        """Return how many writers are open."""
        return int(self._run("SELECT count(*) FROM writers WHERE closed_ns IS NULL", ())[0][0])

    # Balances and slices

    def counted(self, asked: Sequence[tuple[str, int, int]]) -> list[BalanceRow]:
        """Return the balances of budgets (id, generation, start of the oldest span that counts), oldest first."""
        where = " OR ".join(["budget = ? AND generation = ? AND start_ns >= ?"] * len(asked))
        values = [value for ask in asked for value in ask]
        found = self._run(f"SELECT {_BALANCE} FROM balances WHERE {where} ORDER BY budget, start_ns", values)
        return [read_balance(row) for row in found]

    def balances(self, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], BalanceRow]:
        """Return balances by (budget id, span id)."""
        found = self._run(f"SELECT {_BALANCE} FROM balances WHERE (budget, span) IN ({_pairs(pairs)})", _flat(pairs))
        return {(row[0], row[1]): read_balance(row) for row in found}

    def slices(self, writer: str, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], SliceRow]:
        """Return a writer's slices by (budget id, span id)."""
        found = self._run(
            f"SELECT {_SLICE} FROM slices WHERE writer = ? AND (budget, span) IN ({_pairs(pairs)})",
            (writer, *_flat(pairs)),
        )
        return {(row[0], row[1]): read_slice(row) for row in found}

    def slices_of(self, *, writer: str = "", budget: str = "", span_id: str = "") -> list[SliceRow]:
        """Return all slices of a writer, or of a span of a budget, or all that there are."""
        where, values = ("WHERE writer = ?", [writer]) if writer else ("", [])
        if budget:
            where, values = "WHERE budget = ? AND span = ?", [budget, span_id]
        return [read_slice(row) for row in self._run(f"SELECT {_SLICE} FROM slices {where}", values)]

    def all_balances(self) -> list[BalanceRow]:
        """Return every balance."""
        return [read_balance(row) for row in self._run(f"SELECT {_BALANCE} FROM balances ORDER BY budget, span", ())]

    def save_balances(self, balances: Sequence[BalanceRow]) -> None:
        """Write balances, new or not."""
        self._upsert("balances", _BALANCE, 2, [balance_values(balance) for balance in balances])

    def save_slices(self, slices: Sequence[SliceRow]) -> None:
        """Write slices, new or not."""
        self._upsert("slices", _SLICE, 3, [slice_values(share) for share in slices])

    def ended(self, money_before_ns: int, limits_before_ns: int, limit: int) -> list[tuple[str, str]]:
        """Return (budget id, span id) of spans that ended before an instant and hold nothing, oldest first."""
        return [
            (row[0], row[1])
            for row in self._run(
                "SELECT s.budget, s.span FROM balances s JOIN budgets b ON b.id = s.budget WHERE s.held = '0' "
                "AND s.end_ns <= CASE WHEN b.unit = 'usd' THEN ? ELSE ? END ORDER BY s.end_ns, s.budget LIMIT ?",
                (money_before_ns, limits_before_ns, limit),
            )
        ]

    def drop_spans(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Drop spans (budget id, span id), their slices and their posted lines."""
        if pairs:
            for table, more in (("balances", ""), ("slices", ""), ("movements", " AND kind = 'posted'")):
                self._write(f"DELETE FROM {table} WHERE (budget, span) IN ({_pairs(pairs)}){more}", _flat(pairs))

    # Movements

    def add_movement(self, place: tuple[str, str, str], kind: MovementKind, amount: int, note: str = "") -> int:
        """Add a line at a place (budget id, span id, writer); return its number."""
        self.changed = True
        added = self._run(
            "INSERT INTO movements (budget, span, writer, kind, amount, at_ns, note) VALUES (?, ?, ?, ?, ?, ?, ?) "
            "RETURNING id",
            (*place, kind, str(amount), self.now_ns, note),
        )
        return int(added[0][0])

    def set_lines(self, lines: Sequence[tuple[int, int]]) -> None:
        """Write the amounts that posted lines have collected: (amount, number) each."""
        for some in _some(lines):
            numbers = [number for _, number in some]
            cases = [value for amount, number in some for value in (number, str(amount))]
            self._write(
                f"UPDATE movements SET amount = CASE id {'WHEN ? THEN ? ' * len(some)} ELSE amount END "
                f"WHERE id IN ({_marks(some)})",
                (*cases, *numbers),
            )

    def movements(self, account: Account | None, limit: int) -> list[Row]:
        """Return the latest lines of an account or all, newest first.

        Each is number, budget, span, writer, kind, amount, time and note.
        """
        where, values = "", []
        if account is not None:
            where = "WHERE budget IN (SELECT id FROM budgets WHERE kind = ? AND name = ?)"
            values = [account.kind, account.name]
        return self._run(
            "SELECT id, budget, span, writer, kind, amount, at_ns, note "
            f"FROM movements {where} ORDER BY id DESC LIMIT ?",
            (*values, limit),
        )

    def has_movement(self, pair: tuple[str, str], kind: MovementKind, note: str) -> bool:
        """Return whether a line of a kind and with a note stands at (budget id, span id)."""
        found = self._run(
            "SELECT 1 FROM movements WHERE budget = ? AND span = ? AND kind = ? AND note = ? LIMIT 1",
            (*pair, kind, note),
        )
        return bool(found)

    def amounts(self, kind: MovementKind) -> list[tuple[str, str, int]]:
        """Return budget, span and amount of every line of a kind."""
        found = self._run("SELECT budget, span, amount FROM movements WHERE kind = ?", (kind,))
        return [(row[0], row[1], int(row[2])) for row in found]

    def known_budgets(self, account: Account | None = None) -> dict[str, Budget]:
        """Return all budgets that ever were, by id, of one account or all."""
        where, values = ("WHERE kind = ? AND name = ?", (account.kind, account.name)) if account else ("", ())
        found = self._run(f"SELECT {_BUDGET}, {_KEPT} FROM budgets {where}", values)
        return {row[0]: read_budget(row).budget for row in found}

    def _write(self, statement: str, values: Sequence[Any]) -> None:
        self.changed = True
        self._run(statement, values)

    def _upsert(self, table: str, columns: str, keys: int, values: Sequence[Row]) -> None:
        names = columns.split(", ")
        changes = ", ".join(f"{name} = excluded.{name}" for name in names[keys:])
        for some in _some(values):
            self._write(
                f"INSERT INTO {table} ({columns}) VALUES {', '.join([f'({_marks(names)})'] * len(some))} "
                f"ON CONFLICT ({', '.join(names[:keys])}) DO UPDATE SET {changes}",
                [value for row in some for value in row],
            )


def read_movement(row: Row, account: Account, balance: int | None) -> Movement:
    """Return the movement in a row of `Rows.movements`."""
    return Movement(row[0], row[1], account, row[2], row[3], row[4], int(row[5]), row[6], row[7], balance)


def _marks(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return f"VALUES {', '.join(['(?, ?)'] * len(pairs))}"


def _flat(pairs: Sequence[tuple[str, str]]) -> list[str]:
    return [part for pair in pairs for part in pair]


def _some(values: Sequence[Value]) -> Iterator[Sequence[Value]]:
    """Yield values, few enough at a time for one statement."""
    for start in range(0, len(values), _AT_ONCE):
        yield values[start : start + _AT_ONCE]
