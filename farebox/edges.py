"""What the line reaches the world through: how calls are answered, where attempts are put on record, and the rest."""

from collections.abc import Callable
from typing import Protocol

import msgspec

from farebox.alarm import Alarm
from farebox.aside import Aside
from farebox.clock import Clock
from farebox.config.policies import Retries
from farebox.config.tables import Limits, Spending
from farebox.health.vitals import Health
from farebox.http1.client import Upstream
from farebox.journal.flush import Flusher
from farebox.journal.record import Done, Sent
from farebox.pace.pacer import Pacer
from farebox.prices.book import PriceBook
from farebox.route import Routes
from farebox.routing.router import Router
from farebox.treasury.treasury import Treasury

Headers = list[tuple[str, str]]


class Reply(Protocol):
    """How a call is answered: once, whole or as a stream."""

    def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with a whole body."""

    def start_stream(self, status: int, headers: Headers) -> None:
        """Answer with a stream; `send` follows."""

    async def send(self, data: bytes) -> None:
        """Send bytes of the stream; raises ClientGone."""

    def offer(self, data: bytes) -> bool:
        """Send bytes of the stream without waiting; return whether the client can take more at once."""

    async def drained(self) -> None:
        """Return when the client can take more; raises ClientGone."""

    def when_gone(self, callback: Callable[[], None] | None) -> None:
        """Call back once when the client closes the connection."""


class Journal(Protocol):
    """Where attempts are put on record; see `JournalWriter`."""

    @property
    def admitting(self) -> bool:
        """Whether a new attempt would be accepted."""

    def append_sent(self, record: Sent) -> None:
        """Put an attempt on record before its first byte goes out; raises CallError where it must not be sent."""

    def append_done(self, record: Done) -> None:
        """Put the end of an attempt on record."""


class Edges(msgspec.Struct):
    """What the line reaches the world through.

    ``pacer`` keeps attempts below what providers allow. ``durable`` is what forces the journal to the disk where power
    may fail, or None where processes may only die. ``health`` is what is known of targets, ``aside`` what goes on after
    the client has its answer.
    """

    alarm: Alarm
    clock: Clock
    journal: Journal
    book: PriceBook
    routes: Routes
    router: Router
    upstreams: dict[str, Upstream]
    limits: Limits
    treasury: Treasury
    spending: Spending
    durable: Flusher | None
    pacer: Pacer
    health: Health
    retries: Retries
    aside: Aside
