"""What the kernel is asked to do for a connection: to find out about peers that have vanished, and to queue little.

A cable pulled, a host that lost power, a dropped flow say nothing: the kernel asks a silent peer whether it is there,
and gives up on one that acknowledges nothing. And where a peer takes nothing, it must not take megabytes for it.
"""

import asyncio
import contextlib
import socket

_IDLE_S = 30  # of silence, before it asks
_INTERVAL_S = 10
_PROBES = 3
_TCP = {socket.AF_INET, socket.AF_INET6}


def watch_peer(transport: asyncio.BaseTransport, unacknowledged_s: float) -> None:
    """Let the kernel end a connection whose peer has vanished.

    Args:
        transport: of a TCP connection; any other is left alone.
        unacknowledged_s: how long what was sent may stay unacknowledged, or untaken, where the kernel can tell
            (Linux: TCP_USER_TIMEOUT).
    """
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in _TCP:
        return
    wishes = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    wishes += _known("TCP_KEEPIDLE", _IDLE_S)
    wishes += _known("TCP_KEEPINTVL", _INTERVAL_S)
    wishes += _known("TCP_KEEPCNT", _PROBES)
    wishes += _known("TCP_USER_TIMEOUT", round(unacknowledged_s * 1000))
    _set(connected, wishes)


def queue_little(transport: asyncio.BaseTransport, most_bytes: int) -> None:
    """Let the kernel take no more than so many bytes beyond what is on its way to the peer."""
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.family in _TCP:
        _set(connected, _known("TCP_NOTSENT_LOWAT", most_bytes))


def _known(name: str, value: int) -> list[tuple[int, int, int]]:
    """Return an option of TCP with its value; not every system has all of them."""
    option = getattr(socket, name, None)
    return [] if option is None else [(socket.IPPROTO_TCP, option, value)]


def _set(connected: socket.socket, wishes: list[tuple[int, int, int]]) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        for wish in wishes:
            connected.setsockopt(*wish)
