"""The server side of HTTP/1.1: listens, and runs one handler for every request of every connection."""

import asyncio
import sys
from collections.abc import Awaitable, Callable

from farebox.http1.exchange import ClientGone, Exchange
from farebox.http1.inbound import ClientConnection
from farebox.http1.limits import ServerLimits

Handler = Callable[[Exchange], Awaitable[None]]

_FLUSH_S = 1.0


class HttpServer:
    """Listens, and calls one handler for every request.

    Args:
        handler: answers an exchange; what it raises is an internal error.
        body_bytes: largest request body.
        limits: what one client can take of the server.
    """

    def __init__(self, handler: Handler, body_bytes: int, limits: ServerLimits | None = None) -> None:
        self._handler = handler
        self.body_bytes: int = body_bytes
        self.limits: ServerLimits = limits or ServerLimits()
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        self.connections: set[ClientConnection] = set()
        self.tasks: set[asyncio.Task[None]] = set()
        self.closing: bool = False
        self._empty: asyncio.Event = asyncio.Event()
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.TimerHandle | None = None

    async def listen(self, host: str, port: int, backlog: int) -> int:
        """Start to listen, sharing the address with other processes; return the port."""
        self._listener = await self.loop.create_server(
            lambda: ClientConnection(self), host, port, reuse_port=True, backlog=backlog
        )
        self._sweep()
        bound: int = self._listener.sockets[0].getsockname()[1]
        return bound

    def stop_listening(self) -> None:
        """Accept no more connections, and close those that are idle; others close after their last answer."""
        self.closing = True
        if self._listener is not None:
            self._listener.close()
        for connection in list(self.connections):
            if connection.is_idle:
                connection.close()
            else:
                connection.retire()

    async def close(self) -> None:
        """Close everything that is left; what is being answered is cut."""
        self.stop_listening()
        for task in list(self.tasks):
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for connection in list(self.connections):
            connection.close()
        if self.connections:
            try:
                await asyncio.wait_for(self._empty.wait(), _FLUSH_S)
            except TimeoutError:
                for connection in list(self.connections):
                    connection.abort()
        if self._sweeper is not None:
            self._sweeper.cancel()

    # What connections call.

    def adopt(self, connection: ClientConnection) -> None:
        """Take note of a new connection."""
        self.connections.add(connection)
        self._empty.clear()
        if self.closing:
            connection.close()  # it was accepted while the server stopped

    def forget(self, connection: ClientConnection) -> None:
        """Take note that a connection is closed."""
        self.connections.discard(connection)
        if not self.connections:
            self._empty.set()

    def start(self, exchange: Exchange) -> None:
        """Start to answer an exchange."""
        task = self.loop.create_task(self._answer(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _answer(self, exchange: Exchange) -> None:
        """Run the handler for one exchange and end it."""
        try:
            await self._handler(exchange)
        except ClientGone:
            exchange.cut()
        except Exception as error:  # noqa: BLE001 - the last line of defence: the client gets an answer, the operator a line
            _report(error)
            exchange.fail()
        except BaseException:
            exchange.cut()
            raise
        else:
            exchange.finish()

    def _sweep(self) -> None:
        now = self.loop.time()
        for connection in list(self.connections):
            connection.sweep(now)
        self._sweeper = self.loop.call_later(self.limits.sweep_s, self._sweep)


def _report(error: Exception) -> None:
    """Tell the operator of an internal error in one line."""
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    place = f"{where.tb_frame.f_code.co_qualname}:{where.tb_lineno}" if where is not None else "?"
    text = " ".join(str(error).split())[:500]
    print(f"farebox: internal error: {type(error).__name__}: {text} in {place}", file=sys.stderr, flush=True)
