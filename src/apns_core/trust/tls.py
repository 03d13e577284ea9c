"""TLS as HTTP/2 and APNs want it; the adapters use it, the engine never imports it."""

import os
import ssl
from collections.abc import Iterable
from pathlib import Path
from typing import Protocol

from apns_core.errors import ConnectFailed, InvalidField
from apns_core.trust.pins import pin
from apns_core.trust.roots import apns_roots

__all__ = ["ClientIdentity", "check_alpn", "client_context", "prepare_context"]


class ClientIdentity(Protocol):
    """What presents a certificate: an `apns_core.trust.identity.ProviderIdentity`."""

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a context present it."""
        ...


def client_context(
    *,
    cafile: str | os.PathLike[str] | None = None,
    cadata: str | bytes | None = None,
    identity: ClientIdentity | None = None,
    pins: Iterable[str] = (),
) -> ssl.SSLContext:
    """Make a context for connections to APNs. It always verifies certificate and host name.

    Trusts the authorities of the system, and the two that APNs uses where the package ``certifi``
    has them (`apns_core.trust.roots`). With ``cafile`` (a path) or ``cadata`` (PEM as text or
    bytes, or DER) it trusts those *instead*, for a simulator or a proxy; with
    ``cadata=apns_roots()``, no others than APNs needs. Who wants anything else brings a context of
    their own; see `prepare_context`.

    ``identity`` is presented to the server, in place of provider tokens. Of the certificates of
    ``pins``, the server must present one besides; see `apns_core.trust.pins.pin`.

    Raises `InvalidField` when authorities cannot be read, and when there are none: a slim container
    without ``ca-certificates``, a Python from python.org on macOS whose *Install
    Certificates.command* was not run. Every connection would fail.
    """
    # ssl.create_default_context would also write session keys to the file in $SSLKEYLOGFILE.
    context = prepare_context(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    # RFC 9113 Section 9.2.2 and Appendix A: of the suites of TLS 1.2, those with ephemeral keys and
    # authenticated encryption. TLS 1.3 has no others.
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
    if cafile is not None:
        _trust("cafile", context, cafile=cafile)
    if cadata is not None:
        # To ssl, bytes are DER. A PEM file read in binary is the likelier thing to be passed.
        if isinstance(cadata, bytes) and b"-----BEGIN" in cadata:
            cadata = cadata.decode("ascii", "replace")
        _trust("cadata", context, cadata=cadata)
    if cafile is None and cadata is None:
        _trust_system(context)
    if identity is not None:
        identity.load_into(context)
    return pin(context, pins)


def prepare_context(context: ssl.SSLContext) -> ssl.SSLContext:
    """Make a caller's own context fit for HTTP/2. **Changes it**, and returns it.

    Sets ALPN to ``h2`` alone and forbids TLS below 1.2, compression, renegotiation and
    authentication after the handshake (RFC 9113 Sections 3.2 and 9.2). Leaves the caller's trust,
    certificates, cipher suites and verification alone.
    """
    context.set_alpn_protocols(["h2"])
    # A caller who asks for more gets it.
    context.minimum_version = max(context.minimum_version, ssl.TLSVersion.TLSv1_2)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.post_handshake_auth = False
    return context


def check_alpn(selected: str | None) -> None:
    """Refuse a server that did not choose HTTP/2. Call after the handshake, before any write.

    ``selected`` is what ``selected_alpn_protocol()`` returned. Raises `ConnectFailed`.
    """
    if selected != "h2":
        got = "no protocol" if selected is None else repr(selected)
        raise ConnectFailed(f"the server does not offer HTTP/2: ALPN selected {got}, not 'h2'")


def _trust(
    field: str,
    context: ssl.SSLContext,
    *,
    cafile: str | os.PathLike[str] | None = None,
    cadata: str | bytes | None = None,
) -> None:
    try:
        context.load_verify_locations(cafile=cafile, cadata=cadata)
    except (OSError, TypeError, ValueError) as error:  # ssl.SSLError is an OSError
        raise InvalidField(field, "no certificate of an authority can be read from it") from error


def _trust_system(context: ssl.SSLContext) -> None:
    context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    roots = apns_roots()
    if roots:
        _trust("cadata", context, cadata=roots)
    elif not context.cert_store_stats()["x509_ca"] and not _has_directory_of_authorities():
        raise InvalidField(
            "cafile",
            "the system trusts no authority: install ca-certificates, or certifi, or name a file",
        )


def _has_directory_of_authorities() -> bool:
    """Whether OpenSSL has a directory to look authorities up in when it needs them.

    What is in there is not counted as loaded.
    """
    paths = ssl.get_default_verify_paths()
    names = os.environ.get(paths.openssl_capath_env, paths.openssl_capath)
    return any(
        Path(name).is_dir() and any(Path(name).iterdir())
        for name in names.split(os.pathsep)
        if name
    )
