"""One connection to APNs, without I/O: streams, outcomes, keep-alive, draining."""

from typing import Final, Generic, TypeAlias, TypeVar, final

from apns_core.accounting import ConnectionState, StreamAccounting, Transition
from apns_core.answers import accepted, rejected, unanswered
from apns_core.clocks import Clocks
from apns_core.connection_config import DEFAULT_CONFIG, ConnectionConfig
from apns_core.connection_events import ConnectionClosed, Event, GoAwayReceived, LimitChanged
from apns_core.errors import ApiMisuse
from apns_core.field_blocks import FIELD_INDEXING, FieldBlocks
from apns_core.goaway import parse_debug_data
from apns_core.http2 import client as http2
from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.settings import PeerSettings
from apns_core.http2.stream import COMPLETE, LOST, MALFORMED, NOT_PROCESSED
from apns_core.outcomes import Cause, Outcome, Unprocessed
from apns_core.reasons import WEDGING_REASONS, Reason
from apns_core.requests.request import Request
from apns_core.requests.route import missing_topic
from apns_core.resets import Resets
from apns_core.tickets import ENDED, IN_FLIGHT, QUEUED, Submissions, Ticket
from apns_core.trust.provider_token import ProviderToken

__all__ = ["Connection"]

T = TypeVar("T")

_Raw: TypeAlias = Ticket[T] | LimitChanged | GoAwayReceived | ConnectionClosed

_RETIRE_AT_STREAM_ID: Final = 2**30
"""Half of the ids there are (RFC 9113 §5.1.1): reason enough to move on, none to hurry."""

_MAX_SERVER_ERRORS: Final = 3
"""InternalServerError in a row: APNs connections have been seen to answer nothing else for good."""

_TOKEN_REASONS: Final = frozenset(
    (
        Reason.EXPIRED_PROVIDER_TOKEN,
        Reason.INVALID_PROVIDER_TOKEN,
        Reason.MISSING_PROVIDER_TOKEN,
    )
)


