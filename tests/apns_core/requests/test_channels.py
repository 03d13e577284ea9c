import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.errors import InvalidField
from apns_core.requests.channels import (
    Channel,
    ChannelList,
    ChannelRequest,
    CreateChannel,
    CreatedChannel,
    DeleteChannel,
    DeletedChannel,
    ListChannels,
    ReadChannel,
    StoragePolicy,
    Unreadable,
)
from apns_core.requests.request import Request
from apns_core.requests.route import PushType
from tests.apns_simulator.raw_client import TOKEN, RawClient, make_simulator

APP, CHANNEL = "com.example.app", "dHN0LXNyY2gtY2hubA=="
REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"


@dataclass
class Answered:
    """As much of an outcome as results are read from."""

    status: int = 200
    apns_request_id: str | None = REQUEST_ID
    channel_id: str | None = None
    body: bytes = b""


CREATE = CreateChannel(APP, StoragePolicy.MOST_RECENT_MESSAGE)
READ = ReadChannel(APP, CHANNEL)
DELETE = DeleteChannel(APP, CHANNEL)
LIST = ListChannels(APP)
ALL: tuple[ChannelRequest, ...] = (CREATE, READ, DELETE, LIST)

# Apple, "Sending channel management requests to APNs": request, method, path, has the channel, body
PAGE: list[tuple[ChannelRequest, bytes, bytes, bool, bytes]] = [
    (
        CREATE,
        b"POST",
        b"/1/apps/com.example.app/channels",
        False,
        b'{"message-storage-policy":1,"push-type":"LiveActivity"}',
    ),
    (READ, b"GET", b"/1/apps/com.example.app/channels", True, b""),
    (DELETE, b"DELETE", b"/1/apps/com.example.app/channels", True, b""),
    (LIST, b"GET", b"/1/apps/com.example.app/all-channels", False, b""),
]


@pytest.mark.parametrize(("asked", "method", "path", "has_channel", "body"), PAGE)
def test_is_what_apples_page_shows(
    asked: ChannelRequest,
    method: bytes,
    path: bytes,
    has_channel: bool,  # noqa: FBT001
    body: bytes,
) -> None:
    request: Request = asked
    assert (request.route.method, request.path, request.payload) == (method, path, body)
    assert request.route.fields == ()
    channel = ((b"apns-channel-id", CHANNEL.encode()),) if has_channel else ()
    assert request.extra_fields == channel
    assert request.expiration is None
    assert copy.copy(request) is copy.deepcopy(request) is request
    assert repr(request) == f"<{type(request).__name__} of com.example.app>"


@pytest.mark.parametrize("policy", [0, 1, *StoragePolicy])
def test_the_storage_policy_is_a_number(policy: int) -> None:
    body = json.loads(CreateChannel(APP, policy).payload)
    assert body == {"message-storage-policy": int(policy), "push-type": "LiveActivity"}


def test_all_of_one_method_share_a_route() -> None:
    assert ReadChannel(APP, CHANNEL).route is ListChannels(APP).route


def create(**changes: Any) -> CreateChannel:  # noqa: ANN401
    arguments: dict[str, Any] = {"bundle_id": APP, "storage_policy": 1, **changes}
    return CreateChannel(**arguments)


def read(**changes: Any) -> ReadChannel:  # noqa: ANN401
    arguments: dict[str, Any] = {"bundle_id": APP, "channel_id": CHANNEL, **changes}
    return ReadChannel(**arguments)


def delete(**changes: Any) -> DeleteChannel:  # noqa: ANN401
    arguments: dict[str, Any] = {"bundle_id": APP, "channel_id": CHANNEL, **changes}
    return DeleteChannel(**arguments)


def list_all(**changes: Any) -> ListChannels:  # noqa: ANN401
    arguments: dict[str, Any] = {"bundle_id": APP, **changes}
    return ListChannels(**arguments)


MAKERS: dict[str, Callable[..., ChannelRequest]] = {
    "create": create,
    "read": read,
    "delete": delete,
    "list": list_all,
}
CHECKS: list[tuple[tuple[str, ...], str, tuple[object, ...]]] = [
    (tuple(MAKERS), "bundle_id", ("", "com/example", "a.push-type.liveactivity", None, 1)),
    (tuple(MAKERS), "request_id", ("", "1234", REQUEST_ID.replace("-", ""), 1)),
    (("read", "delete"), "channel_id", ("", "#", "c" * 256, None, b"dHN0")),
    (("create",), "storage_policy", (2, -1, "1", True, 1.0, None)),
]
MATRIX = [
    (kind, field, value) for kinds, field, values in CHECKS for kind in kinds for value in values
]


@pytest.mark.parametrize(("kind", "field", "value"), MATRIX)
def test_refuses_by_the_name_of_the_field(kind: str, field: str, value: object) -> None:
    with pytest.raises(InvalidField) as caught:
        MAKERS[kind](**{field: value})
    assert caught.value.field == field


@pytest.mark.parametrize("kind", MAKERS)
def test_a_request_id_is_sent(kind: str) -> None:
    for given_id in (REQUEST_ID, REQUEST_ID.upper(), UUID(REQUEST_ID)):
        made = MAKERS[kind](request_id=given_id)
        assert made.extra_fields[-1] == (b"apns-request-id", REQUEST_ID.encode())
        assert made.request_id == REQUEST_ID


# ── results ──


def test_a_created_channel() -> None:
    for status in (201, 200):
        result = CREATE.result(Answered(status, channel_id=CHANNEL))
        assert result == CreatedChannel(CHANNEL, StoragePolicy.MOST_RECENT_MESSAGE, REQUEST_ID)


