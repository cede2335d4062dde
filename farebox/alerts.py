"""Tells people: a queue on disk, and its delivery to webhooks or, through apprise, to chat, mail and pagers.

What is to be told is in the queue with what it is about, in one transaction; it leaves the queue when it was taken.
Delivery runs beside the office and is tried again with growing waits for a day. What was under way when a process died
is sent again with the same id, which stands in the header ``x-farebox-alert`` of webhooks.
"""

import hashlib
import hmac
import sqlite3
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import msgspec

from farebox.errors import FareboxError

SCHEMA = """
CREATE TABLE IF NOT EXISTS notice (
    id TEXT NOT NULL, url TEXT NOT NULL, body BLOB NOT NULL, made_s REAL NOT NULL, tries INTEGER NOT NULL DEFAULT 0,
    due_s REAL NOT NULL, PRIMARY KEY (id, url)) WITHOUT ROWID;
"""
_TIMEOUT_S = 5.0
_FIRST_WAIT_S = 5.0
_LONGEST_WAIT_S = 3600.0
_GIVE_UP_S = 86_400.0


class NotDelivered(FareboxError):
    """A notice was not taken; the message says why."""


class Notice(msgspec.Struct, frozen=True):
    """What is told.

    Attributes:
        id: the same for whatever is sent about the same event.
        event: ``opened``, ``repeated`` or ``cleared``.
        severity: see `anomalies.incident`.
        title: in one line.
        text: in a few.
        details: as `present` shows it, for machines.
    """

    id: str
    event: str
    severity: str
    title: str
    text: str
    details: dict[str, object]


def connect(path: Path) -> sqlite3.Connection:
    """Return the database that the queue is in; transactions are written where they begin and end."""
    database = sqlite3.connect(path, isolation_level=None, timeout=30)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(SCHEMA)
    return database


def enqueue(database: sqlite3.Connection, notice: Notice, urls: Sequence[str], now_s: float) -> None:
    """Put a notice into the queue, within the caller's transaction; one that is there already stays as it is."""
    body = msgspec.json.encode(notice)
    for url in urls:
        # The address holds secrets, so only its hash is kept; the configuration has the rest.
        database.execute(
            "INSERT OR IGNORE INTO notice (id, url, body, made_s, due_s) VALUES (?, ?, ?, ?, ?)",
            (notice.id, _hash(url), body, now_s, now_s),
        )


class Courier:
    """Delivers what is in the queue, in a thread of its own.

    Args:
        path: of the database.
        complain: is told what could not be delivered within a day, and what went wrong.
    """

    def __init__(self, path: Path, complain: Callable[[str], None]) -> None:
        self._path = path
        self._complain = complain
        self._thread: threading.Thread | None = None

    def start(self, urls: Sequence[str], secret: str) -> None:
        """Deliver what is due, unless that is being done."""
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self.deliver, args=(tuple(urls), secret), daemon=True)
        self._thread.start()

    def wait(self, timeout_s: float) -> None:
        """Wait for what is under way, but not for long."""
        if self._thread is not None:
            self._thread.join(timeout_s)

    def deliver(self, urls: Sequence[str], secret: str) -> None:
        """Deliver what is due now."""
        by_hash = {_hash(url): url for url in urls}
        with closing(connect(self._path)) as database:
            rows = database.execute(
                "SELECT id, url, body, made_s, tries FROM notice WHERE due_s <= ? ORDER BY made_s, id", (time.time(),)
            ).fetchall()
            for key, hashed, body, made_s, tries in rows:
                url = by_hash.get(hashed)
                try:
                    if url is not None:  # else it is configured no more
                        send(url, msgspec.json.decode(body, type=Notice), secret)
                except NotDelivered as error:
                    self._put_off(database, (key, hashed), made_s, tries, str(error))
                else:
                    database.execute("DELETE FROM notice WHERE id = ? AND url = ?", (key, hashed))

    def _put_off(self, database: sqlite3.Connection, row: tuple[str, str], made_s: float, tries: int, why: str) -> None:
        now_s = time.time()
        if now_s - made_s > _GIVE_UP_S:
            database.execute("DELETE FROM notice WHERE id = ? AND url = ?", row)
            self._complain(f"an alert was not delivered for a day and is given up: {row[0]}: {why}")
            return
        if not tries:
            self._complain(f"an alert was not delivered and will be tried again: {row[0]}: {why}")
        wait_s = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**tries)
        database.execute(
            "UPDATE notice SET tries = tries + 1, due_s = ? WHERE id = ? AND url = ?", (now_s + wait_s, *row)
        )


def send(url: str, notice: Notice, secret: str) -> None:
    """Send a notice: as JSON where the address begins with ``http``, else through apprise.

    Raises:
        NotDelivered: where it was not taken.
    """
    if url.startswith(("http://", "https://")):
        _post(url, notice, secret)
        return
    try:
        import apprise  # noqa: PLC0415 - an extra, only for those who have such an address
    except ImportError:
        raise NotDelivered("addresses but http(s) need the extra: pip install 'farebox[alerts]'") from None
    sender = apprise.Apprise()
    if not sender.add(url):
        raise NotDelivered(f"apprise knows no such address as {url.partition(':')[0]}:...")
    if not sender.notify(title=notice.title, body=notice.text):
        raise NotDelivered(f"{url.partition(':')[0]} did not take it")


def sign(secret: str, body: bytes) -> str:
    """Return the value of the header ``x-farebox-signature`` of a body."""
    return "sha256=" + hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def _post(url: str, notice: Notice, secret: str) -> None:
    body = msgspec.json.encode(notice)
    headers = {"content-type": "application/json", "x-farebox-alert": notice.id}
    if secret:
        headers["x-farebox-signature"] = sign(secret, body)
    request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310 - http(s), as was checked
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310 - as above
            return
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise NotDelivered(f"the webhook did not take it: {error}") from None


def _hash(url: str) -> str:
    return hashlib.sha256(url.encode()).hexdigest()
