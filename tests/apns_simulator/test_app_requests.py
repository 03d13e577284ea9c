"""Broadcasts and the management of channels, as a client of bare fields meets them."""

import json
from typing import Any

import pytest

from apns_simulator import Temper
from apns_simulator.reasons import REASON_STATUS, TOPIC_SUFFIXES
from tests.apns_simulator.raw_client import KEY, TOKEN, UNIX_TIME, Fields, RawClient, make_simulator

APP = "com.example.app"
UUID = "123e4567-e89b-12d3-a456-426614174000"
STORING, NOT_STORING = "c3RvcmluZw==", "bm90IHN0b3Jpbmc="
POLICIES = {STORING: 1, NOT_STORING: 0}
UPDATE = b'{"aps":{"event":"update","timestamp":1,"content-state":{}}}'
CREATE = b'{"message-storage-policy":1,"push-type":"LiveActivity"}'

KINDS: dict[str, tuple[dict[str, str], bytes]] = {
    "broadcast push": (
        {
            ":method": "POST",
            ":path": f"/4/broadcasts/apps/{APP}",
            "apns-channel-id": STORING,
            "apns-push-type": "liveactivity",
            "apns-priority": "10",
            "apns-expiration": "0",
        },
        UPDATE,
    ),
    "create channel": ({":method": "POST", ":path": f"/1/apps/{APP}/channels"}, CREATE),
    "read channel": (
        {":method": "GET", ":path": f"/1/apps/{APP}/channels", "apns-channel-id": STORING},
        b"",
    ),
    "delete channel": (
        {":method": "DELETE", ":path": f"/1/apps/{APP}/channels", "apns-channel-id": STORING},
        b"",
    ),
    "list channels": ({":method": "GET", ":path": f"/1/apps/{APP}/all-channels"}, b""),
}
STATUS = {
    "broadcast push": 200,
    "create channel": 201,
    "read channel": 200,
    "delete channel": 204,
    "list channels": 200,
}
ALL = tuple(KINDS)
ON_A_CHANNEL = ("broadcast push", "read channel", "delete channel")
BROADCAST = ("broadcast push",)
CREATION = ("create channel",)


def make_client(temper: Temper | None = None, **config: Any) -> RawClient:  # noqa: ANN401
    config.setdefault("channels", {APP: POLICIES})
    return RawClient(make_simulator(temper, **config))


def request(kind: str, changes: dict[str, str | None]) -> Fields:
    made: dict[str, str | None] = {
        ":scheme": "https",
        ":authority": "localhost",
        **KINDS[kind][0],
        "authorization": f"bearer {TOKEN}",
    }
    made |= changes
    return [(name, value) for name, value in made.items() if value is not None]


def path(kind: str, bundle_id: str) -> dict[str, str | None]:
    return {":path": KINDS[kind][0][":path"].replace(APP, bundle_id)}


