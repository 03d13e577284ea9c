"""One HTTP/2 connection of a client that sends small requests (RFC 9113), without I/O.

Bytes of the server go in by `receive_data`; `events` then holds, in the order of the wire, each
`Stream` that has ended and each `SettingsReceived`, `GoAwayReceived`, `PingAcknowledged` and
`ConnectionEnded`. Requests go in by `send_request`; `data_to_send` hands out the bytes. What the
server sends never raises: a broken rule ends its stream or the connection, and says which rule.

One object a request: the caller makes a `Stream` (or a subclass with fields of its own), the
client fills it in and gives the same object back.
"""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from struct import Struct
from typing import Final, TypeAlias, final

from apns_core.http2 import frames
from apns_core.http2.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from apns_core.http2.flow_control import ReceiveWindow
from apns_core.http2.hpack_decoder import Field, HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder, Indexing
from apns_core.http2.limits import (
    MAX_BLOCK_SIZE,
    MAX_BODY_SIZE,
    MAX_CONTINUATIONS,
    MAX_EMPTY_DATA,
    MAX_HEADER_LIST,
    MAX_INFORMATIONAL,
    MAX_RESET_MEMORY,
    MAX_UNSENT_REPLIES,
    GlitchBudget,
    window_updates_allowed,
)
from apns_core.http2.responses import MalformedResponse, content_length, final_status, trailers
from apns_core.http2.settings import (
    DEFAULT_HEADER_TABLE_SIZE,
    DEFAULT_MAX_FRAME_SIZE,
    DEFAULT_WINDOW_SIZE,
    ENABLE_PUSH,
    HEADER_TABLE_SIZE,
    INITIAL_WINDOW_SIZE,
    MAX_HEADER_LIST_SIZE,
    MAX_WINDOW_SIZE,
    SETTINGS_ACK,
    PeerSettings,
    parse_settings,
)
from apns_core.http2.stream import COMPLETE, LOST, MALFORMED, NOT_PROCESSED, RESET, Stream

__all__ = [
    "Client",
    "ConnectionEnded",
    "Event",
    "GoAwayReceived",
    "PingAcknowledged",
    "SettingsReceived",
]

_HIGHEST_STREAM_ID: Final = 2**31 - 1
_CODE: Final = Struct(">I")
_GOAWAY_FIELDS: Final = Struct(">II")


@final
@dataclass(slots=True)
class SettingsReceived:
    """The peer's SETTINGS were applied; `Client.peer` holds them."""


@final
@dataclass(slots=True)
class GoAwayReceived:
    """The peer will take no more requests (§6.8). Streams up to ``last_stream_id`` go on."""

    last_stream_id: int
    error_code: int
    debug_data: bytes


@final
@dataclass(slots=True)
class PingAcknowledged:
    """The answer to `Client.ping` came."""


@final
@dataclass(slots=True)
class ConnectionEnded:
    """Nothing more comes. ``error`` is the rule that the peer broke, None for an end of file."""

    error: RemoteProtocolError | None


Event: TypeAlias = Stream | SettingsReceived | GoAwayReceived | PingAcknowledged | ConnectionEnded


