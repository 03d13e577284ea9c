"""From the preface to the first accepted request: what may be sent, and when."""

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

from apns_core.accounting import ConnectionState
from apns_core.connection import Connection
from apns_core.connection_config import ConnectionConfig
from apns_core.connection_events import ConnectionClosed
from apns_core.errors import ApiMisuse
from apns_core.outcomes import Accepted, Cause, Rejected, Unprocessed
from apns_core.reasons import Reason
from apns_core.trust.provider_token import ProviderToken
from tests.apns_core.peer import (
    AUTHORITY,
    BAD_DEVICE_TOKEN,
    DEVICE,
    NOTIFICATION,
    NOW,
    TOKEN,
    UNREGISTERED,
    Scene,
    normals,
    reason,
)


def test_the_preface_goes_first_and_no_request_before_settings() -> None:
    scene = Scene()
    assert scene.state() is ConnectionState.AWAITING_SETTINGS
    assert scene.submit(3) == []
    assert [type(frame) for frame in scene.peer.frames] == [SettingsFrame]
    assert scene.connection.capacity == 0
    assert scene.connection.blocked
    assert scene.feed(scene.peer.settings(limit=100)) != []
    assert [type(frame) for frame in scene.peer.frames[1:]] == [
        SettingsFrame,
        HeadersFrame,
        DataFrame,
    ]
    assert scene.state() is ConnectionState.AUTH_PENDING


def test_a_request_carries_what_it_should() -> None:
    scene = Scene()
    scene.greet()
    scene.submit()
    seen = scene.peer.requests[1]
    assert seen.fields == [
        (b":method", b"POST"),
        (b":scheme", b"https"),
        (b":authority", AUTHORITY),
        (b":path", b"/3/device/" + DEVICE.encode()),
        (b"authorization", TOKEN.authorization),
        (b"apns-topic", b"com.example.app"),
        (b"apns-push-type", b"alert"),
        (b"apns-priority", b"10"),
    ]
    assert seen.body == NOTIFICATION.payload
    assert seen.ended


def test_one_stream_until_a_request_is_accepted() -> None:
    scene = Scene()
    scene.greet(limit=1_000)
    assert scene.limits == [1]
    assert scene.submit(5) == [1]
    assert (scene.connection.in_flight, scene.connection.capacity) == (1, 0)
    assert scene.blocked()
    scene.feed(scene.peer.accept(1))
    assert scene.state() is ConnectionState.OPEN
    assert scene.limits == [1, 1_000]
    assert sorted(scene.peer.open) == [3, 5, 7, 9]
    assert not scene.blocked()
    scene.check()


@pytest.mark.parametrize(
    ("status", "body"),
    [(400, BAD_DEVICE_TOKEN), (403, reason("InvalidProviderToken")), (410, UNREGISTERED)],
)
def test_a_rejection_does_not_end_the_wait(status: int, body: bytes) -> None:
    scene = Scene()
    scene.greet()
    assert scene.submit(9) == [1]
    for stream_id in (1, 3, 5):
        scene.feed(scene.peer.answer(stream_id, status, body))
        assert scene.state() is ConnectionState.AUTH_PENDING
        assert scene.peer.open == {stream_id + 2}
    scene.feed(scene.peer.accept(7))
    assert len(scene.peer.open) == 5
    assert scene.limits == [1, 1_000]


def test_a_reset_does_not_end_the_wait() -> None:
    scene = Scene()
    scene.greet()
    assert scene.submit(3) == [1]
    scene.feed(scene.peer.reset(1, 7))
    assert scene.peer.open == {3}
    assert scene.connection.limit == 1


@pytest.mark.parametrize("text", ["InvalidProviderToken", "MissingProviderToken"])
def test_a_refused_token_takes_it_back_to_one(text: str) -> None:
    scene = Scene()
    scene.open()
    scene.submit(4)
    scene.feed(scene.peer.answer(3, 403, reason(text)))
    assert scene.state() is ConnectionState.AUTH_PENDING
    assert scene.limits == [1]
    assert scene.connection.in_flight == 3
    assert scene.submit(2) == []
    scene.feed(scene.peer.accept(5))
    assert scene.limits == [1, 1_000]
    assert len(scene.peer.open) == 4


def test_a_certificate_needs_no_first_acceptance() -> None:
    scene = Scene(token=None)
    scene.greet(limit=100)
    assert scene.limits == [100]
    assert len(scene.submit(150)) == 100
    assert b"authorization" not in dict(scene.peer.requests[1].fields)
    scene.feed(scene.peer.answer(1, 403, reason("InvalidProviderToken")))
    assert scene.state() is ConnectionState.OPEN, "no token, nothing to wait for"
    assert len(scene.peer.open) == 100
    with pytest.raises(ApiMisuse, match="certificate"):
        scene.connection.set_provider_token(TOKEN)


