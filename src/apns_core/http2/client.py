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
from struct import Struct
from typing import Final, final

from apns_core.http2 import frames
from apns_core.http2.errors import ErrorCode, LocalProtocolError, RemoteProtocolError
from apns_core.http2.events import (
    ConnectionEnded,
    Event,
    GoAwayReceived,
    PingAcknowledged,
    SettingsReceived,
)
from apns_core.http2.flow_control import ReceiveWindow
from apns_core.http2.frame_reader import FrameReader, Handler
from apns_core.http2.hpack_decoder import HpackDecoder
from apns_core.http2.hpack_encoder import HpackEncoder, Indexing
from apns_core.http2.limits import (
    MAX_EMPTY_DATA,
    MAX_HEADER_LIST,
    MAX_RESET_MEMORY,
    GlitchBudget,
    window_updates_allowed,
)
from apns_core.http2.outbox import Outbox
from apns_core.http2.pings import Pings
from apns_core.http2.response_shapes import ResponseShapes
from apns_core.http2.responses import MalformedResponse, take_block, take_body
from apns_core.http2.settings import (
    DEFAULT_HEADER_TABLE_SIZE,
    DEFAULT_WINDOW_SIZE,
    HEADER_TABLE_SIZE,
    SETTINGS_ACK,
    PeerSettings,
    announcement,
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
        self._streams: dict[int, Stream] = {}
        self._decoder = HpackDecoder(
            # Until it has acknowledged our SETTINGS the server may use the default.
            max_table_size=DEFAULT_HEADER_TABLE_SIZE,
            max_list_size=MAX_HEADER_LIST,
        )
        self._shapes = ResponseShapes(self._decoder)
        self._header_table_size = header_table_size
        self._reader = FrameReader(self._handlers())
        self._received = ReceiveWindow(DEFAULT_WINDOW_SIZE)
        self._glitches = GlitchBudget(now)
        self._now = now
        self._window_updates = 0
        self._window_updates_allowed = 0
        self._settings_unacknowledged = 1
        self._last_stream_id = _HIGHEST_STREAM_ID
        self._pings = Pings()
        self._reset_ids: OrderedDict[int, None] = OrderedDict()
        self.outbox = Outbox(self.peer)
        """What waits to be sent, and the connection's window for it."""
        self.outbox.queue(frames.PREFACE)
        self.outbox.queue(frames.settings(announcement(header_table_size)))

    # ── inputs ──

    def send_request(self, stream: Stream, block: bytes, body: bytes) -> None:
        """Open ``stream`` with a field block of this connection's encoder, and send its body.

        What flow control holds back of the body follows by `send_held_back`. The caller keeps to
        the peer's stream limit, and asks only where `settings_received` and not `going_away`.
        """
        if not self.settings_received or self.going_away or self.closed:
            raise LocalProtocolError("no request may be sent on this connection now")
        stream_id = self.next_stream_id
        if stream_id > _HIGHEST_STREAM_ID:
            raise LocalProtocolError("the stream ids of this connection are used up")
        self.next_stream_id = stream_id + 2
        stream.stream_id = stream_id
        self._streams[stream_id] = stream
        self.outbox.send(stream, block, body)

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
        self.outbox.drop(stream)
        self._reset(stream_id, ErrorCode.CANCEL)
        self._pings.cancelled(stream_id)
        self.ping()

    def ping(self) -> None:
        """Send a PING unless one is unanswered; `PingAcknowledged` follows its answer."""
        if self.closed:
            return
        payload = self._pings.ask()
        if payload is not None:
            self.outbox.queue(frames.ping(payload))

    def go_away(self, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """End the connection from our side: GOAWAY is queued, every open stream is `LOST`."""
        if not self.closed:
            # We have processed no stream of the server's: push is off.
            self.outbox.queue(frames.goaway(0, code))
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
        try:
            self._reader.read(self, data)
        except RemoteProtocolError as error:
            # A connection error (§5.4.1): GOAWAY says why, then nothing is read any more.
            self.outbox.queue(frames.goaway(0, error.code))
            error.frame_heads = self._reader.recent_frames()
            self._end(error)

    # ── outputs ──

    def send_held_back(self, max_bytes: int) -> None:
        """Frame what the windows have come to allow of bodies, up to ``max_bytes`` of output."""
        self.outbox.send_held_back(max_bytes)

    def data_to_send(self) -> bytes:
        """Return and forget all that is framed."""
        return self.outbox.take()

    # ── getters ──

    @property
    def open_streams(self) -> int:
        """Streams that the peer may still count as open, cancelled ones included."""
        return len(self._streams) + len(self._pings)

    @property
    def window(self) -> int:
        """Octets of DATA that may be sent on the connection; never negative."""
        return self.outbox.window

    @property
    def window_blocked(self) -> bool:
        """Whether body octets wait for the connection's window and for nothing else."""
        return self.outbox.window_blocked

    @property
    def output_size(self) -> int:
        """Octets that `data_to_send` would return."""
        return self.outbox.size

    @property
    def speaks_http2(self) -> bool:
        """Whether the first that the server said was SETTINGS, well-formed or not (§3.4)."""
        return self._reader.started

    @property
    def settings_acknowledged(self) -> bool:
        """Whether the peer has acknowledged our SETTINGS (§6.5.3)."""
        return not self._settings_unacknowledged

    @property
    def unreturned_credit(self) -> int:
        """Octets received on the connection and not yet credited back; at most half a window."""
        return self._received.unreturned

    # ── frames ──

    def _on_data(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        octets = end - start
        # Counted before anything is asked of the stream: the connection's window knows no streams.
        if credit := self._received.receive(octets):
            self.outbox.return_credit(0, self._received, credit)
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
            take_body(stream, data, start, end)
        if ends:
            self._finish(stream)
        elif stream.buffer is not None and len(stream.buffer) >= stream.max_body:
            self._answer_complete(stream)
        elif credit:
            self.outbox.return_credit(stream_id, stream.received, credit)

    def _on_headers(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        stream = self._streams.get(stream_id)
        ends = flags & frames.END_STREAM
        if stream is None or stream.status or not self._shapes.take(stream, data, start, end):
            stream = self._decode_headers(stream, stream_id, data[start:end], ends)
        if stream is not None and ends:
            self._finish(stream)

    def _decode_headers(
        self, stream: Stream | None, stream_id: int, block: bytes, ends: int
    ) -> Stream | None:
        """Take a field block by all the rules; return its stream, unless that is gone by then."""
        # "An endpoint receiving HEADERS, PUSH_PROMISE, or CONTINUATION frames needs to reassemble
        # field blocks and perform decompression even if the frames are to be discarded" (§4.3).
        decoder = self._decoder
        generation, sizes = decoder.generation, decoder.sizes
        fields = decoder.decode(block)
        if stream is None:
            self._late_frame("HEADERS", stream_id, ends)
            return None
        trails = stream.status
        try:
            take_block(stream, fields, ends)
        except MalformedResponse as malformed:
            self._stream_error(
                stream,
                RemoteProtocolError(
                    malformed.code, malformed.problem, malformed.section, stream_id
                ),
            )
            return None
        if stream.status and not trails:
            self._shapes.learn(stream, block, generation, sizes)
        return stream

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
            self._pings.closed(stream_id)
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
            self.outbox.adjust_windows(self._streams.values())
        self.outbox.reply(SETTINGS_ACK)
        self._glitch("SETTINGS frames", cost)
        self.events.append(SettingsReceived(self.peer.max_concurrent_streams, tuple(entries)))

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
            self.outbox.reply(frames.ping(payload, frames.ACK))
            self._glitch("PING frames")
        elif self._pings.answered(payload):
            self.events.append(PingAcknowledged())
            if self._pings.due:
                self.ping()
        else:
            self._glitch("unasked PING answers")

    def _on_goaway(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del flags, stream_id
        last_stream_id, code, debug_data = frames.parse_goaway(data[start:end])
        # "Endpoints MUST NOT increase the value they send in the last stream identifier" (§6.8).
        if self.going_away and last_stream_id > self._last_stream_id:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, "GOAWAY with a higher last-stream-id", "RFC 9113 §6.8"
            )
        self.going_away = True
        self._last_stream_id = last_stream_id
        self._glitch("GOAWAY frames")
        self.events.append(GoAwayReceived(last_stream_id, code, debug_data))
        for unprocessed in _above(self._streams, last_stream_id):
            self._close_stream(unprocessed, COMPLETE if unprocessed.status else NOT_PROCESSED)
        self._pings.closed_above(last_stream_id)

    def _on_window_update(
        self, flags: int, stream_id: int, data: bytes, start: int, end: int
    ) -> None:
        del flags, end
        (increment,) = _CODE.unpack_from(data, start)
        increment &= _HIGHEST_STREAM_ID
        self._window_updates += 1
        if self._window_updates > self._window_updates_allowed:
            self._allow_window_updates()
        if not stream_id:
            self.outbox.credit_connection(increment)
            return
        stream = self._streams.get(stream_id)
        if stream is None:
            self._refuse_idle("WINDOW_UPDATE", stream_id)
            return
        try:
            self.outbox.credit_stream(stream, increment)
        except RemoteProtocolError as error:
            self._stream_error(stream, error)

    def _allow_window_updates(self) -> None:
        # Optimisation (benchmark: send_many): only now, for what is allowed never falls. nginx
        # sends one with each response.
        streams = self.next_stream_id >> 1
        data_frames = streams + self.outbox.held_back_frames
        self._window_updates_allowed = window_updates_allowed(streams, data_frames)
        if self._window_updates > self._window_updates_allowed:
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM, "a flood of WINDOW_UPDATE", "RFC 9113 §10.5"
            )

    def _on_unknown(self, flags: int, stream_id: int, data: bytes, start: int, end: int) -> None:
        del flags, stream_id, data, start, end
        self._glitch("frames of unknown types")

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
            stream.error.frame_heads = self._reader.recent_frames()
        if stream.unsent:
            # The whole response came before the whole request: the rest is of no use (§8.1).
            self._answer_complete(stream)
        else:
            del self._streams[stream.stream_id]
            stream.end = COMPLETE
            self.events.append(stream)

    def _answer_complete(self, stream: Stream) -> None:
        """All that we want of the response is here; tell the server to stop."""
        self._reset(stream.stream_id, ErrorCode.CANCEL)
        self._close_stream(stream, COMPLETE)

    def _stream_error(self, stream: Stream, error: RemoteProtocolError) -> None:
        """Reset one stream for what the peer did on it; the others live on."""
        error.frame_heads = self._reader.recent_frames()
        stream.error = error
        self._reset(stream.stream_id, error.code)
        self._close_stream(stream, COMPLETE if stream.status else MALFORMED)

    def _close_stream(self, stream: Stream, end: int) -> None:
        del self._streams[stream.stream_id]
        if stream.unsent:
            self.outbox.drop(stream)
        stream.end = end
        self.events.append(stream)

    def _end(self, error: RemoteProtocolError | None) -> None:
        self.closed = True
        self._reader.forget()
        self._pings.forget()
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            self.outbox.drop(stream)
            stream.end = COMPLETE if stream.status else LOST
            stream.error = error
            self.events.append(stream)
        self.events.append(ConnectionEnded(error))

    def _late_frame(self, frame: str, stream_id: int, ends: int) -> None:
        """DATA or HEADERS for a stream that is gone, or that never was."""
        self._refuse_idle(frame, stream_id)
        self._glitch("frames on closed streams")
        if ends:
            self._pings.closed(stream_id)
        # Where we have reset it, "An endpoint MUST minimally process and then discard any frames it
        # receives in this state" (§5.1, closed): the peer may have sent them before it knew.
        if stream_id not in self._reset_ids:
            self._remember_reset(stream_id)
            self.outbox.reply(frames.rst_stream(stream_id, ErrorCode.STREAM_CLOSED))

    def _refuse_idle(self, frame: str, stream_id: int) -> None:
        # "Receiving any frame other than HEADERS or PRIORITY on a stream in this state MUST be
        # treated as a connection error (Section 5.4.1) of type PROTOCOL_ERROR" (§5.1, idle). A
        # server's HEADERS may not open a stream either: that is PUSH_PROMISE's part.
        if stream_id >= self.next_stream_id or not stream_id & 1:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, f"{frame} on an idle stream", "RFC 9113 §5.1", stream_id
            )

    def _reset(self, stream_id: int, code: ErrorCode) -> None:
        self._remember_reset(stream_id)
        self.outbox.queue(frames.rst_stream(stream_id, code))

    def _remember_reset(self, stream_id: int) -> None:
        self._reset_ids[stream_id] = None
        if len(self._reset_ids) > MAX_RESET_MEMORY:
            self._reset_ids.popitem(last=False)

    def _glitch(self, what: str, cost: int = 1) -> None:
        self._glitches.spend(what, self._now, self.next_stream_id >> 1, cost)

    @staticmethod
    def _handlers() -> "tuple[Handler[Client], ...]":
        """Indexed by frame type, beside frames.FRAME_RULES; the last is for types that it lacks."""
        # A function, not an attribute: compiled, the body of a class does not see its methods.
        return (
            Client._on_data,
            Client._on_headers,
            Client._on_priority,
            Client._on_rst_stream,
            Client._on_settings,
            Client._on_push_promise,
            Client._on_ping,
            Client._on_goaway,
            Client._on_window_update,
            Client._on_unknown,
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


_HIGHEST_STREAM_ID: Final = frames.HIGHEST_STREAM_ID
_STREAMS_A_GLITCH: Final = 64
"""Streams whose windows are adjusted in the time that a frame takes to be read, roughly."""
_CODE: Final = Struct(">I")
