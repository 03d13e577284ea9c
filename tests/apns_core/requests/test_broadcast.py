import copy
import pickle
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from apns_core.errors import InvalidField
from apns_core.field_blocks import FIELD_INDEXING, FieldBlocks
from apns_core.http2.hpack_encoder import HpackEncoder
from apns_core.outcomes import Accepted
from apns_core.requests.broadcast import BROADCAST_PAYLOAD_LIMIT, Broadcast, BroadcastRoute
from apns_core.requests.channels import StoragePolicy
from apns_core.requests.request import Request
from apns_core.requests.route import Priority, Route
from tests.apns_simulator.raw_client import TOKEN, RawClient, make_simulator

APP, CHANNEL = "com.example.app", "dHN0LXNyY2gtY2hubA=="
REQUEST_ID = "123e4567-e89b-12d3-a456-426614174000"
ROUTE = BroadcastRoute(APP, CHANNEL)
NOT_STORING = BroadcastRoute(APP, CHANNEL, storage_policy=StoragePolicy.NO_STORAGE)
STORING = BroadcastRoute(APP, CHANNEL, storage_policy=StoragePolicy.MOST_RECENT_MESSAGE)
UPDATE = b'{"aps":{"event":"update","timestamp":1,"content-state":{}}}'


def test_is_what_apples_page_shows() -> None:
    broadcast = Broadcast(ROUTE, UPDATE, expiration=0, request_id=REQUEST_ID)
    request: Request = broadcast
    assert request.route.method == b"POST"
    assert request.path == b"/4/broadcasts/apps/com.example.app"
    assert request.route.fields == (
        (b"apns-channel-id", CHANNEL.encode()),
        (b"apns-push-type", b"liveactivity"),
        (b"apns-priority", b"10"),
    )
    assert request.extra_fields == (
        (b"apns-expiration", b"0"),
        (b"apns-request-id", REQUEST_ID.encode()),
    )
    assert request.payload is UPDATE
    assert (request.expiration, broadcast.request_id) == (0, REQUEST_ID)


@pytest.mark.parametrize("priority", [10, 5, 1, *Priority])
def test_priorities(priority: int) -> None:
    assert BroadcastRoute(APP, CHANNEL, priority=priority).fields[2][1] == b"%d" % priority


@pytest.mark.parametrize(
    ("route", "expiration", "good"),
    [
        (NOT_STORING, 0, True),
        (NOT_STORING, 1_900_000_000, False),
        (NOT_STORING, datetime(2030, 1, 1, tzinfo=UTC), False),
        (NOT_STORING, timedelta(hours=1), False),
        (STORING, 0, True),
        (STORING, 1_900_000_000, True),
        (STORING, datetime(2030, 1, 1, tzinfo=UTC), True),
        # Whoever does not say the policy is believed.
        (ROUTE, 0, True),
        (ROUTE, 1_900_000_000, True),
    ],
)
def test_the_storage_policy_rules_the_expiration(
    route: BroadcastRoute,
    expiration: int | datetime,
    good: bool,  # noqa: FBT001
) -> None:
    if good:
        value = Broadcast(route, UPDATE, expiration=expiration).extra_fields[0][1]
        assert value in (b"0", b"1900000000", b"1893456000")
    else:
        with pytest.raises(InvalidField, match=r"^expiration: .*without storage"):
            Broadcast(route, UPDATE, expiration=expiration)


@pytest.mark.parametrize("route", [ROUTE, STORING])
def test_a_duration_counts_from_the_submission(route: BroadcastRoute) -> None:
    made = Broadcast(route, UPDATE, expiration=timedelta(hours=8), request_id=REQUEST_ID)
    assert (made.expiration, made.lifetime) == (None, 28_800)
    for unix_time in (1_800_000_000.0, 1_799_999_999.25):
        sent = made.submitted_at(unix_time)
        assert (sent.expiration, sent.lifetime) == (1_800_028_800, None)
        assert sent.extra_fields == (
            (b"apns-expiration", b"1800028800"),
            (b"apns-request-id", REQUEST_ID.encode()),
        )
        assert (sent.route, sent.payload, sent.request_id) == (route, UPDATE, REQUEST_ID)
        assert sent.submitted_at(unix_time) is sent
    assert (made.expiration, made.lifetime) == (None, 28_800)


@pytest.mark.parametrize("duration", [timedelta(0), timedelta(seconds=-1), timedelta.max])
def test_a_duration_of_nothing_is_refused(duration: timedelta) -> None:
    with pytest.raises(InvalidField, match=r"^expiration: not a duration"):
        Broadcast(ROUTE, UPDATE, expiration=duration)


def test_takes_a_mapping() -> None:
    document = {"aps": {"event": "end", "timestamp": 1}}
    assert Broadcast(ROUTE, document, expiration=0).payload == (
        b'{"aps":{"event":"end","timestamp":1}}'
    )


def test_payload_limit() -> None:
    assert BROADCAST_PAYLOAD_LIMIT == 5_120
    assert len(Broadcast(ROUTE, b"x" * 5_120, expiration=0).payload) == 5_120
    with pytest.raises(InvalidField, match="5121 octets, 1 more than the 5120"):
        Broadcast(ROUTE, b"x" * 5_121, expiration=0)


