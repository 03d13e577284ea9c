"""Every kind of request, as Apple's pages have it: data, beside what makes one and its payload."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from apns_core import (
    BROADCAST_PAYLOAD_LIMIT,
    Broadcast,
    BroadcastRoute,
    Channel,
    ChannelList,
    CreateChannel,
    CreatedChannel,
    DeleteChannel,
    DeletedChannel,
    ListChannels,
    LiveActivityAlert,
    Notification,
    ReadChannel,
    Request,
    Route,
    StoragePolicy,
)
from apns_core import payload as payload_of
from tests.apns_simulator.raw_client import UNIX_TIME

__all__ = ["APP", "KINDS", "NOT_STORING", "STORING", "Kind"]

APP: Final = "com.example.app"
DEVICE: Final = "ab" * 32
STORING: Final = "dHN0LXNyY2gtY2hubA=="
NOT_STORING: Final = "bm90aGluZyBpcyBrZXB0"
BODY: Final = b'{"aps":{}}'

Maker: TypeAlias = Callable[..., Request]
Texts: TypeAlias = Mapping[str, str]
Builder: TypeAlias = Callable[[Texts], bytes]


# ── what makes them ──


def device_push(
    push_type: str = "alert",
    *,
    topic: str | None = "",
    priority: Any = None,  # noqa: ANN401 - wrong ones are passed on purpose, here as below
    device_token: str = DEVICE,
    payload: bytes = BODY,
    **options: Any,  # noqa: ANN401
) -> Notification:
    """Make one; an empty topic stands for that of the app."""
    if topic == "":
        route = Route.for_app(APP, push_type, priority=priority)
    else:
        route = Route(topic, push_type, priority=priority)
    return Notification(route, device_token, payload, **options)


def broadcast(
    *,
    bundle_id: str = APP,
    channel_id: str = STORING,
    storage_policy: StoragePolicy | None = None,
    priority: Any = 10,  # noqa: ANN401
    payload: bytes = BODY,
    expiration: Any = 0,  # noqa: ANN401
    request_id: str | None = None,
) -> Broadcast:
    route = BroadcastRoute(bundle_id, channel_id, storage_policy=storage_policy, priority=priority)
    return Broadcast(route, payload, expiration=expiration, request_id=request_id)


def create(*, bundle_id: str = APP, request_id: str | None = None) -> CreateChannel:
    return CreateChannel(bundle_id, StoragePolicy.NO_STORAGE, request_id=request_id)


def read(
    *, bundle_id: str = APP, channel_id: str = STORING, request_id: str | None = None
) -> ReadChannel:
    return ReadChannel(bundle_id, channel_id, request_id=request_id)


def delete(
    *, bundle_id: str = APP, channel_id: str = STORING, request_id: str | None = None
) -> DeleteChannel:
    return DeleteChannel(bundle_id, channel_id, request_id=request_id)


def list_all(*, bundle_id: str = APP, request_id: str | None = None) -> ListChannels:
    return ListChannels(bundle_id, request_id=request_id)


# What would end a field and begin another, or is no text of a header field at all.
_IN_A_FIELD: Final = ("x\r\ny: z", "x\ny: z", "x\ry", "x\x00y", "x y", "x\ty", "x\x7fy", "xüy", "")
# What would lead to another path, beside that.
_IN_A_PATH: Final = (*_IN_A_FIELD, "../x", "..", "a/b", "a?b=c", "a#b", "a%2fb", "a\\b", "a;b")

_DEVICE_TEXTS: Final = {
    "topic": tuple(text for text in _IN_A_FIELD if text),  # the empty one stands for the app's
    "device_token": _IN_A_PATH,
    "collapse_id": _IN_A_FIELD,
    "apns_id": _IN_A_FIELD,
}
_APP_TEXTS: Final = {"bundle_id": _IN_A_PATH, "request_id": _IN_A_FIELD}
_CHANNEL_TEXTS: Final = {**_APP_TEXTS, "channel_id": _IN_A_FIELD}


# ── who builds their payloads, around texts of the caller's ──


def _app_defined(push_type: str) -> Mapping[str, Builder]:
    return {"app_defined": lambda own: payload_of.app_defined(own, push_type)}


def _live_activity(limit: int) -> Mapping[str, Builder]:
    return {
        "update_live_activity": lambda own: payload_of.update_live_activity(
            timestamp=UNIX_TIME, content_state=own, limit=limit
        ),
        "end_live_activity": lambda own: payload_of.end_live_activity(
            timestamp=UNIX_TIME, content_state=own, limit=limit
        ),
    }


def _start(own: Texts) -> bytes:
    return payload_of.start_live_activity(
        timestamp=UNIX_TIME,
        content_state=own,
        attributes_type="Match",
        attributes={},
        alert=LiveActivityAlert(title="Kick-off", body="Now"),
    )


BUILDERS: Final[Mapping[str, Mapping[str, Builder]]] = {
    "alert": {"alert": lambda own: payload_of.alert("Hello", custom=own)},
    "background": {"background": payload_of.background},
    "complication": _app_defined("complication"),
    "controls": {"controls": payload_of.controls},
    "fileprovider": {
        "file_provider": lambda own: payload_of.file_provider("work" + own["k"], "example.com")
    },
    "liveactivity": {"start_live_activity": _start, **_live_activity(4_096)},
    "location": _app_defined("location"),
    "mdm": {"mdm": lambda own: payload_of.mdm("magic" + own["k"])},
    "pushtotalk": _app_defined("pushtotalk"),
    "voip": _app_defined("voip"),
    "widgets": {"widgets": payload_of.widgets},
    "broadcast": _live_activity(BROADCAST_PAYLOAD_LIMIT),
}


@dataclass(frozen=True)
class Kind:
    """One kind of request, as Apple's pages have it: the row of the table."""

    name: str
    make: Maker
    suffix: str | None = None
    """What follows the bundle id in the topic; None for kinds without a topic."""
    priorities: tuple[int, ...] = ()
    limit: int = 0
    """Octets of payload; 0 for a body that is not the caller's."""
    expiration: str = ""
    """``optional``, ``required``, or no such field."""
    collapses: bool = False
    status: int = 200
    result: type | None = None
    """What an accepted one is read as."""
    builders: Mapping[str, Builder] = field(default_factory=dict[str, Builder])
    """What makes its payload, with texts of the caller's in it."""
    texts: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _DEVICE_TEXTS)
    """Argument -> values that must be refused."""

    @property
    def is_device_push(self) -> bool:
        return self.suffix is not None


