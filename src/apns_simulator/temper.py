"""What a simulated APNs does wrong on purpose: plain data, all of it off by default."""

import json
from dataclasses import asdict, dataclass
from typing import Final, Literal, Self, final, get_args

from .config import check_words, read_object

__all__ = ["GRACEFUL_GOAWAY", "BodyStyle", "GoAway", "SettingsChange", "Temper"]

BodyStyle = Literal[
    "json", "split", "empty", "absent", "html", "huge", "padded", "trailers", "unfinished"
]
"""The shape of an error's body.

``json``: one DATA frame. ``split``: one byte a DATA frame, then an empty one. ``empty``: one DATA
frame of no bytes. ``absent``: none at all. ``html``: a page, as of a proxy. ``huge``: one megabyte
of JSON. ``padded``: JSON in frames with 100 bytes of padding. ``trailers``: JSON, then trailers.
``unfinished``: JSON without END_STREAM, ever.
"""


@final
@dataclass(frozen=True, slots=True)
class GoAway:
    """One GOAWAY frame. ``last_stream_id`` ``None`` is the last stream that was read to its end."""

    last_stream_id: int | None = None
    error_code: int = 0
    debug_data: str = ""
    delay: float = 0.0
    """Seconds after the GOAWAY before it, or after what set it off."""

    @classmethod
    def because(
        cls, reason: str, *, last_stream_id: int | None = None, error_code: int = 0
    ) -> Self:
        """Make a GOAWAY whose debug data is Apple's JSON, ``{"reason": …}``."""
        return cls(last_stream_id, error_code, json.dumps({"reason": reason}))


GRACEFUL_GOAWAY: Final = (GoAway(last_stream_id=2**31 - 1), GoAway(delay=0.05))
"""RFC 9113 section 6.8: first 2^31-1, so that the client stops; then the real last stream id."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChange:
    """A SETTINGS frame in the life of a connection. ``None`` leaves a value out of it."""

    max_concurrent_streams: int | None = None
    initial_window_size: int | None = None
    header_table_size: int | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Temper:
    """The faults that a simulated APNs shows. ``Temper()`` shows none.

    *After N* counts the requests that were read to their end on one connection; 0 is at the start
    of the connection, and ``None`` is never. Raises ``ValueError`` on construction for a word that
    stands for nothing.
    """

    first_connections: int | None = None
    """Only the first so many connections have this temper; ``None``: all of them."""

    limit_drop_on_rejection: bool = False
    """Lower MAX_CONCURRENT_STREAMS to 1 after a rejection; restore it on the next acceptance.

    Streams opened above the lowered limit are reset with REFUSED_STREAM on their HEADERS and with
    STREAM_CLOSED on their DATA, as APNs was seen to do (jchambers/pushy#476).
    """

    refuse_every: int | None = None
    """Reset every N-th new stream with REFUSED_STREAM; 1 refuses all."""

    goaway_after: int | None = None
    goaway_frames: tuple[GoAway, ...] = (GoAway(),)
    """What is sent then. Streams above the lowest last-stream-id are ignored."""

    goaway_close: bool = True
    """Close after the last GOAWAY, as soon as each stream that counts is answered."""

    silent_after: int | None = None
    silence: Literal["requests", "everything"] = "requests"
    """``requests``: process, never answer, but answer PING. ``everything``: read, do nothing."""

    close_after_requests: int | None = None
    """Close when the N-th request is processed and before it is answered."""

    close_after_bytes: int | None = None
    """Close when so many bytes were received, wherever that cuts."""

    close_after_bytes_sent: int | None = None
    """Close when so many bytes were sent, wherever that cuts."""

    close_by: Literal["eof", "abort"] = "eof"
    """``eof`` ends the connection in order, ``abort`` by a TCP reset."""

    settings_after: int | None = None
    settings: SettingsChange = SettingsChange()

    credit_windows: bool = True
    """Return flow-control credit for received DATA."""

    answer_status: int | None = None
    """Give every request this status instead of looking at it; ``None`` looks."""

    answer_reason: str | None = None
    answer_from: int = 1
    """The first request (1 is the first) that gets the fixed answer."""

    retry_after: int | None = None
    """Add ``retry-after`` (seconds) to each answer other than 200."""

    body_style: BodyStyle = "json"
    informational: int = 0
    """Send so many 103 responses before each answer."""

    uppercase_apns_id: bool = False
    omit_apns_id: bool = False
    ping_every: float | None = None
    """Send a PING every so many seconds."""

    def __post_init__(self) -> None:
        check_words(
            self,
            body_style=get_args(BodyStyle),
            silence=("requests", "everything"),
            close_by=("eof", "abort"),
        )

    def to_json(self) -> str:
        """Return the temper as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what ``to_json`` wrote; absent members take their defaults.

        Raises:
            ValueError: it is not JSON, or not an object, or a word in it stands for nothing.
            TypeError: it has a member that a temper does not have.

        """
        plain = read_object(text)
        if "goaway_frames" in plain:
            plain["goaway_frames"] = tuple(GoAway(**frame) for frame in plain["goaway_frames"])
        if "settings" in plain:
            plain["settings"] = SettingsChange(**plain["settings"])
        return cls(**plain)