def broadcast(**changes: Any) -> Broadcast:  # noqa: ANN401
    arguments: dict[str, Any] = {
        "route": ROUTE,
        "payload": UPDATE,
        "expiration": 0,
        "request_id": None,
        **changes,
    }
    return Broadcast(**arguments)


def route(**changes: Any) -> BroadcastRoute:  # noqa: ANN401
    arguments: dict[str, Any] = {"bundle_id": APP, "channel_id": CHANNEL, **changes}
    return BroadcastRoute(**arguments)


# what is made, argument, value, and what a server that got it would say
REFUSED: list[tuple[Callable[..., object], str, object, str | None]] = [
    (route, "bundle_id", "com.example.app.push-type.liveactivity", "TopicDisallowed"),
    (route, "bundle_id", "com/example", "BadPath"),
    (route, "bundle_id", "", "BadPath"),
    (route, "channel_id", "#", "BadChannelId"),
    (route, "channel_id", "", "BadChannelId"),
    (route, "channel_id", "c" * 256, "BadChannelId"),
    (route, "priority", 7, "BadPriority"),
    (route, "priority", True, None),
    (route, "storage_policy", 2, None),
    (route, "storage_policy", True, None),
    (route, "storage_policy", "1", None),
    (broadcast, "route", None, None),
    (broadcast, "route", Route(APP), None),
    (broadcast, "payload", b"", "PayloadEmpty"),
    (broadcast, "payload", b"x" * 5_121, "PayloadTooLarge"),
    (broadcast, "payload", "{}", None),
    (broadcast, "payload", {"a": object()}, None),
    (broadcast, "payload", {"aps": {"event": "start"}}, None),
    (broadcast, "expiration", None, "BadExpirationDate"),
    (broadcast, "expiration", -1, "BadExpirationDate"),
    (broadcast, "expiration", 1.5, "BadExpirationDate"),
    (broadcast, "expiration", datetime(2030, 1, 1), None),  # noqa: DTZ001
    (broadcast, "request_id", "1234", "BadMessageId"),
    (broadcast, "request_id", "{" + REQUEST_ID + "}", "BadMessageId"),
]


@pytest.mark.parametrize(("make", "field", "value", "reason"), REFUSED)
def test_refuses_by_the_name_of_the_field(
    make: Callable[..., object], field: str, value: object, reason: str | None
) -> None:
    with pytest.raises(InvalidField) as caught:
        make(**{field: value})
    assert caught.value.field == field
    if reason is not None:
        assert reason == _servers_reason(field, value)


def _servers_reason(field: str, value: object) -> str | None:
    """Send by hand what was refused here: the server names it too."""
    made = dict(_fields(broadcast()))
    body = UPDATE
    if field == "bundle_id":
        made[":path"] = f"/4/broadcasts/apps/{value}"
    elif field == "payload" and isinstance(value, bytes):
        body = value
    elif value is None:
        del made[f"apns-{field}"]
    else:
        made[f"apns-{field.replace('_', '-')}"] = str(value)
    return _client().request(list(made.items()), body).reason


def _client() -> RawClient:
    return RawClient(make_simulator(channels={APP: {CHANNEL: 1}}))


def _fields(request: Request) -> list[tuple[str, str]]:
    fields = (
        (b":method", request.route.method),
        (b":scheme", b"https"),
        (b":authority", b"localhost"),
        (b":path", request.path),
        (b"authorization", b"bearer " + TOKEN.encode()),
        *request.route.fields,
        *request.extra_fields,
    )
    return [(name.decode(), value.decode()) for name, value in fields]


def test_the_simulator_takes_it() -> None:
    client = _client()
    made = Broadcast(STORING, UPDATE, expiration=1_900_000_000, request_id=UUID(REQUEST_ID))
    answer = client.request(_fields(made), made.payload)
    assert answer.status == 200
    assert answer.fields["apns-request-id"] == REQUEST_ID
    assert client.simulator.ledger.accepted_by_channel() == {CHANNEL: 1}
    assert client.simulator.ledger.violations == []


def test_in_steady_state_the_channel_is_one_octet() -> None:
    encoder = HpackEncoder(FIELD_INDEXING)
    blocks = FieldBlocks(encoder, b"api.push.apple.com")
    blocks.set_authorization(b"bearer " + TOKEN.encode())
    sizes = [len(blocks.encode(broadcast())) for _ in range(5)]
    assert sizes[1:] == sizes[1:2] * 4
    # Method, scheme, authority, authorization, channel, push type and priority take one each; path
    # and expiration are literals with indexed names.
    path = len("/4/broadcasts/apps/com.example.app")
    assert sizes[-1] == 7 + (1 + 1 + path) + (2 + 1 + 1)
    assert (b"apns-channel-id", CHANNEL.encode()) in encoder.entries


def test_reprs_and_copies() -> None:
    made = broadcast(payload={"aps": {"secret": 1}})
    assert repr(made) == (
        "<Broadcast BroadcastRoute('com.example.app', 'dHN0LXNyY2gtY2hubA==', priority=10) "
        "20 octets>"
    )
    assert copy.copy(made) is copy.deepcopy(made) is made


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_broadcast_was_pickled_with_its_payload(protocol: int) -> None:
    made = broadcast(payload={"aps": {"secret": 1}})
    for thing in (made, Accepted(made, None)):
        with pytest.raises(TypeError, match="cannot be pickled"):
            pickle.dumps(thing, protocol)
