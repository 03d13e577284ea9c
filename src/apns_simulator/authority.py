"""A throw-away certificate authority, and a TLS server context for the loopback addresses."""

import ssl
from collections.abc import Sequence
from typing import Final, final

import trustme
from cryptography.hazmat.primitives.serialization import Encoding

from .client_certificates import ClientCertificate, issue

__all__ = ["Authority"]

NAMES: Final = ("localhost", "127.0.0.1", "::1")


@final
class Authority:
    """Lives and dies with the process that made it. Trust ``ca_pem`` to trust its servers."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="apns_simulator")
        self._certificate = self._ca.issue_cert(*NAMES)
        self._issued: dict[bytes, ClientCertificate] = {}

    @property
    def ca_pem(self) -> str:
        """The authority's certificate."""
        return self._ca.cert_pem.bytes().decode()

    def issue_client_certificate(self, certificate: ClientCertificate) -> str:
        """Issue a client certificate that says this; return it and its key as PEM."""
        issued, key_pem = issue(
            certificate, self._ca.cert_pem.bytes(), self._ca.private_key_pem.bytes()
        )
        self._issued[issued.public_bytes(Encoding.DER)] = certificate
        return issued.public_bytes(Encoding.PEM).decode() + key_pem.decode()

    def client_certificate(self, der: bytes | None) -> ClientCertificate | None:
        """Return what a client's certificate says; of what TLS let pass, all are known here."""
        return None if der is None else self._issued.get(der)

    def server_context(
        self, alpn_protocols: Sequence[str], *, asks_clients: bool = False
    ) -> ssl.SSLContext:
        """Return a context for a server: TLS 1.2 or later, certified by this authority.

        ``asks_clients``: clients may present a certificate, and no other than of this authority.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        if alpn_protocols:
            context.set_alpn_protocols(list(alpn_protocols))
        if asks_clients:
            context.verify_mode = ssl.CERT_OPTIONAL
            context.load_verify_locations(cadata=self.ca_pem)
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a context for a client that trusts this authority alone and speaks HTTP/2."""
        context = ssl.create_default_context(cadata=self.ca_pem)
        context.set_alpn_protocols(["h2"])
        return context
