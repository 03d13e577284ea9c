"""What the report of an error says of a frame: all of its head, nothing of its payload."""

from typing import Final, TypeAlias

__all__ = ["FRAME_NAMES", "HIGHEST_STREAM_ID", "FrameHead", "describe_head"]

FrameHead: TypeAlias = tuple[int, int, int]
"""Length and type in one number, flags, stream id with its reserved bit: as it is read."""

HIGHEST_STREAM_ID: Final = 2**31 - 1

FRAME_NAMES: Final = (
    "DATA",
    "HEADERS",
    "PRIORITY",
    "RST_STREAM",
    "SETTINGS",
    "PUSH_PROMISE",
    "PING",
    "GOAWAY",
    "WINDOW_UPDATE",
    "CONTINUATION",
)
"""Indexed by frame type (RFC 9113 §6)."""


def describe_head(head: FrameHead) -> str:
    """Return a frame's type, flags, stream and length as text."""
    length_and_kind, flags, stream_id = head
    kind = length_and_kind & 0xFF
    name = FRAME_NAMES[kind] if kind < len(FRAME_NAMES) else f"type {kind:#04x}"
    length = length_and_kind >> 8
    return f"{name} flags={flags:#04x} stream={stream_id & HIGHEST_STREAM_ID} length={length}"
