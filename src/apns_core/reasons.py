"""Apple's reasons: every documented string, what each asks of the sender, and how a body is read.

Every table keyed by a reason is in this file. Sources: Apple, "Handling notification responses
from APNs" (device pushes, 32 reasons) and "Handling error responses from APNs" (channels and
broadcast pushes, 28 reasons, 19 of them shared).
"""

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, cast, final

__all__ = [
    "DISPOSITIONS",
    "DOCUMENTED_STATUSES",
    "FATAL_GOAWAY_REASONS",
    "MAX_JSON_BYTES",
    "MAX_REASON_TEXT",
    "WEDGING_REASONS",
    "Disposition",
    "ErrorBody",
    "Reason",
    "disposition",
    "parse_error_body",
    "parse_reason",
]


@final
class Reason(enum.StrEnum):
    """Why APNs refused, in Apple's own spelling. A reason that is not here is kept as text."""

    # Both tables.
    BAD_CERTIFICATE = "BadCertificate"
    BAD_CERTIFICATE_ENVIRONMENT = "BadCertificateEnvironment"
    BAD_EXPIRATION_DATE = "BadExpirationDate"
    BAD_MESSAGE_ID = "BadMessageId"
    BAD_PATH = "BadPath"
    BAD_PRIORITY = "BadPriority"
    EXPIRED_PROVIDER_TOKEN = "ExpiredProviderToken"  # noqa: S105 - a reason, not a secret
    INTERNAL_SERVER_ERROR = "InternalServerError"
    INVALID_PROVIDER_TOKEN = "InvalidProviderToken"  # noqa: S105 - a reason, not a secret
    INVALID_PUSH_TYPE = "InvalidPushType"
    METHOD_NOT_ALLOWED = "MethodNotAllowed"
    MISSING_PROVIDER_TOKEN = "MissingProviderToken"  # noqa: S105 - a reason, not a secret
    PAYLOAD_EMPTY = "PayloadEmpty"
    PAYLOAD_TOO_LARGE = "PayloadTooLarge"
    SERVICE_UNAVAILABLE = "ServiceUnavailable"
    SHUTDOWN = "Shutdown"
    TOO_MANY_PROVIDER_TOKEN_UPDATES = "TooManyProviderTokenUpdates"  # noqa: S105 - a reason, not a secret
    TOO_MANY_REQUESTS = "TooManyRequests"
    TOPIC_DISALLOWED = "TopicDisallowed"

    # Device pushes only.
    BAD_COLLAPSE_ID = "BadCollapseId"
    BAD_DEVICE_TOKEN = "BadDeviceToken"  # noqa: S105 - a reason, not a secret
    BAD_ENVIRONMENT_KEY_ID_IN_TOKEN = "BadEnvironmentKeyIdInToken"  # noqa: S105 - a reason, not a secret
    BAD_TOPIC = "BadTopic"
    DEVICE_TOKEN_NOT_FOR_TOPIC = "DeviceTokenNotForTopic"  # noqa: S105 - a reason, not a secret
    DUPLICATE_HEADERS = "DuplicateHeaders"
    EXPIRED_TOKEN = "ExpiredToken"  # noqa: S105 - a reason, not a secret
    FORBIDDEN = "Forbidden"
    IDLE_TIMEOUT = "IdleTimeout"
    MISSING_DEVICE_TOKEN = "MissingDeviceToken"  # noqa: S105 - a reason, not a secret
    MISSING_TOPIC = "MissingTopic"
    UNREGISTERED = "Unregistered"
    UNRELATED_KEY_ID_IN_TOKEN = "UnrelatedKeyIdInToken"  # noqa: S105 - a reason, not a secret

    # Channels and broadcast pushes only.
    BAD_CHANNEL_ID = "BadChannelId"
    BAD_REQUEST_PARAMS = "BadRequestParams"
    BAD_REQUEST_PAYLOAD = "BadRequestPayload"
    CANNOT_CREATE_CHANNEL_CONFIG = "CannotCreateChannelConfig"
    CHANNEL_NOT_REGISTERED = "ChannelNotRegistered"
    FEATURE_NOT_ENABLED = "FeatureNotEnabled"
    MISSING_CHANNEL_ID = "MissingChannelId"
    MISSING_PUSH_TYPE = "MissingPushType"
    TOPIC_MISMATCH = "TopicMismatch"


@final
class Disposition(enum.Enum):
    """What the sender of a notification does next."""

    DONE = enum.auto()
    """Nothing: it was accepted."""

    RETRY = enum.auto()
    """Send the same again at once, anywhere: it was not acted on, and nothing is wrong with it.

    No rejection asks for this; it is what an unprocessed notification gets.
    """

    RETRY_LATER = enum.auto()
    """Send the same again after a growing delay, on any connection."""

    RETRY_WITH_NEW_TOKEN = enum.auto()
    """Sign a new provider token, retire the connection, send the same again on another."""

    RETRY_ON_NEW_CONNECTION = enum.auto()
    """Retire the connection and send the same again on another; the credentials are good."""

    FORGET_DEVICE = enum.auto()
    """Stop sending to this device token, unless the app registered it again after ``timestamp``."""

    FAIL = enum.auto()
    """Report it: the same notification will be refused again until someone changes something."""


