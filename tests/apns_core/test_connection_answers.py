"""What an answer says beyond that of a device push reaches the caller, from the octets on."""

import json
from datetime import UTC, datetime

import pytest

from apns_core import Accepted, Broadcast, BroadcastRoute, Outcome, Reason, Rejected
from apns_core.connection import Connection
from apns_core.http2.limits import MAX_BODY_SIZE
from apns_core.requests.channels import (
    Channel,
    ChannelRequest,
    CreateChannel,
    CreatedChannel,
    DeleteChannel,
    DeletedChannel,
    ListChannels,
    ReadChannel,
    StoragePolicy,
)
from apns_core.requests.request import Request
from tests.apns_core.http2 import wire
from tests.apns_core.peer import AUTHORITY, NOTIFICATION, NOW, Scene
from tests.cpu import Cpu

APP, CHANNEL = "com.example.app", "dHN0LXNyY2gtY2hubA=="
REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"
UNIQUE_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
BROADCAST = Broadcast(BroadcastRoute(APP, CHANNEL), b'{"aps":{}}', expiration=0)
STATED = b'{"message-storage-policy":1,"push-type":"LiveActivity"}'

# request, status, further field, body, what it comes to
ANSWERS: list[tuple[ChannelRequest, int, tuple[str, str], bytes, object]] = [
    (
        CreateChannel(APP, StoragePolicy.MOST_RECENT_MESSAGE),
        201,
        ("apns-channel-id", CHANNEL),
        b"",
        CreatedChannel(CHANNEL, StoragePolicy.MOST_RECENT_MESSAGE, REQUEST_ID),
    ),
    (
        ReadChannel(APP, CHANNEL),
        200,
        ("content-type", "application/json"),
        STATED,
        Channel(CHANNEL, StoragePolicy.MOST_RECENT_MESSAGE, "liveactivity", REQUEST_ID),
    ),
    (
        DeleteChannel(APP, CHANNEL),
        204,
        ("date", "today"),
        b"",
        DeletedChannel(CHANNEL, REQUEST_ID),
    ),
]


def answer(
    request: Request, status: int, *fields: tuple[str, str], body: bytes = b""
) -> Outcome[int]:
    """Return what comes of a request that is answered so, the body in frames of 10,000 octets."""
    scene = Scene()
    scene.open()
    (stream_id,) = scene.submit(notification=request)
    octets = scene.peer.headers(stream_id, status, *fields, ends=not body)
    for start in range(0, len(body), 10_000):
        part = body[start : start + 10_000]
        octets += scene.peer.data(stream_id, part, ends=start + 10_000 >= len(body))
    scene.feed(octets)
    return scene.outcomes[-1]


@pytest.mark.parametrize(
    ("channel_request", "status", "field", "body", "result"),
    ANSWERS,
    ids=[type(row[0]).__name__ for row in ANSWERS],
)
def test_an_answer_is_carried_to_its_request(
    channel_request: ChannelRequest,
    status: int,
    field: tuple[str, str],
    body: bytes,
    result: object,
) -> None:
    request_id = ("apns-request-id", REQUEST_ID)
    accepted = answer(channel_request, status, request_id, field, body=body)
    assert type(accepted) is Accepted
    assert accepted.status == status
    assert accepted.body == body
    assert channel_request.result(accepted) == result


def test_a_list_longer_than_any_reason_is_whole() -> None:
    body = b'{"channels":["' + b'","'.join([CHANNEL.encode()] * 2_000) + b'"]}'
    assert len(body) > 2 * MAX_BODY_SIZE
    accepted = answer(ListChannels(APP), 200, body=body)
    assert type(accepted) is Accepted
    assert accepted.body == body


def test_created_is_no_answer_to_a_device_push() -> None:
    assert type(answer(NOTIFICATION, 201)) is Rejected


def test_a_device_push_has_the_plain_answer() -> None:
    accepted = answer(NOTIFICATION, 200, ("apns-id", "id"))
    assert type(accepted) is Accepted
    assert (accepted.status, accepted.body) == (200, b"")
    assert (accepted.apns_request_id, accepted.channel_id) == (None, None)


def test_a_rejection_tells_its_request_id() -> None:
    body = b'{"reason":"BadChannelId"}'
    rejected = answer(ReadChannel(APP, CHANNEL), 400, ("apns-request-id", REQUEST_ID), body=body)
    assert type(rejected) is Rejected
    assert rejected.reason is Reason.BAD_CHANNEL_ID
    assert rejected.apns_request_id == REQUEST_ID


def test_an_accepted_broadcast_tells_both_of_its_ids() -> None:
    fields = ("apns-request-id", REQUEST_ID), ("apns-unique-id", UNIQUE_ID)
    accepted = answer(BROADCAST, 200, *fields)
    assert type(accepted) is Accepted
    assert (accepted.apns_request_id, accepted.apns_unique_id) == (REQUEST_ID, UNIQUE_ID)
    assert (accepted.status, accepted.apns_id, accepted.channel_id) == (200, None, None)


@pytest.mark.parametrize("request_", [NOTIFICATION, BROADCAST, CreateChannel(APP, 0)])
@pytest.mark.parametrize("text", ["NewIn2031", "With space", "Größe", '\\"', "x" * 128])
def test_a_rejection_tells_all_that_it_was_given(request_: Request, text: str) -> None:
    fields = (
        ("apns-id", "id"),
        ("apns-unique-id", UNIQUE_ID),
        ("apns-request-id", REQUEST_ID),
        ("retry-after", "17"),
    )
    # Apple may add reasons at any time: one that is not known comes back as it was written.
    body = json.dumps({"reason": text, "timestamp": 1_700_000_000_000}).encode()
    rejected = answer(request_, 418, *fields, body=body)
    assert type(rejected) is Rejected
    assert (rejected.status, rejected.reason, rejected.reason_text) == (418, None, text)
    assert (rejected.apns_id, rejected.apns_unique_id) == ("id", UNIQUE_ID)
    assert (rejected.apns_request_id, rejected.retry_after) == (REQUEST_ID, 17.0)
    assert rejected.timestamp == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)


def test_a_rejection_without_fields_tells_none() -> None:
    rejected = answer(BROADCAST, 503)
    assert type(rejected) is Rejected
    assert (rejected.apns_id, rejected.apns_unique_id, rejected.apns_request_id) == (None,) * 3
    assert (rejected.reason, rejected.reason_text, rejected.timestamp) == (None,) * 3


def test_s20_a_body_octet_by_octet_costs_what_its_octets_cost() -> None:
    """A list of channels may be long, and its server may send it in as many frames as it likes."""

    def seconds(octets: int) -> float:
        connection: Connection[str] = Connection(AUTHORITY, now=NOW, token_authentication=False)
        connection.receive_data(wire.settings() + wire.SETTINGS_ACK, NOW)
        connection.submit(ListChannels(APP), "", NOW)
        connection.data_to_send()
        connection.receive_data(wire.headers(1, wire.response_block(200)), NOW)
        chunk = wire.data(1, b"x") * 1_000
        with Cpu() as cpu:
            for _ in range(octets // 1_000):
                connection.receive_data(chunk, NOW)
                connection.data_to_send()
        connection.receive_data(wire.data(1, ends=True), NOW)
        (accepted,) = (each for each in connection.events() if isinstance(each, Accepted))
        assert len(accepted.body) == octets
        return cpu.seconds

    seconds(10_000)
    # To copy all that is there with each frame would make it thirty times as much and more.
    assert seconds(500_000) < 15 * max(seconds(100_000), 0.01)
