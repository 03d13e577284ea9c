import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from apns_core.errors import InvalidField
from apns_core.requests import payload
from apns_core.requests.notification import Notification
from apns_core.requests.payload import (
    Alert,
    CriticalSound,
    InterruptionLevel,
    LiveActivityAlert,
    Localized,
)
from apns_core.requests.route import PushType, Route

GOAL = LiveActivityAlert(title="Goal", body="1:0")
STATE = {"home": 1, "away": 0}
CHANNEL = "dHN0LXNyY2gtY2hubA=="
START: dict[str, Any] = {
    "timestamp": 1_700_000_000,
    "content_state": STATE,
    "attributes_type": "Match",
    "attributes": {"home": "Blue"},
    "alert": GOAL,
}

BUILT: list[tuple[Callable[..., bytes], dict[str, Any], object]] = [
    (payload.alert, {"alert": "Hello"}, {"aps": {"alert": "Hello"}}),
    (
        payload.alert,
        {"alert": Alert(title="Order", loc_key="ON_ITS_WAY", loc_args=["7"])},
        {"aps": {"alert": {"title": "Order", "loc-key": "ON_ITS_WAY", "loc-args": ["7"]}}},
    ),
    (payload.alert, {"badge": 0}, {"aps": {"badge": 0}}),
    (payload.alert, {"sound": "default"}, {"aps": {"sound": "default"}}),
    (
        payload.alert,
        {
            "alert": "x",
            "badge": 3,
            "sound": CriticalSound(volume=0.25),
            "thread_id": "t",
            "category": "c",
            "content_available": True,
            "mutable_content": True,
            "target_content_id": "w",
            "interruption_level": InterruptionLevel.TIME_SENSITIVE,
            "relevance_score": 0.5,
            "filter_criteria": "f",
            "custom": {"order": 7, "deep": {"a": [1]}},
        },
        {
            "aps": {
                "alert": "x",
                "badge": 3,
                "sound": {"critical": 1, "name": "default", "volume": 0.25},
                "thread-id": "t",
                "category": "c",
                "content-available": 1,
                "mutable-content": 1,
                "target-content-id": "w",
                "interruption-level": "time-sensitive",
                "relevance-score": 0.5,
                "filter-criteria": "f",
            },
            "order": 7,
            "deep": {"a": [1]},
        },
    ),
    (payload.background, {}, {"aps": {"content-available": 1}}),
    (
        payload.background,
        {"custom": {"sync": True}},
        {"aps": {"content-available": 1}, "sync": True},
    ),
    (payload.widgets, {}, {"aps": {"content-changed": True}}),
    (payload.controls, {"custom": {"a": 1}}, {"aps": {"content-changed": True}, "a": 1}),
    (
        payload.start_live_activity,
        START,
        {
            "aps": {
                "timestamp": 1_700_000_000,
                "event": "start",
                "content-state": STATE,
                "alert": {"title": "Goal", "body": "1:0"},
                "attributes-type": "Match",
                "attributes": {"home": "Blue"},
            }
        },
    ),
    (
        payload.start_live_activity,
        {
            **START,
            "timestamp": datetime(2030, 1, 1, tzinfo=UTC),
            "input_push_token": True,
            "stale_date": datetime(2030, 1, 2, tzinfo=UTC),
            "relevance_score": 75,
        },
        {
            "aps": {
                "timestamp": 1_893_456_000,
                "event": "start",
                "content-state": STATE,
                "alert": {"title": "Goal", "body": "1:0"},
                "stale-date": 1_893_542_400,
                "relevance-score": 75,
                "attributes-type": "Match",
                "attributes": {"home": "Blue"},
                "input-push-token": 1,
            }
        },
    ),
    (
        payload.update_live_activity,
        {
            "timestamp": 1,
            "content_state": STATE,
            "alert": LiveActivityAlert(title=Localized("GOAL", ["Blue"]), body="x", sound="s.caf"),
            "stale_date": 2,
            "relevance_score": -1.5,
            "custom": {"own": 1},
        },
        {
            "aps": {
                "timestamp": 1,
                "event": "update",
                "content-state": STATE,
                "alert": {
                    "title": {"loc-key": "GOAL", "loc-args": ["Blue"]},
                    "body": "x",
                    "sound": "s.caf",
                },
                "stale-date": 2,
                "relevance-score": -1.5,
            },
            "own": 1,
        },
    ),
    (payload.end_live_activity, {"timestamp": 1}, {"aps": {"timestamp": 1, "event": "end"}}),
    (
        payload.end_live_activity,
        {"timestamp": 1, "content_state": STATE, "dismissal_date": 0, "alert": GOAL},
        {
            "aps": {
                "timestamp": 1,
                "event": "end",
                "content-state": STATE,
                "alert": {"title": "Goal", "body": "1:0"},
                "dismissal-date": 0,
            }
        },
    ),
    (payload.mdm, {"push_magic": "ABC-123"}, {"mdm": "ABC-123"}),
    (
        payload.file_provider,
        {"container_identifier": "NSFileProviderRootContainerItemIdentifier", "domain": "d"},
        {"container-identifier": "NSFileProviderRootContainerItemIdentifier", "domain": "d"},
    ),
    (payload.app_defined, {"document": {"room": 7}, "push_type": "pushtotalk"}, {"room": 7}),
    (
        payload.app_defined,
        {"document": {"aps": {}, "call": 1}, "push_type": PushType.VOIP},
        {"aps": {}, "call": 1},
    ),
]


