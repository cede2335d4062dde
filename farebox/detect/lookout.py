"""Watches while the gateway runs: learns from the books when it starts, then takes every minute as it is over.

An incident sets a flag, which policies act on, and clears it when it is over; both are told. What was told is kept in
``anomalies.db`` in one transaction with what is to be delivered, so that a restart neither repeats nor forgets it.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from farebox.alerts import Notice, connect, enqueue
from farebox.anomalies.incident import SEVERITIES, History, Incident, Severity, incidents_of
from farebox.anomalies.tally import HOUR_MINUTES, WEEK_HOURS
from farebox.anomalies.watch import Watch
from farebox.books.query import Books
from farebox.books.rows import Window
from farebox.books.used import HOUR_NS, MINUTE_NS, used_by
from farebox.detect.scan import MOST_SCOPES, cell_of, read_history, series_of, tally_of
from farebox.errors import ConfigError
from farebox.money import FEMTO_PER_USD, usd_text
from farebox.state.flags import Flag, FlagStore

SOURCE = "detector"
LEAST_FEMTO = FEMTO_PER_USD // 10
_SETTLE_NS = 15_000_000_000  # until what ended in a minute is in the books
_LONGEST_CALL_NS = 2 * HOUR_NS
_MEMORY_HOURS = 8 * WEEK_HOURS
_FLAG_NS = HOUR_NS  # a flag outlives the office by this much
_SCHEMA = """
CREATE TABLE IF NOT EXISTS incident (
    id TEXT PRIMARY KEY, scope TEXT NOT NULL, is_open INTEGER NOT NULL, told_min INTEGER NOT NULL,
    record BLOB NOT NULL) WITHOUT ROWID;