@final
class Connection(Generic[T]):
    """The state machine of one connection, from the preface to its end.

    Inputs, ``now`` in monotonic seconds and never decreasing: `submit`, `cancel`,
    `set_provider_token`, `withhold_provider_token`, `receive_data`, `receive_eof`,
    `handle_timeout`, `observe`, `retire`, `close`. Outputs, to be drained after each input:
    `data_to_send`, `events`, `poll_timeout`. A missed drain delays, it never corrupts. Getters: the
    attributes and properties.

    What the server sends never raises. It becomes an event, or the outcome of a notification.

    ``authority`` is the value of `:authority` (`Endpoint.authority`). ``token_authentication`` says
    whether requests carry a provider token; it is False where TLS presents a certificate.
    ``submissions`` is a `Sender`'s shared queue: then deadlines, and the last word on what is
    unprocessed, are the Sender's, which takes `raw_events`. ``settings_by`` is the instant by which
    the server's SETTINGS must have come, if that is sooner than its configuration says.
    """

    def __init__(
        self,
        authority: bytes,
        *,
        now: float,
        token_authentication: bool = True,
        config: ConnectionConfig = DEFAULT_CONFIG,
        submissions: Submissions[T] | None = None,
        settings_by: float | None = None,
    ) -> None:
        self._config = config
        self._token_authentication = token_authentication
        self._owns_submissions = submissions is None
        self._submissions: Submissions[T] = Submissions() if submissions is None else submissions
        self._http = http2.Client(
            FIELD_INDEXING, now=now, header_table_size=config.header_table_size
        )
        self._blocks = FieldBlocks(self._http.encoder, authority)
        self._accounting = StreamAccounting(config.max_streams)
        self._events: list[_Raw[T]] = []
        self._now = now
        self.in_flight = 0
        """Notifications encoded and unanswered."""
        self.provider_token: ProviderToken | None = None
        self.token_first_used_at: float | None = None
        """When a request first carried `provider_token` here; monotonic seconds. It means nothing
        where certificates are used."""
        self._former_token: ProviderToken | None = None
        self._token_since = 0
        """The first stream id that `provider_token` is, or will be, used with."""
        self.responses = 0
        """How many requests have been answered with a status."""
        self.blocked = False
        """Whether the last `data_to_send` left something queued for want of capacity or window."""
        self.stalled = False
        """Whether it drains because requests went unanswered."""
        self.gave_up = False
        """Whether it drains because requests went unanswered, were reset, or met errors alone."""
        self.goaway: GoAwayReceived | None = None
        """The first that gave a reason, or else the first."""
        self._end_cause = Cause.CONNECTION_LOST
        self._clocks = Clocks(config, now=now, settings_by=settings_by)
        self._taking_events = False
        self._resets = Resets(config)
        self._server_errors = 0

    # ── inputs ──

    def submit(self, notification: Request, tag: T, now: float) -> Ticket[T]:
        """Queue a notification; it is bound to this connection when `data_to_send` encodes it.

        ``tag`` comes back with the outcome. Raises ApiMisuse on a connection that opens no more
        streams, and for an expiration given as a duration: only a `Sender` knows the date. Raises
        InvalidField for a route without a topic where provider tokens are used.
        """
        if self._token_authentication and notification.route.certificate_only:
            raise missing_topic()
        if notification.lifetime is not None:
            raise ApiMisuse("expiration: a connection knows no date to count a duration from")
        if self.state in _ENDING:
            raise ApiMisuse("this connection takes no more notifications")
        self.observe(now)
        return self._submissions.submit(notification, tag, now, now + self._config.request_timeout)

    def cancel(self, ticket: Ticket[T], now: float) -> None:
        """Withdraw a notification; no outcome follows. Free if it is not yet encoded.

        In flight, its stream is reset, and whether the server acts on it stays unknown. On a
        ticket that has its outcome it does nothing.
        """
        self.observe(now)
        if ticket.place == QUEUED:
            self._submissions.finish(ticket)
        elif ticket.place == IN_FLIGHT and ticket.connection is self:
            self._abandon(ticket)
            self._submissions.finish(ticket)
            self.in_flight -= 1
            self._close_if_drained()

    def set_provider_token(self, token: ProviderToken) -> None:
        """Use ``token`` from the next request on. Raises ApiMisuse where certificates are used."""
        if not self._token_authentication:
            raise ApiMisuse("this connection authenticates by certificate")
        if token is not self.provider_token:
            self.withhold_provider_token()
            self.provider_token = token
            self._blocks.set_authorization(token.authorization)

    def withhold_provider_token(self) -> None:
        """Send no request until another token is set: the one in use is too old."""
        if self.provider_token is not None:
            self._former_token = self.provider_token
            self._token_since = self._http.next_stream_id
        self.provider_token = None
        self.token_first_used_at = None

    def token_of(self, ticket: Ticket[T]) -> ProviderToken | None:
        """Return the provider token that a request which was answered just now has carried."""
        # No request outlives two changes: each token is used for 20 minutes (Apple).
        return self.provider_token if ticket.stream_id >= self._token_since else self._former_token

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what was read, in pieces of any size."""
        if not data:
            return
        self._now = now
        self._clocks.heard(now)
        self._http.receive_data(data, now)
        self._take_http_events()

    def receive_eof(self, now: float) -> None:
        """Note that nothing more will be read: closed, reset or cut, which is all the same here."""
        self._now = now
        self._http.receive_eof()
        self._take_http_events()

    def handle_timeout(self, now: float) -> None:
        """Do what `poll_timeout` announced. Calling it early or often does no harm."""
        self._now = now
        if self._owns_submissions:
            for ticket in self._submissions.expired(now):
                self.expire(ticket, now)
        if self.state is not ConnectionState.CLOSED:
            self._check_clocks(now)

    def observe(self, now: float) -> None:
        """Learn the time without any other input: requests encoded next count from it."""
        self._now = now

    def expire(self, ticket: Ticket[T], now: float) -> None:
        """End a ticket whose deadline has come with what is known of it."""
        self._now = now
        if ticket.place == QUEUED:
            outcome: Outcome[T] = Unprocessed(ticket.notification, ticket.tag, Cause.DEADLINE)
            self._submissions.end(ticket, outcome)
            self._events.append(ticket)
        elif ticket.place == IN_FLIGHT and ticket.connection is self:
            self._abandon(ticket)
            if ticket.status:
                # Half an answer, read long ago perhaps: no sign of life.
                clocks = self._clocks
                before = clocks.progress_at, clocks.waited
                self._on_response(ticket)
                clocks.progress_at, clocks.waited = before
            else:
                self._conclude(ticket, unanswered(ticket, Cause.DEADLINE))
            self._close_if_drained()

    def retire(self, now: float, cause: Cause = Cause.RETIRED) -> None:
        """Open no more streams, wait for those in flight, then close.

        What is queued here is `Unprocessed` at once, as it is when the server says GOAWAY.
        """
        self._now = now
        if self.state not in _ENDING:
            self._drain(cause)

    def close(self, now: float) -> None:
        """End at once. What is in flight is `Unknown`, what is queued here `Unprocessed`."""
        self._now = now
        if self.state is not ConnectionState.CLOSED:
            self._end(Cause.CLOSED)

    # ── outputs ──

    def data_to_send(self, max_bytes: int = 65_536) -> bytes:
        """Return bytes for the transport; requests are encoded now, not when they were submitted.

        No request is begun once ``max_bytes`` are reached, so the result may be longer by one.
        """
        http = self._http
        http.send_held_back(max_bytes)
        if self._submissions.queued:
            if self._accounting.limit > http.open_streams:
                self._open_streams(max_bytes)
            self.blocked = self._submissions.queued > 0 and not (self.capacity and http.window)
        else:
            self.blocked = False
        return http.data_to_send()

    def events(self) -> list[Event[T]]:
        """Return what has happened since the last call, in the order of the wire."""
        events: list[Event[T]] = []
        for event in self.raw_events():
            if type(event) is Ticket:
                outcome = event.outcome
                if outcome is not None:
                    self._submissions.finish(event)
                    events.append(outcome)
            else:
                events.append(event)
        return events

    def raw_events(self) -> list[_Raw[T]]:
        """Return the same with tickets in place of outcomes; the caller finishes or holds."""
        events, self._events = self._events, []
        return events

    def poll_timeout(self) -> float | None:
        """Return when `handle_timeout` is due, in monotonic seconds; None if never."""
        deadline = self._submissions.next_deadline() if self._owns_submissions else None
        if self.state is ConnectionState.CLOSED:
            return deadline
        instants = self._clocks.instants(
            awaits_settings=self.state is ConnectionState.AWAITING_SETTINGS,
            in_flight=self.in_flight,
            acknowledged=self._http.settings_acknowledged,
            stalled=self.stalled,
        )
        for instant in instants:
            if deadline is None or instant < deadline:
                deadline = instant
        return deadline

    # ── getters ──

    @property
    def state(self) -> ConnectionState:
        """Where the connection is in its life."""
        return self._accounting.state

    @property
    def capacity(self) -> int:
        """How many streams may be opened now."""
        return self._accounting.capacity(self._http.open_streams)

    @property
    def window(self) -> int:
        """Octets of payloads that may be sent now."""
        return self._http.window

    @property
    def limit(self) -> int:
        """How many streams may be open at once now."""
        return self._accounting.limit

    @property
    def has_events(self) -> bool:
        """Whether `events` would return any."""
        return bool(self._events)

    @property
    def window_blocked(self) -> bool:
        """Whether it was for want of window."""
        return self.blocked and not self._http.window

    @property
    def active_at(self) -> float:
        """When a request was last begun or answered here; monotonic seconds."""
        return self._clocks.progress_at

    @property
    def settings_received(self) -> bool:
        """Whether the server's SETTINGS have come, before which nothing is sent."""
        return self._http.settings_received

    @property
    def peer_settings(self) -> PeerSettings:
        """What the server has announced."""
        return self._http.peer

    # ── encoding ──

    def _open_streams(self, max_bytes: int) -> None:
        if self._token_authentication and self.provider_token is None:
            return
        http = self._http
        if self._is_unacknowledged(self._now):
            # It may have been idle for so long. Nothing is lost yet, and nothing shall be.
            self._end(Cause.NO_SETTINGS, ErrorCode.SETTINGS_TIMEOUT)
            return
        outbox = http.outbox
        first_stream_id = http.next_stream_id
        blocks = self._blocks
        submissions = self._submissions
        limited = self._field_list_is_limited()
        room = self._accounting.limit - http.open_streams
        # A body that meets the end of the window is sent in part: so the window is used up to its
        # last octet, and one notification at most waits with its stream open.
        while room > 0 and outbox.window > 0 and outbox.size < max_bytes:
            ticket = submissions.pull()
            if ticket is None:
                break
            request = ticket.request
            if limited and self._is_too_long(request):
                outcome = Unprocessed(ticket.notification, ticket.tag, Cause.LIMITS)
                submissions.end(ticket, outcome)
                self._events.append(ticket)
                continue
            ticket.connection = self
            ticket.attempts += 1
            if not self.in_flight:
                self._clocks.begun(self._now)
            self.in_flight += 1
            http.send_request(ticket, blocks.encode(request), request.payload)
            if ticket.unsent:
                http.send_held_back(max_bytes)
            room -= 1
        if self.token_first_used_at is None and http.next_stream_id > first_stream_id:
            self.token_first_used_at = self._now
        if http.next_stream_id >= _RETIRE_AT_STREAM_ID:
            self._drain(Cause.RETIRED)

    def _field_list_is_limited(self) -> bool:
        """Whether the server takes lists of fields (RFC 9113 §10.5.1) no longer than some are."""
        limit = self._http.peer.max_header_list_size
        return limit is not None and limit < self._blocks.largest_list

    def _is_too_long(self, request: Request) -> bool:
        limit = self._http.peer.max_header_list_size
        return limit is not None and limit < self._blocks.list_size(request)

    # ── what the server said ──

    def _take_http_events(self) -> None:
        http = self._http
        if not http.events:
            return
        events, http.events = http.events, []
        error: RemoteProtocolError | None = None
        self._taking_events = True
        for event in events:
            if type(event) is Ticket:
                # Optimisation (benchmark: receive): the most common case first.
                if event.end == COMPLETE:
                    self._on_response(event)  # pyright: ignore[reportUnknownArgumentType]
                else:
                    self._on_no_response(event)  # pyright: ignore[reportUnknownArgumentType]
                error = event.error
                continue
            # Drained by what came before? Had the rest come later, nobody would have read it. But
            # where the connection's end has ended streams, they come before it with its error.
            if type(event) is not http2.ConnectionEnded or event.error is not error:
                self._close_if_drained()
            if self.state is ConnectionState.CLOSED:
                break
            if type(event) is http2.SettingsReceived:
                self._on_settings(event.max_concurrent_streams)
            elif type(event) is http2.GoAwayReceived:
                self._on_goaway(event)
            elif type(event) is http2.ConnectionEnded:
                self._on_ended(event.error)
        self._taking_events = False
        self._close_if_drained()

    def _on_no_response(self, ticket: Ticket[T]) -> None:
        end = ticket.end
        if end == NOT_PROCESSED:
            self._conclude(ticket, Unprocessed(ticket.notification, ticket.tag, Cause.GOAWAY))
        elif end == MALFORMED:
            self._conclude(ticket, unanswered(ticket, Cause.MALFORMED))
        elif end == LOST:
            cause = self._end_cause if ticket.error is None else Cause.PROTOCOL_ERROR
            self._conclude(ticket, unanswered(ticket, cause))
        else:
            self._on_reset(ticket)

    def _on_response(self, ticket: Ticket[T]) -> None:
        clocks = self._clocks
        clocks.progress_at = self._now
        clocks.waited = 0.0
        self.responses += 1
        if ticket.status == _OK or ticket.status in ticket.notification.successes:
            self._server_errors = 0
            if self._accounting.state is _AUTH_PENDING:
                self._apply(Transition.ACCEPTED)
            self._conclude(ticket, accepted(ticket))
            return
        rejection = rejected(ticket)
        self._conclude(ticket, rejection)
        reason = rejection.reason
        if reason is Reason.INTERNAL_SERVER_ERROR:
            self._server_errors += 1
        else:
            self._server_errors = 0
        if reason in WEDGING_REASONS:
            self._drain(Cause.RETIRED)
        elif self._server_errors >= _MAX_SERVER_ERRORS:
            self._give_up(Cause.RETIRED)
        elif reason in _TOKEN_REASONS and self._token_authentication:
            self._apply(Transition.TOKEN_REFUSED)

    def _on_reset(self, ticket: Ticket[T]) -> None:
        refused = ticket.error_code == ErrorCode.REFUSED_STREAM
        if refused:
            # "The REFUSED_STREAM error code can be included in a RST_STREAM frame to indicate that
            # the stream is being closed prior to any processing having occurred" (RFC 9113 §8.7).
            outcome: Outcome[T] = Unprocessed(ticket.notification, ticket.tag, Cause.REFUSED_STREAM)
        else:
            outcome = unanswered(ticket, Cause.RESET)
        self._conclude(ticket, outcome)
        if refused and self.in_flight >= self.limit:
            # Caught by a limit that fell: APNs does this after a rejection, to hundreds at once.
            return
        if self._resets.are_too_many(self._now, self.responses):
            self._give_up(Cause.RESET)

    def _on_settings(self, max_concurrent_streams: int | None) -> None:
        limit = self._accounting.limit
        self._accounting.set_peer_limit(max_concurrent_streams)
        if self.state is ConnectionState.AWAITING_SETTINGS:
            self._accounting.apply(
                Transition.SETTINGS_TOKEN
                if self._token_authentication
                else Transition.SETTINGS_CERTIFICATE
            )
        self._report_limit(limit)

    def _on_goaway(self, event: http2.GoAwayReceived) -> None:
        info = parse_debug_data(event.debug_data)
        received = GoAwayReceived(event.last_stream_id, event.error_code, info.reason, info.text)
        # APNs sends the reason in the first of two; a proxy may send it in the second.
        if self.goaway is None or (self.goaway.text is None and received.text is not None):
            self.goaway = received
        self._events.append(received)
        self._drain(Cause.GOAWAY)

    def _on_ended(self, error: RemoteProtocolError | None) -> None:
        self._apply(Transition.ENDED)
        cause = self._end_cause
        if error is not None:
            cause = Cause.PROTOCOL_ERROR if self._http.speaks_http2 else Cause.NOT_HTTP2
        self._end_queued(cause)
        self._events.append(ConnectionClosed(cause, error))

    # ── ends ──

    def _abandon(self, ticket: Ticket[T]) -> None:
        """Give up on a stream, and not on learning whether the server still lives."""
        self._http.cancel(ticket)
        self._clocks.abandoned(self._now)

    def _conclude(self, ticket: Ticket[T], outcome: Outcome[T]) -> None:
        # Optimisation (benchmark: receive): `Submissions.end` for one that is in flight.
        ticket.place = ENDED
        ticket.connection = None
        ticket.outcome = outcome
        self._events.append(ticket)
        self.in_flight -= 1

    def _give_up(self, cause: Cause) -> None:
        self.gave_up = True
        self._drain(cause)

    def _drain(self, cause: Cause) -> None:
        if self.state is not ConnectionState.DRAINING:
            self._clocks.draining(self._now)
            self._end_cause = cause
        self._apply(Transition.RETIRED)
        self._end_queued(cause)
        if not self._taking_events:  # else that is seen to between the events
            self._close_if_drained()

    def _close_if_drained(self) -> None:
        if self.state is ConnectionState.DRAINING and not self.in_flight:
            self._end(self._end_cause)

    def _end(self, cause: Cause, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """End from our side: GOAWAY, then nothing; what is in flight gets its outcome."""
        self._end_cause = cause
        # From here on nothing that an answer says, such as a wedging reason, is the cause.
        self._apply(Transition.RETIRED)
        self._http.go_away(code)
        self._take_http_events()
        if self.state is not ConnectionState.CLOSED:
            # The peer was first: its end is among the events that are being taken just now.
            self._on_ended(None)

    def _end_queued(self, cause: Cause) -> None:
        """End what can never be encoded; in a shared queue it is for other connections."""
        if self._owns_submissions:
            for ticket in self._submissions.all_unfinished():
                if ticket.place == QUEUED:
                    outcome = Unprocessed(ticket.notification, ticket.tag, cause)
                    self._submissions.end(ticket, outcome)
                    self._events.append(ticket)

    def _apply(self, transition: Transition) -> None:
        limit = self._accounting.limit
        self._accounting.apply(transition)
        self._report_limit(limit)

    def _report_limit(self, before: int) -> None:
        if self._accounting.limit != before:
            self._events.append(LimitChanged(self._accounting.limit))

    # ── clocks ──

    def _check_clocks(self, now: float) -> None:
        clocks = self._clocks
        if self.state is ConnectionState.AWAITING_SETTINGS and clocks.unsettled(now):
            self._end(Cause.NO_SETTINGS, ErrorCode.SETTINGS_TIMEOUT)
        elif clocks.drained(now):
            self._end(self._end_cause)
        elif clocks.dead(now):
            self._end(Cause.UNRESPONSIVE)
        elif self.in_flight and self._is_unacknowledged(now):
            self._end(Cause.NO_SETTINGS, ErrorCode.SETTINGS_TIMEOUT)
        else:
            silent = clocks.silent(now, in_flight=self.in_flight)
            if self.in_flight and clocks.stalled(now):
                self.stalled = True
                self._give_up(Cause.UNRESPONSIVE)
            if silent:
                clocks.asked(now)
                self._http.ping()

    def _is_unacknowledged(self, now: float) -> bool:
        return not self._http.settings_acknowledged and self._clocks.unacknowledged(now)


_OK: Final = 200
_AUTH_PENDING: Final = ConnectionState.AUTH_PENDING
_ENDING: Final = (ConnectionState.DRAINING, ConnectionState.CLOSED)
