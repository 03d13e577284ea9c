"""The sending half: frames that wait for the transport, and bodies that wait for a window.

What is framed goes out in the order in which it was queued. What flow control holds back of a body
(RFC 9113 §5.2) stays with its stream until credit comes.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, final

from apns_core.http2 import frames
from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.flow_control import ReceiveWindow
from apns_core.http2.limits import MAX_UNSENT_REPLIES
from apns_core.http2.settings import DEFAULT_WINDOW_SIZE, MAX_WINDOW_SIZE, PeerSettings
from apns_core.http2.stream import Stream

__all__ = ["Outbox"]


@final
class Outbox:
    """What one connection has to send. ``peer`` is read at every use: SETTINGS may change it."""

    __slots__ = (
        "_frames",
        "_peer",
        "_promises",
        "_sendable",
        "_unsent_replies",
        "held_back_frames",
        "size",
        "window",
    )

    def __init__(self, peer: PeerSettings) -> None:
        self.window = DEFAULT_WINDOW_SIZE
        """Octets of DATA that may be sent on the connection; never negative."""
        self.size = 0
        """Octets that `take` would return."""
        self.held_back_frames = 0
        """DATA frames sent later than their request."""
        self._peer = peer
        self._frames: list[bytes] = []
        # Streams with unsent octets and a window above 0, and no others: first come, first served.
        self._sendable: OrderedDict[int, Stream] = OrderedDict()
        self._unsent_replies = 0
        self._promises: list[ReceiveWindow] = []

    @property
    def window_blocked(self) -> bool:
        """Whether octets of bodies wait for the connection's window and for nothing else."""
        return bool(self._sendable) and not self.window

    # ── frames ──

    def take(self) -> bytes:
        """Return and forget all that is framed."""
        output = b"".join(self._frames)
        self._frames.clear()
        self.size = 0
        self._unsent_replies = 0
        if self._promises:
            for window in self._promises:
                window.handed_out()
            self._promises.clear()
        return output

    def queue(self, frame: bytes) -> None:
        """Add a frame."""
        self._frames.append(frame)
        self.size += len(frame)

    def reply(self, frame: bytes) -> None:
        """Add a frame that the peer has asked for, or provoked.

        Raises RemoteProtocolError where it provokes more than it reads.
        """
        self._unsent_replies += 1
        if self._unsent_replies > MAX_UNSENT_REPLIES:
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM, "more to answer than is read", "RFC 9113 §10.5"
            )
        self.queue(frame)

    def return_credit(self, stream_id: int, window: ReceiveWindow, credit: int) -> None:
        """Add a WINDOW_UPDATE, which counts from when it is taken; stream 0 is the connection."""
        self.queue(frames.window_update(stream_id, credit))
        self._promises.append(window)

    # ── requests ──

    def send(self, stream: Stream, block: bytes, body: bytes) -> None:
        """Frame a request. What does not fit both windows whole waits for `send_held_back`."""
        stream_id = stream.stream_id
        size = len(body)
        length = len(block)
        peer = self._peer
        if 0 < size <= self.window and size <= peer.largest_whole and length <= peer.max_frame_size:
            # Optimisation (benchmark: send): both frames at once, where nothing holds them back.
            self._frames += (
                _HEAD(length << 8 | _HEADERS, _END_HEADERS, stream_id),
                block,
                _HEAD(size << 8 | _DATA, _END_STREAM, stream_id),
                body,
            )
            self.size += length + size + 18
            self.window -= size
            stream.credit = -size
            stream.end_stream_sent = True
            return
        self._send_headers(stream_id, block, end_stream=not size)
        if not size:
            stream.end_stream_sent = True
            return
        stream.unsent = body
        if peer.initial_window_size > 0:
            self._sendable[stream_id] = stream

    def send_held_back(self, max_bytes: int) -> None:
        """Frame what the windows have come to allow of bodies, up to ``max_bytes`` of output."""
        sendable = self._sendable
        while sendable and self.window > 0 and self.size < max_bytes:
            stream_id, stream = next(iter(sendable.items()))
            body = stream.unsent
            window = self._window_of(stream)
            size = min(len(body), window, self.window, self._peer.max_frame_size)
            part, stream.unsent = body[:size], body[size:]
            flags = 0 if stream.unsent else frames.END_STREAM
            self.queue(_HEAD(size << 8 | _DATA, flags, stream_id) + part)
            self.window -= size
            stream.credit -= size
            self.held_back_frames += 1
            stream.end_stream_sent = not stream.unsent
            if stream.end_stream_sent or size == window:
                del sendable[stream_id]

    def drop(self, stream: Stream) -> None:
        """Send no more of a body."""
        stream.unsent = b""
        self._sendable.pop(stream.stream_id, None)

    # ── windows (RFC 9113 §6.9) ──

    def credit_connection(self, increment: int) -> None:
        """Take a WINDOW_UPDATE on stream 0. Raises RemoteProtocolError."""
        if not 0 < increment <= MAX_WINDOW_SIZE - self.window:
            raise _wrong_increment(increment, 0)
        self.window += increment

    def credit_stream(self, stream: Stream, increment: int) -> None:
        """Take a WINDOW_UPDATE on a stream that is open. Raises RemoteProtocolError."""
        window = self._peer.initial_window_size + stream.credit
        if not 0 < increment <= MAX_WINDOW_SIZE - window:
            raise _wrong_increment(increment, stream.stream_id)
        stream.credit += increment
        if stream.unsent and window <= 0 < window + increment:
            self._sendable[stream.stream_id] = stream

    def adjust_windows(self, streams: Iterable[Stream]) -> None:
        """Apply a new initial window to all open streams, some of which may go on or must wait."""
        self._sendable.clear()
        for stream in streams:
            window = self._window_of(stream)
            # "An endpoint MUST treat a change to SETTINGS_INITIAL_WINDOW_SIZE that causes any
            # flow-control window to exceed the maximum size as a connection error (Section 5.4.1)
            # of type FLOW_CONTROL_ERROR" (§6.9.2).
            if window > MAX_WINDOW_SIZE:
                raise RemoteProtocolError(
                    ErrorCode.FLOW_CONTROL_ERROR,
                    "an initial window that takes a stream's beyond 2^31-1",
                    "RFC 9113 §6.9.2",
                    stream.stream_id,
                )
            if stream.unsent and window > 0:
                self._sendable[stream.stream_id] = stream

    def _send_headers(self, stream_id: int, block: bytes, *, end_stream: bool) -> None:
        limit = self._peer.max_frame_size
        flags = frames.END_STREAM if end_stream else 0
        kind = frames.HEADERS
        position = 0
        while True:
            part = block[position : position + limit]
            position += len(part)
            if position == len(block):
                flags |= frames.END_HEADERS
            self.queue(_HEAD(len(part) << 8 | kind, flags, stream_id) + part)
            if position == len(block):
                return
            kind, flags = frames.CONTINUATION, 0

    def _window_of(self, stream: Stream) -> int:
        """Octets of DATA that one stream may send; negative where §6.9.2 has made it so."""
        return self._peer.initial_window_size + stream.credit


def _wrong_increment(increment: int, stream_id: int) -> RemoteProtocolError:
    # "A receiver MUST treat the receipt of a WINDOW_UPDATE frame with a flow-control window
    # increment of 0 as a stream error (Section 5.4.2) of type PROTOCOL_ERROR; errors on the
    # connection flow-control window MUST be treated as a connection error (Section 5.4.1)" (§6.9).
    if not increment:
        return RemoteProtocolError(
            ErrorCode.PROTOCOL_ERROR, "WINDOW_UPDATE by 0", "RFC 9113 §6.9", stream_id
        )
    return RemoteProtocolError(
        ErrorCode.FLOW_CONTROL_ERROR, "WINDOW_UPDATE beyond 2^31-1", "RFC 9113 §6.9.1", stream_id
    )


_HEAD: Final = frames.SHORT_FRAME_HEAD.pack
_DATA: Final = frames.DATA
_HEADERS: Final = frames.HEADERS
_END_STREAM: Final = frames.END_STREAM
_END_HEADERS: Final = frames.END_HEADERS
