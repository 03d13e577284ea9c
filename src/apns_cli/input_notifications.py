"""From what a line says, and what the options say of all lines, to a notification."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, cast, final

from apns_cli.input_lines import Members
from apns_cli.strict_json import decode_json
from apns_core import InvalidField, Notification, PushType, Route

__all__ = ["Defaults", "NotificationMaker"]

ROUTES_KEPT: Final = 1_000
"""A file with more topics than that has each encoded anew; one route for each would be a leak."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Defaults:
    """What is true of each notification whose line does not say otherwise."""

    app: str | None = None
    """The bundle id, from which the topic of every push type follows."""
    topic: str | None = None
    topic_is_certificates: bool = False
    """Whether there need not be any: the client presents a certificate that stands for one."""
    push_type: PushType = PushType.ALERT
    priority: int | None = None
    payload: bytes | None = field(default=None, repr=False)
    expiration: int | datetime | timedelta | None = None
    collapse_id: str | None = None

    @property
    def have_topic(self) -> bool:
        """Whether a line can do without a topic."""
        return self.app is not None or self.topic is not None or self.topic_is_certificates


@final
class NotificationMaker:
    """Makes notifications that share what they can: one payload, and one route of each kind."""

    def __init__(self, defaults: Defaults) -> None:
        self._defaults = defaults
        self._routes: dict[tuple[str | None, str | None, int | None], Route] = {}
        # It is an option's fault, not a line's, if this raises.
        self._route = self._make_route(None, None, None) if defaults.have_topic else None

    def make(self, members: Members) -> Notification:
        """Return the notification. Raises InvalidField."""
        defaults = self._defaults
        token, payload = members.get("device_token"), defaults.payload
        if not isinstance(token, str):
            raise InvalidField("device_token", "is missing, or no text")
        if (
            len(members) == 1
            and self._route is not None
            and payload is not None
            and defaults.expiration is None
            and defaults.collapse_id is None
        ):
            # Optimisation (benchmarks/send_file.py): nothing differs but the device token.
            return Notification(self._route, token, payload)
        return Notification(
            self._find_route(members),
            token,
            _payload(members.get("payload", payload)),
            expiration=_expiration(members.get("expiration", defaults.expiration)),
            collapse_id=_text("collapse_id", members.get("collapse_id", defaults.collapse_id)),
            apns_id=_text("apns_id", members.get("apns_id")),
        )

    def _find_route(self, members: Members) -> Route:
        topic = _text("topic", members.get("topic"))
        push_type = _text("push_type", members.get("push_type"))
        priority = _whole_number("priority", members.get("priority"))
        if topic is None and push_type is None and priority is None and self._route is not None:
            return self._route
        key = (topic, push_type, priority)
        route = self._routes.get(key)
        if route is None:
            route = self._make_route(*key)
            if len(self._routes) >= ROUTES_KEPT:
                self._routes.clear()
            self._routes[key] = route
        return route

    def _make_route(self, topic: str | None, push_type: str | None, priority: int | None) -> Route:
        defaults = self._defaults
        kind = push_type or defaults.push_type
        priority = defaults.priority if priority is None else priority
        if topic is None and defaults.app is not None:
            return Route.for_app(defaults.app, kind, priority=priority)
        topic = topic or defaults.topic
        if topic is None and not defaults.topic_is_certificates:
            raise InvalidField("topic", "is missing: neither the line nor an option names it")
        return Route(topic, kind, priority=priority)


def _text(field: str, value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidField(field, "is no text")


def _whole_number(field: str, value: object) -> int | None:
    """Take a number from JSON, or its digits from CSV."""
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        return value
    if isinstance(value, str) and _is_number(value):
        return int(value)
    raise InvalidField(field, "is no whole number")


def _expiration(value: object) -> int | datetime | timedelta | None:
    """Take UNIX seconds, or an instant of ISO 8601."""
    if isinstance(value, datetime | timedelta):
        return value
    if isinstance(value, str) and not _is_number(value):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise InvalidField("expiration", "is neither UNIX seconds nor ISO 8601") from None
    return _whole_number("expiration", value)


def _is_number(text: str) -> bool:
    # Twenty digits are too many for all that is read here, and few enough for `int`.
    return text.isascii() and text.isdecimal() and len(text) <= 20


def _payload(value: object) -> bytes | Mapping[str, object]:
    """Take an object from JSON, its text from CSV, or the octets that an option has made."""
    if value is None:
        raise InvalidField("payload", "is missing: neither the line nor an option has one")
    if isinstance(value, str):
        try:
            document = decode_json(value)
            encoded = value.encode()
        except (ValueError, RecursionError):
            raise InvalidField("payload", "is no JSON") from None
        if isinstance(document, dict):
            return encoded
    elif isinstance(value, bytes | Mapping):
        return cast("bytes | Mapping[str, object]", value)
    raise InvalidField("payload", "is no JSON object")
