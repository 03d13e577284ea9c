"""The mistakes that the test-suite must notice, each beside the tests that do."""

from typing import Final, NamedTuple

__all__ = ["MUTANTS", "Mutant"]


class Mutant(NamedTuple):
    """One mistake: ``before`` stands exactly once in ``src/`` + ``file``."""

    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]


_HTTP2: Final = "tests/apns_core/http2"
_CORE: Final = "tests/apns_core"

MUTANTS: Final = (
    Mutant(
        "expiration: a duration ends a second too soon",
        "apns_core/requests/notification.py",
        "sent.expiration = ceil(unix_time) + self.lifetime",
        "sent.expiration = int(unix_time) + self.lifetime",
        (f"{_CORE}/requests/test_notification.py",),
    ),
    Mutant(
        "expiration: a duration bounds no attempt",
        "apns_core/retries.py",
        "expiration = ticket.request.expiration",
        "expiration = ticket.notification.expiration",
        (f"{_CORE}/test_sender_lifetimes.py",),
    ),
    Mutant(
        "topic: its absence passes with provider tokens",
        "apns_core/sender.py",
        "if self._schedule is not None and notification.route.certificate_only:",
        "if False:",
        (f"{_CORE}/test_sender_topics.py",),
    ),
    Mutant(
        "dead device tokens: one registered again is forgotten",
        "apns_core/outcomes.py",
        "return registered_at is None or dead_since is None or registered_at <= dead_since",
        "return True",
        (f"{_CORE}/test_outcomes.py",),
    ),
    Mutant(
        "goaway: the last stream it names is lost too",
        "apns_core/http2/client.py",
        "if stream_id <= last_stream_id:\n            break",
        "if stream_id < last_stream_id:\n            break",
        (f"{_HTTP2}/test_client_goaway.py",),
    ),
    Mutant(
        "goaway: its last-stream-id may grow",
        "apns_core/http2/client.py",
        "if self.going_away and last_stream_id > self._last_stream_id:",
        "if False:",
        (f"{_HTTP2}/test_client_goaway.py",),
    ),
    Mutant(
        "goaway: the second one's empty reason wins",
        "apns_core/connection.py",
        "self.goaway is None or (self.goaway.text is None and received.text is not None)",
        "True",
        (f"{_CORE}/test_connection_ending.py", "tests/regressions"),
    ),
    Mutant(
        "goaway: a fatal reason is tried again",
        "apns_core/sender.py",
        "self.failure = event.reason",
        "pass",
        (f"{_CORE}/test_sender_connecting.py",),
    ),
    Mutant(
        "credit: none for padding",
        "apns_core/http2/client.py",
        "octets = end - start\n",
        "octets = end - start - (data[start] + 1 if flags & frames.PADDED and end else 0)\n",
        (f"{_HTTP2}/test_client_credit.py",),
    ),
    Mutant(
        "credit: none on streams that are gone",
        "apns_core/http2/client.py",
        "if credit := self._received.receive(octets):",
        "if stream_id in self._streams and (credit := self._received.receive(octets)):",
        (f"{_HTTP2}/test_client_credit.py",),
    ),
    Mutant(
        "reset: the second one decides",
        "apns_core/http2/client.py",
        "(stream.error_code,) = _CODE.unpack_from(data, start)\n",
        "first = stream.error_code\n"
        "            (stream.error_code,) = _CODE.unpack_from(data, start)\n"
        "            if not first:\n"
        "                return\n",
        ("tests/regressions",),
    ),
    Mutant(
        "reset: a second one is an error",
        "apns_core/http2/client.py",
        'self._refuse_idle("RST_STREAM", stream_id)\n            self._glitch',
        'raise RemoteProtocolError(ErrorCode.PROTOCOL_ERROR, "x", "x")\n            self._glitch',
        ("tests/regressions",),
    ),
    Mutant(
        "reset: any code counts as refused",
        "apns_core/connection.py",
        "refused = ticket.error_code == ErrorCode.REFUSED_STREAM",
        "refused = True",
        (f"{_CORE}/test_connection_limits.py",),
    ),
    Mutant(
        "headers: not decoded on a stream that is gone",
        "apns_core/http2/client.py",
        "fields = decoder.decode(block)",
        "fields = decoder.decode(block) if stream else []",
        (f"{_HTTP2}/test_client_cancel.py",),
    ),
    Mutant(
        "headers: recognised though the table has changed",
        "apns_core/http2/response_shapes.py",
        "or (shape.takes and shape.generation != decoder.generation)",
        "or False",
        (f"{_HTTP2}/test_response_shapes.py",),
    ),
    Mutant(
        "headers: recognised with a value that is not looked at",
        "apns_core/http2/response_shapes.py",
        "value.translate(None, _VISIBLE) or",
        "False or",
        (f"{_HTTP2}/test_response_shapes.py",),
    ),
    Mutant(
        "hpack: what is recognised inserts nothing",
        "apns_core/http2/response_shapes.py",
        "if shape.inserted_size:",
        "if False:",
        (f"{_HTTP2}/test_response_shapes.py",),
    ),
    Mutant(
        "window: the connection's is not asked",
        "apns_core/http2/outbox.py",
        "0 < size <= self.window",
        "0 < size",
        (f"{_HTTP2}/test_client_requests.py",),
    ),
    Mutant(
        "window: a lowered initial window is ignored",
        "apns_core/http2/outbox.py",
        "return self._peer.initial_window_size + stream.credit",
        "return 65_535 + stream.credit",
        (f"{_HTTP2}/test_client_requests.py",),
    ),
    Mutant(
        "floods: CONTINUATION without end",
        "apns_core/http2/limits.py",
        "MAX_CONTINUATIONS: Final = 8",
        "MAX_CONTINUATIONS: Final = 10_000",
        (f"{_HTTP2}/test_client_floods.py",),
    ),
    Mutant(
        "hpack: the smallest table size is not announced",
        "apns_core/http2/hpack_encoder.py",
        "self._smallest_update is None or size < self._smallest_update",
        "self._smallest_update is None",
        (f"{_HTTP2}/test_hpack_encoder.py",),
    ),
    Mutant(
        "hpack: an index beyond the table is the last entry",
        "apns_core/http2/hpack_decoder.py",
        "if index == 0 or dynamic > len(self._entries):",
        "if index == 0:",
        (f"{_HTTP2}/test_hpack_decoder.py",),
    ),
    Mutant(
        "accounting: many streams before the token is accepted",
        "apns_core/accounting.py",
        "limit = min(limit, 1)",
        "pass",
        (f"{_CORE}/test_accounting.py",),
    ),
    Mutant(
        "accounting: any answer proves the token",
        "apns_core/connection.py",
        "if ticket.status == _OK or ticket.status in ticket.notification.successes:\n"
        "            self._server_errors = 0",
        "if self._accounting.state is ConnectionState.AUTH_PENDING:\n"
        "            self._apply(Transition.ACCEPTED)\n"
        "        if ticket.status == _OK:\n            self._server_errors = 0",
        (f"{_CORE}/test_connection_opening.py",),
    ),
    Mutant(
        "outcomes: a timeout is called unprocessed",
        "apns_core/answers.py",
        "if ticket.end_stream_sent:",
        "if ticket.end_stream_sent and cause is not Cause.DEADLINE:",
        (f"{_CORE}/test_connection_ending.py", f"{_CORE}/test_connection_clocks.py"),
    ),
    Mutant(
        "clocks: no PING when nothing is read",
        "apns_core/connection.py",
        "self._http.ping()",
        "pass",
        (f"{_CORE}/test_connection_clocks.py",),
    ),
    Mutant(
        "retries: what is unknown is sent again",
        "apns_core/retries.py",
        "allowed = self._on_unknown is OnUnknown.RESEND or (",
        "allowed = True or (",
        (f"{_CORE}/test_retries.py",),
    ),
    Mutant(
        "retries: past the deadline",
        "apns_core/retries.py",
        "if at is None or at >= ticket.deadline:",
        "if at is None:",
        (f"{_CORE}/test_retries.py",),
    ),
    Mutant(
        "retries: without a budget",
        "apns_core/retries.py",
        "self._budget -= BUDGET_COST",
        "pass",
        (f"{_CORE}/test_retries.py",),
    ),
    Mutant(
        "backoff: without jitter",
        "apns_core/backoff.py",
        "self._rng.uniform(-self._jitter, self._jitter)",
        "0.0",
        (f"{_CORE}/test_backoff.py",),
    ),
    Mutant(
        "backoff: forgiven by SETTINGS",
        "apns_core/links.py",
        "if link.judged or link.blamed:",
        "if link.connection is not None:",
        (f"{_CORE}/test_sender_connecting.py",),
    ),
    Mutant(
        "backoff: none from a server that answers the first request alone",
        "apns_core/relapses.py",
        "self.until = self._noted_until = self._backoff.failed(now)",
        "self._noted_until = self._backoff.failed(now)",
        (f"{_CORE}/test_sender_relapses.py",),
    ),
    Mutant(
        "backoff: not forgiven by what serves well and then fails",
        "apns_core/relapses.py",
        "or judged >= SERVED_WELL",
        "",
        (f"{_CORE}/test_sender_relapses.py",),
    ),
    Mutant(
        "backoff: an extra connection that fails holds up all",
        "apns_core/links.py",
        "return any(other.usable and other is not link for other in self.by_id.values())",
        "return False",
        (f"{_CORE}/test_sender_connecting.py",),
    ),
    Mutant(
        "clocks: what was given up long ago counts",
        "apns_core/clocks.py",
        "if is_long_ago and self._abandoned_in_a_row < _MANY:",
        "if False:",
        (f"{_CORE}/test_connection_clocks.py",),
    ),
    Mutant(
        "clocks: several given up in a row do not count",
        "apns_core/clocks.py",
        "if is_long_ago and self._abandoned_in_a_row < _MANY:",
        "if is_long_ago:",
        (f"{_CORE}/test_connection_clocks.py",),
    ),
    Mutant(
        "settings: requests go although they are overdue",
        "apns_core/connection.py",
        "if self._is_unacknowledged(self._now):",
        "if False:",
        (f"{_CORE}/test_connection_opening.py",),
    ),
    Mutant(
        "tokens: changed after 19 minutes",
        "apns_core/trust/provider_token.py",
        "MINIMUM_INTERVAL: Final = 20 * 60.0",
        "MINIMUM_INTERVAL: Final = 18 * 60.0",
        (f"{_CORE}/trust/test_provider_token.py",),
    ),
    Mutant(
        "tickets: a cancelled one still counts as queued",
        "apns_core/tickets.py",
        "if ticket.place == QUEUED:\n            self._leave_queue()\n        ticket.place = DONE",
        "ticket.place = DONE",
        (f"{_CORE}/test_tickets.py",),
    ),
    Mutant(
        "secrets: a device token in a repr",
        "apns_core/requests/notification.py",
        "sha256:{fingerprint}",
        "{self.device_token} {fingerprint}",
        (f"{_CORE}/test_secrets.py",),
    ),
)
