import json
from typing import Any

import pytest

from apns_simulator import Rejection
from apns_simulator.reasons import REASON_STATUS, TOPIC_SUFFIXES
from tests.apns_simulator.raw_client import (
    DEVICE,
    UNIX_TIME,
    Fields,
    RawClient,
    fields,
    make_simulator,
)

UUID = "123e4567-e89b-12d3-a456-426614174000"

REFUSED: dict[str, tuple[Fields, bytes, str]] = {
    "repeated field": (
        [*fields(), ("apns-priority", "5"), ("apns-priority", "5")],
        b"{}",
        "DuplicateHeaders",
    ),
    "method": (fields(method="PUT"), b"{}", "MethodNotAllowed"),
    "path": (fields(path="/3/devices/00"), b"{}", "BadPath"),
    "root": (fields(path="/"), b"{}", "BadPath"),
    "no device token": (fields(path="/3/device/"), b"{}", "MissingDeviceToken"),
    "no device token, no slash": (fields(path="/3/device"), b"{}", "MissingDeviceToken"),
    "no provider token": (fields(token=None), b"{}", "MissingProviderToken"),
    "apns-id": (fields(apns_id="1234"), b"{}", "BadMessageId"),
    "apns-id in braces": (fields(apns_id="{" + UUID + "}"), b"{}", "BadMessageId"),
    "push type": (fields(apns_push_type="Alert"), b"{}", "InvalidPushType"),
    "no topic": (fields(apns_topic=None), b"{}", "MissingTopic"),
    "empty topic": (fields(apns_topic=""), b"{}", "BadTopic"),
    "topic of other characters": (fields(apns_topic="com/example"), b"{}", "BadTopic"),
    "priority": (fields(apns_priority="7"), b"{}", "BadPriority"),
    "background at 10": (
        fields(apns_push_type="background", apns_priority="10"),
        b"{}",
        "BadPriority",
    ),
    "background by default": (fields(apns_push_type="background"), b"{}", "BadPriority"),
    "expiration": (fields(apns_expiration="soon"), b"{}", "BadExpirationDate"),
    "negative expiration": (fields(apns_expiration="-1"), b"{}", "BadExpirationDate"),
    "expiration in ms": (fields(apns_expiration="1800000000000"), b"{}", "BadExpirationDate"),
    "collapse id": (fields(apns_collapse_id="c" * 65), b"{}", "BadCollapseId"),
    "empty collapse id": (fields(apns_collapse_id=""), b"{}", "BadCollapseId"),
    "no payload": (fields(), b"", "PayloadEmpty"),
    "large payload": (fields(), b"x" * 4097, "PayloadTooLarge"),
    "large voip payload": (
        fields(apns_push_type="voip", apns_topic="com.example.voip"),
        b"x" * 5121,
        "PayloadTooLarge",
    ),
    "device token not hexadecimal": (fields("xy" * 32), b"{}", "BadDeviceToken"),
    "device token of odd length": (fields("abc"), b"{}", "BadDeviceToken"),
    "device token with a query": (fields("ab?x"), b"{}", "BadDeviceToken"),
}

