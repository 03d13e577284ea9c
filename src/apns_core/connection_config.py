"""How a connection behaves: its bounds and its times."""

from dataclasses import dataclass
from typing import Final, final

from apns_core.errors import InvalidField
from apns_core.http2.settings import DEFAULT_HEADER_TABLE_SIZE
from apns_core.requests.route import is_whole_number
from apns_core.requests.values import finite_number

__all__ = ["DEFAULT_CONFIG", "ConnectionConfig", "check_count", "check_seconds"]

_MAX_TABLE_SIZE: Final = 2**32 - 1
"""What a setting of HTTP/2 can say (RFC 9113 §6.5.1)."""

_MAX_COUNT: Final = 2**31 - 1
"""What fits wherever something is counted; more streams than that, a connection has no ids for."""

_MAX_SECONDS: Final = 1e9
"""Some thirty years, for whoever means never; loops have no use for infinity."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionConfig:
    """How a connection behaves; the defaults suit APNs. Times are seconds.

    Raises InvalidField for counts below 1, and for times below 0 or above 10^9.
    """

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

    def __post_init__(self) -> None:
        check_count("max_streams", self.max_streams)
        for name in _TIMES:
            check_seconds(name, getattr(self, name))
        if self.idle_ping_after is not None:
            check_seconds("idle_ping_after", self.idle_ping_after)
        for name in ("ping_after", "idle_ping_after"):
            if getattr(self, name) == 0:
                raise InvalidField(name, "0 would send PINGs without end")
        size = self.header_table_size
        if not is_whole_number(size) or not 0 <= size <= _MAX_TABLE_SIZE:
            raise InvalidField("header_table_size", "not a whole number from 0 to 4294967295")


_TIMES: Final = (
    "request_timeout",
    "settings_timeout",
    "ping_after",
    "ping_timeout",
    "stall_after",
    "drain_timeout",
)


def check_count(field: str, value: object) -> None:
    """Refuse what is no whole number from 1. Raises InvalidField."""
    if not is_whole_number(value) or not 1 <= value <= _MAX_COUNT:
        raise InvalidField(field, "not a whole number from 1 to 2147483647")


def check_seconds(field: str, value: object) -> None:
    """Refuse what is no duration in seconds. Raises InvalidField."""
    if not 0 <= finite_number(field, value) <= _MAX_SECONDS:
        raise InvalidField(field, "not a number of seconds from 0 to 10^9")


DEFAULT_CONFIG: Final = ConnectionConfig()