def test_without_a_token_nothing_is_sent() -> None:
    connection: Connection[int] = Connection(AUTHORITY, now=NOW)
    scene = Scene()
    scene.connection = connection
    scene.greet()
    assert scene.submit(2) == []
    assert connection.capacity == 1
    assert not connection.blocked, "not for want of capacity"
    assert scene.token_first_used_at() is None
    connection.set_provider_token(TOKEN)
    scene.now += 5
    connection.observe(scene.now)
    scene.drain()
    assert scene.peer.open == {1}
    assert scene.token_first_used_at() == NOW + 5


def test_a_token_change_counts_from_its_first_use() -> None:
    scene = Scene()
    scene.open()
    assert scene.token_first_used_at() == NOW
    scene.connection.set_provider_token(TOKEN)
    assert scene.token_first_used_at() == NOW, "the same token is no change"
    new = ProviderToken("another.token.altogether", NOW)
    scene.advance(60.0)
    scene.connection.set_provider_token(new)
    assert scene.token_first_used_at() is None
    scene.advance(60.0)
    (stream_id,) = scene.submit()
    assert scene.connection.provider_token is new
    assert scene.token_first_used_at() == NOW + 120.0
    fields = dict(scene.peer.requests[stream_id].fields)
    assert fields[b"authorization"] == b"bearer another.token.altogether"


@pytest.mark.parametrize("withheld", [False, True])
def test_which_token_a_request_has_carried(withheld: bool) -> None:  # noqa: FBT001
    scene = Scene()
    scene.open()
    scene.submit(2)
    new = ProviderToken("another.token.altogether", NOW)
    if withheld:
        scene.connection.withhold_provider_token()
        assert scene.submit() == []
    scene.connection.set_provider_token(new)
    scene.submit()
    connection = scene.connection
    former, latter = scene.tickets[-3 - withheld], scene.tickets[-1]
    assert (connection.token_of(former), connection.token_of(latter)) == (TOKEN, new)


def test_a_token_that_waits_for_room_is_not_in_use_yet() -> None:
    scene = Scene()
    scene.open(limit=1)
    scene.submit()
    scene.connection.set_provider_token(ProviderToken("another.token.altogether", NOW))
    scene.submit()
    assert scene.token_first_used_at() is None, "no stream is free"
    scene.feed(scene.peer.accept(3))
    assert scene.token_first_used_at() == NOW
    scene.connection.set_provider_token(TOKEN)
    scene.feed(scene.peer.settings(limit=9))
    scene.connection.data_to_send()
    scene.tickets.append(scene.connection.submit(NOTIFICATION, 9, scene.now))
    scene.connection.data_to_send(max_bytes=0)
    assert scene.token_first_used_at() is None, "no octet may go"


def test_c4_settings_that_come_too_late() -> None:
    scene = Scene()
    scene.submit(2)
    scene.advance(19.9)
    assert scene.events == []
    scene.advance(0.1)
    assert normals(scene.events) == [
        ("unprocessed", 0, Cause.NO_SETTINGS),
        ("unprocessed", 1, Cause.NO_SETTINGS),
        ("closed", Cause.NO_SETTINGS, None),
    ]
    assert scene.goaways_sent == [4], "SETTINGS_TIMEOUT"
    assert scene.connection.poll_timeout() is None
    scene.check()


def test_c5_our_settings_never_acknowledged() -> None:
    scene = Scene(ConnectionConfig(request_timeout=60.0, stall_after=60.0))
    scene.drain()
    scene.feed(scene.peer.settings(limit=100))
    scene.advance(1.0)
    scene.submit()
    scene.advance(18.9)
    assert scene.state() is ConnectionState.AUTH_PENDING
    scene.advance(0.1)
    assert normals(scene.events) == [
        ("limit", 1),
        ("limit", 0),
        ("unknown", 0, Cause.NO_SETTINGS),
        ("closed", Cause.NO_SETTINGS, None),
    ]
    assert scene.goaways_sent == [4]


def test_c5_never_acknowledged_and_noticed_before_anything_is_sent() -> None:
    scene = Scene()
    scene.drain()
    scene.feed(scene.peer.settings(limit=100))
    # Nobody is harmed while nothing is in flight.
    scene.advance(30.0)
    scene.connection.handle_timeout(scene.now)
    assert scene.state() is ConnectionState.AUTH_PENDING
    scene.submit()
    assert normals(scene.events[2:]) == [
        ("unprocessed", 0, Cause.NO_SETTINGS),
        ("closed", Cause.NO_SETTINGS, None),
    ]
    assert scene.goaways_sent == [4]
    assert scene.peer.requests == {}