# fault: (kinds that have it, changed fields, changed body, reason)
CHECKS: dict[str, tuple[tuple[str, ...], dict[str, str | None], bytes | None, str]] = {
    "method of none": (ALL, {":method": "PATCH"}, None, "MethodNotAllowed"),
    "no provider token": (ALL, {"authorization": None}, None, "MissingProviderToken"),
    "no JWT": (ALL, {"authorization": "bearer x"}, None, "InvalidProviderToken"),
    "old JWT": (
        ALL,
        {"authorization": f"bearer {KEY.sign(UNIX_TIME - 3601)}"},
        None,
        "ExpiredProviderToken",
    ),
    "request id": (ALL, {"apns-request-id": "1234"}, None, "BadMessageId"),
    "apns-id": (ALL, {"apns-id": "1234"}, None, "BadMessageId"),
    "no channel id": (ON_A_CHANNEL, {"apns-channel-id": None}, None, "MissingChannelId"),
    "empty channel id": (ON_A_CHANNEL, {"apns-channel-id": ""}, None, "BadChannelId"),
    "channel id not base64": (ON_A_CHANNEL, {"apns-channel-id": "#"}, None, "BadChannelId"),
    "channel id cut": (ON_A_CHANNEL, {"apns-channel-id": STORING[:-1]}, None, "BadChannelId"),
    "long channel id": (ON_A_CHANNEL, {"apns-channel-id": "c" * 256}, None, "BadChannelId"),
    "other channel id": (
        ON_A_CHANNEL,
        {"apns-channel-id": "b3RoZXI="},
        None,
        "ChannelNotRegistered",
    ),
    "no push type": (BROADCAST, {"apns-push-type": None}, None, "MissingPushType"),
    "other push type": (BROADCAST, {"apns-push-type": "alert"}, None, "InvalidPushType"),
    "no expiration": (BROADCAST, {"apns-expiration": None}, None, "BadExpirationDate"),
    "expiration": (BROADCAST, {"apns-expiration": "soon"}, None, "BadExpirationDate"),
    "expiration without storage": (
        BROADCAST,
        {"apns-expiration": "1900000000", "apns-channel-id": NOT_STORING},
        None,
        "BadExpirationDate",
    ),
    "no priority": (BROADCAST, {"apns-priority": None}, None, "BadPriority"),
    "priority": (BROADCAST, {"apns-priority": "7"}, None, "BadPriority"),
    "no body": ((*BROADCAST, *CREATION), {}, b"", "PayloadEmpty"),
    "large body": ((*BROADCAST, *CREATION), {}, b" " * 5121, "PayloadTooLarge"),
    "body not JSON": ((*BROADCAST, *CREATION), {}, b"{", "BadRequestPayload"),
    "body no object": ((*BROADCAST, *CREATION), {}, b"[]", "BadRequestPayload"),
    "body nested without end": ((*BROADCAST, *CREATION), {}, b"[" * 5000, "BadRequestPayload"),
    "no push type in the body": (
        CREATION,
        {},
        b'{"message-storage-policy":1}',
        "MissingPushType",
    ),
    "other push type in the body": (
        CREATION,
        {},
        b'{"message-storage-policy":1,"push-type":"alert"}',
        "InvalidPushType",
    ),
    "no policy": (CREATION, {}, b'{"push-type":"LiveActivity"}', "BadRequestParams"),
    "policy as text": (
        CREATION,
        {},
        b'{"message-storage-policy":"1","push-type":"LiveActivity"}',
        "BadRequestParams",
    ),
    "other policy": (
        CREATION,
        {},
        b'{"message-storage-policy":2,"push-type":"LiveActivity"}',
        "BadRequestParams",
    ),
    "unknown member": (
        CREATION,
        {},
        b'{"message-storage-policy":1,"push-type":"LiveActivity","x":1}',
        "BadRequestParams",
    ),
}
MATRIX = [(fault, kind) for fault, row in CHECKS.items() for kind in row[0]]


@pytest.mark.parametrize("kind", KINDS)
def test_accepts(kind: str) -> None:
    client = make_client()
    answer = client.request(request(kind, {"apns-request-id": UUID}), KINDS[kind][1])
    assert (answer.status, answer.ended) == (STATUS[kind], True)
    assert answer.fields["apns-request-id"] == UUID
    assert "apns-id" not in answer.fields
    (entry,) = client.simulator.ledger.entries
    assert (entry.kind, entry.topic, entry.apns_id) == (kind, APP, UUID)
    assert entry.accepted
    assert client.simulator.ledger.accepted_count == 1
    assert client.simulator.ledger.violations == []


@pytest.mark.parametrize(("fault", "kind"), MATRIX)
def test_refuses(fault: str, kind: str) -> None:
    _, changes, body, reason = CHECKS[fault]
    client = make_client()
    answer = client.request(request(kind, changes), KINDS[kind][1] if body is None else body)
    assert (answer.reason, answer.status) == (reason, REASON_STATUS[reason])
    assert "apns-request-id" in answer.fields
    assert client.simulator.ledger.by_reason == {reason: 1}
    assert client.simulator.channels.ids(APP) == list(POLICIES)


@pytest.mark.parametrize("kind", KINDS)
def test_refuses_a_repeated_field(kind: str) -> None:
    fields = [*request(kind, {}), ("apns-request-id", UUID), ("apns-request-id", UUID)]
    assert make_client().request(fields, KINDS[kind][1]).reason == "DuplicateHeaders"


@pytest.mark.parametrize("kind", KINDS)
def test_bundle_ids(kind: str) -> None:
    body = KINDS[kind][1]
    config: dict[str, Any] = {
        "topics": frozenset({APP, "com.example.plain"}),
        "broadcast_apps": frozenset({APP, "com.example.other"}),
        "channels": dict.fromkeys((APP, "com.example.plain", "com.example.other"), POLICIES),
    }
    for bundle_id, reason in (
        (f"{APP}.push-type.liveactivity", "TopicDisallowed"),
        ("com.example%2Fapp", "TopicDisallowed"),
        ("com.example.other", "TopicMismatch"),
        ("com.example.plain", "FeatureNotEnabled"),
    ):
        answer = make_client(**config).request(request(kind, path(kind, bundle_id)), body)
        assert answer.reason == reason
    assert make_client(**config).request(request(kind, {}), body).status == STATUS[kind]


