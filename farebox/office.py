"""The office process: brings the journal into the books and dead writers' slices back, until it is told to stop.

It may be down while calls flow; what it has not read yet waits in the journal. Started by `supervise` as
``python -m farebox.office SPEC``.
"""

import os
import select
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from functools import partial

from farebox.alarm import Alarm
from farebox.alerts import Courier
from farebox.books.ingest import ingest_once
from farebox.books.parquet import BooksFailed
from farebox.books.sweep import DeathWatch, sweep, sweep_again
from farebox.budgets.authority import Authority, Reported, StoreUnavailable
from farebox.detect.lookout import Alerting, Lookout
from farebox.errors import FareboxError
from farebox.journal.record import Done, Sent
from farebox.meter import lost
from farebox.prices.book import PriceBook
from farebox.state.archive import use_book
from farebox.state.checked import check, refuse_restarts
from farebox.state.ledger_authority import open_authority
from farebox.state.settings import Files, Settings, load_settings

_TICK_S = 5.0  # reports bring the books up to date themselves; larger passes cost half as much a call
_LOOK_S = 0.5  # how soon a dead worker's slices return
_CHECK_S = 60.0
_PARTING_S = 2.0
_TELL_S = 2.0
_FORGET_S = 3600.0
_NICE = 10  # calls come first
_DAY_NS = 86_400_000_000_000
_KEEP_MONEY_NS = 400 * _DAY_NS  # a year and a month, so that a month can be seen beside the same one a year ago
_KEEP_LIMITS_NS = 2 * _DAY_NS


def assume_lost(book: PriceBook, sent: Sent) -> Done:
    """Return the end of an attempt whose gateway died before it."""
    return lost(book, sent, time.time_ns())


class Office:
    """What the office does, and when. Instants are seconds of a monotonic clock.

    Args:
        settings: of the gateway.
        authority: over the budgets.
        alarm: for the operator.
    """

    def __init__(self, settings: Settings, authority: Authority, alarm: Alarm) -> None:
        self._data_dir = settings.data_dir
        self._authority = authority
        self._alarm = alarm
        self._lookout: Lookout | None = None
        self._courier = Courier(settings.data_dir / "anomalies.db", alarm.note)
        self.configure(settings)
        self._watch = DeathWatch(settings.data_dir)
        self._due: dict[str, float] = {}
        self._lost: bool = False

    def configure(self, settings: Settings) -> None:
        """Go by settings: their prices, and their budgets, which are put into the ledger.

        Raises:
            ConfigError: where they cannot be used.
        """
        book = use_book(settings.data_dir, settings.price_files)
        self._budgets = check(settings.config, book).budgets
        self._assume = partial(assume_lost, book)
        self._alerts = settings.config.alerts
        self._aligned: bool = False

    def look(self, now_s: float, *, last: bool = False) -> None:
        """Do what is due.

        Args:
            now_s: the instant.
            last: whether it is the last time, so that everything is brought into the books.
        """
        if not self._aligned:
            self._ask(self._align)
        if self._watch.has_new_dead() or last or self._is_due("ingest", _TICK_S, now_s):
            self._due["ingest"] = now_s + _TICK_S
            self._ingest()
            self._ask(self._sweep)
        if last:
            self._courier.wait(_PARTING_S)
        else:
            self._look_out()
        if self._is_due("check", _CHECK_S, now_s):
            self._ask(self._check)
        if self._is_due("forget", _FORGET_S, now_s):
            self._ask(self._forget)

    def _is_due(self, what: str, every_s: float, now_s: float) -> bool:
        if now_s < self._due.get(what, 0.0):
            return False
        self._due[what] = now_s + every_s
        return True

    def _ingest(self) -> None:
        try:
            ingest_once(self._data_dir, self._assume)
        except BooksFailed as error:  # a full disk, say: the journal keeps everything until the next tick
            self._alarm.note(str(error))

    def _look_out(self) -> None:
        """Watch for anomalies and deliver what is to be told; without it the rest goes on."""
        told = self._alerts
        try:
            if self._lookout is None:
                self._lookout = Lookout(self._data_dir)
            self._lookout.look(time.time_ns(), Alerting(told.urls, told.min_severity, told.repeat_h))
        except (BooksFailed, sqlite3.Error, OSError) as error:
            self._alarm.ring("anomalies", f"anomalies are not watched for: {error}")
        if told.urls and self._is_due("alerts", _TELL_S, time.monotonic()):
            self._courier.start(told.urls, told.secret)

    def _ask(self, work: Callable[[], None]) -> None:
        """Do something with the ledger; where it cannot be reached, the next time does it."""
        try:
            work()
        except StoreUnavailable as error:
            if not self._lost:
                self._alarm.note(f"the office cannot reach the ledger of budgets: {error.detail}")
            self._lost = True
        else:
            self._lost = False

    def _align(self) -> None:
        """Put the budgets of the configuration into the ledger, and take those out that are not in it any more."""
        self._authority.align(self._budgets)
        self._aligned = True

    def _sweep(self) -> None:
        for answer in sweep(self._data_dir, self._authority):
            self._ring(answer)

    def _ring(self, answer: Reported) -> None:
        for alert in answer.alerts:
            self._alarm.ring(
                f"alert {alert.budget} {alert.span.id} {alert.percent}",
                f"budget {alert.budget} has reached {alert.percent} % of its limit in {alert.span.id}",
            )
        for over in answer.overruns:
            self._alarm.ring(f"overrun {over.budget} {over.span.id}", f"budget {over.budget} is closed by an overrun")

    def _check(self) -> None:
        for answer in sweep_again(self._data_dir, self._authority):
            self._ring(answer)
        for found in self._authority.check():
            what = f"budget {found.budget}, window {found.span_id}: {found.rule}: {found.detail}"
            self._alarm.ring(what, f"the ledger of budgets does not hold: {what}")

    def _forget(self) -> None:
        now_ns = time.time_ns()
        self._authority.forget(money_before_ns=now_ns - _KEEP_MONEY_NS, limits_before_ns=now_ns - _KEEP_LIMITS_NS)


def main() -> None:
    """Work until SIGTERM or until the parent is gone; once more at the end."""
    os.nice(_NICE)
    spec = sys.argv[1]
    settings = load_settings(spec)
    files = Files(spec, settings)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # files are looked at all the time
    authority = open_authority(settings.data_dir, settings.config.spending.ledger or None)
    office = Office(settings, authority, Alarm())
    watched = [wake_read] if settings.life_fd is None else [wake_read, settings.life_fd]
    stopping = False
    while not stopping:
        readable, _, _ = select.select(watched, [], [], _LOOK_S)
        stopping = bool(readable)
        if files.have_changed():
            settings = _read_anew(files, settings, office)
        office.look(time.monotonic(), last=stopping)
    authority.close()


def _read_anew(files: Files, before: Settings, office: Office) -> Settings:
    """Return the changed settings, put in force; those before where the new ones cannot be, as workers tell."""
    try:
        settings = files.read()
        refuse_restarts(before, settings)
        office.configure(settings)
    except FareboxError:
        return before
    return settings


if __name__ == "__main__":
    main()
