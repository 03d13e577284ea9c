import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core import endpoints
from apns_core.endpoints import Endpoint, check_authority
from apns_core.errors import InvalidField


@pytest.mark.parametrize(
    ("name", "host", "port", "authority"),
    [
        ("PRODUCTION", "api.push.apple.com", 443, b"api.push.apple.com"),
        ("DEVELOPMENT", "api.sandbox.push.apple.com", 443, b"api.sandbox.push.apple.com"),
        (
            "BROADCAST_PRODUCTION",
            "api-broadcast.push.apple.com",
            443,
            b"api-broadcast.push.apple.com",
        ),
        (
            "BROADCAST_DEVELOPMENT",
            "api-broadcast.sandbox.push.apple.com",
            443,
            b"api-broadcast.sandbox.push.apple.com",
        ),
        (
            "CHANNELS_PRODUCTION",
            "api-manage-broadcast.push.apple.com",
            2196,
            b"api-manage-broadcast.push.apple.com:2196",
        ),
        (
            "CHANNELS_DEVELOPMENT",
            "api-manage-broadcast.sandbox.push.apple.com",
            2195,
            b"api-manage-broadcast.sandbox.push.apple.com:2195",
        ),
    ],
)
def test_named_endpoints(name: str, host: str, port: int, authority: bytes) -> None:
    endpoint: Endpoint = getattr(endpoints, name)
    assert endpoint == Endpoint(host, port)
    assert endpoint.authority == authority


def test_the_alternative_port() -> None:
    other = endpoints.PRODUCTION.on_port(endpoints.ALTERNATIVE_PORT)
    assert other == Endpoint("api.push.apple.com", 2197)
    assert other.authority == b"api.push.apple.com:2197"
    assert endpoints.PRODUCTION.port == 443


@pytest.mark.parametrize(
    ("host", "port", "authority"),
    [
        ("localhost", 443, b"localhost"),
        ("localhost", 8443, b"localhost:8443"),
        ("127.0.0.1", 1, b"127.0.0.1:1"),
        ("::1", 443, b"[::1]"),
        ("2001:db8::1", 65_535, b"[2001:db8::1]:65535"),
        ("apns_simulator", 443, b"apns_simulator"),
        ("xn--bcher-kva.example", 443, b"xn--bcher-kva.example"),
        ("a" * 63 + ".example", 443, b"a" * 63 + b".example"),
    ],
)
def test_hosts_that_are_taken(host: str, port: int, authority: bytes) -> None:
    assert Endpoint(host, port).authority == authority


@pytest.mark.parametrize(
    "host",
    [
        "",
        ".",
        "a..b",
        "example.com.",
        "-a.example",
        "a-.example",
        "a" * 64 + ".example",
        ".".join(["a" * 63] * 4),
        "https://api.push.apple.com",
        "api.push.apple.com:443",
        "api.push.apple.com/3",
        "user@api.push.apple.com",
        " api.push.apple.com",
        "api.push.apple.com ",
        "api.push.apple.com\n",
        "api.push.apple.com\r\nx: y",
        "api\0.example",
        "bücher.example",
        "١٢٧.0.0.1",
        "[::1]",
        "::1%eth0",
        ":::",
    ],
)
def test_hosts_that_are_refused(host: str) -> None:
    with pytest.raises(InvalidField, match=r"^host: must be") as caught:
        Endpoint(host)
    assert caught.value.field == "host"


def test_a_host_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidField, match=r"^host: must be"):
        Endpoint(b"localhost")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("port", [0, -1, 65_536, True, "443", 443.0])
def test_ports_that_are_refused(port: int) -> None:
    with pytest.raises(InvalidField, match=r"^port: must be") as caught:
        Endpoint("localhost", port)
    assert caught.value.field == "port"
    with pytest.raises(InvalidField):
        Endpoint("localhost").on_port(port)


@given(st.text() | st.text("a.-:[]1f%", max_size=12))
def test_no_host_smuggles_anything_into_the_authority(host: str) -> None:
    try:
        authority = Endpoint(host).authority
    except InvalidField:
        return
    assert authority in {host.encode(), b"[%b]" % host.encode()}
    assert not set(authority) - set(
        b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:[]"
    )


@pytest.mark.parametrize(
    "authority",
    [b"a", b"api.push.apple.com:2197", b"127.0.0.1:1", b"[::1]", b"[2001:db8::1]:443", b"a%41_b"],
)
def test_authorities_that_are_taken(authority: bytes) -> None:
    assert check_authority(authority) == authority


@pytest.mark.parametrize(
    "authority",
    [
        *(b"", b":443", b"a:", b"a:b", b"a:443:443", b"a:123456", b"[a", b"a]", b"[::1", b"::1"),
        *(b"user@a", b"a/b", b"a?b", b"a#b", b"a b", b" a", b"a\0", b"a\n", b"a\\b"),
        *(b"api.push.apple.com\r\nx-evil: 1", b"\xff", b"\x7f"),
        *("api.push.apple.com", None, 1, bytearray(b"a"), memoryview(b"a")),
    ],
)
def test_authorities_that_are_refused(authority: object) -> None:
    with pytest.raises(InvalidField, match=r"^authority: ") as caught:
        check_authority(authority)
    assert caught.value.field == "authority"


def test_every_endpoint_has_an_authority_that_is_taken() -> None:
    for host in ("a" * 63 + ".example", "apns_simulator", "::1", "10.0.0.1", "::ffff:10.0.0.1"):
        for port in (1, 443, 65_535):
            endpoint = Endpoint(host, port)
            assert check_authority(endpoint.authority) == endpoint.authority
