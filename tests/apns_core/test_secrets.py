"""Device tokens, payloads and provider tokens are in nothing that is shown, raised or pickled."""

import inspect
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from enum import Enum
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import apns_core
from apns_core import (
    Alert,
    Broadcast,
    BroadcastRoute,
    Channel,
    ChannelList,
    Connect,
    ConnectionId,
    CreateChannel,
    CreatedChannel,
    CriticalSound,
    DeleteChannel,
    DeletedChannel,
    Disconnect,
    ListChannels,
    LiveActivityAlert,
    Localized,
    ReadChannel,
    Sender,
    SenderConfig,
    SignToken,
    StoragePolicy,
    Unreadable,
    payload,
)
from apns_core.backoff import Backoff
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import LimitChanged
from apns_core.endpoints import PRODUCTION
from apns_core.errors import ApiMisuse, ApnsError, InvalidField, QueueFull
from apns_core.outcomes import Accepted, Cause, Rejected, Unknown, Unprocessed
from apns_core.proxy import Proxy, Tunnel
from apns_core.reasons import Reason
from apns_core.requests.notification import Notification
from apns_core.requests.route import PushType, Route
from apns_core.tickets import Submissions
from apns_core.trust.identity import ProviderIdentity
from apns_core.trust.provider_token import ProviderToken, ProviderTokenSchedule
from apns_core.trust.signing import RemoteKey, TokenKey
from tests.apns_core.peer import AUTHORITY, UNREGISTERED, Scene, reason

DEVICE = "c0ffee" * 10 + "0123"
PAYLOAD_TEXT = "meet me at the canary wharf"
JWT = "canaryHeader.canaryClaims.canarySignature"
COLLAPSE_ID = "canary-collapse"

CANARIES = [
    DEVICE,
    DEVICE.upper(),
    DEVICE[:12],
    bytes.fromhex(DEVICE).decode("latin-1"),
    PAYLOAD_TEXT,
    "canary wharf",
    JWT,
    "canarySignature",
    "canaryClaims",
]


def assert_clean(text: str) -> None:
    for canary in CANARIES:
        assert canary not in text


def shown(thing: object) -> Iterator[str]:
    """All texts that a log line or a debugger's summary would make of it."""
    yield repr(thing)
    yield str(thing)
    yield f"{thing}"
    yield repr([thing])
    if isinstance(thing, BaseException):
        yield "".join(traceback.format_exception(thing))


def notification() -> Notification:
    return Notification(
        Route("com.example.app"),
        DEVICE,
        {"aps": {"alert": PAYLOAD_TEXT}},
        collapse_id=COLLAPSE_ID,
        expiration=0,
    )


def broadcast() -> Broadcast:
    route = BroadcastRoute("com.example.app", "QUJD")
    return Broadcast(route, {"aps": {"event": "end", "text": PAYLOAD_TEXT}}, expiration=0)


def parts() -> Iterator[object]:
    """What a payload is built of."""
    text, args = PAYLOAD_TEXT, [PAYLOAD_TEXT]
    yield Alert(
        title=text,
        subtitle=text,
        body=text,
        launch_image=text,
        title_loc_key=text,
        title_loc_args=args,
        subtitle_loc_key=text,
        subtitle_loc_args=args,
        loc_key=text,
        loc_args=args,
    )
    yield CriticalSound(text)
    yield Localized(text, args)
    yield LiveActivityAlert(title=text, body=Localized(text, args), sound=text)


def management() -> Iterator[object]:
    """What is asked of channels, and what is answered."""
    app, channel = "com.example.app", "QUJD"
    yield CreateChannel(app, 0)
    yield from (ReadChannel(app, channel), DeleteChannel(app, channel), ListChannels(app))
    yield CreatedChannel(channel, StoragePolicy.NO_STORAGE)
    yield Channel(channel, StoragePolicy.NO_STORAGE, "liveactivity")
    yield from (DeletedChannel(channel), ChannelList((channel,)))
    yield Unreadable("the body is no JSON object", 200, b"{}")


def scene() -> Scene:
    """A connection that has sent, been answered in every way, and holds more in its queue."""
    made = Scene(ConnectionConfig(), token=ProviderToken(JWT, 0.0))
    made.open(limit=6)
    made.submit(10, notification())
    peer = made.peer
    made.feed(
        peer.accept(3)
        + peer.answer(5, 410, UNREGISTERED)
        + peer.reset(7, 7)
        + peer.reset(9, 2)
        + peer.headers(11, 200)
    )
    made.cancel(5)
    made.feed(peer.goaway(15, reason("Shutdown")))
    made.feed(bytes(9))
    made.connection.receive_eof(made.now)
    made.drain()
    return made


