import datetime as dt
import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from apns_cli.access import Access, Service
from apns_cli.diagnosis import Facts
from apns_cli.inspection import Plan, _chain, _look_at_the_server, _look_at_untrusted, inspect
from apns_cli.wire import Address, Wire
from apns_core import Endpoint
from apns_core.proxy import Proxy
from apns_core.trust.tls import client_context
from tests.apns_cli.raw_server import CA, Connection, RawServer, say, server_context
from tests.apns_core.trust import certificates


def plan(
    server: RawServer,
    ca: Path,
    *,
    certificate: Path | None = None,
    proxy: Proxy | None = None,
    timeout: float = 10,
) -> Plan:
    access = Access(
        service=Service.PUSH,
        environment="production",
        server=None,
        port=None,
        certificate=certificate,
        certificate_key=None,
        ca=ca,
        proxy_url=None,
        key=None,
        key_id=None,
        team_id=None,
    )
    endpoint = Endpoint("127.0.0.1", server.port)
    return Plan(access=access, endpoint=endpoint, proxy=proxy, timeout=timeout)


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    CA.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


def test_a_certificate_that_openssl_refuses(ca: Path, tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 1024)  # noqa: S505 - the point
    pem = certificates.certificate_pem(certificates.provider_certificate(key))
    (tmp_path / "identity.pem").write_bytes(pem + certificates.key_pem(key))
    (tmp_path / "identity.pem").chmod(0o600)
    with RawServer(say(), server_context()) as server:
        facts = inspect(plan(server, ca, certificate=tmp_path / "identity.pem"))
    assert facts.identity is not None
    assert "OpenSSL refuses it" in (facts.identity.problem or "")
    # The rest is looked at all the same.
    assert facts.greeting is not None
    assert facts.answer is None


def test_a_server_that_wants_a_certificate(ca: Path) -> None:
    context = server_context()
    context.verify_mode = ssl.CERT_REQUIRED
    with RawServer(say(), context) as server:
        facts = inspect(plan(server, ca))
    # TLS 1.3 tells a client so after its handshake.
    assert facts.greeting is not None
    assert "CERTIFICATE_REQUIRED" in (facts.greeting.problem or "")


@pytest.mark.parametrize("look", [_look_at_the_server, _look_at_untrusted])
def test_a_server_that_is_gone_by_then(look: Callable[..., object], ca: Path) -> None:
    with RawServer(say()) as server:
        tried = plan(server, ca)
    address = Address(socket.AF_INET, ("127.0.0.1", server.port), server.port)
    facts = Facts(endpoint=tried.endpoint, environment="production", now=dt.datetime.now(dt.UTC))
    if look is _look_at_untrusted:
        assert look(tried, address) == ((), False)
    else:
        look(tried, facts, client_context(cafile=ca), address, None)
        assert facts.handshake is not None
        assert isinstance(facts.handshake.error, ConnectionRefusedError)


def test_who_answers_is_not_told_where_there_is_no_tls(ca: Path) -> None:
    with RawServer(say()) as server:
        address = Address(socket.AF_INET, ("127.0.0.1", server.port), server.port)
        assert _look_at_untrusted(plan(server, ca), address) == ((), False)


def test_a_proxy_that_says_nothing(ca: Path) -> None:
    def silent(_: RawServer, connection: Connection) -> None:
        connection.recv(65_536)

    with RawServer(silent) as server:
        proxy = Proxy(f"http://127.0.0.1:{server.port}")
        facts = inspect(plan(server, ca, proxy=proxy, timeout=0.1))
    assert facts.tunnel_problem is not None
    assert "in time" in facts.tunnel_problem


class _TlsOfPython313:
    """What `ssl.SSLObject` has since Python 3.13."""

    def get_unverified_chain(self) -> list[bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        issuer = certificates.authority()
        own = certificates.provider_certificate(key, issuer=issuer, common_name="the server")
        nameless = certificates.provider_certificate(key, uid=None, common_name=None)
        ders = [each.public_bytes(Encoding.DER) for each in (own, issuer[0], nameless)]
        return [*ders, b"damaged"]


def test_the_whole_chain_where_python_shows_it() -> None:
    ours, theirs = socket.socketpair()
    wire = Wire(ours)
    wire.tls = _TlsOfPython313()  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    chain, whole = _chain(wire)
    wire.close()
    theirs.close()
    assert whole
    names = [(each.subject, each.issuer) for each in chain]
    authority = "Test Worldwide Developer Relations"
    assert names[:2] == [("the server", authority), (authority, authority)]
    assert names[2:] == [("nobody by name", "nobody by name")]
    assert chain[0].not_after == dt.datetime(2036, 1, 1, tzinfo=dt.UTC)