def test_c5_our_settings_acknowledged_in_the_last_moment() -> None:
    scene = Scene(ConnectionConfig(stall_after=30.0))
    scene.drain()
    scene.feed(scene.peer.settings(limit=100))
    scene.submit()
    scene.advance(19.9)
    scene.feed(scene.peer.settings_ack())
    scene.advance(1.0)
    assert scene.state() is ConnectionState.AUTH_PENDING
    scene.feed(scene.peer.accept(1))
    assert [type(outcome) for outcome in scene.outcomes] == [Accepted]


NOT_HTTP2 = [
    b"HTTP/1.1 400 Bad Request\r\n\r\n",
    b"<html><body>no</body></html>",
    b"SSH-2.0-OpenSSH_9.2\r\n",
    b"\x00" * 9,
]


@pytest.mark.parametrize("greeting", NOT_HTTP2)
def test_c4_a_server_of_something_else_has_processed_nothing(greeting: bytes) -> None:
    scene = Scene()
    scene.submit(2)
    scene.feed(greeting)
    assert [type(outcome) for outcome in scene.outcomes] == [Unprocessed, Unprocessed]
    closed = scene.closed
    assert isinstance(closed, ConnectionClosed)
    assert closed.cause is Cause.NOT_HTTP2
    assert closed.error is not None
    assert "no HTTP/2" in str(closed.error)
    assert scene.peer.requests == {}


def test_settings_that_are_wrong_are_http2_all_the_same() -> None:
    scene = Scene()
    scene.submit(1)
    scene.feed(b"\x00\x00\x06\x04" + bytes(5) + b"\x00\x02\x00\x00\x00\x01")
    assert isinstance(scene.closed, ConnectionClosed)
    assert scene.closed.cause is Cause.PROTOCOL_ERROR
    assert "ENABLE_PUSH" in str(scene.closed.error)


def test_settings_may_be_due_sooner_than_configured() -> None:
    scene = Scene()
    scene.connection = Connection(AUTHORITY, now=scene.now, settings_by=scene.now + 7.0)
    assert scene.connection.poll_timeout() == scene.now + 7.0
    scene.advance(6.9)
    assert scene.state() is ConnectionState.AWAITING_SETTINGS
    scene.advance(0.1)
    assert scene.state() is ConnectionState.CLOSED


def test_an_end_before_settings_has_processed_nothing() -> None:
    scene = Scene()
    scene.submit(2)
    scene.connection.receive_eof(scene.now)
    scene.drain()
    assert normals(scene.events) == [
        ("unprocessed", 0, Cause.CONNECTION_LOST),
        ("unprocessed", 1, Cause.CONNECTION_LOST),
        ("closed", Cause.CONNECTION_LOST, None),
    ]


@pytest.mark.parametrize(
    ("status", "fields", "expected"),
    [
        (200, [("apns-id", "AB"), ("apns-unique-id", "u")], Accepted(NOTIFICATION, 0, "AB", "u")),
        (200, [], Accepted(NOTIFICATION, 0)),
        (200, [("apns-id", "é")], Accepted(NOTIFICATION, 0, r"\xc3\xa9")),
        (200, [("apns-unique-id", "é")], Accepted(NOTIFICATION, 0, None, r"\xc3\xa9")),
        (204, [], Rejected(NOTIFICATION, 0, 204, None)),
        (503, [("retry-after", "17")], Rejected(NOTIFICATION, 0, 503, None, retry_after=17.0)),
        (
            503,
            [("retry-after", "Fri, 31 Dec 2027 23:59:59 GMT")],
            Rejected(NOTIFICATION, 0, 503, None),
        ),
        (503, [("retry-after", "-1")], Rejected(NOTIFICATION, 0, 503, None)),
        (503, [("retry-after", "9" * 400)], Rejected(NOTIFICATION, 0, 503, None)),
        (503, [("retry-after", "")], Rejected(NOTIFICATION, 0, 503, None)),
        (400, [("apns-id", "é")], Rejected(NOTIFICATION, 0, 400, None, apns_id=r"\xc3\xa9")),
    ],
)
def test_what_response_fields_say(
    status: int, fields: list[tuple[str, str]], expected: Accepted[int] | Rejected[int]
) -> None:
    scene = Scene()
    scene.greet()
    scene.submit()
    scene.feed(scene.peer.headers(1, status, *fields, ends=True))
    assert scene.outcomes == [expected]
    assert scene.connection.responses == 1


def test_what_a_rejection_says() -> None:
    scene = Scene()
    scene.greet()
    scene.submit()
    scene.feed(scene.peer.answer(1, 410, UNREGISTERED))
    assert scene.outcomes == [
        Rejected(NOTIFICATION, 0, 410, Reason.UNREGISTERED, "Unregistered", 1_700_000_000_000, None)
    ]