def sender() -> Sender[int]:
    made: Sender[int] = Sender(
        PRODUCTION,
        rng=Random(1),
        now=0.0,
        unix_time=1e9,
        config=SenderConfig(max_queued=5),
    )
    for tag in range(5):
        made.submit(notification(), tag, 0.0)
    made.connected(ConnectionId(1), 0.0)
    made.token_signed(JWT, 0.0)
    made.data_to_send(ConnectionId(1))
    made.receive_data(ConnectionId(1), Scene().peer.settings(limit=10), 0.0)
    made.data_to_send(ConnectionId(1))
    return made


def public_objects() -> Iterator[object]:
    request = notification()
    yield request
    yield request.route
    yield from (PushType.ALERT, PRODUCTION, ConnectionConfig(), SenderConfig())
    yield Accepted(request, DEVICE, "id", "unique")
    yield Rejected(request, DEVICE, 410, Reason.UNREGISTERED, "Unregistered", 1, "id", 1.0)
    yield Unprocessed(request, DEVICE, Cause.DEADLINE)
    yield Unknown(request, DEVICE, Cause.RESET)
    yield LimitChanged(1)
    yield from (Connect(ConnectionId(1), PRODUCTION, 1.0), SignToken(1))
    yield Disconnect(ConnectionId(1), Cause.CLOSED, 1.0)
    token = ProviderToken(JWT, 0.0)
    yield token
    schedule = ProviderTokenSchedule(now=0.0, unix_time=0.0)
    schedule.begin_signing(0.0)
    schedule.signed(JWT)
    yield schedule
    connection: Connection[int] = Connection(AUTHORITY, now=0.0)
    connection.set_provider_token(token)
    yield connection
    yield connection.submit(request, 1, 0.0)
    used = scene()
    yield from (used.connection, used.connection.peer_settings, used.connection.goaway)
    yield from used.events
    yield from used.tickets
    queue: Submissions[int] = Submissions()
    queue.submit(request, 1, 0.0, 1.0)
    yield queue
    yield sender()
    yield Backoff(Random(1))
    yield from (broadcast(), broadcast().route, Accepted(broadcast(), None))
    yield from parts()
    yield from management()


def test_every_public_class_is_looked_at() -> None:
    public: list[Any] = [getattr(apns_core, name) for name in apns_core.__all__]
    classes: set[str] = {
        each.__name__
        for each in public
        if inspect.isclass(each)
        and not issubclass(each, Enum | BaseException)
        and not getattr(each, "_is_protocol", False)
    }
    assert classes <= {type(thing).__name__ for thing in public_objects()}


def test_the_scene_shows_something_of_everything() -> None:
    used = scene()
    kinds = {type(event).__name__ for event in used.events}
    assert kinds >= {
        "Accepted",
        "Rejected",
        "Unprocessed",
        "Unknown",
        "LimitChanged",
        "GoAwayReceived",
        "ConnectionClosed",
    }
    assert used.peer.requests[3].body.decode().count("canary wharf")
    assert DEVICE.encode() in dict(used.peer.requests[3].fields)[b":path"]


@pytest.mark.parametrize("thing", list(public_objects()), ids=lambda thing: type(thing).__name__)
def test_t7_nothing_shows_a_secret(thing: object) -> None:
    for text in shown(thing):
        assert_clean(text)


@pytest.mark.parametrize("thing", list(public_objects()), ids=lambda thing: type(thing).__name__)
def test_nothing_that_can_be_pickled_holds_a_secret(thing: object) -> None:
    if isinstance(thing, Accepted | Rejected | Unprocessed | Unknown):
        # The tag is the caller's, and so is the decision to pickle it.
        thing.tag = None
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        try:
            pickled = pickle.dumps(thing, protocol)
        except (TypeError, AttributeError, pickle.PicklingError) as error:
            assert_clean(str(error))
            continue
        assert_clean(pickled.decode("latin-1"))


@pytest.mark.parametrize("thing", [notification(), broadcast(), *parts(), ProviderToken(JWT, 0.0)])
def test_what_is_nothing_but_a_secret_is_not_pickled(thing: object) -> None:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing, protocol)


