"""The authority on a store of rows: every method of `Authority` is one transaction, but for `forget`, which is many."""

from collections.abc import Sequence
from pathlib import Path

from farebox.budgets.account import Account
from farebox.budgets.authority import (
    Authority,
    Granted,
    Movement,
    Pulse,
    Refused,
    Reported,
    Status,
    Total,
    Violation,
    Want,
)
from farebox.budgets.plan import Budget, Unit
from farebox.budgets.window import Window
from farebox.clock import Clock, SystemClock
from farebox.errors import ConfigError
from farebox.state.ledger_grant import admit, grant_wants
from farebox.state.ledger_plan import align_config, put_budget, remove_budget, reset_budgets, top_up_wallet
from farebox.state.ledger_report import close_writer, correct_span, take_totals
from farebox.state.ledger_rows import Store
from farebox.state.ledger_sqlite import SqliteStore
from farebox.state.ledger_view import check_ledger, forget_spans, read_movements, read_status

LEDGER = "ledger.db"
_POSTGRES = ("postgresql://", "postgres://")


def open_authority(data_dir: Path, url: str | None = None, clock: Clock | None = None) -> Authority:
    """Return the authority of an installation; nothing is opened before it is used.

    Args:
        data_dir: where the ledger of a single host is, a SQLite file.
        url: of a Postgres database that several hosts share, or None.
        clock: for tests; else the machine's, or the database's where there is one.

    Raises:
        ConfigError: for another kind of URL, or where the Postgres client is not installed.
    """
    if not url:
        return LedgerAuthority(SqliteStore(data_dir / LEDGER, clock or SystemClock()))
    if not url.startswith(_POSTGRES):
        kind = url.partition(":")[0]
        raise ConfigError(f"the ledger of budgets can be in Postgres, at postgresql://..., and not at {kind}:")
    try:
        from farebox.state.ledger_postgres import PostgresStore  # noqa: PLC0415 -- its client is an extra
    except ImportError:
        raise ConfigError("the ledger of budgets in Postgres needs `pip install 'farebox[postgres]'`") from None
    return LedgerAuthority(PostgresStore(url, clock, data_dir))


class LedgerAuthority:
    """See `Authority`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def version(self) -> int:
        """See `Authority.version`."""
        return self._store.read(lambda rows: rows.version())

    def pulse(self) -> Pulse:
        """See `Authority.pulse`."""
        return self._store.read(lambda rows: Pulse(rows.version(), rows.wanted()))

    def budgets(self) -> list[Budget]:
        """See `Authority.budgets`."""
        return self._store.read(lambda rows: [row.budget for row in rows.plan()])

    def put(self, budget: Budget) -> Budget:
        """See `Authority.put`."""
        return self._store.write(lambda rows: put_budget(rows, budget))

    def align(self, budgets: Sequence[Budget]) -> list[Budget]:
        """See `Authority.align`."""
        return self._store.write(lambda rows: align_config(rows, budgets))

    def remove(self, account: Account, unit: Unit, window: Window) -> bool:
        """See `Authority.remove`."""
        return self._store.write(lambda rows: remove_budget(rows, account, unit, window))

    def reset(self, account: Account, unit: Unit | None = None, window: Window | None = None) -> list[Budget]:
        """See `Authority.reset`."""
        return self._store.write(lambda rows: reset_budgets(rows, account, unit, window))

    def top_up(self, account: Account, amount_femto: int, note: str = "") -> Budget:
        """See `Authority.top_up`."""
        return self._store.write(lambda rows: top_up_wallet(rows, account, amount_femto, note))

    def open_writer(self, writer: str) -> None:
        """See `Authority.open_writer`."""
        self._store.write(lambda rows: admit(rows, writer))

    def writers(self) -> list[str]:
        """See `Authority.writers`."""
        return self._store.read(lambda rows: rows.writers())

    def not_closed(self, writers: Sequence[str]) -> list[str]:
        """See `Authority.not_closed`."""
        closed = self._store.read(lambda rows: rows.closed(writers))
        return [name for name in writers if name not in closed]

    def grant(self, writer: str, wants: Sequence[Want]) -> Granted | Refused:
        """See `Authority.grant`."""
        return self._store.write(lambda rows: grant_wants(rows, writer, wants))

    def report(self, writer: str, totals: Sequence[Total]) -> Reported:
        """See `Authority.report`."""
        return self._store.write(lambda rows: take_totals(rows, writer, totals))

    def close_writer(self, writer: str, totals: Sequence[Total]) -> Reported:
        """See `Authority.close_writer`."""
        return self._store.write(lambda rows: close_writer(rows, writer, totals))

    def status(self, account: Account | None = None) -> list[Status]:
        """See `Authority.status`."""
        return self._store.read(lambda rows: read_status(rows, account))

    def movements(self, account: Account | None = None, limit: int = 100) -> list[Movement]:
        """See `Authority.movements`."""
        return self._store.read(lambda rows: read_movements(rows, account, limit))

    def correct(self, budget: str, span_id: str, amount: int, reason: str, reference: str = "") -> Reported:
        """See `Authority.correct`."""
        note = f"{reason} [{reference}]" if reference else reason
        return self._store.write(lambda rows: correct_span(rows, (budget, span_id), amount, note, once=bool(reference)))

    def forget(self, *, money_before_ns: int, limits_before_ns: int) -> int:
        """See `Authority.forget`."""
        forgotten = 0
        while dropped := self._store.write(lambda rows: forget_spans(rows, money_before_ns, limits_before_ns)):
            forgotten += dropped
        return forgotten

    def check(self) -> list[Violation]:
        """See `Authority.check`."""
        return self._store.read(check_ledger)

    def close(self) -> None:
        """See `Authority.close`."""
        self._store.close()
