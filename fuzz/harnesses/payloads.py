"""What callers ask for, of whatever types: payloads, notifications, broadcasts, channel requests.

An input is a script: a builder, and a value for each of its arguments. Either `InvalidField` is
raised, which names the field and does not show the value, or what comes out is fit to be sent.
"""

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final
from uuid import UUID

from apns_core.endpoints import Endpoint
from apns_core.errors import InvalidField
from apns_core.requests import payload
from apns_core.requests.broadcast import Broadcast, BroadcastRoute
from apns_core.requests.channels import CreateChannel, DeleteChannel, ListChannels, ReadChannel
from apns_core.requests.notification import Notification
from apns_core.requests.request import Request
from apns_core.requests.route import PushType, Route
from apns_core.trust.provider_token import ProviderToken
from fuzz.decisions import Decisions

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 512

_CANARY: Final = "canary-7f3a91"
_DEEP: Final = 3
_NAMES: Final = ("aps", "alert", "event", "x", _CANARY, "\ud800", "")
_CONSTANTS: Final[tuple[Any, ...]] = (
    None,
    "com.example.app",
    "0123456789abcdef" * 4,
    {"a": 1},
    1_800_000_000,
    True,
    False,
    0,
    -1,
    5,
    10,
    2**53,
    2**63,
    10**400,
    0.5,
    1.0,
    float("nan"),
    float("inf"),
    "",
    "alert",
    "liveactivity",
    "background",
    "dHN0LXNyY2gtY2hubA==",
    "8a3f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f11",
    UUID("8a3f6f3e-6d0c-4a55-9d0c-1b9a9f0c8f11"),
    f"{_CANARY}\r\nx: y",
    "é" * 5_000,
    b"{}",
    b"\xff" * 32,
    b"",
    datetime(2027, 1, 15, tzinfo=UTC),
    datetime(2027, 1, 15),  # noqa: DTZ001 - what callers must not give
    datetime.min.replace(tzinfo=timezone(timedelta(hours=23, minutes=59))),
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=23, minutes=59))),
    timedelta(hours=1),
    timedelta.max,
    timedelta(-1),
    payload.Alert(title="t", loc_key="k", loc_args=["a"]),
    payload.LiveActivityAlert(title="t", body="b"),
    payload.CriticalSound(),
    payload.Localized("key"),
    object(),
)
_USUAL: Final = {name: at for at, name in enumerate(("none", "app", "token", "mapping", "number"))}


class _Arguments:
    """Draws values, and knows those of which no error may tell."""

    def __init__(self, script: Decisions) -> None:
        self._script = script
        self.custom: Any = None
        """What is the app's own of a payload."""

    def any(self, depth: int = _DEEP) -> Any:  # noqa: ANN401 - of any type is the point
        """Return any value."""
        script = self._script
        choice = script.byte()
        if choice < len(_CONSTANTS):
            return _CONSTANTS[choice]
        match choice % 5 if depth else 0:
            case 1:
                return [self.any(depth - 1) for _ in range(script.byte() % 4)]
            case 2:
                return {script.pick(_NAMES): self.any(depth - 1) for _ in range(script.byte() % 4)}
            case 3:
                return {self._key(): self.any(depth - 1)}
            case 4:
                return int.from_bytes(script.octets(4), signed=True)
            case _:
                return script.text()

    def some(self, *names: str) -> dict[str, Any]:
        """Return values for some of these, as keyword arguments; what is left out has a default."""
        chosen = self._script.number(2)
        drawn = {name: self.any() for at, name in enumerate(names) if chosen >> at & 1}
        self.custom = drawn.get("custom")
        return drawn

    def all_custom(self) -> Any:  # noqa: ANN401 - the same
        """Return any value, for what is the app's own."""
        self.custom = self.any()
        return self.custom

    def _key(self) -> Any:  # noqa: ANN401 - the same
        value = self.any(0)
        try:
            hash(value)
        except TypeError:
            # What no dict takes, no caller can give.
            return "unhashable"
        return value


