"""A broadcast push: one update of a Live Activity to all subscribers of a channel.

Apple, "Sending broadcast push notification requests to APNs". Goes to the hosts of device pushes.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import Final, NoReturn, Self, cast, final
from uuid import UUID

from apns_core.errors import InvalidField
from apns_core.requests.channels import StoragePolicy, parse_storage_policy
from apns_core.requests.request import ONLY_OK, SHORT_ANSWER
from apns_core.requests.route import Field, Priority, PushType, parse_priority
from apns_core.requests.values import (
    bundle_id_text,
    channel_id_text,
    encode_json,
    exact_bytes,
    lifetime_seconds,
    unix_seconds,
    uuid_text,
    wrong_size,
)

__all__ = ["BROADCAST_PAYLOAD_LIMIT", "Broadcast", "BroadcastRoute"]

BROADCAST_PAYLOAD_LIMIT: Final = 5_120
"""Octets."""


@final
class BroadcastRoute:
    """The channel that broadcasts go to. Make one, and use it for all broadcasts to that channel.

    ``bundle_id`` stands alone, without the suffix of a topic. ``channel_id`` is the base64 text
    that APNs gave when the channel was created. ``storage_policy`` is the one that it was created
    with: where it is known, each broadcast's expiration is checked against it. ``priority`` 5
    spares the hourly budget of Live Activities, which 10 spends.

    Routes compare by identity: the engine keeps the encoded fields of each. Raises InvalidField.
    """

    __slots__ = (
        "bundle_id",
        "channel_id",
        "fields",
        "method",
        "path",
        "priority",
        "storage_policy",
    )

    certificate_only = False

    def __init__(
        self,
        bundle_id: str,
        channel_id: str,
        *,
        storage_policy: StoragePolicy | int | None = None,
        priority: Priority | int = Priority.IMMEDIATE,
    ) -> None:
        self.method = b"POST"
        self.bundle_id = bundle_id_text(bundle_id)
        self.channel_id = channel_id_text(channel_id)
        self.storage_policy = (
            None if storage_policy is None else parse_storage_policy(storage_policy)
        )
        self.priority = parse_priority(priority)
        self.path = f"/4/broadcasts/apps/{self.bundle_id}".encode()
        self.fields: tuple[Field, ...] = (
            (b"apns-channel-id", self.channel_id.encode()),
            # Apple spells it in three ways; so it stands in the samples.
            (b"apns-push-type", PushType.LIVEACTIVITY.encode()),
            (b"apns-priority", b"%d" % self.priority),
        )
        """As they follow ``:path`` and ``authorization`` on the wire."""

    def __repr__(self) -> str:
        try:
            names = f"{self.bundle_id!r}, {self.channel_id!r}"
            return f"BroadcastRoute({names}, priority={int(self.priority)})"
        except AttributeError:  # refused half-way: whoever reports the error may show its locals
            return "<BroadcastRoute, refused>"


@final
class Broadcast:
    """One broadcast: it updates or ends a Live Activity, and cannot start one.

    ``payload``: the JSON document as UTF-8 ``bytes``, sent untouched; or a mapping, encoded
    compactly here, after a look whether it starts an activity. ``expiration``: until when APNs
    keeps it for devices that are offline (8 hours at most), as UNIX seconds, an aware datetime, or
    a timedelta that counts from the submission; 0 for one attempt and no storing, which is all that
    a channel without storage admits. Apple requires it. ``request_id``: a UUID that comes back with
    the answer; APNs makes one if there is none.

    Raises InvalidField, naming the field and never its value.
    """

    __slots__ = ("expiration", "extra_fields", "lifetime", "payload", "request_id", "route")

    successes = ONLY_OK
    answer_limit = SHORT_ANSWER

    def __init__(
        self,
        route: BroadcastRoute,
        payload: bytes | Mapping[str, object],
        *,
        expiration: int | datetime | timedelta,
        request_id: str | UUID | None = None,
    ) -> None:
        if type(route) is not BroadcastRoute:
            raise InvalidField("route", "not a BroadcastRoute")
        self.route = route
        self.payload = exact_bytes(payload) if isinstance(payload, bytes) else _encode(payload)
        if not 0 < len(self.payload) <= BROADCAST_PAYLOAD_LIMIT:
            raise wrong_size("payload", len(self.payload), BROADCAST_PAYLOAD_LIMIT, "a broadcast")
        self.expiration: int | None = None
        self.lifetime: int | None = None
        fields: tuple[Field, ...] = ()
        if isinstance(expiration, timedelta):
            self.lifetime = lifetime_seconds("expiration", expiration)
        else:
            self.expiration = unix_seconds("expiration", expiration)
            fields = ((b"apns-expiration", b"%d" % self.expiration),)
        if (self.expiration or self.lifetime) and route.storage_policy is StoragePolicy.NO_STORAGE:
            # "Providing a nonzero expiration for a channel created with the No Message Stored
            # storage policy results in message rejection" (Apple).
            raise InvalidField("expiration", "not 0, which a channel without storage asks for")
        self.request_id = None if request_id is None else uuid_text("request_id", request_id)
        if self.request_id is not None:
            fields = (*fields, (b"apns-request-id", self.request_id.encode()))
        self.extra_fields: tuple[Field, ...] = fields

    @property
    def path(self) -> bytes:
        """``/4/broadcasts/apps/`` and the bundle id."""
        return self.route.path

    def submitted_at(self, unix_time: float) -> "Broadcast":
        """Return the same with the expiration that its ``lifetime`` comes to."""
        if self.lifetime is None:
            return self
        return Broadcast(
            self.route,
            self.payload,
            expiration=ceil(unix_time) + self.lifetime,
            request_id=self.request_id,
        )

    def __repr__(self) -> str:
        try:
            return f"<Broadcast {self.route!r} {len(self.payload)} octets>"
        except AttributeError:  # refused half-way
            return "<Broadcast, refused>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing changes it, and `dataclasses.asdict` of an outcome makes a deep copy.
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a broadcast has a payload, and cannot be pickled")


def _encode(payload: object) -> bytes:
    encoded = encode_json("payload", payload)
    aps = cast("Mapping[str, object]", payload).get("aps")
    if isinstance(aps, Mapping) and cast("Mapping[str, object]", aps).get("event") == "start":
        # "You can't use broadcast push notifications to start a Live Activity" (Apple).
        raise InvalidField("payload", "a broadcast cannot start a Live Activity")
    return encoded
