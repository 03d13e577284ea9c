"""Subclasses of str, bytes and int say one thing to a check and another to what sends them."""

from collections.abc import Callable
from datetime import timedelta
from enum import Enum, IntEnum
from typing import Any, Final
from uuid import UUID

import pytest

from apns_core.endpoints import Endpoint
from apns_core.errors import InvalidField
from apns_core.proxy import Proxy, Tunnel
from apns_core.requests import payload
from apns_core.requests.broadcast import Broadcast, BroadcastRoute
from apns_core.requests.channels import CreateChannel, DeleteChannel, ListChannels, ReadChannel
from apns_core.requests.notification import Notification
from apns_core.requests.route import Route
from apns_core.requests.values import exact_bytes, uuid_text
from apns_core.trust.provider_token import ProviderToken

APP: Final = "com.example.app"
DEVICE: Final = "ab" * 32
ID: Final = "123e4567-e89b-12d3-a456-426614174000"
CHANNEL: Final = "QUJD"
EVIL: Final = "x\r\ny: 1/.."


class Named(str, Enum):  # noqa: UP042 - that it is no StrEnum is the point
    """What an application may keep its names in; formatted, a member is `Named.APP`."""

    APP = APP
    DEVICE = DEVICE
    ID = ID
    CHANNEL = CHANNEL
    HOST = "api.push.apple.com"
    JWT = "a.b.c"
    URL = "http://proxy.example:3128"
    VOIP = "voip"
    CRITICAL = "critical"


class Times(IntEnum):
    LATER = 1_900_000_000


class Lying(str):
    """Passes each check, and is sent as something else."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        del encoding, errors
        return EVIL.encode()

    def __str__(self) -> str:
        return EVIL

    def __format__(self, spec: str) -> str:
        del spec
        return EVIL

    def __add__(self, other: object) -> str:
        return EVIL

    def lower(self) -> str:
        return EVIL

    def __len__(self) -> int:
        return 4


class LyingBytes(bytes):
    def hex(self, *_: object) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return EVIL

    def __len__(self) -> int:
        return 4

    def __bytes__(self) -> bytes:
        return EVIL.encode()


def sent(request: Any) -> tuple[object, ...]:  # noqa: ANN401 - what requests have in common
    return (request.path, request.route.fields, request.extra_fields, request.payload)


# What each text is, made of a plain one and of the others.
MAKERS: Final[dict[str, tuple[str, Callable[[Any], object]]]] = {
    "topic": (APP, lambda text: Route(text).fields),
    "bundle_id of a route": (APP, lambda text: Route.for_app(text, "voip").fields),
    "push_type": ("voip", lambda text: Route.for_app(APP, text).fields),
    "device_token": (DEVICE, lambda text: sent(Notification(Route(APP), text, b"{}"))),
    "collapse_id": (
        APP,
        lambda text: sent(Notification(Route(APP), DEVICE, b"{}", collapse_id=text)),
    ),
    "apns_id": (ID, lambda text: sent(Notification(Route(APP), DEVICE, b"{}", apns_id=text))),
    "bundle_id of a broadcast": (
        APP,
        lambda text: sent(Broadcast(BroadcastRoute(text, CHANNEL), b"{}", expiration=0)),
    ),
    "channel_id of a broadcast": (CHANNEL, lambda text: BroadcastRoute(APP, text).fields),
    "request_id": (ID, lambda text: sent(ListChannels(APP, request_id=text))),
    "create": (APP, lambda text: sent(CreateChannel(text, 0))),
    "read": (CHANNEL, lambda text: sent(ReadChannel(APP, text))),
    "delete": (CHANNEL, lambda text: sent(DeleteChannel(APP, text))),
    "list": (APP, lambda text: sent(ListChannels(text))),
    "jwt": ("a.b.c", lambda text: ProviderToken(text, 0.0).authorization),
    "host": ("api.push.apple.com", lambda text: Endpoint(text, 2197).authority),
    "host in a request for a tunnel": (
        "api.push.apple.com",
        lambda text: Tunnel(Proxy("http://p"), Endpoint(text)).data_to_send(),
    ),
    "proxy": ("http://proxy.example:3128", lambda text: repr(Proxy(text))),
    "alert": (APP, payload.alert),
    "interruption_level": (
        "critical",
        lambda text: payload.alert("x", interruption_level=text),
    ),
    "app_defined": ("voip", lambda text: payload.app_defined({"a": 1}, text)),
    "push_magic": (APP, payload.mdm),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_member_of_an_enum_is_sent_as_its_value(name: str) -> None:
    text, make = MAKERS[name]
    assert make(Named(text)) == make(text)


@pytest.mark.parametrize("name", MAKERS)
def test_a_text_is_sent_as_what_was_checked(name: str) -> None:
    text, make = MAKERS[name]
    assert make(Lying(text)) == make(text)


def test_what_was_checked_is_what_is_kept() -> None:
    notification = Notification(Route(Lying(APP)), Lying(DEVICE), b"{}", apns_id=Lying(ID))
    assert type(notification.device_token) is type(notification.route.topic) is str
    assert type(notification.apns_id) is str
    assert type(Endpoint(Lying("localhost")).host) is str
    assert type(ListChannels(Lying(APP)).bundle_id) is str


def test_octets_of_a_subclass_are_sent_as_they_are() -> None:
    plain = Notification(Route(APP), b"\xab" * 32, b"{}")
    made = Notification(Route(APP), LyingBytes(b"\xab" * 32), LyingBytes(b"{}"))
    assert sent(made) == sent(plain)
    assert type(made.payload) is bytes
    with pytest.raises(InvalidField, match=r"^payload: 4097 octets"):
        Notification(Route(APP), DEVICE, LyingBytes(4_097))
    broadcast = Broadcast(BroadcastRoute(APP, CHANNEL), LyingBytes(b"{}"), expiration=0)
    assert type(broadcast.payload) is bytes
    assert exact_bytes(LyingBytes(b"abcdef")) == b"abcdef"


def test_a_member_of_an_int_enum_is_sent_as_its_number() -> None:
    made = Notification(Route(APP), DEVICE, b"{}", expiration=Times.LATER)
    assert type(made.expiration) is int
    assert made.extra_fields == ((b"apns-expiration", b"1900000000"),)
    made = Notification(Route(APP), DEVICE, b"{}", expiration=timedelta(seconds=1))
    assert made.submitted_at(1.0).extra_fields == ((b"apns-expiration", b"2"),)


def test_a_uuid_of_a_subclass_is_sent_in_its_own_form() -> None:
    class Short(UUID):
        def __str__(self) -> str:
            return EVIL

    assert uuid_text("apns_id", Short(ID)) == ID
