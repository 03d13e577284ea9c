"""Requests whose path names an app: broadcast pushes, and the management of channels.

One table of operations, each with its checks in the order in which they are made. Apple does not
document that order; it follows that of device pushes, and for broadcasts APNSwift's mock server.
"""

import binascii
import json
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias, cast, final

from .channels import NO_STORAGE, STORAGE_POLICIES
from .ledger import BROADCAST_PUSH, LedgerEntry
from .reasons import PRIORITIES, TOPIC_SUFFIXES
from .request import Request, Verdict, is_unix_seconds, is_uuid, refused

if TYPE_CHECKING:
    from .simulator import Simulator

__all__ = ["Operation", "bundle_id_of", "describe", "operation_of"]

MAX_BODY: Final = 5_120
MAX_CHANNEL_ID: Final = 255
"""Characters. There is a limit (``BadChannelId``); which, Apple does not say."""

PUSH_TYPE: Final = "liveactivity"
"""In lower case: Apple's pages have three spellings."""

_BUNDLE_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,155}").fullmatch
_SUFFIXES: Final = tuple(suffix.decode() for suffix in TOPIC_SUFFIXES.values() if suffix)


@final
@dataclass(frozen=True, slots=True)
class Context:
    """What a check looks at."""

    request: Request
    bundle_id: str
    simulator: "Simulator"

    @property
    def channel_id(self) -> str:
        """The ``apns-channel-id``, or nothing."""
        return self.request.fields.get(b"apns-channel-id", b"").decode("latin-1")

    @property
    def policy(self) -> int | None:
        """The storage policy of the channel; ``None`` if the app has no such channel."""
        return self.simulator.channels.policy(self.bundle_id, self.channel_id)


AppCheck: TypeAlias = Callable[[Context], str | None]
"""Returns a reason to refuse the request for, or ``None``."""


# Checks.


def _request_id(context: Context) -> str | None:
    # "The apns-id value is invalid": a sample of Apple's shows this name in place of the other.
    for name in (b"apns-request-id", b"apns-id"):
        given = context.request.fields.get(name)
        if given is not None and not is_uuid(given):
            return "BadMessageId"
    return None


def _bundle_id(context: Context) -> str | None:
    bundle_id, config = context.bundle_id, context.simulator.config
    if not _BUNDLE_ID(bundle_id) or bundle_id.endswith(_SUFFIXES):
        return "TopicDisallowed"
    if config.topics is not None and bundle_id not in config.topics:
        return "TopicMismatch"
    if config.broadcast_apps is not None and bundle_id not in config.broadcast_apps:
        return "FeatureNotEnabled"
    return None


def _channel_id(context: Context) -> str | None:
    if b"apns-channel-id" not in context.request.fields:
        return "MissingChannelId"
    channel_id = context.channel_id
    if not channel_id or len(channel_id) > MAX_CHANNEL_ID:
        return "BadChannelId"
    try:
        b64decode(channel_id, validate=True)
    except (binascii.Error, ValueError):
        return "BadChannelId"
    return None


def _registered(context: Context) -> str | None:
    return "ChannelNotRegistered" if context.policy is None else None


def _push_type(context: Context) -> str | None:
    push_type = context.request.fields.get(b"apns-push-type")
    if push_type is None:
        return "MissingPushType"
    return None if push_type.lower() == PUSH_TYPE.encode() else "InvalidPushType"


def _priority(context: Context) -> str | None:
    return None if context.request.fields.get(b"apns-priority") in PRIORITIES else "BadPriority"


def _expiration(context: Context) -> str | None:
    # Required, by Apple's table; its own sample for curl leaves it out.
    expiration = context.request.fields.get(b"apns-expiration", b"")
    return None if is_unix_seconds(expiration) else "BadExpirationDate"


def _expiration_by_policy(context: Context) -> str | None:
    is_zero = int(context.request.fields[b"apns-expiration"]) == 0
    return "BadExpirationDate" if context.policy == NO_STORAGE and not is_zero else None


def _body(context: Context) -> str | None:
    if not context.request.body_size:
        return "PayloadEmpty"
    if context.request.body_size > MAX_BODY:
        return "PayloadTooLarge"
    return "BadRequestPayload" if _json_object(context.request) is None else None


def _channel_parameters(context: Context) -> str | None:
    members = dict(_json_object(context.request) or {})
    push_type = members.pop("push-type", None)
    policy = members.pop("message-storage-policy", None)
    if push_type is None:
        return "MissingPushType"
    if not isinstance(push_type, str) or push_type.lower() != PUSH_TYPE:
        return "InvalidPushType"
    # "The JSON Request payload contained an unrecognizable attribute." A number, so says Apple: the
    # text "1" that a client of others sends is refused here.
    if members or type(policy) is not int or policy not in STORAGE_POLICIES:
        return "BadRequestParams"
    return None


