"""One HTTP/2 connection that carries one request or none, and an account of all that was seen.

The protocol is the engine's (`apns_core.http2`); `Exchange` adds no rule to it, does no I/O and
reads no clock. `converse` drives it over a `Wire`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from time import monotonic
from typing import Final, final

from apns_cli.wire import Wire
from apns_core.http2 import client as http2
from apns_core.http2 import frames, stream
from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.hpack_decoder import Field

__all__ = ["Ending", "Exchange", "Request", "Seen", "converse"]

MAX_KEPT: Final = 100
"""SETTINGS and GOAWAY frames that are told of one by one, of each kind the first; all count."""

CHUNK: Final = 65_536
"""Octets of a body that are framed at once."""

FAREWELL: Final = 1.0
"""Seconds for our GOAWAY to be read, and for the peer to close as well."""


@final
@dataclass(frozen=True, slots=True)
class Request:
    """What to ask: a field list with its pseudo-header fields, and a body."""

    fields: tuple[Field, ...] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@final
class Ending(Enum):
    """What came of it. The first that is true holds."""

    PROTOCOL_ERROR = "protocol_error"
    """The peer broke a rule, of the connection or on the stream, before a response or after."""
    RESPONSE = "response"
    """A final status was read."""
    RESET = "reset"
    """RST_STREAM came in place of a response."""
    REFUSED = "goaway"
    """GOAWAY came, and with it that the request was not, or would not be, acted on."""
    CLOSED = "closed"
    """The connection was closed without a response."""
    TIMEOUT = "timeout"
    """Nothing came in time."""
    GREETED = "greeted"
    """SETTINGS came, and nothing was asked."""


@final
@dataclass(slots=True)
class Seen:
    """What a peer did on the connection."""

    settings: list[tuple[tuple[int, int], ...]] = field(
        default_factory=list[tuple[tuple[int, int], ...]]
    )
    """The entries of each SETTINGS frame, as they came."""
    settings_count: int = 0
    goaways: list[http2.GoAwayReceived] = field(default_factory=list[http2.GoAwayReceived])
    goaway_count: int = 0
    pings_answered: int = 0
    goaway_sent: int | None = None
    """The error code of ours."""
    error: RemoteProtocolError | None = None
    """The rule of the connection that it broke."""
    closed: bool = False
    """Whether it closed first."""
    timed_out: bool = False


@final
class Exchange:
    """Inputs: `receive_data`, `receive_eof`, `time_out`, `close`. Output: `data_to_send`."""

    def __init__(self, request: Request | None, *, now: float) -> None:
        # Nothing is sent twice, so nothing is worth an entry in the peer's table.
        self._client = http2.Client({}, now=now)
        self._request = request
        self._sent = False
        self._preface_sent = False
        self.stream = stream.Stream()
        """The request's; it has ended when `stream.end` says so."""
        self.seen = Seen()
        self._cut_short = False

    # ── inputs ──

    def receive_data(self, data: bytes, now: float) -> None:
        """Take what was read."""
        self._client.receive_data(data, now)
        self._take_events()

    def receive_eof(self) -> None:
        """Take note that the peer sends no more."""
        self.seen.closed = True
        self._client.receive_eof()
        self._take_events()

    def time_out(self) -> None:
        """Wait no longer for a response."""
        self.seen.timed_out = True
        if self._sent:
            self._client.cancel(self.stream)

    def close(self) -> None:
        """Say GOAWAY, unless the connection is at its end already."""
        self._client.go_away()
        self._client.events.clear()

    # ── output ──

    def data_to_send(self) -> bytes:
        """Return what is to be written; the request once the peer admits it."""
        client = self._client
        if self._request is not None and not self._sent and self._admitted:
            self._sent = True
            block = client.encoder.encode(self._request.fields)
            client.send_request(self.stream, block, self._request.body)
        client.send_held_back(CHUNK)
        data = client.data_to_send()
        self._count_sent(data)
        return data

    # ── getters ──

    @property
    def answered(self) -> bool:
        """Whether all that was waited for has come, in whatever form."""
        if self._request is None:
            return self._client.settings_received
        return self.stream.end != stream.OPEN or (self._client.going_away and not self._sent)

    @property
    def closed(self) -> bool:
        """Whether nothing more can come."""
        return self._client.closed

    @property
    def settings_acknowledged(self) -> bool:
        """Whether the peer has acknowledged our SETTINGS."""
        return self._client.settings_acknowledged

    @property
    def waits_for(self) -> str:
        """What the request, or its response, waits for."""
        if not self._client.settings_received:
            return "SETTINGS"
        if not self._sent:
            return "a stream limit above 0"
        if not self.stream.end_stream_sent:
            return "a flow-control window"
        return "the rest of the response" if self.stream.status else "a response"

    @property
    def error(self) -> RemoteProtocolError | None:
        """The rule that the peer broke, of the connection or on the stream."""
        return self.seen.error or self.stream.error

    @property
    def body_complete(self) -> bool:
        """Whether the response's body was read to its end."""
        response = self.stream
        kept_whole = len(response.body) < response.max_body
        sent_whole = not (response.error_code or response.error or self._cut_short)
        return response.end == stream.COMPLETE and kept_whole and sent_whole

    @property
    def ending(self) -> Ending:
        """What came of it so far."""
        if self.error is not None:
            return Ending.PROTOCOL_ERROR
        if self.stream.status:
            return Ending.RESPONSE
        if self.stream.end == stream.RESET:
            return Ending.RESET
        if self.stream.end == stream.NOT_PROCESSED or (self._client.going_away and not self._sent):
            return Ending.REFUSED
        if self._request is None and self._client.settings_received:
            return Ending.GREETED
        return Ending.CLOSED if self.seen.closed else Ending.TIMEOUT

    # ── helpers ──

    @property
    def _admitted(self) -> bool:
        client = self._client
        limit = client.peer.max_concurrent_streams
        ready = client.settings_received and not client.going_away and not client.closed
        return ready and (limit is None or limit > 0)

    def _take_events(self) -> None:
        seen = self.seen
        for event in self._client.events:
            match event:
                case http2.SettingsReceived():
                    seen.settings_count += 1
                    if len(seen.settings) < MAX_KEPT:
                        seen.settings.append(event.entries)
                case http2.GoAwayReceived():
                    seen.goaway_count += 1
                    if len(seen.goaways) < MAX_KEPT:
                        seen.goaways.append(event)
                case http2.ConnectionEnded(error):
                    seen.error = error
                case stream.Stream():
                    # Ended by the end of the connection, not by END_STREAM.
                    self._cut_short = self._client.closed and seen.closed
                case http2.PingAcknowledged():
                    pass
        self._client.events.clear()

    def _count_sent(self, data: bytes) -> None:
        for kind, flags, payload in self._whole_frames(data):
            if kind == frames.PING and flags & frames.ACK:
                self.seen.pings_answered += 1
            elif kind == frames.GOAWAY:
                self.seen.goaway_sent = int.from_bytes(payload[4:8])

    def _whole_frames(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Read our own output, which is in whole frames."""
        position = 0
        if data and not self._preface_sent:
            self._preface_sent = True
            position = len(frames.PREFACE)
        while position < len(data):
            high, low, kind, flags, _ = frames.FRAME_HEAD.unpack_from(data, position)
            start = position + frames.FRAME_HEAD_SIZE
            position = start + (high << 8 | low)
            yield kind, flags, data[start:position]


def converse(wire: Wire, exchange: Exchange, *, timeout: float, linger: float) -> None:
    """Have the exchange over a wire, and close it, both in order.

    Waits ``timeout`` seconds for what is asked for. Then stays for ``linger`` seconds more, answers
    what the peer asks, and sees what it does, until it closes. The request is sent once; nothing is
    tried again.
    """
    deadline = monotonic() + timeout
    lingering = False
    try:
        while not exchange.closed:
            if exchange.answered and not lingering:
                lingering = True
                deadline = monotonic() + linger
            # Only what the peer reads is written: what it provokes waits in the engine, which has a
            # bound for it.
            if not wire.unsent:
                wire.write(exchange.data_to_send())
            try:
                data = wire.turn(deadline)
            except TimeoutError:
                if not lingering:
                    exchange.time_out()
                break
            if data:
                exchange.receive_data(data, monotonic())
            if wire.ended:
                exchange.receive_eof()
        exchange.close()
        wire.write(exchange.data_to_send())
    finally:
        wire.finish(monotonic() + FAREWELL)
