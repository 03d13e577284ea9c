import copy
import pickle
import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apns_core.endpoints import PRODUCTION, Endpoint
from apns_core.errors import ApnsError, ConnectFailed, InvalidField
from apns_core.proxy import Proxy, Tunnel

USER: Final = "canary-user"
PASSWORD: Final = "canary:pässword/@%"
AT: Final = f"{quote(USER, safe='')}:{quote(PASSWORD, safe='')}@"
BASIC: Final = b64encode(f"{USER}:{PASSWORD}".encode())
SECRETS: Final = (USER, PASSWORD, "canary", quote(PASSWORD, safe=""), BASIC.decode())

HTTP: Final = Proxy("http://proxy.example:3128")
SOCKS: Final = Proxy("socks5://proxy.example")
HTTP_WITH_CREDENTIALS: Final = Proxy(f"http://{AT}proxy.example")
SOCKS_WITH_CREDENTIALS: Final = Proxy(f"socks5://{AT}proxy.example")


def locals_of(error: BaseException) -> str:
    """What somebody sees who reports errors with the locals of their frames, those here apart."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return "".join(repr(frame.f_locals) for frame in frames if frame.f_code.co_filename != __file__)


def no_secrets(text: str) -> None:
    assert not [secret for secret in SECRETS if secret in text]


# ── URLs ──


@pytest.mark.parametrize(
    ("url", "scheme", "host", "port"),
    [
        ("http://proxy.example", "http", "proxy.example", 80),
        ("http://proxy.example:3128/", "http", "proxy.example", 3128),
        ("HTTP://Proxy.Example:3128", "http", "proxy.example", 3128),
        ("socks5://10.0.0.1", "socks5", "10.0.0.1", 1080),
        ("socks5h://[2001:db8::1]:9", "socks5h", "2001:db8::1", 9),
        (f"http://{AT}proxy.example:8", "http", "proxy.example", 8),
        ("http://user@proxy.example", "http", "proxy.example", 80),
    ],
)
def test_urls(url: str, scheme: str, host: str, port: int) -> None:
    proxy = Proxy(url)
    assert (proxy.scheme, proxy.host, proxy.port) == (scheme, host, port)


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        ("", "must be a URL that begins with"),
        ("proxy.example:3128", "must be a URL that begins with"),
        (f"https://{AT}proxy.example", "must be a URL that begins with"),
        (f"socks4://{AT}proxy.example", "must be a URL that begins with"),
        (f"http://{AT}", "names no host"),
        ("http://", "names no host"),
        (f"http://{AT}:80", "names no host"),
        (f"http://{AT}proxy.example:0", "names no good port"),
        (f"http://{AT}proxy.example:65536", "is no URL"),
        (f"http://{AT}proxy.example:canary", "is no URL"),
        (f"http://{AT}[canary", "is no URL"),
        (f"http://{AT}proxy_.example.", "names no good host"),
        (f"http://{AT}proxy/example", "must end after the port"),
        (f"http://{AT}proxy!example", "names no good host"),
        # In lower case it is a plain k, and the name of another host.
        (f"http://{AT}proxy.\u212aexample", "names no good host"),
        (f"http://proxy.example/{AT}", "must end after the port"),
        (f"http://proxy.example?{AT}", "must end after the port"),
        (f"http://proxy.example#{AT}", "must end after the port"),
        # A password with a bare slash ends the host: it must not be shown either.
        (f"http://{USER}:canary/x@proxy.example", "is no URL"),
        (f"http://{USER}%3A:canary@proxy.example", "its user name must have no colon"),
        (f"http://{USER}:canary%0A@proxy.example", "no control characters"),
        (f"http://{USER}%7f:canary@proxy.example", "no control characters"),
        (f"http://{USER}:canary\ud800@proxy.example", "must be percent-encoded"),
        (f"socks5://{USER}@proxy.example", "1 to 255 octets"),
        (f"socks5://{AT[:-1]}\ud800@proxy.example", "must be percent-encoded"),
        ("socks5://:canary@proxy.example", "1 to 255 octets"),
        (f"socks5://{USER}:{'canary' * 43}@proxy.example", "1 to 255 octets"),
    ],
)
def test_bad_urls_are_refused_and_not_shown(url: str, problem: str) -> None:
    with pytest.raises(InvalidField, match=f"^proxy: .*{problem}") as caught:
        Proxy(url)
    assert caught.value.field == "proxy"
    no_secrets("".join(traceback.format_exception(caught.value)))
    # Nor further down: some errors carry the whole text beside what they print.
    assert caught.value.__context__ is None
    no_secrets(locals_of(caught.value))


UNSEEN: Final = ("\r", "\n", "\t", " ", "\0", "\x1f", "\x7f", "\x85", "\xa0", "\u2028", "\u3000")


@pytest.mark.parametrize("unseen", UNSEEN)
@pytest.mark.parametrize(
    "url", ["{}http://{}@h:1", "http://u:{}canary@h:1", "http://ca{}nary:1", "http://h:1{}"]
)
def test_a_url_lost_characters_that_nobody_sees(url: str, unseen: str) -> None:
    # urlsplit takes "http://ca\nnary:1" for "http://canary:1".
    with pytest.raises(InvalidField, match=r"^proxy: must have no blanks and no control") as caught:
        Proxy(url.replace("{}", unseen))
    no_secrets(str(caught.value))


@pytest.mark.parametrize("url", [None, 1, b"http://proxy.example", ["http://proxy.example"]])
def test_a_url_that_is_no_text_is_refused(url: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidField, match=r"^proxy: must be a URL"):
        Proxy(url)


@given(st.text())
def test_any_text_is_a_proxy_or_is_refused(text: str) -> None:
    for url in (text, f"http://{text}", f"socks5://{text}@proxy.example"):
        try:
            repr(Proxy(url))
        except InvalidField as error:
            assert error.field == "proxy"  # noqa: PT017 - either will do


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        (HTTP, "Proxy('http://proxy.example:3128')"),
        (HTTP_WITH_CREDENTIALS, "Proxy('http://***@proxy.example:80')"),
        (Proxy(f"socks5://{AT}[::1]"), "Proxy('socks5://***@[::1]:1080')"),
    ],
)
def test_a_proxy_shows_no_credentials(proxy: Proxy, shown: str) -> None:
    assert repr(proxy) == str(proxy) == shown
    no_secrets(repr(Tunnel(proxy, PRODUCTION)))


@pytest.mark.parametrize("leak", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_proxy_is_not_pickled(leak: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match="credentials"):
        leak(HTTP_WITH_CREDENTIALS)


# ── conversations ──

CONNECT: Final = (
    b"CONNECT api.push.apple.com:443 HTTP/1.1\r\nHost: api.push.apple.com:443\r\n%b\r\n"
)
REQUEST: Final = b"\x05\x01\x00\x03\x12api.push.apple.com\x01\xbb"
USER_AND_PASSWORD: Final = (
    bytes([1, len(USER)]) + USER.encode() + bytes([len(PASSWORD.encode())]) + PASSWORD.encode()
)
BOUND: Final = {
    "IPv4": b"\x01\x7f\0\0\1\0\0",
    "IPv6": b"\x04" + b"\0" * 18,
    "name": b"\x03\x04name\0\0",
    "empty name": b"\x03\x00\0\0",
}

# Proxy, then what we say and what it says to that, in turns.
Conversation = tuple[Proxy, list[tuple[bytes, bytes]]]

GOOD: Final[dict[str, Conversation]] = {
    "HTTP": (HTTP, [(CONNECT % b"", b"HTTP/1.1 200 Connection established\r\n\r\n")]),
    "HTTP/1.0": (HTTP, [(CONNECT % b"", b"HTTP/1.0 200 OK\r\nVia: x\r\n\r\n")]),
    "HTTP, no reason phrase": (HTTP, [(CONNECT % b"", b"HTTP/1.1 200\r\n\r\n")]),
    "HTTP, bare line feeds": (HTTP, [(CONNECT % b"", b"HTTP/1.1 200 OK\nVia: x\n\n")]),
    "HTTP 204": (HTTP, [(CONNECT % b"", b"HTTP/1.1 204 No Content\r\n\r\n")]),
    "HTTP, a length to be ignored": (
        HTTP,
        [(CONNECT % b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")],
    ),
    "HTTP 100 first": (
        HTTP,
        [(CONNECT % b"", b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")],
    ),
    "HTTP with credentials": (
        HTTP_WITH_CREDENTIALS,
        [
            (
                CONNECT % (b"Proxy-Authorization: Basic " + BASIC + b"\r\n"),
                b"HTTP/1.1 200 OK\r\n\r\n",
            )
        ],
    ),
    **{
        f"SOCKS5, bound to {kind}": (
            SOCKS,
            [(b"\x05\x01\x00", b"\x05\x00"), (REQUEST, b"\x05\x00\x00" + bound)],
        )
        for kind, bound in BOUND.items()
    },
    "SOCKS5 with credentials": (
        SOCKS_WITH_CREDENTIALS,
        [
            (b"\x05\x02\x00\x02", b"\x05\x02"),
            (USER_AND_PASSWORD, b"\x01\x00"),
            (REQUEST, b"\x05\x00\x00" + BOUND["IPv4"]),
        ],
    ),
    "SOCKS5, credentials not wanted": (
        SOCKS_WITH_CREDENTIALS,
        [
            (b"\x05\x02\x00\x02", b"\x05\x00"),
            (REQUEST, b"\x05\x00\x00" + BOUND["IPv4"]),
        ],
    ),
}


@pytest.mark.parametrize(("proxy", "turns"), GOOD.values(), ids=GOOD)
@pytest.mark.parametrize("step", [1, 2, 3, 1_000])
def test_conversations_in_any_pieces(
    proxy: Proxy, turns: list[tuple[bytes, bytes]], step: int
) -> None:
    tunnel = Tunnel(proxy, PRODUCTION)
    for ours, theirs in turns:
        assert not tunnel.established
        assert tunnel.data_to_send() == ours
        assert tunnel.data_to_send() == b""
        for at in range(0, len(theirs), step):
            assert not tunnel.established
            assert tunnel.data_to_send() == b""
            tunnel.receive_data(theirs[at : at + step])
    assert tunnel.established
    assert tunnel.data_to_send() == b""


@pytest.mark.parametrize(("proxy", "turns"), GOOD.values(), ids=GOOD)
def test_whatever_comes_after_the_answer_is_not_ours_to_take(
    proxy: Proxy, turns: list[tuple[bytes, bytes]]
) -> None:
    tunnel = Tunnel(proxy, PRODUCTION)
    for _, theirs in turns[:-1]:
        tunnel.receive_data(theirs)
    with pytest.raises(ConnectFailed, match="more than its answer"):
        tunnel.receive_data(turns[-1][1] + b"x")


@pytest.mark.parametrize(("proxy", "turns"), GOOD.values(), ids=GOOD)
def test_a_proxy_that_closes_has_not_answered(
    proxy: Proxy, turns: list[tuple[bytes, bytes]]
) -> None:
    said = b"".join(theirs for _, theirs in turns)
    for cut in range(len(said)):
        tunnel = Tunnel(proxy, PRODUCTION)
        if cut:
            tunnel.receive_data(said[:cut])
        with pytest.raises(ConnectFailed, match="closed the connection before it answered"):
            tunnel.receive_data(b"")


@pytest.mark.parametrize(
    ("host", "target", "address"),
    [
        ("push.example", b"push.example:2197", b"\x03\x0cpush.example"),
        ("10.0.0.1", b"10.0.0.1:2197", b"\x01\x0a\0\0\1"),
        ("2001:db8::1", b"[2001:db8::1]:2197", b"\x04\x20\x01\x0d\xb8" + b"\0" * 11 + b"\1"),
    ],
)
def test_endpoints(host: str, target: bytes, address: bytes) -> None:
    endpoint = Endpoint(host, 2197)
    http, socks = Tunnel(HTTP, endpoint), Tunnel(SOCKS, endpoint)
    assert http.data_to_send() == b"CONNECT %b HTTP/1.1\r\nHost: %b\r\n\r\n" % (target, target)
    socks.receive_data(b"\x05\x00")
    assert socks.data_to_send() == b"\x05\x01\x00\x05\x01\x00" + address + b"\x08\x95"


# ── refusals ──

PAGE: Final = b"\r\nContent-Type: text/html\r\n\r\n<h1>canary" + BASIC

REFUSALS: Final[list[tuple[Proxy, list[bytes], str]]] = [
    (HTTP, [b"HTTP/1.1 407 canary" + PAGE], "HTTP status 407: it wants credentials"),
    (HTTP, [b"HTTP/1.1 403 canary" + PAGE], "HTTP status 403: it does not allow"),
    (HTTP, [b"HTTP/1.1 502 canary" + PAGE], "HTTP status 502: it could not connect"),
    (HTTP, [b"HTTP/1.1 418 canary" + PAGE], "HTTP status 418"),
    (HTTP, [b"HTTP/1.1 302 canary" + PAGE], "HTTP status 302"),
    (HTTP, [b"HTTP/2 200 canary\r\n\r\n"], "does not speak HTTP/1.1"),
    (HTTP, [b"HTTP/1.1 2000 canary\r\n\r\n"], "does not speak HTTP/1.1"),
    (HTTP, [b"SSH-2.0-canary\r\n\r\n"], "does not speak HTTP/1.1"),
    (HTTP, [b"\r\n\r\n"], "does not speak HTTP/1.1"),
    (HTTP, [b"canary" * 3_000], "has no end"),
    (HTTP, [b"HTTP/1.1 200 OK\r\n", b"canary" * 3_000], "has no end"),
    (HTTP, [b"HTTP/1.1 200 OK\r\nx: " + b"canary" * 3_000 + b"\r\n\r\n"], "has no end"),
    (SOCKS, [b"HT"], "does not speak SOCKS5"),
    (SOCKS, [b"\x04\x00"], "does not speak SOCKS5"),
    (SOCKS, [b"\x05\xff"], "it wants credentials"),
    (SOCKS, [b"\x05\x02"], "it wants credentials"),
    (SOCKS_WITH_CREDENTIALS, [b"\x05\xff"], "it wants credentials, or others"),
    (SOCKS_WITH_CREDENTIALS, [b"\x05\x01"], "it wants credentials, or others"),
    (SOCKS_WITH_CREDENTIALS, [b"\x05\x02", b"\x01\x01"], "refused the credentials"),
    (SOCKS, [b"\x05\x00", b"\x04\x00\x00\x01"], "does not speak SOCKS5"),
    (SOCKS, [b"\x05\x00", b"\x05\x00\x00\x02"], "does not speak SOCKS5"),
    (SOCKS, [b"\x05\x00", b"\x05\x02\x00\x01"], "SOCKS5 reply 2: it does not allow"),
    (SOCKS, [b"\x05\x00", b"\x05\x05\x00\x01"], "SOCKS5 reply 5: the endpoint refused"),
    (SOCKS, [b"\x05\x00", b"\x05\x63\x00\x01"], "SOCKS5 reply 99: no reason"),
]


@pytest.mark.parametrize(("proxy", "said", "problem"), REFUSALS)
def test_refusals_are_named_and_not_quoted(proxy: Proxy, said: list[bytes], problem: str) -> None:
    tunnel = Tunnel(proxy, PRODUCTION)
    for data in said[:-1]:
        tunnel.receive_data(data)
    with pytest.raises(ConnectFailed, match=problem) as caught:
        tunnel.receive_data(said[-1])
    assert not tunnel.established
    no_secrets("".join(traceback.format_exception(caught.value)))


@pytest.mark.parametrize(
    ("proxy", "said"),
    [
        (HTTP_WITH_CREDENTIALS, [b"HTTP/1.1 407 no\r\n\r\n"]),
        (HTTP_WITH_CREDENTIALS, [b"SSH-2.0\r\n\r\n"]),
        (HTTP_WITH_CREDENTIALS, [b""]),
        (SOCKS_WITH_CREDENTIALS, [b"\x05\xff"]),
        (SOCKS_WITH_CREDENTIALS, [b"\x05\x02", b"\1\1"]),
        (SOCKS_WITH_CREDENTIALS, [b"\x05\x02", b"\1\0", b"\4\0\0\0"]),
    ],
)
def test_the_frames_of_a_refusal_held_the_credentials(proxy: Proxy, said: list[bytes]) -> None:
    tunnel = Tunnel(proxy, PRODUCTION)
    for data in said[:-1]:
        tunnel.data_to_send()
        tunnel.receive_data(data)
    tunnel.data_to_send()
    with pytest.raises(ConnectFailed) as caught:
        tunnel.receive_data(said[-1])
    no_secrets(locals_of(caught.value))
    assert caught.value.__context__ is None


@pytest.mark.parametrize("proxy", [HTTP, SOCKS, SOCKS_WITH_CREDENTIALS])
@given(said=st.lists(st.binary(max_size=20) | st.sampled_from([b"\x05\x00", b"\x05\x02", b"\1\0"])))
def test_no_answer_does_more_than_fail(proxy: Proxy, said: list[bytes]) -> None:
    tunnel = Tunnel(proxy, PRODUCTION)
    try:
        for data in said:
            tunnel.receive_data(data)
    except ApnsError as error:
        assert isinstance(error, ConnectFailed)  # noqa: PT017 - either will do
