"""The sans-IO engine: notifications in, bytes out; bytes in, outcomes out.

`Sender` is the policy over many connections, `Connection` one of them. The adapters
(`apns_asyncio`) give them sockets, TLS and a clock.
"""

from types import FunctionType
from typing import Final

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import ConnectionClosed, GoAwayReceived, LimitChanged
from apns_core.endpoints import (
    ALTERNATIVE_PORT,
    BROADCAST_DEVELOPMENT,
    BROADCAST_PRODUCTION,
    CHANNELS_DEVELOPMENT,
    CHANNELS_PRODUCTION,
    DEVELOPMENT,
    PRODUCTION,
    Endpoint,
)
from apns_core.errors import (
    ApiMisuse,
    ApnsError,
    ClientClosed,
    ConnectFailed,
    InvalidField,
    QueueFull,
)
from apns_core.goaway import parse_debug_data
from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unknown, Unprocessed
from apns_core.reasons import DISPOSITIONS, Disposition, Reason
from apns_core.requests import payload
from apns_core.requests.broadcast import BROADCAST_PAYLOAD_LIMIT, Broadcast, BroadcastRoute
from apns_core.requests.channels import (
    Channel,
    ChannelList,
    ChannelRequest,
    CreateChannel,
    CreatedChannel,
    DeleteChannel,
    DeletedChannel,
    ListChannels,
    ReadChannel,
    StoragePolicy,
    Unreadable,
)
from apns_core.requests.notification import Notification
from apns_core.requests.payload import (
    Alert,
    CriticalSound,
    InterruptionLevel,
    LiveActivityAlert,
    Localized,
)
from apns_core.requests.request import Request
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

__compiled__: Final = type(parse_debug_data) is not FunctionType
"""Whether the engine that was imported is compiled, or plain Python; both do the same."""

__all__ = [
    "ALTERNATIVE_PORT",
    "BROADCAST_DEVELOPMENT",
    "BROADCAST_PAYLOAD_LIMIT",
    "BROADCAST_PRODUCTION",
    "CHANNELS_DEVELOPMENT",
    "CHANNELS_PRODUCTION",
    "DEVELOPMENT",
    "DISPOSITIONS",
    "PRODUCTION",
    "Accepted",
    "Alert",
    "ApiMisuse",
    "ApnsError",
    "Broadcast",
    "BroadcastRoute",
    "Cause",
    "Channel",
    "ChannelList",
    "ChannelRequest",
    "ClientClosed",
    "Command",
    "Connect",
    "ConnectFailed",
    "Connection",
    "ConnectionClosed",
    "ConnectionConfig",
    "ConnectionId",
    "ConnectionState",
    "CreateChannel",
    "CreatedChannel",
    "CriticalSound",
    "DeleteChannel",
    "DeletedChannel",
    "Disconnect",
    "Disposition",
    "Endpoint",
    "GoAwayReceived",
    "InterruptionLevel",
    "InvalidField",
    "LimitChanged",
    "ListChannels",
    "LiveActivityAlert",
    "Localized",
    "Notification",
    "OnUnknown",
    "Outcome",
    "Priority",
    "ProviderToken",
    "PushType",
    "QueueFull",
    "ReadChannel",
    "Reason",
    "Rejected",
    "Request",
    "Route",
    "Sender",
    "SenderConfig",
    "SignToken",
    "StoragePolicy",
    "Ticket",
    "Unknown",
    "Unprocessed",
    "Unreadable",
    "payload",
]
