"""How a connection behaves: its bounds and its times."""

from dataclasses import dataclass
from typing import Final, final

from apns_core.http2.settings import DEFAULT_HEADER_TABLE_SIZE

__all__ = ["DEFAULT_CONFIG", "ConnectionConfig"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """How a connection behaves; the defaults suit APNs. Times are seconds."""

    max_streams: int = 1_000
    """Our own limit. APNs announced 500 to 1,500 over the years; more would only queue there."""
    request_timeout: float = 30.0
    """From submission to outcome."""
    settings_timeout: float = 20.0
    """Until the server's first SETTINGS, and until it acknowledges ours."""
    ping_after: float = 10.0
    """Without a byte read while requests are in flight: then a PING asks for a sign of life."""
    ping_timeout: float = 15.0
    """Without a byte read after that PING: then the connection is dead."""
    idle_ping_after: float | None = 3_600.0
    """With nothing in flight; Apple admits one PING an hour. None sends none."""
    stall_after: float = 15.0
    """Without a response while requests are in flight, PINGs answered or not: then the connection
    drains and another may take over."""
    drain_timeout: float = 30.0
    """How long draining waits for what is in flight."""
    header_table_size: int = DEFAULT_HEADER_TABLE_SIZE
    """Octets that the server may use to index its response fields."""


DEFAULT_CONFIG: Final = ConnectionConfig()
