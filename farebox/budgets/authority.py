"""The authority over budgets, as its callers see it: what may be asked, what it answers, how it fails.

It alone grants slices of budgets to writers (workers) and puts together what they spent. Everything a writer says is a
running total, so a message that is lost, repeated or late changes nothing, and the totals in an answer are the truth
that the writer adopts. Amounts are femtodollars, or counts for budgets of another unit.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

import msgspec

from farebox.budgets.account import Account
from farebox.budgets.plan import Budget, Unit
from farebox.budgets.window import Span, Window
from farebox.errors import FareboxError, Unavailable

MovementKind = Literal["posted", "overdraft", "correction", "top_up", "limit", "reset", "close", "alert"]


class StoreUnavailable(Unavailable):
    """The store of the ledger does not answer, or not in time; nothing was granted. The next call tries anew.

    Attributes:
        detail: what the store said, for the operator's log.
    """

    code = "budget_store_unavailable"

    def __init__(self, detail: str) -> None:
        super().__init__("the ledger of budgets cannot be reached at the moment; try again", retry_after_s=1)
        self.detail: str = detail


class WriterClosed(FareboxError):
    """A writer that was declared dead speaks again; nothing of what it says is taken."""

    def __init__(self, writer: str) -> None:
        super().__init__(f"writer {writer!r} is closed: its slices were returned when its journal was read to the end")
        self.writer: str = writer


class Want(msgspec.Struct, frozen=True):
    """What a writer's purse lacks for a hold: the id of a budget, and how much, 0 or more."""

    budget: str
    need: int


class Share(msgspec.Struct, frozen=True):
    """The authority's totals of one writer in one span of a budget; see `ledger.Slice`."""

    budget: str
    span: Span
    granted: int
    released: int
    spent: int


class Total(msgspec.Struct, frozen=True):
    """A writer's totals in one span of a budget.

    Attributes:
        budget: id of the budget.
        span_id: id of the span, as the authority gave it.
        spent: settled so far.
        released: given back so far.
        granted: as the authority said last; 0 where that is not known. A ledger restored from an old copy learns from
            it what it granted since.
        over: by how much attempts cost more than their holds so far.
    """

    budget: str
    span_id: str
    spent: int
    released: int = 0
    granted: int = 0
    over: int = 0


class Alert(msgspec.Struct, frozen=True):
    """What is posted has reached a percentage of a limit. Said once per span; also a movement, so none is lost."""

    budget: str
    span: Span
    percent: int
    posted: int
    limit: int


class Overrun(msgspec.Struct, frozen=True):
    """A writer spent more than it was granted: a provider billed more than its hold. The span is closed now."""

    budget: str
    span: Span
    amount: int


class Granted(msgspec.Struct, frozen=True):
    """Every want was granted: one share per budget, in canonical order."""

    shares: tuple[Share, ...]


class Refused(msgspec.Struct, frozen=True):
    """Nothing was granted, because of one budget.

    Attributes:
        budget: its id.
        span: the window it is short in.
        remaining: what it could still grant.
        idle_elsewhere: whether slices that writers hold could make up for it; they are asked to give back.
        closed: whether it is closed by an overrun, until a reset or the next window.
    """

    budget: str
    span: Span
    remaining: int
    idle_elsewhere: bool
    closed: bool = False


class Reported(msgspec.Struct, frozen=True):
    """What the authority has after a report.

    Attributes:
        shares: its totals for every reported span of a budget that it knows.
        wanted: ids of reported budgets whose free slices are wanted back.
        alerts: thresholds that were reached by this report.
        overruns: what was spent beyond what was granted, by this report.
    """

    shares: tuple[Share, ...]
    wanted: tuple[str, ...] = ()
    alerts: tuple[Alert, ...] = ()
    overruns: tuple[Overrun, ...] = ()


class Pulse(msgspec.Struct, frozen=True):
    """What a worker polls: the version of the plan, and the budgets whose free slices are wanted back."""

    version: int
    wanted: tuple[str, ...]


class Status(msgspec.Struct, frozen=True):
    """A budget in its current window; of a rolling one, the sum of all spans that count.

    Attributes:
        budget: with its account.
        span: the window; of a rolling one from the oldest span that counts to the end of the present one.
        limit: the most that may be used.
        posted: what was spent, with corrections.
        held: granted to writers, and neither spent nor given back.
        overdraft: what was spent beyond holds, part of ``posted``.
        closed: whether an overrun closed it.
    """

    budget: Budget
    span: Span
    limit: int
    posted: int
    held: int
    overdraft: int
    closed: bool


