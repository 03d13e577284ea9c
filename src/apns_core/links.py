"""The connections of one sender: when to make another, and which one to let go."""

from collections.abc import Iterator
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from apns_core.accounting import ConnectionState
from apns_core.backoff import Backoff
from apns_core.commands import Connect, ConnectionId
from apns_core.connection import Connection
from apns_core.endpoints import Endpoint
from apns_core.errors import ApiMisuse
from apns_core.outcomes import Cause
from apns_core.relapses import Relapses
from apns_core.sender_config import SenderConfig
from apns_core.tickets import Ticket

if TYPE_CHECKING:
    from random import Random

__all__ = ["Link", "Links"]

T = TypeVar("T")


@final
class Link(Generic[T]):
    """One connection of a sender, from the command to make it until its transport is gone."""

    __slots__ = (
        "blamed",
        "blocked_since",
        "connection",
        "connection_id",
        "deadline",
        "disconnecting",
        "judged",
        "relapsed",
        "stands_since",
        "stuck_since",
        "window_blocked_since",
    )

    def __init__(self, connection_id: ConnectionId, deadline: float) -> None:
        self.connection_id = connection_id
        self.deadline = deadline
        """When it must stand, and the server must have said so; monotonic seconds."""
        self.connection: Connection[T] | None = None
        """None while it is being made."""
        self.disconnecting = False
        """Whether `Disconnect` was commanded."""
        self.blocked_since: float | None = None
        """Since when notifications wait for its capacity or its window; None if they do not, or
        if it is warming up and may have room soon."""
        self.stuck_since: float | None = None
        """Since when it has taken none although nothing is in flight: a limit of 0, or a window
        that nobody gives back. None once it takes one, or could."""
        self.window_blocked_since: float | None = None
        """Since when notifications wait for its window alone."""
        self.judged = 0
        """How many notifications the server has judged here: only that resets the backoff."""
        self.relapsed = False
        """Whether it was given up for what came after it was of use, and that was counted."""
        self.stands_since = 0.0
        """Monotonic seconds; it means nothing while it is being made."""
        self.blamed = False
        """Whether its end was counted already, or is no fault of the server's."""

    @property
    def usable(self) -> bool:
        """Whether it takes new notifications, now or when it is ready."""
        if self.connection is None:
            return not self.disconnecting
        return self.connection.state in _USABLE

    def observe_blocked(self, connection: Connection[T], now: float) -> float:
        """Look whether notifications wait for it, after what it could take was taken.

        Return for how many seconds they have waited for its window, now that they wait no more.
        """
        if not connection.blocked or connection.state in _WARMING:
            self.blocked_since = None
        elif self.blocked_since is None:
            self.blocked_since = now
        if (
            connection.in_flight
            or connection.state is ConnectionState.AWAITING_SETTINGS
            or (connection.capacity and connection.window)
        ):
            self.stuck_since = None
        elif connection.blocked and self.stuck_since is None:
            self.stuck_since = now
        since = self.window_blocked_since
        if connection.window_blocked:
            if since is None:
                self.window_blocked_since = now
        elif since is not None:
            return self.end_of_window_block(now)
        return 0.0

    def end_of_window_block(self, now: float) -> float:
        """Return for how many seconds notifications have waited for its window, up to now."""
        since, self.window_blocked_since = self.window_blocked_since, None
        return 0.0 if since is None else now - since