def _alert_part(draw: _Arguments) -> object:
    names = ("title", "subtitle", "body", "launch_image", "title_loc_key", "title_loc_args")
    return payload.Alert(**draw.some(*names, "loc_key", "loc_args"))


def _alert(draw: _Arguments) -> object:
    return payload.alert(
        draw.any(),
        **draw.some(
            "badge",
            "sound",
            "thread_id",
            "category",
            "content_available",
            "mutable_content",
            "target_content_id",
            "interruption_level",
            "relevance_score",
            "filter_criteria",
            "custom",
        ),
    )


def _start(draw: _Arguments) -> object:
    return payload.start_live_activity(
        timestamp=draw.any(),
        content_state=draw.any(),
        attributes_type=draw.any(),
        attributes=draw.any(),
        alert=draw.any(),
        **draw.some(
            "input_push_token", "input_push_channel", "stale_date", "relevance_score", "custom"
        ),
    )


def _update(draw: _Arguments) -> object:
    return payload.update_live_activity(
        timestamp=draw.any(),
        content_state=draw.any(),
        **draw.some("alert", "stale_date", "relevance_score", "custom"),
    )


def _end(draw: _Arguments) -> object:
    return payload.end_live_activity(
        timestamp=draw.any(),
        **draw.some("content_state", "dismissal_date", "alert", "relevance_score", "custom"),
    )


def _route(draw: _Arguments) -> Route:
    return Route(draw.any(), **draw.some("push_type", "priority"))


def _notification(draw: _Arguments) -> object:
    notification = Notification(
        _route(draw) if draw.any(0) is None else Route("com.example.app"),
        draw.any(),
        draw.any(),
        **draw.some("expiration", "collapse_id", "apns_id"),
    )
    return notification.submitted_at(1_800_000_000.5)


def _broadcast(draw: _Arguments) -> object:
    route = BroadcastRoute(draw.any(), draw.any(), **draw.some("storage_policy", "priority"))
    return Broadcast(route, draw.any(), expiration=draw.any(), **draw.some("request_id"))


_BUILDERS: Final[tuple[Callable[[_Arguments], object], ...]] = (
    _alert,
    _alert_part,
    _start,
    _update,
    _end,
    _notification,
    _broadcast,
    lambda draw: payload.background(draw.all_custom()),
    lambda draw: payload.widgets(draw.any()),
    lambda draw: payload.mdm(draw.any()),
    lambda draw: payload.file_provider(draw.any(), draw.any()),
    lambda draw: payload.app_defined(draw.any(), draw.any()),
    lambda draw: payload.CriticalSound(draw.any(), draw.any()),
    lambda draw: payload.LiveActivityAlert(title=draw.any(), body=draw.any(), **draw.some("sound")),
    lambda draw: Route.for_app(draw.any(), **draw.some("push_type", "priority")),
    lambda draw: CreateChannel(draw.any(), draw.any(), **draw.some("request_id")),
    lambda draw: ReadChannel(draw.any(), draw.any(), **draw.some("request_id")),
    lambda draw: DeleteChannel(draw.any(), draw.any(), **draw.some("request_id")),
    lambda draw: ListChannels(draw.any(), **draw.some("request_id")),
    lambda draw: Endpoint(draw.any(), draw.any()),
    lambda draw: ProviderToken(str(draw.any()), 0.0),
)


def check(data: bytes) -> None:
    """Build what the script says."""
    script = Decisions(data)
    while script.left:
        build = script.pick(_BUILDERS)
        draw = _Arguments(script)
        try:
            built = build(draw)
        except InvalidField as error:
            assert _CANARY not in str(error)
            assert str(error).isprintable()
            continue
        _check_repr(built)
        if isinstance(built, bytes):
            _check_payload(built, draw.custom)
        elif isinstance(built, _REQUESTS):
            _check_request(built)
        elif isinstance(built, Route):
            _check_fields(built.fields)
        elif isinstance(built, Endpoint):
            assert _AUTHORITY(built.authority)
        elif isinstance(built, ProviderToken):
            assert _AUTHORIZATION(built.authorization)


