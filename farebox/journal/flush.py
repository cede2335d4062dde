"""Forces the journal to the disk for those who wait for it, all of them with one sync.

While a sync runs, whoever comes waits for the next one, which begins when it has ended and covers them all. So one disk
serves any number of calls, each waiting for less than two syncs.

A sync that fails is the end of a journal: the kernel may have dropped what it could not write, and would say nothing
the next time. Nothing more is admitted; the process ends and begins a new journal.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import ExitStack

from farebox.errors import Unavailable
from farebox.journal.writer import JournalWriter

Sync = Callable[[list[int]], None]


def sync(descriptors: list[int]) -> None:
    """Force files and directories to the disk and close the descriptors; runs in a thread.

    Raises:
        OSError: where one of them cannot be.
    """
    with ExitStack() as closing:
        for fd in descriptors:
            closing.callback(os.close, fd)
        for fd in descriptors:
            os.fdatasync(fd)


class Flusher:
    """Forces one journal to the disk. Used by one event loop.

    Args:
        journal: what is forced.
        on_failure: called once, where the disk fails.
        sync: does it.
    """

    def __init__(self, journal: JournalWriter, on_failure: Callable[[OSError], None], sync: Sync = sync) -> None:
        self._journal = journal
        self._on_failure = on_failure
        self._sync = sync
        self._synced: int = 0
        self._next: asyncio.Future[None] | None = None
        self._running: asyncio.Task[None] | None = None

    async def flush(self) -> None:
        """Return when everything that is on record now is on the disk.

        Raises:
            Unavailable: where the disk failed.
        """
        wanted = self._journal.appended
        while self._synced < wanted:
            if self._journal.failed:
                raise Unavailable("The journal cannot be forced to the disk.", code="journal_failed", retry_after_s=1)
            if self._next is None:
                self._next = asyncio.get_running_loop().create_future()
            if self._running is None:
                self._running = asyncio.create_task(self._run())
            await asyncio.shield(self._next)

    async def _run(self) -> None:
        """Sync until nobody waits."""
        try:
            while self._next is not None:
                waiting, self._next = self._next, None
                covers = self._journal.appended
                try:
                    await asyncio.to_thread(self._sync, self._journal.take_unsynced())
                except OSError as error:
                    self._journal.fail()
                    self._on_failure(error)
                else:
                    self._synced = covers
                waiting.set_result(None)
        finally:
            self._running = None