@final
class Links(Generic[T]):
    """All connections of a sender, those that are being made or closed included.

    Raises ApiMisuse when asked for a connection that is not among them.
    """

    __slots__ = (
        "_backoff",
        "_config",
        "_endpoint",
        "_extra_at",
        "_extras",
        "_floor",
        "_next_id",
        "_retry_at",
        "by_id",
        "relapses",
    )

    def __init__(
        self, endpoint: Endpoint, config: SenderConfig, rng: "Random", *, now: float
    ) -> None:
        self._endpoint = endpoint
        self._config = config
        self._backoff = Backoff(rng)
        self._extras = Backoff(rng)
        self.relapses: Final = Relapses(rng)
        self.by_id: dict[ConnectionId, Link[T]] = {}
        """All of them; to be read only."""
        self._next_id = 1
        # The next connect comes at the later of both, and of what relapses ask for; one beside
        # others at the latest of all.
        self._floor = now
        self._retry_at = now
        self._extra_at = now

    def __len__(self) -> int:
        return len(self.by_id)

    def __iter__(self) -> Iterator[Link[T]]:
        return iter(self.by_id.values())

    def __getitem__(self, connection_id: ConnectionId) -> Link[T]:
        link = self.by_id.get(connection_id)
        if link is None:
            raise ApiMisuse("the sender has no such connection, or no more")
        return link

    def get(self, connection_id: ConnectionId) -> Link[T] | None:
        """Return a connection, or None if it is gone."""
        return self.by_id.get(connection_id)

    # ── coming and going ──

    def connect(self, now: float) -> Connect:
        """Begin another connection."""
        connection_id = ConnectionId(self._next_id)
        self._next_id += 1
        link: Link[T] = Link(connection_id, now + self._config.connect_timeout)
        self.by_id[connection_id] = link
        self._floor = now + self._config.connect_floor
        return Connect(connection_id, self._endpoint, link.deadline)

    def remove(self, link: Link[T]) -> None:
        """Forget a connection whose transport is gone."""
        del self.by_id[link.connection_id]

    def refused(self, link: Link[T], now: float) -> None:
        """Count an attempt that no connection came of."""
        self.remove(link)
        self._failed(link, now)

    def prove(self, link: Link[T]) -> None:
        """Note that the first is judged here: there is nothing to wait for, and all is forgiven.

        So a server that says GOAWAY and then answers is left no worse than one that answers first.
        """
        self._backoff.succeeded()
        self._retry_at = self._floor
        if self._is_extra(link):
            self._extras.succeeded()
            self._extra_at = self._floor

    def blame(self, link: Link[T], now: float) -> None:
        """Count, once, a connection that ends without having been of use."""
        if link.judged or link.blamed:
            return
        link.blamed = True
        # It cost both sides a handshake and came to nothing: that counts twice.
        self._failed(link, now)
        self._failed(link, now)

    def relapse(self, link: Link[T], now: float) -> None:
        """Count, once, a connection that was given up because the server had ceased to be of use.

        That one of its siblings is of use at first, as it was itself, forgives nothing.
        """
        if not link.relapsed:
            link.relapsed = True
            self.relapses.count(now, stood=now - link.stands_since, judged=link.judged)

    # ── planning ──

    def connect_due(self, head: Ticket[T] | None) -> float | None:
        """Return when to make a connection for the ``head`` of the queue, in monotonic seconds.

        None if those there are will do, or may turn out to.
        """
        if head is None:
            return None
        usable = 0
        since = head.queued_at
        for link in self.by_id.values():
            if link.usable:
                if link.blocked_since is None:
                    return None
                usable += 1
                since = max(since, link.blocked_since)
        at = max(self._floor, self._retry_at, self.relapses.until)
        if not usable:
            return at
        if usable >= self._config.max_connections or self.relapses.any:
            return None  # Those that were of use at first, and are of none, need no company.
        return max(at, self._extra_at, since + self._config.scale_after)

    def departure(self) -> tuple[float, Link[T], Connection[T], Cause] | None:
        """Return when to let which connection go, in monotonic seconds, and why; None if none.

        One that takes nothing although nothing is in flight, while notifications wait; or where
        there are several, the one that has been idle longest.
        """
        departures: list[tuple[float, Link[T], Connection[T], Cause]] = []
        usable = 0
        stall_after = self._config.connection.stall_after
        surplus_after = self._config.surplus_after
        for link in self.by_id.values():
            connection = link.connection
            if not link.usable:
                continue
            usable += 1
            if connection is None or connection.in_flight:
                continue
            if connection.blocked and link.stuck_since is not None:
                at = link.stuck_since + stall_after
                departures.append((at, link, connection, Cause.UNRESPONSIVE))
            else:
                at = connection.active_at + surplus_after
                departures.append((at, link, connection, Cause.RETIRED))
        if usable <= 1:
            departures = [one for one in departures if one[3] is not Cause.RETIRED]
        return min(departures, key=_WHEN, default=None)

    def _failed(self, link: Link[T], now: float) -> None:
        """Count a failure against connects of its kind."""
        if self._is_extra(link):
            # A box in between may allow no more than one; its successor must not wait for that.
            self._extra_at = max(self._extra_at, self._extras.failed(now))
        else:
            self._retry_at = max(self._retry_at, self._backoff.failed(now))

    def _is_extra(self, link: Link[T]) -> bool:
        return any(other.usable and other is not link for other in self.by_id.values())


_WHEN: Final = itemgetter(0)
# Optimisation (benchmark: round trip): tuples, which look for the very object; to look a member of
# an enum up in a set calls its `__hash__`, which is Python. The most common first.
_USABLE: Final = (
    ConnectionState.OPEN,
    ConnectionState.AUTH_PENDING,
    ConnectionState.AWAITING_SETTINGS,
)
# It will take more than it takes now, by itself.
_WARMING: Final = (ConnectionState.AUTH_PENDING, ConnectionState.AWAITING_SETTINGS)