@pytest.mark.parametrize(("build", "arguments", "document"), BUILT)
def test_builds_what_apples_pages_show(
    build: Callable[..., bytes], arguments: dict[str, Any], document: object
) -> None:
    built = build(**arguments)
    assert json.loads(built) == document
    assert built == json.dumps(json.loads(built), separators=(",", ":")).encode()


def test_a_subscription_to_a_channel() -> None:
    built = json.loads(payload.start_live_activity(**START, input_push_channel=CHANNEL))
    assert built["aps"]["input-push-channel"] == CHANNEL
    assert "input-push-token" not in built["aps"]


REFUSED: list[tuple[Callable[..., bytes], dict[str, Any], str]] = [
    (payload.alert, {}, "alert"),
    (payload.alert, {"content_available": True}, "alert"),
    (payload.alert, {"alert": ""}, "alert"),
    (payload.alert, {"alert": {"title": "x"}}, "alert"),
    (payload.alert, {"badge": -1}, "badge"),
    (payload.alert, {"badge": True}, "badge"),
    (payload.alert, {"badge": "1"}, "badge"),
    (payload.alert, {"sound": ""}, "sound"),
    (payload.alert, {"sound": {"critical": 1}}, "sound"),
    (payload.alert, {"badge": 1, "mutable_content": True}, "mutable_content"),
    (payload.alert, {"alert": "x", "thread_id": ""}, "thread_id"),
    (payload.alert, {"alert": "x", "category": 1}, "category"),
    (payload.alert, {"alert": "x", "target_content_id": b"x"}, "target_content_id"),
    (payload.alert, {"alert": "x", "filter_criteria": ["x"]}, "filter_criteria"),
    (payload.alert, {"alert": "x", "interruption_level": "loud"}, "interruption_level"),
    (payload.alert, {"alert": "x", "relevance_score": 1.1}, "relevance_score"),
    (payload.alert, {"alert": "x", "relevance_score": True}, "relevance_score"),
    (payload.alert, {"alert": "x", "custom": {"aps": {}}}, "custom"),
    (payload.alert, {"alert": "x", "custom": {1: 2}}, "custom"),
    (payload.alert, {"alert": "x", "custom": ["x"]}, "custom"),
    (payload.alert, {"alert": "x", "custom": {"x": object()}}, "payload"),
    (payload.alert, {"alert": "\ud800"}, "payload"),
    (payload.background, {"custom": {"aps": {"alert": "x"}}}, "custom"),
    (payload.widgets, {"custom": "x"}, "custom"),
    (payload.start_live_activity, {**START, "alert": None}, "alert"),
    (payload.start_live_activity, {**START, "alert": "Goal"}, "alert"),
    (payload.start_live_activity, {**START, "attributes_type": ""}, "attributes_type"),
    (payload.start_live_activity, {**START, "attributes": None}, "attributes"),
    (payload.start_live_activity, {**START, "content_state": None}, "content_state"),
    (payload.start_live_activity, {**START, "timestamp": 1_700_000_000_000}, "timestamp"),
    (payload.start_live_activity, {**START, "timestamp": 1.5}, "timestamp"),
    (payload.start_live_activity, {**START, "timestamp": datetime(2030, 1, 1)}, "timestamp"),  # noqa: DTZ001
    (payload.start_live_activity, {**START, "input_push_channel": "#"}, "input_push_channel"),
    (
        payload.start_live_activity,
        {**START, "input_push_channel": CHANNEL, "input_push_token": True},
        "input_push_channel",
    ),
    (payload.update_live_activity, {"timestamp": 1, "content_state": None}, "content_state"),
    (payload.update_live_activity, {"timestamp": 1, "content_state": [1]}, "content_state"),
    (
        payload.update_live_activity,
        {"timestamp": 1, "content_state": STATE, "stale_date": 10**12},
        "stale_date",
    ),
    (
        payload.update_live_activity,
        {"timestamp": 1, "content_state": STATE, "relevance_score": float("inf")},
        "relevance_score",
    ),
    (
        payload.update_live_activity,
        {"timestamp": 1, "content_state": STATE, "alert": Alert(title="x")},
        "alert",
    ),
    (payload.end_live_activity, {"timestamp": 1, "content_state": "x"}, "content_state"),
    (payload.end_live_activity, {"timestamp": 1, "dismissal_date": -1}, "dismissal_date"),
    (payload.mdm, {"push_magic": ""}, "push_magic"),
    (payload.file_provider, {"container_identifier": "", "domain": "d"}, "container_identifier"),
    (payload.file_provider, {"container_identifier": "c", "domain": None}, "domain"),
    (payload.app_defined, {"document": {}, "push_type": "alert"}, "push_type"),
    (payload.app_defined, {"document": {}, "push_type": []}, "push_type"),
    (payload.alert, {"alert": "x", "limit": None}, "limit"),
    (payload.alert, {"alert": "x", "limit": "4096"}, "limit"),
    (payload.background, {"limit": True}, "limit"),
    (payload.background, {"limit": -1}, "limit"),
    (payload.alert, {"alert": "x", "interruption_level": []}, "interruption_level"),
    (payload.app_defined, {"document": b"{}", "push_type": "voip"}, "document"),
]


