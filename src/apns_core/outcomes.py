"""What came of a notification: exactly one of four, and never more than is known."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Generic, TypeAlias, TypeVar, final

from apns_core.reasons import Disposition, Reason, disposition
from apns_core.requests.request import Request
from apns_core.requests.values import aware_datetime

__all__ = ["Accepted", "Cause", "Outcome", "Rejected", "Unknown", "Unprocessed"]

T_co = TypeVar("T_co", covariant=True)


@final
class Cause(StrEnum):
    """Why a notification has no answer, or a connection its end."""

    DEADLINE = "its deadline passed"
    GOAWAY = "the server is going away"
    REFUSED_STREAM = "the server refused the stream"
    RESET = "the server reset the stream"
    MALFORMED = "the server's response broke a rule of HTTP/2"
    CONNECTION_LOST = "the connection was lost"
    PROTOCOL_ERROR = "the server broke a rule of HTTP/2"
    NOT_HTTP2 = "the server speaks no HTTP/2"
    UNRESPONSIVE = "the server stopped answering"
    NO_SETTINGS = "the server did not send or acknowledge SETTINGS in time"
    LIMITS = "the server's limits do not admit the request"
    FATAL = "the server refuses these credentials"
    RETIRED = "the connection was retired"
    CLOSED = "the client was closed"


@final
@dataclass(frozen=True, slots=True)
class Answered:
    """What an answer says beyond that of a device push."""

    status: int
    apns_request_id: str | None
    channel_id: str | None
    body: bytes = field(repr=False)


@final
@dataclass(slots=True)
class Accepted(Generic[T_co]):
    """APNs answered 200. It will try to deliver; acceptance is not delivery.

    Of channel management: 200, 201 or 204, and it is done. Its request's ``result`` reads it.
    """

    notification: Request
    tag: T_co = field(repr=False)
    """What the caller gave with the notification."""
    apns_id: str | None = None
    """As APNs sent it; its case may differ from the request's."""
    apns_unique_id: str | None = None
    """The key to the delivery log of Apple's console; of device pushes in development only."""
    answer: Answered | None = field(default=None, repr=False)
    """None for a device push: one slot there, in place of four (benchmark: round trip)."""

    @property
    def status(self) -> int:
        """The HTTP status."""
        return 200 if self.answer is None else self.answer.status

    @property
    def apns_request_id(self) -> str | None:
        """Of a broadcast or channel request: as it has it, or made by APNs."""
        return None if self.answer is None else self.answer.apns_request_id

    @property
    def channel_id(self) -> str | None:
        """The id of a channel that was created."""
        return None if self.answer is None else self.answer.channel_id

    @property
    def body(self) -> bytes:
        """The answer's body; empty but for what reads or lists channels."""
        return b"" if self.answer is None else self.answer.body


@final
@dataclass(slots=True)
class Rejected(Generic[T_co]):
    """APNs answered with another status: the notification was not taken."""

    notification: Request
    tag: T_co = field(repr=False)
    status: int
    reason: Reason | None
    """None where the body names none, or one that Apple has not documented."""
    reason_text: str | None = None
    """The reason verbatim, documented or not."""
    timestamp_ms: int | None = None
    """`timestamp` as APNs sent it: milliseconds of UNIX time, which may be no date at all."""
    apns_id: str | None = None
    retry_after: float | None = None
    """Seconds, if the server says so; Apple documents none."""
    apns_request_id: str | None = None
    """Of a broadcast or channel request: as it has it, or made by APNs."""
    apns_unique_id: str | None = None
    """As of `Accepted`, if the server gives a rejection one."""

    @property
    def disposition(self) -> Disposition:
        """What to do about it."""
        return disposition(self.status, self.reason)

    @property
    def timestamp(self) -> datetime | None:
        """With 410: since when APNs holds the device token dead for the topic, in UTC.

        None where the server said nothing, or nothing that is a date.
        """
        if self.timestamp_ms is None:
            return None
        try:
            return _UNIX_ZERO + timedelta(milliseconds=self.timestamp_ms)
        except OverflowError:  # a server wrote it, and years end at 9999
            return None

    def is_device_token_dead(self, registered_at: datetime | None = None) -> bool:
        """Whether to forget the device token: its app is gone from the device, or it has expired.

        ``registered_at``: when the app last handed this very token to you, as an aware datetime. A
        token that was handed over after `timestamp` lives again (Apple, "Handling notification
        responses from APNs"). Without it, or where the server gives no timestamp, the server's
        word stands.

        Only a 410 with ``Unregistered`` or ``ExpiredToken`` says so. ``BadDeviceToken`` does not: a
        token of the other environment gets it too, and one wrong setting would cost every user.
        Raises InvalidField for what is no aware datetime.
        """
        if registered_at is not None:
            aware_datetime("registered_at", registered_at)
        if self.status != _GONE or self.reason not in _DEAD_TOKEN_REASONS:
            return False
        dead_since = self.timestamp
        return registered_at is None or dead_since is None or registered_at <= dead_since


@final
@dataclass(slots=True)
class Unprocessed(Generic[T_co]):
    """Provably not acted on, and not sent in time: to send it again cannot make a duplicate."""

    notification: Request
    tag: T_co = field(repr=False)
    cause: Cause


@final
@dataclass(slots=True)
class Unknown(Generic[T_co]):
    """It may have been processed: only the caller can say whether to send it again."""

    notification: Request
    tag: T_co = field(repr=False)
    cause: Cause


_UNIX_ZERO: Final = datetime(1970, 1, 1, tzinfo=UTC)
_GONE: Final = 410
_DEAD_TOKEN_REASONS: Final = frozenset((Reason.UNREGISTERED, Reason.EXPIRED_TOKEN))

Outcome: TypeAlias = Accepted[T_co] | Rejected[T_co] | Unprocessed[T_co] | Unknown[T_co]
