"""How much, and how long, one peer can keep a connection busy."""

import msgspec


class ServerLimits(msgspec.Struct, frozen=True):
    """What one client can take of the server.

    Attributes:
        head_bytes: largest head, and most bytes between two pieces of a chunked body.
        pipelined: most requests of a connection that wait for the one that is answered.
        high_water_bytes: how much is written ahead of a slow client, here and in the kernel each.
        head_s: for a whole head.
        body_s: for a whole body, and one second more for every ``body_rate_bytes`` that arrived.
        body_rate_bytes: slowest rate of a long body, in bytes a second.
        idle_s: between two requests.
        write_stall_s: how long a client may leave more than it can be written ahead untaken.
        heartbeat_s: of silence in a stream, until the client gets a heartbeat.
        linger_s: how long to read on after a refusal, so that it reaches a client that is still sending.
        sweep_s: how often the time limits are looked at.
    """

    head_bytes: int = 64 << 10
    pipelined: int = 64
    high_water_bytes: int = 64 << 10
    head_s: float = 15.0
    body_s: float = 30.0
    body_rate_bytes: int = 1 << 10
    idle_s: float = 75.0
    write_stall_s: float = 60.0
    heartbeat_s: float = 15.0
    linger_s: float = 5.0
    sweep_s: float = 1.0


def limit_clients(write_stall_s: float) -> ServerLimits:
    """Return the usual limits, but for how long a client may leave its answer untaken; it is kept to a tenth of it."""
    return ServerLimits(write_stall_s=write_stall_s, sweep_s=max(0.01, min(1.0, write_stall_s / 10)))


class TimeLimits(msgspec.Struct, frozen=True):
    """The time limits of a provider, in seconds.

    Attributes:
        connect_s: to open a connection.
        idle_s: of silence; in a stream, without content: what only keeps the connection open does not count.
        total_s: for a whole answer.
        first_s: to the first content of a stream; None: ``idle_s``.
    """

    connect_s: float
    idle_s: float
    total_s: float
    first_s: float | None = None

    @property
    def shortest_s(self) -> float:
        """The shortest of those that are looked at by a sweep."""
        return min(self.idle_s, self.total_s, self.idle_s if self.first_s is None else self.first_s)


class PoolLimits(msgspec.Struct, frozen=True):
    """What is kept of a provider's connections and answers.

    Attributes:
        idle_s: how long an unused connection is kept; below the keep-alive of common servers and load balancers.
        size: most unused connections.
        buffer_bytes: how much of a body is read ahead of a slow consumer.
        head_bytes: largest head, and most bytes between two pieces of a chunked body.
        sweep_s: how often the time limits are looked at, at least; short limits are looked at more often.
    """

    idle_s: float = 20.0
    size: int = 256
    buffer_bytes: int = 64 << 10
    head_bytes: int = 256 << 10
    sweep_s: float = 0.25
