"""What APNs refuses in a device push: one table of checks, in the order in which they are made.

The order among Apple's reasons is not documented. This one goes from the connection's business to
the device's: request line, credentials, fields, payload, device.
"""

import re
from typing import Final

from .config import SimulatorConfig
from .reasons import LARGE_PAYLOAD_TYPES, PRIORITIES, TOPIC_SUFFIXES
from .request import DEVICE_PATH, Check, Request, is_unix_seconds, is_uuid

__all__ = ["CHECKS_AFTER_TOKEN", "CHECKS_BEFORE_TOKEN"]

MAX_PAYLOAD: Final = 4096
MAX_LARGE_PAYLOAD: Final = 5120
MAX_COLLAPSE_ID: Final = 64

_TOPIC: Final = re.compile(rb"[A-Za-z0-9._-]{1,255}").fullmatch
_HEXADECIMAL: Final = re.compile(rb"(?:[0-9A-Fa-f]{2})+").fullmatch


def _duplicates(request: Request, _: SimulatorConfig) -> str | None:
    return "DuplicateHeaders" if request.has_duplicates else None


def _method(request: Request, _: SimulatorConfig) -> str | None:
    return None if request.fields[b":method"] == b"POST" else "MethodNotAllowed"


def _path(request: Request, _: SimulatorConfig) -> str | None:
    path = request.fields[b":path"]
    if path in (DEVICE_PATH, DEVICE_PATH[:-1]):
        return "MissingDeviceToken"
    return None if path.startswith(DEVICE_PATH) else "BadPath"


def _apns_id(request: Request, _: SimulatorConfig) -> str | None:
    apns_id = request.fields.get(b"apns-id")
    return None if apns_id is None or is_uuid(apns_id) else "BadMessageId"


def _push_type(request: Request, _: SimulatorConfig) -> str | None:
    push_type = request.fields.get(b"apns-push-type")
    return None if push_type is None or push_type in TOPIC_SUFFIXES else "InvalidPushType"


def _topic(request: Request, config: SimulatorConfig) -> str | None:
    topic = request.fields.get(b"apns-topic")
    if topic is None:
        return "MissingTopic" if config.default_topic is None else None
    if not _TOPIC(topic):
        return "BadTopic"
    push_type = request.fields.get(b"apns-push-type")
    # A client of the days before push types says by its topic alone what it sends.
    suffixes = TOPIC_SUFFIXES.values() if push_type is None else (TOPIC_SUFFIXES[push_type],)
    matching = [suffix for suffix in suffixes if topic.endswith(suffix)]
    if not matching:
        return "BadTopic"
    if config.topics is not None:
        bundle_ids = (topic.removesuffix(suffix).decode() for suffix in matching)
        if not any(bundle_id in config.topics for bundle_id in bundle_ids):
            return "TopicDisallowed"
    return None


def _priority(request: Request, _: SimulatorConfig) -> str | None:
    priority = request.fields.get(b"apns-priority", b"10")
    if priority not in PRIORITIES:
        return "BadPriority"
    # "Specify 5 … for background": 10 is an error there, and 10 is the default.
    is_background = request.fields.get(b"apns-push-type") == b"background"
    return "BadPriority" if is_background and priority != b"5" else None


def _expiration(request: Request, _: SimulatorConfig) -> str | None:
    expiration = request.fields.get(b"apns-expiration")
    return None if expiration is None or is_unix_seconds(expiration) else "BadExpirationDate"


def _collapse_id(request: Request, _: SimulatorConfig) -> str | None:
    size = len(request.fields.get(b"apns-collapse-id", b"-"))
    return None if 1 <= size <= MAX_COLLAPSE_ID else "BadCollapseId"


def _payload(request: Request, _: SimulatorConfig) -> str | None:
    if not request.body_size:
        return "PayloadEmpty"
    is_large = request.fields.get(b"apns-push-type") in LARGE_PAYLOAD_TYPES
    limit = MAX_LARGE_PAYLOAD if is_large else MAX_PAYLOAD
    return "PayloadTooLarge" if request.body_size > limit else None


def _device_token(request: Request, _: SimulatorConfig) -> str | None:
    return None if _HEXADECIMAL(request.fields[b":path"][len(DEVICE_PATH) :]) else "BadDeviceToken"


CHECKS_BEFORE_TOKEN: Final[tuple[Check, ...]] = (_duplicates, _method, _path)
"""Made before the provider token is looked at."""

CHECKS_AFTER_TOKEN: Final[tuple[Check, ...]] = (
    _apns_id,
    _push_type,
    _topic,
    _priority,
    _expiration,
    _collapse_id,
    _payload,
    _device_token,
)
"""Made once the provider token is good; the rules for single devices come last of all."""