def _check_repr(built: object) -> None:
    """Nothing that people read, and no device, is shown."""
    shown = repr(built)
    if isinstance(built, Notification):
        # A topic is no secret, and may be made of the same digits.
        shown = shown.replace(repr(built.route), "")
        assert built.device_token not in shown or len(built.device_token) < _TOO_SHORT_TO_TELL
        assert built.payload.decode("utf-8", "replace") not in shown
    elif isinstance(built, ProviderToken):
        jwt = built.authorization.decode().removeprefix("bearer ")
        assert len(jwt) < _TOO_SHORT_TO_TELL or jwt not in shown
    elif isinstance(built, payload.Alert | payload.LiveActivityAlert):
        # Keys of the app's own, and names of files, may be shown.
        for text in (built.title, built.body):
            assert not isinstance(text, str) or repr(text) not in shown or text in _constants(built)


def _constants(built: payload.Alert | payload.LiveActivityAlert) -> list[str | None]:
    if isinstance(built, payload.LiveActivityAlert):
        return [built.sound]
    return [built.launch_image, built.title_loc_key, built.subtitle_loc_key, built.loc_key]


_TOO_SHORT_TO_TELL: Final = 12


def _check_payload(octets: bytes, custom: object) -> None:
    assert len(octets) <= _LARGEST
    document: Any = json.loads(octets.decode(), parse_constant=_no_json)
    assert type(document) is dict
    if custom is not None:
        own: dict[str, Any] = json.loads(json.dumps(custom))
        assert document == document | own, "what is the app's own is not there"


_LARGEST: Final = 5_120


def _no_json(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def _check_request(request: Request) -> None:
    assert _PATH(request.path)
    assert len(request.payload) <= _LARGEST
    size = _check_fields((*request.route.fields, *request.extra_fields))
    # What `field_blocks` counts on.
    assert size + len(request.path) <= 2_048 - 5 * 32


def _check_fields(fields: tuple[tuple[bytes, bytes], ...]) -> int:
    """Return the size of a list of fields, which are in order and each there once."""
    for name, value in fields:
        assert _NAME(name)
        assert _VALUE(value), name
    assert len(dict(fields)) == len(fields), "a field twice"
    return sum(len(name) + len(value) + 32 for name, value in fields)


_REQUESTS: Final = (
    Notification,
    Broadcast,
    CreateChannel,
    ReadChannel,
    DeleteChannel,
    ListChannels,
)
_BUNDLE_ID: Final = rb"[A-Za-z0-9][A-Za-z0-9._-]*"
_PATH: Final = re.compile(
    rb"/3/device/[0-9A-Fa-f]+|/4/broadcasts/apps/%b|/1/apps/%b/(?:all-)?channels"
    % (_BUNDLE_ID, _BUNDLE_ID)
).fullmatch
_AUTHORITY: Final = re.compile(
    rb"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[1-9][0-9]*)?"
).fullmatch
_AUTHORIZATION: Final = re.compile(rb"bearer [!-~]+").fullmatch
_NAME: Final = re.compile(rb"[a-z-]+").fullmatch
_VALUE: Final = re.compile(rb"[!-~]+").fullmatch


def seeds() -> Iterator[bytes]:
    """Yield each builder with usual values, and each value in the first place of each."""
    none, app, token, mapping, number = _USUAL.values()
    for builder in range(len(_BUILDERS)):
        for first in range(len(_CONSTANTS)):
            yield bytes((builder, first, number, mapping, app, token, none))
    # Whatever JSON does not have, within what the app says itself.
    with_a_key = next(choice for choice in range(len(_CONSTANTS), 256) if choice % 5 == _DEEP)
    for value in range(len(_CONSTANTS)):
        yield bytes((7, with_a_key, app, value))
    yield bytes((2, number, mapping, app, mapping, _CONSTANTS.index(_CONSTANTS[38]), 0, 0))
    yield bytes((5, 5, token, mapping, 0, 7, number, app, 23))
    yield bytes((6, app, 22, 0, 0, mapping, number, 0, 0))
    assert len(PushType) < len(_CONSTANTS)
