"""TLS over memory: a real server side, no socket."""

import contextlib
import ssl
from typing import Final

import pytest
import trustme

HOST: Final = "api.push.example"
CA: Final = trustme.CA()
CERTIFICATE: Final = CA.issue_cert(HOST)
CA_PEM: Final = CA.cert_pem.bytes()


def server_context(
    certificate: trustme.LeafCert = CERTIFICATE, alpn: tuple[str, ...] = ("h2",)
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def handshake(client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST) -> ssl.SSLObject:
    """Shake hands; the client's side of it. Raises what the client raises."""
    return both_sides(client, server, host)[0]


def both_sides(
    client: ssl.SSLContext, server: ssl.SSLContext, host: str = HOST
) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands. Raises what the client raises; what the server raises, the client is told."""
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = client.wrap_bio(to_client, to_server, server_hostname=host)
    server_side = server.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(10):
        try:
            client_side.do_handshake()
        except ssl.SSLWantReadError:
            pass
        else:
            # In TLS 1.3 the server has yet to read the client's last flight.
            with contextlib.suppress(ssl.SSLError):
                server_side.do_handshake()
            return client_side, server_side
        # It wants to read, or has refused: then its alert goes to the client.
        with contextlib.suppress(ssl.SSLError):
            server_side.do_handshake()
    pytest.fail("neither side came to an end")
