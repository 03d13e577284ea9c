"""How a sender behaves: its bounds and its times."""

from dataclasses import dataclass
from typing import Final, final

from apns_core.connection_config import (
    DEFAULT_CONFIG,
    ConnectionConfig,
    check_count,
    check_seconds,
)
from apns_core.errors import InvalidField
from apns_core.retries import OnUnknown

__all__ = ["DEFAULT_SENDER_CONFIG", "SenderConfig"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConfig:
    """How a sender behaves; the defaults suit APNs. Times are seconds.

    Raises InvalidField for counts below 1, and for times below 0 or above 10^9.
    """

    max_queued: int = 256
    """Notifications that may wait to be encoded; then `Sender.room` is 0. Enough for a write of
    64 KiB, so that no connection runs dry; little enough to wait in."""
    max_connections: int = 8
    """Connections that may be in use at once. One does for most: see ``scale_after``."""
    connect_timeout: float = 20.0
    """For name, TCP, TLS and the server's first SETTINGS together."""
    disconnect_timeout: float = 3.0
    """For the farewells of HTTP/2 and TLS; a peer that is gone sends none."""
    connect_floor: float = 1.0
    """Between the beginnings of two connects: APNs takes churn for an attack."""
    scale_after: float = 0.5
    """How long the queue's head waits on capacity or window before another connection is made."""
    surplus_after: float = 600.0
    """How long one of several connections is idle before it is closed."""
    on_unknown: OnUnknown = OnUnknown.REPORT
    connection: ConnectionConfig = DEFAULT_CONFIG
    """What each connection does."""

    def __post_init__(self) -> None:
        for name in ("max_queued", "max_connections"):
            check_count(name, getattr(self, name))
        for name in _TIMES:
            check_seconds(name, getattr(self, name))
        if type(self.on_unknown) is not OnUnknown:
            raise InvalidField("on_unknown", "not an OnUnknown")
        if type(self.connection) is not ConnectionConfig:
            raise InvalidField("connection", "not a ConnectionConfig")


_TIMES: Final = (
    "connect_timeout",
    "disconnect_timeout",
    "connect_floor",
    "scale_after",
    "surplus_after",
)


DEFAULT_SENDER_CONFIG: Final = SenderConfig()
