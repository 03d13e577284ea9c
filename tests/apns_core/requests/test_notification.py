import copy
import dataclasses
import json
import pickle
import traceback
from collections import UserDict
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.errors import ApnsError, InvalidField
from apns_core.outcomes import Accepted
from apns_core.requests.notification import Notification
from apns_core.requests.route import PushType, Route
from tests.apns_core.peer import Scene

ROUTE = Route("com.example.app")
VOIP = Route.for_app("com.example.app", PushType.VOIP)
DEVICE = "0123456789abcdef" * 4
BODY = b'{"aps":{}}'
APNS_ID = "123e4567-e89b-12d3-a456-42665544000a"


def test_a_plain_notification() -> None:
    notification = Notification(ROUTE, DEVICE, BODY)
    assert notification.route is ROUTE
    assert notification.device_token == DEVICE
    assert notification.path == b"/3/device/" + DEVICE.encode()
    assert notification.payload is BODY
    assert notification.extra_fields == ()
    assert notification.expiration is None
    assert notification.apns_id is None


def test_a_notification_with_everything() -> None:
    notification = Notification(
        ROUTE, DEVICE, BODY, expiration=0, collapse_id="score", apns_id=APNS_ID
    )
    assert notification.extra_fields == (
        (b"apns-id", APNS_ID.encode()),
        (b"apns-expiration", b"0"),
        (b"apns-collapse-id", b"score"),
    )
    assert notification.expiration == 0
    assert notification.apns_id == APNS_ID


# Each value is refused in its field. The text names the field and never repeats the value.
BAD: dict[str, list[Any]] = {
    "route": [None, "com.example.app", 7, Route],
    "device_token": [
        "",
        "0",
        "abc",
        "zz",
        "ab ",
        " ab",
        "ab\n",
        "ab/..",
        "../../ab",
        "ab?x=",
        "ab%2e",
        "ab#f",
        "a\x00",
        "\uff41\uff42",
        "\u0660\u0661",
        "ab" * 101,
        b"",
        b"\x00" * 101,
        bytearray(b"\x01\x02"),
        memoryview(b"\x01\x02"),
        None,
        7,
        ["ab"],
    ],
    "payload": [
        b"",
        {},
        "",
        '{"aps":{"alert":"secret"}}',
        bytearray(b"{}"),
        memoryview(b"{}"),
        None,
        7,
        [1],
        {"aps": {"alert": object()}},
        {"aps": b"secret"},
        {"aps": float("nan")},
        {"aps": float("inf")},
        {"aps": "\ud800"},
        {("a", "b"): 1},
        b"x" * 4_097,
    ],
    "expiration": [
        -1,
        2**53 + 1,
        1_700_000_000.0,
        float("nan"),
        float("inf"),
        True,
        "1700000000",
        datetime(2030, 1, 1),  # noqa: DTZ001 - that it has no time zone is the point
        datetime(1969, 12, 31, tzinfo=UTC),
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        b"0",
        timedelta(0),
        timedelta(seconds=-1),
        timedelta.max,
        timedelta.min,
    ],
    "collapse_id": [
        "",
        "two words",
        "line\nfeed",
        "line\r",
        "tab\t",
        "ünïcode",
        "nul\x00",
        "x" * 65,
        b"score",
        7,
        ["score"],
    ],
    "apns_id": [
        "",
        "123e4567",
        APNS_ID.replace("-", ""),
        "{" + APNS_ID + "}",
        "urn:uuid:" + APNS_ID,
        APNS_ID + "\n",
        APNS_ID.replace("1", "\uff11", 1),
        APNS_ID[:-1] + "g",
        APNS_ID.encode(),
        7,
    ],
}
# `{}` is JSON, and two octets long: APNs says what it thinks of it.
BAD["payload"].remove({})


