"""URLs of proxies, and what proxies answer: HTTP CONNECT and SOCKS5.

An input is an octet, a URL in as many octets as the next one says, and the proxy's answers. The
first chooses a proxy that is good in place of the URL, but for 255.
"""

import re
from base64 import b64encode
from collections.abc import Iterator
from random import Random
from typing import Final
from urllib.parse import quote
from zlib import crc32

from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed, InvalidField
from apns_core.proxy import Proxy, Tunnel
from fuzz.decisions import Decisions

__all__ = ["MAX_LENGTH", "check", "seeds"]

MAX_LENGTH: Final = 20_000

_USER, _PASSWORD = "userserus", "p:ss w/rd\xfc"
_LOGIN: Final = f"{_USER}:{quote(_PASSWORD, safe='')}@"
_SECRETS: Final = (
    _USER,
    _PASSWORD,
    quote(_PASSWORD, safe=""),
    b64encode(f"{_USER}:{_PASSWORD}".encode()).decode(),
    b64encode(_PASSWORD.encode()).decode(),
)
_GOOD: Final = (
    "http://proxy.example:3128",
    f"http://{_LOGIN}[::1]",
    "socks5://10.0.0.1",
    f"socks5h://{_LOGIN}proxy.example:1081/",
)
_ENDPOINTS: Final = (Endpoint("api.push.apple.com"), Endpoint("::1", 2197), Endpoint("127.0.0.1"))
_URL_IS_GIVEN: Final = 255
_BUFFERED: Final = 16_384


def check(data: bytes) -> None:
    """Make a proxy, and talk to it."""
    script = Decisions(data)
    choice = script.byte()
    url = script.text()
    if choice == _URL_IS_GIVEN:
        proxy = _from_url(url)
        if proxy is None:
            return
    else:
        proxy = Proxy(_GOOD[choice % len(_GOOD)])
    endpoint = _ENDPOINTS[(choice >> 2) % len(_ENDPOINTS)]
    answers = script.rest()
    rng = Random(crc32(data))  # noqa: S311 - from the input
    whole = _talk(Tunnel(proxy, endpoint), [answers])
    if len(answers) <= _EVERY_OCTET_BELOW:
        assert whole == _talk(Tunnel(proxy, endpoint), [bytes((each,)) for each in answers])
    cut = rng.randint(0, len(answers))
    assert whole == _talk(Tunnel(proxy, endpoint), [answers[:cut], answers[cut:]])


# Looking for the end of a head again with each octet is quadratic, up to 16 KiB.
_EVERY_OCTET_BELOW: Final = 300


def _from_url(url: str) -> Proxy | None:
    assert _shown(url) == _shown(_with_other_credentials(url)), "it shows something of a secret"
    try:
        proxy = Proxy(url)
    except InvalidField:
        return None
    assert proxy.scheme in {"http", "socks5", "socks5h"}
    assert 0 < proxy.port < 2**16
    assert proxy.host.isascii()
    shown = repr(proxy)
    assert shown.isprintable()
    assert "@" not in shown.replace("***@", "")
    return proxy


def _shown(url: str) -> str:
    """Return all that people see of a URL."""
    try:
        return repr(Proxy(url))
    except InvalidField as error:
        return str(error)


def _with_other_credentials(url: str) -> str:
    """Put other letters and digits into what precedes the last ``@``, in the same form."""
    scheme, separator, rest = url.partition("://")
    secret, at, host = rest.rpartition("@")
    if "[" in secret:
        # The beginning of an address, which may be one by its letters alone: "[v1.a@]".
        return url
    return scheme + separator + _OF_A_SECRET.sub(_other, secret) + at + host


def _other(character: re.Match[str]) -> str:
    found = character[0]
    return found if found[0] == "%" else "7" if found.isdigit() else "q"


_OF_A_SECRET: Final = re.compile(r"%[0-9A-Fa-f]{2}|[0-9A-Za-z]")


def _talk(tunnel: Tunnel, chunks: list[bytes]) -> tuple[bool, str, bytes]:
    """Return whether it is established, what the error says, and what was sent."""
    sent = tunnel.data_to_send()
    error = ""
    for chunk in chunks:
        if not chunk:
            continue
        try:
            tunnel.receive_data(chunk)
        except ConnectFailed as failed:
            error = str(failed)
            break
        finally:
            sent += tunnel.data_to_send()
        assert len(tunnel._buffer) <= _BUFFERED  # noqa: SLF001
    assert error.isprintable()
    assert not [secret for secret in _SECRETS if secret in error], "it shows a secret"
    if sent.startswith(b"CONNECT"):
        assert _REQUEST.fullmatch(sent)
    return tunnel.established, error, sent


_REQUEST: Final = re.compile(rb"CONNECT [!-~]+ HTTP/1\.1\r\n(?:[A-Za-z-]+: [ -~]+\r\n)+\r\n")


def seeds() -> Iterator[bytes]:
    """Yield answers for each kind of proxy, and URLs."""
    for choice in range(len(_GOOD) * len(_ENDPOINTS)):
        for answer in (*_HTTP, *_SOCKS):
            yield bytes((choice, 0)) + answer
    for url in (*_GOOD, *_URLS):
        octets = url.encode("utf-8", "surrogateescape")
        yield bytes((_URL_IS_GIVEN, len(octets))) + octets + _HTTP[0]


_HTTP: Final = (
    b"HTTP/1.1 200 Connection established\r\n\r\n",
    b"HTTP/1.0 200\r\nVia: x\r\n\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 5\r\n\r\nno no",
    b"HTTP/1.1 200 OK\r\n\r\n\x15\x03\x03",
    b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nx: " + b"y" * 16_500,
)
_SOCKS: Final = (
    b"\x05\x00\x05\x00\x00\x01" + bytes(6),
    b"\x05\x02\x01\x00\x05\x00\x00\x03\x04host\x01\x02",
    b"\x05\x02\x01\x01",
    b"\x05\xff",
    b"\x05\x00\x05\x05\x00\x01" + bytes(6),
    b"\x05\x00\x05\x00\x00\x04" + bytes(18),
    b"\x05\x00\x05\x00\x00\x09" + bytes(6),
    b"\x04\x5a",
)
_URLS: Final = (
    "https://proxy.example",
    "http://",
    "http://user@proxy.example",
    "http://us%3Aer:password@proxy.example",
    "http://user:p@ss@proxy.example",
    "http://user:p@ss@proxy.example/x",
    "ftp://me:pw@proxy.example",
    "http://user:pass%0aword@proxy.example",
    "http://proxy.example:0",
    "http://proxy.example:65536",
    "http://proxy.example/path?query#fragment",
    "http://[::1",
    "http://[v1.x]/",
    "http://\u2100.example",
    "http://user:\udcff@proxy.example",
    "socks5://" + "u" * 200 + ":p@h",
    "SOCKS5://H:1080",
)
