"""What a connection tells beside outcomes: its limit, GOAWAY, its end."""

from dataclasses import dataclass
from typing import TypeAlias, TypeVar, final

from apns_core.http2.errors import RemoteProtocolError
from apns_core.outcomes import Cause, Outcome
from apns_core.reasons import Reason

__all__ = ["ConnectionClosed", "Event", "GoAwayReceived", "LimitChanged"]

T = TypeVar("T")


@final
@dataclass(slots=True)
class LimitChanged:
    """How many streams may be open at once has changed, by SETTINGS or by the provider token."""

    limit: int


@final
@dataclass(slots=True)
class GoAwayReceived:
    """The server takes no more requests here. What it has not processed is `Unprocessed`."""

    last_stream_id: int
    error_code: int
    reason: Reason | None
    text: str | None
    """The reason or the debug data as text, printable; None if there was none."""


@final
@dataclass(slots=True)
class ConnectionClosed:
    """The connection has ended. Send what `data_to_send` still has, then close the transport."""

    cause: Cause
    error: RemoteProtocolError | None = None
    """The rule that the server broke, if that was it."""


Event: TypeAlias = Outcome[T] | LimitChanged | GoAwayReceived | ConnectionClosed
