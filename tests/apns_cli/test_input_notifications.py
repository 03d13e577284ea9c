from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from apns_cli import input_notifications
from apns_cli.input_notifications import Defaults, NotificationMaker
from apns_core import InvalidField, PushType

TOKEN = "ab" * 32
PAYLOAD = b'{"aps":{"alert":"Hello"}}'
DEFAULTS = Defaults(app="com.example.app", payload=PAYLOAD)


def test_what_a_line_leaves_out_the_defaults_say_once_for_all() -> None:
    maker = NotificationMaker(DEFAULTS)
    one, another = (maker.make({"device_token": token}) for token in ("ab", "cd"))
    assert (one.device_token, another.device_token) == ("ab", "cd")
    assert one.route is another.route
    assert one.payload is another.payload is PAYLOAD
    assert one.route.topic == "com.example.app"


@pytest.mark.parametrize(
    ("priority", "expiration", "payload"),
    [
        (5, 4_102_444_800, {"aps": {"badge": 1}}),
        ("5", "4102444800", '{"aps":{"badge":1}}'),
        ("5", "2100-01-01T00:00:00Z", '{"aps":{"badge":1}}'),
    ],
)
def test_a_line_may_say_all(priority: object, expiration: object, payload: object) -> None:
    notification = NotificationMaker(replace(DEFAULTS, collapse_id="other", expiration=0)).make(
        {
            "device_token": TOKEN,
            "payload": payload,
            "topic": "com.example.other.voip",
            "push_type": "voip",
            "priority": priority,
            "expiration": expiration,
            "collapse_id": "score",
            "apns_id": "00000000-0000-0000-0000-00000000000A",
        }
    )
    assert notification.payload == b'{"aps":{"badge":1}}'
    assert notification.route.fields == (
        (b"apns-topic", b"com.example.other.voip"),
        (b"apns-push-type", b"voip"),
        (b"apns-priority", b"5"),
    )
    assert notification.extra_fields == (
        (b"apns-id", b"00000000-0000-0000-0000-00000000000a"),
        (b"apns-expiration", b"4102444800"),
        (b"apns-collapse-id", b"score"),
    )


def test_the_defaults_hold_for_whole_notifications_too() -> None:
    until = datetime(2100, 1, 1, tzinfo=UTC)
    defaults = replace(DEFAULTS, priority=5, expiration=until, collapse_id="score")
    notification = NotificationMaker(defaults).make({"device_token": TOKEN})
    assert notification.route.priority == 5
    assert notification.extra_fields == (
        (b"apns-expiration", b"4102444800"),
        (b"apns-collapse-id", b"score"),
    )
    defaults = replace(DEFAULTS, expiration=timedelta(hours=1))
    assert NotificationMaker(defaults).make({"device_token": TOKEN}).lifetime == 3_600


def test_the_topic_of_an_app_follows_the_push_type_of_the_line() -> None:
    maker = NotificationMaker(DEFAULTS)
    notification = maker.make({"device_token": TOKEN, "push_type": "voip"})
    assert notification.route.topic == "com.example.app.voip"


def test_one_route_of_each_kind_and_not_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(input_notifications, "ROUTES_KEPT", 2)
    maker = NotificationMaker(DEFAULTS)

    def route(topic: str) -> object:
        return maker.make({"device_token": TOKEN, "topic": topic}).route

    first = route("a.b")
    assert route("a.b") is first
    route("a.c")
    route("a.d")
    assert route("a.b") is not first


@pytest.mark.parametrize(
    ("members", "complaint"),
    [
        ({}, "device_token: is missing, or no text"),
        ({"device_token": 12}, "device_token: is missing, or no text"),
        ({"device_token": "secret"}, "device_token: not 2 to 200"),
        ({"device_token": TOKEN, "payload": "{secret"}, "payload: is no JSON"),
        ({"device_token": TOKEN, "payload": "[1]"}, "payload: is no JSON object"),
        ({"device_token": TOKEN, "payload": '{"a":-Infinity}'}, "payload: is no JSON"),
        ({"device_token": TOKEN, "payload": '{"a":"\ud800"}'}, "payload: is no JSON"),
        ({"device_token": TOKEN, "payload": [1]}, "payload: is no JSON object"),
        ({"device_token": TOKEN, "payload": {"a": float("nan")}}, "payload: no JSON can be made"),
        ({"device_token": TOKEN, "payload": {"a": "x" * 5_000}}, "payload: 5008 octets"),
        ({"device_token": TOKEN, "topic": ["secret"]}, "topic: is no text"),
        ({"device_token": TOKEN, "push_type": "secret"}, "push_type: not one of"),
        ({"device_token": TOKEN, "priority": "high"}, "priority: is no whole number"),
        ({"device_token": TOKEN, "priority": True}, "priority: is no whole number"),
        ({"device_token": TOKEN, "priority": "7"}, "priority: not 10, 5 or 1"),
        ({"device_token": TOKEN, "expiration": "soon"}, "expiration: is neither UNIX seconds"),
        ({"device_token": TOKEN, "expiration": "2100-01-01"}, "expiration: a datetime without"),
        ({"device_token": TOKEN, "expiration": 1.5}, "expiration: is no whole number"),
        ({"device_token": TOKEN, "expiration": "9" * 21}, "expiration: is neither UNIX seconds"),
        ({"device_token": TOKEN, "collapse_id": "a b"}, "collapse_id: not made of visible"),
        ({"device_token": TOKEN, "apns_id": 7}, "apns_id: is no text"),
    ],
)
def test_a_line_that_is_wrong_is_told_by_its_field_and_not_quoted(
    members: dict[str, object], complaint: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        NotificationMaker(DEFAULTS).make(members)
    assert str(caught.value).startswith(complaint)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("defaults", "field"),
    [(Defaults(payload=PAYLOAD), "topic"), (Defaults(topic="com.example.app"), "payload")],
)
def test_what_neither_line_nor_defaults_say(defaults: Defaults, field: str) -> None:
    with pytest.raises(InvalidField, match=f"^{field}: is missing"):
        NotificationMaker(defaults).make({"device_token": TOKEN})


def test_a_certificate_stands_for_its_topic() -> None:
    maker = NotificationMaker(Defaults(payload=PAYLOAD, topic_is_certificates=True))
    assert maker.make({"device_token": TOKEN}).route.topic is None
    assert maker.make({"device_token": TOKEN, "priority": 5}).route.topic is None
    assert maker.make({"device_token": TOKEN, "topic": "a.b"}).route.topic == "a.b"


def test_defaults_that_no_line_could_mend() -> None:
    with pytest.raises(InvalidField, match="topic"):
        NotificationMaker(Defaults(topic="com.example.app", push_type=PushType.VOIP))


def test_a_payload_is_not_in_the_repr() -> None:
    assert "Hello" not in repr(DEFAULTS)
