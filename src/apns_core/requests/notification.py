"""A device push: one notification to one device token (Apple, "Sending notification requests").

Parsed, not validated: what exists is fit to be sent, in the bytes of the wire.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from hashlib import sha256
from math import ceil
from typing import Final, NoReturn, Self, final
from uuid import UUID

from apns_core.errors import InvalidField
from apns_core.requests.request import ONLY_OK, SHORT_ANSWER
from apns_core.requests.route import Field, Route, visible_text
from apns_core.requests.values import (
    encode_json,
    exact_bytes,
    lifetime_seconds,
    unix_seconds,
    uuid_text,
    wrong_size,
)

__all__ = ["Notification"]

_MAX_TOKEN_LENGTH: Final = 200
"""Hexadecimal digits. Apple says never to assume a length; 64 and 160 are seen."""

_MAX_COLLAPSE_ID: Final = 64
"""Octets (Apple), and ASCII characters take one each."""


@final
class Notification:
    """One notification.

    ``device_token``: hexadecimal text, or the raw octets. ``payload``: the JSON document as UTF-8
    ``bytes``, sent untouched; or a mapping, encoded compactly here. One payload for many device
    tokens is encoded once if it is passed as bytes. ``expiration``: UNIX seconds or an aware
    datetime, or a timedelta that counts from the submission to a client or `Sender`; 0 means one
    attempt and no storing; None leaves it to APNs. ``collapse_id``: at most 64 visible ASCII
    characters. ``apns_id``: a UUID, kept over all attempts; APNs makes one if there is none.

    Raises InvalidField, naming the field and never its value.
    """

    __slots__ = (
        "apns_id",
        "device_token",
        "expiration",
        "extra_fields",
        "lifetime",
        "path",
        "payload",
        "route",
    )

    successes = ONLY_OK
    answer_limit = SHORT_ANSWER

    def __init__(
        self,
        route: Route,
        device_token: str | bytes,
        payload: bytes | Mapping[str, object],
        *,
        expiration: int | datetime | timedelta | None = None,
        collapse_id: str | None = None,
        apns_id: str | UUID | None = None,
    ) -> None:
        if type(route) is not Route:
            raise InvalidField("route", "not a Route")
        self.route = route
        self.device_token = _device_token(device_token)
        self.path = b"/3/device/" + self.device_token.encode()
        # Optimisation (benchmark: send): the exact type first, here and for the device token.
        self.payload = payload if type(payload) is bytes else _payload(payload)
        if not 0 < len(self.payload) <= route.payload_limit:
            raise wrong_size(
                "payload", len(self.payload), route.payload_limit, route.push_type.value
            )
        self.expiration: int | None = None
        self.lifetime: int | None = None
        self.apns_id: str | None = None
        if expiration is None and collapse_id is None and apns_id is None:
            # Optimisation (benchmark: send): most notifications have none of the three.
            self.extra_fields: tuple[Field, ...] = ()
            return
        fields: list[Field] = []
        if apns_id is not None:
            self.apns_id = uuid_text("apns_id", apns_id)
            fields.append((b"apns-id", self.apns_id.encode()))
        if isinstance(expiration, timedelta):
            self.lifetime = lifetime_seconds("expiration", expiration)
        elif expiration is not None:
            self.expiration = unix_seconds("expiration", expiration)
            fields.append((b"apns-expiration", b"%d" % self.expiration))
        if collapse_id is not None:
            text = visible_text("collapse_id", collapse_id, _MAX_COLLAPSE_ID)
            fields.append((b"apns-collapse-id", text.encode()))
        self.extra_fields = tuple(fields)

    def submitted_at(self, unix_time: float) -> "Notification":
        """Return the same with the expiration that its ``lifetime`` comes to."""
        if self.lifetime is None:
            return self
        # All of it is checked: `__init__` would do that again, at each submission.
        sent = object.__new__(Notification)
        sent.route = self.route
        sent.device_token = self.device_token
        sent.path = self.path
        sent.payload = self.payload
        sent.apns_id = self.apns_id
        sent.lifetime = None
        sent.expiration = ceil(unix_time) + self.lifetime
        sent.extra_fields = (*self.extra_fields, (b"apns-expiration", b"%d" % sent.expiration))
        return sent

    def __repr__(self) -> str:
        # A device token is personal data: a fingerprint tells two apart and leads back to nobody.
        try:
            fingerprint = sha256(self.device_token.encode()).hexdigest()[:8]
            size = len(self.payload)
        except AttributeError:  # refused half-way: whoever reports the error may show its locals
            return "<Notification, refused>"
        return f"<Notification to sha256:{fingerprint} {self.route!r} {size} octets>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        # Nothing changes it, and `dataclasses.asdict` of an outcome makes a deep copy.
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a notification is personal data and cannot be pickled")


def _payload(value: object) -> bytes:
    return exact_bytes(value) if isinstance(value, bytes) else encode_json("payload", value)


def _device_token(value: object) -> str:
    if type(value) is not str:
        if isinstance(value, bytes):
            value = bytes.hex(value)
        elif isinstance(value, str):
            value = str.__str__(value)  # what a subclass encodes to may be something else
    if not isinstance(value, str) or len(value) > _MAX_TOKEN_LENGTH or not _is_hexadecimal(value):
        raise InvalidField(
            "device_token", f"not 2 to {_MAX_TOKEN_LENGTH} hexadecimal digits, in pairs"
        )
    return value


def _is_hexadecimal(value: str) -> bool:
    # Optimisation (benchmark: send): eight times as fast as a regular expression.
    try:
        octets = bytes.fromhex(value)
    except ValueError:
        return False
    # It skips white space, and takes nothing for a text.
    return 0 < 2 * len(octets) == len(value)
