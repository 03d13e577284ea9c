"""Tunnels of both adapters, through real sockets: one behaviour, one set of errors."""

import asyncio
import gc
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias
from urllib.parse import quote

import pytest
import trio

from apns_asyncio.proxy import open_tunnel as open_in_asyncio
from apns_core.endpoints import Endpoint
from apns_core.errors import ConnectFailed
from apns_core.proxy import Proxy
from apns_core.trust.tls import client_context
from apns_trio.proxy import open_tunnel as open_in_trio
from apns_trio.tls_stream import TlsStream
from tests.apns_core.trust.handshakes import CA_PEM, HOST, server_context
from tests.ports import held_port
from tests.proxies import (
    PASSWORD,
    SECRETS,
    USER,
    Behaviour,
    RunningProxy,
    basic,
    closing,
    echo,
    http_proxy,
    resetting,
    running,
    saying,
    silent,
    socks5_proxy,
)

ENDPOINT: Final = Endpoint(HOST, 2197)
"""Its name is known to no resolver: the proxy alone may look it up."""

AT: Final = f"{USER}:{quote(PASSWORD, safe='')}@"
WRONG_AT: Final = f"{USER}:canary@"

TIMEOUT: Final = 10.0


# ── the two loops ──


async def talk_in_asyncio(proxy: Proxy, timeout: float) -> bytes:  # noqa: ASYNC109 - as the test has it
    loop = asyncio.get_running_loop()
    plain = await open_in_asyncio(proxy, ENDPOINT, loop.time() + timeout)
    assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    context = client_context(cadata=CA_PEM)
    reader, writer = await asyncio.open_connection(sock=plain, ssl=context, server_hostname=HOST)
    try:
        writer.write(b"through")
        return await reader.readexactly(7)
    finally:
        writer.close()
        await writer.wait_closed()


async def talk_in_trio(proxy: Proxy, timeout: float) -> bytes:  # noqa: ASYNC109 - the same
    plain = await open_in_trio(proxy, ENDPOINT, trio.current_time() + timeout)
    assert plain.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    stream = TlsStream(plain, client_context(cadata=CA_PEM), HOST)
    try:
        await stream.handshake()
        await stream.send_all(b"through")
        return await stream.receive()
    finally:
        stream.close()


