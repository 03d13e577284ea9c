"""Many connections to one endpoint: the queue, when to connect, tokens, retries. Without I/O."""

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, NewType, TypeAlias, TypeVar, final

from apns_core.accounting import ConnectionState
from apns_core.backoff import Backoff
from apns_core.connection import (
    DEFAULT_CONFIG,
    Connection,
    ConnectionClosed,
    ConnectionConfig,
    GoAwayReceived,
)
from apns_core.endpoints import Endpoint
from apns_core.errors import ClientClosed, QueueFull
from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unprocessed
from apns_core.reasons import FATAL_GOAWAY_REASONS, Disposition, Reason
from apns_core.requests.request import Request
from apns_core.retries import OnUnknown, RetryPolicy
from apns_core.tickets import DONE, QUEUED, Submissions, Ticket
from apns_core.trust.provider_token import ProviderTokenSchedule

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "Command",
    "Connect",
    "ConnectionId",
    "Disconnect",
    "Sender",
    "SenderConfig",
    "SignToken",
]

T = TypeVar("T")
ConnectionId = NewType("ConnectionId", int)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SenderConfig:
    """How a sender behaves; the defaults suit APNs. Times are seconds."""

    max_queued: int = 1_000
    """Notifications that may wait to be encoded; then `Sender.room` is 0. As many again as one
    connection may have in flight: enough never to run dry, little enough to wait in."""
    max_connections: int = 1
    """Connections that may be in use at once."""
    connect_timeout: float = 20.0
    """For name, TCP and TLS together."""
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