@pytest.mark.parametrize(
    ("field", "value"), [(field, value) for field, values in BAD.items() for value in values]
)
def test_bad_values_are_refused_by_name_and_not_repeated(field: str, value: object) -> None:
    arguments: dict[str, Any] = {
        "route": ROUTE,
        "device_token": DEVICE,
        "payload": BODY,
        field: value,
    }
    with pytest.raises(InvalidField) as caught:
        Notification(**arguments)
    assert caught.value.field == field
    text = "".join(traceback.format_exception_only(caught.value))
    assert text.startswith(f"apns_core.errors.InvalidField: {field}: ")
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ApnsError)
    if isinstance(value, str | bytes) and 3 < len(value) < 100:
        assert str(value) not in text
    assert "secret" not in text
    # Nor behind it: what is not printed can still be looked at.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_an_apns_id_without_end_was_turned_into_text() -> None:
    # Of a number like this, and of mappings in mappings, there is no text.
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    apns_id: Any
    for apns_id in (10**5_000, deep):
        with pytest.raises(InvalidField, match="apns_id: not a UUID"):
            Notification(ROUTE, DEVICE, BODY, apns_id=apns_id)
    while deep:
        deep = deep.pop("a")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


class NoOffset(tzinfo):
    """A time zone that does not say which: Python counts such a datetime as naive."""

    def utcoffset(self, dt: datetime | None) -> None:
        del dt

    def dst(self, dt: datetime | None) -> None:
        del dt

    def tzname(self, dt: datetime | None) -> None:
        del dt


def test_a_datetime_whose_zone_knows_no_offset_is_refused() -> None:
    # `timestamp` would take it for local time and look at the machine's clock settings.
    with pytest.raises(InvalidField, match="time zone"):
        Notification(ROUTE, DEVICE, BODY, expiration=datetime(2030, 1, 1, tzinfo=NoOffset()))


@pytest.mark.parametrize(
    ("expiration", "seconds"),
    [
        (0, 0),
        (1_700_000_000, 1_700_000_000),
        (2**53, 2**53),
        (datetime(1970, 1, 1, tzinfo=UTC), 0),
        (datetime(2023, 11, 14, 22, 13, 20, 999_999, tzinfo=UTC), 1_700_000_000),
        (datetime(2023, 11, 15, 0, 13, 20, tzinfo=timezone(timedelta(hours=2))), 1_700_000_000),
    ],
)
def test_expirations(expiration: int | datetime, seconds: int) -> None:
    notification = Notification(ROUTE, DEVICE, BODY, expiration=expiration)
    assert notification.expiration == seconds
    assert notification.extra_fields == ((b"apns-expiration", str(seconds).encode()),)


# duration, what it comes to in whole seconds
DURATIONS = [
    (timedelta(microseconds=1), 1),
    (timedelta(seconds=1), 1),
    (timedelta(seconds=1, microseconds=1), 2),
    (timedelta(hours=1), 3_600),
    (timedelta(days=30), 2_592_000),
    (timedelta(days=36_600), 36_600 * 86_400),
]


@pytest.mark.parametrize(("duration", "seconds"), DURATIONS)
def test_a_duration_counts_from_the_submission(duration: timedelta, seconds: int) -> None:
    made = Notification(
        ROUTE, DEVICE, BODY, expiration=duration, collapse_id="score", apns_id=APNS_ID
    )
    kept = ((b"apns-id", APNS_ID.encode()), (b"apns-collapse-id", b"score"))
    assert (made.expiration, made.lifetime, made.extra_fields) == (None, seconds, kept)
    # Never sooner than was asked for: the clock's fraction counts as a second too.
    for unix_time in (1_800_000_000.0, 1_799_999_999.25):
        sent = made.submitted_at(unix_time)
        expiration = 1_800_000_000 + seconds
        assert (sent.expiration, sent.lifetime) == (expiration, None)
        assert sent.extra_fields == (*kept, (b"apns-expiration", b"%d" % expiration))
        assert (sent.route, sent.device_token, sent.path) == (ROUTE, DEVICE, made.path)
        assert (sent.payload, sent.apns_id) == (BODY, APNS_ID)
        assert sent.submitted_at(unix_time) is sent
        assert all(hasattr(sent, name) for name in Notification.__slots__)
    # What the caller holds can be submitted again.
    assert (made.expiration, made.lifetime, made.extra_fields) == (None, seconds, kept)