@pytest.mark.parametrize(
    "suffix", [suffix.decode() for suffix in TOPIC_SUFFIXES.values() if suffix]
)
def test_no_suffix_is_taken_for_a_part_of_a_bundle_id(suffix: str) -> None:
    changes = path("list channels", APP + suffix)
    assert make_client().request(request("list channels", changes), b"").reason == "TopicDisallowed"


@pytest.mark.parametrize(
    ("method", "wrong"),
    [
        ("POST", "/4/broadcasts/apps/"),
        ("POST", "/4/broadcasts/apps/a/b"),
        ("GET", f"/4/broadcasts/apps/{APP}"),
        ("DELETE", f"/4/broadcasts/apps/{APP}"),
        ("POST", f"/4/broadcasts/{APP}"),
        ("POST", f"/1/apps/{APP}/all-channels"),
        ("GET", f"/1/apps/{APP}/channels/{STORING}"),
        ("GET", f"/1/apps/{APP}"),
        ("GET", "/1/apps//channels"),
    ],
)
def test_a_wrong_path_or_a_method_that_it_does_not_have(method: str, wrong: str) -> None:
    client = make_client()
    fields = request("broadcast push", {":method": method, ":path": wrong})
    assert client.request(fields, b"").reason == "BadPath"
    assert client.simulator.ledger.entries[0].kind == "unknown"


def test_a_channel_lives_from_its_creation_to_its_end() -> None:
    client = make_client(channels={})
    created = client.request(request("create channel", {}), CREATE)
    channel_id = created.fields["apns-channel-id"]
    assert created.body == b""
    on_it: dict[str, str | None] = {"apns-channel-id": channel_id}
    read = client.request(request("read channel", on_it), b"")
    assert json.loads(read.body) == {"message-storage-policy": 1, "push-type": "LiveActivity"}
    stored = on_it | {"apns-expiration": "1900000000"}
    assert client.request(request("broadcast push", stored), UPDATE).status == 200
    listed = client.request(request("list channels", {}), b"")
    assert json.loads(listed.body) == {"channels": [channel_id]}
    assert client.request(request("delete channel", on_it), b"").status == 204
    for kind in ON_A_CHANNEL:
        again = client.request(request(kind, on_it), KINDS[kind][1])
        assert again.reason == "ChannelNotRegistered"
    listed = client.request(request("list channels", {}), b"")
    assert json.loads(listed.body) == {"channels": []}
    ledger = client.simulator.ledger
    assert ledger.accepted_by_channel() == {channel_id: 1}
    assert [entry.channel_id for entry in ledger.entries[:3]] == [channel_id] * 3
    assert ledger.accepted_by_device() == ledger.processed_by_device() == {}


def test_a_channel_belongs_to_one_app() -> None:
    changes = path("read channel", "com.example.other")
    answer = make_client().request(request("read channel", changes), b"")
    assert answer.reason == "ChannelNotRegistered"


def test_an_app_has_only_so_many_channels() -> None:
    client = make_client(channels={}, max_channels=2)
    answers = [client.request(request("create channel", {}), CREATE) for _ in range(3)]
    assert [answer.status for answer in answers] == [201, 201, 400]
    assert answers[2].reason == "CannotCreateChannelConfig"
    assert len({answer.fields["apns-channel-id"] for answer in answers[:2]}) == 2
    other = request("create channel", path("create channel", "com.example.other"))
    assert client.request(other, CREATE).status == 201


@pytest.mark.parametrize("spelling", ["liveactivity", "Liveactivity", "LiveActivity"])
def test_all_of_apples_spellings_of_the_push_type_are_good(spelling: str) -> None:
    client = make_client()
    fields = request("broadcast push", {"apns-push-type": spelling})
    assert client.request(fields, UPDATE).status == 200
    body = json.dumps({"message-storage-policy": 0, "push-type": spelling}).encode()
    assert client.request(request("create channel", {}), body).status == 201


