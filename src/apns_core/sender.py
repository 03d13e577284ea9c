"""Many connections to one endpoint: the queue, tokens, retries, closing. Without I/O."""

import heapq
from typing import TYPE_CHECKING, Final, Generic, TypeVar, final

from apns_core.commands import Command, Connect, ConnectionId, Disconnect, SignToken
from apns_core.connection import Connection
from apns_core.connection_events import ConnectionClosed, GoAwayReceived
from apns_core.endpoints import Endpoint
from apns_core.errors import ClientClosed, ConnectFailed, QueueFull
from apns_core.links import Link, Links
from apns_core.metrics import Metrics, label
from apns_core.observer import Observer
from apns_core.outcomes import Accepted, Cause, Outcome, Rejected, Unknown, Unprocessed
from apns_core.reasons import FATAL_GOAWAY_REASONS, Disposition, Reason
from apns_core.relapses import SERVED_WELL
from apns_core.requests.request import Request
from apns_core.requests.route import missing_topic
from apns_core.retries import RetryPolicy
from apns_core.sender_config import DEFAULT_SENDER_CONFIG, SenderConfig
from apns_core.tickets import DONE, QUEUED, Submissions, Ticket
from apns_core.trust.provider_token import ProviderTokenSchedule

if TYPE_CHECKING:
    from random import Random

__all__ = [
    "DEFAULT_SENDER_CONFIG",
    "Command",
    "Connect",
    "ConnectionId",
    "Disconnect",
    "Sender",
    "SenderConfig",
    "SignToken",
]

T = TypeVar("T")


