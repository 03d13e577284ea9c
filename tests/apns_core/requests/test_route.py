from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.errors import InvalidField
from apns_core.requests.route import (
    PAYLOAD_LIMITS,
    TOPIC_SUFFIXES,
    Priority,
    PushType,
    Route,
    is_whole_number,
    visible_text,
)

APP = "com.example.app"


# From Apple's page, "Sending notification requests to APNs", once more by hand.
SUFFIXES = {
    "alert": "",
    "background": "",
    "complication": ".complication",
    "controls": ".push-type.controls",
    "fileprovider": ".pushkit.fileprovider",
    "liveactivity": ".push-type.liveactivity",
    "location": ".location-query",
    "mdm": "",
    "pushtotalk": ".voip-ptt",
    "voip": ".voip",
    "widgets": ".push-type.widgets",
}


def test_the_set_of_push_types_is_complete() -> None:
    assert {push_type.value for push_type in PushType} == set(SUFFIXES)
    assert {t.value: TOPIC_SUFFIXES.get(t, "") for t in PushType} == SUFFIXES
    assert {t.value: limit for t, limit in PAYLOAD_LIMITS.items()} == {
        name: 5_120 if name == "voip" else 4_096 for name in SUFFIXES
    }


@pytest.mark.parametrize(("push_type", "suffix"), SUFFIXES.items())
def test_for_app_adds_the_suffix_that_the_topic_must_have(push_type: str, suffix: str) -> None:
    route = Route.for_app(APP, push_type)
    assert route.topic == APP + suffix
    assert Route(APP + suffix, PushType(push_type)).topic == route.topic
    assert route.push_type is PushType(push_type)
    assert route.priority == (5 if push_type == "background" else 10)
    assert route.payload_limit == PAYLOAD_LIMITS[route.push_type]
    assert route.fields == (
        (b"apns-topic", (APP + suffix).encode()),
        (b"apns-push-type", push_type.encode()),
        (b"apns-priority", b"5" if push_type == "background" else b"10"),
    )
    assert route.method == b"POST"


@pytest.mark.parametrize("push_type", [name for name, suffix in SUFFIXES.items() if suffix])
def test_a_topic_without_its_suffix_is_refused(push_type: str) -> None:
    for topic in (APP, SUFFIXES[push_type], APP + SUFFIXES[push_type] + "x"):
        with pytest.raises(InvalidField, match=SUFFIXES[push_type]) as caught:
            Route(topic, push_type)
        assert caught.value.field == "topic"


@pytest.mark.parametrize("priority", [10, 5, 1, *Priority])
def test_priorities(priority: int) -> None:
    route = Route(APP, priority=priority)
    assert route.priority is Priority(priority)
    assert route.fields[2] == (b"apns-priority", str(int(priority)).encode())


def test_background_has_priority_5_and_no_other() -> None:
    assert Route(APP, "background", priority=5).priority is Priority.CONSERVE_POWER
    for priority in (10, 1):
        with pytest.raises(InvalidField, match="background") as caught:
            Route(APP, PushType.BACKGROUND, priority=priority)
        assert caught.value.field == "priority"


@pytest.mark.parametrize("push_type", SUFFIXES)
def test_a_topic_may_be_left_to_the_certificate(push_type: str) -> None:
    route = Route(None, push_type)
    assert route.topic is None
    assert route.certificate_only
    assert not Route.for_app(APP, push_type).certificate_only
    # All else is as with a topic.
    assert route.fields == Route.for_app(APP, push_type).fields[1:]
    assert route.payload_limit == PAYLOAD_LIMITS[PushType(push_type)]
    assert repr(route) == f"Route(None, {push_type!r}, priority={int(route.priority)})"


def test_routes_compare_by_identity() -> None:
    assert Route(APP) != Route(APP)
    assert repr(Route(APP, priority=5)) == "Route('com.example.app', 'alert', priority=5)"


BAD: list[tuple[str, Any]] = [
    ("topic", ""),
    ("topic", "com.example.app "),
    ("topic", "com.example\r\nx: y"),
    ("topic", "com.example\n"),
    ("topic", "com.exämple"),
    ("topic", "com.example\x00"),
    ("topic", "com.example\x7f"),
    ("topic", "x" * 256),
    ("topic", b"com.example.app"),
    ("topic", 7),
    ("push_type", ""),
    ("push_type", "Alert"),
    ("push_type", "alert\n"),
    ("push_type", "secret"),
    ("push_type", b"alert"),
    ("push_type", None),
    ("push_type", []),
    ("priority", 0),
    ("priority", 7),
    ("priority", -10),
    ("priority", True),
    ("priority", 10.0),
    ("priority", "10"),
    ("priority", []),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_bad_values_are_refused_by_name(field: str, value: object) -> None:
    arguments: dict[str, Any] = {"topic": APP, field: value}
    with pytest.raises(InvalidField) as caught:
        Route(**arguments)
    assert caught.value.field == field
    assert str(caught.value).startswith(f"{field}: ")
    # An error of `enum` would quote the value.
    assert caught.value.__context__ is None


@pytest.mark.parametrize("bundle_id", ["", "a b", "x" * 256, None, b"com.example", 7])
def test_for_app_names_the_argument_that_it_was_given(bundle_id: object) -> None:
    arguments: dict[str, Any] = {"bundle_id": bundle_id, "push_type": PushType.VOIP}
    with pytest.raises(InvalidField) as caught:
        Route.for_app(**arguments)
    assert caught.value.field == "bundle_id"


def test_a_topic_may_be_255_characters_long() -> None:
    assert Route("x" * 255).fields[0] == (b"apns-topic", b"x" * 255)
    # The limit is the topic's, and the suffix belongs to it.
    with pytest.raises(InvalidField, match="longer than 255") as caught:
        Route.for_app("x" * 255, PushType.VOIP)
    assert caught.value.field == "topic"


@settings(deadline=None)
@given(st.text())
def test_t8_any_text_is_refused_or_is_the_topic_on_the_wire(text: str) -> None:
    try:
        route = Route(text)
    except InvalidField as error:
        assert error.field == "topic"  # noqa: PT017 - what is not refused is checked too
        assert not text or any(not "!" <= c <= "~" for c in text)
    else:
        assert route.fields[0] == (b"apns-topic", text.encode("ascii"))


@settings(deadline=None)
@given(st.text(max_size=12))
def test_visible_text_is_exactly_visible_ascii(text: str) -> None:
    good = 1 <= len(text) <= 8 and all(0x21 <= ord(c) <= 0x7E for c in text)
    if good:
        assert visible_text("field", text, 8) == text
    else:
        with pytest.raises(InvalidField):
            visible_text("field", text, 8)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, True), (-1, True), (Priority.IMMEDIATE, True), (True, False), (1.0, False), ("1", False)],
)
def test_is_whole_number(value: object, expected: bool) -> None:  # noqa: FBT001
    assert is_whole_number(value) is expected
