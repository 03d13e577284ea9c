"""What a server may make us keep or do, each bound with its reason and its precedents."""

from typing import Final, final

from apns_core.http2.errors import ErrorCode, RemoteProtocolError

__all__ = [
    "MAX_BLOCK_SIZE",
    "MAX_BODY_SIZE",
    "MAX_CONTINUATIONS",
    "MAX_EMPTY_DATA",
    "MAX_HEADER_LIST",
    "MAX_INFORMATIONAL",
    "MAX_RECENT_FRAMES",
    "MAX_RESET_MEMORY",
    "MAX_UNSENT_REPLIES",
    "GlitchBudget",
    "window_updates_allowed",
]

MAX_BODY_SIZE: Final = 16_384
"""Octets of a response body that are kept, where its `Stream` does not ask for more. APNs' reasons
take 100; the status decides anyway."""

MAX_HEADER_LIST: Final = 16_384
"""Octets of decoded fields a block, announced and enforced. APNs answers with about 200."""

MAX_BLOCK_SIZE: Final = 16_384
"""Octets of a field block over all its frames: raw literals cannot be longer than their list."""

MAX_CONTINUATIONS: Final = 8
"""CONTINUATION frames a block, empty ones too: nghttp2's limit since CVE-2024-28182."""

MAX_INFORMATIONAL: Final = 8
"""1xx responses a stream. APNs sends none."""

MAX_EMPTY_DATA: Final = 10
"""DATA frames in a row on one stream that carry nothing and end nothing (CVE-2019-9518)."""

MAX_UNSENT_REPLIES: Final = 1_000
"""Frames owed to the peer's (ACKs, resets of closed streams) that wait for a blocked writer;
nghttp2 and Envoy end the connection there too."""

MAX_RECENT_FRAMES: Final = 32
"""Heads of frames that are kept for the report of an error: what led to it is seldom further back.
"""

MAX_RESET_MEMORY: Final = 1_024
"""Ids of streams that we reset, for which a late frame is no fault of the peer."""


def window_updates_allowed(streams: int, data_frames: int) -> int:
    """How many WINDOW_UPDATE frames make sense after so many streams and DATA frames: Envoy's rule.

    One that opens a stream's window and one the connection's, for each frame that used them up,
    with ample room for servers that hand out credit in small coins.
    """
    return 5 + 2 * (streams + 10 * data_frames)


_GLITCH_BURST: Final = 10_000.0
"""Frames that are legal one by one and useless in numbers; nghttp2 allows as many at once."""

_GLITCHES_PER_SECOND: Final = 330
"""Refill, nghttp2's. A server that probes with PING 330 times a second has other faults."""

_GLITCHES_PER_STREAM: Final = 4
"""Refill by work done. APNs may answer a request with SETTINGS that lower the limit, with others
that raise it again, and with two RST_STREAM; nginx resets each stream that it answers early."""


@final
class GlitchBudget:
    """A token bucket over frames that cost us work and bring nothing (CVE-2019-9512 and kin)."""

    __slots__ = ("_left", "_refilled_at", "_streams")

    def __init__(self, now: float) -> None:
        self._left = _GLITCH_BURST
        self._refilled_at = now
        self._streams = 0

    def spend(self, what: str, now: float, streams: int, cost: int = 1) -> None:
        """Count one frame of that ``cost``, after ``streams`` were opened in all.

        Raises RemoteProtocolError (ENHANCE_YOUR_CALM) where there are too many.
        """
        self._left -= cost
        if self._left >= 0:
            return
        # Only now: a budget that lasts costs one subtraction a frame.
        earned = (now - self._refilled_at) * _GLITCHES_PER_SECOND
        earned += (streams - self._streams) * _GLITCHES_PER_STREAM
        self._left = min(self._left + earned, _GLITCH_BURST)
        self._refilled_at = now
        self._streams = streams
        if self._left < 0:
            raise RemoteProtocolError(
                ErrorCode.ENHANCE_YOUR_CALM, f"a flood of {what}", "RFC 9113 §10.5"
            )
