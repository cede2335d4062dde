"""Finds out about peers that have vanished without a word: a cable pulled, a host that lost power, a dropped flow.

The kernel asks a silent peer whether it is there, and gives up on one that acknowledges nothing.
"""

import asyncio
import contextlib
import socket

_IDLE_S = 30  # of silence, before it asks
_INTERVAL_S = 10
_PROBES = 3


def watch_peer(transport: asyncio.BaseTransport, unacknowledged_s: float) -> None:
    """Let the kernel end a connection whose peer has vanished.

    Args:
        transport: of a TCP connection; any other is left alone.
        unacknowledged_s: how long what was sent may stay unacknowledged, or untaken, where the kernel can tell
            (Linux: TCP_USER_TIMEOUT).
    """
    connected = transport.get_extra_info("socket")
    if connected is None or connected.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    wishes = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    for name, value in (
        ("TCP_KEEPIDLE", _IDLE_S),
        ("TCP_KEEPINTVL", _INTERVAL_S),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", round(unacknowledged_s * 1000)),
    ):
        option = getattr(socket, name, None)
        if option is not None:  # not every system has all of them
            wishes.append((socket.IPPROTO_TCP, option, value))
    with contextlib.suppress(OSError):  # it is closed already
        for wish in wishes:
            connected.setsockopt(*wish)