class Movement(msgspec.Struct, frozen=True):
    """One line of the ledger.

    Attributes:
        number: rising.
        budget: id of the budget.
        account: whose.
        span_id: the window, or "" for a movement of the budget itself.
        writer: who spent, or "".
        kind: ``posted`` is spent (a line collects what one writer spends within an hour), ``overdraft`` the part of
            it beyond the hold, ``correction`` more or less than was posted, ``top_up`` paid into a wallet, ``limit``
            the new limit, ``reset`` what was posted until then, ``close`` returned from a dead writer, ``alert`` what
            was posted at a threshold.
        amount: of it.
        at_ns: when, nanoseconds since the epoch.
        note: for people.
        balance: of a wallet, after it; else None.
    """

    number: int
    budget: str
    account: Account
    span_id: str
    writer: str
    kind: MovementKind
    amount: int
    at_ns: int
    note: str
    balance: int | None = None


class Violation(msgspec.Struct, frozen=True):
    """A rule of the ledger that does not hold: ``I2``, ``I3``, ``closed`` or ``wallet``."""

    budget: str
    span_id: str
    rule: str
    detail: str


class Authority(Protocol):
    """The ledger of one installation. Every method is one transaction (but `forget`) and may be called from any thread.

    Each raises `StoreUnavailable` where the store does not answer; the next call tries anew.
    """

    def version(self) -> int:
        """Return a number that changes whenever a budget is made, changed, reset, topped up or removed."""

    def pulse(self) -> Pulse:
        """Return the version, and the budgets whose free slices are wanted back at the moment."""

    def budgets(self) -> list[Budget]:
        """Return all budgets in force, in canonical order."""

    def put(self, budget: Budget) -> Budget:
        """Make a budget, or change the one of the same account, unit, window, source and kind.

        Args:
            budget: its ``id`` may be "" for a new one to be made; ``generation`` and ``created_ns`` are the ledger's.

        Returns:
            the budget as it is in force.

        Raises:
            ConfigError: where it cannot be one.
        """

    def align(self, budgets: Sequence[Budget]) -> list[Budget]:
        """Make the budgets of source ``config`` these and no others; return all that are in force."""

    def remove(self, account: Account, unit: Unit, window: Window) -> bool:
        """Take a budget that people set out of force; return whether there was one. Its ledger is kept."""

    def reset(self, account: Account, unit: Unit | None = None, window: Window | None = None) -> list[Budget]:
        """Begin new windows for the account's budgets, with nothing posted in them; a wallet is only opened again."""

    def top_up(self, account: Account, amount_femto: int, note: str = "") -> Budget:
        """Pay into the account's wallet, made on first use; a negative amount takes out what is free.

        Raises:
            ConfigError: where more is to be taken out than is free.
        """

    def open_writer(self, writer: str) -> None:
        """Make a writer known.

        Raises:
            WriterClosed: where it was closed before.
        """

    def writers(self) -> list[str]:
        """Return the writers that are not closed."""

    def not_closed(self, writers: Sequence[str]) -> list[str]:
        """Return those of some writers that it does not know to be closed, as after an old copy was put in place."""

    def grant(self, writer: str, wants: Sequence[Want]) -> Granted | Refused:
        """Grant everything that is wanted, or nothing.

        Raises:
            WriterClosed: where the writer was closed.
        """

    def report(self, writer: str, totals: Sequence[Total]) -> Reported:
        """Take a writer's totals in; what is lower than before is an old message and changes nothing.

        Raises:
            WriterClosed: where the writer was closed.
        """

    def close_writer(self, writer: str, totals: Sequence[Total]) -> Reported:
        """Take in what a dead writer's journal says it spent, return the rest of its slices and fence it off.

        Doing it again with the same totals changes nothing.
        """

    def status(self, account: Account | None = None) -> list[Status]:
        """Return how the budgets of an account, or all, stand now."""

    def movements(self, account: Account | None = None, limit: int = 100) -> list[Movement]:
        """Return the latest lines of the ledger, newest first."""

    def correct(self, budget: str, span_id: str, amount: int, reason: str, reference: str = "") -> Reported:
        """Post a correction to a span: negative where less was spent than assumed.

        Args:
            budget: its id.
            span_id: of the window.
            amount: to be added.
            reason: for people.
            reference: what it is about; the same reference is posted once to a span. "" for none.

        Raises:
            ConfigError: where there is no such span, or less than nothing would be posted.
        """

    def forget(self, *, money_before_ns: int, limits_before_ns: int) -> int:
        """Drop spans that ended before an instant and hold nothing, with their posted lines; return how many.

        Args:
            money_before_ns: for budgets in USD.
            limits_before_ns: for the others.
        """

    def check(self) -> list[Violation]:
        """Return every rule that does not hold in the ledger: none, ever."""

    def close(self) -> None:
        """Let go of the store."""
