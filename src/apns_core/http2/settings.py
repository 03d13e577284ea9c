"""SETTINGS of both sides (RFC 9113 §6.5): what we announce, and what the peer may tell us."""

from dataclasses import dataclass, field
from struct import iter_unpack
from typing import Final, NamedTuple, final

from apns_core.http2.errors import ErrorCode, RemoteProtocolError
from apns_core.http2.limits import MAX_HEADER_LIST

__all__ = [
    "DEFAULT_HEADER_TABLE_SIZE",
    "DEFAULT_MAX_FRAME_SIZE",
    "DEFAULT_WINDOW_SIZE",
    "ENABLE_PUSH",
    "HEADER_TABLE_SIZE",
    "INITIAL_WINDOW_SIZE",
    "MAX_CONCURRENT_STREAMS",
    "MAX_FRAME_SIZE",
    "MAX_HEADER_LIST_SIZE",
    "MAX_WINDOW_SIZE",
    "SETTINGS_ACK",
    "PeerSettings",
    "announcement",
    "parse_settings",
]

# Identifiers, RFC 9113 §6.5.2.
HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

DEFAULT_HEADER_TABLE_SIZE: Final = 4_096
DEFAULT_WINDOW_SIZE: Final = 65_535
DEFAULT_MAX_FRAME_SIZE: Final = 16_384
MAX_WINDOW_SIZE: Final = 2**31 - 1

SETTINGS_ACK: Final = b"\x00\x00\x00\x04\x01\x00\x00\x00\x00"

_MAX_ENTRIES: Final = 32
"""Entries in one frame. Six are defined; nghttp2 and Node.js draw the same line."""


@final
@dataclass(slots=True)
class PeerSettings:
    """What the peer has announced so far; before its first SETTINGS, the defaults of the RFC."""

    header_table_size: int = DEFAULT_HEADER_TABLE_SIZE
    max_concurrent_streams: int | None = None
    """None: the peer has named no limit."""
    initial_window_size: int = DEFAULT_WINDOW_SIZE
    max_frame_size: int = DEFAULT_MAX_FRAME_SIZE
    max_header_list_size: int | None = None
    largest_whole: int = field(init=False, repr=False, compare=False)
    """Octets of a body that one frame may carry and the window of a new stream admits."""

    def __post_init__(self) -> None:
        self.apply([])

    def apply(self, entries: list[tuple[int, int]]) -> None:
        """Take over entries in their order: the last of a repeated identifier holds."""
        for identifier, value in entries:
            name = _FIELDS.get(identifier)
            if name is not None:
                setattr(self, name, value)
        self.largest_whole = min(self.initial_window_size, self.max_frame_size)


def announcement(header_table_size: int) -> tuple[tuple[int, int], ...]:
    """Return the entries of our own SETTINGS; the argument is what the server's encoder may use."""
    return (
        (HEADER_TABLE_SIZE, header_table_size),
        (ENABLE_PUSH, 0),
        (INITIAL_WINDOW_SIZE, DEFAULT_WINDOW_SIZE),
        (MAX_HEADER_LIST_SIZE, MAX_HEADER_LIST),
    )


def parse_settings(payload: bytes) -> list[tuple[int, int]]:
    """Read a SETTINGS payload into (identifier, value) pairs, unknown identifiers included.

    Raises RemoteProtocolError for a broken length, a value out of bounds, or a frame too long.
    """
    if len(payload) % 6:
        raise RemoteProtocolError(
            ErrorCode.FRAME_SIZE_ERROR,
            f"SETTINGS of {len(payload)} octets, not a multiple of 6",
            "RFC 9113 §6.5",
        )
    if len(payload) > 6 * _MAX_ENTRIES:
        raise RemoteProtocolError(
            ErrorCode.ENHANCE_YOUR_CALM,
            f"SETTINGS with {len(payload) // 6} entries",
            "RFC 9113 §10.5",
        )
    entries: list[tuple[int, int]] = list(iter_unpack(">HI", payload))
    for identifier, value in entries:
        bounds = _BOUNDS.get(identifier)
        if bounds is not None and not bounds.lowest <= value <= bounds.highest:
            raise RemoteProtocolError(
                bounds.code, f"SETTINGS with {bounds.name}={value}", "RFC 9113 §6.5.2"
            )
    return entries


class _Bounds(NamedTuple):
    name: str
    lowest: int
    highest: int
    code: ErrorCode


_FIELDS: Final = {
    HEADER_TABLE_SIZE: "header_table_size",
    MAX_CONCURRENT_STREAMS: "max_concurrent_streams",
    INITIAL_WINDOW_SIZE: "initial_window_size",
    MAX_FRAME_SIZE: "max_frame_size",
    MAX_HEADER_LIST_SIZE: "max_header_list_size",
}

_BOUNDS: Final = {
    # "A server MUST NOT explicitly set this value to 1."
    ENABLE_PUSH: _Bounds("ENABLE_PUSH", 0, 0, ErrorCode.PROTOCOL_ERROR),
    INITIAL_WINDOW_SIZE: _Bounds(
        "INITIAL_WINDOW_SIZE", 0, MAX_WINDOW_SIZE, ErrorCode.FLOW_CONTROL_ERROR
    ),
    MAX_FRAME_SIZE: _Bounds(
        "MAX_FRAME_SIZE", DEFAULT_MAX_FRAME_SIZE, 2**24 - 1, ErrorCode.PROTOCOL_ERROR
    ),
}
