"""Values that several kinds of request have: from what the caller gives to what is sent."""

import json
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from math import isfinite
from typing import Final, cast
from uuid import UUID

from apns_core.errors import InvalidField
from apns_core.requests.route import is_whole_number, visible_text

__all__ = [
    "aware_datetime",
    "bundle_id_text",
    "channel_id_text",
    "encode_json",
    "exact_bytes",
    "finite_number",
    "from_zero_to_one",
    "is_channel_id",
    "lifetime_seconds",
    "mapping",
    "optional_text",
    "text",
    "unix_seconds",
    "uuid_text",
    "wrong_size",
]

_MAX_UNIX_SECONDS: Final = 2**53
"""Beyond it JSON numbers lose their last digit somewhere on the way."""

_MAX_LIFETIME: Final = 100 * 366 * 86_400
"""Seconds. APNs keeps nothing longer than 30 days; what comes after a century is a mistake."""

_MAX_BUNDLE_ID: Final = 155
"""Characters; App Store Connect takes no longer one."""

_MAX_CHANNEL_ID: Final = 255
"""Characters. Apple: "Don't make assumptions on the channel ID size"; yet a field has to end."""


def encode_json(field: str, document: object) -> bytes:
    """Return a mapping as compact JSON in UTF-8. Raises InvalidField for ``field``.

    Mappings of any kind are taken at any depth; numbers that JSON does not have are refused.
    """
    # A str would make a JSON string of what is JSON already.
    if not isinstance(document, Mapping):
        raise InvalidField(field, "neither bytes nor a mapping")
    try:
        return _ENCODE(document).encode()
    except (TypeError, ValueError, RecursionError) as error:
        problem = type(error).__name__
    # Not chained: the cause may quote the payload, or carry it. Its type is all that is told.
    raise InvalidField(field, f"no JSON can be made of it ({problem})")


def exact_bytes(value: bytes) -> bytes:
    """Return ``value`` without what a subclass says in its place."""
    return value if type(value) is bytes else bytes.__getitem__(value, slice(None))


def wrong_size(field: str, size: int, limit: int, kind: str) -> InvalidField:
    """Make the error for a body that is empty, or longer than the ``limit`` of its ``kind``."""
    if not size:
        return InvalidField(field, "empty")
    return InvalidField(
        field, f"{size} octets, {size - limit} more than the {limit} that {kind} admits"
    )


def uuid_text(field: str, value: object) -> str:
    """Return a UUID in its canonical form, in lower case. Raises InvalidField."""
    # Only the canonical form: UUID() would accept braces, "urn:uuid:" and digits without hyphens.
    canonical = ""
    if isinstance(value, str):
        canonical = str.lower(value)
    elif isinstance(value, UUID):
        canonical = UUID.__str__(value)
    if not _UUID(canonical):
        raise InvalidField(field, "not a UUID in its form 8-4-4-4-12")
    return canonical


def unix_seconds(field: str, value: object) -> int:
    """Return an instant, given as UNIX seconds or aware datetime, as the former.

    Raises InvalidField.
    """
    if isinstance(value, datetime):
        value = int(aware_datetime(field, value).timestamp())
    if not is_whole_number(value) or not 0 <= value <= _MAX_UNIX_SECONDS:
        raise InvalidField(field, "not a whole number of UNIX seconds")
    return int.__int__(value)  # of a subclass too


def aware_datetime(field: str, value: object) -> datetime:
    """Return ``value`` if it is a datetime that names one instant. Raises InvalidField."""
    if not isinstance(value, datetime):
        raise InvalidField(field, "not a datetime")
    if value.utcoffset() is None:
        raise InvalidField(field, "a datetime without a time zone")
    return value


def lifetime_seconds(field: str, value: timedelta) -> int:
    """Return a duration in whole seconds, rounded up: it is never shorter than was asked for.

    Raises InvalidField.
    """
    seconds = -(value // timedelta(seconds=-1))
    if not 0 < seconds <= _MAX_LIFETIME:
        raise InvalidField(field, "not a duration above nothing and below a hundred years")
    return seconds


def bundle_id_text(value: object) -> str:
    """Return ``value`` if it may be an app's bundle id, as one segment of a path.

    Raises InvalidField.
    """
    bundle_id = visible_text("bundle_id", value, _MAX_BUNDLE_ID)
    if not _BUNDLE_ID(bundle_id):
        raise InvalidField("bundle_id", "not made of letters, digits, hyphens and periods")
    if bundle_id.endswith(".push-type.liveactivity"):
        # "Ensure that no push type suffix is added to the bundle ID" (Apple, on TopicDisallowed).
        raise InvalidField("bundle_id", "has the suffix of a topic: here it stands alone")
    return bundle_id


def channel_id_text(value: object, field: str = "channel_id") -> str:
    """Return ``value`` if it may be a channel id: base64, as APNs gave it. Raises InvalidField."""
    channel_id = visible_text(field, value, _MAX_CHANNEL_ID)
    if not is_channel_id(channel_id):
        raise InvalidField(field, "not base64")
    return channel_id


def is_channel_id(value: str) -> bool:
    """Whether APNs may have made this channel id, and would take it back."""
    return len(value) <= _MAX_CHANNEL_ID and _BASE64(value) is not None


def text(field: str, value: object) -> str:
    """Return ``value`` if it is a text, and not empty. Raises InvalidField."""
    if not isinstance(value, str) or not value:
        raise InvalidField(field, "not a text, or empty")
    return str.__str__(value)  # of a subclass too


def optional_text(field: str, value: object) -> str | None:
    """Return ``value`` if it is None, or a text that is not empty. Raises InvalidField."""
    return None if value is None else text(field, value)


def mapping(field: str, value: object) -> Mapping[str, object]:
    """Return ``value`` if it is a mapping whose keys are texts. Raises InvalidField."""
    if not isinstance(value, Mapping):
        raise InvalidField(field, "not a mapping")
    if not all(isinstance(key, str) for key in cast("Mapping[object, object]", value)):
        raise InvalidField(field, "has a key that is not a text")
    return cast("Mapping[str, object]", value)


def finite_number(field: str, value: object) -> float:
    """Return ``value`` if it is a number that JSON has. Raises InvalidField."""
    if is_whole_number(value) or (isinstance(value, float) and isfinite(value)):
        return value
    raise InvalidField(field, "not a finite number")


def from_zero_to_one(field: str, value: object) -> float:
    """Return ``value`` if it is a number from 0 to 1. Raises InvalidField."""
    number = finite_number(field, value)
    if not 0 <= number <= 1:
        raise InvalidField(field, "not from 0 to 1")
    return number


def _plain(value: object) -> dict[str, object]:
    """Return a mapping that json does not know as one that it does."""
    if not isinstance(value, Mapping):
        raise TypeError
    return dict(cast("Mapping[str, object]", value))


_ENCODE: Final = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain
).encode
_UUID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
# Apple's grammar (CFBundleIdentifier), and the underscore that old apps have. It begins with a
# letter or digit, so that it is no "..".
_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*").fullmatch
# Either alphabet of RFC 4648, padded or not: the encoding is APNs' business.
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_-]+={0,2}").fullmatch