async def cancel_in_asyncio(proxy: Proxy, connected: Callable[[float], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + TIMEOUT
    opening = asyncio.create_task(open_in_asyncio(proxy, ENDPOINT, deadline))
    assert await asyncio.to_thread(connected, TIMEOUT)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening


async def cancel_in_trio(proxy: Proxy, connected: Callable[[float], bool]) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(open_in_trio, proxy, ENDPOINT, trio.current_time() + TIMEOUT)
        assert await trio.to_thread.run_sync(connected, TIMEOUT)
        nursery.cancel_scope.cancel()


Talk: TypeAlias = Callable[[Proxy, float], bytes]


def _talk_in_asyncio(proxy: Proxy, timeout: float) -> bytes:
    return asyncio.run(talk_in_asyncio(proxy, timeout))


def _talk_in_trio(proxy: Proxy, timeout: float) -> bytes:
    return trio.run(talk_in_trio, proxy, timeout)


@pytest.fixture(params=[_talk_in_asyncio, _talk_in_trio], ids=["asyncio", "trio"])
def talk(request: pytest.FixtureRequest) -> Iterator[Talk]:
    """Open a tunnel by the deadline, begin TLS, and have an echo."""
    yield request.param
    gc.collect()  # A socket that was left open is a ResourceWarning, and that an error.


@pytest.fixture(scope="module")
def far_end() -> Iterator[RunningProxy]:
    """The endpoint: an echo over TLS."""
    with running(echo, tls=server_context()) as server:
        yield server


# ── tunnels ──

GOOD: Final[dict[str, tuple[Behaviour, str]]] = {
    "HTTP": (http_proxy(), "http://127.0.0.1"),
    "HTTP, byte by byte": (http_proxy(pieces=True), "http://127.0.0.1"),
    "HTTP, credentials": (http_proxy(authorization=basic()), f"http://{AT}127.0.0.1"),
    "SOCKS5": (socks5_proxy(), "socks5://127.0.0.1"),
    "SOCKS5, byte by byte": (socks5_proxy(pieces=True), "socks5h://127.0.0.1"),
    "SOCKS5, credentials": (
        socks5_proxy(credentials=(USER, PASSWORD), pieces=True),
        f"socks5://{AT}127.0.0.1",
    ),
    "SOCKS5, bound to a name": (
        socks5_proxy(bound=b"\x03\x04name\x12\x34"),
        f"socks5://{AT}127.0.0.1",
    ),
}


@pytest.mark.parametrize(("behaviour", "url"), GOOD.values(), ids=GOOD)
def test_a_tunnel_leads_to_the_endpoint(
    talk: Talk, far_end: RunningProxy, behaviour: Behaviour, url: str
) -> None:
    with running(behaviour) as proxy:
        proxy.route = ("127.0.0.1", far_end.port)
        assert talk(Proxy(f"{url}:{proxy.port}"), TIMEOUT) == b"through"
        assert proxy.targets == [(ENDPOINT.host, ENDPOINT.port)]


BAD: Final[dict[str, tuple[Behaviour, str, str]]] = {
    "HTTP, no credentials": (
        http_proxy(authorization=basic()),
        "http://127.0.0.1",
        "HTTP status 407: it wants credentials",
    ),
    "HTTP, wrong credentials": (
        http_proxy(authorization=basic()),
        f"http://{WRONG_AT}127.0.0.1",
        "HTTP status 407: it wants credentials",
    ),
    "HTTP, refused": (
        saying(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ncanary"),
        f"http://{AT}127.0.0.1",
        "HTTP status 403: it does not allow",
    ),
    "HTTP, of another protocol": (socks5_proxy(), f"http://{AT}127.0.0.1", "closed|was lost"),
    "HTTP, closes": (closing, f"http://{AT}127.0.0.1", "closed the connection|was lost"),
    "HTTP, resets": (resetting, f"http://{AT}127.0.0.1", "was lost"),
    "HTTP, says too much": (
        saying(b"HTTP/1.1 200 OK\r\n\r\ncanary"),
        f"http://{AT}127.0.0.1",
        "more than its answer",
    ),
    "SOCKS5, no credentials": (
        socks5_proxy(credentials=(USER, PASSWORD)),
        "socks5://127.0.0.1",
        "it wants credentials",
    ),
    "SOCKS5, wrong credentials": (
        socks5_proxy(credentials=(USER, PASSWORD)),
        f"socks5://{WRONG_AT}127.0.0.1",
        "refused the credentials",
    ),
    "SOCKS5, refused": (socks5_proxy(reply=2), f"socks5://{AT}127.0.0.1", "SOCKS5 reply 2"),
    "SOCKS5, of another protocol": (
        saying(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
        f"socks5://{AT}127.0.0.1",
        "does not speak SOCKS5",
    ),
    "SOCKS5, closes": (closing, f"socks5://{AT}127.0.0.1", "closed the connection|was lost"),
}


@pytest.mark.parametrize(("behaviour", "url", "problem"), BAD.values(), ids=BAD)
def test_a_failure_is_named_and_shows_no_credentials(
    talk: Talk, behaviour: Behaviour, url: str, problem: str
) -> None:
    with running(behaviour) as proxy, pytest.raises(ConnectFailed, match=problem) as caught:
        talk(Proxy(f"{url}:{proxy.port}"), TIMEOUT)
    shown = "".join(traceback.format_exception(caught.value))
    # The source of this test is in the traceback; the URL, as it was put together, is not.
    assert not [secret for secret in SECRETS if secret in shown]


def test_a_proxy_that_is_not_there(talk: Talk) -> None:
    with held_port() as port, pytest.raises(ConnectFailed, match="cannot be reached") as caught:
        talk(Proxy(f"http://{AT}127.0.0.1:{port}"), TIMEOUT)
    assert f"'http://***@127.0.0.1:{port}'" in str(caught.value)
    assert isinstance(caught.value.__cause__, OSError)
    shown = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in SECRETS if secret in shown]


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_never_answers_has_until_the_deadline(talk: Talk, scheme: str) -> None:
    with running(silent) as proxy:
        with pytest.raises(ConnectFailed, match="did not answer in time") as caught:
            talk(Proxy(f"{scheme}://{AT}127.0.0.1:{proxy.port}"), 0.1)
        assert proxy.left.wait(TIMEOUT)  # it was hung up on
    shown = "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in SECRETS if secret in shown]


def _cancel_in_asyncio(proxy: Proxy, connected: Callable[[float], bool]) -> None:
    asyncio.run(cancel_in_asyncio(proxy, connected))


def _cancel_in_trio(proxy: Proxy, connected: Callable[[float], bool]) -> None:
    trio.run(cancel_in_trio, proxy, connected)


@pytest.mark.parametrize("cancel", [_cancel_in_asyncio, _cancel_in_trio], ids=["asyncio", "trio"])
def test_cancelling_leaves_nothing_open(
    cancel: Callable[[Proxy, Callable[[float], bool]], None],
) -> None:
    with running(silent) as proxy:
        cancel(Proxy(f"http://127.0.0.1:{proxy.port}"), proxy.connected.wait)
        assert proxy.left.wait(TIMEOUT)
    gc.collect()


def test_the_certificate_is_still_the_endpoints(talk: Talk) -> None:
    """A proxy that leads elsewhere is found out by TLS."""
    with running(echo) as elsewhere, running(http_proxy()) as proxy:
        proxy.route = ("127.0.0.1", elsewhere.port)
        with pytest.raises(ssl.SSLError):
            talk(Proxy(f"http://127.0.0.1:{proxy.port}"), TIMEOUT)