@pytest.mark.parametrize("environment", ["development", "production"])
def test_a_broadcast_has_a_unique_id_in_either_environment(environment: str) -> None:
    client = make_client(environment=environment)
    assert "apns-unique-id" in client.request(request("broadcast push", {}), UPDATE).fields
    for kind in ("create channel", "read channel", "list channels", "delete channel"):
        assert "apns-unique-id" not in client.request(request(kind, {}), KINDS[kind][1]).fields


def test_a_broadcast_that_starts_an_activity_is_a_violation() -> None:
    client = make_client()
    start = b'{"aps":{"event":"start"}}'
    assert client.request(request("broadcast push", {}), start).status == 200
    assert "cannot start" in client.simulator.ledger.violations[0]


def test_a_full_list_comes_as_fast_as_the_window_allows() -> None:
    ids = [f"{number:016x}" for number in range(10_000)]
    client = make_client(channels={APP: dict.fromkeys(ids, 0)})
    listed = client.request(request("list channels", {}), b"")
    assert not listed.ended
    assert len(listed.body) == 65_535
    client.credit_all(1, 2**20)
    listed = client.answer(1)
    assert listed.ended
    assert json.loads(listed.body) == {"channels": ids}


def test_a_channel_made_on_a_connection_that_dies_exists() -> None:
    client = make_client(Temper(close_after_requests=1), channels={})
    client.request(request("create channel", {}), CREATE)
    assert client.is_closed()
    (channel_id,) = client.simulator.channels.ids(APP)
    (entry,) = client.simulator.ledger.entries
    assert (entry.channel_id, entry.answered, entry.accepted) == (channel_id, False, True)


def test_device_pushes_and_broadcasts_share_a_connection() -> None:
    client = make_client()
    assert client.request().status == 200
    assert client.request(request("broadcast push", {}), UPDATE).status == 200
    assert client.request(request("list channels", {}), b"").status == 200
    kinds = [entry.kind for entry in client.simulator.ledger.entries]
    assert kinds == ["device push", "broadcast push", "list channels"]


# Apple's table ("Handling error responses from APNs") has 28 rows. Reasons without a check of their
# own are given by a temper.
APPLES_TABLE: dict[str, int] = {
    "FeatureNotEnabled": 400,
    "MissingChannelId": 400,
    "BadChannelId": 400,
    "ChannelNotRegistered": 400,
    "BadRequestParams": 400,
    "BadRequestPayload": 400,
    "PayloadEmpty": 400,
    "BadMessageId": 400,
    "MissingPushType": 400,
    "InvalidPushType": 400,
    "CannotCreateChannelConfig": 400,
    "BadExpirationDate": 400,
    "TopicDisallowed": 400,
    "BadPriority": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "TopicMismatch": 403,
    "MissingProviderToken": 403,
    "ExpiredProviderToken": 403,
    "InvalidProviderToken": 403,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "PayloadTooLarge": 413,
    "TooManyRequests": 429,
    "TooManyProviderTokenUpdates": 429,
    "InternalServerError": 500,
    "Service Unavailable": 503,
    "Shutdown": 503,
}


def test_the_table_of_reasons_is_complete() -> None:
    assert len(APPLES_TABLE) == 28
    assert {reason: REASON_STATUS[reason] for reason in APPLES_TABLE} == APPLES_TABLE
    without_a_check = set(APPLES_TABLE) - {row[3] for row in CHECKS.values()}
    assert without_a_check == {
        # Other tests here have them.
        *("FeatureNotEnabled", "CannotCreateChannelConfig", "TopicDisallowed", "TopicMismatch"),
        *("BadPath", "TooManyProviderTokenUpdates"),
        # Given by a temper, or in a GOAWAY.
        *("BadCertificate", "BadCertificateEnvironment", "TooManyRequests"),
        *("InternalServerError", "Service Unavailable", "Shutdown"),
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_temper_gives_any_reason(kind: str) -> None:
    for reason, status in APPLES_TABLE.items():
        client = make_client(Temper(answer_status=status, answer_reason=reason))
        answer = client.request(request(kind, {}), KINDS[kind][1])
        assert (answer.status, answer.reason) == (status, reason)
        assert client.simulator.ledger.entries[0].kind == kind


@pytest.mark.parametrize("kind", KINDS)
def test_provider_tokens_are_judged_as_for_device_pushes(kind: str) -> None:
    client = make_client()
    assert client.request().status == 200
    newer = request(kind, {"authorization": f"bearer {KEY.sign(UNIX_TIME + 1)}"})
    assert client.request(newer, KINDS[kind][1]).reason == "TooManyProviderTokenUpdates"