_DONE: Final = Disposition.DONE
_LATER: Final = Disposition.RETRY_LATER
_NEW_TOKEN: Final = Disposition.RETRY_WITH_NEW_TOKEN
_NEW_CONNECTION: Final = Disposition.RETRY_ON_NEW_CONNECTION
_FORGET: Final = Disposition.FORGET_DEVICE
_FAIL: Final = Disposition.FAIL

# (status, disposition), in the order of Apple's tables.
_TABLE: Final[dict[Reason, tuple[int, Disposition]]] = {
    Reason.BAD_COLLAPSE_ID: (400, _FAIL),
    # Not FORGET_DEVICE. The commonest cause is a device token of the other environment: one
    # misconfigured deployment would have its users dropped for good.
    Reason.BAD_DEVICE_TOKEN: (400, _FAIL),
    Reason.BAD_EXPIRATION_DATE: (400, _FAIL),
    Reason.BAD_MESSAGE_ID: (400, _FAIL),
    Reason.BAD_PRIORITY: (400, _FAIL),
    Reason.BAD_TOPIC: (400, _FAIL),
    # As for BadDeviceToken: a wrong topic in the sender's configuration looks just the same.
    Reason.DEVICE_TOKEN_NOT_FOR_TOPIC: (400, _FAIL),
    Reason.DUPLICATE_HEADERS: (400, _FAIL),
    # Says something about the connection and nothing about the notification, despite the 400.
    Reason.IDLE_TIMEOUT: (400, _NEW_CONNECTION),
    Reason.INVALID_PUSH_TYPE: (400, _FAIL),
    Reason.MISSING_DEVICE_TOKEN: (400, _FAIL),
    Reason.MISSING_TOPIC: (400, _FAIL),
    Reason.PAYLOAD_EMPTY: (400, _FAIL),
    Reason.TOPIC_DISALLOWED: (400, _FAIL),
    Reason.FEATURE_NOT_ENABLED: (400, _FAIL),
    Reason.MISSING_CHANNEL_ID: (400, _FAIL),
    Reason.BAD_CHANNEL_ID: (400, _FAIL),
    # A channel is not a device, and the same id may be good in the other environment.
    Reason.CHANNEL_NOT_REGISTERED: (400, _FAIL),
    Reason.BAD_REQUEST_PARAMS: (400, _FAIL),
    Reason.BAD_REQUEST_PAYLOAD: (400, _FAIL),
    Reason.MISSING_PUSH_TYPE: (400, _FAIL),
    # Time does not help: channels must be deleted first.
    Reason.CANNOT_CREATE_CHANNEL_CONFIG: (400, _FAIL),
    # A new connection would present the same certificate.
    Reason.BAD_CERTIFICATE: (403, _FAIL),
    Reason.BAD_CERTIFICATE_ENVIRONMENT: (403, _FAIL),
    Reason.EXPIRED_PROVIDER_TOKEN: (403, _NEW_TOKEN),
    Reason.FORBIDDEN: (403, _FAIL),
    # A wrong key, key id or team id. The next token would be signed by the same.
    Reason.INVALID_PROVIDER_TOKEN: (403, _FAIL),
    Reason.MISSING_PROVIDER_TOKEN: (403, _FAIL),
    # The first push binds a connection to its key. With one key for a client this is seen only
    # after that key was replaced, by a connection that outlived it; a fresh one takes the new key.
    # Where two unrelated keys really share a client, the bound on attempts ends it.
    Reason.UNRELATED_KEY_ID_IN_TOKEN: (403, _NEW_CONNECTION),
    Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN: (403, _FAIL),
    Reason.TOPIC_MISMATCH: (403, _FAIL),
    Reason.BAD_PATH: (404, _FAIL),
    Reason.METHOD_NOT_ALLOWED: (405, _FAIL),
    Reason.EXPIRED_TOKEN: (410, _FORGET),
    Reason.UNREGISTERED: (410, _FORGET),
    Reason.PAYLOAD_TOO_LARGE: (413, _FAIL),
    # The limit is kept per connection; a new one starts with whatever token it sees first.
    Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES: (429, _NEW_CONNECTION),
    Reason.TOO_MANY_REQUESTS: (429, _LATER),
    Reason.INTERNAL_SERVER_ERROR: (500, _LATER),
    Reason.SERVICE_UNAVAILABLE: (503, _LATER),
    Reason.SHUTDOWN: (503, _NEW_CONNECTION),
}

DISPOSITIONS: Final[Mapping[Reason, Disposition]] = MappingProxyType(
    {reason: row[1] for reason, row in _TABLE.items()}
)
"""What to do about each documented reason: the one table of retry eligibility."""

DOCUMENTED_STATUSES: Final[Mapping[Reason, int]] = MappingProxyType(
    {reason: row[0] for reason, row in _TABLE.items()}
)
"""The HTTP status that Apple documents with each reason. Where both tables list it, they agree."""

