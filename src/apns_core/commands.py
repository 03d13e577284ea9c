"""What a sender asks of its adapter: to make a connection, to close one, to sign a token."""

from dataclasses import dataclass
from typing import NewType, TypeAlias, final

from apns_core.endpoints import Endpoint
from apns_core.outcomes import Cause

__all__ = ["Command", "Connect", "ConnectionId", "Disconnect", "SignToken"]

ConnectionId = NewType("ConnectionId", int)


@final
@dataclass(frozen=True, slots=True)
class Connect:
    """Make a connection with TLS and ALPN ``h2``, with the name looked up afresh.

    Answer with `Sender.connected` or `Sender.connect_failed`; give up at ``deadline``.
    """

    connection_id: ConnectionId
    endpoint: Endpoint
    deadline: float


@final
@dataclass(frozen=True, slots=True)
class Disconnect:
    """Send what `Sender.data_to_send` still has for it, close it, then tell `Sender.receive_eof`.

    What closing takes beyond ``deadline`` (monotonic seconds) is cut short. If the connection is
    still being made: stop, then tell `Sender.connect_failed`. If it was made in the meantime, tell
    `Sender.connected` as ever; the command then comes once more.

    ``error`` is for people: what the server did, if it is the server's doing.
    """

    connection_id: ConnectionId
    cause: Cause
    deadline: float
    error: Exception | None = None


@final
@dataclass(frozen=True, slots=True)
class SignToken:
    """Sign a provider token with this ``iat``, in UNIX seconds.

    Answer with `Sender.token_signed` or `Sender.signing_failed`. The key stays with the caller.
    """

    issued_at: int


Command: TypeAlias = Connect | Disconnect | SignToken
