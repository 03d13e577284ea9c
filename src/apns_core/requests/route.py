"""What repeats from one notification to the next: topic, push type, priority."""

import re
from collections.abc import Mapping
from enum import IntEnum, StrEnum
from typing import Final, TypeAlias, TypeGuard, final

from apns_core.errors import InvalidField

__all__ = [
    "PAYLOAD_LIMITS",
    "TOPIC_SUFFIXES",
    "Field",
    "Priority",
    "PushType",
    "Route",
    "is_whole_number",
    "missing_topic",
    "parse_priority",
    "visible_text",
]

Field: TypeAlias = tuple[bytes, bytes]
"""A header field: its name in lower case, and its value."""


@final
class PushType(StrEnum):
    """``apns-push-type``: the complete set (Apple, "Sending notification requests to APNs")."""

    ALERT = "alert"
    BACKGROUND = "background"
    COMPLICATION = "complication"
    CONTROLS = "controls"
    FILEPROVIDER = "fileprovider"
    LIVEACTIVITY = "liveactivity"
    LOCATION = "location"
    MDM = "mdm"
    PUSHTOTALK = "pushtotalk"
    VOIP = "voip"
    WIDGETS = "widgets"


@final
class Priority(IntEnum):
    """``apns-priority`` (Apple, the same page)."""

    IMMEDIATE = 10
    """Deliver at once."""
    CONSERVE_POWER = 5
    """Deliver when it suits the device's power; may be batched or throttled."""
    POWER_FIRST = 1
    """Power above all: never wake the device for it."""


TOPIC_SUFFIXES: Final[Mapping[PushType, str]] = {
    PushType.COMPLICATION: ".complication",
    PushType.CONTROLS: ".push-type.controls",
    PushType.FILEPROVIDER: ".pushkit.fileprovider",
    PushType.LIVEACTIVITY: ".push-type.liveactivity",
    PushType.LOCATION: ".location-query",
    PushType.PUSHTOTALK: ".voip-ptt",
    PushType.VOIP: ".voip",
    PushType.WIDGETS: ".push-type.widgets",
}
"""What follows the bundle id in the topic; nothing for the push types that are not here."""

_PAYLOAD_LIMIT: Final = 4_096
PAYLOAD_LIMITS: Final[Mapping[PushType, int]] = {
    push_type: 5_120 if push_type is PushType.VOIP else _PAYLOAD_LIMIT for push_type in PushType
}
"""Octets of payload (Apple, "Generating a remote notification")."""

MAX_TOPIC_LENGTH: Final = 255
"""Characters. Apple names no limit; bundle ids end at 155, and a field has to end somewhere."""


@final
class Route:
    """Where notifications of one kind go. Make one, and use it for all notifications of that kind.

    ``topic`` is the app's bundle id with the suffix of the push type (`for_app` adds it). None
    leaves it to the certificate that TLS presents, if that has a single topic; with provider tokens
    a notification without a topic is refused when it is submitted. ``priority`` is 10 where it is
    not given, and 5 for ``background``, which admits nothing else.
    Routes compare by identity: the engine keeps the encoded fields of each.

    Raises InvalidField.
    """

    __slots__ = (
        "certificate_only",
        "fields",
        "method",
        "payload_limit",
        "priority",
        "push_type",
        "topic",
    )

    def __init__(
        self,
        topic: str | None,
        push_type: PushType | str = PushType.ALERT,
        *,
        priority: Priority | int | None = None,
    ) -> None:
        self.method = b"POST"
        self.push_type = _push_type(push_type)
        self.topic = None if topic is None else _topic(topic, self.push_type)
        self.certificate_only = topic is None
        self.priority = _priority(priority, self.push_type)
        self.payload_limit = PAYLOAD_LIMITS[self.push_type]
        self.fields: tuple[Field, ...] = (
            (b"apns-push-type", self.push_type.encode()),
            (b"apns-priority", b"%d" % self.priority),
        )
        if self.topic is not None:
            self.fields = ((b"apns-topic", self.topic.encode()), *self.fields)
        """As they follow ``:path`` and ``authorization`` on the wire."""

    @classmethod
    def for_app(
        cls,
        bundle_id: str,
        push_type: PushType | str = PushType.ALERT,
        *,
        priority: Priority | int | None = None,
    ) -> "Route":
        """Make the route to an app: its bundle id and the suffix that the push type asks for."""
        push_type = _push_type(push_type)
        suffix = TOPIC_SUFFIXES.get(push_type, "")
        bundle_id = visible_text("bundle_id", bundle_id, MAX_TOPIC_LENGTH)
        return cls(bundle_id + suffix, push_type, priority=priority)

    def __repr__(self) -> str:
        try:
            return f"Route({self.topic!r}, {self.push_type.value!r}, priority={int(self.priority)})"
        except AttributeError:  # refused half-way: whoever reports the error may show its locals
            return "<Route, refused>"


def missing_topic() -> InvalidField:
    """Make the error for a request without a topic where provider tokens are used."""
    return InvalidField("topic", "missing: only a certificate says what stands in its place")


def _push_type(value: object) -> PushType:
    push_type = _PUSH_TYPES.get(str.__str__(value)) if isinstance(value, str) else None
    if push_type is None:
        raise InvalidField("push_type", f"not one of {', '.join(PushType)}")
    return push_type


def visible_text(field: str, value: object, longest: int) -> str:
    """Return ``value`` if it is 1 to ``longest`` visible ASCII characters.

    Such text ends no field and begins no other. What is returned is a plain str: a subclass may
    say something else where it is formatted or encoded, as members of an Enum do. Raises
    InvalidField.
    """
    if isinstance(value, str) and type(value) is not str:
        value = str.__str__(value)
    if not isinstance(value, str) or not _VISIBLE(value):
        raise InvalidField(field, "not made of visible ASCII characters")
    if len(value) > longest:
        raise InvalidField(field, f"longer than {longest} characters")
    return value


def is_whole_number(value: object) -> TypeGuard[int]:
    """Whether ``value`` is an int and means a number: True would be taken for 1."""
    return isinstance(value, int) and not isinstance(value, bool)


def parse_priority(value: object) -> Priority:
    """Return the priority that ``value`` is. Raises InvalidField."""
    if not is_whole_number(value) or value not in _PRIORITIES:
        raise InvalidField("priority", "not 10, 5 or 1")
    return Priority(value)


def _topic(value: object, push_type: PushType) -> str:
    topic = visible_text("topic", value, MAX_TOPIC_LENGTH)
    suffix = TOPIC_SUFFIXES.get(push_type, "")
    if not topic.endswith(suffix) or topic == suffix:
        raise InvalidField(
            "topic", f"push type {push_type.value} asks for a bundle id followed by {suffix}"
        )
    return topic


def _priority(value: object, push_type: PushType) -> Priority:
    if value is None:
        return Priority.CONSERVE_POWER if push_type is PushType.BACKGROUND else Priority.IMMEDIATE
    priority = parse_priority(value)
    if push_type is PushType.BACKGROUND and priority is not Priority.CONSERVE_POWER:
        raise InvalidField("priority", "a background notification must have 5")
    return priority


_PUSH_TYPES: Final[Mapping[str, PushType]] = {push_type.value: push_type for push_type in PushType}
_PRIORITIES: Final = frozenset(Priority)
_VISIBLE: Final = re.compile(r"[!-~]+").fullmatch
