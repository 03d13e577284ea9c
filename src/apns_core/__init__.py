"""The sans-IO engine: notifications in, bytes out; bytes in, outcomes out.

`Sender` is the policy over many connections, `Connection` one of them. The adapters
(`apns_asyncio`) give them sockets, TLS and a clock.
"""

from apns_core.accounting import ConnectionState
from apns_core.connection import (
    Connection,
    ConnectionClosed,
    ConnectionConfig,
    GoAwayReceived,
    LimitChanged,
)
from apns_core.endpoints import DEVELOPMENT, PRODUCTION, Endpoint
from apns_core.errors import (
    ApiMisuse,
    ApnsError,
    ClientClosed,
    ConnectFailed,
    InvalidField,
    QueueFull,
)
from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unknown, Unprocessed
from apns_core.reasons import DISPOSITIONS, Disposition, Reason
from apns_core.requests.notification import Notification
from apns_core.requests.route import Priority, PushType, Route
from apns_core.retries import OnUnknown
from apns_core.sender import (
    Command,
    Connect,
    ConnectionId,
    Disconnect,
    Sender,
    SenderConfig,
    SignToken,
)
from apns_core.tickets import Ticket
from apns_core.trust.provider_token import ProviderToken

__version__ = "0.1.0"

__all__ = [
    "DEVELOPMENT",
    "DISPOSITIONS",
    "PRODUCTION",
    "Accepted",
    "ApiMisuse",
    "ApnsError",
    "Cause",
    "ClientClosed",
    "Command",
    "Connect",
    "ConnectFailed",
    "Connection",
    "ConnectionClosed",
    "ConnectionConfig",
    "ConnectionId",
    "ConnectionState",
    "Disconnect",
    "Disposition",
    "Endpoint",
    "GoAwayReceived",
    "InvalidField",
    "LimitChanged",
    "Notification",
    "OnUnknown",
    "Outcome",
    "Priority",
    "ProviderToken",
    "PushType",
    "QueueFull",
    "Reason",
    "Rejected",
    "Route",
    "Sender",
    "SenderConfig",
    "SignToken",
    "Ticket",
    "Unknown",
    "Unprocessed",
]
