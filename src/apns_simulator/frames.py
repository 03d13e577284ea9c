"""HTTP/2 frames by hand (RFC 9113 section 4.1): to cut input, and to write what h2 refuses."""

import struct
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, final

__all__ = [
    "CONTINUATION",
    "GOAWAY",
    "HEADERS",
    "PING",
    "PREFACE",
    "RST_STREAM",
    "SETTINGS",
    "Frame",
    "FrameSplitter",
    "OversizedFrameError",
    "field_block_size",
    "goaway_frame",
    "last_headers_frame",
    "rst_stream_frame",
    "settings_frame",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

HEADERS: Final = 0x1
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PING: Final = 0x6
GOAWAY: Final = 0x7
CONTINUATION: Final = 0x9

FLAG_ACK: Final = 0x1
FLAG_END_STREAM: Final = 0x1
FLAG_END_HEADERS: Final = 0x4
FLAG_PADDED: Final = 0x8
FLAG_PRIORITY: Final = 0x20

Frame: TypeAlias = tuple[int, int, int, bytes]
"""Type, flags, stream id, and the whole frame with its 9-byte head."""


class OversizedFrameError(Exception):
    """A frame head announced more than MAX_FRAME_SIZE."""


@final
class FrameSplitter:
    """Cuts a byte stream after the client preface into whole frames, wherever it was cut before."""

    def __init__(self, max_frame_size: int) -> None:
        self.max_frame_size = max_frame_size
        self._buffer = bytearray()

    def split(self, data: bytes) -> Iterator[Frame]:
        """Yield each frame that `data` completes.

        Raises:
            OversizedFrameError: on the 9-byte head of a frame that is too long (RFC 9113 section
            4.2).

        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= 9:
                length = buffer[position] << 16 | buffer[position + 1] << 8 | buffer[position + 2]
                if length > self.max_frame_size:
                    raise OversizedFrameError
                end = position + 9 + length
                if end > len(buffer):
                    return
                frame = bytes(buffer[position:end])
                position = end
                yield frame[3], frame[4], int.from_bytes(frame[5:9]) & 0x7FFF_FFFF, frame
        finally:
            del buffer[:position]


def field_block_size(flags: int, frame: bytes) -> int:
    """Return the size of a HEADERS frame without its head, padding and priority."""
    size = len(frame) - 9
    if flags & FLAG_PADDED and size:
        size -= 1 + frame[9]
    if flags & FLAG_PRIORITY:
        size -= 5
    return max(size, 0)


def goaway_frame(last_stream_id: int, error_code: int, debug_data: bytes) -> bytes:
    """RFC 9113 section 6.8. h2 stops on writing one, so that no answer could follow it."""
    return _frame(GOAWAY, 0, struct.pack(">LL", last_stream_id, error_code) + debug_data)


def last_headers_frame(stream_id: int, field_block: bytes) -> bytes:
    """RFC 9113 section 6.2: a whole field block that ends its stream."""
    return _frame(HEADERS, stream_id, field_block, FLAG_END_HEADERS | FLAG_END_STREAM)


def rst_stream_frame(stream_id: int, error_code: int) -> bytes:
    """RFC 9113 section 6.4, for a stream that h2 holds to be closed or idle."""
    return _frame(RST_STREAM, stream_id, struct.pack(">L", error_code))


def settings_frame(values: Mapping[int, int]) -> bytes:
    """RFC 9113 section 6.5."""
    return _frame(SETTINGS, 0, b"".join(struct.pack(">HL", *pair) for pair in values.items()))


def _frame(frame_type: int, stream_id: int, payload: bytes, flags: int = 0) -> bytes:
    size = len(payload)
    return struct.pack(">HBBBL", size >> 8, size & 0xFF, frame_type, flags, stream_id) + payload
