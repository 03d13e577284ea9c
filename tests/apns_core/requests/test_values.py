"""What kinds of request share; the rest is seen through each of them."""

import json
import math
from collections import UserDict
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.errors import InvalidField
from apns_core.requests.values import (
    bundle_id_text,
    channel_id_text,
    encode_json,
    finite_number,
    from_zero_to_one,
    is_channel_id,
    mapping,
    optional_text,
    text,
    wrong_size,
)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), JSON))
def test_json_comes_back_as_it_went(document: dict[str, Any]) -> None:
    try:
        encoded = encode_json("payload", document)
    except InvalidField:
        # Text that UTF-8 does not have.
        with pytest.raises(UnicodeEncodeError):
            json.dumps(document, ensure_ascii=False).encode()
        return
    assert json.loads(encoded.decode("utf-8")) == document
    assert len(encoded) <= len(json.dumps(document, ensure_ascii=False).encode())


def test_json_is_compact_and_in_utf_8() -> None:
    assert encode_json("payload", {"a": [1, 2], "b": "ü"}) == '{"a":[1,2],"b":"ü"}'.encode()


def test_mappings_of_any_kind_are_taken_at_any_depth() -> None:
    document = UserDict({"a": MappingProxyType({"b": UserDict({"c": 1})})})
    assert encode_json("payload", document) == b'{"a":{"b":{"c":1}}}'


@pytest.mark.parametrize(
    "document",
    [None, "{}", [], {"a": math.nan}, {"a": b"x"}, {"a": "\ud800"}, {("a",): 1}, {"a": {1, 2}}],
)
def test_what_is_no_json_is_refused_unquoted(document: object) -> None:
    with pytest.raises(InvalidField) as caught:
        encode_json("payload", document)
    assert caught.value.field == "payload"
    # The error that caused it may quote the payload, or hold it.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "bundle_id", ["com.example.app", "a", "com.example.My-App2", "com.example.old_app", "a" * 155]
)
def test_bundle_ids(bundle_id: str) -> None:
    assert bundle_id_text(bundle_id) == bundle_id


@pytest.mark.parametrize(
    "bundle_id",
    [
        *("", ".", "..", "com/example", "com.example?x", "com.example#x", "com example", "cöm"),
        *("a" * 156, "a%2e", "com.example.app.push-type.liveactivity", "a\r\nb", "a\x00"),
        *(None, 1, b"com.example.app"),
    ],
)
def test_what_is_no_bundle_id(bundle_id: object) -> None:
    with pytest.raises(InvalidField, match=r"^bundle_id: "):
        bundle_id_text(bundle_id)


@pytest.mark.parametrize("channel_id", ["dHN0LXNyY2gtY2hubA==", "a", "-_", "+/", "c" * 255])
def test_channel_ids(channel_id: str) -> None:
    assert channel_id_text(channel_id) == channel_id
    assert is_channel_id(channel_id)


@pytest.mark.parametrize("channel_id", ["", "=", "a===", "a=b", "#", "ä", "a b", "c" * 256])
def test_what_is_no_channel_id(channel_id: str) -> None:
    with pytest.raises(InvalidField, match=r"^channel_id: "):
        channel_id_text(channel_id)
    assert not is_channel_id(channel_id)


def test_an_error_says_by_how_much() -> None:
    assert str(wrong_size("payload", 5_200, 5_120, "voip")) == (
        "payload: 5200 octets, 80 more than the 5120 that voip admits"
    )
    assert str(wrong_size("payload", 0, 5_120, "voip")) == "payload: empty"


@pytest.mark.parametrize("value", ["", None, 1, b"x"])
def test_texts(value: object) -> None:
    assert text("title", "x") == optional_text("title", "x") == "x"
    assert optional_text("title", None) is None
    with pytest.raises(InvalidField, match=r"^title: "):
        text("title", value)


@pytest.mark.parametrize("value", [None, [], "x", {1: 2}])
def test_mappings(value: object) -> None:
    assert mapping("custom", {"a": 1}) == {"a": 1}
    with pytest.raises(InvalidField, match=r"^custom: "):
        mapping("custom", value)


@pytest.mark.parametrize("value", [None, True, "1", math.nan, math.inf, -math.inf])
def test_numbers(value: object) -> None:
    assert [finite_number("score", good) for good in (-1.5, 0, 10**400)] == [-1.5, 0, 10**400]
    assert [from_zero_to_one("score", good) for good in (0, 0.5, 1.0)] == [0, 0.5, 1.0]
    for check in (finite_number, from_zero_to_one):
        with pytest.raises(InvalidField, match=r"^score: "):
            check("score", value)
    for outside in (-0.1, 1.1, 10**400):
        with pytest.raises(InvalidField, match="from 0 to 1"):
            from_zero_to_one("score", outside)
