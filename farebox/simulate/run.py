"""Starts and stops the simulated providers: in this event loop, in a thread, or as a process until a signal."""

import asyncio
import contextlib
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from farebox.simulate.bill import BillRow, read_bill
from farebox.simulate.connection import Connection
from farebox.simulate.server import Clock, Simulator
from farebox.simulate.settings import Settings

_GRACE_S = 2.0
_Result = TypeVar("_Result")


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The faster event loop where it is installed; None is asyncio's own."""
    try:
        import uvloop  # noqa: PLC0415 - not available everywhere
    except ImportError:
        return None
    return uvloop.new_event_loop


class SimulatedProviders:
    """The simulated providers on a port of this machine, as an async context manager.

    Args:
        port: 0 takes a free one.
        bill_path: the bill's file; without one, a temporary file that goes with the context.
        settings: server-wide settings.
        clock: seconds since 1970.
        host: the address to listen on.
    """

    def __init__(
        self,
        port: int = 0,
        bill_path: Path | str | None = None,
        settings: Settings | None = None,
        clock: Clock = time.time,
        host: str = "127.0.0.1",
    ) -> None:
        self.port = port
        self.host = host
        self._temporary = None if bill_path else tempfile.TemporaryDirectory(prefix="farebox-simulate-")
        self.bill_path = Path(bill_path or Path(self._temporary.name if self._temporary else "") / "bill.jsonl")
        self.simulator = Simulator(self.bill_path, settings, clock, self._refuse_for)
        self._server: asyncio.Server | None = None
        self._open: set[Connection] = set()
        self._refusing: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The server's root, which is Anthropic's base URL."""
        return f"http://{self.host}:{self.port}"

    @property
    def anthropic_url(self) -> str:
        """The base URL for clients of Anthropic."""
        return self.url

    @property
    def openai_url(self) -> str:
        """The base URL for clients of OpenAI."""
        return f"{self.url}/v1"

    def configure(self, **settings: Any) -> None:
        """Replace the settings; takes the fields of ``Settings``."""
        self.simulator.apply(Settings(**settings))

    def rows(self) -> list[BillRow]:
        """The final row of every billed request so far."""
        return read_bill(self.bill_path)

    async def listen(self) -> None:
        """Accept connections, on the same port again after ``refuse``."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.simulator.handle, self._open), self.host, self.port, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Refuse new connections until ``listen``; those that are open go on."""
        if self._server is not None:
            self._server.close()
            self._server = None
            await asyncio.sleep(0)

    def _refuse_for(self, seconds: float) -> None:
        """Refuse new connections for a while, starting once the order that asks for it is answered."""

        async def refuse() -> None:
            await self.refuse()
            await asyncio.sleep(seconds)
            await self.listen()

        if self._refusing is None or self._refusing.done():
            self._refusing = asyncio.get_running_loop().create_task(refuse())

    async def stop(self) -> None:
        """Let answers in progress end for a moment, then close everything."""
        if self._refusing is not None:
            self._refusing.cancel()
        await self.refuse()
        await asyncio.gather(*(c.finish(_GRACE_S) for c in list(self._open)))
        await asyncio.sleep(0)  # the transports close in the next turn of the loop
        self.simulator.bill.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class ProvidersInThread:
    """The same for code without an event loop: a context manager that runs them in a thread of their own."""

    def __init__(self, **options: Any) -> None:
        """Takes the arguments of ``SimulatedProviders``."""
        self.providers = SimulatedProviders(**options)
        self._loop = (loop_factory() or asyncio.new_event_loop)()
        self._thread = threading.Thread(target=self._loop.run_forever, name="simulated-providers", daemon=True)

    def call(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Run a coroutine in the providers' loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    def __enter__(self) -> SimulatedProviders:
        self._thread.start()
        self.call(self.providers.listen())
        return self.providers

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call(self.providers.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


def run_until_signal(
    providers: SimulatedProviders,
    ready: Callable[[SimulatedProviders], None],
    ended: Callable[[SimulatedProviders], None],
) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        providers: what to serve.
        ready: called once the port is open.
        ended: called after the signal, while the bill still exists.

    Raises:
        OSError: the port cannot be opened.
    """

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            if sys.platform != "win32":
                loop.add_signal_handler(number, stop.set)
        async with providers:
            ready(providers)
            with contextlib.suppress(asyncio.CancelledError):
                await stop.wait()
            ended(providers)

    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve())
