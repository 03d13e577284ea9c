"""A throw-away certificate authority, and a TLS server context for the loopback addresses."""

import ssl
from collections.abc import Sequence
from typing import Final, final

import trustme

__all__ = ["Authority"]

NAMES: Final = ("localhost", "127.0.0.1", "::1")


@final
class Authority:
    """Lives and dies with the process that made it. Trust ``ca_pem`` to trust its servers."""

    def __init__(self) -> None:
        self._ca = trustme.CA(organization_name="apns_simulator")
        self._certificate = self._ca.issue_cert(*NAMES)

    @property
    def ca_pem(self) -> str:
        """The authority's certificate."""
        return self._ca.cert_pem.bytes().decode()

    def server_context(self, alpn_protocols: Sequence[str]) -> ssl.SSLContext:
        """Return a context for a server: TLS 1.2 or later, certified by this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._certificate.configure_cert(context)  # pyright: ignore[reportUnknownMemberType]
        if alpn_protocols:
            context.set_alpn_protocols(list(alpn_protocols))
        return context

    def client_context(self) -> ssl.SSLContext:
        """Return a context for a client that trusts this authority alone and speaks HTTP/2."""
        context = ssl.create_default_context(cadata=self.ca_pem)
        context.set_alpn_protocols(["h2"])
        return context
