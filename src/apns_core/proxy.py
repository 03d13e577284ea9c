"""How a proxy is asked for a way to APNs: HTTP CONNECT and SOCKS5, without I/O.

RFC 9110 Section 9.3.6 and RFC 9112 for the one, RFC 1928 and RFC 1929 for the other. `Proxy` says
which proxy; `Tunnel` holds one conversation with it, up to the moment from which on the connection
belongs to the endpoint and TLS begins. The name of the endpoint is always resolved by the proxy.
"""

import ipaddress
import re
from base64 import b64encode
from collections.abc import Callable, Generator
from typing import Final, NoReturn, TypeAlias, final
from urllib.parse import unquote, urlsplit

from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed, InvalidField

__all__ = ["ANSWER_MARGIN", "Proxy", "Tunnel"]

ANSWER_MARGIN: Final = 0.02
"""Seconds by which a proxy is given up before the connection that was to lead through it, so that
the error names the proxy. Loops count some 15 milliseconds as one, on Windows."""


@final
class Proxy:
    """A proxy by its URL: ``http://proxy.example:3128``, ``socks5://user:password@10.0.0.1``.

    The scheme is ``http``, or ``socks5`` or ``socks5h``, which mean the same here. Without a port
    it is 80 or 1080. User name and password are percent-encoded; they go over the network in clear
    text, as both protocols have it. Raises `InvalidField`, which shows nothing of the URL.

    Its repr leaves the credentials out, and it cannot be pickled.
    """

    __slots__ = ("_credentials", "host", "port", "scheme")

    scheme: Final[str]
    host: Final[str]
    """A name or an address to connect to; an IPv6 address without brackets."""
    port: Final[int]

    def __init__(self, url: str) -> None:
        read = _read(url)
        # Whoever reports an error may show the locals of its frames.
        del url
        if isinstance(read, str):
            raise InvalidField("proxy", read)
        scheme, host, port, credentials = read
        self.scheme = scheme
        self.host = host
        self.port = port
        self._credentials = credentials

    def __repr__(self) -> str:
        try:
            credentials = "" if self._credentials is None else "***@"
        except AttributeError:  # refused: whoever reports the error may show its locals
            return "<Proxy, refused>"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"Proxy('{self.scheme}://{credentials}{host}:{self.port}')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a proxy may hold credentials and cannot be pickled")


@final
class Tunnel:
    """One conversation with a proxy, on a connection that was just made to it.

    Send `data_to_send`, read, give what was read to `receive_data`, and so on until `established`.
    Then the connection is the endpoint's: begin TLS.
    """

    __slots__ = ("_buffer", "_dialogue", "_out", "_wanted", "established")

    established: bool
    """Whether the proxy has made the connection."""

    def __init__(self, proxy: Proxy, endpoint: Endpoint) -> None:
        self._buffer = b""
        self._out = b""
        self._wanted: _Wanted = 0
        self.established = False
        credentials = proxy._credentials  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]
        self._dialogue = _SCHEMES[proxy.scheme][1](endpoint, credentials)
        self._advance(None)

    def data_to_send(self) -> bytes:
        """Return what is to be sent next, once; empty if the proxy is to speak."""
        data, self._out = self._out, b""
        return data

    def receive_data(self, data: bytes) -> None:
        """Take what was read; empty means that the proxy has closed.

        Raises `ConnectFailed` when it refuses, or speaks another protocol. Nothing that it says is
        quoted: some repeat the credentials.
        """
        if not data:
            raise ConnectFailed("the proxy closed the connection before it answered")
        self._buffer += data
        while not self.established and (answer := self._cut()) is not None:
            self._advance(answer)
        if self.established and self._buffer:
            # The endpoint does not speak first in TLS: this is no proxy, or not only one.
            raise ConnectFailed("the proxy said more than its answer")

    def _advance(self, answer: bytes | None) -> None:
        problem = None
        try:
            out, self._wanted = (
                next(self._dialogue) if answer is None else self._dialogue.send(answer)
            )
            self._out += out
        except StopIteration as end:
            problem = end.value
            self.established = problem is None
        if problem is not None:
            raise ConnectFailed(problem)

    def _cut(self) -> bytes | None:
        """Take one answer off the buffer; None until it is complete."""
        if isinstance(self._wanted, int):
            end = self._wanted if len(self._buffer) >= self._wanted else 0
        else:
            match = self._wanted.search(self._buffer)
            end = 0 if match is None else match.end()
        # However it was cut: an end beyond the bound is none.
        if (end or len(self._buffer)) > _MAX_ANSWER:
            raise ConnectFailed("the proxy's answer has no end")
        if not end:
            return None
        answer, self._buffer = self._buffer[:end], self._buffer[end:]
        return answer


