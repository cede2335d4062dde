"""One process of the data plane: builds the edges, listens, and leaves nothing unsettled when it is stopped.

Started by `supervise` as ``python -m farebox.worker SPEC``; it stops on SIGTERM or when its parent is gone.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import uvloop

from farebox.alarm import Alarm
from farebox.aside import Aside
from farebox.auth import KeyRing
from farebox.clock import Clock, SystemClock
from farebox.config.tables import Config
from farebox.edges import Edges
from farebox.errors import FareboxError, Unavailable
from farebox.http1.limits import limit_clients
from farebox.http1.server import HttpServer
from farebox.ids import IdSource
from farebox.journal.flush import Flusher
from farebox.journal.writer import JournalWriter
from farebox.line import serve
from farebox.listen import Listener
from farebox.once import Once
from farebox.overload import Overload
from farebox.reload import Builder, Reloader, Tools
from farebox.routing.policy import Flags
from farebox.state.answers import open_answers
from farebox.state.flags import FlagStore
from farebox.state.keys import KeyStore, load_pepper
from farebox.state.ledger_authority import open_authority
from farebox.state.settings import Settings, load_settings
from farebox.treasury.treasury import Treasury

_KEYS_POLL_S = 0.25
_KEYS_STALE_S = 5.0  # how long the last snapshot of keys holds when state.db cannot be read
_SYNC_S = 1.0
_BACKLOG = 2048


class KeyWatch:
    """Keeps the snapshot of keys current, and the flags: what is revoked stops working within a second everywhere.

    Attributes:
        flags: in force.
    """

    def __init__(self, store: KeyStore, config: Config, clock: Clock, flags: FlagStore) -> None:
        self._store = store
        self._flags = flags
        self.flags: Flags = Flags()
        self.flags.reasons = flags.reasons(clock.now_ns())
        self._config = config
        self._clock = clock
        self._version: int = store.version()
        self._ring: KeyRing = store.snapshot(config.keys)
        self._prepared: KeyRing = self._ring
        self._checked_ns: int = clock.monotonic_ns()

    def prepare(self, settings: Settings) -> None:
        """Read the keys as they are under a changed configuration, for `adopt`.

        Raises:
            sqlite3.Error: where state.db cannot be read.
        """
        self._prepared = self._store.snapshot(settings.config.keys)

    def adopt(self, config: Config) -> None:
        """Put the keys of a changed configuration in force, as they were prepared."""
        self._config = config
        self._ring = self._prepared

    def ring(self) -> KeyRing:
        """Return the current snapshot.

        Raises:
            Unavailable: where state.db could not be read for too long; a revoked key may be in the snapshot.
        """
        if self._clock.monotonic_ns() - self._checked_ns > _KEYS_STALE_S * 1e9:
            raise Unavailable("The key store cannot be read, so no key can be checked.", code="keys_unavailable")
        return self._ring

    async def run(self) -> None:
        """Look for changes until cancelled."""
        while True:
            await asyncio.sleep(_KEYS_POLL_S)
            try:
                version = await asyncio.to_thread(self._store.version)
                self.flags.reasons = await asyncio.to_thread(self._flags.reasons, self._clock.now_ns())
                if version != self._version:
                    self._ring = await asyncio.to_thread(self._store.snapshot, self._config.keys)
                    self._version = version
                self._checked_ns = self._clock.monotonic_ns()
            except sqlite3.Error as error:
                print(f"farebox: state.db cannot be read: {error}", file=sys.stderr, flush=True)


async def run(spec: str) -> None:
    """Serve until SIGTERM, or until the parent is gone.

    Args:
        spec: what stands on the command line.
    """
    settings = load_settings(spec)
    clock, ids = SystemClock(), IdSource()
    config, data_dir = settings.config, settings.data_dir
    journal = JournalWriter(data_dir / "journal", ids.instance, clock)
    stopped = asyncio.Event()
    alarm = Alarm()

    def on_disk_failure(error: OSError) -> None:
        alarm.ring("journal", f"the journal cannot be forced to the disk: {error}; this worker ends")
        stopped.set()

    flusher = Flusher(journal, on_disk_failure)
    authority = open_authority(data_dir, config.spending.ledger or None)
    treasury = Treasury(authority, journal.directory.name, clock, alarm, stopped.set)
    await treasury.refresh()
    store = KeyStore(data_dir, load_pepper(data_dir, os.environ.get("FAREBOX_PEPPER")))
    watch = KeyWatch(store, config, clock, FlagStore(data_dir))
    aside = Aside()
    builder = Builder(Tools(alarm, clock, journal, treasury, flusher, aside, watch.flags), asyncio.get_running_loop())
    edges = builder.first(settings)
    once = _open_once(settings, edges, journal.directory)
    overload = Overload(config.shedding)
    listener = Listener(edges, ids, watch.ring, once, overload)

    def adopt(settings: Settings, edges: Edges) -> None:
        watch.adopt(settings.config)
        overload.configure(settings.config.shedding)
        listener.edges = edges
        if once is not None:
            once.edges = edges

    reloader = Reloader(spec, settings, edges, builder, watch.prepare, adopt)
    listener.stale = lambda: reloader.stale
    server = HttpServer(listener.answer, config.limits.body_bytes, limit_clients(config.limits.write_timeout_s))
    await server.listen(config.host, settings.port, _BACKLOG)
    jobs = [watch.run(), _flush_journal(flusher), treasury.run(), reloader.run(), overload.run()]
    jobs += [once.run()] if once else []
    background = [asyncio.create_task(job) for job in jobs]
    _watch_for_stop(settings, stopped)
    _announce(settings)
    await stopped.wait()
    listener.stopping = True
    server.stop_listening()
    await _finish_calls(listener, aside, settings.grace_s)
    await _end_all(background)
    await server.close()
    for upstream in listener.edges.upstreams.values():
        await upstream.close()
    await treasury.sync(everything=True)
    await asyncio.to_thread(authority.close)
    if once is not None:
        await once.close()
    with _told(on_disk_failure):
        journal.close()


@contextlib.contextmanager
def _told(tell: Callable[[OSError], None]) -> Iterator[None]:
    """Tell of a failing disk instead of raising."""
    try:
        yield
    except OSError as error:
        tell(error)


async def _end_all(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _finish_calls(listener: Listener, aside: Aside, grace_s: float) -> None:
    """Return when no call and nothing beside the calls is under way, or the grace period is over."""
    if listener.in_flight:
        try:
            await asyncio.wait_for(listener.idle.wait(), grace_s)
        except TimeoutError:
            print(f"farebox: {listener.in_flight} calls cut at the end of the grace period", file=sys.stderr)
    await aside.finish(grace_s)


def _open_once(settings: Settings, edges: Edges, own_journal: Path) -> Once | None:
    """Return what serves calls with an idempotency key, or None where keys are passed over."""
    config = settings.config
    if not config.idempotency.keep_hours:
        return None
    answers = open_answers(settings.data_dir, config.spending.ledger or None)
    return Once(edges, serve, answers, own_journal, config.idempotency)


async def _flush_journal(flusher: Flusher) -> None:
    """Force the journal to the disk every second, until the disk fails."""
    with contextlib.suppress(Unavailable):
        while True:
            await asyncio.sleep(_SYNC_S)
            await flusher.flush()


def _announce(settings: Settings) -> None:
    """Tell the parent that this worker listens."""
    gc.collect()
    gc.freeze()  # what start-up made stays: no later collection walks it again
    if settings.ready_fd is not None:
        os.write(settings.ready_fd, b"+")
        os.close(settings.ready_fd)


def _watch_for_stop(settings: Settings, stopped: asyncio.Event) -> None:
    """Set what says to stop on SIGTERM or SIGINT, or when the parent's end of the life line closes."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    life_fd = settings.life_fd
    if life_fd is not None:

        def orphaned() -> None:
            loop.remove_reader(life_fd)  # a closed pipe stays readable: the loop would spin while calls end
            stopped.set()

        loop.add_reader(life_fd, orphaned)


def main() -> None:
    """Run one worker from the settings on the command line."""
    try:
        uvloop.run(run(sys.argv[1]))
    except FareboxError as error:
        sys.exit(f"farebox: {error}")


if __name__ == "__main__":
    main()
