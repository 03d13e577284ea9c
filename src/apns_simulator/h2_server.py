"""h2 in the server role, bent where its rules are not those of APNs."""

from typing import Final, final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.stream import StreamClosedBy

from .frames import last_headers_frame

__all__ = ["H2Server"]

# Requests are checked by field_rules.py: h2 takes a tenth of all time for it, and ends the
# connection for what is an error of one stream (RFC 9113 section 8.1.1). Some tempers answer
# against the rules.
_CONFIGURATION: Final = H2Configuration(
    client_side=False,
    header_encoding=False,
    validate_inbound_headers=False,
    normalize_inbound_headers=False,
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


@final
class H2Server(H2Connection):
    """One server connection of h2 that leaves the stream limit and its counting to the caller."""

    def __init__(self) -> None:
        super().__init__(_CONFIGURATION)

    @property
    def open_inbound_streams(self) -> int:
        """Less than any limit.

        h2 answers a stream above the limit with the end of the connection, where APNs resets the
        stream; and it counts by walking all streams at each request.
        """
        return -1

    def answer_without_body(self, stream_id: int, fields: list[tuple[bytes, bytes]]) -> None:
        """Write HEADERS that end a stream whose request was read to its end, and drop the stream.

        Optimisation: this is what nearly all requests get, and h2's own way to it takes four times
        as long. The fields go through h2's encoder, so the client's table stays in step.
        """
        block = self.encoder.encode(fields, huffman=False)
        self._data_to_send += last_headers_frame(stream_id, block)
        del self.streams[stream_id]
        self._closed_streams[stream_id] = StreamClosedBy.SEND_END_STREAM

    def forget(self, stream_id: int) -> None:
        """Drop a stream that is over. h2 does so only while it counts."""
        stream = self.streams.pop(stream_id, None)
        if stream is not None:
            self._closed_streams[stream_id] = stream.closed_by