@pytest.mark.parametrize("expiration", [None, 0, 1_900_000_000])
def test_what_has_no_duration_is_sent_as_it_is(expiration: int | None) -> None:
    made = Notification(ROUTE, DEVICE, BODY, expiration=expiration)
    assert made.lifetime is None
    assert made.submitted_at(1_800_000_000.0) is made


@pytest.mark.parametrize(("route", "limit"), [(ROUTE, 4_096), (VOIP, 5_120)])
def test_payload_limits_to_the_octet(route: Route, limit: int) -> None:
    assert len(Notification(route, DEVICE, b"x" * limit).payload) == limit
    with pytest.raises(InvalidField, match=rf"{limit + 1} octets, 1 more than the {limit}"):
        Notification(route, DEVICE, b"x" * (limit + 1))
    # A mapping is measured in octets of UTF-8 too: {"k":"…"} takes eight around its value.
    text = "é" * ((limit - 8) // 2)
    assert len(Notification(route, DEVICE, {"k": text}).payload) == limit
    with pytest.raises(InvalidField, match=f"{limit + 1} octets") as caught:
        Notification(route, DEVICE, {"k": text + "x"})
    assert caught.value.field == "payload"


def test_a_payload_of_no_octets_is_called_empty() -> None:
    with pytest.raises(InvalidField, match="payload: empty"):
        Notification(ROUTE, DEVICE, b"")


def test_a_mapping_becomes_compact_utf8() -> None:
    payload = {"aps": {"alert": "Grüße 🎉", "badge": 1}, "k": [None, True, 0.5]}
    notification = Notification(ROUTE, DEVICE, payload)
    expected = '{"aps":{"alert":"Grüße 🎉","badge":1},"k":[null,true,0.5]}'
    assert notification.payload == expected.encode()


@pytest.mark.parametrize("kind", [dict, MappingProxyType, UserDict])
def test_any_mapping_will_do(kind: Callable[[object], Mapping[str, object]]) -> None:
    assert Notification(ROUTE, DEVICE, kind({"aps": {}})).payload == BODY


def test_a_mapping_without_end_is_refused() -> None:
    endless: dict[str, object] = {}
    endless["aps"] = endless
    with pytest.raises(InvalidField, match="no JSON"):
        Notification(ROUTE, DEVICE, endless)
    deep: dict[str, object] = {}
    for _ in range(100_000):
        deep = {"a": deep}
    with pytest.raises(InvalidField, match="RecursionError"):
        Notification(ROUTE, DEVICE, deep)
    while deep:  # Freed level by level: the interpreter's own stack is not endless either.
        deep = deep.pop("a")  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def test_a_str_is_no_payload() -> None:
    # json.dumps would make '"{...}"' of it, and APNs would refuse that much later.
    payload: Any = '{"aps":{}}'
    with pytest.raises(InvalidField, match="payload: neither bytes nor a mapping"):
        Notification(ROUTE, DEVICE, payload)


def test_raw_octets_are_a_device_token_too() -> None:
    notification = Notification(ROUTE, bytes.fromhex(DEVICE), BODY)
    assert notification.device_token == DEVICE
    assert Notification(ROUTE, b"\xab" * 100, BODY).device_token == "ab" * 100


@pytest.mark.parametrize("device_token", ["ab", "AB", "aB" * 100])
def test_device_tokens_are_sent_as_they_are(device_token: str) -> None:
    notification = Notification(ROUTE, device_token, BODY)
    assert notification.path == b"/3/device/" + device_token.encode()


def test_apns_ids_are_sent_in_canonical_form() -> None:
    for apns_id in (APNS_ID, APNS_ID.upper(), UUID(APNS_ID)):
        notification = Notification(ROUTE, DEVICE, BODY, apns_id=apns_id)
        assert notification.apns_id == APNS_ID
        assert notification.extra_fields == ((b"apns-id", APNS_ID.encode()),)


def test_collapse_ids_of_64_octets() -> None:
    text = "".join(chr(c) for c in range(0x21, 0x61))
    notification = Notification(ROUTE, DEVICE, BODY, collapse_id=text)
    assert notification.extra_fields == ((b"apns-collapse-id", text.encode()),)


def test_repr_tells_two_apart_and_leads_back_to_nobody() -> None:
    one, two = (Notification(ROUTE, token * 32, {"secret": 1}) for token in ("aa", "bb"))
    assert repr(one) != repr(two)
    assert "aaaa" not in repr(one)
    assert "secret" not in repr(one)
    assert "com.example.app" in repr(one)
    assert "12 octets" in repr(one)


def test_copies_are_the_same_object() -> None:
    notification = Notification(ROUTE, DEVICE, BODY)
    assert copy.copy(notification) is notification
    assert copy.deepcopy([notification])[0] is notification
    assert dataclasses.asdict(Accepted(notification, 1))["notification"] is notification


def test_a_notification_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="personal data"):
        pickle.dumps(Notification(ROUTE, DEVICE, BODY))


