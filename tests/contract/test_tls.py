"""TLS that should not be trusted, does not speak HTTP/2, or wants a certificate (T1 to T6).

T1, truncation, is among `test_faults`.
"""

import datetime as dt
import ssl
import warnings
from collections.abc import Callable

import pytest
import trustme

from apns_core.trust.tls import client_context
from tests.contract.certificates import misused, self_signed
from tests.contract.kit import Kit, both_loops, collect, counted, name_of, notifications, send
from tests.contract.server import CA, CA_PEM, server_context

LATER = dt.datetime.now(dt.UTC)


def expired() -> ssl.SSLContext:
    return server_context(CA.issue_cert("localhost", not_after=LATER - dt.timedelta(days=1)))


def of_another_host() -> ssl.SSLContext:
    return server_context(CA.issue_cert("apns.example"))


def of_an_unknown_authority() -> ssl.SSLContext:
    return server_context(trustme.CA().issue_cert("localhost"))


@pytest.mark.parametrize(
    ("make", "code", "says"),
    [
        (expired, 10, "certificate has expired"),
        (of_another_host, 62, "Hostname mismatch"),
        (of_an_unknown_authority, 20, "unable to get local issuer"),
        (self_signed, 18, "self-signed certificate"),
        (misused, 26, "unsuitable certificate purpose"),
    ],
)
@both_loops
async def test_t3_a_server_that_is_not_to_be_trusted(
    kit: Kit, make: Callable[[], ssl.SSLContext], code: int, says: str
) -> None:
    """T3: no connection, no loop at speed, and what is queued stays queued.

    The codes are OpenSSL's (``X509_V_ERR_…`` in ``x509_vfy.h``); its texts differ by version.
    """
    server = kit.serve(context=make())
    async with kit.client(server) as client:
        task = kit.spawn(send, client)
        await kit.sleep(20)
        assert isinstance(client.last_error, ssl.SSLCertVerificationError)
        assert client.last_error.verify_code == code
        assert says in str(client.last_error)
        assert 2 <= len(server.accepted) <= 8
        server.context = server_context()
        assert await task.end() == "accepted"


@pytest.mark.parametrize(("alpn", "got"), [((), "no protocol"), (("http/1.1",), "no protocol")])
@both_loops
async def test_t2_a_server_that_does_not_offer_http_2(
    kit: Kit, alpn: tuple[str, ...], got: str
) -> None:
    """T2: refused right after the handshake, before a byte of HTTP/2."""
    server = kit.serve(context=server_context(alpn=alpn))
    async with kit.client(server, connection={"request_timeout": 3.0}) as client:
        assert await send(client) == "unprocessed DEADLINE"
        assert name_of(client.last_error) == "ConnectFailed"
        assert got in str(client.last_error)
    assert [bytes(peer.heard) for peer in server.peers] == [b""] * len(server.peers)
    assert 1 <= len(server.peers) <= 3


@both_loops
async def test_t2_a_server_that_chooses_http_1(kit: Kit) -> None:
    """T2: only a context that the client's owner has changed can come to that."""
    server = kit.serve(context=server_context(alpn=("http/1.1",)))
    context = client_context(cadata=CA_PEM)
    client = kit.client(server, context=context, connection={"request_timeout": 3.0})
    context.set_alpn_protocols(["http/1.1"])
    async with client:
        assert await send(client) == "unprocessed DEADLINE"
        assert "'http/1.1'" in str(client.last_error)
    assert [bytes(peer.heard) for peer in server.peers] == [b""] * len(server.peers)


def tls_1_1() -> ssl.SSLContext:
    context = server_context()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    return context


def cbc_only() -> ssl.SSLContext:
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-SHA")
    return context


@pytest.mark.parametrize("make", [tls_1_1, cbc_only])
@both_loops
async def test_t5_weak_tls_is_refused(kit: Kit, make: Callable[[], ssl.SSLContext]) -> object:
    """T5."""
    server = kit.serve(context=make())
    async with kit.client(server, connection={"request_timeout": 3.0}) as client:
        assert await send(client) == "unprocessed DEADLINE"
        error = client.last_error
    assert isinstance(error, ssl.SSLError)
    assert all(peer.connection is None for peer in server.peers)
    return error.reason


@both_loops
async def test_tls_1_2_will_do(kit: Kit) -> None:
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with kit.client(kit.serve(context=context)) as client:
        assert counted(await collect(client.send_many(notifications(50)))) == {"accepted": 50}


# ── client certificates ──


def asking(ca: trustme.CA, version: ssl.TLSVersion) -> ssl.SSLContext:
    context = server_context()
    context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    ca.configure_trust(context)  # pyright: ignore[reportUnknownMemberType]
    return context


def presenting(ca: trustme.CA | None) -> ssl.SSLContext:
    context = client_context(cadata=CA_PEM)
    if ca is not None:
        ca.issue_cert("com.example.app").configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    return context


CLIENTS = trustme.CA()
VERSIONS = pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


@VERSIONS
@both_loops
async def test_mutual_tls(kit: Kit, version: ssl.TLSVersion) -> None:
    server = kit.serve(context=asking(CLIENTS, version))
    async with kit.client(server, context=presenting(CLIENTS)) as client:
        assert await send(client) == "accepted"
    assert [bool(peer.certificate) for peer in server.peers] == [True]


@pytest.mark.parametrize("presented", ["nothing", "another's"])
@both_loops
async def test_t4_a_client_certificate_refused_after_the_handshake(
    kit: Kit, presented: str
) -> None:
    """T4: TLS 1.3 lets the client believe for a moment that it is connected."""
    server = kit.serve(context=asking(CLIENTS, ssl.TLSVersion.TLSv1_3))
    context = presenting(trustme.CA() if presented == "another's" else None)
    async with kit.client(server, context=context, connection={"request_timeout": 8.0}) as client:
        task = kit.spawn(send, client)
        await kit.sleep(6)
        assert name_of(client.last_error) == "ConnectFailed"
        assert "possibly it refuses the client certificate" in str(client.last_error)
        assert 1 <= len(server.accepted) <= 4
        # Nothing was sent, so it is safe to send it again.
        assert await task.end() == "unprocessed DEADLINE"
    assert server.ledger.connections == []


@both_loops
async def test_t4_a_client_certificate_refused_in_the_handshake(kit: Kit) -> None:
    server = kit.serve(context=asking(CLIENTS, ssl.TLSVersion.TLSv1_2))
    async with kit.client(server, connection={"request_timeout": 3.0}) as client:
        assert await send(client) == "unprocessed DEADLINE"
        assert isinstance(client.last_error, OSError)


@both_loops
async def test_t6_nothing_is_negotiated_after_the_handshake(kit: Kit) -> None:
    """T6: on a caller's own context too."""
    context = ssl.create_default_context(cadata=CA_PEM.decode())
    context.post_handshake_auth = True
    client = kit.client(kit.serve(), context=context)
    assert not context.post_handshake_auth
    assert context.options & ssl.OP_NO_RENEGOTIATION
    async with client:
        assert await send(client) == "accepted"


@both_loops
async def test_the_hello_of_the_server_may_come_with_its_settings(kit: Kit) -> None:
    """The last bytes of a handshake and the first of HTTP/2 in one segment."""
    context = server_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with kit.client(kit.serve(context=context)) as client:
        assert await send(client) == "accepted"
