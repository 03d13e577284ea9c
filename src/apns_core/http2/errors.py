"""HTTP/2 error codes, and who is to blame: the caller (raised) or the peer (only reported)."""

from enum import IntEnum
from typing import final

from apns_core.http2.frame_heads import FrameHead, describe_head

__all__ = ["ErrorCode", "LocalProtocolError", "ProtocolError", "RemoteProtocolError"]


@final
class ErrorCode(IntEnum):
    """RFC 9113 §7. A code outside this set is legal on the wire and stays an ``int``."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ProtocolError(Exception):
    """A rule of HTTP/2 was broken. The subclass says by whom."""


@final
class LocalProtocolError(ProtocolError):
    """The caller asked for what HTTP/2 or the peer's limits forbid. Nothing has changed."""


@final
class RemoteProtocolError(ProtocolError):
    """The peer broke a rule. Found in events, as the cause of an end; never raised at the caller.

    ``code`` is what our GOAWAY or RST_STREAM says; ``section`` is the rule, as ``"RFC 9113 §6.5"``.
    The text names frames, streams and numbers, never the contents of a field.
    """

    code: ErrorCode
    section: str
    stream_id: int
    frame_heads: tuple[FrameHead, ...]
    """Those of the last frames that were read, the newest last; `frames` is their text."""

    def __init__(self, code: ErrorCode, problem: str, section: str, stream_id: int = 0) -> None:
        where = f" on stream {stream_id}" if stream_id else ""
        super().__init__(f"{problem}{where} ({code.name}, {section})")
        self.code = code
        self.section = section
        self.stream_id = stream_id
        self.frame_heads = ()

    @property
    def frames(self) -> tuple[str, ...]:
        """The heads of the last frames that were read, the newest last: for bug reports."""
        # Optimisation (benchmark: floods): most errors that a server can provoke nobody reads.
        return tuple(map(describe_head, self.frame_heads))
