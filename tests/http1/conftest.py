import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import uvloop

Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=[uvloop.new_event_loop, asyncio.new_event_loop], ids=["uvloop", "asyncio"])
def run(request: pytest.FixtureRequest) -> Run:
    """Run a coroutine on either loop; nothing may be reported to the loop, and no task may be left."""

    async def guarded(test: Coroutine[Any, Any, None]) -> None:
        troubles: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: troubles.append(context))
        async with asyncio.timeout(20):
            await test
            # Streams of the test's own servers end a moment later.
            while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.001)
        assert troubles == []

    def runner(test: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as loop:
            loop.run(guarded(test))

    return runner
