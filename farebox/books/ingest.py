"""Brings the journal into the books exactly once, wherever it is killed.

One pass: take the lock; clear away what a crash left; read each writer's journal on; for every haul announce
the Parquet files in the manifest, write, sync and rename them, and then in one transaction let them count, move
the positions, note which attempts are open and add up what was used of budgets. Dead writers are drained, recovered
and drained again. Killed before that transaction, the next pass removes the files and reads the same records again;
killed after it, nothing is left to do.

The first end of an attempt counts. A later one, written by a process thought dead, is kept as a finding.
"""

import gc
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec

from farebox.books.compact import merge_once, remove_replaced
from farebox.books.drain import Drain, Haul, Pair
from farebox.books.keep import lock_books, write_view
from farebox.books.manifest import Finding, Manifest
from farebox.books.parquet import ParquetWriter, RowsRefused, new_path, told
from farebox.books.retire import retire_journal
from farebox.books.schema import day_of, row_of
from farebox.books.sort_strays import sort_strays
from farebox.clock import Clock, SystemClock
from farebox.journal.record import Done, Sent
from farebox.journal.recover import is_dead, recover_instance
from farebox.journal.segment import instances_of
from farebox.spend import spent_of

Fault = Callable[[str], None]

_encode = msgspec.msgpack.Encoder().encode
_POLL_S = 0.01


class IngestPlan(msgspec.Struct, frozen=True):
    """How the books are kept.

    Attributes:
        keep_journal_days: how long a journal that is completely in the books is kept; 0 removes it at once.
        keep_replaced_s: how long a file is kept after a merge, for readers that listed it before.
        wait_s: how long to wait for another process that ingests; 0 leaves at once.
    """

    keep_journal_days: float = 1
    keep_replaced_s: float = 600
    wait_s: float = 0


class IngestReport(msgspec.Struct):
    """What one pass did.

    Attributes:
        busy: whether another process was ingesting, so that nothing was done.
        attempts: brought into the books.
        assumed: of these, attempts whose end nobody saw, given one now.
        open: attempts that have no end yet.
        torn, damaged, late, orphans, refused: findings made by this pass, see `manifest.Finding`.
        files: Parquet files that were written.
        merged: Parquet files that a merge replaced.
        removed: segments of the journal that were removed.
        unreadable: files that could not be read, with the reason; they are tried again by the next pass.
    """

    busy: bool = False
    attempts: int = 0
    assumed: int = 0
    open: int = 0
    torn: int = 0
    damaged: int = 0
    late: int = 0
    orphans: int = 0
    refused: int = 0
    files: int = 0
    merged: int = 0
    removed: int = 0
    unreadable: tuple[str, ...] = ()


def ingest_once(
    data_dir: Path,
    assume: Callable[[Sent], Done],
    plan: IngestPlan | None = None,
    *,
    clock: Clock | None = None,
    fault: Fault | None = None,
) -> IngestReport:
    """Bring everything that is in the journal by now into the books.

    Args:
        data_dir: the data directory; its ``journal`` is read, its ``books`` are written.
        assume: makes the end of an attempt whose writer died before it knew one.
        plan: how the books are kept.
        clock: for grace periods and findings.
        fault: is told every step before it is taken for good; what it raises ends the pass there.

    Raises:
        BooksFailed: where the books cannot be written; the next pass takes up where this one failed.
    """
    plan = plan or IngestPlan()
    books = data_dir / "books"
    with told(books), lock_books(books / "ingest.lock", plan.wait_s) as mine:
        if not mine:
            return IngestReport(busy=True)
        with closing(_Pass(data_dir, assume, plan, clock or SystemClock(), fault or _no_fault)) as ingest:
            with _without_collector():
                ingest.run()
            return ingest.report