_Wanted: TypeAlias = int | re.Pattern[bytes]
"""How an answer ends: by its length, or after what matches."""

_Dialogue: TypeAlias = Generator[tuple[bytes, _Wanted], bytes, str | None]
"""Yields what to send and how the answer to it ends, and is sent that answer. In the end it returns
None, or the problem: its frame holds credentials, and is to be in no error's traceback."""

_Credentials: TypeAlias = tuple[bytes, bytes] | None

_MAX_ANSWER: Final = 16_384
"""Bytes of an answer. Proxies that refuse put a page after the head, which is not read."""


# HTTP

_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})[ \r\n]")

_STATUSES: Final = {
    403: "it does not allow this endpoint",
    405: "it takes no CONNECT",
    407: "it wants credentials, or others than it was given",
    502: "it could not connect to the endpoint",
    503: "it is overloaded or has no way to the endpoint",
    504: "the endpoint did not answer it",
}


def _http_connect(endpoint: Endpoint, credentials: _Credentials) -> _Dialogue:
    host = f"[{endpoint.host}]" if ":" in endpoint.host else endpoint.host
    target = f"{host}:{endpoint.port}"  # with its port even if that is 443
    head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n".encode("ascii")
    if credentials is not None:
        head += b"Proxy-Authorization: Basic " + b64encode(b":".join(credentials)) + b"\r\n"
    answer = yield head + b"\r\n", _END_OF_HEAD
    while True:
        match = _STATUS_LINE.match(answer)
        if match is None:
            return "the proxy does not speak HTTP/1.1"
        status = int(match[1])
        # "Any 2xx (Successful) response"; "Content-Length or Transfer-Encoding" in it are ignored.
        if 200 <= status < 300:
            return None
        if status >= 200:
            why = _STATUSES.get(status, "see its documentation")
            return f"the proxy refused, with HTTP status {status}: {why}"
        answer = yield b"", _END_OF_HEAD  # 1xx: the answer proper comes next


def _problem_of_basic(user: bytes, password: bytes) -> str | None:
    # RFC 7617 Section 2.
    if b":" in user:
        return "its user name must have no colon"
    if any(octet < 0x20 or octet == 0x7F for octet in user + password):
        return "its credentials must have no control characters"
    return None


# SOCKS5

_NO_AUTHENTICATION: Final = 0
_USER_AND_PASSWORD: Final = 2
_ADDRESS_LENGTHS: Final = {1: 4, 4: 16}
_DOMAIN_NAME: Final = 3

_REPLIES: Final = {
    1: "general failure",
    2: "it does not allow this endpoint",
    3: "network unreachable",
    4: "host unreachable, or its name unknown to the proxy",
    5: "the endpoint refused its connection",
    6: "the endpoint did not answer it",
    7: "it takes no CONNECT",
    8: "it does not take this kind of address",
}


