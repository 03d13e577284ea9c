"""What Apple's pages say: the reasons and their statuses, the push types and their topics.

The simulator keeps its own tables on purpose. They are written down a second time, apart from the
engine's, so that a slip in either shows as a disagreement.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["LARGE_PAYLOAD_TYPES", "PRIORITIES", "REASON_STATUS", "TOPIC_SUFFIXES"]

REASON_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "BadCollapseId": 400,
        "BadDeviceToken": 400,
        "BadExpirationDate": 400,
        "BadMessageId": 400,
        "BadPriority": 400,
        "BadTopic": 400,
        "DeviceTokenNotForTopic": 400,
        "DuplicateHeaders": 400,
        "IdleTimeout": 400,
        "InvalidPushType": 400,
        "MissingDeviceToken": 400,
        "MissingTopic": 400,
        "PayloadEmpty": 400,
        "TopicDisallowed": 400,
        "BadCertificate": 403,
        "BadCertificateEnvironment": 403,
        "ExpiredProviderToken": 403,
        "Forbidden": 403,
        "InvalidProviderToken": 403,
        "MissingProviderToken": 403,
        "UnrelatedKeyIdInToken": 403,
        "BadEnvironmentKeyIdInToken": 403,
        # Documented as the line above; seen on the wire without the "Id".
        "BadEnvironmentKeyInToken": 403,
        "BadPath": 404,
        "MethodNotAllowed": 405,
        "ExpiredToken": 410,
        "Unregistered": 410,
        "PayloadTooLarge": 413,
        "TooManyProviderTokenUpdates": 429,
        "TooManyRequests": 429,
        "InternalServerError": 500,
        "ServiceUnavailable": 503,
        "Shutdown": 503,
        # Channels and broadcast pushes only ("Handling error responses from APNs").
        "FeatureNotEnabled": 400,
        "MissingChannelId": 400,
        "BadChannelId": 400,
        "ChannelNotRegistered": 400,
        "BadRequestParams": 400,
        "BadRequestPayload": 400,
        "MissingPushType": 400,
        "CannotCreateChannelConfig": 400,
        "TopicMismatch": 403,
        # So printed there, with a space.
        "Service Unavailable": 503,
    }
)
"""Apple's ``reason`` strings and the HTTP status that each comes with."""

TOPIC_SUFFIXES: Final[Mapping[bytes, bytes]] = MappingProxyType(
    {
        b"alert": b"",
        b"background": b"",
        b"complication": b".complication",
        b"controls": b".push-type.controls",
        b"fileprovider": b".pushkit.fileprovider",
        b"liveactivity": b".push-type.liveactivity",
        b"location": b".location-query",
        b"mdm": b"",
        b"pushtotalk": b".voip-ptt",
        b"voip": b".voip",
        b"widgets": b".push-type.widgets",
    }
)
"""The push types ("Sending notification requests to APNs") and what follows the bundle id."""

PRIORITIES: Final = frozenset({b"10", b"5", b"1"})

LARGE_PAYLOAD_TYPES: Final = frozenset({b"voip"})
"""Push types whose payload may have 5,120 bytes; all others have 4,096."""