# Each argument is bad; most hold a canary.
BAD: list[tuple[str, Any]] = [
    ("device_token", DEVICE + "x"),
    ("device_token", DEVICE * 10),
    ("device_token", bytearray(bytes.fromhex(DEVICE))),
    ("payload", PAYLOAD_TEXT),
    ("payload", PAYLOAD_TEXT.encode() * 1_000),
    ("payload", {"aps": {PAYLOAD_TEXT: object()}}),
    ("payload", {"aps": {DEVICE: b"x"}}),
    ("payload", {PAYLOAD_TEXT: "\ud800"}),
    ("payload", {PAYLOAD_TEXT: float("nan")}),
    ("expiration", PAYLOAD_TEXT),
    ("collapse_id", PAYLOAD_TEXT),
    ("collapse_id", DEVICE * 2),
    ("apns_id", DEVICE),
    ("route", DEVICE),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_t7_no_refusal_repeats_what_it_refuses(field: str, value: object) -> None:
    arguments: dict[str, Any] = {
        "route": Route("com.example.app"),
        "device_token": DEVICE,
        "payload": {"aps": {"alert": PAYLOAD_TEXT}},
        field: value,
    }
    with pytest.raises(InvalidField) as caught:
        Notification(**arguments)
    assert_clean(repr(caught.value) + str(caught.value) + repr(caught.value.args))
    # As the interpreter would print it, below this frame's own source.
    printed = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
    for line in printed.format_exception_only():
        assert_clean(line)
    # Nor is anything behind it: `from None` hides the context and keeps it, payload and all.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("field", ["topic", "push_type", "priority", "bundle_id"])
def test_no_refusal_of_a_route_repeats_it(field: str) -> None:
    arguments: dict[str, Any] = {"topic": "com.example.app", field: DEVICE + " \n"}
    if field == "bundle_id":
        del arguments["topic"]
    with pytest.raises(InvalidField) as caught:
        (Route.for_app if field == "bundle_id" else Route)(**arguments)
    assert caught.value.field == field
    for text in shown(caught.value):
        assert_clean(text.partition("InvalidField: ")[2])


def test_no_refusal_of_a_provider_token_repeats_it() -> None:
    with pytest.raises(InvalidField) as caught:
        ProviderToken(JWT + "\n", 0.0)
    assert_clean(str(caught.value))
    assert_clean(repr(caught.value))


def test_misuse_says_nothing_of_what_was_submitted() -> None:
    used = scene()
    with pytest.raises(ApiMisuse) as misuse:
        used.connection.submit(notification(), 1, used.now)
    assert_clean(str(misuse.value))
    full: Sender[int] = Sender(
        PRODUCTION, rng=Random(1), now=0.0, unix_time=1e9, config=SenderConfig(max_queued=1)
    )
    full.submit(notification(), 1, 0.0)
    with pytest.raises(QueueFull) as queue_full:
        full.submit(notification(), 2, 0.0)
    assert_clean(str(queue_full.value))


CONTEXTS: list[Callable[[], object]] = [
    lambda: Route(DEVICE, PAYLOAD_TEXT),
    lambda: payload.alert("x", interruption_level=PAYLOAD_TEXT),
    lambda: payload.alert(PAYLOAD_TEXT + "\ud800"),
    lambda: payload.app_defined({PAYLOAD_TEXT: object()}, "voip"),
    lambda: Broadcast(broadcast().route, {PAYLOAD_TEXT: "\ud800"}, expiration=0),
]


@pytest.mark.parametrize("refused", CONTEXTS)
def test_the_context_of_a_refusal_held_what_was_refused(refused: Callable[[], object]) -> None:
    with pytest.raises(InvalidField) as caught:
        refused()
    assert caught.value.__context__ is None


HALF_MADE: list[type[object]] = [
    *(Notification, Route, Broadcast, BroadcastRoute, ProviderToken, TokenKey, RemoteKey, Proxy),
    *(CreateChannel, ReadChannel, DeleteChannel, ListChannels, ProviderIdentity, Tunnel),
]


@pytest.mark.parametrize("kind", HALF_MADE)
def test_what_was_refused_had_no_repr(kind: type[object]) -> None:
    # An error's frames have it as self: whoever shows their locals got an AttributeError instead.
    assert kind.__name__ in repr(object.__new__(kind))


MAKERS: list[Callable[[str], object]] = [
    lambda text: Notification(Route("a"), text, b"{}"),
    lambda text: Notification(Route("a"), "ab", b"{}", collapse_id=text),
    lambda text: Notification(Route("a"), "ab", b"{}", apns_id=text),
    lambda text: Route("a", text),
    lambda text: ProviderToken(text, 0.0),
    Route,
]


@settings(deadline=None)
@given(st.text(max_size=20), st.text(max_size=20))
def test_a_text_around_a_canary_is_refused_without_it(before: str, after: str) -> None:
    for make in MAKERS:
        try:
            made = make(before + DEVICE + after)
        except ApnsError as error:
            assert_clean(str(error))
        else:
            if isinstance(made, Notification):
                assert_clean(repr(made).replace(COLLAPSE_ID, ""))


def test_t7_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        scene()
        sender()
    # hpack logs what its own encoder and decoder do; in this test they are the peer's.
    own = [record for record in caplog.records if not record.name.startswith("hpack")]
    assert own == []
