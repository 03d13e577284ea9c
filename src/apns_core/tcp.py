"""The options of a TCP connection to APNs. The engine never imports it."""

import socket
from contextlib import suppress
from typing import Final, Protocol

__all__ = [
    "KEEP_ALIVE_COUNT",
    "KEEP_ALIVE_IDLE",
    "KEEP_ALIVE_INTERVAL",
    "USER_TIMEOUT",
    "set_options",
]

KEEP_ALIVE_IDLE: Final = 60
"""Seconds without traffic until TCP asks whether the other side is there. Shorter than any
balancer or address translator is likely to forget an idle connection after (AWS: 350 s)."""

KEEP_ALIVE_INTERVAL: Final = 10
"""Seconds from one such question to the next while no answer comes."""

KEEP_ALIVE_COUNT: Final = 3
"""Questions without an answer until the connection is given up."""

USER_TIMEOUT: Final = 30
"""Seconds that sent data may be unacknowledged until the connection is given up (RFC 5482). Without
it Linux retransmits for some 15 minutes. It bounds the questions of keep-alive too."""


class _HasOptions(Protocol):
    """A socket of the standard library, of an asyncio transport, or of trio."""

    def setsockopt(self, level: int, optname: int, value: int, /) -> None: ...


def set_options(connection: _HasOptions) -> None:
    """Set all options of a TCP socket that this platform has. Never fails.

    An option that is refused is left as it is: the connection works without, and if it is lost
    already, the next read says so.
    """
    for level, option, value in _OPTIONS:
        with suppress(OSError):
            connection.setsockopt(level, option, value)


_WANTED: Final = (
    # A request is written as one piece; the last one of a burst must not wait for an ACK.
    (socket.IPPROTO_TCP, "TCP_NODELAY", 1),
    (socket.SOL_SOCKET, "SO_KEEPALIVE", 1),
    (socket.IPPROTO_TCP, "TCP_KEEPIDLE", KEEP_ALIVE_IDLE),
    (socket.IPPROTO_TCP, "TCP_KEEPALIVE", KEEP_ALIVE_IDLE),  # its name on macOS
    (socket.IPPROTO_TCP, "TCP_KEEPINTVL", KEEP_ALIVE_INTERVAL),
    (socket.IPPROTO_TCP, "TCP_KEEPCNT", KEEP_ALIVE_COUNT),
    (socket.IPPROTO_TCP, "TCP_USER_TIMEOUT", USER_TIMEOUT * 1_000),  # milliseconds; Linux alone
)

_OPTIONS: Final[tuple[tuple[int, int, int], ...]] = tuple(
    (level, getattr(socket, name), value) for level, name, value in _WANTED if hasattr(socket, name)
)
