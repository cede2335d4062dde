"""Work that goes on beside the calls: attempts whose answers nobody waits for, to be metered all the same."""

import asyncio
from collections.abc import Coroutine
from typing import Any


class Aside:
    """The tasks beside the calls of one worker.

    Attributes:
        most: so many at once; more are not begun.
    """

    def __init__(self, most: int = 500) -> None:
        self.most: int = most
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def has_room(self) -> bool:
        """Whether another one may be begun."""
        return len(self._tasks) < self.most

    def begin(self, work: Coroutine[Any, Any, Any]) -> None:
        """Do something beside the calls."""
        self.keep(asyncio.create_task(work))

    def keep(self, task: asyncio.Task[Any]) -> None:
        """Let a task that is under way go on by itself."""
        self._tasks.add(task)
        task.add_done_callback(self._end)

    async def finish(self, within_s: float) -> int:
        """Return how many were cut because they did not end in time; each has settled what it spent."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        late = list(self._tasks)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return len(late)

    def _end(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()  # its attempt is on record; nobody else waits for it