@pytest.mark.parametrize(("build", "arguments", "field"), REFUSED)
def test_refuses_by_the_name_of_the_field(
    build: Callable[..., bytes], arguments: dict[str, Any], field: str
) -> None:
    with pytest.raises(InvalidField) as caught:
        build(**arguments)
    assert caught.value.field == field
    # An error of `enum` or of a codec would quote the value.
    assert caught.value.__context__ is None


def test_size_is_counted_in_octets_and_told() -> None:
    frame = len(payload.alert("x")) - 1
    assert len(payload.alert("x" * (4_096 - frame))) == 4_096
    # "ä" takes two octets of UTF-8 and no escape.
    assert len(payload.alert("ä" * ((4_096 - frame) // 2))) in (4_095, 4_096)
    with pytest.raises(InvalidField, match="4100 octets, 4 more than the 4096"):
        payload.alert("x" * (4_100 - frame))


LIMITS: list[tuple[Callable[[str], bytes], int]] = [
    (lambda filling: payload.app_defined({"a": filling}, "voip"), 5_120),
    (lambda filling: payload.app_defined({"a": filling}, "location"), 4_096),
    (lambda filling: payload.background({"a": filling}), 4_096),
    (payload.mdm, 4_096),
    (
        lambda filling: payload.update_live_activity(
            timestamp=1, content_state={"a": filling}, limit=5_120
        ),
        5_120,
    ),
]


@pytest.mark.parametrize(("build", "limit"), LIMITS)
def test_limits(build: Callable[[str], bytes], limit: int) -> None:
    full = "x" * (limit - len(build("x")) + 1)
    assert len(build(full)) == limit
    with pytest.raises(InvalidField, match=f" 1 more than the {limit}"):
        build(full + "x")


def test_a_payload_is_ready_for_a_notification() -> None:
    built = payload.alert("Hello")
    assert Notification(Route("com.example.app"), "00fc", built).payload is built


def test_a_text_of_a_payload_is_in_no_error() -> None:
    with pytest.raises(InvalidField) as caught:
        payload.alert("x", custom={"secret-name": "secret" * 1_000})
    assert "secret" not in str(caught.value)
