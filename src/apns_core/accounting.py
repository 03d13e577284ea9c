"""How many streams may be open now. Everything that changes a connection's state is in this file.

A connection waits for the server's first SETTINGS; no request goes before them, so a connection
that is lost by then has lost nothing. With token authentication it then has room for one stream,
whatever SETTINGS says, until a request has been *accepted* (Apple, "Establishing a connection to
APNs"). A rejected provider token takes it back to one. GOAWAY, used-up stream ids or our own
decision make it drain: what is in flight is waited for, nothing new is opened.

Capacity is not a state. It is a number, computed anew whenever it is asked for:

    min(the peer's limit, our limit, 1 while the token is pending) - open streams

and 0 outside AUTH_PENDING and OPEN. The peer may lower its limit at any time, to 1 or 0, far below
what is open; APNs does after a rejection. Then the difference is negative, capacity is 0, and
nothing is wrong: what is open stays open, and as it is answered the number rises again.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final, final

__all__ = ["TRANSITIONS", "ConnectionState", "StreamAccounting", "Transition"]


@final
class ConnectionState(Enum):
    """Where a connection is in its life."""

    AWAITING_SETTINGS = auto()
    """The server has not spoken yet."""
    AUTH_PENDING = auto()
    """One stream until a request is accepted."""
    OPEN = auto()
    """As many streams as the limits allow."""
    DRAINING = auto()
    """No new streams; those in flight are waited for."""
    CLOSED = auto()
    """Nothing more will happen."""


@final
class Transition(Enum):
    """What may change a connection's state."""

    SETTINGS_TOKEN = auto()
    """The first SETTINGS, on a connection that authenticates by provider token."""
    SETTINGS_CERTIFICATE = auto()
    """The first SETTINGS, on a connection that authenticates by certificate."""
    ACCEPTED = auto()
    """A request was answered with a status of success: 200, or what its kind has in its place."""
    TOKEN_REFUSED = auto()
    """A request was answered with a reason that blames the provider token."""
    RETIRED = auto()
    """GOAWAY, used-up stream ids, or our own decision."""
    ENDED = auto()
    """Drained, lost or closed."""


_AWAITING: Final = ConnectionState.AWAITING_SETTINGS
_PENDING: Final = ConnectionState.AUTH_PENDING
_OPEN: Final = ConnectionState.OPEN
_DRAINING: Final = ConnectionState.DRAINING
_CLOSED: Final = ConnectionState.CLOSED

TRANSITIONS: Final[Mapping[ConnectionState, Mapping[Transition, ConnectionState]]] = {
    _AWAITING: {
        Transition.SETTINGS_TOKEN: _PENDING,
        Transition.SETTINGS_CERTIFICATE: _OPEN,
        Transition.RETIRED: _DRAINING,
        Transition.ENDED: _CLOSED,
    },
    _PENDING: {
        Transition.ACCEPTED: _OPEN,
        Transition.TOKEN_REFUSED: _PENDING,
        Transition.RETIRED: _DRAINING,
        Transition.ENDED: _CLOSED,
    },
    _OPEN: {
        Transition.ACCEPTED: _OPEN,
        Transition.TOKEN_REFUSED: _PENDING,
        Transition.RETIRED: _DRAINING,
        Transition.ENDED: _CLOSED,
    },
    _DRAINING: {
        Transition.ACCEPTED: _DRAINING,
        Transition.TOKEN_REFUSED: _DRAINING,
        # APNs may send GOAWAY twice, with the reason in the first.
        Transition.RETIRED: _DRAINING,
        Transition.ENDED: _CLOSED,
    },
    _CLOSED: {},
}
"""A pair that is missing cannot happen, and the code that makes it happen is wrong."""


@final
class StreamAccounting:
    """The state of one connection and the limit that follows from it."""

    __slots__ = ("_own_limit", "_peer_limit", "limit", "state")

    def __init__(self, own_limit: int) -> None:
        self._own_limit = own_limit
        self._peer_limit: int | None = None
        self.state = _AWAITING
        self.limit = 0
        """Streams that may be open at once now. More may be: see the first lines of this file."""

    def apply(self, transition: Transition) -> None:
        """Move to the next state."""
        self.state = TRANSITIONS[self.state][transition]
        self._compute()

    def set_peer_limit(self, limit: int | None) -> None:
        """Take over SETTINGS_MAX_CONCURRENT_STREAMS; None if the peer has named no limit."""
        self._peer_limit = limit
        self._compute()

    def capacity(self, open_streams: int) -> int:
        """Return how many streams may be opened now; never negative."""
        return max(0, self.limit - open_streams)

    def _compute(self) -> None:
        peer_limit = self._own_limit if self._peer_limit is None else self._peer_limit
        limit = min(peer_limit, self._own_limit)
        if self.state is _PENDING:
            limit = min(limit, 1)
        elif self.state is not _OPEN:
            limit = 0
        self.limit = limit