WEDGING_REASONS: Final[frozenset[Reason]] = frozenset(
    {
        # After these two APNs was seen to hold a connection at one stream or to stop answering it
        # (jchambers/pushy#732, #811), whatever token comes next.
        Reason.EXPIRED_PROVIDER_TOKEN,
        Reason.TOO_MANY_PROVIDER_TOKEN_UPDATES,
        # Bound to another key for as long as it lives.
        Reason.UNRELATED_KEY_ID_IN_TOKEN,
        # On its way out, by its own account.
        Reason.IDLE_TIMEOUT,
        Reason.SHUTDOWN,
    }
)
"""Reasons after which a connection must open no further stream: retire it, use another."""

FATAL_GOAWAY_REASONS: Final[frozenset[Reason]] = frozenset(
    {
        Reason.BAD_CERTIFICATE,
        Reason.BAD_CERTIFICATE_ENVIRONMENT,
        Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN,
    }
)
"""Reasons in a GOAWAY that every further connection with these credentials would meet again.

Do not reconnect: APNs treats churn as an attack. `InvalidProviderToken` is not here, because it
was also reported in passing (ostinelli/apnotic#109) and the next token may be taken.
"""


def disposition(status: int, reason: Reason | None) -> Disposition:
    """Decide what follows a final response with this HTTP status and reason.

    The status decides alone when it is a success or when the reason is absent or unknown.
    """
    if 200 <= status <= 299:
        return _DONE
    if reason is not None:
        return DISPOSITIONS[reason]
    if status == 410:
        return _FORGET
    if status == 429 or 500 <= status <= 599:
        return _LATER
    return _FAIL


# Spellings other than the documented one.
_VARIANTS: Final[dict[str, Reason]] = {
    # On the wire since 2025; the documented spelling has not been reported from it.
    "BadEnvironmentKeyInToken": Reason.BAD_ENVIRONMENT_KEY_ID_IN_TOKEN,
    # So printed, with a space, in the table for channels and broadcast pushes.
    "Service Unavailable": Reason.SERVICE_UNAVAILABLE,
}

_SPELLINGS: Final[dict[str, Reason]] = {reason.value: reason for reason in Reason} | _VARIANTS


def parse_reason(text: str) -> Reason | None:
    """Return the reason that the text names, in any known spelling; None if it is unknown."""
    return _SPELLINGS.get(text)


@final
@dataclass(frozen=True, slots=True)
class ErrorBody:
    """What the body of a rejection says; all None when it says nothing that can be read."""

    reason: Reason | None = None
    """The reason, if it is a documented one."""

    reason_text: str | None = None
    """The reason as sent, never empty, cut to `MAX_REASON_TEXT` characters. Not made printable,
    but always encodable: an unpaired surrogate becomes ``?``."""

    timestamp: int | None = None
    """With status 410: when APNs found the device token dead, in milliseconds since 1970."""


MAX_JSON_BYTES: Final = 4_096
"""Only this much of what a server says of itself is parsed. Apple's longest body has some 70."""

MAX_REASON_TEXT: Final = 128
"""Characters of an unknown reason that are kept. The longest documented one has 27."""

# Later than this, a number is not a time: the largest that a signed 64-bit field holds.
_MAX_TIMESTAMP: Final = 2**63 - 1

_NOTHING: Final = ErrorBody()

# Optimisation: nearly every rejection carries one of these very bodies. Looking the bytes up takes
# 0.1 µs where JSON takes 3; what is not here is parsed.
_EXACT_BODIES: Final[dict[bytes, ErrorBody]] = {
    b"": _NOTHING,
    **{
        b'{"reason":"%b"}' % spelling.encode(): ErrorBody(reason, spelling)
        for spelling, reason in _SPELLINGS.items()
    },
}


def parse_error_body(body: bytes) -> ErrorBody:
    """Read the body of a rejection. Takes any bytes and never raises: a peer wrote them."""
    return _EXACT_BODIES.get(body) or _parse_json(body)


def _parse_json(body: bytes) -> ErrorBody:
    try:
        document: object = json.loads(body[:MAX_JSON_BYTES].decode("utf-8", "replace"))
    except (ValueError, RecursionError):  # malformed, an endless number, or nested without end
        return _NOTHING
    if not isinstance(document, dict):
        return _NOTHING
    fields = cast("dict[str, object]", document)
    text = fields.get("reason")
    timestamp = fields.get("timestamp")
    if not isinstance(text, str) or not text:
        text = None
    # JSON's true is an int to Python.
    if type(timestamp) is not int or not 0 <= timestamp <= _MAX_TIMESTAMP:
        timestamp = None
    if text is None:
        return ErrorBody(timestamp=timestamp)
    # "\ud800" is legal JSON and a str that no encoder takes: it would raise in the caller's log.
    encodable = text[:MAX_REASON_TEXT].encode("utf-8", "replace").decode()
    return ErrorBody(parse_reason(text), encodable, timestamp)
