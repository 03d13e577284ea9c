"""Any text in any field is refused, or is on the wire exactly as it was given: nothing beside it.

Device token, collapse id, apns-id and topic have the same in `requests.test_notification`.
"""

from collections.abc import Callable
from typing import Any, Final

import pytest
from hpack import Decoder
from hypothesis import given, settings
from hypothesis import strategies as st

from apns_core.connection import Connection
from apns_core.endpoints import Endpoint
from apns_core.errors import InvalidField
from apns_core.field_blocks import FIELD_INDEXING, FieldBlocks
from apns_core.http2.hpack_encoder import HpackEncoder
from apns_core.requests.broadcast import Broadcast, BroadcastRoute
from apns_core.requests.channels import CreateChannel, DeleteChannel, ListChannels, ReadChannel
from apns_core.requests.request import Request
from apns_core.requests.route import Route
from apns_core.trust.provider_token import ProviderToken
from tests.apns_core.peer import AUTHORITY, NOTIFICATION

APP: Final = "com.example.app"
CHANNEL: Final = "dHN0LXNyY2gtY2hubA=="
BODY: Final = b'{"aps":{"event":"end"}}'

AWKWARD: Final = st.sampled_from(
    [
        *("..", "../", "/", "?", "#", "%2e", "%0d%0a", ";", "\\", "@", ":", "[", "]", "=", "+"),
        *("\r\n", "\n", "\r", "\0", " ", "\t", "\x7f", "\x85", "é", "\u2028", "\uff0e", "\ud800"),
        *("\r\nx-evil: 1", "a", "0", ".", "-", "_", "com.example", ".push-type.liveactivity"),
    ]
)
GOOD: Final = st.text("abcXYZ019._-+/=", max_size=24)
TEXTS: Final = st.text() | GOOD | st.lists(AWKWARD | st.characters()).map("".join)
UUIDS: Final = st.uuids().map(str)


def sent(
    request: Request, authority: bytes = AUTHORITY, token: ProviderToken | None = None
) -> dict[bytes, bytes]:
    """What a server makes of it: of the first, which teaches, and of those from a template."""
    blocks = FieldBlocks(HpackEncoder(FIELD_INDEXING), authority)
    blocks.set_authorization(None if token is None else token.authorization)
    decoder = Decoder()
    seen: list[list[tuple[bytes, bytes]]] = []
    for _ in range(3):
        decoded = decoder.decode(blocks.encode(request), raw=True)
        seen.append([(bytes(field[0]), bytes(field[1])) for field in decoded])
    assert seen[0] == seen[1] == seen[2]
    fields = dict(seen[0])
    assert len(fields) == len(seen[0]), "no field is there twice"
    assert not any(bad in value for value in fields.values() for bad in (b"\r", b"\n", b"\0"))
    assert b" " not in b"".join(v for name, v in fields.items() if name != b"authorization")
    return fields


def no_way_out(path: bytes, segments: int) -> None:
    assert path.count(b"/") == segments
    assert not any(bad in path for bad in (b"/..", b"?", b"#", b"%", b"\\"))


OF_APPS: Final[dict[str, tuple[str, Callable[[str], Request]]]] = {
    "broadcast": (
        "/4/broadcasts/apps/{}",
        lambda text: Broadcast(BroadcastRoute(text, CHANNEL), BODY, expiration=0),
    ),
    "create": ("/1/apps/{}/channels", lambda text: CreateChannel(text, 0)),
    "read": ("/1/apps/{}/channels", lambda text: ReadChannel(text, CHANNEL)),
    "delete": ("/1/apps/{}/channels", lambda text: DeleteChannel(text, CHANNEL)),
    "list": ("/1/apps/{}/all-channels", ListChannels),
}


@pytest.mark.parametrize(("path", "make"), OF_APPS.values(), ids=OF_APPS)
@settings(deadline=None)
@given(bundle_id=TEXTS)
def test_t8_any_bundle_id_is_refused_or_sent_exactly(
    path: str, make: Callable[[str], Request], bundle_id: str
) -> None:
    try:
        request = make(bundle_id)
    except InvalidField as error:
        assert error.field == "bundle_id"  # noqa: PT017 - what is not refused is checked too
        return
    fields = sent(request)
    assert fields[b":path"] == path.format(bundle_id).encode("ascii")
    no_way_out(fields[b":path"], path.count("/"))


