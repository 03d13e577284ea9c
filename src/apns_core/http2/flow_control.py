"""The receiving half of flow control (RFC 9113 §6.9): what the peer may send, and credit for it.

The sending half is two integers, in `client`: the connection's window and each stream's.
"""

from typing import Final, final

from apns_core.http2.errors import ErrorCode, RemoteProtocolError

__all__ = ["ReceiveWindow"]

_CREDIT_SHARE: Final = 2
"""Return credit once 1/2 of the window is used up: the rule of nghttp2, and of APNs itself."""


@final
class ReceiveWindow:
    """One window that we have granted, of the connection or of a stream.

    Every octet of a DATA payload counts, padding included, whatever becomes of its stream: who
    forgets one leaks window until the connection stands still.
    """

    __slots__ = ("_promised", "_threshold", "size", "unreturned")

    def __init__(self, size: int) -> None:
        self.size = size
        """Octets granted when nothing is outstanding."""
        self.unreturned = 0
        """Octets received for which no credit has been returned yet."""
        self._promised = 0
        self._threshold = size // _CREDIT_SHARE

    def receive(self, octets: int, stream_id: int = 0) -> int:
        """Count ``octets`` of DATA; return the increment that is now due, or 0.

        The peer may use what is due only after `handed_out`. Raises RemoteProtocolError where it
        sent more than it was granted.
        """
        self.unreturned += octets
        if self.unreturned + self._promised > self.size:
            raise RemoteProtocolError(
                ErrorCode.FLOW_CONTROL_ERROR,
                f"DATA beyond a window of {self.size} octets",
                "RFC 9113 §6.9.1",
                stream_id,
            )
        if self.unreturned <= self._threshold:
            return 0
        due, self.unreturned = self.unreturned, 0
        self._promised += due
        return due

    def handed_out(self) -> None:
        """Note that the WINDOW_UPDATE frames for all that was due are on their way."""
        self._promised = 0