@final
class Sender(Generic[T]):
    """The policy over connections to one endpoint with one set of credentials.

    Inputs, ``now`` in monotonic seconds and never decreasing: `submit`, `cancel`, `connected`,
    `connect_failed`, `token_signed`, `signing_failed`, `replace_token_key`, `receive_data`,
    `receive_eof`, `handle_timeout`, `close`, `abort`. Outputs, to be drained after each input, in
    this order: `data_to_send` of each connection that can be written to, `outcomes`, `commands`,
    `poll_timeout`. Getters: `room`, `queued`, `in_flight`, `closed`, `failure`, `metrics`.

    A notification belongs to no connection until it is encoded. What was provably not acted on is
    sent again, on whichever connection has room. It ends with one outcome, by its deadline: that
    of its last attempt; or if that was never acted on, `Unknown` where an attempt before it was, or
    else that of the last that was answered.
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
        observer: Observer | None = None,
    ) -> None:
        """``rng`` serves jitter alone. ``unix_time`` is the wall clock's reading at ``now``.

        ``observer`` is called as things happen; `metrics` counts them in any case.
        """
        self._endpoint = endpoint
        self._config = config
        self._schedule = (
            ProviderTokenSchedule(now=now, unix_time=unix_time) if token_authentication else None
        )
        self._unix_zero = unix_time - now
        self._max_queued = config.max_queued
        self._request_timeout = config.connection.request_timeout
        self._submissions: Submissions[T] = Submissions()
        self._retries = RetryPolicy(rng, config.on_unknown, now=now, unix_time=unix_time)
        self._links: Links[T] = Links(endpoint, config, rng, now=now)
        self._commands: list[Command] = []
        self._outcomes: list[Outcome[T]] = []
        # Tickets to be tried again later: (when, order, ticket).
        self._delayed: list[tuple[float, int, Ticket[T]]] = []
        self._delays = 0
        # What the server made of a former attempt of tickets that are tried again.
        self._former: dict[Ticket[T], Outcome[T]] = {}
        self._now = now
        self._closing = False
        self._close_deadline: float | None = None
        self._observer = observer
        self.metrics = Metrics()
        """What has happened so far, in numbers."""
        self.failure: Reason | None = None
        """The reason for which no further connection is made: the credentials are refused."""

    # ── inputs ──

    def submit(self, notification: Request, tag: T, now: float) -> Ticket[T]:
        """Queue a notification. ``tag`` comes back with its outcome.

        Raises QueueFull where `room` is 0, ClientClosed after `close`, InvalidField for a route
        without a topic where provider tokens are used. Nothing is lost by any of them.
        """
        if self._closing:
            raise ClientClosed("the client takes no more notifications")
        submissions = self._submissions
        if submissions.queued >= self._max_queued:
            raise QueueFull(f"{self._max_queued} notifications are queued")
        if self._schedule is not None and notification.route.certificate_only:
            raise missing_topic()
        self._now = now
        request = notification
        if notification.lifetime is not None:
            request = notification.submitted_at(self._unix_zero + now)
        ticket = submissions.submit(notification, tag, now, now + self._request_timeout, request)
        self.metrics.submitted += 1
        if self.failure is not None:
            self._end_queued(ticket, Cause.FATAL)
        elif submissions.unfinished == 1 or not self._links.by_id:
            # Optimisation (benchmark: send): while work is under way there is nothing to plan.
            self._plan(now)
        return ticket

    def cancel(self, ticket: Ticket[T], now: float) -> None:
        """Withdraw a notification; no outcome follows, and no other is touched.

        Free while it is queued. In flight its stream is reset, and the server may still act on it.
        """
        if ticket.place == DONE:
            return
        self._former.pop(ticket, None)
        if ticket.connection is not None:
            ticket.connection.cancel(ticket, now)
        else:
            self._submissions.finish(ticket)
        self._settle(now)

    def withdraw(self, tag: T, now: float) -> None:
        """Cancel whatever was submitted with this very ``tag`` and is still queued.

        What is in flight goes on, and its outcomes come: to reset many streams at once would look
        like an attack (CVE-2023-44487).
        """
        for ticket in self._submissions.all_unfinished():
            if ticket.tag is tag and ticket.place == QUEUED:
                self._former.pop(ticket, None)
                self._submissions.finish(ticket)
        self._settle(now)

    def connected(self, connection_id: ConnectionId, now: float) -> None:
        """Note that TLS stands and ALPN agreed on ``h2``."""
        link = self._links[connection_id]
        link.stands_since = now
        link.connection = Connection(
            self._endpoint.authority,
            now=now,
            token_authentication=self._schedule is not None,
            config=self._config.connection,
            submissions=self._submissions,
            settings_by=link.deadline,
        )
        if link.disconnecting:
            # It was given up while it was made: the command comes again, for what there is now.
            link.disconnecting = False
            link.connection.close(now)
        self._settle(now)

    def connect_failed(self, connection_id: ConnectionId, now: float) -> None:
        """Note that no connection came of `Connect`; the next attempt waits for the backoff."""
        link = self._links[connection_id]
        self._links.refused(link, now)
        self.metrics.connects_failed += 1
        self._drop_commands(connection_id)
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

    def replace_token_key(self, now: float) -> None:
        """Forget all provider tokens, because the key that signed them was revoked.

        Every connection drains and others take over, as Apple asks ("Sending notification requests
        to APNs"); `SignToken` comes anew, for the new key to answer.
        """
        if self._schedule is not None:
            self._schedule.replace(now)
            if self.failure in _KEY_REASONS:
                self.failure = None
            for link in list(self._links):
                if link.connection is not None:
                    self._let_go(link, link.connection, Cause.RETIRED, now)
            self._settle(now)

    def receive_data(self, connection_id: ConnectionId, data: bytes, now: float) -> None:
        """Take what was read from a connection."""
        link = self._links[connection_id]
        if link.connection is not None:
            link.connection.receive_data(data, now)
            self._collect(link, link.connection, now)
            self._plan(now)

    def receive_eof(self, connection_id: ConnectionId, now: float) -> None:
        """Note that a connection's transport is gone, however it went."""
        link = self._links[connection_id]
        link.disconnecting = True
        if link.connection is not None:
            link.connection.receive_eof(now)
            self._collect(link, link.connection, now)
        self._links.remove(link)
        self._drop_commands(connection_id)
        self._settle(now)

    def handle_timeout(self, now: float) -> None:
        """Do what `poll_timeout` announced. Calling it early or often does no harm."""
        self._now = now
        for ticket in self._submissions.expired(now):
            if ticket.connection is not None:
                ticket.connection.expire(ticket, now)
            else:
                self._end_queued(ticket, Cause.DEADLINE)
        while _is_due(self._release_due(), now):
            self._submissions.release(heapq.heappop(self._delayed)[2], now)
        for link in self._links:
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
        for link in self._links:
            if link.connection is not None:
                link.connection.close(now)
                self._collect(link, link.connection, now)
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
            self._choose_token(link, connection, self._schedule)
        data = connection.data_to_send(max_bytes)
        self.metrics.window_blocked_seconds += link.observe_blocked(connection, self._now)
        if connection.has_events:
            self._collect(link, connection, self._now)
        return data

    def poll_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, in monotonic seconds; None if never."""
        clocks = [
            self._submissions.next_deadline(),
            self._release_due(),
            self._close_deadline if self._submissions.unfinished else None,
            self._signing_due(),
            self._connect_due(),
        ]
        clocks.extend(
            link.connection.poll_timeout() for link in self._links if link.connection is not None
        )
        departure = self._links.departure()
        if departure is not None:
            clocks.append(departure[0])
        return min((clock for clock in clocks if clock is not None), default=None)

    # ── getters ──

    @property
    def room(self) -> int:
        """How many notifications may be submitted now; at 0, wait for outcomes."""
        # What is to be sent again joins the queue without asking.
        return max(0, self._max_queued - self._submissions.queued)

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

    def _collect(self, link: Link[T], connection: Connection[T], now: float) -> None:
        """Take a connection's events: outcomes are reported, or followed by another attempt."""
        self._now = now
        again: list[Ticket[T]] = []
        judged = link.judged
        for event in connection.raw_events():
            if type(event) is Ticket:
                outcome = event.outcome  # pyright: ignore[reportUnknownMemberType]
                if type(outcome) is Accepted:
                    if not link.judged:
                        self._links.prove(link)
                    link.judged += 1
                    self._retries.accepted()
                    self._report(event, outcome)
                elif outcome is not None:  # else it was cancelled meanwhile
                    if type(outcome) is Rejected:
                        self._on_rejected(link, connection, event, outcome, now)
                    if self._try_again(event, outcome, now):
                        again.append(event)
            elif type(event) is GoAwayReceived:
                self._on_goaway(link, event, now)
            elif type(event) is ConnectionClosed:
                self._on_closed(link, connection, event, now)
        if self._links.relapses.any and link.judged > judged and link.judged >= SERVED_WELL:
            self._links.relapses.forgive()
        if connection.gave_up:
            self._links.relapse(link, now)
        # Each goes before all others: the oldest last.
        for ticket in reversed(again):
            self._submissions.release(ticket, now)

    def _on_rejected(
        self,
        link: Link[T],
        connection: Connection[T],
        ticket: Ticket[T],
        rejected: Rejected[T],
        now: float,
    ) -> None:
        disposition = rejected.disposition
        if disposition in _VERDICTS:
            if not link.judged:
                self._links.prove(link)
            link.judged += 1
        if disposition is Disposition.RETRY_WITH_NEW_TOKEN and self._schedule is not None:
            token = connection.token_of(ticket)
            if token is not None:
                self._schedule.expire(token, now)

    def _try_again(self, ticket: Ticket[T], outcome: Outcome[T], now: float) -> bool:
        """Decide on another attempt; return whether it is to begin now. Else report the last."""
        if self.failure is not None:
            if type(outcome) is Unprocessed:
                outcome.cause = Cause.FATAL
            self._report(ticket, outcome)
            return False
        at = self._retries.next_attempt(ticket, outcome, now)
        if at is None:
            self._report(ticket, outcome)
            return False
        self._count_retry(label(outcome))
        if type(outcome) is not Unprocessed and type(self._former.get(ticket)) is not Unknown:
            # What may have been processed still may, whatever the next attempt is answered.
            self._former[ticket] = outcome
        self._submissions.hold(ticket)
        if at <= now:
            return True
        self._delays += 1
        heapq.heappush(self._delayed, (at, self._delays, ticket))
        return False

    def _report(self, ticket: Ticket[T], outcome: Outcome[T]) -> None:
        self._submissions.finish(ticket)
        if self._former:
            former = self._former.pop(ticket, None)
            # That the last attempt was not acted on says nothing of the one before.
            if former is not None and type(outcome) is Unprocessed:
                outcome = former
        seconds = self._now - (ticket.deadline - self._request_timeout)
        self.metrics.count(outcome, seconds)
        if self._observer is not None:
            self._observer.on_outcome(outcome, seconds)
        self._outcomes.append(outcome)

    def _count_retry(self, cause: str) -> None:
        self.metrics.retries[cause] += 1
        if self._observer is not None:
            self._observer.on_retry(cause)

    def _end_queued(self, ticket: Ticket[T], cause: Cause) -> None:
        self._report(ticket, Unprocessed(ticket.notification, ticket.tag, cause))

    def _on_goaway(self, link: Link[T], event: GoAwayReceived, now: float) -> None:
        self._links.blame(link, now)
        reason = "" if event.reason is None else event.reason.value
        self.metrics.goaways[reason] += 1
        if self._observer is not None:
            self._observer.on_goaway(reason)
        if event.reason not in FATAL_GOAWAY_REASONS or self._is_of_a_former_key(link, event.reason):
            return
        self.failure = event.reason
        for ticket in self._submissions.all_unfinished():
            if ticket.place == QUEUED:
                self._end_queued(ticket, Cause.FATAL)
        for other in self._links:
            if other.connection is None:
                self._disconnect(other, Cause.FATAL)

    def _is_of_a_former_key(self, link: Link[T], reason: Reason | None) -> bool:
        """Whether what was refused is not in use any more."""
        if reason not in _KEY_REASONS or self._schedule is None or link.connection is None:
            return False
        token = link.connection.provider_token
        return token is not None and self._schedule.is_refused(token)

    def _on_closed(
        self, link: Link[T], connection: Connection[T], event: ConnectionClosed, now: float
    ) -> None:
        if event.cause is not Cause.CLOSED:
            self._links.blame(link, now)
            self.metrics.connects_failed += not connection.settings_received
        self.metrics.window_blocked_seconds += link.end_of_window_block(now)
        self._disconnect(link, event.cause, _error_of(connection, event))

    # ── when to connect, sign, close ──

    def _settle(self, now: float) -> None:
        """Collect what an input has done to any connection, then plan."""
        self._now = now
        for link in self._links:
            if link.connection is not None and link.connection.has_events:
                self._collect(link, link.connection, now)
        self._plan(now)

    def _plan(self, now: float) -> None:
        """Do what is due of what `poll_timeout` announces and no ticket or connection does."""
        if self._schedule is not None and _is_due(self._signing_due(), now):
            self._commands.append(SignToken(self._schedule.begin_signing(now)))
        if _is_due(self._connect_due(), now):
            self._commands.append(self._links.connect(now))
            self.metrics.connects += 1
            if self._observer is not None:
                self._observer.on_connect()
        if self._closing and not self._submissions.unfinished:
            self._wind_up(now)
        departure = self._links.departure()
        if departure is not None and departure[0] <= now:
            _, link, connection, cause = departure
            self._let_go(link, connection, cause, now)
            if cause is Cause.UNRESPONSIVE:
                self._links.relapse(link, now)

    def _release_due(self) -> float | None:
        """Return when the next ticket is to be tried again; forget those that have ended."""
        delayed = self._delayed
        while delayed and delayed[0][2].place != QUEUED:
            heapq.heappop(delayed)
        return delayed[0][0] if delayed else None

    def _signing_due(self) -> float | None:
        if self._schedule is None or not self._submissions.unfinished or self.failure is not None:
            return None
        return self._schedule.poll_timeout()

    def _connect_due(self) -> float | None:
        if not self._submissions.queued or self.failure is not None:
            return None
        return self._links.connect_due(self._submissions.oldest_queued())

    def _choose_token(
        self, link: Link[T], connection: Connection[T], schedule: ProviderTokenSchedule
    ) -> None:
        first_used_at, current, now = (
            connection.token_first_used_at,
            connection.provider_token,
            self._now,
        )
        token = schedule.token_for(first_used_at, current, now)
        if token is not None:
            connection.set_provider_token(token)
        elif schedule.is_spoilt(first_used_at, current, now):
            self._let_go(link, connection, Cause.RETIRED, now)
        elif current is not None:
            # It was idle for as long as a token lasts. Another is being signed, and it may change.
            connection.withhold_provider_token()

    def _wind_up(self, now: float) -> None:
        """Everything is answered and the client is closing: let go of the connections."""
        for link in self._links:
            if link.connection is None:
                self._disconnect(link, Cause.CLOSED)
            else:
                self._let_go(link, link.connection, Cause.CLOSED, now)

    def _let_go(self, link: Link[T], connection: Connection[T], cause: Cause, now: float) -> None:
        """Let a connection end when it has answered what is in flight."""
        # To give up on a server is its doing, all else is ours.
        link.blamed = link.blamed or cause is not Cause.UNRESPONSIVE
        connection.retire(now, cause)
        self._collect(link, connection, now)

    def _disconnect(self, link: Link[T], cause: Cause, error: Exception | None = None) -> None:
        if not link.disconnecting:
            link.disconnecting = True
            # Nobody is there to take leave of.
            wait = 0.0 if cause is Cause.UNRESPONSIVE else self._config.disconnect_timeout
            self._commands.append(Disconnect(link.connection_id, cause, self._now + wait, error))

    def _drop_commands(self, connection_id: ConnectionId) -> None:
        """Take back commands, not yet drained, for a connection that is gone."""
        self._commands = [
            command
            for command in self._commands
            if isinstance(command, SignToken) or command.connection_id != connection_id
        ]


def _error_of(connection: Connection[T], event: ConnectionClosed) -> Exception | None:
    """Return what to tell people of an end that is the server's doing; None if it is not."""
    if event.error is not None or event.cause in _SILENCES:
        if not connection.settings_received:
            return ConnectFailed(str(event.error or event.cause.value))
        return event.error or TimeoutError(event.cause.value)
    if connection.gave_up:
        return ConnectionError("the server answered nothing but resets or errors for a while")
    return None


_SILENCES: Final = (Cause.NO_SETTINGS, Cause.UNRESPONSIVE)


def _is_due(at: float | None, now: float) -> bool:
    return at is not None and at <= now


_KEY_REASONS: Final = (Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN,)
"""Of `FATAL_GOAWAY_REASONS`, those that another key may be free of."""
# The server has judged the notification, or the device: the connection serves its purpose.
_VERDICTS: Final = frozenset((Disposition.FAIL, Disposition.FORGET_DEVICE))
