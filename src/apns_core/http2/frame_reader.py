"""From bytes, cut anywhere, to whole frames and whole field blocks (RFC 9113 §4)."""

from collections import deque
from collections.abc import Callable
from typing import Final, Generic, TypeAlias, TypeVar, final

from apns_core.http2 import frames
from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.frame_heads import FrameHead
from apns_core.http2.limits import MAX_BLOCK_SIZE, MAX_CONTINUATIONS, MAX_RECENT_FRAMES
from apns_core.http2.settings import DEFAULT_MAX_FRAME_SIZE

__all__ = ["FrameReader", "Handler"]

T = TypeVar("T")

Handler: TypeAlias = Callable[[T, int, int, bytes, int, int], None]
"""Takes the owner, flags, stream id, a chunk, and where in it the payload starts and ends."""


@final
class FrameReader(Generic[T]):
    """Reads what a server sends, and hands each frame to a handler of its owner.

    It holds an unfinished frame, of 16,384 octets at most, and an unfinished field block, of twice
    that. The handler of HEADERS gets a whole block, without padding and priority; for types that
    RFC 9113 does not know there is a handler more, the last.
    """

    __slots__ = (
        "_block",
        "_block_flags",
        "_block_size",
        "_block_stream",
        "_handlers",
        "_heads",
        "_needed",
        "_partial",
        "started",
    )

    def __init__(self, handlers: tuple[Handler[T], ...]) -> None:
        """``handlers`` are indexed by frame type, beside `frames.FRAME_RULES`."""
        self._handlers = handlers
        self.started = False
        """Whether the first frame was SETTINGS, as HTTP/2 has it."""
        self._partial = bytearray()
        self._needed: int = 0
        self._block_stream = 0
        self._block_flags = 0
        self._block: list[bytes] = []
        self._block_size = 0
        self._heads: deque[FrameHead] = deque(maxlen=MAX_RECENT_FRAMES)

    def read(self, owner: T, data: bytes) -> None:
        """Handle all frames that ``data`` completes.

        Raises RemoteProtocolError, as the handlers may; the reader is of no use then.
        """
        if self._partial:
            if len(self._partial) + len(data) < self._needed:
                self._partial += data
                return
            data = bytes(self._partial) + data
            self._partial.clear()
        position = self._frames(owner, data)
        if position < len(data):
            self._partial += data[position:]

    def forget(self) -> None:
        """Let go of what is unfinished: nothing more will be read."""
        self._partial.clear()
        self._block.clear()

    def recent_frames(self) -> tuple[FrameHead, ...]:
        """Return the heads of the last frames, the one at hand included."""
        return tuple(self._heads)

    def _frames(self, owner: T, data: bytes) -> int:
        """Handle the whole frames of ``data``; return where the unfinished one starts."""
        handlers = self._handlers
        remember = self._heads.append
        position = 0
        end = len(data)
        while end - position >= _HEAD_SIZE:
            head: FrameHead = _READ_HEAD(data, position)
            length_and_kind, flags, stream_id = head
            length = length_and_kind >> 8
            stream_id &= _HIGHEST_STREAM_ID
            start = position + _HEAD_SIZE
            stop = start + length
            if stop > end or length > _LONGEST or not self.started:
                self._check_head(head, data)
                if stop > end:
                    self._needed = _HEAD_SIZE + length
                    return position
                self.started = True
            position = stop
            remember(head)
            kind = length_and_kind & 0xFF
            if self._block_stream or kind == _CONTINUATION:
                self._continue_block(owner, kind, flags, stream_id, data[start:position])
            elif kind == _HEADERS and stream_id and flags & _UNUSUAL == _WHOLE:
                # Optimisation (benchmark: receive): the most common case first.
                handlers[_HEADERS](owner, flags, stream_id, data, start, position)
            elif kind < _CONTINUATION:
                if kind or not stream_id:  # DATA has one rule, the stream
                    frames.FRAME_RULES[kind].check(stream_id, length)
                if kind == _HEADERS:
                    self._start_block(owner, flags, stream_id, data[start:position])
                else:
                    handlers[kind](owner, flags, stream_id, data, start, position)
            else:
                # "Implementations MUST ignore and discard frames of unknown types" (§4.1).
                handlers[-1](owner, flags, stream_id, data, start, position)
        self._needed = _HEAD_SIZE
        return position

    def _check_head(self, head: FrameHead, data: bytes) -> None:
        """Refuse what its head alone is reason enough to refuse."""
        length_and_kind, flags, stream_id = head
        length, kind = length_and_kind >> 8, length_and_kind & 0xFF
        if not self.started and (kind != frames.SETTINGS or flags & frames.ACK):
            self._heads.append(head)
            raise _not_http2(data)
        if length > _LONGEST:
            self._heads.append(head)
            # Nothing of such a frame is kept.
            raise RemoteProtocolError(
                ErrorCode.FRAME_SIZE_ERROR,
                f"a frame of {length} octets",
                "RFC 9113 §4.2",
                stream_id & _HIGHEST_STREAM_ID,
            )

    def _start_block(self, owner: T, flags: int, stream_id: int, payload: bytes) -> None:
        """HEADERS with padding or priority, or without the end of their block."""
        start, end = frames.unpadded("HEADERS", flags, payload, 0, len(payload))
        if flags & frames.END_HEADERS:
            self._handlers[frames.HEADERS](owner, flags, stream_id, payload, start, end)
        else:
            self._block_stream = stream_id
            self._block_flags = flags
            self._block.append(payload[start:end])
            self._block_size = end - start

    def _continue_block(
        self, owner: T, kind: int, flags: int, stream_id: int, fragment: bytes
    ) -> None:
        if not self._block_stream:
            frames.FRAME_RULES[kind].check(stream_id, len(fragment))
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR,
                "CONTINUATION without a field block",
                "RFC 9113 §6.10",
                stream_id,
            )
        # "Field blocks MUST be transmitted as a contiguous sequence of frames, with no interleaved
        # frames of any other type or from any other stream" (§4.3).
        if kind != frames.CONTINUATION or stream_id != self._block_stream:
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR,
                f"a frame of type {kind} within a field block",
                "RFC 9113 §4.3",
                self._block_stream,
            )
        block = self._block
        block.append(fragment)
        self._block_size += len(fragment)
        if len(block) > 1 + MAX_CONTINUATIONS or self._block_size > MAX_BLOCK_SIZE:
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM,
                "a field block without end",
                "RFC 9113 §10.5.1",
                stream_id,
            )
        if flags & frames.END_HEADERS:
            whole = b"".join(block)
            block.clear()
            self._block_stream = 0
            flags = self._block_flags
            self._handlers[frames.HEADERS](owner, flags, stream_id, whole, 0, len(whole))


def _not_http2(data: bytes) -> RemoteProtocolError:
    # "The server connection preface consists of a potentially empty SETTINGS frame (Section 6.5)
    # that MUST be the first frame the server sends in the HTTP/2 connection" (§3.4).
    problem = "HTTP/1 text" if data.startswith(b"HTTP/") else "no SETTINGS frame"
    return RemoteProtocolError(
        ErrorCode.PROTOCOL_ERROR,
        f"the server speaks no HTTP/2: {problem} first",
        "RFC 9113 §3.4",
    )


_HIGHEST_STREAM_ID: Final = frames.HIGHEST_STREAM_ID
_UNUSUAL: Final = frames.END_HEADERS | frames.PADDED | frames.PRIORITY_FIELDS
_WHOLE: Final = frames.END_HEADERS
_HEADERS: Final = frames.HEADERS
_CONTINUATION: Final = frames.CONTINUATION
_LONGEST: Final = DEFAULT_MAX_FRAME_SIZE
_HEAD_SIZE: Final = frames.FRAME_HEAD_SIZE
_READ_HEAD: Final = frames.SHORT_FRAME_HEAD.unpack_from