# ── any text in any field ──

AWKWARD = st.sampled_from(
    ["..", "/", "?", "#", "%2e", "\r\n", "\n", "\x00", " ", "\t", ":", "ab", "0123", "é", "\u2028"]
)
TEXT = st.text() | st.lists(AWKWARD | st.characters()).map("".join)
HEX = st.text(alphabet="0123456789abcdefABCDEF", max_size=210)
VISIBLE = st.text(alphabet=st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=70)
UUIDS = st.uuids().map(str)


def decoded_fields(notification: Notification) -> list[tuple[bytes, bytes]]:
    """What a server makes of it."""
    scene = Scene()
    scene.greet()
    (stream_id,) = scene.submit(notification=notification)
    assert scene.peer.requests[stream_id].body == notification.payload
    return scene.peer.requests[stream_id].fields


@settings(deadline=None)
@given(device_token=TEXT | HEX)
def test_t8_any_device_token_is_refused_or_sent_exactly(device_token: str) -> None:
    try:
        notification = Notification(ROUTE, device_token, BODY)
    except InvalidField as error:
        assert error.field == "device_token"  # noqa: PT017 - what is not refused is checked too
        return
    path = dict(decoded_fields(notification))[b":path"]
    assert path == b"/3/device/" + device_token.encode("ascii")
    assert not any(bad in path for bad in (b"..", b"?", b"#", b"%", b"\r", b"\n", b"\0", b" "))


@settings(deadline=None)
@given(collapse_id=TEXT | VISIBLE)
def test_t8_any_collapse_id_is_refused_or_sent_exactly(collapse_id: str) -> None:
    try:
        notification = Notification(ROUTE, DEVICE, BODY, collapse_id=collapse_id)
    except InvalidField as error:
        assert error.field == "collapse_id"  # noqa: PT017
        return
    fields = decoded_fields(notification)
    assert fields[-1] == (b"apns-collapse-id", collapse_id.encode("ascii"))
    assert [name for name, _ in fields].count(b"apns-collapse-id") == 1


@settings(deadline=None)
@given(apns_id=TEXT | UUIDS | UUIDS.map(str.upper))
def test_t8_any_apns_id_is_refused_or_sent_exactly(apns_id: str) -> None:
    try:
        notification = Notification(ROUTE, DEVICE, BODY, apns_id=apns_id)
    except InvalidField as error:
        assert error.field == "apns_id"  # noqa: PT017
        return
    assert decoded_fields(notification)[-1] == (b"apns-id", apns_id.lower().encode("ascii"))


@settings(deadline=None)
@given(topic=TEXT | VISIBLE.filter(bool))
def test_t8_any_topic_is_refused_or_sent_exactly(topic: str) -> None:
    try:
        notification = Notification(Route(topic), DEVICE, BODY)
    except InvalidField as error:
        assert error.field == "topic"  # noqa: PT017
        return
    assert (b"apns-topic", topic.encode("ascii")) in decoded_fields(notification)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(deadline=None)
@given(payload=st.dictionaries(st.text(), JSON, max_size=4))
def test_any_mapping_is_refused_or_read_back_as_it_was(payload: dict[str, Any]) -> None:
    try:
        notification = Notification(ROUTE, DEVICE, payload)
    except InvalidField as error:
        assert error.field == "payload"  # noqa: PT017
        return
    assert json.loads(notification.payload.decode()) == payload
