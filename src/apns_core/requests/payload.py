"""Payloads: typed builders of the JSON document, one function for each kind of notification.

Each returns ``bytes`` for `Notification` or `Broadcast`: made once, and sent to as many devices as
there are. What APNs or the device would drop in silence is refused here. Sources: Apple,
"Generating a remote notification" and the pages of ActivityKit, WidgetKit and File Provider.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias, cast

from apns_core.errors import InvalidField
from apns_core.requests.payload_parts import (
    Alert,
    CriticalSound,
    InterruptionLevel,
    LiveActivityAlert,
    Localized,
    part,
    present,
)
from apns_core.requests.route import PAYLOAD_LIMITS, PushType, is_whole_number
from apns_core.requests.values import (
    channel_id_text,
    encode_json,
    finite_number,
    from_zero_to_one,
    mapping,
    optional_text,
    text,
    unix_seconds,
    wrong_size,
)

__all__ = [
    "Alert",
    "CriticalSound",
    "InterruptionLevel",
    "LiveActivityAlert",
    "Localized",
    "alert",
    "app_defined",
    "background",
    "controls",
    "end_live_activity",
    "file_provider",
    "mdm",
    "start_live_activity",
    "update_live_activity",
    "widgets",
]

Json: TypeAlias = Mapping[str, object]
"""What becomes a JSON object."""

_LIMIT: Final = PAYLOAD_LIMITS[PushType.ALERT]


# ── notifications that people see ──


def alert(
    alert: str | Alert | None = None,
    *,
    badge: int | None = None,
    sound: str | CriticalSound | None = None,
    thread_id: str | None = None,
    category: str | None = None,
    content_available: bool = False,
    mutable_content: bool = False,
    target_content_id: str | None = None,
    interruption_level: InterruptionLevel | str | None = None,
    relevance_score: float | None = None,
    filter_criteria: str | None = None,
    custom: Json | None = None,
    limit: int = _LIMIT,
) -> bytes:
    """Build the payload of a notification that people see, hear or count: push type ``alert``.

    ``badge``: 0 removes it. ``sound``: ``"default"``, a file in the app's bundle, or a critical
    one. ``thread_id`` groups notifications; ``category`` chooses the actions;
    ``content_available`` wakes the app as well; ``mutable_content`` lets the app's service
    extension change the alert; ``target_content_id`` names the window to bring forward;
    ``relevance_score``, from 0 to 1, orders the summary; ``filter_criteria`` is what the app's
    Focus filter compares. ``custom``: the app's own keys, beside ``aps``. ``limit``: octets.

    Raises InvalidField.
    """
    if alert is None and badge is None and sound is None:
        raise InvalidField("alert", "nothing to see, to hear or to count: for that is `background`")
    if alert is not None and not isinstance(alert, Alert):
        text("alert", alert)
    if badge is not None and (not is_whole_number(badge) or badge < 0):
        raise InvalidField("badge", "not a whole number from 0")
    if sound is not None and not isinstance(sound, CriticalSound):
        text("sound", sound)
    if mutable_content and alert is None:
        raise InvalidField("mutable_content", "there is no alert for a service extension to change")
    if relevance_score is not None:
        from_zero_to_one("relevance_score", relevance_score)
    aps = {
        "alert": part(alert),
        "badge": badge,
        "sound": part(sound),
        "thread-id": optional_text("thread_id", thread_id),
        "category": optional_text("category", category),
        "content-available": 1 if content_available else None,
        "mutable-content": 1 if mutable_content else None,
        "target-content-id": optional_text("target_content_id", target_content_id),
        "interruption-level": _interruption_level(interruption_level),
        "relevance-score": relevance_score,
        "filter-criteria": optional_text("filter_criteria", filter_criteria),
    }
    return _document(aps, custom, limit)


def background(custom: Json | None = None, *, limit: int = _LIMIT) -> bytes:
    """Build the payload that wakes the app unseen: push type ``background``, priority 5.

    ``aps`` has ``content-available`` and nothing else: with an alert, badge or sound the system
    would not treat it as a background update. Raises InvalidField.
    """
    return _document({"content-available": 1}, custom, limit)


def widgets(custom: Json | None = None, *, limit: int = _LIMIT) -> bytes:
    """Build the payload that makes the app's widgets reload: push type ``widgets``.

    Raises InvalidField.
    """
    return _document({"content-changed": True}, custom, limit)


def controls(custom: Json | None = None, *, limit: int = _LIMIT) -> bytes:
    """Build the payload that makes the app's controls reload: push type ``controls``.

    Raises InvalidField.
    """
    return _document({"content-changed": True}, custom, limit)


# ── Live Activities ──


def start_live_activity(
    *,
    timestamp: int | datetime,
    content_state: Json,
    attributes_type: str,
    attributes: Json,
    alert: LiveActivityAlert,
    input_push_token: bool = False,
    input_push_channel: str | None = None,
    stale_date: int | datetime | None = None,
    relevance_score: float | None = None,
    custom: Json | None = None,
    limit: int = _LIMIT,
) -> bytes:
    """Build the payload that starts a Live Activity (iOS 17.2): push type ``liveactivity``.

    ``timestamp``: now; UNIX seconds or an aware datetime, as all instants here. ``content_state``
    and ``attributes`` are what the app's types decode to with Swift's default strategies: a `Date`
    is a number of seconds since 2001. ``attributes_type`` names the Swift type. iOS 18:
    ``input_push_token`` asks for a token to update it by, ``input_push_channel`` is the channel
    that it subscribes to; an activity has one or the other. ``stale_date``: from when it shows as
    out of date. ``relevance_score``: the highest of the app's activities is shown first.

    Raises InvalidField.
    """
    if input_push_token and input_push_channel is not None:
        raise InvalidField("input_push_channel", "an activity is updated by token or by channel")
    aps = {
        **_live_activity(
            "start",
            timestamp=timestamp,
            content_state=content_state,
            alert=alert,
            stale_date=stale_date,
            relevance_score=relevance_score,
        ),
        "attributes-type": text("attributes_type", attributes_type),
        "attributes": mapping("attributes", attributes),
        "input-push-token": 1 if input_push_token else None,
        "input-push-channel": (
            None
            if input_push_channel is None
            else channel_id_text(input_push_channel, "input_push_channel")
        ),
    }
    return _document(aps, custom, limit)


def update_live_activity(
    *,
    timestamp: int | datetime,
    content_state: Json,
    alert: LiveActivityAlert | None = None,
    stale_date: int | datetime | None = None,
    relevance_score: float | None = None,
    custom: Json | None = None,
    limit: int = _LIMIT,
) -> bytes:
    """Build the payload that updates a Live Activity, of one device or of a broadcast.

    Arguments as for `start_live_activity`; the device ignores what has an older ``timestamp`` than
    the last. A broadcast may have a ``limit`` of `broadcast.BROADCAST_PAYLOAD_LIMIT`. Raises
    InvalidField.
    """
    aps = _live_activity(
        "update",
        timestamp=timestamp,
        content_state=content_state,
        alert=alert,
        stale_date=stale_date,
        relevance_score=relevance_score,
    )
    return _document(aps, custom, limit)


def end_live_activity(
    *,
    timestamp: int | datetime,
    content_state: Json | None = None,
    dismissal_date: int | datetime | None = None,
    alert: LiveActivityAlert | None = None,
    relevance_score: float | None = None,
    custom: Json | None = None,
    limit: int = _LIMIT,
) -> bytes:
    """Build the payload that ends a Live Activity, of one device or of a broadcast.

    ``content_state``: what it shows at last; better given. ``dismissal_date``: when it leaves the
    screen; in the past: at once; by default after up to four hours. Raises InvalidField.
    """
    aps = {
        **_live_activity(
            "end",
            timestamp=timestamp,
            content_state=content_state,
            alert=alert,
            relevance_score=relevance_score,
        ),
        "dismissal-date": _optional_instant("dismissal_date", dismissal_date),
    }
    return _document(aps, custom, limit)


def _live_activity(
    event: str,
    *,
    timestamp: int | datetime,
    content_state: Json | None,
    alert: LiveActivityAlert | None,
    stale_date: int | datetime | None = None,
    relevance_score: float | None,
) -> dict[str, object]:
    # "Include an alert in the JSON payload" (Apple, of `start` alone).
    if (alert is not None or event == "start") and type(alert) is not LiveActivityAlert:
        raise InvalidField("alert", "not a LiveActivityAlert")
    if content_state is not None or event != "end":
        mapping("content_state", content_state)
    if relevance_score is not None:
        # "Any double" (Apple): only the order counts.
        finite_number("relevance_score", relevance_score)
    return {
        "timestamp": _instant("timestamp", timestamp),
        "event": event,
        "content-state": content_state,
        "alert": part(alert),
        "stale-date": _optional_instant("stale_date", stale_date),
        "relevance-score": relevance_score,
    }


# ── documents without aps ──


def mdm(push_magic: str) -> bytes:
    """Build the payload that makes a managed device ask its server: push type ``mdm``.

    ``push_magic``: the ``PushMagic`` of the device's TokenUpdate. Raises InvalidField.
    """
    return _sized({"mdm": text("push_magic", push_magic)}, _LIMIT)


def file_provider(container_identifier: str, domain: str) -> bytes:
    """Build the payload that signals a change to a File Provider: push type ``fileprovider``.

    ``container_identifier``: for a replicated extension always
    ``"NSFileProviderWorkingSetContainerItemIdentifier"``. Raises InvalidField.
    """
    document = {
        "container-identifier": text("container_identifier", container_identifier),
        "domain": text("domain", domain),
    }
    return _sized(document, _LIMIT)


def app_defined(document: Json, push_type: PushType | str) -> bytes:
    """Build a payload that the app reads itself, with or without ``aps``.

    For the push types ``complication``, ``location``, ``pushtotalk`` and ``voip``; the last has
    1,024 octets more than the others. Raises InvalidField.
    """
    limit = (
        _APP_DEFINED.get(str.__str__(push_type))
        if isinstance(cast("object", push_type), str)
        else None
    )
    if limit is None:
        raise InvalidField("push_type", f"not one of {', '.join(sorted(_APP_DEFINED))}")
    return _sized(mapping("document", document), limit)


_APP_DEFINED: Final = {
    push_type.value: PAYLOAD_LIMITS[push_type]
    for push_type in (PushType.COMPLICATION, PushType.LOCATION, PushType.PUSHTOTALK, PushType.VOIP)
}


# ── from values to octets ──


def _document(aps: Json, custom: Json | None, limit: int) -> bytes:
    document: dict[str, object] = {"aps": present(aps)}
    if custom is not None:
        own = mapping("custom", custom)
        if "aps" in own:
            raise InvalidField("custom", "aps is not a key of the app's own")
        document.update(own)
    return _sized(document, limit)


def _sized(document: Json, limit: object) -> bytes:
    if not is_whole_number(limit) or limit < 0:
        raise InvalidField("limit", "not a whole number of octets")
    encoded = encode_json("payload", document)
    if len(encoded) > limit:
        raise wrong_size("payload", len(encoded), limit, "this kind of notification")
    return encoded


def _interruption_level(value: object) -> str | None:
    if value is None:
        return None
    level = _INTERRUPTION_LEVELS.get(str.__str__(value)) if isinstance(value, str) else None
    if level is None:
        raise InvalidField("interruption_level", f"not one of {', '.join(InterruptionLevel)}")
    return level


_INTERRUPTION_LEVELS: Final = {level.value: level for level in InterruptionLevel}


def _instant(field: str, value: object) -> int:
    seconds = unix_seconds(field, value)
    if seconds > _MAX_INSTANT:
        raise InvalidField(field, "later than the year 5000: UNIX seconds, not milliseconds")
    return seconds


def _optional_instant(field: str, value: object) -> int | None:
    return None if value is None else _instant(field, value)


_MAX_INSTANT: Final = 10**11
"""A device keeps the newest timestamp: after one in milliseconds it ignores all others."""