class _Pass:
    """One pass over the journal, under the lock."""

    def __init__(
        self, data_dir: Path, assume: Callable[[Sent], Done], plan: IngestPlan, clock: Clock, fault: Fault
    ) -> None:
        self.report = IngestReport()
        self._journal = data_dir / "journal"
        self._books = data_dir / "books"
        self._assume = assume
        self._plan = plan
        self._fault = fault
        self._now_ns = clock.now_ns()
        self._manifest = Manifest(self._books / "manifest.db")
        self._writer = ParquetWriter(self._books)
        self._drain = Drain(self._manifest.positions(), self._manifest.open_attempts(), self._now_ns)

    def close(self) -> None:
        self._writer.close()
        self._manifest.close()

    def run(self) -> None:
        self._clear_drafts()
        instances = instances_of(self._journal)
        closed = self._manifest.closed_writers()
        drained = [each for each in instances if self._read(each)]
        # A journal that somebody removed cannot end its attempts any more.
        for gone in self._drain.writers_with_open() - {each.name for each in instances}:
            self._drain.end_writer(gone, self._assume)
        self._commit([each.name for each in drained if each.name not in closed])
        self.report.open = len(self._manifest.open_attempts())
        self.report.removed = retire_journal(
            self._manifest, self._journal, self._plan.keep_journal_days, self._now_ns, self._fault
        )
        self.report.merged = merge_once(self._manifest, self._writer, self._now_ns, self._fault)
        write_view(self._books, self._manifest)
        remove_replaced(self._manifest, self._writer, self._now_ns - int(self._plan.keep_replaced_s * 1e9), self._fault)

    def _read(self, instance: Path) -> bool:
        """Read a writer on; return whether it is dead and has nothing left to give."""
        try:
            dead = is_dead(instance)
            for _ in self._drain.read_writer(instance, dead=dead):
                self._commit([])
            if not dead:
                return False
            if instance.name in self._drain.writers_with_open():
                self._fault("recover")
                recover_instance(instance, self._assume)
                for _ in self._drain.read_writer(instance, dead=True):
                    self._commit([])
        except OSError as error:
            # One file that cannot be read must not keep the others out of the books.
            self.report.unreadable = (
                *self.report.unreadable,
                f"{error.filename or instance}: {error.strerror or error}",
            )
            return False
        self._drain.end_writer(instance.name, self._assume)
        return True

    def _commit(self, closing: list[str]) -> None:
        """Write what was read and make it count, in one step as seen by every reader."""
        haul = self._drain.take_haul()
        if haul.empty and not closing:
            return
        findings = [*haul.findings, *sort_strays(haul, self._manifest, self._books, self._now_ns)]
        drafts: list[int] = []
        for day, pairs in _by_day(haul.pairs).items():
            drafts += self._write_day(day, pairs, findings)
        self._fault("commit")
        with self._manifest.transaction():
            self._manifest.set_file_state(drafts, "live", self._now_ns)
            for (writer, segment), position in haul.moved.items():
                self._manifest.put_position(writer, segment, position)
            self._manifest.put_open(list(haul.opened.values()))
            self._manifest.end_open(haul.ended)
            self._manifest.add_spent(_sum_spent(haul.pairs))
            fresh = [each for each in findings if self._manifest.put_finding(each)]
            for name in closing:
                self._manifest.close_writer(name, self._now_ns)
        self._fault("committed")
        self._count(haul, fresh, len(drafts))

    def _write_day(self, day: int, pairs: list[Pair], findings: list[Finding]) -> list[int]:
        """Write one day's attempts; return the drafts. Rows that no column can hold become findings."""
        rows = [row_of(pair.sent, pair.done, pair.writer) for pair in pairs]
        path = new_path(day)
        span = (min(row.sent_at for row in rows), max(row.sent_at for row in rows))
        self._fault("draft")
        draft = self._manifest.draft_file(path, day, len(rows), span, self._now_ns)
        self._fault("write")
        try:
            self._writer.write_rows(path, rows)
        except RowsRefused as refusal:
            self._writer.remove(path)
            self._manifest.forget_files([draft])
            if len(pairs) == 1:
                findings.append(_refused(pairs[0], str(refusal), self._now_ns))
                return []
            middle = len(pairs) // 2
            halves = (pairs[:middle], pairs[middle:])
            return [each for half in halves for each in self._write_day(day, half, findings)]
        self._fault("publish")
        self._writer.publish(path)
        return [draft]

    def _count(self, haul: Haul, fresh: list[Finding], files: int) -> None:
        kinds = [each.kind for each in fresh]
        report = self.report
        report.attempts += len(haul.pairs) - kinds.count("refused")
        report.assumed += sum("assumed" in pair.done.flags for pair in haul.pairs)
        report.files += files
        report.torn += kinds.count("torn")
        report.damaged += kinds.count("damaged")
        report.late += kinds.count("late")
        report.orphans += kinds.count("orphan")
        report.refused += kinds.count("refused")

    def _clear_drafts(self) -> None:
        """Remove what a pass that was killed has written but not committed."""
        drafts = self._manifest.files("draft")
        for file in drafts:
            self._writer.remove(file.path)
        self._fault("clear")
        self._manifest.forget_files([file.id for file in drafts])


def _by_day(pairs: list[Pair]) -> dict[int, list[Pair]]:
    days: dict[int, list[Pair]] = defaultdict(list)
    for pair in pairs:
        days[day_of(pair.sent.at_ns)].append(pair)
    for day in days.values():
        day.sort(key=lambda pair: pair.sent.at_ns)  # what was sent together is read together
    return days


def _sum_spent(pairs: list[Pair]) -> dict[tuple[str, str, str], tuple[int, int]]:
    """Return what attempts used of their budgets, by writer, budget and window."""
    sums: dict[tuple[str, str, str], tuple[int, int]] = {}
    for pair in pairs:
        for claim, amount, over in spent_of(pair.sent, pair.done):
            key = (pair.writer, claim.budget, claim.span_id)
            before = sums.get(key, (0, 0))
            sums[key] = before[0] + amount, before[1] + over
    return sums


def _refused(pair: Pair, reason: str, now_ns: int) -> Finding:
    return Finding(
        "refused",
        pair.writer,
        pair.segment,
        pair.at_offset,
        now_ns,
        attempt=pair.sent.attempt,
        detail=reason.splitlines()[0],
        sent=_encode(pair.sent),
        done=_encode(pair.done),
    )


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop the search for reference cycles: a pass makes none, and searching its records takes half the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _no_fault(_step: str) -> None:
    """Go on: nothing is injected."""