DEFAULT_SENDER_CONFIG: Final = SenderConfig()


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
    still being made: stop, then tell `Sender.connect_failed`.
    """

    connection_id: ConnectionId
    cause: Cause
    deadline: float


@final
@dataclass(frozen=True, slots=True)
class SignToken:
    """Sign a provider token with this ``iat``, in UNIX seconds.

    Answer with `Sender.token_signed` or `Sender.signing_failed`. The key stays with the caller.
    """

    issued_at: int


Command: TypeAlias = Connect | Disconnect | SignToken


class _Link(Generic[T]):
    """One connection of a sender, from the command to make it until its transport is gone."""

    __slots__ = ("connection", "connection_id", "disconnecting", "proved")

    def __init__(self, connection_id: ConnectionId) -> None:
        self.connection_id = connection_id
        self.connection: Connection[T] | None = None
        """None while it is being made."""
        self.disconnecting = False
        """Whether `Disconnect` was commanded."""
        self.proved = False
        """Whether a response was read: only that resets the backoff."""

    @property
    def usable(self) -> bool:
        """Whether it takes new notifications, now or when it is ready."""
        if self.connection is None:
            return not self.disconnecting
        return self.connection.state in _USABLE

    @property
    def warming(self) -> bool:
        """Whether it will take more than it takes now, by itself."""
        return self.connection is None or self.connection.state in _WARMING


@final
class Sender(Generic[T]):
    """The policy over connections to one endpoint with one set of credentials.

    Inputs, ``now`` in monotonic seconds and never decreasing: `submit`, `cancel`, `connected`,
    `connect_failed`, `token_signed`, `signing_failed`, `receive_data`, `receive_eof`,
    `handle_timeout`, `close`, `abort`. Outputs, to be drained after each input: `commands`,
    `outcomes`, `data_to_send` of each connection that can be written to, `poll_timeout`. Getters:
    `room`, `queued`, `in_flight`, `closed`, `failure`.

    A notification belongs to no connection until it is encoded. What was provably not acted on is
    sent again, on whichever connection has room. It ends with one outcome, by its deadline.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        rng: "Random",
        now: float,
        unix_time: float,
        token_authentication: bool = True,
        config: SenderConfig = DEFAULT_SENDER_CONFIG,
    ) -> None:
        """``rng`` serves jitter alone. ``unix_time`` is the wall clock's reading at ``now``."""
        self._endpoint = endpoint
        self._config = config
        self._schedule = (
            ProviderTokenSchedule(now=now, unix_time=unix_time) if token_authentication else None
        )
        self._submissions: Submissions[T] = Submissions()
        self._retries = RetryPolicy(rng, config.on_unknown, now=now, unix_time=unix_time)
        self._backoff = Backoff(rng)
        self._links: dict[ConnectionId, _Link[T]] = {}
        self._commands: list[Command] = []
        self._outcomes: list[Outcome[T]] = []
        # Tickets to be tried again later: (when, order, ticket).
        self._delayed: list[tuple[float, int, Ticket[T]]] = []
        self._delays = 0
        self._next_connection_id = 1
        self._connect_at = now
        self._now = now
        self._closing = False
        self._close_deadline: float | None = None
        self.failure: Reason | None = None
        """The reason for which no further connection is made: the credentials are refused."""

    # ── inputs ──

    def submit(self, notification: Request, tag: T, now: float) -> Ticket[T]:
        """Queue a notification. ``tag`` comes back with its outcome.

        Raises QueueFull where `room` is 0, ClientClosed after `close`. Nothing is lost by either.
        """
        if self._closing:
            raise ClientClosed("the client takes no more notifications")
        if self.room <= 0:
            raise QueueFull(f"{self._config.max_queued} notifications are queued")
        self._now = now
        deadline = now + self._config.connection.request_timeout
        ticket = self._submissions.submit(notification, tag, now, deadline)
        if self.failure is not None:
            self._end_queued(ticket, Cause.FATAL)
        elif not self._links or self._submissions.unfinished == 1:
            # Optimisation (benchmark: send): while work is under way there is nothing to plan.
            self._plan(now)
        return ticket

    def cancel(self, ticket: Ticket[T], now: float) -> None:
        """Withdraw a notification; no outcome follows, and no other is touched.

        Free while it is queued. In flight its stream is reset, and the server may still act on it.
        """
        connection = ticket.connection
        if connection is not None:
            connection.cancel(ticket, now)
            self._settle(now)
        elif ticket.place != DONE:
            self._submissions.finish(ticket)
            self._settle(now)

    def withdraw(self, tag: T, now: float) -> None:
        """Cancel whatever was submitted with this very ``tag`` and is still queued.

        What is in flight goes on, and its outcomes come: to reset many streams at once would look
        like an attack (CVE-2023-44487).
        """
        for ticket in self._submissions.all_unfinished():
            if ticket.tag is tag and ticket.place == QUEUED:
                self._submissions.finish(ticket)
        self._settle(now)

    def connected(self, connection_id: ConnectionId, now: float) -> None:
        """Note that TLS stands and ALPN agreed on ``h2``."""
        link = self._links[connection_id]
        link.connection = Connection(
            self._endpoint.authority,
            now=now,
            token_authentication=self._schedule is not None,
            config=self._config.connection,
            submissions=self._submissions,
        )
        if link.disconnecting:
            link.connection.close(now)
        self._settle(now)

    def connect_failed(self, connection_id: ConnectionId, now: float) -> None:
        """Note that no connection came of `Connect`; the next attempt waits for the backoff."""
        del self._links[connection_id]
        self._postpone_connect(self._backoff.failed(now))
        self._settle(now)

    def token_signed(self, jwt: str, now: float) -> None:
        """Take the provider token that `SignToken` asked for. Raises InvalidField if it is none."""
        if self._schedule is not None:
            self._schedule.signed(jwt)
            self._settle(now)

    def signing_failed(self, now: float) -> None:
        """Note that no token could be signed; `SignToken` comes again after a while."""
        if self._schedule is not None:
            self._schedule.signing_failed(now)
            self._settle(now)

    def receive_data(self, connection_id: ConnectionId, data: bytes, now: float) -> None:
        """Take what was read from a connection."""
        link = self._links[connection_id]
        if link.connection is not None:
            link.connection.receive_data(data, now)
            self._collect(link, now)
            self._plan(now)

    def receive_eof(self, connection_id: ConnectionId, now: float) -> None:
        """Note that a connection's transport is gone, however it went."""
        link = self._links[connection_id]
        link.disconnecting = True
        if link.connection is not None:
            link.connection.receive_eof(now)
            self._collect(link, now)
        del self._links[connection_id]
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        """Do what `poll_timeout` announced. Calling it early or often does no harm."""
        self._now = now
        for ticket in self._submissions.expired(now):
            if ticket.connection is not None:
                ticket.connection.expire(ticket, now)
            else:
                self._end_queued(ticket, Cause.DEADLINE)
        while self._delayed and self._delayed[0][0] <= now:
            self._submissions.release(heapq.heappop(self._delayed)[2], now)
        for link in self._links.values():
            if link.connection is not None:
                link.connection.handle_timeout(now)
        if self._close_deadline is not None and now >= self._close_deadline:
            self.abort(now)
        self._settle(now)

    def close(self, now: float, *, deadline: float | None = None) -> None:
        """Take no more notifications; send and await those there are, then end.

        What is left at ``deadline`` (monotonic seconds; None: each notification's own) ends with
        what is known of it. `closed` tells when all is over.
        """
        self._closing = True
        self._close_deadline = deadline
        self._settle(now)

    def abort(self, now: float) -> None:
        """End at once: what is in flight is `Unknown`, what is queued `Unprocessed`."""
        self._closing = True
        self._close_deadline = None
        for link in self._links.values():
            if link.connection is not None:
                link.connection.close(now)
                self._collect(link, now)
        for ticket in self._submissions.all_unfinished():
            self._end_queued(ticket, Cause.CLOSED)
        self._delayed.clear()
        self._settle(now)

    # ── outputs ──

    def commands(self) -> list[Command]:
        """Return what the caller is to do."""
        commands, self._commands = self._commands, []
        return commands

    def outcomes(self) -> list[Outcome[T]]:
        """Return the outcomes since the last call."""
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def data_to_send(self, connection_id: ConnectionId, max_bytes: int = 65_536) -> bytes:
        """Return bytes for a connection's transport; requests are encoded now.

        Call it when the transport can take them: what is not encoded can still go elsewhere.
        """
        link = self._links.get(connection_id)
        if link is None or link.connection is None:
            return b""
        connection = link.connection
        connection.observe(self._now)
        if self._schedule is not None and self._submissions.queued:
            self._choose_token(connection, self._schedule)
        data = connection.data_to_send(max_bytes)
        if connection.has_events:
            self._collect(link, self._now)
        return data

    def poll_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, in monotonic seconds; None if never."""
        clocks = [
            clock
            for link in self._links.values()
            if link.connection is not None and (clock := link.connection.poll_timeout()) is not None
        ]
        deadline = self._submissions.next_deadline()
        if deadline is not None:
            clocks.append(deadline)
        if self._delayed:
            clocks.append(self._delayed[0][0])
        if self._close_deadline is not None:
            clocks.append(self._close_deadline)
        clocks.extend(self._planned())
        return min(clocks, default=None)

    # ── getters ──

    @property
    def room(self) -> int:
        """How many notifications may be submitted now; at 0, wait for outcomes."""
        return self._config.max_queued - self._submissions.queued

    @property
    def queued(self) -> int:
        """Notifications not yet encoded."""
        return self._submissions.queued

    @property
    def in_flight(self) -> int:
        """Notifications encoded and unanswered."""
        return self._submissions.unfinished - self._submissions.queued

    @property
    def closed(self) -> bool:
        """Whether nothing is left to do after `close`."""
        return self._closing and not self._links and not self._submissions.unfinished

    # ── what came of attempts ──

    def _collect(self, link: _Link[T], now: float) -> None:
        """Take a connection's events: outcomes are reported, or followed by another attempt."""
        self._now = now
        connection = link.connection
        if connection is None:
            return
        for event in connection.raw_events():
            if type(event) is Ticket:
                outcome = event.outcome  # pyright: ignore[reportUnknownMemberType]
                if type(outcome) is Accepted:
                    self._retries.accepted()
                    self._submissions.finish(event)
                    self._outcomes.append(outcome)
                else:
                    self._after(event, connection, now)
            elif type(event) is GoAwayReceived:
                self._on_goaway(event)
            elif type(event) is ConnectionClosed:
                self._on_closed(link, event.cause, now)
        if connection.responses and not link.proved:
            link.proved = True
            self._backoff.succeeded()

    def _after(self, ticket: Ticket[T], connection: Connection[T], now: float) -> None:
        outcome = ticket.outcome
        if outcome is None:  # cancelled meanwhile
            return
        if (
            isinstance(outcome, Rejected)
            and outcome.disposition is Disposition.RETRY_WITH_NEW_TOKEN
            and self._schedule is not None
            and connection.provider_token is not None
        ):
            self._schedule.expire(connection.provider_token, now)
        at = None if self.failure else self._retries.next_attempt(ticket, outcome, now)
        if at is None:
            self._report(ticket, outcome)
            return
        self._submissions.hold(ticket)
        if at <= now:
            self._submissions.release(ticket, now)
        else:
            self._delays += 1
            heapq.heappush(self._delayed, (at, self._delays, ticket))

    def _report(self, ticket: Ticket[T], outcome: Outcome[T]) -> None:
        self._submissions.finish(ticket)
        self._outcomes.append(outcome)

    def _end_queued(self, ticket: Ticket[T], cause: Cause) -> None:
        self._report(ticket, Unprocessed(ticket.notification, ticket.tag, cause))

    def _on_goaway(self, event: GoAwayReceived) -> None:
        if event.reason in FATAL_GOAWAY_REASONS:
            self.failure = event.reason
            for ticket in self._submissions.all_unfinished():
                if ticket.place == QUEUED:
                    self._end_queued(ticket, Cause.FATAL)

    def _on_closed(self, link: _Link[T], cause: Cause, now: float) -> None:
        self._disconnect(link, cause)
        connection = link.connection
        if connection is not None and not connection.responses and not self._closing:
            # It cost both sides a handshake and came to nothing: that counts twice.
            self._backoff.failed(now)
            self._postpone_connect(self._backoff.failed(now))

    # ── when to connect, sign, close ──

    def _settle(self, now: float) -> None:
        """Collect what an input has done to any connection, then plan."""
        self._now = now
        for link in self._links.values():
            if link.connection is not None and link.connection.has_events:
                self._collect(link, now)
        self._plan(now)

    def _plan(self, now: float) -> None:
        schedule = self._schedule
        unfinished = self._submissions.unfinished
        if schedule is not None and unfinished and schedule.signing_due(now):
            self._commands.append(SignToken(schedule.begin_signing(now)))
        if self._submissions.queued:
            at = self._connect_due()
            if at is not None and at <= now:
                self._connect(now)
        elif self._closing and not unfinished:
            self._wind_up(now)
        surplus = self._surplus()
        if surplus is not None and surplus.active_at + self._config.surplus_after <= now:
            surplus.retire(now)

    def _planned(self) -> list[float]:
        """Return the instants at which `_plan` has something to do, were there no other input."""
        clocks: list[float] = []
        if self._schedule is not None and self._submissions.unfinished:
            signing = self._schedule.poll_timeout()
            if signing is not None:
                clocks.append(signing)
        if self._submissions.queued:
            at = self._connect_due()
            if at is not None:
                clocks.append(at)
        surplus = self._surplus()
        if surplus is not None:
            clocks.append(surplus.active_at + self._config.surplus_after)
        return clocks

    def _connect_due(self) -> float | None:
        """Return when to make a connection for what is queued; None if those there are will do."""
        if self.failure is not None:
            return None
        usable = [link for link in self._links.values() if link.usable]
        if not usable:
            return self._connect_at
        if len(usable) >= self._config.max_connections:
            return None
        # A connection that is warming up may turn out to be all that was needed.
        if any(
            link.warming or link.connection is None or not link.connection.blocked
            for link in usable
        ):
            return None
        head = self._submissions.oldest_queued()
        if head is None:
            return None
        return max(self._connect_at, head.queued_at + self._config.scale_after)

    def _surplus(self) -> Connection[T] | None:
        """Return the connection that has been idle longest, where there are several."""
        usable = [link.connection for link in self._links.values() if link.usable]
        idle = [c for c in usable if c is not None and not c.in_flight]
        if len(usable) <= 1 or not idle:
            return None
        return min(idle, key=lambda connection: connection.active_at)

    def _connect(self, now: float) -> None:
        connection_id = ConnectionId(self._next_connection_id)
        self._next_connection_id += 1
        self._links[connection_id] = _Link(connection_id)
        self._postpone_connect(now + self._config.connect_floor)
        deadline = now + self._config.connect_timeout
        self._commands.append(Connect(connection_id, self._endpoint, deadline))

    def _postpone_connect(self, at: float) -> None:
        self._connect_at = max(self._connect_at, at)

    def _choose_token(self, connection: Connection[T], schedule: ProviderTokenSchedule) -> None:
        token = schedule.token_for(
            connection.token_first_used_at, connection.provider_token, self._now
        )
        if token is not None:
            connection.set_provider_token(token)
        elif connection.provider_token is not None:
            # Its token was refused or revoked, and a change would come too soon for APNs.
            connection.retire(self._now)

    def _wind_up(self, now: float) -> None:
        """Everything is answered and the client is closing: let go of the connections."""
        for link in self._links.values():
            if link.connection is None:
                self._disconnect(link, Cause.CLOSED)
            else:
                link.connection.retire(now, Cause.CLOSED)
                self._collect(link, now)

    def _disconnect(self, link: _Link[T], cause: Cause) -> None:
        if not link.disconnecting:
            link.disconnecting = True
            # Nobody is there to take leave of.
            wait = 0.0 if cause is Cause.UNRESPONSIVE else self._config.disconnect_timeout
            self._commands.append(Disconnect(link.connection_id, cause, self._now + wait))


_USABLE: Final = frozenset(
    (ConnectionState.AWAITING_SETTINGS, ConnectionState.AUTH_PENDING, ConnectionState.OPEN)
)
_WARMING: Final = frozenset((ConnectionState.AWAITING_SETTINGS, ConnectionState.AUTH_PENDING))