ACCEPTED: dict[str, tuple[Fields, bytes]] = {
    "short device token": (fields("00"), b"{}"),
    "long device token": (fields("AB" * 100), b"{}"),
    "full payload": (fields(), b"x" * 4096),
    "full voip payload": (
        fields(apns_push_type="voip", apns_topic="com.example.voip"),
        b"x" * 5120,
    ),
    "background at 5": (fields(apns_push_type="background", apns_priority="5"), b"{}"),
    "no push type": (fields(apns_push_type=None, apns_topic="com.example.voip"), b"{}"),
    "everything": (
        fields(
            apns_id=UUID,
            apns_priority="1",
            apns_expiration="0",
            apns_collapse_id="c" * 64,
            content_type="application/json",
        ),
        b"{}",
    ),
    "host in place of authority": ([*fields(authority=None), ("host", "localhost")], b"{}"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    request, body, reason = REFUSED[case]
    client = RawClient(make_simulator())
    answer = client.request(request, body)
    assert (answer.reason, answer.status) == (reason, REASON_STATUS[reason])
    assert answer.ended
    assert client.simulator.ledger.by_reason == {reason: 1}
    assert client.simulator.ledger.violations == []


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepts(case: str) -> None:
    request, body = ACCEPTED[case]
    client = RawClient(make_simulator())
    answer = client.request(request, body)
    assert (answer.status, answer.body) == (200, b"")
    assert client.simulator.ledger.accepted_count == 1


EARLIEST_FIRST: list[tuple[str, dict[str, Any], bytes]] = [
    ("MethodNotAllowed", {"method": "GET"}, b"{}"),
    ("BadPath", {"path": "/4"}, b"{}"),
    ("MissingProviderToken", {"authorization": None}, b"{}"),
    ("BadMessageId", {"apns_id": "1"}, b"{}"),
    ("InvalidPushType", {"apns_push_type": "x"}, b"{}"),
    ("MissingTopic", {"apns_topic": None}, b"{}"),
    ("BadPriority", {"apns_priority": "0"}, b"{}"),
    ("BadExpirationDate", {"apns_expiration": "x"}, b"{}"),
    ("BadCollapseId", {"apns_collapse_id": ""}, b"{}"),
    ("PayloadEmpty", {}, b""),
]


@pytest.mark.parametrize("first", range(len(EARLIEST_FIRST)))
def test_names_the_earliest_of_several_faults(first: int) -> None:
    changes: dict[str, Any] = {}
    for _, change, _ in EARLIEST_FIRST[first:]:
        changes |= change
    answer = RawClient(make_simulator()).request(fields(**changes), b"")
    assert answer.reason == EARLIEST_FIRST[first][0]


@pytest.mark.parametrize("push_type", TOPIC_SUFFIXES)
def test_push_types_want_their_topic_suffix(push_type: bytes) -> None:
    name, suffix = push_type.decode(), TOPIC_SUFFIXES[push_type].decode()
    client = RawClient(make_simulator(topics=frozenset({"com.example"})))
    good = fields(apns_push_type=name, apns_topic="com.example" + suffix, apns_priority="5")
    assert client.request(good).status == 200
    other = fields(apns_push_type=name, apns_topic="com.other" + suffix, apns_priority="5")
    assert client.request(other).reason == "TopicDisallowed"
    bare = fields(apns_push_type=name, apns_topic="com.example", apns_priority="5")
    assert client.request(bare).reason == ("BadTopic" if suffix else None)


def test_default_topic_stands_in() -> None:
    client = RawClient(make_simulator(default_topic="com.example.app"))
    assert client.request(fields(apns_topic=None)).status == 200


@pytest.mark.parametrize("apns_id", [UUID, UUID.upper()])
def test_echoes_the_apns_id(apns_id: str) -> None:
    client = RawClient(make_simulator())
    assert client.request(fields(apns_id=apns_id)).fields["apns-id"] == apns_id


def test_makes_an_apns_id_where_none_is_good() -> None:
    client = RawClient(make_simulator())
    made = [
        client.request(request).fields["apns-id"]
        for request in (fields(), fields(), fields(apns_id="no"))
    ]
    assert len(set(made)) == 3
    assert [entry.apns_id for entry in client.simulator.ledger.entries] == made


@pytest.mark.parametrize("environment", ["development", "production"])
def test_only_development_gives_a_unique_id(environment: str) -> None:
    client = RawClient(make_simulator(environment=environment))
    given = "apns-unique-id" in client.request().fields
    assert given == (environment == "development")


def test_the_longest_prefix_decides_about_a_device() -> None:
    client = RawClient(
        make_simulator(
            rejections={
                "de": Rejection.of("BadDeviceToken"),
                "dead": Rejection.of("Unregistered", timestamp=1_700_000_000_123),
            }
        )
    )
    assert client.request(fields("deed")).reason == "BadDeviceToken"
    dead = client.request(fields("DEAD"))
    assert dead.status == 410
    assert json.loads(dead.body) == {"reason": "Unregistered", "timestamp": 1_700_000_000_123}
    assert client.request(fields("ab")).status == 200


def test_a_410_without_a_timestamp_takes_that_of_the_start() -> None:
    client = RawClient(make_simulator(rejections={"ab": Rejection.of("ExpiredToken")}))
    assert json.loads(client.request().body)["timestamp"] == UNIX_TIME * 1000


def test_devices_can_die_and_come_back() -> None:
    client = RawClient(make_simulator())
    client.simulator.reject("AB", Rejection.of("Unregistered"))
    assert client.request().reason == "Unregistered"
    client.simulator.reject("ab", None)
    assert client.request().status == 200


def test_no_authentication_looks_at_no_token() -> None:
    client = RawClient(make_simulator(authentication="none"))
    assert client.request(fields(token=None)).status == 200
    assert client.request(fields(token="nonsense")).status == 200


def test_a_request_without_a_body_that_ends_with_data_is_empty() -> None:
    client = RawClient(make_simulator())
    stream_id, headers, _ = client.request_frames(fields(DEVICE))
    client.send_bytes(headers + b"\x00\x00\x00\x00\x01" + stream_id.to_bytes(4))
    assert client.answer(stream_id).reason == "PayloadEmpty"