@settings(deadline=None)
@given(bundle_id=TEXTS)
def test_t8_any_bundle_id_of_a_route_is_refused_or_sent_exactly(bundle_id: str) -> None:
    try:
        route = Route.for_app(bundle_id, "voip")
    except InvalidField as error:
        assert error.field in {"bundle_id", "topic"}  # noqa: PT017
        return
    assert dict(route.fields)[b"apns-topic"] == bundle_id.encode("ascii") + b".voip"


OF_CHANNELS: Final[dict[str, Callable[[str], Request]]] = {
    "broadcast": lambda text: Broadcast(BroadcastRoute(APP, text), BODY, expiration=0),
    "read": lambda text: ReadChannel(APP, text),
    "delete": lambda text: DeleteChannel(APP, text),
}


@pytest.mark.parametrize("make", OF_CHANNELS.values(), ids=OF_CHANNELS)
@settings(deadline=None)
@given(channel_id=TEXTS)
def test_t8_any_channel_id_is_refused_or_sent_exactly(
    make: Callable[[str], Request], channel_id: str
) -> None:
    try:
        request = make(channel_id)
    except InvalidField as error:
        assert error.field == "channel_id"  # noqa: PT017
        return
    assert sent(request)[b"apns-channel-id"] == channel_id.encode("ascii")


ROUTE: Final = BroadcastRoute(APP, CHANNEL)
WITH_IDS: Final[dict[str, Callable[[str], Request]]] = {
    "broadcast": lambda text: Broadcast(ROUTE, BODY, expiration=0, request_id=text),
    "create": lambda text: CreateChannel(APP, 0, request_id=text),
    "read": lambda text: ReadChannel(APP, CHANNEL, request_id=text),
    "delete": lambda text: DeleteChannel(APP, CHANNEL, request_id=text),
    "list": lambda text: ListChannels(APP, request_id=text),
}


@pytest.mark.parametrize("make", WITH_IDS.values(), ids=WITH_IDS)
@settings(deadline=None)
@given(request_id=TEXTS | UUIDS | UUIDS.map(str.upper))
def test_t8_any_request_id_is_refused_or_sent_exactly(
    make: Callable[[str], Request], request_id: str
) -> None:
    try:
        request = make(request_id)
    except InvalidField as error:
        assert error.field == "request_id"  # noqa: PT017
        return
    assert sent(request)[b"apns-request-id"] == request_id.lower().encode("ascii")


@settings(deadline=None)
@given(jwt=TEXTS)
def test_t8_any_provider_token_is_refused_or_sent_exactly(jwt: str) -> None:
    try:
        token = ProviderToken(jwt, 0.0)
    except InvalidField as error:
        assert error.field == "provider_token"  # noqa: PT017
        return
    assert sent(NOTIFICATION, token=token)[b"authorization"] == b"bearer " + jwt.encode("ascii")


AUTHORITIES: Final = st.binary() | TEXTS.map(lambda text: text.encode("utf-8", "replace"))


@settings(deadline=None)
@given(authority=AUTHORITIES)
def test_t8_any_authority_is_refused_or_sent_exactly(authority: bytes) -> None:
    try:
        fields = sent(NOTIFICATION, authority)
    except InvalidField as error:
        assert error.field == "authority"  # noqa: PT017
        return
    assert fields[b":authority"] == authority
    assert not any(bad in authority for bad in b"/?#@\\")


@settings(deadline=None)
@given(host=TEXTS, port=st.sampled_from([443, 1, 65_535]))
def test_t8_any_endpoint_is_refused_or_sent_exactly(host: str, port: int) -> None:
    try:
        endpoint = Endpoint(host, port)
    except InvalidField as error:
        assert error.field == "host"  # noqa: PT017
        return
    name = f"[{host}]" if ":" in host else host
    expected = name if port == 443 else f"{name}:{port}"
    assert sent(NOTIFICATION, endpoint.authority)[b":authority"] == expected.encode("ascii")


@pytest.mark.parametrize("authority", [b"", b"a b", b"a\0b", b"a\r\nx-evil: 1", b"user@a", b"\xff"])
def test_t8_a_connection_sent_an_authority_that_began_a_field(authority: bytes) -> None:
    with pytest.raises(InvalidField, match=r"^authority: "):
        Connection[Any](authority, now=0.0)
