"""The frames of RFC 9113 §6: numbers, the rules that are data, and serialisation."""

from struct import Struct
from typing import Final, NamedTuple

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.frame_heads import FRAME_NAMES, HIGHEST_STREAM_ID

__all__ = [
    "ACK",
    "CONTINUATION",
    "DATA",
    "END_HEADERS",
    "END_STREAM",
    "FRAME_HEAD",
    "FRAME_HEAD_SIZE",
    "FRAME_RULES",
    "GOAWAY",
    "HEADERS",
    "HIGHEST_STREAM_ID",
    "PADDED",
    "PING",
    "PREFACE",
    "PRIORITY",
    "PRIORITY_FIELDS",
    "PUSH_PROMISE",
    "RST_STREAM",
    "SETTINGS",
    "SHORT_FRAME_HEAD",
    "WINDOW_UPDATE",
    "FrameRule",
    "goaway",
    "parse_goaway",
    "ping",
    "rst_stream",
    "settings",
    "unpadded",
    "window_update",
]

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""RFC 9113 §3.4: what a client sends before its first frame."""

# Types.
DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

# Flags. The same bit means ACK on SETTINGS and PING, END_STREAM on DATA and HEADERS.
ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY_FIELDS: Final = 0x20

FRAME_HEAD: Final = Struct(">HBBBI")
"""Length (16 high bits, 8 low bits), type, flags, stream id with its reserved bit."""
SHORT_FRAME_HEAD: Final = Struct(">IBI")
"""The same with length and type in one number, which is quicker: ``length << 8 | type``."""
FRAME_HEAD_SIZE: Final = 9

# What the other side of the connection means by "stream".
_ON_CONNECTION: Final = 0
_ON_STREAM: Final = 1
_ON_EITHER: Final = 2


class FrameRule(NamedTuple):
    """What RFC 9113 §6 asks of one type of frame, whatever the state of its stream."""

    name: str
    place: int
    """On stream 0, on another stream, or on either."""
    length: int | None
    """The only legal payload length in octets; None where it varies."""
    section: str

    def check(self, stream_id: int, length: int) -> None:
        """Raise RemoteProtocolError where the frame is on the wrong stream or of a wrong length."""
        if self.place != _ON_EITHER and (stream_id != 0) != (self.place == _ON_STREAM):
            raise RemoteProtocolError(
                ErrorCode.PROTOCOL_ERROR, f"{self.name} on stream {stream_id}", self.section
            )
        if self.length is not None and length != self.length:
            raise RemoteProtocolError(
                ErrorCode.FRAME_SIZE_ERROR,
                f"{self.name} of {length} octets instead of {self.length}",
                self.section,
                stream_id,
            )


FRAME_RULES: Final[tuple[FrameRule, ...]] = tuple(
    FrameRule(FRAME_NAMES[kind], place, length, f"RFC 9113 §{section}")
    for kind, place, length, section in (
        (DATA, _ON_STREAM, None, "6.1"),
        (HEADERS, _ON_STREAM, None, "6.2"),
        (PRIORITY, _ON_STREAM, 5, "6.3"),
        (RST_STREAM, _ON_STREAM, 4, "6.4"),
        (SETTINGS, _ON_CONNECTION, None, "6.5"),
        (PUSH_PROMISE, _ON_STREAM, None, "6.6"),
        (PING, _ON_CONNECTION, 8, "6.7"),
        (GOAWAY, _ON_CONNECTION, None, "6.8"),
        (WINDOW_UPDATE, _ON_EITHER, 4, "6.9"),
        (CONTINUATION, _ON_STREAM, None, "6.10"),
    )
)
"""Indexed by frame type. A type beyond the end is unknown and ignored (RFC 9113 §4.1)."""


def unpadded(frame: str, flags: int, data: bytes, start: int, end: int) -> tuple[int, int]:
    """Where the contents of DATA or HEADERS lie in ``data[start:end]`` (RFC 9113 §6.1, §6.2).

    What may go before them, a pad length and a priority, and the padding after them are left out.
    """
    padding = 0
    contents = start
    if flags & PADDED:
        contents += 1
    if flags & PRIORITY_FIELDS and frame == "HEADERS":
        contents += _PRIORITY_SIZE
    if contents > end:
        # On HEADERS it must be a connection error, on DATA it may: "an endpoint MAY choose to treat
        # a stream error as a connection error" (§5.4.1).
        raise RemoteProtocolError(
            ErrorCode.FRAME_SIZE_ERROR, f"{frame} too short for its flags", "RFC 9113 §4.2"
        )
    if flags & PADDED:
        padding = data[start]
    # "If the length of the padding is the length of the frame payload or greater, the recipient
    # MUST treat this as a connection error (Section 5.4.1) of type PROTOCOL_ERROR" (§6.1).
    if contents + padding > end:
        raise RemoteProtocolError(
            ErrorCode.PROTOCOL_ERROR, f"{frame} with more padding than payload", "RFC 9113 §6.1"
        )
    return contents, end - padding


def parse_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Read last-stream-id, error code and debug data of a server's GOAWAY (RFC 9113 §6.8)."""
    if len(payload) < _GOAWAY_FIELDS.size:
        raise RemoteProtocolError(ErrorCode.FRAME_SIZE_ERROR, "GOAWAY too short", "RFC 9113 §6.8")
    last_stream_id, code = _GOAWAY_FIELDS.unpack_from(payload)
    last_stream_id &= HIGHEST_STREAM_ID
    if last_stream_id and not last_stream_id & 1:
        raise RemoteProtocolError(
            ErrorCode.PROTOCOL_ERROR,
            f"GOAWAY names stream {last_stream_id}, which no client can open",
            "RFC 9113 §6.8",
        )
    return last_stream_id, code, payload[_GOAWAY_FIELDS.size :]


def settings(entries: tuple[tuple[int, int], ...]) -> bytes:
    """Serialise SETTINGS with (identifier, value) entries; none and `ACK` is `SETTINGS_ACK`."""
    payload = b"".join(_SETTING.pack(identifier, value) for identifier, value in entries)
    return FRAME_HEAD.pack(0, len(payload), SETTINGS, 0, 0) + payload


def ping(payload: bytes, flags: int = 0) -> bytes:
    """Serialise PING; ``payload`` is eight octets."""
    return _PING_HEAD[flags & ACK] + payload


def rst_stream(stream_id: int, code: int) -> bytes:
    """Serialise RST_STREAM."""
    return _SHORT.pack(0, 4, RST_STREAM, 0, stream_id, code)


def window_update(stream_id: int, increment: int) -> bytes:
    """Serialise WINDOW_UPDATE; stream 0 is the connection."""
    return _SHORT.pack(0, 4, WINDOW_UPDATE, 0, stream_id, increment)


def goaway(last_stream_id: int, code: int) -> bytes:
    """Serialise GOAWAY without debug data: what we know of the peer's mistake stays with us."""
    return _GOAWAY.pack(0, 8, GOAWAY, 0, 0, last_stream_id, code)


_PRIORITY_SIZE: Final = 5
_SETTING: Final = Struct(">HI")
_SHORT: Final = Struct(">HBBBII")
_GOAWAY_FIELDS: Final = Struct(">II")
_GOAWAY: Final = Struct(">HBBBIII")
_PING_HEAD: Final = (FRAME_HEAD.pack(0, 8, PING, 0, 0), FRAME_HEAD.pack(0, 8, PING, ACK, 0))
