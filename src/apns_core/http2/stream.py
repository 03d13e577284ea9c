"""One request and its response: the object that the caller hands in and gets back when it ends."""

from typing import Final

from apns_core.http2.errors import RemoteProtocolError
from apns_core.http2.flow_control import ReceiveWindow
from apns_core.http2.hpack_decoder import Field
from apns_core.http2.limits import MAX_BODY_SIZE

__all__ = ["COMPLETE", "LOST", "MALFORMED", "NOT_PROCESSED", "OPEN", "RESET", "Stream"]

# How a stream ended. Integers, not an enum: compared once for every response.
OPEN: Final = 0
"""Not yet."""
COMPLETE: Final = 1
"""The final status was read; the body may be cut short, which decides nothing."""
RESET: Final = 2
"""RST_STREAM came before a final status; `Stream.error_code` says which."""
NOT_PROCESSED: Final = 3
"""Its id is above the last-stream-id of a GOAWAY: the server has not acted on it (§6.8)."""
MALFORMED: Final = 4
"""The response broke a rule before its status was known; `Stream.error` says which."""
LOST: Final = 5
"""The connection ended first."""


class Stream:
    """Subclass it to carry what the request belongs to: one object a request is enough."""

    __slots__ = (
        "abandoned",
        "buffer",
        "credit",
        "empty_data",
        "end",
        "end_stream_sent",
        "error",
        "error_code",
        "expected_length",
        "fields",
        "informational",
        "received",
        "status",
        "stream_id",
        "unsent",
    )

    def __init__(self) -> None:
        self.prepare()

    def prepare(self) -> None:
        """Forget a former attempt, so that the same object can be sent again."""
        self.stream_id = 0
        self.status = 0
        """Of the final response; 0 until it is read."""
        self.fields: list[Field] = _NO_FIELDS
        """Of the final response, `:status` included."""
        self.end = OPEN
        self.error_code = 0
        """Of the RST_STREAM that ended it."""
        self.error: RemoteProtocolError | None = None
        """The rule that its response, or its connection's peer, broke."""
        self.end_stream_sent = False
        """Once a frame with END_STREAM was handed out, the server may act on the request."""

        # From here on the client's own bookkeeping.
        self.abandoned = False
        """Cancelled by us, and perhaps still counted by the peer."""
        self.unsent = b""
        """What flow control holds back of the request's body."""
        self.credit = 0
        """What WINDOW_UPDATE has added less what was sent; on top of the peer's initial window."""
        self.buffer: bytearray | None = None
        """Of the response's body; made for the first DATA: an accepted notification has none."""
        self.received: ReceiveWindow | None = None
        """Made for the first DATA too."""
        self.expected_length: int | None = None
        """Octets of body still to come, if the response announced them."""
        self.empty_data = 0
        self.informational = 0

    @property
    def body(self) -> bytes:
        """What there is of the response's body; at most `max_body` octets."""
        return b"" if self.buffer is None else bytes(self.buffer)

    @property
    def max_body(self) -> int:
        """Octets of the response's body that are kept."""
        # A property costs nothing until DATA comes, which follows few requests.
        return MAX_BODY_SIZE


# Shared and never changed: most streams get a list of their own with their response.
_NO_FIELDS: Final[list[Field]] = []