"""


class Alerting(msgspec.Struct, frozen=True):
    """Whom to tell what: addresses, the least severity, and after how many hours again what lasts (0: never)."""

    urls: tuple[str, ...] = ()
    min_severity: Severity = "low"
    repeat_h: float = 24.0


def database_of(data_dir: Path) -> sqlite3.Connection:
    """Return the database of what was found."""
    database = connect(data_dir / "anomalies.db")
    database.executescript(_SCHEMA)
    return database


def recorded(data_dir: Path) -> list[Incident] | None:
    """Return what was found while the gateway ran, the first first; None where nothing ever watched."""
    if not (data_dir / "anomalies.db").exists():
        return None
    database = database_of(data_dir)
    try:
        rows = database.execute("SELECT record FROM incident").fetchall()
    finally:
        database.close()
    found = [msgspec.json.decode(record, type=Incident) for (record,) in rows]
    return sorted(found, key=lambda each: (each.start, each.scope))


class Lookout:
    """What watches one data directory. Call `look` every few seconds.

    Args:
        data_dir: the data directory.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._flags = FlagStore(data_dir)
        self._database = database_of(data_dir)
        self._history = History()
        self._watches: dict[str, Watch] = {}
        self._learning: Iterator[None] | None = None
        self._seen = -1  # last minute that was taken
        rows = self._database.execute("SELECT record, told_min FROM incident WHERE is_open").fetchall()
        self._open = {
            each.scope: (each, told)
            for each, told in ((msgspec.json.decode(record, type=Incident), told) for record, told in rows)
        }

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def look(self, now_ns: int, alerting: Alerting) -> bool:
        """Take the minutes that are over and act on them; return whether everything was learned by now.

        While it learns from the books, a call takes up one scope and returns.
        """
        if self._learning is None:
            self._learning = self._learn(now_ns)
        if next(self._learning, self) is None:
            return False
        last = (now_ns - _SETTLE_NS) // MINUTE_NS - 1
        if last > self._seen:
            self._take(last)
            self._act(now_ns, alerting)
        return True

    def _learn(self, now_ns: int) -> Iterator[None]:
        """Read the hours that are over, and let a watch of each scope see them, one at a time."""
        hour = (now_ns - _SETTLE_NS) // HOUR_NS
        with Books(self._data_dir, Window(since_ns=now_ns - _MEMORY_HOURS * HOUR_NS)) as books:
            history = read_history(books)
        history.hours = {each: cells for each, cells in history.hours.items() if each < hour}
        self._history = history
        self._seen = hour * HOUR_MINUTES - 1
        for scope, hours in series_of(history).items():
            watch = self._watches[scope] = Watch()
            watch.move_to(min(hours))
            for each in range(min(hours), hour):
                if each in hours:
                    watch.take(each * HOUR_MINUTES, hours[each])
                watch.move_to(each + 1)
            yield

    def _take(self, last: int) -> None:
        """Take the minutes up to one."""
        since_ns = (self._seen + 1) * MINUTE_NS
        with Books(self._data_dir, Window(since_ns=since_ns - _LONGEST_CALL_NS)) as books:
            spans = [each for each in used_by(books, MINUTE_NS, since_ns) if self._seen < each.span <= last]
        for used in spans:
            cell, tally = cell_of(used), tally_of(used)
            self._history.add(used.span // HOUR_MINUTES, cell, tally)
            for scope in cell.scopes():
                watch = self._watches.get(scope)
                if watch is None and len(self._watches) < MOST_SCOPES:
                    watch = self._watches[scope] = Watch()
                if watch is not None:
                    watch.move_to(used.span // HOUR_MINUTES)
                    watch.take(used.span, tally)
        for watch in self._watches.values():
            watch.move_to(last // HOUR_MINUTES)
            watch.look(last)
        self._seen = last
        self._history.until = last + 1
        for hour in [each for each in self._history.hours if each < last // HOUR_MINUTES - _MEMORY_HOURS]:
            del self._history.hours[hour]

    def _act(self, now_ns: int, alerting: Alerting) -> None:
        known = {scope for each, _ in self._open.values() for scope in (each.scope, *each.others)}
        fresh = {
            scope: watch.episode
            for scope, watch in self._watches.items()
            if watch.episode is not None and watch.episode.end is None and scope not in known
        }
        for each in incidents_of(self._history, fresh, LEAST_FEMTO):
            self._keep(each, "opened", now_ns, alerting)
        for incident, told in list(self._open.values()):
            watch = self._watches.get(incident.scope)
            if watch is None or not watch.is_open():
                end = self._seen + 1 if watch is None or watch.episode is None else watch.episode.end
                self._keep(msgspec.structs.replace(incident, end=end), "cleared", now_ns, alerting)
            elif alerting.repeat_h and self._seen - told >= alerting.repeat_h * HOUR_MINUTES:
                self._keep(incident, "repeated", now_ns, alerting)
            else:
                self._flag(incident, now_ns)

    def _keep(self, incident: Incident, event: str, now_ns: int, alerting: Alerting) -> None:
        """Put an incident on record with what is told of it, and set or clear its flag."""
        key = f"{incident.scope} {incident.found}"
        urls: Sequence[str] = alerting.urls
        if SEVERITIES.index(incident.severity) < SEVERITIES.index(alerting.min_severity):
            urls = ()
        notice = notice_of(incident, event, f"{key} {event} {self._seen if event == 'repeated' else ''}".strip())
        self._database.execute("BEGIN IMMEDIATE")
        self._database.execute(
            "INSERT OR REPLACE INTO incident VALUES (?, ?, ?, ?, ?)",
            (key, incident.scope, incident.end is None, self._seen, msgspec.json.encode(incident)),
        )
        enqueue(self._database, notice, urls, now_ns / 1e9)
        self._database.execute("COMMIT")
        if incident.end is None:
            self._open[incident.scope] = (incident, self._seen)
            self._flag(incident, now_ns)
        else:
            del self._open[incident.scope]
            if any(each.scope == incident.scope and each.source == SOURCE for each in self._flags.list(now_ns)):
                self._flags.clear(incident.scope)

    def _flag(self, incident: Incident, now_ns: int) -> None:
        """Flag the scope for a while more, unless the operator did."""
        flags = {each.scope: each for each in self._flags.list(now_ns)}
        set_by = flags.get(incident.scope)
        if set_by is not None and (set_by.source != SOURCE or (set_by.until_ns or 0) > now_ns + _FLAG_NS // 2):
            return
        since_ns = now_ns if set_by is None else set_by.since_ns
        try:
            self._flags.set(Flag(incident.scope, title_of(incident), since_ns, now_ns + _FLAG_NS, SOURCE))
        except ConfigError:  # a tag whose name no flag can have
            return


def title_of(incident: Incident) -> str:
    """Return an incident in one line."""
    return (
        f"{incident.scope} spent {usd_text(incident.actual_femto)} USD where "
        f"{usd_text(incident.expected_femto)} is usual: {incident.cause}"
    )


def notice_of(incident: Incident, event: str, key: str) -> Notice:
    """Return what people are told of an incident."""
    parts = ", ".join(f"{cause} {usd_text(amount)}" for cause, amount in incident.causes.items() if amount)
    words = {"opened": "", "repeated": "still: ", "cleared": "over: "}[event]
    band = " Less than two weeks are known: the band is wide." if incident.young else ""
    text = f"{title_of(incident)}. Beyond the usual, in USD: {parts}.{band}"
    details = msgspec.to_builtins(incident)
    for name in ("actual_femto", "expected_femto"):
        details[name.replace("_femto", "_usd")] = usd_text(details.pop(name))
    details["causes"] = {cause: usd_text(amount) for cause, amount in incident.causes.items()}
    return Notice(key, event, incident.severity, f"{incident.severity}: {words}{title_of(incident)}", text, details)
