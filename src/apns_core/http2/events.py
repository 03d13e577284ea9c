"""What a client reports: streams that have ended, and what befell the connection."""

from dataclasses import dataclass, field
from typing import TypeAlias, final

from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.stream import Stream

__all__ = ["ConnectionEnded", "Event", "GoAwayReceived", "PingAcknowledged", "SettingsReceived"]


@final
@dataclass(slots=True)
class SettingsReceived:
    """The peer's SETTINGS were applied; `Client.peer` holds the last that have come."""

    max_concurrent_streams: int | None
    """As it was after these. Others in the same read may have changed it since."""
    entries: tuple[tuple[int, int], ...] = field(default=(), compare=False)
    """The (identifier, value) pairs as they came, unknown ones included; 32 at most."""


@final
@dataclass(slots=True)
class GoAwayReceived:
    """The peer will take no more requests (§6.8). Streams up to ``last_stream_id`` go on."""

    last_stream_id: int
    error_code: int
    debug_data: bytes


@final
@dataclass(slots=True)
class PingAcknowledged:
    """The answer to `Client.ping` came."""


@final
@dataclass(slots=True)
class ConnectionEnded:
    """Nothing more comes. ``error`` is the rule that the peer broke, None for an end of file."""

    error: RemoteProtocolError | None


Event: TypeAlias = Stream | SettingsReceived | GoAwayReceived | PingAcknowledged | ConnectionEnded