def _push(push_type: str, suffix: str = "", *, limit: int = 4_096) -> Kind:
    return Kind(
        push_type,
        partial(device_push, push_type),
        suffix,
        priorities=(5,) if push_type == "background" else (10, 5, 1),
        limit=limit,
        expiration="optional",
        collapses=True,
        builders=BUILDERS[push_type],
    )


KINDS: Final = (
    _push("alert"),
    _push("background"),
    _push("complication", ".complication"),
    _push("controls", ".push-type.controls"),
    _push("fileprovider", ".pushkit.fileprovider"),
    _push("liveactivity", ".push-type.liveactivity"),
    _push("location", ".location-query"),
    _push("mdm"),
    _push("pushtotalk", ".voip-ptt"),
    _push("voip", ".voip", limit=5_120),
    _push("widgets", ".push-type.widgets"),
    Kind(
        "broadcast",
        broadcast,
        priorities=(10, 5, 1),
        limit=5_120,
        expiration="required",
        texts=_CHANNEL_TEXTS,
        builders=BUILDERS["broadcast"],
    ),
    Kind("create channel", create, status=201, result=CreatedChannel, texts=_APP_TEXTS),
    Kind("read channel", read, result=Channel, texts=_CHANNEL_TEXTS),
    Kind("delete channel", delete, status=204, result=DeletedChannel, texts=_CHANNEL_TEXTS),
    Kind("list channels", list_all, result=ChannelList, texts=_APP_TEXTS),
)