def _socks5(endpoint: Endpoint, credentials: _Credentials) -> _Dialogue:
    methods = [_NO_AUTHENTICATION]
    if credentials is not None:
        methods.append(_USER_AND_PASSWORD)
    version, method = yield bytes([5, len(methods), *methods]), 2
    if version != 5:
        return "the proxy does not speak SOCKS5"
    if method not in methods:
        return "the proxy refused: it wants credentials, or others than it was given"
    if method == _USER_AND_PASSWORD and credentials is not None:
        user, password = credentials
        _, status = yield bytes([1, len(user)]) + user + bytes([len(password)]) + password, 2
        if status != 0:
            return "the proxy refused the credentials that it was given"
    request = b"\x05\x01\x00" + _address(endpoint.host) + endpoint.port.to_bytes(2, "big")
    # Four octets say how long the rest is; a refusal need not have one.
    version, reply, _, kind = yield request, 4
    if version != 5:
        return "the proxy does not speak SOCKS5"
    if reply != 0:
        why = _REPLIES.get(reply, "no reason that SOCKS5 knows")
        return f"the proxy refused, with SOCKS5 reply {reply}: {why}"
    if kind == _DOMAIN_NAME:
        (length,) = yield b"", 1
    elif kind in _ADDRESS_LENGTHS:
        length = _ADDRESS_LENGTHS[kind]
    else:
        return "the proxy does not speak SOCKS5"
    yield b"", length + 2  # the proxy's own address and port, of no use to us
    return None


def _address(host: str) -> bytes:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return bytes([_DOMAIN_NAME, len(host)]) + host.encode("ascii")
    return bytes([1 if address.version == 4 else 4]) + address.packed


def _problem_of_rfc_1929(user: bytes, password: bytes) -> str | None:
    if 1 <= len(user) <= 255 and 1 <= len(password) <= 255:
        return None
    return "its user name and password must have 1 to 255 octets each"


# URLs

_SCHEMES: Final[
    dict[
        str,
        tuple[
            int, Callable[[Endpoint, _Credentials], _Dialogue], Callable[[bytes, bytes], str | None]
        ],
    ]
] = {
    "http": (80, _http_connect, _problem_of_basic),
    "socks5": (1080, _socks5, _problem_of_rfc_1929),
    "socks5h": (1080, _socks5, _problem_of_rfc_1929),
}
"""The default port, the conversation, and what is wrong with credentials."""


def _read(url: object) -> str | tuple[str, str, int, _Credentials]:
    """Return scheme, host, port and credentials; or else what is wrong, with no word of the URL."""
    if not isinstance(url, str):
        return _NO_URL
    url = str.__str__(url)  # of a subclass too
    if _UNSEEN(url):
        # urlsplit would leave some of them out, and take the rest for another URL.
        return "must have no blanks and no control characters"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "is no URL: scheme://host:port, with user:password@ before the host if need be"
    if parts.scheme not in _SCHEMES:
        return _NO_URL
    if not parts.hostname:
        return "names no host"
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        return "must end after the port"
    default_port, _, problem_of = _SCHEMES[parts.scheme]
    if not parts.netloc.rpartition("@")[2].isascii():
        return "names no good host"  # in lower case, some letters of other alphabets are ours
    try:
        server = Endpoint(parts.hostname, default_port if port is None else port)
    except InvalidField as error:
        return f"names no good {error.field}"
    if parts.username is None:
        return parts.scheme, server.host, server.port, None
    user, password = _unquoted(parts.username), _unquoted(parts.password or "")
    if user is None or password is None:
        return "its credentials must be percent-encoded"
    problem = problem_of(user, password)
    return problem or (parts.scheme, server.host, server.port, (user, password))


def _unquoted(text: str) -> bytes | None:
    try:
        # Octets that are no UTF-8 come out as they went in.
        return unquote(text, errors="surrogateescape").encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return None


_NO_URL: Final = "must be a URL that begins with http:// or socks5://"
_UNSEEN: Final = re.compile(r"[\x00-\x20\x7f-\xa0]|\s").search