@final
class Client:
    """The client's side of one HTTP/2 connection.

    Inputs, each with ``now`` in monotonic seconds where time matters: `receive_data`,
    `receive_eof`, `send_request`, `cancel`, `ping`, `go_away`. Outputs: `events` (take and clear
    the list), `send_held_back` and `data_to_send`. Drain them after an input; a missed drain only
    delays.
    """

    def __init__(
        self,
        policy: Mapping[bytes, Indexing],
        *,
        now: float,
        header_table_size: int = DEFAULT_HEADER_TABLE_SIZE,
    ) -> None:
        """``policy`` is the encoder's; ``header_table_size`` is what the server may use."""
        self.peer = PeerSettings()
        self.encoder = HpackEncoder(policy)
        self.events: list[Event] = []
        self.settings_received = False
        """Whether the server's first SETTINGS have come: no request may go before them."""
        self.closed = False
        """True once the connection has ended; further input is not looked at."""
        self.going_away = False
        """True once a GOAWAY has come: no request may follow."""
        self.next_stream_id = 1
        self.window = DEFAULT_WINDOW_SIZE
        """Octets of DATA that may be sent on the connection; never negative."""
        self.open_streams = 0
        """Streams that the peer may still count as open, cancelled ones included."""
        self._streams: dict[int, Stream] = {}
        self._decoder = HpackDecoder(
            # Until it has acknowledged our SETTINGS the server may use the default.
            max_table_size=DEFAULT_HEADER_TABLE_SIZE,
            max_list_size=MAX_HEADER_LIST,
        )
        self._header_table_size = header_table_size
        self._received = ReceiveWindow(DEFAULT_WINDOW_SIZE)
        self._glitches = GlitchBudget(now)
        self._now = now
        self._output: list[bytes] = [
            frames.PREFACE,
            frames.settings(
                (
                    (HEADER_TABLE_SIZE, header_table_size),
                    (ENABLE_PUSH, 0),
                    (INITIAL_WINDOW_SIZE, DEFAULT_WINDOW_SIZE),
                    (MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST),
                )
            ),
        ]
        self._output_size = sum(map(len, self._output))
        self._unsent_replies = 0
        # Streams with unsent octets and a window above 0, and no others: by id, first come first.
        self._sendable: OrderedDict[int, Stream] = OrderedDict()
        self._held_back_frames = 0
        self._window_updates = 0
        self._partial = bytearray()
        self._needed = 0
        self._block_stream = 0
        self._block_flags = 0
        self._block: list[bytes] = []
        self._settings_unacknowledged = 1
        self._last_stream_id = _HIGHEST_STREAM_ID
        self._ping_payload = 0
        self._ping_outstanding = False
        # Ids, not streams: a cancelled stream belongs to its caller again.
        self._abandoned: set[int] = set()
        self._abandoned_before_ping: set[int] = set()
        self._reset_ids: OrderedDict[int, None] = OrderedDict()
        self._promises: list[ReceiveWindow] = []

    # ── inputs ──

    def send_request(self, stream: Stream, block: bytes, body: bytes) -> None:
        """Open ``stream`` with a field block of this connection's encoder, and send its body.

        What flow control holds back of the body follows by itself. The caller keeps to the
        peer's stream limit, and asks only where `settings_received` and not `going_away`.
        """
        if not self.settings_received or self.going_away or self.closed:
            raise LocalProtocolError("no request may be sent on this connection now")
        stream_id = self.next_stream_id
        if stream_id > _HIGHEST_STREAM_ID:
            raise LocalProtocolError("the stream ids of this connection are used up")
        self.next_stream_id = stream_id + 2
        stream.stream_id = stream_id
        self._streams[stream_id] = stream
        self.open_streams += 1
        size = len(body)
        length = len(block)
        if (
            0 < size <= self.window
            and size <= self.peer.initial_window_size
            and size <= self.peer.max_frame_size
            and length <= self.peer.max_frame_size
        ):
            # Optimisation (benchmark: send): both frames at once, where nothing holds them back.
            self._output += (
                _HEAD(length >> 8, length & 0xFF, frames.HEADERS, frames.END_HEADERS, stream_id),
                block,
                _HEAD(size >> 8, size & 0xFF, frames.DATA, frames.END_STREAM, stream_id),
                body,
            )
            self._output_size += length + size + 18
            self.window -= size
            stream.credit = -size
            stream.end_stream_sent = True
        else:
            self._send_headers(stream, block, end_stream=not size)
            if size:
                stream.unsent = body
                if self.peer.initial_window_size > 0:
                    self._sendable[stream_id] = stream
            else:
                stream.end_stream_sent = True

    def cancel(self, stream: Stream) -> None:
        """Reset an open stream (CANCEL). No event follows; it stays open until the peer knows.

        Until a frame that ends it, or the answer to a PING sent after the reset, the stream
        counts in `open_streams`: the server may still be counting it. A stream that is not open
        on this connection is left alone.
        """
        stream_id = stream.stream_id
        if self._streams.get(stream_id) is not stream:
            return
        del self._streams[stream_id]
        stream.abandoned = True
        self._drop_unsent(stream)
        self._reset(stream_id, ErrorCode.CANCEL)
        self._abandoned.add(stream_id)
        self.ping()

    def ping(self) -> None:
        """Send a PING unless one is unanswered; `PingAcknowledged` follows its answer."""
        if self._ping_outstanding or self.closed:
            return
        self._ping_outstanding = True
        self._abandoned_before_ping, self._abandoned = self._abandoned, set()
        self._ping_payload += 1
        self._queue(frames.ping(self._ping_payload.to_bytes(8)))

    def go_away(self, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """End the connection from our side: GOAWAY is queued, every open stream is `LOST`."""
        if not self.closed:
            # We have processed no stream of the server's: push is off.
            self._queue(frames.goaway(0, code))
            self._end(None)

    def receive_eof(self) -> None:
        """The transport will deliver nothing more."""
        if not self.closed:
            self._end(None)

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes as they come, cut anywhere. Look into `events` afterwards."""
        if self.closed:
            return
        self._now = now
        if self._partial:
            if len(self._partial) + len(data) < self._needed:
                self._partial += data
                return
            data = bytes(self._partial) + data
            self._partial.clear()
        try:
            position = self._frames(data)
        except RemoteProtocolError as error:
            self._fail(error)
            return
        if position < len(data):
            self._partial += data[position:]

    # ── outputs ──

    def send_held_back(self, max_bytes: int) -> None:
        """Frame what the windows have come to allow of bodies, up to ``max_bytes`` of output."""
        if self._sendable and self.window > 0:
            self._flush_bodies(max_bytes)

    def data_to_send(self) -> bytes:
        """Return and forget all that is framed."""
        output = b"".join(self._output)
        self._output.clear()
        self._output_size = 0
        self._unsent_replies = 0
        if self._promises:
            for window in self._promises:
                window.handed_out()
            self._promises.clear()
        return output

    # ── getters ──

    @property
    def output_size(self) -> int:
        """Octets that `data_to_send` would return."""
        return self._output_size

    @property
    def window_blocked(self) -> bool:
        """Whether body octets wait for the connection's window and for nothing else."""
        return bool(self._sendable) and not self.window

    @property
    def settings_acknowledged(self) -> bool:
        """Whether the peer has acknowledged our SETTINGS (§6.5.3)."""
        return not self._settings_unacknowledged

    @property
    def unreturned_credit(self) -> int:
        """Octets received on the connection and not yet credited back; at most half a window."""
        return self._received.unreturned

    # ── frames ──

    def _frames(self, data: bytes) -> int:
        """Handle the whole frames of ``data``; return where the unfinished one starts."""
        position = 0
        end = len(data)
        while end - position >= frames.FRAME_HEAD_SIZE:
            high, low, kind, flags, stream_id = _READ_HEAD(data, position)
            length = high << 8 | low
            stream_id &= _HIGHEST_STREAM_ID
            if not self.settings_received:
                self._check_first_frame(kind, flags, data)
            if length > DEFAULT_MAX_FRAME_SIZE:
                raise RemoteProtocolError(
                    ErrorCode.FRAME_SIZE_ERROR,
                    f"a frame of {length} octets",
                    "RFC 9113 §4.2",
                    stream_id,
                )
            start = position + frames.FRAME_HEAD_SIZE
            position = start + length
            if position > end:
                self._needed = frames.FRAME_HEAD_SIZE + length
                return start - frames.FRAME_HEAD_SIZE
            if self._block_stream and (
                kind != frames.CONTINUATION or stream_id != self._block_stream
            ):
                raise RemoteProtocolError(
                    ErrorCode.PROTOCOL_ERROR,
                    f"a frame of type {kind} within a field block",
                    "RFC 9113 §4.3",
                    self._block_stream,
                )
            if kind < len(frames.FRAME_RULES):
                frames.FRAME_RULES[kind].check(stream_id, length)
                self._handlers[kind](self, flags, stream_id, data, start, position)
            else:
                # "Implementations MUST ignore and discard frames of unknown types" (§4.1).
                self._glitch("frames of unknown types")
        self._needed = frames.FRAME_HEAD_SIZE
        return position

    def _check_first_frame(self, kind: int, flags: int, data: bytes) -> None:
        # "The server connection preface consists of a potentially empty SETTINGS frame (Section
        # 6.5) that MUST be the first frame the server sends in the HTTP/2 connection" (§3.4).
        if kind == frames.SETTINGS and not flags & frames.ACK:
            return
        problem = "HTTP/1 text" if data.startswith(b"HTTP/") else "no SETTINGS frame"
        raise RemoteProtocolError(
            ErrorCode.PROTOCOL_ERROR,
            f"the server speaks no HTTP/2: {problem} first",
            "RFC 9113 §3.4",
        )

    def _on_data(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        octets = end - start
        # Counted before anything is asked of the stream: the connection's window knows no streams.
        if credit := self._received.receive(octets):
            self._return_credit(0, self._received, credit)
        start, end = frames.unpadded("DATA", flags, data, start, end)
        stream = self._streams.get(stream_id)
        ends = flags & frames.END_STREAM
        if stream is None:
            self._late_frame("DATA", stream_id, ends)
            return
        if start == end and not ends:
            stream.empty_data += 1
            if stream.empty_data > MAX_EMPTY_DATA:
                raise RemoteProtocolError(
                    ErrorCode.ENHANCE_YOUR_CALM,
                    "a flood of empty DATA",
                    "RFC 9113 §10.5",
                    stream_id,
                )
        else:
            stream.empty_data = 0
        if not stream.status:
            self._stream_error(
                stream,
                RemoteProtocolError(
                    ErrorCode.PROTOCOL_ERROR, "DATA before HEADERS", "RFC 9113 §8.1", stream_id
                ),
            )
            return
        if stream.received is None:
            stream.received = ReceiveWindow(DEFAULT_WINDOW_SIZE)
        try:
            credit = stream.received.receive(octets, stream_id)
        except RemoteProtocolError as error:
            self._stream_error(stream, error)
            return
        if start < end:
            stream.body += data[start : min(end, start + MAX_BODY_SIZE - len(stream.body))]
            if stream.expected_length is not None:
                stream.expected_length -= end - start
        if ends:
            self._finish(stream)
        elif len(stream.body) >= MAX_BODY_SIZE:
            self._answer_complete(stream)
        elif credit:
            self._return_credit(stream_id, stream.received, credit)

    def _on_headers(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        if flags & (frames.PADDED | frames.PRIORITY_FIELDS):
            start, end = frames.unpadded("HEADERS", flags, data, start, end)
        if flags & frames.END_HEADERS:
            self._on_block(stream_id, data[start:end], flags)
        else:
            self._block_stream = stream_id
            self._block_flags = flags
            self._block = [data[start:end]]

    def _on_continuation(
        self, flags: int, stream_id: int, data: bytes, start: int, end: int
    ) -> None:
        if not self._block_stream:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR,
                "CONTINUATION without a field block",
                "RFC 9113 §6.10",
                stream_id,
            )
        self._block.append(data[start:end])
        if len(self._block) > MAX_CONTINUATIONS + 1 or sum(map(len, self._block)) > MAX_BLOCK_SIZE:
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM,
                "a field block without end",
                "RFC 9113 §10.5.1",
                stream_id,
            )
        if flags & frames.END_HEADERS:
            block = b"".join(self._block)
            self._block = []
            self._block_stream = 0
            self._on_block(stream_id, block, self._block_flags)

    def _on_block(self, stream_id: int, block: bytes, flags: int) -> None:
        # "An endpoint receiving HEADERS, PUSH_PROMISE, or CONTINUATION frames needs to reassemble
        # field blocks and perform decompression even if the frames are to be discarded" (§4.3).
        fields = self._decoder.decode(block)
        stream = self._streams.get(stream_id)
        ends = flags & frames.END_STREAM
        if stream is None:
            self._late_frame("HEADERS", stream_id, ends)
        else:
            try:
                if stream.status:
                    trailers(fields, ends=bool(ends))
                    self._finish(stream)
                else:
                    self._on_response(stream, fields, ends)
            except MalformedResponse as malformed:
                self._stream_error(
                    stream,
                    RemoteProtocolError(
                        malformed.code, malformed.problem, malformed.section, stream_id
                    ),
                )

    def _on_response(self, stream: Stream, fields: list[Field], ends: int) -> None:
        status = final_status(fields, ends=bool(ends))
        if status is None:
            stream.informational += 1
            if stream.informational > MAX_INFORMATIONAL:
                raise MalformedResponse(
                    "more informational responses than can be meant",
                    "RFC 9113 §10.5",
                    ErrorCode.ENHANCE_YOUR_CALM,
                )
            return
        stream.status = status
        stream.fields = fields
        # Optimisation (benchmark: receive): an accepted push has a status, an id and no body.
        if not ends or len(fields) > 2 or fields[-1][0] == b"content-length":
            stream.expected_length = content_length(fields)
        if ends:
            self._finish(stream)

    def _on_priority(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del flags, stream_id, data, start, end
        self._glitch("PRIORITY frames")

    def _on_rst_stream(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del flags, end
        stream = self._streams.get(stream_id)
        if stream is None:
            # APNs resets a stream that fell victim to a lower limit twice, with codes 7 and 5;
            # nginx resets one that it has answered before it has read the request's body.
            self._refuse_idle("RST_STREAM", stream_id)
            self._glitch("RST_STREAM on closed streams")
            self._close_abandoned(stream_id)
        else:
            (stream.error_code,) = _CODE.unpack_from(data, start)
            # A final status decides, even if its body never comes.
            self._close_stream(stream, COMPLETE if stream.status else RESET)

    def _on_settings(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del stream_id
        if flags & frames.ACK:
            self._on_settings_ack(end - start)
            return
        entries = parse_settings(data[start:end])
        was = self.peer.initial_window_size
        self.peer.apply(entries)
        self.settings_received = True
        for identifier, value in entries:
            # One by one: the encoder owes the peer the smallest of several (RFC 7541 §4.2).
            if identifier == HEADER_TABLE_SIZE:
                self.encoder.set_peer_limit(value)
        cost = 1
        if self.peer.initial_window_size != was:
            cost += len(self._streams) // _STREAMS_A_GLITCH
            self._adjust_windows()
        self._reply(SETTINGS_ACK)
        self._glitch("SETTINGS frames", cost)
        self.events.append(SettingsReceived())

    def _adjust_windows(self) -> None:
        """Apply a new initial window to all open streams, some of which may go on or must wait."""
        self._sendable.clear()
        for stream_id, stream in self._streams.items():
            window = self._stream_window(stream)
            # "An endpoint MUST treat a change to SETTINGS_INITIAL_WINDOW_SIZE that causes any
            # flow-control window to exceed the maximum size as a connection error (Section 5.4.1)
            # of type FLOW_CONTROL_ERROR" (§6.9.2).
            if window > MAX_WINDOW_SIZE:
                raise RemoteProtocolError(
                    ErrorCode.FLOW_CONTROL_ERROR,
                    "an initial window that takes a stream's beyond 2^31-1",
                    "RFC 9113 §6.9.2",
                    stream_id,
                )
            if stream.unsent and window > 0:
                self._sendable[stream_id] = stream

    def _on_settings_ack(self, length: int) -> None:
        if length:
            raise RemoteProtocolError(
                ErrorCode.FRAME_SIZE_ERROR, "SETTINGS ACK with a payload", "RFC 9113 §6.5"
            )
        if not self._settings_unacknowledged:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, "SETTINGS ACK without SETTINGS", "RFC 9113 §6.5.3"
            )
        self._settings_unacknowledged -= 1
        self._decoder.set_limit(self._header_table_size)

    def _on_push_promise(
        self, flags: int, stream_id: int, data: bytes, start: int, end: int
    ) -> None:
        del flags, data, start, end
        # "PUSH_PROMISE MUST NOT be sent if the SETTINGS_ENABLE_PUSH setting of the peer endpoint is
        # set to 0" (§6.6). Our SETTINGS go before any request that a push could belong to, so none
        # can have been sent before they arrived.
        raise RemoteProtocolError(
            ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE with push disabled", "RFC 9113 §6.6", stream_id
        )

    def _on_ping(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del stream_id
        payload = data[start:end]
        if not flags & frames.ACK:
            self._reply(frames.ping(payload, frames.ACK))
            self._glitch("PING frames")
        elif self._ping_outstanding and payload == self._ping_payload.to_bytes(8):
            self._on_ping_answer()
        else:
            self._glitch("unasked PING answers")

    def _on_ping_answer(self) -> None:
        self._ping_outstanding = False
        self.open_streams -= len(self._abandoned_before_ping)
        self._abandoned_before_ping.clear()
        self.events.append(PingAcknowledged())
        if self._abandoned:
            self.ping()

    def _on_goaway(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del flags, stream_id
        if end - start < _GOAWAY_FIELDS.size:
            raise RemoteProtocolError(
                ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short", "RFC 9113 §6.8"
            )
        last_stream_id, code = _GOAWAY_FIELDS.unpack_from(data, start)
        last_stream_id &= _HIGHEST_STREAM_ID
        if last_stream_id and not last_stream_id & 1:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR,
                f"GOAWAY names stream {last_stream_id}, which no client can open",
                "RFC 9113 §6.8",
            )
        # "Endpoints MUST NOT increase the value they send in the last stream identifier" (§6.8).
        if self.going_away and last_stream_id > self._last_stream_id:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, "GOAWAY with a higher last-stream-id", "RFC 9113 §6.8"
            )
        self.going_away = True
        self._last_stream_id = last_stream_id
        self._glitch("GOAWAY frames")
        debug_data = data[start + _GOAWAY_FIELDS.size : end]
        self.events.append(GoAwayReceived(last_stream_id, code, debug_data))
        for unprocessed in _above(self._streams, last_stream_id):
            self._close_stream(unprocessed, COMPLETE if unprocessed.status else NOT_PROCESSED)
        for abandoned in self._abandoned | self._abandoned_before_ping:
            if abandoned > last_stream_id:
                self._close_abandoned(abandoned)

    def _on_window_update(
        self, flags: int, stream_id: int, data: bytes, start: int, end: int
    ) -> None:
        del flags, end
        (increment,) = _CODE.unpack_from(data, start)
        increment &= _HIGHEST_STREAM_ID
        self._window_updates += 1
        streams = self.next_stream_id >> 1
        if self._window_updates > window_updates_allowed(streams, streams + self._held_back_frames):
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM, "a flood of WINDOW_UPDATE", "RFC 9113 §10.5"
            )
        if not stream_id:
            self.window += self._increment(increment, self.window, 0)
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            self._refuse_idle("WINDOW_UPDATE", stream_id)
            return
        window = self._stream_window(stream)
        try:
            stream.credit += self._increment(increment, window, stream_id)
        except RemoteProtocolError as error:
            self._stream_error(stream, error)
            return
        if stream.unsent and window <= 0 < window + increment:
            self._sendable[stream_id] = stream

    # ── the ends of streams and of the connection ──

    def _finish(self, stream: Stream) -> None:
        """END_STREAM has come after a final status."""
        if stream.expected_length:
            stream.error = RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR,
                "a body that is not as long as content-length says",
                "RFC 9113 §8.1.1",
                stream.stream_id,
            )
        if stream.unsent:
            # The whole response came before the whole request: the rest is of no use (§8.1).
            self._answer_complete(stream)
        else:
            self._close_stream(stream, COMPLETE)

    def _answer_complete(self, stream: Stream) -> None:
        """All that we want of the response is here; tell the server to stop."""
        self._reset(stream.stream_id, ErrorCode.CANCEL)
        self._close_stream(stream, COMPLETE)

    def _stream_error(self, stream: Stream, error: RemoteProtocolError) -> None:
        """Reset one stream for what the peer did on it; the others live on."""
        stream.error = error
        self._reset(stream.stream_id, error.code)
        self._close_stream(stream, COMPLETE if stream.status else MALFORMED)

    def _close_stream(self, stream: Stream, end: int) -> None:
        del self._streams[stream.stream_id]
        self.open_streams -= 1
        if stream.unsent:
            self._drop_unsent(stream)
        stream.end = end
        self.events.append(stream)

    def _drop_unsent(self, stream: Stream) -> None:
        stream.unsent = b""
        self._sendable.pop(stream.stream_id, None)

    def _close_abandoned(self, stream_id: int) -> None:
        """The peer has closed this stream too, if it is one that we have cancelled."""
        for ids in (self._abandoned, self._abandoned_before_ping):
            if stream_id in ids:
                ids.remove(stream_id)
                self.open_streams -= 1

    def _fail(self, error: RemoteProtocolError) -> None:
        """A connection error (§5.4.1): GOAWAY says why, then nothing is read any more."""
        self._queue(frames.goaway(0, error.code))
        self._end(error)

    def _end(self, error: RemoteProtocolError | None) -> None:
        self.closed = True
        self._partial = bytearray()
        self._block = []
        self._sendable.clear()
        streams = list(self._streams.values())
        self._streams.clear()
        self.open_streams = 0
        for stream in streams:
            stream.unsent = b""
            stream.end = COMPLETE if stream.status else LOST
            stream.error = error
            self.events.append(stream)
        self._abandoned.clear()
        self._abandoned_before_ping.clear()
        self.events.append(ConnectionEnded(error))

    def _late_frame(self, frame: str, stream_id: int, ends: int) -> None:
        """DATA or HEADERS for a stream that is gone, or that never was."""
        self._refuse_idle(frame, stream_id)
        self._glitch("frames on closed streams")
        if ends:
            self._close_abandoned(stream_id)
        # Where we have reset it, "An endpoint MUST minimally process and then discard any frames it
        # receives in this state" (§5.1, closed): the peer may have sent them before it knew.
        if stream_id not in self._reset_ids:
            self._remember_reset(stream_id)
            self._reply(frames.rst_stream(stream_id, ErrorCode.STREAM_CLOSED))

    def _refuse_idle(self, frame: str, stream_id: int) -> None:
        # "Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be
        # treated as a connection error (Section 5.4.1) of type PROTOCOL_ERROR" (§5.1, idle). A
        # server's HEADERS may not open a stream either: that is PUSH_PROMISE's part.
        if stream_id >= self.next_stream_id or not stream_id & 1:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, f"{frame} on an idle stream", "RFC 9113 §5.1", stream_id
            )

    # ── output ──

    def _send_headers(self, stream: Stream, block: bytes, *, end_stream: bool) -> None:
        limit = self.peer.max_frame_size
        flags = frames.END_STREAM if end_stream else 0
        kind = frames.HEADERS
        position = 0
        while True:
            part = block[position : position + limit]
            position += len(part)
            if position == len(block):
                flags |= frames.END_HEADERS
            self._queue(
                _HEAD(len(part) >> 8, len(part) & 0xFF, kind, flags, stream.stream_id) + part
            )
            if position == len(block):
                return
            kind, flags = frames.CONTINUATION, 0

    def _flush_bodies(self, max_bytes: int) -> None:
        sendable = self._sendable
        while sendable and self.window > 0 and self._output_size < max_bytes:
            stream_id, stream = next(iter(sendable.items()))
            body = stream.unsent
            window = self._stream_window(stream)
            size = min(len(body), window, self.window, self.peer.max_frame_size)
            part, stream.unsent = body[:size], body[size:]
            flags = 0 if stream.unsent else frames.END_STREAM
            self._queue(_HEAD(size >> 8, size & 0xFF, frames.DATA, flags, stream_id) + part)
            self.window -= size
            stream.credit -= size
            self._held_back_frames += 1
            if not stream.unsent:
                stream.end_stream_sent = True
                del sendable[stream_id]
            elif size == window:
                del sendable[stream_id]

    def _stream_window(self, stream: Stream) -> int:
        """Octets of DATA that one stream may send; negative where §6.9.2 has made it so."""
        return self.peer.initial_window_size + stream.credit

    def _increment(self, increment: int, window: int, stream_id: int) -> int:
        # "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window
        # increment of 0 as a stream error (Section 5.4.2) of type PROTOCOL_ERROR; errors on the
        # connection flow-control window MUST be treated as a connection error (Section 5.4.1)"
        # (§6.9).
        if not increment:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0", "RFC 9113 §6.9", stream_id
            )
        if window + increment > MAX_WINDOW_SIZE:
            raise RemoteProtocolError(
                ErrorCode.FLOW_CONTROL_ERROR,
                "WINDOW_UPDATE beyond 2^31-1",
                "RFC 9113 §6.9.1",
                stream_id,
            )
        return increment

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        self._remember_reset(stream_id)
        self._queue(frames.rst_stream(stream_id, code))

    def _remember_reset(self, stream_id: int) -> None:
        self._reset_ids[stream_id] = None
        if len(self._reset_ids) > MAX_RESET_MEMORY:
            self._reset_ids.popitem(last=False)

    def _return_credit(self, stream_id: int, window: ReceiveWindow, credit: int) -> None:
        self._queue(frames.window_update(stream_id, credit))
        self._promises.append(window)

    def _reply(self, frame: bytes) -> None:
        self._unsent_replies += 1
        if self._unsent_replies > MAX_UNSENT_REPLIES:
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM, "more to answer than is read", "RFC 9113 §10.5"
            )
        self._queue(frame)

    def _queue(self, frame: bytes) -> None:
        self._output.append(frame)
        self._output_size += len(frame)

    def _glitch(self, what: str, cost: int = 1) -> None:
        self._glitches.spend(what, self._now, self.next_stream_id >> 1, cost)

    # Indexed by frame type, beside frames.FRAME_RULES.
    _handlers = (
        _on_data,
        _on_headers,
        _on_priority,
        _on_rst_stream,
        _on_settings,
        _on_push_promise,
        _on_ping,
        _on_goaway,
        _on_window_update,
        _on_continuation,
    )


def _above(streams: dict[int, Stream], last_stream_id: int) -> list[Stream]:
    # Ids rise with the order of the dict: walk back from the newest.
    above: list[Stream] = []
    for stream_id in reversed(streams):
        if stream_id <= last_stream_id:
            break
        above.append(streams[stream_id])
    above.reverse()
    return above


_STREAMS_A_GLITCH: Final = 64
"""Streams whose windows are adjusted in the time that a frame takes to be read, roughly."""

_HEAD: Final = frames.FRAME_HEAD.pack
_READ_HEAD: Final = frames.FRAME_HEAD.unpack_from