@pytest.mark.parametrize("channel_id", [None, "", "no base64"])
def test_a_created_channel_without_an_id(channel_id: str | None) -> None:
    result = CREATE.result(Answered(201, channel_id=channel_id))
    assert isinstance(result, Unreadable)
    assert "the channel exists" in result.problem


@pytest.mark.parametrize(
    ("body", "policy"),
    [
        ({"message-storage-policy": 0, "push-type": "LiveActivity"}, 0),
        ({"message-storage-policy": 1, "push-type": "liveactivity"}, 1),
        ({"message-storage-policy": "1", "push-type": "Liveactivity"}, 1),
        ({"messageStoragePolicy": 0, "pushType": "LiveActivity"}, 0),
        ({"message_storage_policy": 1}, 1),
        ({"message-storage-policy": 1, "push-type": "LiveActivity", "more": []}, 1),
    ],
)
def test_a_channel_as_it_was_created(body: dict[str, object], policy: int) -> None:
    result = READ.result(Answered(body=json.dumps(body).encode()))
    assert result == Channel(CHANNEL, StoragePolicy(policy), PushType.LIVEACTIVITY, REQUEST_ID)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b"[]", b"{", b"\xff", b"[" * 100_000, b"1" * 5_000),
        *(b'{"message-storage-policy":2}', b'{"message-storage-policy":true}'),
        *(b'{"message-storage-policy":[]}', b'{"message-storage-policy":1,"push-type":2}'),
        b'{"message-storage-policy":1,"push-type":"\\ud800"}',
    ],
)
def test_what_cannot_be_read_is_told(body: bytes) -> None:
    result = READ.result(Answered(body=body))
    assert isinstance(result, Unreadable)
    assert (result.status, result.body, result.request_id) == (200, body, REQUEST_ID)
    assert "body=" not in repr(result)


def test_a_deleted_channel() -> None:
    assert DELETE.result(Answered(204)) == DeletedChannel(CHANNEL, REQUEST_ID)
    assert DELETE.result(Answered(200, None)) == DeletedChannel(CHANNEL, None)


def test_a_list_of_channels() -> None:
    body = json.dumps({"channels": [CHANNEL, "b3RoZXI="]}).encode()
    assert LIST.result(Answered(body=body)) == ChannelList((CHANNEL, "b3RoZXI="), REQUEST_ID)
    assert LIST.result(Answered(body=b'{"channels":[]}')) == ChannelList((), REQUEST_ID)


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{}", b'{"channels":{}}', b'{"channels":[1]}', b'{"channels":["#"]}'),
        b'{"channels":["dHN0LXNyY2gtY2hubA==","dHN0L',
    ],
)
def test_from_a_list_that_is_none_nothing_is_concluded(body: bytes) -> None:
    assert isinstance(LIST.result(Answered(body=body)), Unreadable)


@given(
    st.integers(200, 299),
    st.none() | st.text(),
    st.none() | st.text(),
    st.binary()
    | st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(("channels", "push-type", "message-storage-policy", "x")), inner
            )
        ),
    ).map(lambda document: json.dumps(document).encode()),
)
def test_no_answer_raises(
    status: int, request_id: str | None, channel_id: str | None, body: bytes
) -> None:
    for request in ALL:
        request.result(Answered(status, request_id, channel_id, body))


# ── against the simulator ──


def ask(client: RawClient, request: ChannelRequest) -> Answered:
    """Send a request as it is; return its answer, which must be a success."""
    fields = (
        (b":method", request.route.method),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", request.path),
        (b"authorization", b"bearer " + TOKEN.encode()),
        *request.route.fields,
        *request.extra_fields,
    )
    text = [(name.decode(), value.decode()) for name, value in fields]
    answer = client.request(text, request.payload)
    assert answer.status is not None
    assert answer.status < 300, answer.reason
    assert answer.ended
    return Answered(
        answer.status,
        answer.fields["apns-request-id"],
        answer.fields.get("apns-channel-id"),
        answer.body,
    )


def make_client(**config: Any) -> RawClient:  # noqa: ANN401
    return RawClient(make_simulator(**config))


@pytest.mark.parametrize("policy", StoragePolicy)
def test_the_life_of_a_channel(policy: StoragePolicy) -> None:
    client = make_client()
    creation = CreateChannel(APP, policy, request_id=REQUEST_ID)
    created = creation.result(ask(client, creation))
    assert isinstance(created, CreatedChannel)
    assert created == CreatedChannel(created.channel_id, policy, REQUEST_ID)
    question = ReadChannel(APP, created.channel_id)
    found = question.result(ask(client, question))
    assert isinstance(found, Channel)
    assert found == Channel(created.channel_id, policy, PushType.LIVEACTIVITY, found.request_id)
    listed = LIST.result(ask(client, LIST))
    assert isinstance(listed, ChannelList)
    assert listed.channel_ids == (created.channel_id,)
    end = DeleteChannel(APP, created.channel_id)
    assert end.result(ask(client, end)).channel_id == created.channel_id
    emptied = LIST.result(ask(client, LIST))
    assert isinstance(emptied, ChannelList)
    assert emptied.channel_ids == ()
    assert client.simulator.ledger.violations == []


def test_the_longest_list_is_within_the_answer_that_is_kept() -> None:
    ids = tuple(f"{number:0>64}" for number in range(10_000))
    body = json.dumps({"channels": ids}, indent=1).encode()
    assert len(body) < LIST.answer_limit
    result = LIST.result(Answered(body=body))
    assert isinstance(result, ChannelList)
    assert result.channel_ids == ids