def _json_object(request: Request) -> Mapping[str, object] | None:
    try:
        document: object = json.loads(request.body)
    except (ValueError, RecursionError):
        return None
    return cast("dict[str, object]", document) if isinstance(document, dict) else None


# What is done when all checks are passed.


def _broadcast(context: Context) -> Verdict:
    payload = _json_object(context.request) or {}
    aps = payload.get("aps")
    starts = isinstance(aps, dict) and cast("dict[str, object]", aps).get("event") == "start"
    return Verdict(
        200,
        # Not in development alone: "returned in case of a successful request".
        fields=((b"apns-unique-id", context.simulator.make_uuid()),),
        violation="a broadcast cannot start a Live Activity" if starts else None,
    )


def _create(context: Context) -> Verdict:
    members = _json_object(context.request) or {}
    channel_id = context.simulator.make_channel_id()
    policy = cast("int", members["message-storage-policy"])
    if not context.simulator.channels.create(context.bundle_id, channel_id, policy):
        return refused("CannotCreateChannelConfig")
    return Verdict(201, fields=((b"apns-channel-id", channel_id.encode()),))


def _read(context: Context) -> Verdict:
    return _with_body({"message-storage-policy": context.policy, "push-type": "LiveActivity"})


def _delete(context: Context) -> Verdict:
    context.simulator.channels.delete(context.bundle_id, context.channel_id)
    return Verdict(204)


def _list(context: Context) -> Verdict:
    return _with_body({"channels": context.simulator.channels.ids(context.bundle_id)})


def _with_body(members: Mapping[str, object]) -> Verdict:
    body = json.dumps(members, separators=(",", ":")).encode()
    return Verdict(200, fields=((b"content-type", b"application/json"),), body=body)


# The table.


@final
@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that can be asked of an app."""

    kind: str
    checks: tuple[AppCheck, ...]
    act: Callable[[Context], Verdict]

    def carry_out(self, request: Request, simulator: "Simulator") -> Verdict:
        """Make the checks, and do what is asked if all are passed."""
        context = Context(request, bundle_id_of(request), simulator)
        for check in self.checks:
            if reason := check(context):
                return refused(reason)
        return self.act(context)


_CHANNELS: Final[Mapping[bytes, Operation]] = {
    b"POST": Operation(
        "create channel", (_request_id, _bundle_id, _body, _channel_parameters), _create
    ),
    b"GET": Operation("read channel", (_request_id, _bundle_id, _channel_id, _registered), _read),
    b"DELETE": Operation(
        "delete channel", (_request_id, _bundle_id, _channel_id, _registered), _delete
    ),
}
_ALL_CHANNELS: Final[Mapping[bytes, Operation]] = {
    b"GET": Operation("list channels", (_request_id, _bundle_id), _list)
}
_BROADCASTS: Final[Mapping[bytes, Operation]] = {
    b"POST": Operation(
        BROADCAST_PUSH,
        (
            _request_id,
            _bundle_id,
            _channel_id,
            _push_type,
            _expiration,
            _priority,
            _registered,
            _expiration_by_policy,
            _body,
        ),
        _broadcast,
    )
}
_PATHS: Final = (
    (re.compile(rb"/4/broadcasts/apps/([^/]+)").fullmatch, _BROADCASTS),
    (re.compile(rb"/1/apps/([^/]+)/channels").fullmatch, _CHANNELS),
    (re.compile(rb"/1/apps/([^/]+)/all-channels").fullmatch, _ALL_CHANNELS),
)
_METHODS: Final = frozenset({b"GET", b"POST", b"DELETE"})


def operation_of(request: Request) -> Operation | str:
    """Return what is asked for, or the reason to refuse a request that asks for nothing known."""
    method = request.fields[b":method"]
    if method not in _METHODS:
        return "MethodNotAllowed"
    for matches, operations in _PATHS:
        if matches(request.fields[b":path"]):
            # "The URL is invalid. Either the HTTP/2 method or the HTTP/2 path is incorrect."
            return operations.get(method, "BadPath")
    return "BadPath"


def describe(request: Request, verdict: Verdict, entry: LedgerEntry) -> None:
    """Enter in the ledger what sets these requests apart from device pushes."""
    operation = operation_of(request)
    entry.kind = "unknown" if isinstance(operation, str) else operation.kind
    entry.topic = bundle_id_of(request)
    channel_id = dict(verdict.fields).get(b"apns-channel-id")
    channel_id = channel_id or request.fields.get(b"apns-channel-id")
    entry.channel_id = None if channel_id is None else channel_id.decode("latin-1")


def bundle_id_of(request: Request) -> str:
    """Return the bundle id in the path; nothing if the path is of another form."""
    for matches, _ in _PATHS:
        if match := matches(request.fields[b":path"]):
            return match[1].decode("latin-1")
    return ""
